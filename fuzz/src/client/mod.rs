//! The client's end against a server that may send anything, and an application that may call anything.
//!
//! What is looked at: packets of its version and nothing else leave, in an order that makes sense; identifiers are
//! not used again while in use; the server's limits hold; each publish and each request is reported once; and when
//! all is over, a server that answers everything gets the client to rest.

mod application;
mod server;

use std::collections::BTreeSet;

use arbitrary::{Result, Unstructured};
use bytes::{Bytes, BytesMut};
use karere_core::{
    Instant, Text,
    client::{Client, Credentials, Event, Handover, Options},
    codec::{
        Disconnect, Packet, PacketId, PacketType, Properties, Property, PropertyId, PropertyOwner,
        ReasonCode, Version, Will,
    },
    session::AckToken,
    store::StoreSequence,
};

use self::server::Server;
use crate::{packets, show::show, wire};

/// How many steps one input makes at most.
const STEPS_MAX: usize = 300;

/// Steps of server, application, network and clock, in any order.
pub fn run(input: &[u8]) {
    let u = &mut Unstructured::new(input);
    let Ok(options) = options(u) else { return };
    show(format_args!("{options:?}"));
    let mut world = World::new(options);
    for _ in 0..STEPS_MAX {
        if u.is_empty() || world.step(u).is_err() {
            break;
        }
    }
    world.come_to_rest();
}

/// A client with all that is around it.
struct World {
    client: Client,
    now: Instant,
    server: Server,
    /// Publishes and requests that the application waits for.
    awaited: BTreeSet<PacketId>,
    tokens: Vec<AckToken>,
    stored: Option<StoreSequence>,
    /// Bytes that the driver has taken and not reported.
    unreported: usize,
    /// Messages handed over since the last packet was fed.
    messages: usize,
    published: u64,
}

impl World {
    fn new(options: Options) -> Self {
        Self {
            server: Server::new(&options),
            client: Client::new(options),
            now: Instant::from_millis(1_000_000),
            awaited: BTreeSet::new(),
            tokens: Vec::new(),
            stored: None,
            unreported: 0,
            messages: 0,
            published: 0,
        }
    }

    fn step(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        match u.int_in_range(0..=23)? {
            0 | 1 => self.open(u)?,
            2..=4 => self.connack(u)?,
            5..=7 => self.answer(u)?,
            8 => self.feed_any(u)?,
            9 => self.feed_raw(u)?,
            10 | 11 => {
                let publish = packets::publish(u, self.version())?;
                self.feed(&Packet::Publish(publish));
            }
            12..=15 => self.publish(u)?,
            16 => self.subscribe(u)?,
            17 => self.unsubscribe(u)?,
            18 => self.acknowledge(u)?,
            19 => self.time_passes(u)?,
            20 => self.written(u)?,
            21 => self.close(),
            22 => self.say_something(u)?,
            _ => self.change_options(u)?,
        }
        self.settle();
        Ok(())
    }

    fn version(&self) -> Version {
        self.client.options().version
    }

    fn open(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        if self.client.is_open() {
            return Ok(());
        }
        let username = if u.arbitrary()? { Some(packets::text(u)?) } else { None };
        let password = if username.is_some() { Some(packets::bytes(u)?) } else { None };
        self.server.open();
        self.client.handle_open(self.now, Credentials { username, password });
        Ok(())
    }

    fn connack(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let mut connack = packets::connack(u, self.version())?;
        if u.ratio(7, 8)? {
            connack.reason = ReasonCode::Success;
        }
        if self.version().is_v5() && u.arbitrary()? {
            connack.properties = tight(u)?;
        }
        connack.session_present &= !self.server.asked_to_start_clean();
        if self.server.awaits_connack() {
            self.feed(&Packet::ConnAck(connack.into()));
        }
        Ok(())
    }

    /// The server answers one of the packets that wait for it.
    fn answer(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let index = u.arbitrary::<u8>()?;
        let refused = u.ratio(1, 8)?;
        if let Some(packet) = self.server.answer_to(usize::from(index), refused) {
            self.feed(&packet);
        }
        Ok(())
    }

    fn feed_any(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let packet = packets::packet(u, self.version())?;
        self.feed(&packet);
        Ok(())
    }

    fn feed_raw(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let len = u.int_in_range(0..=40)?;
        let mut bytes = BytesMut::from(u.bytes(len.min(u.len()))?);
        while let Some(frame) = wire::take_frame(&mut bytes) {
            match Packet::decode(self.version(), frame.clone()) {
                Ok(packet) => self.feed_frame(&packet, frame),
                Err(_) => self.feed_garbage(frame),
            }
        }
        Ok(())
    }

    fn feed_garbage(&mut self, frame: Bytes) {
        self.settle();
        if self.client.is_open() {
            let result = self.client.handle_input(self.now, &mut BytesMut::from(frame));
            assert!(result.is_err(), "no packet was taken for one");
            self.close();
        }
    }

    fn feed(&mut self, packet: &Packet) {
        let frame = wire::encode(self.version(), packet).freeze();
        self.feed_frame(packet, frame);
    }

    /// The server sends a packet; what the server knows of the client is what it has read before.
    fn feed_frame(&mut self, packet: &Packet, frame: Bytes) {
        self.settle();
        if !self.client.is_open() {
            return;
        }
        let mut input = BytesMut::from(frame);
        let over = self.server.has_ended();
        self.messages = 0;
        show(format_args!("fed {packet:?}"));
        let result = self.client.handle_input(self.now, &mut input);
        match result {
            Ok(()) => {
                assert!(input.is_empty(), "a whole packet is taken whole");
                let expected = if over { 0 } else { self.server.on_taken(packet) };
                self.settle_events();
                assert_eq!(self.messages, expected, "messages handed over for {packet:?}");
                self.settle();
            }
            Err(_) => self.close(),
        }
    }

    /// The transport goes; what was written is still read.
    fn close(&mut self) {
        self.settle();
        show(format_args!("closed"));
        self.client.handle_closed(self.now);
        self.unreported = 0;
        assert_eq!(self.client.outbox_bytes(), 0);
        self.server.close();
        self.settle();
    }

    /// The law: after each mutation, drain the events and write the outbox.
    fn settle(&mut self) {
        self.settle_events();
        assert!(self.client.is_open() || self.client.poll_transmit().is_empty(), "bytes without a transport");
        let bytes = wire::drain(self.client.poll_transmit());
        self.unreported += bytes.len();
        for (packet, len) in wire::decode(self.version(), bytes) {
            show(format_args!("  sent {packet:?}"));
            self.server.on_packet(&packet, len);
        }
        self.server.check();
        let deadline = self.client.poll_timeout();
        assert!(deadline.is_none() || self.client.is_open(), "nothing to wait for without a transport");
    }

    fn settle_events(&mut self) {
        while let Some(event) = self.client.poll_event() {
            self.on_event(event);
        }
    }

    /// A server that answers everything, and the client has nothing left to do.
    fn come_to_rest(&mut self) {
        self.close();
        let options = Options {
            inflight_max: 100,
            outbox_bytes_max: 1 << 20,
            maximum_packet_size: 1 << 20,
            queue_count_max: 1000,
            queue_bytes_max: 1 << 30,
            ..self.client.options().clone()
        };
        self.client.set_options(options);
        self.server.open();
        self.client.handle_open(self.now, Credentials::default());
        self.settle();
        self.feed(&Packet::ConnAck(self.server.welcome().into()));
        assert!(self.client.is_connected());
        for _ in 0..10_000 {
            self.report();
            self.acknowledge_all();
            let Some(packet) = self.server.answer_to(0, false) else { break };
            self.feed(&packet);
            assert!(self.client.is_connected(), "an answer as it should be: {packet:?}");
        }
        self.report();
        self.acknowledge_all();
        self.settle();
        assert_eq!((self.client.queued(), self.client.inflight()), (0, 0), "waiting, in flight");
        assert_eq!(self.client.outbox_bytes(), 0);
        assert!(self.awaited.is_empty(), "never reported: {:?}", self.awaited);
        self.server.check_all_answered();
    }

    /// The driver reports all that it has written, and the store all that it has stored.
    fn report(&mut self) {
        loop {
            self.settle();
            let bytes = std::mem::take(&mut self.unreported);
            let stored = self.stored.take();
            if bytes == 0 && stored.is_none() {
                return;
            }
            self.client.handle_written(self.now, bytes);
            if let Some(sequence) = stored {
                self.client.handle_stored(self.now, sequence);
            }
        }
    }

    fn time_passes(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let millis = if u.arbitrary()? { u.int_in_range(0..=100_000)? } else { u.int_in_range(0..=1500)? };
        self.now = self.now.plus_millis(millis);
        let due = self.client.poll_timeout().is_some_and(|at| at <= self.now);
        let before = self.client.poll_transmit().is_empty();
        match self.client.handle_timeout(self.now) {
            Err(_) => {
                assert!(due, "an end before its time");
                self.close();
            }
            Ok(()) if due => {
                let after = self.client.poll_timeout();
                assert!(after.is_none_or(|at| at > self.now) || !before, "a deadline that stays in the past");
            }
            Ok(()) => {}
        }
        Ok(())
    }

    fn written(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let bytes = u.int_in_range(0..=self.unreported)?;
        self.unreported -= bytes;
        self.client.handle_written(self.now, bytes);
        if u.arbitrary()?
            && let Some(sequence) = self.stored.take()
        {
            self.client.handle_stored(self.now, sequence);
        }
        Ok(())
    }

    fn say_something(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        if u.arbitrary()? {
            let auth = packets::auth(u)?;
            self.client.authenticate(self.now, &auth);
        } else {
            let disconnect = match self.version() {
                Version::V5 if u.arbitrary()? => packets::disconnect(u, Version::V5)?,
                _ => Disconnect::normal(),
            };
            self.client.disconnect(self.now, &disconnect);
            self.settle();
            self.server.end();
        }
        Ok(())
    }

    fn on_event(&mut self, event: Event) {
        show(format_args!("  event {event:?}"));
        match event {
            Event::Published { packet_id, .. }
            | Event::Dropped { packet_id: Some(packet_id), .. }
            | Event::Subscribed { packet_id, .. }
            | Event::Unsubscribed { packet_id, .. }
            | Event::Unanswered { packet_id } => {
                assert!(self.awaited.remove(&packet_id), "reported and not awaited: {event:?}");
                if matches!(event, Event::Dropped { .. }) {
                    self.server.on_given_up(packet_id);
                }
            }
            Event::Message(received) => {
                self.messages += 1;
                assert!(!received.message.topic.is_empty(), "a message whose topic nobody knows");
                if let (Some(token), Some(packet_id)) = (received.ack, received.packet_id) {
                    self.tokens.push(token);
                    self.server.on_handed_over(packet_id, received.message.qos, token);
                }
            }
            Event::Record(sequence, _) => self.stored = Some(sequence),
            _ => {}
        }
    }
}

/// What a server with little room says in CONNACK.
fn tight(u: &mut Unstructured<'_>) -> Result<Properties> {
    let limits = [
        Property::ReceiveMaximum(u.int_in_range(1..=4)?),
        Property::TopicAliasMaximum(u.int_in_range(0..=3)?),
        Property::MaximumPacketSize(*u.choose(&[30, 60, 200, 1 << 20])?),
    ];
    Ok(Properties::from_properties(limits).expect("numbers in their ranges"))
}

/// What a client may be told, the limits mostly small.
fn options(u: &mut Unstructured<'_>) -> Result<Options> {
    let version = packets::version(u)?;
    let owner = PropertyOwner::Packet(PacketType::Connect);
    let properties = if u.arbitrary()? { packets::properties(u, owner, version)? } else { Properties::EMPTY };
    let authenticates = properties.authentication_method().is_some();
    let data = PropertyId::AuthenticationData;
    let will = Will { message: packets::message(u, version)?, delay: 0 };
    let options = Options {
        version,
        client_id: Text::new("c").expect("a text"),
        clean_start: u.arbitrary()?,
        session_expiry: *u.choose(&[0, 10, u32::MAX])?,
        keep_alive: *u.choose(&[0, 1, 60])?,
        receive_maximum: *u.choose(&[1024, 1, 3])?,
        topic_alias_maximum: *u.choose(&[16, 0, 2])?,
        outbound_aliases: u.arbitrary()?,
        will: u.arbitrary::<bool>()?.then_some(will),
        properties: if authenticates { properties } else { properties.without(&[data]) },
        handover: *u.choose(&[Handover::OnPublish, Handover::OnRelease])?,
        resubscribe: u.arbitrary()?,
        store: u.arbitrary()?,
        trace: u.arbitrary()?,
        ..Options::default()
    };
    limits(u, options)
}

fn limits(u: &mut Unstructured<'_>, options: Options) -> Result<Options> {
    Ok(Options {
        maximum_packet_size: *u.choose(&[1 << 20, 60, 5000])?,
        inflight_max: *u.choose(&[1024, 1, 2, 5])?,
        queue_count_max: *u.choose(&[1000, 0, 1, 4])?,
        queue_bytes_max: *u.choose(&[1 << 20, 0, 60])?,
        queue_qos0: u.arbitrary()?,
        outbox_bytes_max: *u.choose(&[1 << 18, 1, 60])?,
        ..options
    })
}
