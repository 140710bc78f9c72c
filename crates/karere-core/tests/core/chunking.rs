//! However the bytes are cut into pieces: the same events, the same answers, the same error.

use std::sync::Arc;

use bytes::BytesMut;
use karere_core::broker::{self, Delivered, Grant, Handshake, Presence, Routed, Scratch, Slot};
use karere_core::client::{Client, Credentials, Outgoing};
use karere_core::codec::{
    ConnAck, Connect, Message, Packet, Properties, QoS, ReasonCode, Subscription, Version,
};
use karere_core::topic::TopicName;
use karere_core::{Error, Instant, Text};
use proptest::prelude::*;

use crate::network::{lasting, take};
use crate::packets::{encode, packet};

pub(crate) const NOW: Instant = Instant::from_millis(1_000_000);

/// What came of it: events, bytes sent, and how it ended.
type Outcome = (Vec<String>, BytesMut, Result<(), Error>);

/// A client that is connecting, with messages of each QoS and a request on their way once it is through.
pub(crate) fn client(version: Version) -> Client {
    let mut client = Client::new(lasting(version, "c"));
    client.handle_open(NOW, Credentials::default());
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce, QoS::ExactlyOnce] {
        client.publish(NOW, Outgoing::new("t", b"mine").qos(qos)).expect("room for it");
    }
    let subscription = Subscription { filter: Text::new("t").expect("a text"), options: Default::default() };
    client.subscribe(NOW, &[subscription], None, &Properties::EMPTY).expect("room for it");
    client
}

pub(crate) fn connack(session_present: bool) -> Packet {
    Packet::ConnAck(
        ConnAck { session_present, reason: ReasonCode::Success, properties: Properties::EMPTY }.into(),
    )
}

pub(crate) fn connect(version: Version) -> Connect {
    Connect {
        version,
        bridge: false,
        clean_start: false,
        keep_alive: 0,
        client_id: Text::new("c").expect("a text"),
        will: None,
        username: None,
        password: None,
        properties: match version {
            Version::V5 => {
                let expiry = karere_core::codec::Property::SessionExpiryInterval(u32::MAX);
                Properties::from_properties([expiry]).expect("it fits")
            }
            _ => Properties::EMPTY,
        },
    }
}

/// Attaches a new connection to a slot.
pub(crate) fn attach(slot: &mut Slot, options: &Arc<broker::Options>, version: Version) {
    let mut handshake = Handshake::new(NOW, options.clone());
    let mut input = encode(version, &[Packet::Connect(connect(version).into())]);
    handshake.handle_input(NOW, &mut input).expect("a CONNECT");
    slot.attach(NOW, handshake.accept(NOW, None, &Properties::EMPTY, 1).expect("CONNECT has come"));
}

pub(crate) fn deliver(slot: &mut Slot, payload: &'static [u8], qos: QoS) -> Delivered {
    let message = Message {
        topic: TopicName::new("t").expect("a name"),
        payload: payload.into(),
        qos,
        retain: false,
        expiry: None,
        properties: Properties::EMPTY,
    };
    let mut scratch = Scratch::default();
    let mut routed = Routed::new(&message, NOW, &mut scratch);
    slot.deliver(NOW, &mut routed, &Grant { qos, ..Grant::default() }, Presence::Any)
}

fn slot(version: Version) -> Slot {
    let options = Arc::new(broker::Options::default());
    let mut slot = Slot::new(Text::new("c").expect("a text"), options.clone(), 1);
    attach(&mut slot, &options, version);
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce, QoS::ExactlyOnce] {
        deliver(&mut slot, b"theirs", qos);
    }
    slot
}

/// Feeds `bytes` in pieces of these lengths in turn, to whatever `feed` is.
fn in_pieces(
    bytes: &[u8],
    lengths: &[usize],
    mut feed: impl FnMut(&mut BytesMut) -> Result<(), Error>,
) -> Result<(), Error> {
    let (mut input, mut rest, mut lengths) = (BytesMut::new(), bytes, lengths.iter().cycle());
    while !rest.is_empty() {
        let len = lengths.next().map_or(rest.len(), |len| *len).min(rest.len());
        let (piece, left) = rest.split_at(len);
        input.extend_from_slice(piece);
        rest = left;
        feed(&mut input)?;
    }
    Ok(())
}

fn client_outcome(version: Version, bytes: &[u8], lengths: &[usize]) -> Outcome {
    let mut client = client(version);
    let result = in_pieces(bytes, lengths, |input| client.handle_input(NOW, input));
    let mut events = Vec::new();
    while let Some(event) = client.poll_event() {
        if let karere_core::client::Event::Message(received) = &event
            && let Some(token) = received.ack
        {
            client.acknowledge(NOW, token, ReasonCode::Success);
        }
        events.push(format!("{event:?}"));
    }
    (events, take(client.poll_transmit()), result)
}

fn slot_outcome(version: Version, bytes: &[u8], lengths: &[usize]) -> Outcome {
    let mut slot = slot(version);
    let result = in_pieces(bytes, lengths, |input| slot.handle_input(NOW, input));
    let mut events = Vec::new();
    while let Some(event) = slot.poll_event() {
        if let broker::Event::Publish { token: Some(token), .. } = &event {
            slot.handle_routed(NOW, *token, ReasonCode::Success);
        }
        events.push(format!("{event:?}"));
    }
    (events, slot.poll_transmit().map(take).unwrap_or_default(), result)
}

fn stream(version: Version) -> impl Strategy<Value = Vec<Packet>> {
    prop::collection::vec(packet(version), 0..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_client_sees_the_same_in_whatever_pieces_it_comes(
        (version, packets) in prop_oneof![Just(Version::V311), Just(Version::V5)]
            .prop_flat_map(|version| (Just(version), stream(version))),
        lengths in prop::collection::vec(1..30_usize, 1..10),
        present in any::<bool>(),
    ) {
        let mut bytes = encode(version, &[connack(present)]);
        bytes.extend_from_slice(&encode(version, &packets));
        let whole = client_outcome(version, &bytes, &[usize::MAX]);
        prop_assert_eq!(&client_outcome(version, &bytes, &lengths), &whole);
        prop_assert_eq!(&client_outcome(version, &bytes, &[1]), &whole);
    }

    #[test]
    fn a_slot_sees_the_same_in_whatever_pieces_it_comes(
        (version, packets) in prop_oneof![Just(Version::V311), Just(Version::V5)]
            .prop_flat_map(|version| (Just(version), stream(version))),
        lengths in prop::collection::vec(1..30_usize, 1..10),
    ) {
        let bytes = encode(version, &packets);
        let whole = slot_outcome(version, &bytes, &[usize::MAX]);
        prop_assert_eq!(&slot_outcome(version, &bytes, &lengths), &whole);
        prop_assert_eq!(&slot_outcome(version, &bytes, &[1]), &whole);
    }
}

#[test]
fn what_is_not_whole_stays_in_the_callers_buffer() {
    let mut client = client(Version::V5);
    let bytes = encode(Version::V5, &[connack(false)]);
    let mut input = BytesMut::from(&bytes[..bytes.len() - 1]);
    client.handle_input(NOW, &mut input).expect("nothing wrong yet");
    assert_eq!(input.len(), bytes.len() - 1);
    assert!(client.poll_event().is_none());
    assert!(!client.is_connected());
}
