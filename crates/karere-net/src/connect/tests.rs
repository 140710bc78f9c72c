use std::io::Write as _;
use std::net::TcpListener;
use std::thread;

use super::*;

const SOON: Duration = Duration::from_secs(10);

/// What is read until there are `count` bytes.
fn read(stream: &dyn Transport, count: usize) -> Vec<u8> {
    let (nobody, mut all, mut buffer) = (crate::sys::WakeUp::new().unwrap(), Vec::new(), [0; 64]);
    while all.len() < count {
        match stream.read(&mut buffer) {
            Ok(count) => all.extend_from_slice(&buffer[..count]),
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                crate::sys::wait(stream.socket(), false, &nobody, Some(SOON)).unwrap();
            }
        }
    }
    all
}

#[test]
fn a_dead_port_is_named_with_its_scheme() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for (address, shown) in [
        (Address::tcp("127.0.0.1", port), format!("127.0.0.1:{port}")),
        (Address::websocket("127.0.0.1", port, "/mqtt"), format!("ws://127.0.0.1:{port}/mqtt")),
    ] {
        let Err(error) = Connector::default().connect(&address, SOON) else { panic!("nobody is there") };
        assert_eq!(error.source.kind(), io::ErrorKind::ConnectionRefused);
        assert!(error.to_string().starts_with(&format!("cannot connect to {shown}: ")), "{error}");
    }
}

#[cfg(unix)]
#[test]
fn a_unix_socket_is_reached_by_its_path() {
    let path = std::env::temp_dir().join(format!("karere-net-connect-{}.sock", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let stream = Connector::default().connect(&Address::unix(&path), SOON).unwrap();
    let mut accepted = listener.accept().unwrap().0;
    accepted.write_all(b"hello").unwrap();
    assert_eq!(read(&*stream, 5), b"hello");
    std::fs::remove_file(&path).unwrap();
    let Err(error) = Connector::default().connect(&Address::unix(&path), SOON) else { panic!("it is gone") };
    assert_eq!(error.source.kind(), io::ErrorKind::NotFound);
    assert!(error.to_string().contains("unix:"), "{error}");
}

#[cfg(all(feature = "websocket", feature = "tls"))]
mod layered {
    use bytes::BytesMut;

    use super::*;
    use crate::tls;
    use crate::tls::tests::Authority;
    use crate::websocket::{Filter, ServerOptions};

    /// Accepts once with `stack`, sends back what it reads until that ends, and returns it.
    fn echo(stack: Stack) -> (u16, thread::JoinHandle<io::Result<BytesMut>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        (port, thread::spawn(move || serve(listener.accept().unwrap().0, stack)))
    }

    fn serve(mut stream: std::net::TcpStream, mut stack: Stack) -> io::Result<BytesMut> {
        let (mut all, mut buffer) = (BytesMut::new(), [0; 999]);
        loop {
            let count = stream.read(&mut buffer)?;
            let before = all.len();
            let result = stack.handle_input(&buffer[..count], &mut all);
            stack.encode(&[io::IoSlice::new(&all[before..])]);
            while stack.wants_write() {
                stream.write_all(&std::mem::take(stack.poll_transmit().unwrap()))?;
            }
            result?;
            if count == 0 || stack.is_closed() {
                return Ok(all);
            }
        }
    }

    fn with_websocket(stack: Stack) -> Stack {
        stack.with(Filter::server(ServerOptions::default()))
    }

    fn with_tls(authority: &Authority) -> Stack {
        authority.sign("server", &["localhost"]);
        Stack::new().with(tls::Server::load(&authority.server("server")).unwrap().filter().unwrap())
    }

    #[test]
    fn each_scheme_carries_bytes_and_closes_in_order() {
        let authority = Authority::new("an authority");
        let connector = Connector { tls: Some(authority.client().load().unwrap()), ..Connector::default() };
        for scheme in ["ws", "mqtts", "wss"] {
            let (port, server) = echo(match scheme {
                "ws" => with_websocket(Stack::new()),
                "mqtts" => with_tls(&authority),
                _ => with_websocket(with_tls(&authority)),
            });
            let address = format!("{scheme}://localhost:{port}/mqtt").parse().unwrap();
            let stream = connector.connect(&address, SOON).unwrap();
            let sent: Vec<u8> = (0..50_000_u32).map(|index| (index / 7) as u8).collect();
            let mut written = 0;
            while written < sent.len() {
                written += stream.write_vectored(&[io::IoSlice::new(&sent[written..])]).unwrap_or(0);
            }
            assert_eq!(read(&*stream, sent.len()), sent, "{scheme}");
            stream.shutdown().unwrap();
            assert_eq!(server.join().unwrap().unwrap(), sent, "{scheme}");
        }
    }

    #[cfg(feature = "tokio")]
    #[test]
    fn tokio_does_so_alike() {
        let authority = Authority::new("an authority");
        let connector = Connector { tls: Some(authority.client().load().unwrap()), ..Connector::default() };
        let (port, server) = echo(with_websocket(with_tls(&authority)));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let address = Address::secure_websocket("localhost", port, "/mqtt");
        let all = runtime.block_on(async {
            let stream = connector.connect_async(&address, SOON).await.unwrap();
            assert_eq!(stream.try_write_vectored(&[io::IoSlice::new(b"hello")]).unwrap(), 5);
            let mut all = BytesMut::new();
            while all.len() < 5 {
                std::future::poll_fn(|cx| stream.poll_read_ready(cx)).await.unwrap();
                let _ = stream.try_read_buf(&mut all);
            }
            stream.shutdown().unwrap();
            all
        });
        assert_eq!(all, "hello");
        assert_eq!(server.join().unwrap().unwrap(), "hello");
    }

    #[test]
    fn what_goes_wrong_at_the_beginning_is_told_by_connect() {
        let authority = Authority::new("an authority");
        let connector = Connector { tls: Some(authority.client().load().unwrap()), ..Connector::default() };
        let error_at = |address: &Address| match connector.connect(address, SOON) {
            Err(error) => error.to_string(),
            Ok(_) => panic!("{address} is no server for us"),
        };
        let other = Authority::new("another");
        let (port, server) = echo(with_tls(&other));
        let error = error_at(&Address::tls("localhost", port));
        assert!(error.contains("mqtts://localhost") && error.contains("not trusted here"), "{error}");
        assert!(server.join().unwrap().is_err(), "it was told");
        let (port, _) = echo(with_websocket(Stack::new()));
        let error = error_at(&Address::websocket("localhost", port, "/elsewhere"));
        assert!(error.contains("answers 404"), "{error}");
        // A server that speaks before it is spoken to, and no TLS.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let rude = thread::spawn(move || listener.accept().unwrap().0.write_all(b"220 smtp.example\r\n"));
        let error = error_at(&Address::tls("localhost", port));
        assert!(error.contains("does not speak TLS"), "{error}");
        rude.join().unwrap().unwrap();
    }

    #[test]
    fn who_says_nothing_is_waited_for_until_the_timeout() {
        let authority = Authority::new("an authority");
        let connector = Connector { tls: Some(authority.client().load().unwrap()), ..Connector::default() };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = Address::tls("localhost", listener.local_addr().unwrap().port());
        let Err(error) = connector.connect(&address, Duration::from_millis(50)) else { panic!("silence") };
        assert_eq!(error.source.kind(), io::ErrorKind::TimedOut);
    }
}
