use std::net::TcpListener;

use super::*;

const SOON: Duration = Duration::from_secs(5);

#[test]
fn connecting_sets_nodelay() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    assert!(connect("127.0.0.1", port, SOON).unwrap().nodelay().unwrap());
}

#[test]
fn a_name_with_several_addresses_is_tried_until_one_answers() {
    // On many systems `localhost` is ::1 first, where nobody listens here.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    assert!(connect("localhost", listener.local_addr().unwrap().port(), SOON).is_ok());
}

#[test]
fn a_dead_port_is_refused() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = connect("127.0.0.1", port, SOON).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
}

#[test]
fn time_that_ran_out_is_an_error_of_its_own() {
    let error = rest(Instant::now()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
}

#[cfg(feature = "tokio")]
#[test]
fn tokio_connects_alike() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let stream = runtime.block_on(connect_async("localhost", port, SOON)).unwrap();
    assert!(stream.nodelay().unwrap());
    drop((stream, listener));
    let error = runtime.block_on(connect_async("127.0.0.1", port, SOON)).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
}

#[test]
fn the_families_take_turns_and_keep_their_order() {
    let addresses =
        |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<SocketAddr>>();
    let found = addresses(&["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "2.2.2.2:1"]);
    let turns = addresses(&["[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1", "[::3]:1"]);
    assert_eq!(in_turn(found), turns);
    assert_eq!(in_turn(Vec::new()), []);
}

/// A listener that answers nobody any more, because its queue is full, and what fills it.
#[cfg(target_os = "linux")]
fn deaf() -> (TcpListener, Vec<TcpStream>, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.2:0").unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let address = listener.local_addr().unwrap();
    let mut fill = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(100)) {
        fill.push(stream);
    }
    (listener, fill, address)
}

#[cfg(target_os = "linux")]
#[test]
fn an_address_that_does_not_answer_holds_up_the_next_for_a_moment_only() {
    let (_deaf, _fill, silent) = deaf();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let found = [silent, listener.local_addr().unwrap()];
    let began = Instant::now();
    let stream = first_of(&found, began + SOON).unwrap();
    assert_eq!(stream.peer_addr().unwrap(), found[1]);
    assert!(began.elapsed() >= HEAD_START && began.elapsed() < SOON / 2, "{:?}", began.elapsed());
    let error = first_of(&[silent, silent], Instant::now() + Duration::from_millis(300)).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
}

#[cfg(all(feature = "tokio", target_os = "linux"))]
#[test]
fn nor_under_tokio() {
    let (_deaf, _fill, silent) = deaf();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let found = [silent, listener.local_addr().unwrap()];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let began = Instant::now();
    let stream = runtime.block_on(first_of_async(&found)).unwrap();
    assert_eq!(stream.peer_addr().unwrap(), found[1]);
    assert!(began.elapsed() >= HEAD_START && began.elapsed() < SOON / 2, "{:?}", began.elapsed());
}
