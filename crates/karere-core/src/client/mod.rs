//! The client's end: a state machine without I/O.

mod connect;
mod error;
mod event;
mod link;
mod options;
mod publish;
mod receive;
mod record;
mod stored;
mod subscribe;

use alloc::collections::VecDeque;

use bytes::BytesMut;

pub use self::error::{PublishError, SubscribeError};
pub use self::event::{DropReason, Event, Received};
pub use self::options::{AckOrder, Credentials, Handover, Options, Resend};
pub use self::publish::{Outgoing, Payload};
pub use self::record::{MessageState, Record, Restored, RestoredMessage};
pub use crate::session::AckToken;

use self::link::{Link, Phase};
use self::publish::Queued;
use self::subscribe::{Remembered, Request};
use crate::Error;
use crate::codec::{
    self, Ack, Disconnect, FixedHeader, Packet, PacketId, PacketType, Properties, ReasonCode, Version,
};
use crate::connection::{Direction, Outbox, PacketTrace};
use crate::session::{Awaiting, Queue, Receiver, Sender};
use crate::store::{Gate, StoreSequence};
use crate::text::Text;
use crate::time::Instant;

/// A client: its [`Session`](crate::session) and, while there is one, its Network Connection.
///
/// ```text
///    +--------------------------------------------------------------------------+
///    |  after each mutation: drain poll_event, write the outbox (poll_transmit), |
///    |                       sleep until poll_timeout                            |
///    +--------------------------------------------------------------------------+
/// ```
///
/// The driver opens a transport and says so ([`handle_open`](Self::handle_open)), brings bytes
/// ([`handle_input`](Self::handle_input)) and time ([`handle_timeout`](Self::handle_timeout)), reports what it
/// has written ([`handle_written`](Self::handle_written)) and that the transport has gone
/// ([`handle_closed`](Self::handle_closed)). The same value lives over many connections: what is unacknowledged,
/// queued and subscribed to stays.
///
/// ```
/// use bytes::{Buf, BytesMut};
/// use karere_core::client::{Client, Credentials, Event, Options, Outgoing};
/// use karere_core::{Instant, codec::QoS};
///
/// let mut client = Client::new(Options::default());
/// let now = Instant::ZERO;
/// let id = client.publish(now, Outgoing::new("python/mqtt", b"hello").qos(QoS::AtLeastOnce))?;
/// client.handle_open(now, Credentials::default());
/// let written = client.poll_transmit().remaining();
/// client.poll_transmit().advance(written); // CONNECT, over the wire
/// client.handle_written(now, written);
///
/// let mut input = BytesMut::from(&[0x20, 3, 0, 0, 0][..]); // CONNACK
/// client.handle_input(now, &mut input)?;
/// assert!(matches!(client.poll_event(), Some(Event::Connected { .. })));
/// assert_eq!(client.poll_transmit().chunk()[0], 0x32); // the PUBLISH that waited
/// # let _ = id;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Client {
    options: Options,
    link: Link,
    events: VecDeque<Event>,
    sender: Sender<Queued>,
    receiver: Receiver<Received>,
    /// SUBSCRIBE and UNSUBSCRIBE that are not answered.
    requests: VecDeque<Request>,
    remembered: Remembered,
    /// The next sequence number; packet identifiers are a function of it.
    sequence: u64,
    /// QoS 0 messages whose writing is to be reported: where their bytes end, and their sequence numbers.
    tracked: VecDeque<(u64, u64)>,
    /// The identifier that the server assigned.
    assigned_id: Option<Text>,
    /// Whether there is a session to resume, as far as we know.
    has_session: bool,
    gate: Gate,
    /// What was published and is not stored: records, and the sequence numbers of their messages.
    unstored: VecDeque<(StoreSequence, u64)>,
    /// The store does not know yet that the identifiers of incoming messages are forgotten; until it does, nothing is
    /// asked for that could bring more.
    forgetting: Option<StoreSequence>,
}

/// From outside.
impl Client {
    /// A client without a connection.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let mut gate = Gate::default();
        gate.open(options.store);
        Self {
            link: Link::new(),
            events: VecDeque::new(),
            sender: Sender::new(Queue::new(options.queue_count_max, options.queue_bytes_max)),
            receiver: Receiver::new(options.seed),
            requests: VecDeque::new(),
            remembered: Remembered::default(),
            sequence: 0,
            tracked: VecDeque::new(),
            assigned_id: None,
            has_session: false,
            gate,
            unstored: VecDeque::new(),
            forgetting: None,
            options,
        }
    }

    /// Takes in what the network brought: handles whole packets and leaves the rest in `input`.
    ///
    /// A message is a slice of `input`'s memory; whoever keeps one for long copies it.
    ///
    /// # Errors
    /// When the connection must end. The outbox may then hold a DISCONNECT with the reason (version 5): write it, close, and
    /// call [`handle_closed`](Self::handle_closed).
    pub fn handle_input(&mut self, now: Instant, input: &mut BytesMut) -> Result<(), Error> {
        if input.len() > self.link.partial_bytes {
            self.link.keep_alive.on_received(now);
        }
        let result = self.handle_frames(now, input);
        self.link.partial_bytes = input.len();
        result
    }

    fn handle_frames(&mut self, now: Instant, input: &mut BytesMut) -> Result<(), Error> {
        while self.link.phase != Phase::Closed {
            let result = match self.next_frame(input) {
                Ok(None) => break,
                Ok(Some(header)) => self.handle_frame(now, header, input),
                Err(error) => Err(error),
            };
            result.inspect_err(|error| self.say_why(now, error))?;
        }
        Ok(())
    }

    /// Lets time pass: PINGREQ, and the ends of patience.
    ///
    /// # Errors
    /// When the server does not answer; as with [`handle_input`](Self::handle_input).
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), Error> {
        let overdue = match self.link.phase {
            Phase::Closed => return Ok(()),
            Phase::Opening | Phase::Closing => Some(self.link.deadline),
            Phase::Connected => self.link.keep_alive.pong_due(),
        };
        if overdue.is_some_and(|at| at <= now) {
            let error =
                Error::ProtocolError { what: "no answer in time", reason: ReasonCode::KeepAliveTimeout };
            self.say_why(now, &error);
            return Err(error);
        }
        if self.link.phase == Phase::Connected && self.link.keep_alive.ping_due().is_some_and(|at| at <= now)
        {
            self.send(now, &Packet::PingReq);
            self.link.keep_alive.on_pingreq(now);
        }
        Ok(())
    }

    /// The driver has written `bytes` bytes of what it took out of the outbox.
    pub fn handle_written(&mut self, now: Instant, bytes: usize) {
        self.link.written(bytes);
        while let Some(&(end, sequence)) = self.tracked.front() {
            if end > self.link.written {
                break;
            }
            self.tracked.pop_front();
            self.events.push_back(Event::Published {
                packet_id: PacketId::from_sequence(sequence),
                reason: ReasonCode::Success,
                properties: Properties::EMPTY,
            });
        }
        self.pump(now);
    }
}

/// To outside.
impl Client {
    /// What waits to be written.
    pub fn poll_transmit(&mut self) -> &mut Outbox {
        &mut self.link.outbox
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) at the latest.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.link.phase {
            Phase::Closed => None,
            Phase::Opening | Phase::Closing => Some(self.link.deadline),
            Phase::Connected => {
                [self.link.keep_alive.ping_due(), self.link.keep_alive.pong_due()].into_iter().flatten().min()
            }
        }
    }

    /// What happened, in order.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Whether CONNACK came and nothing ended the connection since.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.link.phase == Phase::Connected
    }

    /// Whether there is a transport: between [`handle_open`](Self::handle_open) and [`handle_closed`](Self::handle_closed).
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.link.phase != Phase::Closed
    }

    /// What it was told.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Tells it anew. What concerns CONNECT takes effect at the next [`handle_open`](Self::handle_open).
    pub fn set_options(&mut self, options: Options) {
        self.sender.queue.set_limits(options.queue_count_max, options.queue_bytes_max);
        if options.client_id != self.options.client_id {
            self.assigned_id = None;
        }
        self.options = options;
    }

    /// The Client Identifier in use: ours, or the one that the server assigned.
    #[must_use]
    pub fn client_id(&self) -> &Text {
        self.assigned_id.as_ref().unwrap_or(&self.options.client_id)
    }

    /// How many bytes the body of the server's last DISCONNECT had: a reason is one, properties are more, and what was
    /// left out reads as the default (§3.14.2).
    #[must_use]
    pub fn disconnect_body_bytes(&self) -> usize {
        self.link.disconnect_body_bytes
    }

    /// Bytes waiting to be written, also those that the driver has taken and not reported as written.
    #[must_use]
    pub fn outbox_bytes(&self) -> usize {
        self.link.pending()
    }

    /// Takes the next packet identifier and uses it for nothing: for whoever counts what was refused too.
    pub fn skip_packet_id(&mut self) -> Option<PacketId> {
        self.next_packet_id().map(|(_, packet_id)| packet_id)
    }

    /// Gives up every message at QoS > 0 that waits or is not acknowledged, and hands them out in their order, with
    /// what `publish` returned. A late acknowledgement is for nobody then.
    pub fn drain(&mut self) -> alloc::vec::Vec<(PacketId, codec::Message)> {
        let mut messages = alloc::vec::Vec::new();
        for (sequence, awaiting, queued) in self.sender.inflight.drain() {
            self.record_finished(sequence, matches!(awaiting, Awaiting::PubComp(_)));
            messages.extend(queued.and_then(Queued::into_message));
        }
        let mut waiting = alloc::vec::Vec::new();
        self.sender.queue.extract(|queued| queued.sequence.is_some(), &mut |queued| waiting.push(queued));
        for queued in waiting {
            self.record_dropped(&queued);
            messages.extend(queued.into_message());
        }
        messages
    }

    /// Messages that wait, offline or for the window.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.sender.queue.len()
    }

    /// QoS > 0 messages that were sent and are not acknowledged.
    #[must_use]
    pub fn inflight(&self) -> usize {
        self.sender.inflight.len()
    }
}

/// Packets in and out.
impl Client {
    /// The header of the next packet, once all of it is there.
    fn next_frame(&self, input: &BytesMut) -> Result<Option<FixedHeader>, Error> {
        let Some(header) = FixedHeader::peek(input)? else { return Ok(None) };
        if header.frame_len() > self.options.maximum_packet_size as usize {
            let what = "packet larger than our Maximum Packet Size";
            return Err(Error::LimitExceeded { what, reason: ReasonCode::PacketTooLarge });
        }
        Ok((input.len() >= header.frame_len()).then_some(header))
    }

    fn handle_frame(&mut self, now: Instant, header: FixedHeader, input: &mut BytesMut) -> Result<(), Error> {
        let frame = input.split_to(header.frame_len()).freeze();
        let packet = Packet::decode(self.link.version, frame)?;
        self.link.keep_alive.on_received(now);
        self.trace(Direction::Received, &packet);
        if self.link.phase == Phase::Closing {
            return Ok(()); // What comes after our DISCONNECT concerns nobody.
        }
        match packet {
            Packet::ConnAck(connack) => self.on_connack(now, *connack),
            Packet::Auth(auth) => self.on_auth(auth),
            _ if self.link.phase != Phase::Connected => Err(Error::protocol("a packet before CONNACK")),
            Packet::Publish(publish) => self.on_publish(now, publish),
            Packet::PubAck(ack) => self.on_ack(now, PacketType::PubAck, ack),
            Packet::PubRec(ack) => self.on_ack(now, PacketType::PubRec, ack),
            Packet::PubRel(ack) => self.on_pubrel(now, &ack),
            Packet::PubComp(ack) => self.on_ack(now, PacketType::PubComp, ack),
            Packet::SubAck(suback) => self.on_suback(suback),
            Packet::UnsubAck(unsuback) => self.on_unsuback(unsuback),
            Packet::PingResp => {
                self.link.keep_alive.on_pingresp();
                Ok(())
            }
            Packet::Disconnect(disconnect) if self.link.version.is_v5() => {
                self.link.disconnect_body_bytes = header.frame_len() - header.header_len();
                self.on_disconnect(disconnect);
                Ok(())
            }
            _ => Err(Error::protocol("a packet that a server does not send")),
        }
    }

    /// DISCONNECT with the reason, where the version has one [MQTT-4.13.1-1].
    fn say_why(&mut self, now: Instant, error: &Error) {
        let told = self.link.phase == Phase::Connected && self.link.version.is_v5();
        if told {
            let reason = match error.reason_code() {
                ReasonCode::KeepAliveTimeout => ReasonCode::UnspecifiedError, // only a server may say that
                reason => reason,
            };
            self.send(now, &Packet::Disconnect(Disconnect { reason, properties: Properties::EMPTY }));
        }
        self.link.phase = Phase::Closing;
        self.link.deadline = now;
    }

    /// Encodes a packet that is ours to make, and so fits.
    fn send(&mut self, now: Instant, packet: &Packet) {
        let version = self.link.version;
        if self.link.outbox.write(|out| packet.encode(version, out)).is_ok() {
            self.link.keep_alive.on_sent(now);
            self.trace(Direction::Sent, packet);
        }
    }

    /// An acknowledgement without properties.
    fn send_ack(&mut self, now: Instant, kind: PacketType, packet_id: PacketId, reason: ReasonCode) {
        let ack = Ack { packet_id, reason, properties: Properties::EMPTY };
        let version = self.link.version;
        if self.link.outbox.write(|out| codec::encode_ack(kind, &ack, version, out)).is_ok() {
            self.link.keep_alive.on_sent(now);
        }
        if self.options.trace {
            let trace = PacketTrace {
                packet_id: Some(packet_id),
                reason: Some(reason),
                ..PacketTrace::new(Direction::Sent, kind)
            };
            self.events.push_back(Event::Trace(trace));
        }
    }

    fn trace(&mut self, direction: Direction, packet: &Packet) {
        if self.options.trace {
            self.events.push_back(Event::Trace(PacketTrace::of(direction, packet)));
        }
    }

    /// The version to encode in: this connection's, or while there is none the next one's.
    fn version(&self) -> Version {
        if self.is_open() { self.link.version } else { self.options.version }
    }

    /// The next sequence number whose packet identifier is not in use, by what was sent, waits, or is asked for.
    fn next_packet_id(&mut self) -> Option<(u64, PacketId)> {
        let oldest = [
            self.sender.inflight.first_sequence(),
            self.sender.queue.iter().find_map(|queued| queued.sequence),
            self.requests.front().map(|request| request.sequence),
            self.tracked.front().map(|(_, sequence)| *sequence),
        ];
        // Numbers in a row have different identifiers: only beyond 65,535 of them is there anything to look for.
        let spread = oldest.into_iter().flatten().min().map_or(0, |oldest| self.sequence - oldest);
        let sequence = if spread < PACKET_IDS { self.sequence } else { self.first_free()? };
        self.sequence = sequence + 1;
        Some((sequence, PacketId::from_sequence(sequence)))
    }

    /// Marks what is in use, once, and then looks: with many in use each look would else be a search.
    fn first_free(&self) -> Option<u64> {
        let mut used = alloc::vec![false; PACKET_IDS as usize];
        let inflight = self.sender.inflight.sequences();
        let queued = self.sender.queue.iter().filter_map(|queued| queued.sequence);
        let requests = self.requests.iter().map(|request| request.sequence);
        let tracked = self.tracked.iter().map(|(_, sequence)| *sequence);
        for sequence in inflight.chain(queued).chain(requests).chain(tracked) {
            if let Some(place) = used.get_mut((sequence % PACKET_IDS) as usize) {
                *place = true;
            }
        }
        let is_free = |sequence: &u64| used.get((sequence % PACKET_IDS) as usize) == Some(&false);
        (self.sequence..self.sequence + PACKET_IDS).find(is_free)
    }
}

/// How many packet identifiers there are.
const PACKET_IDS: u64 = 65_535;

#[cfg(test)]
mod tests;
