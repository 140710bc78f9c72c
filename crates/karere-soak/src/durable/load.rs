//! Publishers and durable subscribers in pairs, on one thread: bytes, because what it costs here is taken from the broker.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Bytes of payload.
const SIZE: usize = 256;

/// What one pair may take before it is given up.
const PATIENCE: Duration = Duration::from_secs(60);

const CONNACK: usize = 4;

/// What came of a run.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    pub(crate) acknowledged: u64,
    pub(crate) delivered: u64,
    /// Deliveries that were not the next one of their publisher.
    pub(crate) gaps: u64,
    pub(crate) seconds: f64,
    /// From writing a PUBLISH to reading its PUBACK, in microseconds.
    pub(crate) latencies_us: Vec<u32>,
}

/// One connection: bytes in, bytes out.
#[derive(Debug)]
struct Wire {
    stream: TcpStream,
    input: Vec<u8>,
    output: Vec<u8>,
}

#[derive(Debug)]
struct Publisher {
    wire: Wire,
    frame: Vec<u8>,
    id_at: usize,
    /// For each identifier from 1: when it was last written.
    sent_at: Vec<Instant>,
    free: Vec<u16>,
    sent: u64,
    acknowledged: u64,
}

#[derive(Debug)]
struct Subscriber {
    wire: Wire,
    next: u64,
    delivered: u64,
    gaps: u64,
}

/// Until when publishers publish.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Until {
    Time(Duration),
    /// So many messages of each.
    Count(u64),
}

/// Durable sessions, subscribed to one topic each, without a connection.
pub(crate) fn make_sessions(address: SocketAddr, pairs: usize) -> Result<(), String> {
    (0..pairs).try_for_each(|pair| Subscriber::connect(address, pair, true).map(drop)).map_err(failed)
}

/// `pairs` publishers with `window` messages open each; with `online` their subscribers take them at once.
pub(crate) fn publish(
    address: SocketAddr,
    pairs: usize,
    window: u16,
    until: Until,
    online: bool,
) -> Result<Figures, String> {
    let connect = |pair| Publisher::connect(address, pair, window);
    let mut publishers: Vec<Publisher> = (0..pairs).map(connect).collect::<Result<_, _>>().map_err(failed)?;
    let online = if online { pairs } else { 0 };
    let connect = |pair| Subscriber::connect(address, pair, true);
    let mut subscribers: Vec<Subscriber> =
        (0..online).map(connect).collect::<Result<_, _>>().map_err(failed)?;
    let mut figures = Figures::default();
    let start = Instant::now();
    let (mut progress, mut since) = (0, start);
    loop {
        let now = Instant::now();
        let more = match until {
            Until::Time(time) => now - start < time,
            Until::Count(_) => true,
        };
        let limit = if let Until::Count(count) = until { count } else { u64::MAX };
        for publisher in &mut publishers {
            publisher.turn(if more { limit } else { 0 }, &mut figures).map_err(failed)?;
        }
        for subscriber in &mut subscribers {
            subscriber.turn().map_err(failed)?;
        }
        let acknowledged: u64 = publishers.iter().map(|publisher| publisher.acknowledged).sum();
        let delivered: u64 = subscribers.iter().map(|subscriber| subscriber.delivered).sum();
        let sent: u64 = publishers.iter().map(|publisher| publisher.sent).sum();
        let all_sent = !more || publishers.iter().all(|publisher| publisher.sent >= limit);
        if all_sent && acknowledged == sent && (online == 0 || delivered >= sent) {
            break;
        }
        if acknowledged + delivered > progress {
            (progress, since) = (acknowledged + delivered, now);
        }
        if now - since > PATIENCE {
            return Err(format!(
                "{sent} sent, {acknowledged} acknowledged, {delivered} delivered, then nothing"
            ));
        }
        wait(publishers.iter().map(|p| &p.wire).chain(subscribers.iter().map(|s| &s.wire)));
    }
    figures.seconds = start.elapsed().as_secs_f64();
    figures.acknowledged = publishers.iter().map(|publisher| publisher.acknowledged).sum();
    figures.delivered = subscribers.iter().map(|subscriber| subscriber.delivered).sum();
    figures.gaps = subscribers.iter().map(|subscriber| subscriber.gaps).sum();
    Ok(figures)
}

/// The sessions come back and take what waits for them: `expected` in all, or until nothing more comes for `patience`.
pub(crate) fn collect(
    address: SocketAddr,
    pairs: usize,
    expected: u64,
    patience: Duration,
) -> Result<Figures, String> {
    let start = Instant::now();
    let connect = |pair| Subscriber::connect(address, pair, false);
    let mut subscribers: Vec<Subscriber> =
        (0..pairs).map(connect).collect::<Result<_, _>>().map_err(failed)?;
    let (mut delivered, mut since) = (0, Instant::now());
    while delivered < expected && since.elapsed() < patience {
        for subscriber in &mut subscribers {
            subscriber.turn().map_err(failed)?;
        }
        let now: u64 = subscribers.iter().map(|subscriber| subscriber.delivered).sum();
        if now > delivered {
            (delivered, since) = (now, Instant::now());
        }
        wait(subscribers.iter().map(|subscriber| &subscriber.wire));
    }
    let gaps = subscribers.iter().map(|subscriber| subscriber.gaps).sum();
    let seconds = start.elapsed().as_secs_f64();
    Ok(Figures { delivered, gaps, seconds, ..Figures::default() })
}

/// Waits until the broker lets somebody in.
pub(crate) fn greet(address: SocketAddr, patience: Duration) -> Result<(), String> {
    let start = Instant::now();
    loop {
        match Wire::connect(address, "greeter", true) {
            Ok(_) => return Ok(()),
            Err(error) if start.elapsed() > patience => return Err(failed(error)),
            Err(_) => std::thread::sleep(Duration::from_millis(1)),
        }
    }
}

#[allow(clippy::needless_pass_by_value, reason = "what `map_err` gives")]
fn failed(error: std::io::Error) -> String {
    format!("load: {error}")
}

fn wait<'a>(wires: impl Iterator<Item = &'a Wire>) {
    let mut fds: Vec<PollFd<'_>> = wires
        .map(|wire| {
            let wants = if wire.output.is_empty() { PollFlags::IN } else { PollFlags::IN | PollFlags::OUT };
            PollFd::from_borrowed_fd(wire.stream.as_fd(), wants)
        })
        .collect();
    let _ = poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 5_000_000 }));
}

impl Publisher {
    fn connect(address: SocketAddr, pair: usize, window: u16) -> std::io::Result<Self> {
        let wire = Wire::connect(address, &format!("bench-pub-{pair}"), true)?;
        let topic = topic(pair);
        let mut frame = vec![0x32];
        remaining_length(2 + topic.len() + 2 + SIZE, &mut frame);
        frame.extend((topic.len() as u16).to_be_bytes());
        frame.extend(topic.as_bytes());
        let id_at = frame.len();
        frame.extend([0; 2 + SIZE]);
        let free = (1..=window).rev().collect();
        let sent_at = vec![Instant::now(); usize::from(window) + 1];
        Ok(Self { wire, frame, id_at, sent_at, free, sent: 0, acknowledged: 0 })
    }

    fn turn(&mut self, limit: u64, figures: &mut Figures) -> std::io::Result<()> {
        self.wire.read()?;
        let now = Instant::now();
        let whole = self.wire.input.len() / 4 * 4;
        for ack in self.wire.input[..whole].chunks_exact(4) {
            if ack[..2] != [0x40, 2] {
                return Err(std::io::Error::other(format!("PUBACK was expected, not {ack:02x?}")));
            }
            let id = u16::from_be_bytes([ack[2], ack[3]]);
            let took = now - self.sent_at[usize::from(id)];
            figures.latencies_us.push(took.as_micros().try_into().unwrap_or(u32::MAX));
            self.free.push(id);
            self.acknowledged += 1;
        }
        self.wire.input.drain(..whole);
        while self.sent < limit
            && let Some(id) = self.free.pop()
        {
            self.frame[self.id_at..][..2].copy_from_slice(&id.to_be_bytes());
            self.frame[self.id_at + 2..][..8].copy_from_slice(&self.sent.to_be_bytes());
            self.wire.output.extend_from_slice(&self.frame);
            self.sent_at[usize::from(id)] = now;
            self.sent += 1;
        }
        self.wire.write()
    }
}

impl Subscriber {
    fn connect(address: SocketAddr, pair: usize, subscribes: bool) -> std::io::Result<Self> {
        let mut wire = Wire::connect(address, &format!("bench-sub-{pair}"), false)?;
        if subscribes {
            let topic = topic(pair);
            let mut frame = vec![0x82];
            remaining_length(2 + 2 + topic.len() + 1, &mut frame);
            frame.extend([0, 1]);
            frame.extend((topic.len() as u16).to_be_bytes());
            frame.extend(topic.as_bytes());
            frame.push(1);
            wire.stream.set_nonblocking(false)?;
            wire.stream.write_all(&frame)?;
            let mut suback = [0; 5];
            wire.stream.read_exact(&mut suback)?;
            wire.stream.set_nonblocking(true)?;
        }
        Ok(Self { wire, next: 0, delivered: 0, gaps: 0 })
    }

    fn turn(&mut self) -> std::io::Result<()> {
        self.wire.read()?;
        let mut at = 0;
        while let Some((header, body)) = frame(&self.wire.input[at..]) {
            let frame = &self.wire.input[at + header..at + header + body];
            at += header + body;
            let topic = usize::from(u16::from_be_bytes([frame[0], frame[1]]));
            let (id, payload) = frame[2 + topic..].split_at(2);
            let number = u64::from_be_bytes(payload[..8].try_into().expect("eight bytes"));
            self.gaps += u64::from(number != self.next);
            self.next = number + 1;
            self.delivered += 1;
            self.wire.output.extend([0x40, 2, id[0], id[1]]);
        }
        self.wire.input.drain(..at);
        self.wire.write()
    }
}

impl Wire {
    /// As an MQTT 3.1.1 client; its session stays unless it is `clean`.
    fn connect(address: SocketAddr, id: &str, clean: bool) -> std::io::Result<Self> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut frame = vec![0x10];
        remaining_length(10 + 2 + id.len(), &mut frame);
        frame.extend([0, 4, b'M', b'Q', b'T', b'T', 4, if clean { 2 } else { 0 }, 1, 0x2C]);
        frame.extend((id.len() as u16).to_be_bytes());
        frame.extend(id.as_bytes());
        stream.write_all(&frame)?;
        let mut connack = [0; CONNACK];
        stream.read_exact(&mut connack)?;
        if connack[3] != 0 {
            return Err(std::io::Error::other(format!("refused with {}", connack[3])));
        }
        stream.set_nonblocking(true)?;
        Ok(Self { stream, input: Vec::new(), output: Vec::new() })
    }

    fn read(&mut self) -> std::io::Result<()> {
        let mut buffer = [0; 64 * 1024];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(read) => self.input.extend_from_slice(&buffer[..read]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
            // A short read: most likely there is no more, and another call would cost as much.
            if self.input.len() < buffer.len() {
                return Ok(());
            }
        }
    }

    fn write(&mut self) -> std::io::Result<()> {
        while !self.output.is_empty() {
            match self.stream.write(&self.output) {
                Ok(written) => _ = self.output.drain(..written),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn topic(pair: usize) -> String {
    format!("bench/pair/{pair}")
}

fn remaining_length(mut length: usize, frame: &mut Vec<u8>) {
    while length >= 0x80 {
        frame.push((length % 0x80) as u8 | 0x80);
        length /= 0x80;
    }
    frame.push(length as u8);
}

/// How long head and body of the frame at the start of `bytes` are, if it is all there.
fn frame(bytes: &[u8]) -> Option<(usize, usize)> {
    let (mut length, mut shift) = (0, 0);
    for (at, byte) in bytes.iter().enumerate().skip(1).take(4) {
        length |= usize::from(byte & 0x7F) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            return (bytes.len() > at + length).then_some((at + 1, length));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_told_when_all_of_it_is_there() {
        for length in [0, 5, 127, 128, 300, 20_000] {
            let mut bytes = vec![0x30];
            remaining_length(length, &mut bytes);
            let header = bytes.len();
            bytes.extend(vec![1; length]);
            assert_eq!(frame(&bytes), Some((header, length)));
            assert_eq!(frame(&bytes[..bytes.len() - 1]), None);
        }
    }
}
