//! The other end of a connection, as a thread that allocates nothing once it runs.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(30);
const CONNACK_V5: &[u8] = &[0x20, 3, 0, 0, 0];

/// A server that accepts one client, answers CONNECT and SUBSCRIBE, sends what it is told and counts what it reads.
#[derive(Debug)]
pub struct Peer {
    address: SocketAddr,
    read: Arc<AtomicU64>,
    send: Sender<Vec<u8>>,
}

impl Peer {
    /// Listens on a free port of the loopback.
    ///
    /// # Errors
    /// When the system has none.
    pub fn start() -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let read = Arc::new(AtomicU64::new(0));
        let (send, orders) = channel();
        let counter = Arc::clone(&read);
        thread::spawn(move || {
            // When the client goes, so does this thread.
            let _ = listener.accept().and_then(|(stream, _)| serve(stream, &counter, orders));
        });
        Ok(Self { address, read, send })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Bytes read from the client so far.
    #[must_use]
    pub fn read(&self) -> u64 {
        self.read.load(Ordering::Acquire)
    }

    /// Waits until `bytes` have been read in all.
    pub fn wait_for(&self, bytes: u64) {
        wait_until(|| self.read() >= bytes);
    }

    /// Sends bytes to the client.
    pub fn send(&self, bytes: Vec<u8>) {
        let _ = self.send.send(bytes);
    }
}

/// Waits for something that another thread brings about, without allocating.
///
/// # Panics
/// When it does not come about in 30 seconds.
pub fn wait_until(mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "waited in vain");
        thread::sleep(Duration::from_micros(200));
    }
}

fn serve(mut stream: TcpStream, read: &Arc<AtomicU64>, orders: Receiver<Vec<u8>>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; 256 * 1024];
    let len = stream.read(&mut buffer)?;
    read.fetch_add(len as u64, Ordering::AcqRel);
    stream.write_all(CONNACK_V5)?;
    let mut writer = stream.try_clone()?;
    thread::spawn(move || {
        for order in orders {
            if writer.write_all(&order).is_err() {
                return;
            }
        }
    });
    loop {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            len => read.fetch_add(len as u64, Ordering::AcqRel),
        };
    }
}

/// A client of bare sockets: it writes and reads bytes, and allocates nothing.
#[derive(Debug)]
pub struct Raw {
    stream: TcpStream,
    buffer: Box<[u8]>,
}

impl Raw {
    /// Connects as an MQTT 3.1.1 client with a clean session; `id` has at most 20 bytes.
    ///
    /// # Errors
    /// Whatever the socket says.
    pub fn connect(address: SocketAddr, id: &str) -> io::Result<Self> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut packet =
            vec![0x10, 12 + id.len() as u8, 0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 0, 0, id.len() as u8];
        packet.extend_from_slice(id.as_bytes());
        stream.write_all(&packet)?;
        let mut raw = Self { stream, buffer: vec![0; 1 << 20].into() };
        raw.read_exact(4)?;
        Ok(raw)
    }

    /// Writes bytes as they are.
    ///
    /// # Errors
    /// Whatever the socket says.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Reads exactly that many bytes.
    ///
    /// # Errors
    /// Whatever the socket says, also when they do not come in 30 seconds.
    pub fn read_exact(&mut self, mut len: usize) -> io::Result<()> {
        while len > 0 {
            let step = len.min(self.buffer.len());
            self.stream.read_exact(&mut self.buffer[..step])?;
            len -= step;
        }
        Ok(())
    }

    /// Subscribes to a filter at a QoS and waits for the answer.
    ///
    /// # Errors
    /// Whatever the socket says.
    pub fn subscribe(&mut self, filter: &str, qos: u8) -> io::Result<()> {
        let mut packet = vec![0x82, 5 + filter.len() as u8, 0, 1, 0, filter.len() as u8];
        packet.extend_from_slice(filter.as_bytes());
        packet.push(qos);
        self.write(&packet)?;
        self.read_exact(5)
    }
}
