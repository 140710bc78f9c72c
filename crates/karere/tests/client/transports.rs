//! The clients over TLS, WebSocket, both, and Unix domain sockets.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use bytes::BytesMut;
use karere::{Address, Client, Options, Publish, QoS, Reconnect, Version, blocking, tls};
use karere_broker::{BrokerHandle, Listener, tls as broker_tls};
use karere_net::websocket::{Filter, ServerOptions};

use crate::asynchronous::run;
use crate::peer::PATIENCE;

/// A folder with a certificate that vouches for itself; removed when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("karere-client-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
        std::fs::write(path.join("cert.pem"), made.cert.pem()).unwrap();
        std::fs::write(path.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        Self(path)
    }

    fn options(&self, address: &Address, id: &str) -> Options {
        let mut trusted = tls::ClientOptions::new();
        trusted.ca_file = Some(self.0.join("cert.pem"));
        let soon = Reconnect { min: Duration::from_millis(10), ..Reconnect::default() };
        // The certificate is for the name.
        let address = address.clone().moved(Some("localhost"), None);
        Options::from_address(address).client_id(id).unwrap().tls(trusted.load().unwrap()).reconnect(soon)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

async fn broker_everywhere(folder: &Folder) -> BrokerHandle {
    let files = broker_tls::ServerOptions::new(folder.0.join("cert.pem"), folder.0.join("key.pem"));
    let server = Arc::new(broker_tls::Server::load(&files).unwrap());
    let at = || Listener::tcp("127.0.0.1:0");
    let web = ServerOptions::default;
    let builder =
        karere_broker::Broker::builder().listen(at().tls(server.clone())).listen(at().websocket(web()));
    let builder = builder.listen(at().tls(server).websocket(web()));
    #[cfg(unix)]
    let builder = builder.listen(Listener::unix(folder.0.join("broker.sock")));
    builder.start().await.unwrap()
}

#[test]
fn an_async_client_sends_and_receives_on_every_road() {
    run(async {
        let folder = Folder::new();
        let broker = broker_everywhere(&folder).await;
        for address in broker.addresses() {
            let client = Client::connect(folder.options(address, "async")).await.unwrap();
            let mut messages = client.subscribe(("news", QoS::ExactlyOnce)).await.unwrap();
            for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
                // Larger than what a socket holds: writing has to wait.
                for size in [0, 100, 5_000_000] {
                    client.publish(("news", vec![7; size], qos)).await.unwrap();
                    let message = messages.recv().await.unwrap();
                    assert_eq!(message.payload().as_ref(), vec![7; size], "{address}");
                }
            }
            client.disconnect().await;
        }
    });
}

#[test]
fn a_blocking_client_sends_and_receives_on_every_road() {
    let folder = Folder::new();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let broker = runtime.block_on(broker_everywhere(&folder));
    for address in broker.addresses() {
        let client = blocking::Client::new(folder.options(address, "blocking"));
        let (arrived, arrivals) = channel();
        client.on_message(move |_, message| arrived.send(message.message.payload.len()).unwrap());
        client.connect().unwrap();
        client.loop_start();
        client.subscribe(("news", QoS::AtLeastOnce)).unwrap();
        for size in [0, 100, 5_000_000] {
            let delivery = client.publish(Publish::new("news", vec![7; size]).qos(QoS::AtLeastOnce)).unwrap();
            delivery.wait(Some(PATIENCE)).unwrap();
            assert_eq!(arrivals.recv_timeout(PATIENCE).unwrap(), size, "{address}");
        }
        client.disconnect();
        client.loop_stop();
    }
}

#[test]
fn a_certificate_that_is_not_trusted_is_an_error_of_connecting() {
    run(async {
        let (folder, other) = (Folder::new(), Folder::new());
        let broker = broker_everywhere(&folder).await;
        for address in broker.addresses().iter().filter(|address| address.is_tls()) {
            let error = Client::connect(other.options(address, "stranger")).await.unwrap_err().to_string();
            assert!(error.contains("not trusted here"), "{error}");
        }
    });
}

/// A server that has taken one request for a WebSocket, which it returns.
fn welcome(listener: &TcpListener) -> (TcpStream, String) {
    let (mut stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut head = BytesMut::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.extend_from_slice(&byte);
    }
    let request = String::from_utf8(head.to_vec()).unwrap();
    let mut server = Filter::server(ServerOptions::default());
    server.handle_input(&mut head, &mut BytesMut::new()).unwrap();
    stream.write_all(server.poll_transmit()).unwrap();
    (stream, request)
}

/// The kind and the payload of a client's frame.
fn receive(stream: &mut TcpStream) -> (u8, Vec<u8>) {
    let mut head = [0; 6];
    stream.read_exact(&mut head).unwrap();
    let [first, length, mask @ ..] = head;
    assert!((0x80..0x80 + 126).contains(&length), "a short frame with a mask");
    let mut payload = vec![0; usize::from(length - 0x80)];
    stream.read_exact(&mut payload).unwrap();
    payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, key)| *byte ^= key);
    (first, payload)
}

fn listen(version: Version) -> (TcpListener, Options) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = Address::websocket("127.0.0.1", listener.local_addr().unwrap().port(), "/mqtt");
    (listener, Options::from_address(address).version(version).no_reconnect())
}

const VERSIONS: [Version; 2] = [Version::V311, Version::V5];

fn connack(version: Version) -> &'static [u8] {
    if version.is_v5() { &[0x20, 3, 0, 0, 0] } else { &[0x20, 2, 0, 0] }
}

/// [MQTT-6.0.0-3]
#[test]
fn a_client_offers_the_sub_protocol_mqtt() {
    for version in VERSIONS {
        let (listener, options) = listen(version);
        let server = thread::spawn(move || welcome(&listener).1);
        let client = blocking::Client::new(options);
        client.connect().unwrap();
        let request = server.join().unwrap();
        assert!(request.starts_with("GET /mqtt HTTP/1.1\r\n"), "{request}");
        assert!(request.contains("\r\nSec-WebSocket-Protocol: mqtt\r\n"), "{request}");
    }
}

/// [MQTT-6.0.0-1]
#[test]
fn a_client_sends_binary_frames_and_closes_on_text() {
    for version in VERSIONS {
        let (listener, options) = listen(version);
        let server = thread::spawn(move || {
            let (mut stream, _) = welcome(&listener);
            let (first, connect) = receive(&mut stream);
            assert_eq!((first, connect[0]), (0x82, 0x10));
            let mut text = vec![0x81, connack(version).len() as u8];
            text.extend_from_slice(connack(version));
            stream.write_all(&text).unwrap();
            assert_eq!(receive(&mut stream), (0x88, 1003_u16.to_be_bytes().to_vec()));
        });
        run(async {
            let error = Client::connect(options).await.unwrap_err().to_string();
            assert!(error.contains("MQTT is binary"), "{error}");
        });
        server.join().unwrap();
    }
}

/// [MQTT-6.0.0-2]
#[test]
fn a_client_takes_packets_that_lie_across_frames_and_several_in_one() {
    for version in VERSIONS {
        let (listener, options) = listen(version);
        let server = thread::spawn(move || {
            let (mut stream, _) = welcome(&listener);
            receive(&mut stream);
            for byte in connack(version) {
                stream.write_all(&[0x82, 1, *byte]).unwrap();
            }
            // Two messages in one frame, and a third in two.
            let publish =
                if version.is_v5() { &[0x30, 4, 0, 1, b't', 0][..] } else { &[0x30, 3, 0, 1, b't'] };
            let mut frame = vec![0x82, publish.len() as u8 * 2];
            frame.extend_from_slice(&publish.repeat(2));
            let (begin, end) = publish.split_at(3);
            frame.extend_from_slice(&[&[0x02, 3][..], begin, &[0x80, end.len() as u8], end].concat());
            stream.write_all(&frame).unwrap();
            stream
        });
        let client = blocking::Client::new(options);
        let (arrived, arrivals) = channel();
        client.on_message(move |_, message| arrived.send(message.message.topic.to_string()).unwrap());
        client.connect().unwrap();
        client.loop_start();
        for _ in 0..3 {
            assert_eq!(arrivals.recv_timeout(PATIENCE).unwrap(), "t");
        }
        drop(server.join().unwrap());
        client.loop_stop();
    }
}
