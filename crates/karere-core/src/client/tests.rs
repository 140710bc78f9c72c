//! The client alone, packet by packet.

mod closing;
mod conformance;
mod connect;
mod identifiers;
mod policies;
mod publish;
mod receive;
mod resume;
mod stored;
mod subscribe;

use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use super::*;
use crate::codec::{Auth, ConnAck, Connect, Property, QoS, Version};
use crate::connection::testing::*;

/// A client with the test as its server and its driver.
struct Bench {
    client: Client,
    now: Instant,
}

impl Bench {
    fn new(options: Options) -> Self {
        Self { client: Client::new(options), now: Instant::from_millis(1_000_000) }
    }

    /// Connected to a server that says nothing of itself.
    fn connected(options: Options) -> Self {
        Self::connected_to(options, Properties::EMPTY)
    }

    /// Connected to a server that says this in CONNACK.
    fn connected_to(options: Options, server: Properties) -> Self {
        let mut bench = Self::new(options);
        bench.open();
        bench.connack(false, server).unwrap();
        bench.events();
        bench
    }

    fn version(&self) -> Version {
        self.client.options().version
    }

    /// A new transport: what was sent on it, which is CONNECT.
    fn open(&mut self) -> Connect {
        self.client.handle_open(self.now, Credentials::default());
        let mut sent = self.sent();
        assert_eq!(sent.len(), 1, "CONNECT alone");
        match sent.remove(0) {
            Packet::Connect(connect) => *connect,
            other => panic!("not CONNECT: {other:?}"),
        }
    }

    fn connack(&mut self, session_present: bool, properties: Properties) -> Result<(), Error> {
        self.feed(Packet::ConnAck(
            ConnAck { session_present, reason: ReasonCode::Success, properties }.into(),
        ))
    }

    /// The transport is lost, and a new one leads to a server that has the session or has it not.
    fn reconnect(&mut self, session_present: bool) {
        self.client.handle_closed(self.now);
        self.open();
        self.connack(session_present, Properties::EMPTY).unwrap();
    }

    fn feed(&mut self, packet: Packet) -> Result<(), Error> {
        self.client.handle_input(self.now, &mut encode(self.version(), &[packet]))
    }

    /// What it has sent since, as the packets that its server reads; all of it counts as written.
    fn sent(&mut self) -> Vec<Packet> {
        let bytes = drain(self.client.poll_transmit());
        self.client.handle_written(self.now, bytes.len());
        decode(self.version(), bytes)
    }

    /// The same in a line each.
    fn lines(&mut self) -> Vec<String> {
        show_all(&self.sent())
    }

    fn events(&mut self) -> Vec<Event> {
        core::iter::from_fn(|| self.client.poll_event()).collect()
    }

    /// What happened, a line each.
    fn happened(&mut self) -> Vec<String> {
        self.events().iter().map(show_event).collect()
    }

    /// The acknowledgements that the messages which came since are waiting for.
    fn tokens(&mut self) -> Vec<AckToken> {
        let ack = |event| match event {
            Event::Message(received) => received.ack,
            _ => None,
        };
        self.events().into_iter().filter_map(ack).collect()
    }

    /// All that is to be stored is; what that was, a line each.
    fn store(&mut self) -> Vec<String> {
        let mut records = Vec::new();
        for event in self.events() {
            if let Event::Record(number, record) = event {
                self.client.handle_stored(self.now, number);
                records.push(show_event(&Event::Record(number, record)));
            }
        }
        records
    }

    fn acknowledge(&mut self, token: AckToken) {
        self.client.acknowledge(self.now, token, ReasonCode::Success);
    }

    fn publish(&mut self, payload: &str, qos: QoS) -> Result<Option<PacketId>, PublishError> {
        self.client.publish(self.now, Outgoing::new("t", payload.as_bytes()).qos(qos))
    }

    /// Publishes, and returns the packet identifier.
    fn send(&mut self, payload: &str, qos: QoS) -> u16 {
        self.publish(payload, qos).unwrap().expect("an identifier").get()
    }

    fn subscribe(&mut self, filters: &[&str]) -> Result<PacketId, SubscribeError> {
        let subscriptions: Vec<_> = filters
            .iter()
            .map(|filter| codec::Subscription {
                filter: text(filter),
                options: codec::SubscribeOptions::new(QOS1),
            })
            .collect();
        self.client.subscribe(self.now, &subscriptions, None, &Properties::EMPTY)
    }

    fn after_millis(&mut self, millis: u64) -> &mut Self {
        self.now = self.now.plus_millis(millis);
        self
    }
}

/// A client that keeps its session.
fn lasting(version: Version) -> Options {
    Options { version, clean_start: false, session_expiry: 3600, client_id: text("c"), ..Options::default() }
}

fn show_event(event: &Event) -> String {
    match event {
        Event::Connected { client_id, .. } => format!("connected as {}", client_id.as_str()),
        Event::Refused(connack) => format!("refused {:#04X}", connack.reason.as_u8()),
        Event::Message(Received { message, dup, .. }) => {
            let payload = String::from_utf8_lossy(&message.payload);
            format!("message {}={payload}{}", message.topic.as_str(), if *dup { " dup" } else { "" })
        }
        Event::Published { packet_id, reason, .. } => format!("published {packet_id}: {reason}"),
        Event::Dropped { packet_id, why } => match packet_id {
            Some(packet_id) => format!("dropped {packet_id}: {why:?}"),
            None => format!("dropped: {why:?}"),
        },
        Event::Subscribed { packet_id, reasons, .. } => format!("subscribed {packet_id}: {reasons:?}"),
        Event::Unsubscribed { packet_id, reasons, .. } => format!("unsubscribed {packet_id}: {reasons:?}"),
        Event::Unanswered { packet_id } => format!("unanswered {packet_id}"),
        Event::SessionLost => "session lost".to_string(),
        Event::Resubscribed { refused } => format!("resubscribed, {} refused", refused.len()),
        Event::Auth(auth) => format!("auth {}", auth.reason),
        Event::Disconnected(disconnect) => format!("disconnected {}", disconnect.reason),
        Event::Record(_, record) => format!("{record:?}"),
        Event::Trace(trace) => format!("{:?} {}", trace.direction, trace.packet.name()),
    }
}
