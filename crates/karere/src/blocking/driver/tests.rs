use std::io::{ErrorKind, IoSlice};

use bytes::BytesMut;
use karere_core::codec::{ConnAck, Packet, Properties, Version};
use karere_net::sys::BorrowedSocket;

use super::*;

/// A stream that brings these, one a read, and then its end. Once one was read, it breaks under a write.
struct Closing {
    reads: Mutex<VecDeque<BytesMut>>,
    broken: AtomicBool,
}

impl Transport for Closing {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.broken.store(true, Ordering::Relaxed);
        let bytes = self.reads.lock().pop_front().unwrap_or_default();
        buffer[..bytes.len()].copy_from_slice(&bytes);
        Ok(bytes.len())
    }

    fn write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        let len = buffers.iter().map(|buffer| buffer.len()).sum();
        if self.broken.load(Ordering::Relaxed) { Err(ErrorKind::BrokenPipe.into()) } else { Ok(len) }
    }

    fn shutdown(&self) -> io::Result<()> {
        Ok(())
    }

    fn socket(&self) -> Option<BorrowedSocket<'_>> {
        None
    }
}

fn connack(reason: ReasonCode) -> Packet {
    Packet::ConnAck(ConnAck { session_present: false, reason, properties: Properties::EMPTY }.into())
}

fn goodbye() -> Packet {
    Packet::Disconnect(Disconnect::new(ReasonCode::ServerShuttingDown))
}

/// A driver that has read CONNACK, whose server sends `rest` and closes.
fn after_connack(reason: ReasonCode, rest: &[Packet]) -> Driver {
    let packets = [&[connack(reason)], rest].concat();
    let reads = packets.iter().map(|packet| {
        let mut bytes = BytesMut::new();
        packet.encode(Version::V5, &mut bytes).unwrap();
        bytes
    });
    let driver = Driver::new(Options::new("127.0.0.1", 1)).unwrap();
    driver.attach(Closing { reads: Mutex::new(reads.collect()), broken: AtomicBool::new(false) });
    driver.write().unwrap();
    assert!(driver.read().unwrap());
    driver
}

fn lost<T>(turn: Result<T, LoopError>) -> Disconnection {
    match turn {
        Err(LoopError::Lost(why)) => why,
        Err(LoopError::NotConnected) => panic!("not connected"),
        Ok(_) => panic!("the connection lasts"),
    }
}

#[test]
fn what_the_server_said_tells_more_than_that_it_closed() {
    let driver = after_connack(ReasonCode::Success, &[goodbye()]);
    assert!(driver.read().unwrap());
    assert_eq!(lost(driver.read()).reason(), ReasonCode::ServerShuttingDown);
    let driver = after_connack(ReasonCode::NotAuthorized, &[]);
    assert!(matches!(lost(driver.read()), Disconnection::Refused(_)));
}

#[test]
fn what_the_server_said_tells_more_than_the_error_of_a_write_though_it_was_not_read_yet() {
    let driver = after_connack(ReasonCode::Success, &[goodbye()]);
    driver.publish(("t", "x")).unwrap();
    assert_eq!(lost(driver.write()).reason(), ReasonCode::ServerShuttingDown);
}

#[test]
fn a_server_that_closes_without_a_word_is_lost() {
    let driver = after_connack(ReasonCode::Success, &[]);
    assert!(matches!(lost(driver.read()), Disconnection::Lost(_)));
    let driver = after_connack(ReasonCode::Success, &[]);
    driver.publish(("t", "x")).unwrap();
    let why = lost(driver.write());
    assert!(matches!(&why, Disconnection::Lost(error) if error.kind() == ErrorKind::BrokenPipe), "{why}");
}
