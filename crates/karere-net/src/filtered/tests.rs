use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use super::*;
use crate::filter::Layer;

const SOON: Duration = Duration::from_secs(10);

/// Says something at the beginning, and puts two bytes before each byte: what a layer does, and nothing else.
#[derive(Debug, Default)]
struct Doubling {
    output: BytesMut,
    is_open: bool,
    is_closed: bool,
}

impl Doubling {
    fn client() -> Self {
        Self { output: BytesMut::from(&b"hello"[..]), is_open: true, is_closed: false }
    }

    fn server() -> Self {
        Self::default()
    }
}

impl Layer for Doubling {
    fn handle_input(&mut self, input: &mut BytesMut, plain: &mut BytesMut) -> io::Result<()> {
        if !self.is_open {
            if input.len() < 5 {
                return Ok(());
            }
            if !input.split_to(5).starts_with(b"hello") {
                self.output.extend_from_slice(b"go away");
                return Err(io::ErrorKind::InvalidData.into());
            }
            self.is_open = true;
        }
        while let [mark, byte, ..] = input[..] {
            input.advance(2);
            match mark {
                b'.' => self.is_closed = true,
                b'?' => self.output.extend_from_slice(&[b'!', byte]),
                b'!' => {}
                _ => plain.extend_from_slice(&[byte]),
            }
        }
        Ok(())
    }

    fn encode(&mut self, parts: &[IoSlice<'_>]) {
        for byte in parts.iter().flat_map(|part| part.iter()) {
            self.output.extend_from_slice(&[b'=', *byte]);
        }
    }

    fn close(&mut self) {
        self.output.extend_from_slice(b"..");
    }

    fn poll_transmit(&mut self) -> &mut BytesMut {
        &mut self.output
    }

    fn wants_write(&self) -> bool {
        !self.output.is_empty()
    }

    fn is_open(&self) -> bool {
        self.is_open
    }

    fn is_closed(&self) -> bool {
        self.is_closed
    }
}

fn sockets() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let far = listener.accept().unwrap().0;
    near.set_nonblocking(true).unwrap();
    far.set_nonblocking(true).unwrap();
    (near, far)
}

fn open() -> (Filtered<TcpStream>, Filtered<TcpStream>) {
    let (near, far) = sockets();
    let near = Filtered::new(near, Stack::new().with(Doubling::client()));
    let far = Filtered::new(far, Stack::new().with(Doubling::server()));
    near.open(Instant::now() + SOON).unwrap();
    far.open(Instant::now() + SOON).unwrap();
    (near, far)
}

/// Waits until a read gives something or the end.
fn read(stream: &impl Transport, buffer: &mut [u8]) -> io::Result<usize> {
    let nobody = WakeUp::new().unwrap();
    loop {
        match stream.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let ready = sys::wait(stream.socket(), false, &nobody, Some(SOON)).unwrap();
                assert!(ready.readable, "nothing came");
            }
            result => return result,
        }
    }
}

#[test]
fn a_write_is_counted_once_all_of_it_is_with_the_system() {
    let (near, far) = open();
    let bytes = vec![7; 16 << 20];
    let (mut written, mut blocked) = (0, 0);
    let (mut received, mut buffer) = (0, vec![0; 64 * 1024]);
    while written < bytes.len() {
        match near.write_vectored(&[IoSlice::new(&bytes[written..])]) {
            Ok(count) => {
                assert!(count > 0 && count <= WRITE_BYTES_MAX);
                written += count;
            }
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                assert!(near.wants_write());
                blocked += 1;
                received += read(&far, &mut buffer).unwrap();
            }
        }
    }
    assert!(blocked > 0, "the socket has taken megabytes at once");
    assert!(!near.wants_write());
    while received < bytes.len() {
        received += read(&far, &mut buffer).unwrap();
    }
    assert_eq!(received, bytes.len());
}

#[test]
fn a_small_buffer_gets_the_rest_with_the_next_read() {
    let (near, far) = open();
    near.write_vectored(&[IoSlice::new(b"ab"), IoSlice::new(b"cde")]).unwrap();
    let mut buffer = [0; 2];
    let mut all = Vec::new();
    while all.len() < 5 {
        let count = read(&far, &mut buffer).unwrap();
        all.extend_from_slice(&buffer[..count]);
    }
    assert_eq!(all, b"abcde");
    assert_eq!(far.read(&mut buffer).unwrap_err().kind(), io::ErrorKind::WouldBlock);
}

#[test]
fn what_a_layer_answers_is_written_without_being_asked_for() {
    let (near, far) = open();
    near.get_ref().write_vectored(&[IoSlice::new(b"?x=y")]).unwrap();
    assert_eq!(read(&far, &mut [0; 10]).unwrap(), 1);
    let mut buffer = [0; 10];
    let count = read(near.get_ref(), &mut buffer).unwrap();
    assert_eq!(&buffer[..count], b"!x");
}

#[test]
fn a_peer_that_goes_before_it_has_agreed_is_an_error_and_later_the_end() {
    let (near, far) = sockets();
    let far = Filtered::new(far, Stack::new().with(Doubling::server()));
    drop(near);
    assert_eq!(far.open(Instant::now() + SOON).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    let (near, far) = open();
    drop(near);
    assert_eq!(read(&far, &mut [0; 10]).unwrap(), 0);
}

#[test]
fn a_close_of_the_layer_is_the_end_though_the_socket_is_open() {
    let (near, far) = open();
    near.get_ref().write_vectored(&[IoSlice::new(b"=x..")]).unwrap();
    let mut buffer = [0; 10];
    assert_eq!(read(&far, &mut buffer).unwrap(), 1);
    assert_eq!(read(&far, &mut buffer).unwrap(), 0);
}

#[test]
fn who_shuts_down_closes_each_layer_before_the_socket() {
    let (near, far) = open();
    near.shutdown().unwrap();
    let mut buffer = [0; 10];
    let count = read(far.get_ref(), &mut buffer).unwrap();
    assert_eq!(&buffer[..count], b"..");
    assert_eq!(read(far.get_ref(), &mut buffer).unwrap(), 0);
}

#[test]
fn who_never_agrees_is_waited_for_until_the_deadline() {
    let (_near, far) = sockets();
    let far = Filtered::new(far, Stack::new().with(Doubling::server()));
    let error = far.open(Instant::now() + Duration::from_millis(20)).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
}

#[test]
fn who_breaks_the_rules_is_told_so_before_the_error_comes() {
    let (near, far) = sockets();
    let far = Filtered::new(far, Stack::new().with(Doubling::server()));
    near.write_vectored(&[IoSlice::new(b"jello")]).unwrap();
    assert_eq!(far.open(Instant::now() + SOON).unwrap_err().kind(), io::ErrorKind::InvalidData);
    let mut buffer = [0; 10];
    let count = read(&near, &mut buffer).unwrap();
    assert_eq!(&buffer[..count], b"go away");
}

#[test]
fn what_is_read_into_a_buffer_is_appended() {
    let (near, far) = open();
    near.write_vectored(&[IoSlice::new(b"abc")]).unwrap();
    sys::wait(far.socket(), false, &WakeUp::new().unwrap(), Some(SOON)).unwrap();
    let mut buffer = BytesMut::from(&b"before "[..]);
    assert_eq!(far.read_into(&mut buffer).unwrap(), 3);
    assert_eq!(buffer, "before abc");
    assert_eq!(far.read_into(&mut buffer).unwrap_err().kind(), io::ErrorKind::WouldBlock);
}
