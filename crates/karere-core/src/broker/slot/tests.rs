//! One slot alone, packet by packet.

mod crash;
mod deliver;
mod handshake;
mod input;
mod kept;
mod lifetime;
mod moving;
mod pressure;
mod restored;
mod resume;
mod shared;
mod stored;
mod subscribe;

use std::format;
use std::string::String;
use std::vec::Vec;

use bytes::BytesMut;

use super::*;
use crate::Error;
use crate::broker::{
    Accepted, AckToken, Delivered, Grant, Handshake, HandshakeEvent, Presence, Retained, Routed, Scratch,
};
use crate::codec::{Connect, Message, Packet, Properties, Property, QoS, ReasonCode};
use crate::connection::testing::*;

/// A slot with the test as its client, its host and its driver.
struct Bench {
    slot: Slot,
    options: Arc<Options>,
    now: Instant,
    scratch: Scratch,
}

impl Bench {
    fn new(options: Options) -> Self {
        let options = Arc::new(options);
        let slot = Slot::new(text("c"), options.clone(), 7);
        Self { slot, options, now: Instant::from_millis(1_000_000), scratch: Scratch::default() }
    }

    /// Attached, CONNACK read.
    fn attached(connect: Connect) -> Self {
        Self::attached_with(Options::default(), connect)
    }

    fn attached_with(options: Options, connect: Connect) -> Self {
        let mut bench = Self::new(options);
        bench.attach(connect);
        bench.sent();
        bench
    }

    fn accept(&self, connect: Connect) -> Accepted {
        let mut handshake = Handshake::new(self.now, self.options.clone());
        let version = connect.version;
        let mut input = encode(version, &[Packet::Connect(connect.into())]);
        let event = handshake.handle_input(self.now, &mut input).unwrap();
        assert!(matches!(event, Some(HandshakeEvent::Connect(_))));
        handshake.accept(self.now, None, &Properties::EMPTY, 1).unwrap()
    }

    fn attach(&mut self, connect: Connect) {
        let accepted = self.accept(connect);
        self.slot.attach(self.now, accepted);
    }

    /// The transport is lost; another connection comes.
    fn reattach(&mut self, connect: Connect) {
        self.slot.handle_closed(self.now);
        self.attach(connect);
    }

    fn feed(&mut self, packet: Packet) -> Result<(), Error> {
        let version = self.slot.version().unwrap();
        self.slot.handle_input(self.now, &mut encode(version, &[packet]))
    }

    /// What it has sent since; all of it counts as written.
    fn sent(&mut self) -> Vec<Packet> {
        let Some(version) = self.slot.version() else { return Vec::new() };
        let bytes = self.slot.poll_transmit().map(drain).unwrap_or_default();
        self.slot.handle_written(self.now, bytes.len());
        decode(version, bytes)
    }

    fn lines(&mut self) -> Vec<String> {
        show_all(&self.sent())
    }

    fn events(&mut self) -> Vec<Event> {
        core::iter::from_fn(|| self.slot.poll_event()).collect()
    }

    fn happened(&mut self) -> Vec<String> {
        self.events().iter().map(show_event).collect()
    }

    /// What the publishes that came since are answered with.
    fn tokens(&mut self) -> Vec<AckToken> {
        let token = |event| match event {
            Event::Publish { token, .. } => token,
            _ => None,
        };
        self.events().into_iter().filter_map(token).collect()
    }

    fn routed(&mut self, token: AckToken, reason: ReasonCode) {
        self.slot.handle_routed(self.now, token, reason);
    }

    fn deliver(&mut self, message: &Message) -> Delivered {
        let grant = Grant { qos: QOS2, ..Grant::default() };
        self.deliver_as(message, &grant, Presence::Any)
    }

    fn deliver_as(&mut self, message: &Message, grant: &Grant, presence: Presence) -> Delivered {
        let mut routed = Routed::new(message, self.now, &mut self.scratch);
        self.slot.deliver(self.now, &mut routed, grant, presence)
    }

    /// Delivers `t=payload` at this QoS.
    fn give(&mut self, payload: &str, qos: QoS) -> Delivered {
        self.deliver(&message("t", payload, qos))
    }

    /// The same, and it is durable.
    fn give_stored(&mut self, payload: &str, qos: QoS) {
        let Delivered::Kept { sequence, .. } = self.give(payload, qos) else { panic!("not kept") };
        self.slot.handle_kept_stored(self.now, [sequence]);
    }

    fn after_seconds(&mut self, seconds: u32) -> &mut Self {
        self.now = self.now.plus_seconds(seconds);
        self
    }

    fn time_passes(&mut self, seconds: u32) -> Result<(), Error> {
        self.after_seconds(seconds);
        self.slot.handle_timeout(self.now)
    }
}

/// A client of this version that keeps its session for an hour on version 5, and for good on 3.
fn lasting(version: Version) -> Connect {
    let expiry = properties([Property::SessionExpiryInterval(3600)]);
    Connect {
        version,
        bridge: false,
        clean_start: false,
        keep_alive: 0,
        client_id: text("c"),
        will: None,
        username: None,
        password: None,
        properties: if version.is_v5() { expiry } else { Properties::EMPTY },
    }
}

/// A client whose session ends with its connection.
fn passing(version: Version) -> Connect {
    Connect { clean_start: true, properties: Properties::EMPTY, ..lasting(version) }
}

/// A version 5 client that keeps its session and says this too.
fn saying<const N: usize>(more: [Property<'_>; N]) -> Connect {
    let mut builder = crate::codec::PropertiesBuilder::from(lasting(Version::V5).properties);
    more.into_iter().for_each(|property| builder.push(property).unwrap());
    Connect { properties: builder.build(), ..lasting(Version::V5) }
}

fn with_will(connect: Connect, delay: u32) -> Connect {
    Connect { will: Some(Will { message: message("w", "gone", QOS1), delay }), ..connect }
}

fn show_event(event: &Event) -> String {
    let line = |message: &Message| {
        format!("{}={}", message.topic.as_str(), String::from_utf8_lossy(&message.payload))
    };
    match event {
        Event::Publish { message, dup, .. } => {
            format!("publish {}{}", line(message), if *dup { " dup" } else { "" })
        }
        Event::Subscribe(subscribe) => format!("subscribe {}", subscribe.packet_id),
        Event::Unsubscribe(unsubscribe) => format!("unsubscribe {}", unsubscribe.packet_id),
        Event::Auth(auth) => format!("auth {}", auth.reason),
        Event::Will(message) => format!("will {}", line(message)),
        Event::Redistribute(shared) => {
            let lines: Vec<String> = shared.iter().map(|each| line(&each.message)).collect();
            format!("redistribute {}", lines.join(" "))
        }
        Event::Disconnected(disconnect) => format!("disconnected {}", disconnect.reason),
        Event::Expired => "expired".into(),
        Event::Record(_, record) => format!("{record:?}"),
        Event::Trace(trace) => format!("{:?} {}", trace.direction, trace.packet.name()),
    }
}
