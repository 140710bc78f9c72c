use std::net::TcpListener;

use super::*;

const SOON: Duration = Duration::from_secs(5);

#[test]
fn connecting_sets_nodelay() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = Address::tcp("127.0.0.1", listener.local_addr().unwrap().port());
    assert!(connect(&address, SOON).unwrap().nodelay().unwrap());
}

#[test]
fn a_name_with_several_addresses_is_tried_until_one_answers() {
    // On many systems `localhost` is ::1 first, where nobody listens here.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = Address::tcp("localhost", listener.local_addr().unwrap().port());
    assert!(connect(&address, SOON).is_ok());
}

#[test]
fn a_dead_port_is_refused_and_the_error_names_it() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = connect(&Address::tcp("127.0.0.1", port), SOON).unwrap_err();
    assert_eq!(error.source.kind(), io::ErrorKind::ConnectionRefused);
    assert!(error.to_string().starts_with(&format!("cannot connect to 127.0.0.1:{port}: ")));
}

#[test]
fn time_that_ran_out_is_an_error_of_its_own() {
    let error = share(Instant::now(), 1).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
}

#[cfg(feature = "tokio")]
#[test]
fn tokio_connects_alike() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let stream = runtime.block_on(connect_async(&Address::tcp("localhost", port), SOON)).unwrap();
    assert!(stream.nodelay().unwrap());
    drop((stream, listener));
    let error = runtime.block_on(connect_async(&Address::tcp("127.0.0.1", port), SOON)).unwrap_err();
    assert_eq!(error.source.kind(), io::ErrorKind::ConnectionRefused);
}
