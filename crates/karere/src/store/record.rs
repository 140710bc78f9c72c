//! The values of a client's store. Each begins with the number of its form, 1.

use std::collections::BTreeSet;

use bytes::Bytes;
use karere_core::client::{MessageState, Outgoing, Payload, Restored, RestoredMessage};
use karere_core::codec::{Message, PacketId, Properties, PropertyOwner, QoS};
use karere_core::topic::TopicName;
use karere_core::{Instant, Text};
use karere_store::{Disk, Key, Log};

use super::StoreError;

/// A kind of value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Table(u8);

// A broker's tables have other numbers: neither takes the other's store for its own.
/// Item 0: the Client Identifier that the session is under.
pub(super) const SESSION: Table = Table(64);
/// By sequence number: a message that is not acknowledged.
pub(super) const PUBLISHED: Table = Table(65);
/// By sequence number, in place of the message: PUBREC came for it, as which one.
pub(super) const RECEIVED: Table = Table(66);
/// By packet identifier: an incoming QoS 2 message that its consumer is done with.
pub(super) const TAKEN: Table = Table(67);

const FORM: u8 = 1;
const QOS: u8 = 0b0011;
const RETAIN: u8 = 0b0100;
const EXPIRES: u8 = 0b1000;

/// What the store knows beside what a client does.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) client_id: Option<Text>,
    pub(super) taken: BTreeSet<u16>,
}

impl Table {
    pub(super) fn key(self, item: u64) -> Key {
        Key::new(self.0, 0, item)
    }
}

/// A message as it is kept:
///
/// ```text
/// form  flags  [expires at]  topic's length  properties' length  topic  properties  payload
///   1     1         8               2                4
/// ```
///
/// with QoS in bits 0 and 1 of the flags, RETAIN in bit 2, and in bit 3 whether it expires: in milliseconds of the wall clock.
pub(super) fn encode(message: &Outgoing<'_>, wall_millis: impl Fn() -> u64, out: &mut Vec<u8>) {
    let flag = |on: bool, bit: u8| if on { bit } else { 0 };
    let flags = message.qos.bits() | flag(message.retain, RETAIN) | flag(message.expiry.is_some(), EXPIRES);
    let (topic, properties) = (message.topic.as_bytes(), message.properties.as_bytes());
    let payload: &[u8] = match &message.payload {
        Payload::Borrowed(payload) => payload,
        Payload::Shared(payload) => payload,
    };
    out.reserve(16 + topic.len() + properties.len() + payload.len());
    out.extend_from_slice(&[FORM, flags]);
    if let Some(seconds) = message.expiry {
        out.extend_from_slice(&(wall_millis() + u64::from(seconds) * 1000).to_le_bytes());
    }
    // The core has taken the message: both fit.
    out.extend_from_slice(&u16::try_from(topic.len()).unwrap_or(u16::MAX).to_le_bytes());
    out.extend_from_slice(&u32::try_from(properties.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend_from_slice(topic);
    out.extend_from_slice(properties);
    out.extend_from_slice(payload);
}

pub(super) fn encode_client_id(client_id: &Text, out: &mut Vec<u8>) {
    out.push(FORM);
    out.extend_from_slice(client_id.as_bytes());
}

pub(super) fn encode_number(number: u64, out: &mut Vec<u8>) {
    out.push(FORM);
    out.extend_from_slice(&number.to_le_bytes());
}

pub(super) fn encode_nothing(out: &mut Vec<u8>) {
    out.push(FORM);
}

/// Reads a session back.
pub(super) fn read<D: Disk>(
    log: &Log<D>,
    now: Instant,
    wall_millis: u64,
) -> Result<(Found, Restored), StoreError> {
    let mut restored = Restored::default();
    let mut unknown = None;
    let visited = log.visit(
        |_| true,
        |key, value| {
            if value_of(key, value, now, wall_millis, &mut restored).is_none() {
                unknown = Some(key);
            }
        },
    );
    visited.map_err(|error| StoreError::Open(error.to_string()))?;
    if let Some(key) = unknown {
        let text =
            format!("{key:?} is nothing that this release's client keeps: use the release that wrote it");
        return Err(StoreError::Open(text));
    }
    restored.messages.sort_unstable_by_key(|message| message.sequence);
    let taken = restored.taken.iter().map(|packet_id| packet_id.get()).collect();
    Ok((Found { client_id: restored.client_id.clone(), taken }, restored))
}

fn value_of(key: Key, value: &[u8], now: Instant, wall_millis: u64, restored: &mut Restored) -> Option<()> {
    let value = value.strip_prefix(&[FORM])?;
    let sequence = key.item;
    match Table(key.table) {
        SESSION => restored.client_id = Some(Text::new(std::str::from_utf8(value).ok()?).ok()?),
        PUBLISHED => {
            let (message, expires_at) = decode(value, now, wall_millis)?;
            let state = MessageState::Published { message, expires_at };
            restored.messages.push(RestoredMessage { sequence, state });
        }
        RECEIVED => {
            let order = u64::from_le_bytes(value.try_into().ok()?);
            restored.messages.push(RestoredMessage { sequence, state: MessageState::Received { order } });
        }
        TAKEN => restored.taken.push(PacketId::new(u16::try_from(key.item).ok()?)?),
        _ => return None,
    }
    Some(())
}

fn decode(mut value: &[u8], now: Instant, wall_millis: u64) -> Option<(Message, Option<Instant>)> {
    let [flags] = take(&mut value)?;
    let expires_at = if flags & EXPIRES == 0 { None } else { Some(u64::from_le_bytes(take(&mut value)?)) };
    let topic_len = u16::from_le_bytes(take(&mut value)?);
    let properties_len = u32::from_le_bytes(take(&mut value)?);
    let (topic, value) = value.split_at_checked(topic_len.into())?;
    let (properties, payload) = value.split_at_checked(usize::try_from(properties_len).ok()?)?;
    let message = Message {
        topic: TopicName::new(std::str::from_utf8(topic).ok()?).ok()?,
        payload: Bytes::copy_from_slice(payload),
        qos: QoS::from_bits(flags & QOS)?,
        retain: flags & RETAIN != 0,
        expiry: None,
        properties: Properties::decode(Bytes::copy_from_slice(properties), PropertyOwner::Message).ok()?,
    };
    Some((message, expires_at.map(|at| now.plus_millis(at.saturating_sub(wall_millis)))))
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*first)
}
