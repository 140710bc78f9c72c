//! The core's paths that have to be short, one at a time: for a program that counts instructions.
//!
//! `paths decode|encode|route_q0|route_q1|client_publish|client_receive N` takes one path with N messages of 16
//! bytes. There is no I/O, no clock and no randomness in it, so that two runs count the same. `cargo xtask bench
//! counts` runs it.

#![allow(clippy::print_stdout, reason = "what is printed keeps the work from being optimised away")]

use std::error::Error;
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use karere_core::broker::{
    Event, Handshake, NewSubscription, Presence, Routed, Router, RouterLimits, Scratch, Slot, Target,
};
use karere_core::client::{self, Client, Credentials, Outgoing};
use karere_core::codec::{
    Ack, ConnAck, Connect, Message, Packet, PacketId, Properties, Publish, PublishHeader, QoS, ReasonCode,
    SubscribeOptions, SubscriptionIds, Version,
};
use karere_core::connection::Outbox;
use karere_core::text::Text;
use karere_core::time::Instant;
use karere_core::topic::{TopicFilter, TopicName};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const TOPIC: &str = "bench/0/state";
const PAYLOAD: [u8; 16] = [b'x'; 16];
/// Messages in one read.
const BURST: u64 = 100;
const NOW: Instant = Instant::ZERO;
const VERSION: Version = Version::V5;

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [path, count] = words.as_slice() else { return Err("paths PATH N".into()) };
    let count: u64 = count.parse()?;
    let total = match path.as_str() {
        "decode" => decode(count)?,
        "encode" => encode(count)?,
        "route_q0" => route(count, QoS::AtMostOnce)?,
        "route_q1" => route(count, QoS::AtLeastOnce)?,
        "client_publish" => client_publish(count)?,
        "client_receive" => client_receive(count)?,
        unknown => return Err(format!("no path {unknown}").into()),
    };
    println!("{total}");
    Ok(())
}

/// A PUBLISH at QoS 1 from bytes to a packet.
fn decode(count: u64) -> Result<usize> {
    let frame = publish_frame(QoS::AtLeastOnce, PacketId::from_sequence(0))?;
    let mut total = 0;
    for _ in 0..count {
        if let Packet::Publish(publish) = Packet::decode(VERSION, frame.clone())? {
            total += publish.message.payload.len();
        }
    }
    Ok(total)
}

/// The head of a PUBLISH at QoS 1, and its payload behind it.
fn encode(count: u64) -> Result<usize> {
    let (mut out, mut total) = (BytesMut::with_capacity(1 << 16), 0);
    for sequence in 0..count {
        out.clear();
        let header = PublishHeader {
            dup: false,
            qos: QoS::AtLeastOnce,
            retain: false,
            packet_id: Some(PacketId::from_sequence(sequence)),
            topic: TOPIC,
            topic_alias: None,
            expiry: None,
            subscription_ids: &[],
            properties: &Properties::EMPTY,
            payload_len: PAYLOAD.len(),
        };
        header.encode(VERSION, &mut out)?;
        out.extend_from_slice(&PAYLOAD);
        total += out.len();
    }
    Ok(total)
}

/// From the publisher's bytes to the subscriber's: read, matched, delivered, and acknowledged on both sides at QoS 1.
fn route(count: u64, qos: QoS) -> Result<usize> {
    let (mut publisher, mut subscriber) = (attached("publisher")?, attached("subscriber")?);
    let mut router = Router::new(1, RouterLimits::default());
    let filter = TopicFilter::new(TOPIC)?;
    let options = SubscribeOptions { qos, ..SubscribeOptions::default() };
    router
        .subscribe(&NewSubscription { session: 1_u32, filter: &filter, options, subscription_id: None })
        .map_err(|reason| reason.to_string())?;
    let (mut targets, mut scratch, mut total) = (Vec::new(), Scratch::default(), 0);
    let (burst, mut input, mut answers) = (burst(qos)?, BytesMut::new(), BytesMut::new());
    let mut delivered = 0;
    for _ in 0..count / BURST {
        input.extend_from_slice(&burst);
        publisher.handle_input(NOW, &mut input)?;
        while let Some(event) = publisher.poll_event() {
            let Event::Publish { message, token, .. } = event else { continue };
            router.route(Some(0), &message.topic, &mut targets);
            let mut routed = Routed::new(&message, NOW, &mut scratch);
            for target in &targets {
                if let Target::Session { grant, .. } = target {
                    subscriber.deliver(NOW, &mut routed, grant, Presence::Attached);
                }
            }
            if let Some(token) = token {
                publisher.handle_routed(NOW, token, ReasonCode::Success);
                // The subscriber's identifiers count from 1 on.
                let [high, low] = PacketId::from_sequence(delivered).get().to_be_bytes();
                answers.extend_from_slice(&[0x40, 2, high, low]);
                delivered += 1;
            }
        }
        total += written(&mut publisher) + written(&mut subscriber);
        subscriber.handle_input(NOW, &mut answers)?;
    }
    Ok(total)
}

/// A publish at QoS 1 and its acknowledgement.
fn client_publish(count: u64) -> Result<usize> {
    let (mut client, mut total) = (connected()?, 0);
    let mut bytes = BytesMut::new();
    for _ in 0..count {
        let id = client.publish(NOW, Outgoing::new(TOPIC, &PAYLOAD).qos(QoS::AtLeastOnce))?;
        total += sent(&mut client);
        let id = id.ok_or("QoS 1 has an identifier")?;
        Packet::PubAck(Ack::success(id)).encode(VERSION, &mut bytes)?;
        client.handle_input(NOW, &mut bytes)?;
        while client.poll_event().is_some() {
            total += 1;
        }
    }
    Ok(total)
}

/// A message at QoS 1, handed over and acknowledged.
fn client_receive(count: u64) -> Result<usize> {
    let (mut client, mut total) = (connected()?, 0);
    let (burst, mut input) = (burst(QoS::AtLeastOnce)?, BytesMut::new());
    for _ in 0..count / BURST {
        input.extend_from_slice(&burst);
        client.handle_input(NOW, &mut input)?;
        while let Some(event) = client.poll_event() {
            if let client::Event::Message(received) = event {
                total += received.message.payload.len();
                if let Some(token) = received.ack {
                    client.acknowledge(NOW, token, ReasonCode::Success);
                }
            }
        }
        total += sent(&mut client);
    }
    Ok(total)
}

/// What one read brings: made once, so that making it is not counted.
fn burst(qos: QoS) -> Result<BytesMut> {
    let mut out = BytesMut::new();
    for sequence in 0..BURST {
        out.extend_from_slice(&publish_frame(qos, PacketId::from_sequence(sequence))?);
    }
    Ok(out)
}

fn publish_frame(qos: QoS, id: PacketId) -> Result<Bytes> {
    let message = Message {
        topic: TopicName::new(TOPIC)?,
        payload: Bytes::from_static(&PAYLOAD),
        qos,
        retain: false,
        expiry: None,
        properties: Properties::EMPTY,
    };
    let packet_id = (qos != QoS::AtMostOnce).then_some(id);
    let subscription_ids = SubscriptionIds::default();
    frame(&Packet::Publish(Publish { dup: false, packet_id, topic_alias: None, subscription_ids, message }))
}

fn frame(packet: &Packet) -> Result<Bytes> {
    let mut out = BytesMut::new();
    packet.encode(VERSION, &mut out)?;
    Ok(out.freeze())
}

/// A client of the broker, with its CONNACK written.
fn attached(client_id: &str) -> Result<Slot> {
    let options = Arc::new(karere_core::broker::Options::default());
    let connect = Connect {
        version: VERSION,
        bridge: false,
        clean_start: true,
        keep_alive: 0,
        client_id: Text::new(client_id)?,
        will: None,
        username: None,
        password: None,
        properties: Properties::EMPTY,
    };
    let mut handshake = Handshake::new(NOW, options.clone());
    let mut input = BytesMut::from(&frame(&Packet::Connect(connect.into()))?[..]);
    handshake.handle_input(NOW, &mut input)?;
    let accepted = handshake.accept(NOW, None, &Properties::EMPTY, 1).ok_or("not accepted")?;
    let mut slot = Slot::new(Text::new(client_id)?, options, 1);
    slot.attach(NOW, accepted);
    written(&mut slot);
    Ok(slot)
}

/// Our client, with its CONNACK taken in.
fn connected() -> Result<Client> {
    let mut client = Client::new(client::Options::default());
    client.handle_open(NOW, Credentials::default());
    sent(&mut client);
    let connack =
        ConnAck { session_present: false, reason: ReasonCode::Success, properties: Properties::EMPTY };
    client.handle_input(NOW, &mut BytesMut::from(&frame(&Packet::ConnAck(connack.into()))?[..]))?;
    while client.poll_event().is_some() {}
    Ok(client)
}

/// Writes what waits; how many bytes that was.
fn written(slot: &mut Slot) -> usize {
    let bytes = slot.poll_transmit().map_or(0, emptied);
    slot.handle_written(NOW, bytes);
    bytes
}

fn sent(client: &mut Client) -> usize {
    let bytes = emptied(client.poll_transmit());
    client.handle_written(NOW, bytes);
    bytes
}

fn emptied(outbox: &mut Outbox) -> usize {
    let bytes = outbox.len();
    outbox.advance(bytes);
    bytes
}
