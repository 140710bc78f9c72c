//! A network connection and the greeting on it; nothing of a session.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use karere_core::Text;
use karere_core::codec::{
    Connect, Disconnect, FixedHeader, Packet, Properties, Property, ReasonCode, Version, Will,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::clock::{MS, Step};

const CONNECT_WAIT: Duration = Duration::from_millis(200);
const RETRY: Step = 4 * MS;

/// Who greets, and how.
#[derive(Debug, Clone)]
pub(crate) struct Greeting {
    pub(crate) client_id: String,
    pub(crate) version: Version,
    /// The session outlives the connection.
    pub(crate) durable: bool,
    /// What the broker may have in flight to us; version 5 only, 0 leaves it out.
    pub(crate) receive_maximum: u16,
    pub(crate) will: Option<Will>,
}

/// What a line has heard.
#[derive(Debug)]
pub(crate) enum Heard {
    /// CONNACK with success.
    Up { present: bool, receive_maximum: u16 },
    /// Anything else.
    Packet(Packet),
    /// The connection is over; why, if it was not we who ended it.
    Down(Option<String>),
}

#[derive(Debug)]
pub(crate) struct Line {
    greeting: Greeting,
    stream: Option<TcpStream>,
    /// A connection that we have left without a word; it is closed a little later.
    ghost: Option<(TcpStream, Step)>,
    input: BytesMut,
    output: BytesMut,
    up: bool,
    retry_at: Step,
}

impl Line {
    pub(crate) fn new(greeting: Greeting) -> Self {
        let (input, output) = (BytesMut::new(), BytesMut::new());
        Self { greeting, stream: None, ghost: None, input, output, up: false, retry_at: 0 }
    }

    /// Connects if need be, reads all there is; what came of it in its order.
    pub(crate) fn turn(&mut self, address: SocketAddr, now: Step) -> Vec<Heard> {
        self.ghost.take_if(|(_, until)| *until < now);
        if self.stream.is_none() {
            if now >= self.retry_at {
                self.connect(address, now);
            }
            return Vec::new();
        }
        self.flush();
        let ended = self.read();
        let mut heard = Vec::new();
        let ended = self.decode(&mut heard).or(ended);
        if let Some(why) = ended {
            let why = if self.up { why } else { format!("{why}, before CONNACK") };
            self.close(now + RETRY);
            heard.push(Heard::Down(Some(why)));
        }
        heard
    }

    /// Nothing is kept for a later connection.
    pub(crate) fn send(&mut self, packet: &Packet) {
        if self.stream.is_none() {
            return;
        }
        packet.encode(self.greeting.version, &mut self.output).expect("what we send can be encoded");
    }

    /// Writes what the socket takes.
    pub(crate) fn flush(&mut self) {
        let Some(stream) = &mut self.stream else { return };
        while !self.output.is_empty() {
            match stream.write(&self.output) {
                Ok(written) => self.output.advance(written),
                // Reading tells what is wrong, after all that had come before.
                Err(_) => return,
            }
        }
    }

    /// Until there is something to read, or a millisecond has passed.
    pub(crate) fn wait(&self) {
        wait(std::iter::once(self));
    }

    /// Says good-bye and closes.
    pub(crate) fn leave(&mut self, back_at: Step) {
        self.send(&Packet::Disconnect(Disconnect::normal()));
        self.flush();
        self.close(back_at);
    }

    /// Closes without a word, with what may be half written.
    pub(crate) fn close(&mut self, back_at: Step) {
        self.stream = None;
        self.input.clear();
        self.output.clear();
        self.up = false;
        self.retry_at = back_at;
    }

    /// Leaves the connection open behind us: the next one takes the session over.
    pub(crate) fn abandon(&mut self, until: Step, back_at: Step) {
        self.ghost = self.stream.take().map(|stream| (stream, until));
        self.close(back_at);
    }

    /// No connection any more.
    pub(crate) fn end(&mut self) {
        self.close(Step::MAX);
    }

    pub(crate) fn come_back(&mut self, now: Step) {
        self.retry_at = self.retry_at.min(now);
    }

    pub(crate) fn is_up(&self) -> bool {
        self.up
    }

    fn connect(&mut self, address: SocketAddr, now: Step) {
        self.retry_at = now + RETRY;
        let Ok(stream) = TcpStream::connect_timeout(&address, CONNECT_WAIT) else { return };
        if stream.set_nonblocking(true).and_then(|()| stream.set_nodelay(true)).is_err() {
            return;
        }
        self.stream = Some(stream);
        let packet = Packet::Connect(Box::new(self.greeting.connect()));
        self.send(&packet);
        self.flush();
    }

    /// Why there is no more to read, if so.
    fn read(&mut self) -> Option<String> {
        let stream = self.stream.as_mut()?;
        let mut buffer = [0; 64 * 1024];
        loop {
            match stream.read(&mut buffer) {
                Ok(0) => return Some("closed by the broker".to_owned()),
                Ok(read) => self.input.extend_from_slice(&buffer[..read]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
                Err(error) => return Some(error.to_string()),
            }
        }
    }

    fn decode(&mut self, heard: &mut Vec<Heard>) -> Option<String> {
        loop {
            let header = match FixedHeader::peek(&self.input) {
                Ok(Some(header)) if header.frame_len() <= self.input.len() => header,
                Ok(_) => return None,
                Err(error) => return Some(error.to_string()),
            };
            let frame = self.input.split_to(header.frame_len()).freeze();
            match Packet::decode(self.greeting.version, frame) {
                Ok(Packet::ConnAck(connack)) if connack.reason == ReasonCode::Success => {
                    self.up = true;
                    let receive_maximum = connack.properties.receive_maximum().unwrap_or(u16::MAX);
                    heard.push(Heard::Up { present: connack.session_present, receive_maximum });
                }
                Ok(Packet::ConnAck(connack)) => return Some(format!("refused: {}", connack.reason)),
                Ok(Packet::Disconnect(bye)) => return Some(format!("DISCONNECT: {}", bye.reason)),
                Ok(packet) => heard.push(Heard::Packet(packet)),
                Err(error) => return Some(error.to_string()),
            }
        }
    }
}

/// Until one of `lines` has something to read or can be written on, or a millisecond has passed.
pub(crate) fn wait<'a>(lines: impl Iterator<Item = &'a Line>) {
    let mut fds: Vec<PollFd<'_>> = lines
        .filter_map(|line| {
            let wants = if line.output.is_empty() { PollFlags::IN } else { PollFlags::IN | PollFlags::OUT };
            line.stream.as_ref().map(|stream| PollFd::from_borrowed_fd(stream.as_fd(), wants))
        })
        .collect();
    // Interrupted or not, everybody has a turn.
    let _ = poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 1_000_000 }));
}

impl Greeting {
    /// Seconds that a durable session lives without a connection.
    const EXPIRY: u32 = 24 * 3600;

    fn connect(&self) -> Connect {
        let mut properties = Properties::builder();
        if self.version.is_v5() {
            let expiry = self.durable.then_some(Property::SessionExpiryInterval(Self::EXPIRY));
            let maximum =
                (self.receive_maximum > 0).then_some(Property::ReceiveMaximum(self.receive_maximum));
            for property in expiry.into_iter().chain(maximum) {
                properties.push(property).expect("in its range");
            }
        }
        Connect {
            version: self.version,
            bridge: false,
            clean_start: !self.durable,
            keep_alive: 60,
            client_id: Text::new(&self.client_id).expect("a short name"),
            will: self.will.clone(),
            username: None,
            password: None,
            properties: properties.build(),
        }
    }
}
