//! What stands in the values of the store: one small codec, drawn in `docs/internals/store.md`.
//!
//! The first byte of each value is its version. All numbers are little-endian.

use bytes::{Buf, Bytes};
use karere_core::codec::{
    Message, Properties, PropertyOwner, QoS, RetainHandling, SubscribeOptions, SubscriptionIds, Will,
};
use karere_core::topic::{TopicFilter, TopicName};
use karere_core::{Instant, Text};
use karere_store::{Batch, Key};

/// The tables.
pub mod table {
    /// A session: owner its number, item 0.
    pub const SESSION: u8 = 1;
    /// A subscription: owner the session, item its number within it.
    pub const SUBSCRIPTION: u8 = 2;
    /// A message that several sessions keep: owner its number, item 0.
    pub const MESSAGE: u8 = 3;
    /// A message of a session: owner the session, item the sequence number.
    pub const QUEUED: u8 = 4;
    /// A message held back while a SUBSCRIBE is worked on: owner the session, item its number among those.
    pub const HELD: u8 = 5;
    /// The identifier of an incoming QoS 2 message that is not released: owner the session, item the identifier.
    pub const UNRELEASED: u8 = 7;
    /// A retained message: owner its sequence number, item 0.
    pub const RETAINED: u8 = 8;
    /// What belongs to the broker: owner 0, item 0 the timeline.
    pub const META: u8 = 9;
    /// A Will: owner the session, item the connection that brought it.
    pub const WILL: u8 = 10;
}

/// The version of all values.
const VERSION: u8 = 1;

/// A session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRow {
    /// Its Client Identifier.
    pub client_id: Text,
    /// The user name that its owner has connected with.
    pub username: Option<Text>,
    /// Session Expiry Interval, in seconds.
    pub session_expiry: u32,
    /// When its connection ended; `None` while there is one.
    pub disconnected_at: Option<Instant>,
    /// The sequence number of the next message.
    pub next_sequence: u64,
    /// From which on nothing was ever sent, where that is known.
    pub unsent_from: Option<u64>,
}

/// A subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriptionRow {
    /// What it is to.
    pub filter: TopicFilter,
    /// How; the QoS is the one granted.
    pub options: SubscribeOptions,
    /// The Subscription Identifier.
    pub subscription_id: Option<u32>,
}

/// A message, and who has published it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageRow {
    /// The message.
    pub message: Message,
    /// When it expires.
    pub expires_at: Option<Instant>,
    /// The publisher's Client Identifier; `None` for the broker's own.
    pub publisher: Option<Text>,
}

/// How one session gets a message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Terms {
    /// At which QoS.
    pub qos: QoS,
    /// RETAIN as it goes out.
    pub retain: bool,
    /// The identifiers of the subscriptions that matched.
    pub subscription_ids: SubscriptionIds,
    /// The item of the session's subscription to the group that the copy comes from; 0 for none.
    pub share: u64,
}

/// A message of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QueuedRow {
    /// With the message itself: it is nobody else's.
    Inline(Terms, MessageRow),
    /// With the number of the message.
    Reference(Terms, u64),
    /// PUBREC has come.
    Received {
        /// The number of that PUBREC.
        order: u64,
    },
}

/// A Will.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WillRow {
    /// The Will.
    pub will: Will,
    /// Whose it is.
    pub client_id: Text,
}

/// The timeline, and what the clock on the wall said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TimelineRow {
    /// The timeline.
    pub at: Instant,
    /// Milliseconds since 1970.
    pub wall_millis: u64,
}

const INLINE: u8 = 1;
const REFERENCE: u8 = 2;
const RECEIVED: u8 = 3;

const QOS: u8 = 0b0000_0011;
const RETAIN: u8 = 0b0000_0100;
const EXPIRY: u8 = 0b0000_1000;
const EXPIRES_AT: u8 = 0b0001_0000;
const PUBLISHER: u8 = 0b0010_0000;
const NO_LOCAL: u8 = 0b0000_1000;
const RETAIN_HANDLING_SHIFT: u32 = 4;

const USERNAME: u8 = 0b0001;
const DISCONNECTED: u8 = 0b0010;
const UNSENT: u8 = 0b0100;

impl SessionRow {
    pub(super) fn put(&self, batch: &mut Batch, session: u64) {
        batch.put_with(Key::new(table::SESSION, session, 0), |out| {
            let flag = |is: bool, flag| if is { flag } else { 0 };
            out.push(VERSION);
            out.push(
                flag(self.username.is_some(), USERNAME)
                    | flag(self.disconnected_at.is_some(), DISCONNECTED)
                    | flag(self.unsent_from.is_some(), UNSENT),
            );
            put_u32(out, self.session_expiry);
            put_u64(out, self.next_sequence);
            put_text(out, &self.client_id);
            self.username.iter().for_each(|name| put_text(out, name));
            self.disconnected_at.iter().for_each(|at| put_u64(out, at.as_millis()));
            self.unsent_from.iter().for_each(|from| put_u64(out, *from));
        });
    }

    pub(super) fn decode(value: &[u8]) -> Option<Self> {
        let mut value = versioned(value)?;
        let flags = take_u8(&mut value)?;
        Some(Self {
            session_expiry: take_u32(&mut value)?,
            next_sequence: take_u64(&mut value)?,
            client_id: take_text(&mut value)?,
            username: take_if(flags, USERNAME, || take_text(&mut value))?,
            disconnected_at: take_if(flags, DISCONNECTED, || take_instant(&mut value))?,
            unsent_from: take_if(flags, UNSENT, || take_u64(&mut value))?,
        })
    }
}

impl SubscriptionRow {
    pub(super) fn put(&self, batch: &mut Batch, session: u64, item: u64) {
        batch.put_with(Key::new(table::SUBSCRIPTION, session, item), |out| {
            let SubscribeOptions { qos, no_local, retain_as_published, retain_handling } = self.options;
            out.push(VERSION);
            out.push(
                qos.bits()
                    | if retain_as_published { RETAIN } else { 0 }
                    | if no_local { NO_LOCAL } else { 0 }
                    | (retain_handling as u8) << RETAIN_HANDLING_SHIFT,
            );
            put_u32(out, self.subscription_id.unwrap_or(0));
            put_text(out, self.filter.as_text());
        });
    }

    pub(super) fn decode(value: &[u8]) -> Option<Self> {
        let mut value = versioned(value)?;
        let flags = take_u8(&mut value)?;
        let options = SubscribeOptions {
            qos: QoS::from_bits(flags & QOS)?,
            no_local: flags & NO_LOCAL != 0,
            retain_as_published: flags & RETAIN != 0,
            retain_handling: match flags >> RETAIN_HANDLING_SHIFT {
                0 => RetainHandling::SendAtSubscribe,
                1 => RetainHandling::SendIfNew,
                _ => RetainHandling::DoNotSend,
            },
        };
        let subscription_id = Some(take_u32(&mut value)?).filter(|id| *id > 0);
        let filter = TopicFilter::from_text(take_text(&mut value)?).ok()?;
        Some(Self { filter, options, subscription_id })
    }
}

/// A message as it is about to be written: borrowed.
#[derive(Debug, Clone, Copy)]
pub struct MessageRef<'a> {
    /// The message.
    pub message: &'a Message,
    /// When it expires.
    pub expires_at: Option<Instant>,
    /// The publisher's Client Identifier; `None` for the broker's own.
    pub publisher: Option<&'a Text>,
}

impl MessageRef<'_> {
    pub(super) fn put(&self, batch: &mut Batch, number: u64) {
        batch.put_with(Key::new(table::MESSAGE, number, 0), |out| {
            out.push(VERSION);
            self.encode(out);
        });
    }

    pub(super) fn put_retained(&self, batch: &mut Batch, sequence: u64) {
        batch.put_with(Key::new(table::RETAINED, sequence, 0), |out| {
            out.push(VERSION);
            self.encode(out);
        });
    }

    pub(super) fn put_queued(&self, batch: &mut Batch, session: u64, sequence: u64, terms: &Terms) {
        batch.put_with(Key::new(table::QUEUED, session, sequence), |out| {
            out.extend_from_slice(&[VERSION, INLINE]);
            terms.encode(out);
            self.encode(out);
        });
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let Message { topic, payload, qos, retain, expiry, properties } = self.message;
        let flag = |is: bool, flag| if is { flag } else { 0 };
        out.reserve(64 + self.message.size_bytes());
        out.push(
            qos.bits()
                | flag(*retain, RETAIN)
                | flag(expiry.is_some(), EXPIRY)
                | flag(self.expires_at.is_some(), EXPIRES_AT)
                | flag(self.publisher.is_some(), PUBLISHER),
        );
        expiry.iter().for_each(|seconds| put_u32(out, *seconds));
        self.expires_at.iter().for_each(|at| put_u64(out, at.as_millis()));
        self.publisher.iter().for_each(|publisher| put_text(out, publisher));
        put_text(out, topic.as_text());
        put_bytes(out, properties.as_bytes());
        put_bytes(out, payload);
    }
}

impl MessageRow {
    pub(super) fn decode(value: &[u8]) -> Option<Self> {
        Self::decode_rest(&mut Bytes::copy_from_slice(versioned(value)?))
    }

    /// In memory of its own: `value`'s, which nobody else has.
    fn decode_rest(value: &mut Bytes) -> Option<Self> {
        let flags = take_u8_of(value)?;
        let expiry = take_if(flags, EXPIRY, || value.try_get_u32_le().ok())?;
        let expires_at =
            take_if(flags, EXPIRES_AT, || value.try_get_u64_le().ok().map(Instant::from_millis))?;
        let publisher = take_if(flags, PUBLISHER, || Text::from_bytes(take_shared(value, 2)?).ok())?;
        let topic = TopicName::from_text(Text::from_bytes(take_shared(value, 2)?).ok()?).ok()?;
        let properties = match take_shared(value, 4)? {
            none if none.is_empty() => Properties::EMPTY,
            block => Properties::decode(block, PropertyOwner::Message).ok()?,
        };
        let payload = take_shared(value, 4)?;
        let (qos, retain) = (QoS::from_bits(flags & QOS)?, flags & RETAIN != 0);
        Some(Self {
            message: Message { topic, payload, qos, retain, expiry, properties },
            expires_at,
            publisher,
        })
    }
}

impl Terms {
    pub(super) fn put_reference(&self, batch: &mut Batch, session: u64, sequence: u64, number: u64) {
        self.put(batch, Key::new(table::QUEUED, session, sequence), number);
    }

    pub(super) fn put_held(&self, batch: &mut Batch, session: u64, held: u64, number: u64) {
        self.put(batch, Key::new(table::HELD, session, held), number);
    }

    fn put(&self, batch: &mut Batch, key: Key, number: u64) {
        batch.put_with(key, |out| {
            out.extend_from_slice(&[VERSION, REFERENCE]);
            self.encode(out);
            put_u64(out, number);
        });
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let ids = self.subscription_ids.as_slice();
        out.push(self.qos.bits() | if self.retain { RETAIN } else { 0 });
        put_u64(out, self.share);
        put_u32(out, u32::try_from(ids.len()).unwrap_or(u32::MAX));
        ids.iter().for_each(|id| put_u32(out, *id));
    }

    fn decode(value: &mut &[u8]) -> Option<Self> {
        let flags = take_u8(value)?;
        let (qos, retain) = (QoS::from_bits(flags & QOS)?, flags & RETAIN != 0);
        let share = take_u64(value)?;
        let count = take_u32(value)?;
        let subscription_ids = (0..count).map(|_| take_u32(value)).collect::<Option<SubscriptionIds>>()?;
        Some(Self { qos, retain, subscription_ids, share })
    }
}

impl QueuedRow {
    pub(super) fn put_received(batch: &mut Batch, session: u64, sequence: u64, order: u64) {
        batch.put_with(Key::new(table::QUEUED, session, sequence), |out| {
            out.extend_from_slice(&[VERSION, RECEIVED]);
            put_u64(out, order);
        });
    }

    pub(super) fn decode(value: &[u8]) -> Option<Self> {
        let mut value = versioned(value)?;
        match take_u8(&mut value)? {
            INLINE => {
                let terms = Terms::decode(&mut value)?;
                Some(Self::Inline(terms, MessageRow::decode_rest(&mut Bytes::copy_from_slice(value))?))
            }
            REFERENCE => Some(Self::Reference(Terms::decode(&mut value)?, take_u64(&mut value)?)),
            RECEIVED => Some(Self::Received { order: take_u64(&mut value)? }),
            _ => None,
        }
    }
}

impl WillRow {
    pub(super) fn put(will: &Will, client_id: &Text, batch: &mut Batch, session: u64, item: u64) {
        batch.put_with(Key::new(table::WILL, session, item), |out| {
            out.push(VERSION);
            put_u32(out, will.delay);
            MessageRef { message: &will.message, expires_at: None, publisher: Some(client_id) }.encode(out);
        });
    }

    pub(super) fn decode(value: &[u8]) -> Option<Self> {
        let mut value = versioned(value)?;
        let delay = take_u32(&mut value)?;
        let MessageRow { message, publisher, .. } =
            MessageRow::decode_rest(&mut Bytes::copy_from_slice(value))?;
        Some(Self { will: Will { message, delay }, client_id: publisher? })
    }
}

impl TimelineRow {
    pub(super) fn put(self, batch: &mut Batch) {
        batch.put_with(Key::new(table::META, 0, 0), |out| {
            out.push(VERSION);
            put_u64(out, self.at.as_millis());
            put_u64(out, self.wall_millis);
        });
    }

    pub(super) fn decode(value: &[u8]) -> Option<Self> {
        let mut value = versioned(value)?;
        Some(Self { at: take_instant(&mut value)?, wall_millis: take_u64(&mut value)? })
    }
}

/// What follows the version.
fn versioned(value: &[u8]) -> Option<&[u8]> {
    value.split_first().filter(|(version, _)| **version == VERSION).map(|(_, rest)| rest)
}

fn put_u32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_le_bytes());
}

fn put_u64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_le_bytes());
}

/// At most 65,535 bytes, as any text is.
fn put_text(out: &mut Vec<u8>, text: &Text) {
    out.extend_from_slice(&u16::try_from(text.len()).unwrap_or(u16::MAX).to_le_bytes());
    out.extend_from_slice(text.as_str().as_bytes());
}

/// At most 256 MiB, as any packet is.
fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_u32(out, u32::try_from(bytes.len()).unwrap_or(u32::MAX));
    out.extend_from_slice(bytes);
}

fn take_u8(value: &mut &[u8]) -> Option<u8> {
    let (first, rest) = value.split_first()?;
    *value = rest;
    Some(*first)
}

fn take_u8_of(value: &mut Bytes) -> Option<u8> {
    value.try_get_u8().ok()
}

fn take_u32(value: &mut &[u8]) -> Option<u32> {
    value.try_get_u32_le().ok()
}

fn take_u64(value: &mut &[u8]) -> Option<u64> {
    value.try_get_u64_le().ok()
}

fn take_instant(value: &mut &[u8]) -> Option<Instant> {
    take_u64(value).map(Instant::from_millis)
}

fn take_text(value: &mut &[u8]) -> Option<Text> {
    let len = usize::from(value.try_get_u16_le().ok()?);
    let (text, rest) = value.split_at_checked(len)?;
    *value = rest;
    Text::from_bytes(Bytes::copy_from_slice(text)).ok()
}

/// So many bytes as the `width` bytes before them say.
fn take_shared(value: &mut Bytes, width: usize) -> Option<Bytes> {
    let len = usize::try_from(value.try_get_uint_le(width).ok()?).ok()?;
    (len <= value.len()).then(|| value.split_to(len))
}

/// What is there only if the flag is set.
fn take_if<T>(flags: u8, flag: u8, take: impl FnOnce() -> Option<T>) -> Option<Option<T>> {
    if flags & flag == 0 { Some(None) } else { take().map(Some) }
}
