//! Clients, a broker, and byte pipes between them that can be cut after any byte.

use bytes::{Buf, BytesMut};
use karere_core::broker::{Handshake, HandshakeEvent};
use karere_core::client::{AckToken, Client, Credentials, Event, Outgoing};
use karere_core::codec::{
    Connect, Disconnect, Packet, PacketId, Properties, QoS, ReasonCode, SubscribeOptions, Subscription,
    Version,
};
use karere_core::connection::Outbox;
use karere_core::store::{Record, StoreSequence};
use karere_core::topic::TopicFilter;
use karere_core::{Instant, Text, client};

use crate::broker::Broker;
use crate::watch::Watch;

/// Everything there is, at one point in time.
pub(crate) struct Network {
    pub(crate) now: Instant,
    pub(crate) broker: Broker,
    pub(crate) ends: Vec<End>,
    watches: Vec<Watch>,
    /// Bytes that travel in one step.
    pub(crate) chunk: usize,
}

/// One client with its application.
pub(crate) struct End {
    pub(crate) client: Client,
    pub(crate) wire: Option<Wire>,
    /// Whether [`settle`](Network::settle) connects it again.
    pub(crate) reconnects: bool,
    pub(crate) watch: Watch,
    /// Messages are acknowledged only when everything else is quiet, the last one first.
    pub(crate) acks_late: bool,
    unacknowledged: Vec<AckToken>,
    unstored: Vec<(StoreSequence, client::Record)>,
    pub(crate) got: Vec<Got>,
    pub(crate) published: Vec<(u16, ReasonCode)>,
    pub(crate) sessions_lost: usize,
}

/// A message that the application got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Got {
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
    pub(crate) qos: QoS,
    pub(crate) dup: bool,
    pub(crate) retain: bool,
}

/// One Network Connection.
pub(crate) struct Wire {
    up: Pipe,
    down: Pipe,
    served: Served,
}

/// One direction of it: bytes on their way, and bytes that have arrived and are no whole packet yet.
#[derive(Default)]
struct Pipe {
    bytes: BytesMut,
    input: BytesMut,
    /// After so many more bytes the connection is lost.
    cut_after: Option<usize>,
    carried: usize,
    /// The sender closes once its bytes are through.
    closing: bool,
}

enum Served {
    Handshake(Handshake),
    Slot { key: u32, epoch: u32 },
}

/// Which pipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Up,
    Down,
}

impl Network {
    pub(crate) fn new(options: karere_core::broker::Options) -> Self {
        let now = Instant::from_millis(1_000_000);
        let (broker, ends, watches) = (Broker::new(options), Vec::new(), Vec::new());
        Self { now, broker, ends, watches, chunk: usize::MAX }
    }

    /// Adds a client, not connected; its number.
    pub(crate) fn client(&mut self, options: client::Options) -> usize {
        self.ends.push(End {
            client: Client::new(options),
            wire: None,
            reconnects: true,
            watch: Watch::default(),
            acks_late: false,
            unacknowledged: Vec::new(),
            unstored: Vec::new(),
            got: Vec::new(),
            published: Vec::new(),
            sessions_lost: 0,
        });
        self.ends.len() - 1
    }

    pub(crate) fn connect(&mut self, end: usize) {
        let handshake = Handshake::new(self.now, self.broker.options.clone());
        let wire = Wire { up: Pipe::default(), down: Pipe::default(), served: Served::Handshake(handshake) };
        let end = &mut self.ends[end];
        end.wire = Some(wire);
        end.watch.open(end.client.options().version);
        end.client.handle_open(self.now, Credentials::default());
    }

    /// The connection will be lost after so many more bytes this way.
    pub(crate) fn cut_after(&mut self, end: usize, way: Way, bytes: usize) {
        if let Some(wire) = &mut self.ends[end].wire {
            wire.pipe(way).cut_after = Some(bytes);
        }
    }

    /// Bytes that have gone this way on the present connection.
    pub(crate) fn carried(&mut self, end: usize, way: Way) -> usize {
        self.ends[end].wire.as_mut().map_or(0, |wire| wire.pipe(way).carried)
    }

    /// The connection is lost now, with all that is on its way.
    pub(crate) fn cut(&mut self, end: usize) {
        let Some(wire) = self.ends[end].wire.take() else { return };
        self.ends[end].client.handle_closed(self.now);
        self.take_events(end);
        if let Served::Slot { key, epoch } = wire.served {
            let slot = &mut self.broker.slots[key as usize];
            if slot.epoch() == epoch {
                slot.handle_closed(self.now);
                self.broker.work(self.now, key);
            }
        }
    }

    pub(crate) fn publish(&mut self, end: usize, topic: &str, payload: &[u8], qos: QoS) -> Option<PacketId> {
        self.publish_with(end, Outgoing::new(topic, payload).qos(qos))
    }

    pub(crate) fn publish_with(&mut self, end: usize, outgoing: Outgoing<'_>) -> Option<PacketId> {
        self.ends[end].client.publish(self.now, outgoing).expect("it is taken")
    }

    pub(crate) fn subscribe(&mut self, end: usize, filter: &str, qos: QoS) {
        let filter = Text::new(filter).expect("a text");
        let subscription = Subscription { filter, options: SubscribeOptions::new(qos) };
        let client = &mut self.ends[end].client;
        client.subscribe(self.now, &[subscription], None, &Properties::EMPTY).expect("it is asked for");
    }

    pub(crate) fn unsubscribe(&mut self, end: usize, filter: &str) {
        let filter = TopicFilter::new(filter).expect("a filter");
        let client = &mut self.ends[end].client;
        client.unsubscribe(self.now, &[filter], &Properties::EMPTY).expect("it is asked for");
    }

    pub(crate) fn disconnect(&mut self, end: usize) {
        self.ends[end].client.disconnect(self.now, &Disconnect::normal());
        if let Some(wire) = &mut self.ends[end].wire {
            wire.up.closing = true;
        }
    }

    pub(crate) fn pass_seconds(&mut self, seconds: u32) {
        self.now = self.now.plus_seconds(seconds);
        for end in 0..self.ends.len() {
            if self.ends[end].client.handle_timeout(self.now).is_err() {
                self.cut(end);
            }
        }
        for key in 0..self.broker.slots.len() {
            let _ = self.broker.slots[key].handle_timeout(self.now);
            self.broker.work(self.now, key as u32);
        }
    }

    /// Lets everything happen until nothing more does: bytes first; then what was cut connects again; then records
    /// become durable, answers are given and messages acknowledged, one at a time and as late as can be.
    pub(crate) fn settle(&mut self) {
        for _ in 0..100_000 {
            if !(self.step() || self.reconnect_one() || self.store_one() || self.answer_one()) {
                return;
            }
        }
        panic!("it never becomes quiet");
    }

    /// One chunk each way on each connection. False when nothing moved.
    pub(crate) fn step(&mut self) -> bool {
        let mut moved = false;
        for end in 0..self.ends.len() {
            self.take_events(end);
            self.flush_client(end);
            moved |= self.carry_up(end);
            self.flush_slots();
            moved |= self.carry_down(end);
            self.close_if_done(end);
        }
        moved
    }

    fn reconnect_one(&mut self) -> bool {
        let lost = self.ends.iter().position(|end| end.wire.is_none() && end.reconnects);
        let Some(end) = lost else { return false };
        self.connect(end);
        true
    }

    fn store_one(&mut self) -> bool {
        if self.broker.store_one(self.now) {
            return true;
        }
        for end in &mut self.ends {
            if !end.unstored.is_empty() {
                let (sequence, _) = end.unstored.remove(0);
                end.client.handle_stored(self.now, sequence);
                return true;
            }
        }
        false
    }

    fn answer_one(&mut self) -> bool {
        if self.broker.answer_one(self.now) {
            return true;
        }
        for end in &mut self.ends {
            if let Some(token) = end.unacknowledged.pop() {
                end.client.acknowledge(self.now, token, ReasonCode::Success);
                return true;
            }
        }
        false
    }

    fn flush_client(&mut self, end: usize) {
        let End { client, wire, watch, unstored, .. } = &mut self.ends[end];
        let Some(wire) = wire else { return };
        let bytes = take(client.poll_transmit());
        client.handle_written(self.now, bytes.len());
        for packet in watch.sent(&bytes) {
            client_waits_for_nothing(&packet, unstored.iter().map(|(_, record)| record));
        }
        wire.up.bytes.extend_from_slice(&bytes);
    }

    fn flush_slots(&mut self) {
        self.watches.resize_with(self.broker.slots.len(), Watch::default);
        for End { wire, .. } in &mut self.ends {
            let Some(wire) = wire else { continue };
            let outbox = match &mut wire.served {
                Served::Handshake(handshake) => handshake.poll_transmit(),
                Served::Slot { key, epoch } => {
                    let slot = &mut self.broker.slots[*key as usize];
                    if slot.epoch() != *epoch {
                        continue;
                    }
                    let Some(outbox) = slot.poll_transmit() else { continue };
                    outbox
                }
            };
            let bytes = take(outbox);
            if let Served::Slot { key, .. } = &wire.served {
                self.broker.slots[*key as usize].handle_written(self.now, bytes.len());
                let unstored = self.broker.unstored.iter().filter(|(of, ..)| of == key);
                let records: Vec<&Record> = unstored.map(|(_, _, record)| record).collect();
                for packet in self.watches[*key as usize].sent(&bytes) {
                    waits_for_nothing(&packet, records.iter().copied());
                }
            }
            wire.down.bytes.extend_from_slice(&bytes);
        }
    }

    fn carry_up(&mut self, end: usize) -> bool {
        let Some(wire) = &mut self.ends[end].wire else { return false };
        let Some((bytes, cut)) = wire.up.carry(self.chunk) else { return false };
        if let Served::Slot { key, .. } = &wire.served {
            self.watches[*key as usize].heard(&bytes);
        }
        self.serve(end);
        if cut {
            self.cut(end);
        }
        true
    }

    /// The broker reads what has arrived.
    fn serve(&mut self, end: usize) {
        let now = self.now;
        let Some(wire) = &mut self.ends[end].wire else { return };
        if let Served::Handshake(handshake) = &mut wire.served {
            match handshake.handle_input(now, &mut wire.up.input) {
                Ok(None) => return,
                Ok(Some(HandshakeEvent::Connect(connect))) => self.attach(end, &connect),
                Ok(Some(HandshakeEvent::Auth(_))) | Err(_) => {
                    wire.down.closing = true;
                    return;
                }
            }
        }
        let Some(Wire { served: Served::Slot { key, epoch }, up, down }) = &mut self.ends[end].wire else {
            return;
        };
        let slot = &mut self.broker.slots[*key as usize];
        if slot.epoch() != *epoch {
            return;
        }
        down.closing |= slot.handle_input(now, &mut up.input).is_err();
        self.broker.work(now, *key);
        let key = *key;
        down.closing |= self.broker.goodbyes.contains(&key);
        self.broker.goodbyes.retain(|gone| *gone != key);
    }

    fn attach(&mut self, end: usize, connect: &Connect) {
        let Some(wire) = &mut self.ends[end].wire else { return };
        let spare = Handshake::new(self.now, self.broker.options.clone());
        let Served::Handshake(handshake) = std::mem::replace(&mut wire.served, Served::Handshake(spare))
        else {
            return;
        };
        let key = self.broker.accept(self.now, handshake, connect);
        wire.served = Served::Slot { key, epoch: self.broker.slots[key as usize].epoch() };
        self.watches.resize_with(self.broker.slots.len(), Watch::default);
        let watch = &mut self.watches[key as usize];
        watch.open(connect.version);
        let mut bytes = BytesMut::new();
        Packet::Connect(connect.clone().into()).encode(connect.version, &mut bytes).expect("it was decoded");
        watch.heard(&bytes);
    }

    fn carry_down(&mut self, end: usize) -> bool {
        let End { client, wire, watch, .. } = &mut self.ends[end];
        let Some(wire) = wire else { return false };
        let Some((bytes, cut)) = wire.down.carry(self.chunk) else { return false };
        watch.heard(&bytes);
        wire.up.closing |= client.handle_input(self.now, &mut wire.down.input).is_err();
        self.take_events(end);
        if cut {
            self.cut(end);
        }
        true
    }

    fn close_if_done(&mut self, end: usize) {
        let done = |pipe: &Pipe| pipe.closing && pipe.bytes.is_empty();
        if self.ends[end].wire.as_ref().is_some_and(|wire| done(&wire.up) || done(&wire.down)) {
            self.cut(end);
        }
    }

    /// The application takes its events.
    fn take_events(&mut self, end: usize) {
        let now = self.now;
        let end = &mut self.ends[end];
        while let Some(event) = end.client.poll_event() {
            match event {
                Event::Message(received) => {
                    end.got.push(Got {
                        topic: received.message.topic.to_string(),
                        payload: received.message.payload.to_vec(),
                        qos: received.message.qos,
                        dup: received.dup,
                        retain: received.message.retain,
                    });
                    match received.ack {
                        Some(token) if end.acks_late => end.unacknowledged.push(token),
                        Some(token) => end.client.acknowledge(now, token, ReasonCode::Success),
                        None => {}
                    }
                }
                Event::Published { packet_id, reason, .. } => end.published.push((packet_id.get(), reason)),
                Event::Record(sequence, record) => end.unstored.push((sequence, record)),
                Event::SessionLost => end.sessions_lost += 1,
                Event::Disconnected(_) | Event::Refused(_) => {
                    if let Some(wire) = &mut end.wire {
                        wire.up.closing = true;
                    }
                }
                _ => {}
            }
        }
    }
}

impl Wire {
    fn pipe(&mut self, way: Way) -> &mut Pipe {
        match way {
            Way::Up => &mut self.up,
            Way::Down => &mut self.down,
        }
    }
}

impl Pipe {
    /// Moves a chunk to the other side: the bytes, and whether they were the last that come through.
    fn carry(&mut self, chunk: usize) -> Option<(BytesMut, bool)> {
        if self.cut_after == Some(0) {
            return Some((BytesMut::new(), true));
        }
        let count = self.bytes.len().min(chunk).min(self.cut_after.unwrap_or(usize::MAX));
        if count == 0 {
            return None;
        }
        let bytes = self.bytes.split_to(count);
        self.carried += count;
        self.input.extend_from_slice(&bytes);
        self.cut_after = self.cut_after.map(|left| left - count);
        Some((bytes, self.cut_after == Some(0)))
    }
}

/// All that waits in an outbox.
pub(crate) fn take(outbox: &mut Outbox) -> BytesMut {
    let mut bytes = BytesMut::new();
    while outbox.has_remaining() {
        bytes.extend_from_slice(outbox.chunk());
        let len = outbox.chunk().len();
        outbox.advance(len);
    }
    bytes
}

/// What leaves a client only when what it stands on is durable.
fn client_waits_for_nothing<'a>(packet: &Packet, mut unstored: impl Iterator<Item = &'a client::Record>) {
    use client::Record as R;
    let id = |sequence: &u64| PacketId::from_sequence(*sequence);
    let waits = match packet {
        Packet::Publish(publish) => unstored.any(
            |record| matches!(record, R::Published { sequence } if Some(id(sequence)) == publish.packet_id),
        ),
        Packet::PubRel(ack) => unstored
            .any(|record| matches!(record, R::Received { sequence, .. } if id(sequence) == ack.packet_id)),
        Packet::PubRec(ack) => unstored.any(|record| *record == R::Taken { packet_id: ack.packet_id }),
        Packet::PubComp(ack) => unstored.any(|record| *record == R::Released { packet_id: ack.packet_id }),
        Packet::Subscribe(_) => unstored.any(|record| *record == R::Forgotten),
        _ => false,
    };
    assert!(!waits, "{packet:?} before what it stands on is stored");
}

/// PUBREL and PUBCOMP leave only when what they answer is durable.
fn waits_for_nothing<'a>(packet: &Packet, mut unstored: impl Iterator<Item = &'a Record>) {
    match packet {
        Packet::PubRel(ack) => {
            let waits = |record: &Record| matches!(record, Record::Received { sequence, .. } if PacketId::from_sequence(*sequence) == ack.packet_id);
            assert!(!unstored.any(waits), "PUBREL {} before its PUBREC is stored", ack.packet_id);
        }
        Packet::PubComp(ack) => {
            let waits = |record: &Record| *record == Record::Released { packet_id: ack.packet_id };
            assert!(!unstored.any(waits), "PUBCOMP {} before its release is stored", ack.packet_id);
        }
        _ => {}
    }
}

/// A client that keeps its session.
pub(crate) fn lasting(version: Version, client_id: &str) -> client::Options {
    client::Options {
        version,
        client_id: Text::new(client_id).expect("a text"),
        clean_start: false,
        session_expiry: u32::MAX,
        keep_alive: 0,
        ..client::Options::default()
    }
}
