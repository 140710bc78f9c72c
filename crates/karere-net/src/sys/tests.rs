use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::task::Waker;

use super::*;

const NEVER: Option<Duration> = None;
const NOW: Option<Duration> = Some(Duration::ZERO);

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (near, listener.accept().unwrap().0)
}

#[test]
fn a_wake_up_ends_one_wait() {
    let wake_up = WakeUp::new().unwrap();
    wake_up.wake_up();
    wake_up.wake_up();
    assert!(wait(None, false, &wake_up, NEVER).unwrap().woken);
    assert_eq!(wait(None, false, &wake_up, NOW).unwrap(), Ready::default());
}

#[test]
fn another_thread_wakes_through_a_waker() {
    let wake_up = Arc::new(WakeUp::new().unwrap());
    let waker = Waker::from(Arc::clone(&wake_up));
    let (near, _far) = pair();
    let other = std::thread::spawn(move || waker.wake());
    assert!(wait(Some(near.as_socket()), false, &wake_up, NEVER).unwrap().woken);
    other.join().unwrap();
}

#[test]
fn bytes_and_the_end_of_the_stream_make_a_socket_readable() {
    let wake_up = WakeUp::new().unwrap();
    let (near, mut far) = pair();
    assert!(!wait(Some(near.as_socket()), false, &wake_up, NOW).unwrap().readable);
    far.write_all(b"x").unwrap();
    let ready = wait(Some(near.as_socket()), false, &wake_up, NEVER).unwrap();
    assert_eq!(ready, Ready { readable: true, writable: false, woken: false });
    let (near, far) = pair();
    drop(far);
    assert!(wait(Some(near.as_socket()), false, &wake_up, NEVER).unwrap().readable);
}

#[test]
fn writability_is_told_only_when_asked_for() {
    let wake_up = WakeUp::new().unwrap();
    let (near, _far) = pair();
    assert!(wait(Some(near.as_socket()), true, &wake_up, NEVER).unwrap().writable);
    assert!(!wait(Some(near.as_socket()), false, &wake_up, NOW).unwrap().writable);
}
