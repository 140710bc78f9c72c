//! A stream is a stream: however its bytes are cut, the same happens and the same is sent.

use std::sync::Arc;

use arbitrary::{Result, Unstructured};
use bytes::{Bytes, BytesMut};
use karere_core::{
    Error, Instant, Text,
    broker::{self, Delivered, Grant, Handshake, HandshakeEvent, Presence, Routed, Scratch, Slot},
    client::{self, Client, Credentials, Outgoing},
    codec::{ConnAck, Message, Packet, Properties, QoS, ReasonCode, SubscribeOptions, Subscription, Version},
    topic::TopicName,
};

use crate::{packets, wire};

const NOW: Instant = Instant::from_millis(1_000_000);

/// One stream for a client or for the broker, once whole and once in pieces.
pub fn run(input: &[u8]) {
    let u = &mut Unstructured::new(input);
    let Ok(case) = Case::new(u) else { return };
    let play = if case.to_client { client_plays } else { slot_plays };
    let whole = play(&case, &mut std::iter::once(case.stream.clone()));
    let pieces = play(&case, &mut case.pieces());
    assert_eq!(whole, pieces);
}

struct Case {
    to_client: bool,
    version: Version,
    store: bool,
    trace: bool,
    maximum_packet_size: u32,
    /// Lengths of the pieces, over and over.
    lens: Vec<usize>,
    stream: Bytes,
}

/// All that could be seen from outside.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    events: Vec<String>,
    sent: Vec<u8>,
    ended: Option<Error>,
}

impl Case {
    fn new(u: &mut Unstructured<'_>) -> Result<Self> {
        let (to_client, version) = (u.arbitrary()?, packets::version(u)?);
        let (store, trace) = (u.arbitrary()?, u.arbitrary()?);
        let maximum_packet_size = *u.choose(&[1 << 20, 100])?;
        let lens = (0..4).map(|_| u.int_in_range(1..=40)).collect::<Result<_>>()?;
        let mut stream = wire::encode(version, &first_packet(u, to_client, version)?);
        while !u.is_empty() && stream.len() < 20_000 {
            if u.ratio(1, 8)? {
                let len = u.int_in_range(0..=8)?;
                stream.extend_from_slice(u.bytes(len.min(u.len()))?);
            } else if let Ok(packet) = packets::packet(u, version) {
                stream.extend_from_slice(&wire::encode(version, &packet));
            }
        }
        let stream = stream.freeze();
        Ok(Self { to_client, version, store, trace, maximum_packet_size, lens, stream })
    }

    fn pieces(&self) -> impl Iterator<Item = Bytes> {
        let mut lens = self.lens.iter().cycle();
        let mut rest = self.stream.clone();
        std::iter::from_fn(move || {
            let len = (*lens.next()?).min(rest.len());
            (!rest.is_empty()).then(|| rest.split_to(len))
        })
    }
}

fn first_packet(u: &mut Unstructured<'_>, to_client: bool, version: Version) -> Result<Packet> {
    if to_client {
        let connack = packets::connack(u, version)?;
        return Ok(Packet::ConnAck(
            ConnAck { session_present: false, reason: ReasonCode::Success, ..connack }.into(),
        ));
    }
    packets::connect(u, version).map(|connect| Packet::Connect(connect.into()))
}

fn client_plays(case: &Case, pieces: &mut dyn Iterator<Item = Bytes>) -> Seen {
    let mut client = Client::new(client::Options {
        version: case.version,
        store: case.store,
        trace: case.trace,
        maximum_packet_size: case.maximum_packet_size,
        ..client::Options::default()
    });
    client.handle_open(NOW, Credentials::default());
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce, QoS::ExactlyOnce] {
        client.publish(NOW, Outgoing::new("t", b"x").qos(qos)).expect("room in the queue");
    }
    let subscription =
        Subscription { filter: Text::new("t/#").expect("a text"), options: SubscribeOptions::default() };
    client.subscribe(NOW, &[subscription], None, &Properties::EMPTY).expect("it waits");
    let mut seen = Seen { events: Vec::new(), sent: Vec::new(), ended: None };
    let mut tokens = Vec::new();
    let mut input = BytesMut::new();
    while let (None, Some(piece)) = (seen.ended, pieces.next()) {
        input.extend_from_slice(&piece);
        seen.ended = client.handle_input(NOW, &mut input).err();
        seen.sent.extend_from_slice(&wire::drain(client.poll_transmit()));
        while let Some(event) = client.poll_event() {
            if let client::Event::Message(received) = &event {
                tokens.extend(received.ack);
            }
            seen.events.push(format!("{event:?}"));
        }
    }
    tokens.into_iter().rev().for_each(|token| client.acknowledge(NOW, token, ReasonCode::Success));
    seen.sent.extend_from_slice(&wire::drain(client.poll_transmit()));
    seen
}

fn slot_plays(case: &Case, pieces: &mut dyn Iterator<Item = Bytes>) -> Seen {
    let options = Arc::new(broker::Options {
        store: case.store,
        trace: case.trace,
        maximum_packet_size: case.maximum_packet_size,
        ..broker::Options::default()
    });
    let mut seen = Seen { events: Vec::new(), sent: Vec::new(), ended: None };
    let mut input = BytesMut::new();
    let mut handshake = Handshake::new(NOW, options.clone());
    while let (None, Some(piece)) = (seen.ended, pieces.next()) {
        input.extend_from_slice(&piece);
        match handshake.handle_input(NOW, &mut input) {
            Ok(None) => {}
            Ok(Some(HandshakeEvent::Connect(connect))) => {
                seen.events.push(format!("{connect:?}"));
                // None: CONNACK is larger than this client takes.
                let Some(accepted) = handshake.accept(NOW, None, &Properties::EMPTY, 1) else { return seen };
                let mut slot = Slot::new(connect.client_id.clone(), options, 1);
                slot.attach(NOW, accepted);
                slot_goes_on(&mut slot, &mut seen, input, pieces);
                return seen;
            }
            Ok(Some(HandshakeEvent::Auth(auth))) => panic!("{auth:?} before CONNECT"),
            Err(error) => seen.ended = Some(error),
        }
    }
    seen.sent.extend_from_slice(&wire::drain(handshake.poll_transmit()));
    seen
}

fn slot_goes_on(
    slot: &mut Slot,
    seen: &mut Seen,
    mut input: BytesMut,
    pieces: &mut dyn Iterator<Item = Bytes>,
) {
    let scratch = &mut Scratch::default();
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce, QoS::ExactlyOnce] {
        let message = message(qos);
        let mut routed = Routed::new(&message, NOW, scratch);
        let delivered = slot.deliver(NOW, &mut routed, &Grant { qos, ..Grant::default() }, Presence::Any);
        if let Delivered::Kept { sequence, .. } = delivered {
            slot.handle_kept_stored(NOW, [sequence]);
        }
    }
    let mut events = Vec::new();
    loop {
        seen.ended = slot.handle_input(NOW, &mut input).err();
        seen.sent.extend_from_slice(&slot.poll_transmit().map(wire::drain).unwrap_or_default());
        events.extend(std::iter::from_fn(|| slot.poll_event()));
        let (None, Some(piece)) = (seen.ended, pieces.next()) else { break };
        input.extend_from_slice(&piece);
    }
    for event in events {
        seen.events.push(format!("{event:?}"));
        answer(slot, event, scratch);
    }
    seen.sent.extend_from_slice(&slot.poll_transmit().map(wire::drain).unwrap_or_default());
}

fn answer(slot: &mut Slot, event: broker::Event, scratch: &mut Scratch) {
    let epoch = slot.epoch();
    match event {
        broker::Event::Publish { token: Some(token), .. } => {
            slot.handle_routed(NOW, token, ReasonCode::Success);
        }
        broker::Event::Subscribe(subscribe) => {
            let reasons = vec![ReasonCode::GrantedQoS1; subscribe.subscriptions.len()];
            slot.handle_subscribed(NOW, epoch, &subscribe, &reasons, [], scratch);
        }
        broker::Event::Unsubscribe(unsubscribe) => {
            let reasons = vec![ReasonCode::Success; unsubscribe.filters.len()];
            slot.handle_unsubscribed(epoch, unsubscribe.packet_id, &[], &reasons);
        }
        broker::Event::Record(sequence, _) => slot.handle_stored(NOW, sequence),
        _ => {}
    }
}

fn message(qos: QoS) -> Message {
    Message {
        topic: TopicName::new("t").expect("a name"),
        payload: Bytes::from_static(b"x"),
        qos,
        retain: false,
        expiry: None,
        properties: Properties::EMPTY,
    }
}
