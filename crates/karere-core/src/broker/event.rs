//! What a slot tells its host, and what the host tells it.

use alloc::vec::Vec;

use super::{ShareKey, StoredEntry};
use crate::codec::{Auth, Disconnect, Message, PacketId, QoS, Subscribe, Unsubscribe};
use crate::connection::PacketTrace;
use crate::session::AckToken;
use crate::store::{Record, StoreSequence};
use crate::time::Instant;
use crate::topic::TopicFilter;

/// What [`Slot::poll_event`](super::Slot::poll_event) hands out. Questions wait for an answer of the host's; the
/// connection goes on meanwhile.
#[derive(Debug, Clone)]
pub enum Event {
    /// A message to be routed. At QoS > 0 it is answered with [`Slot::handle_routed`](super::Slot::handle_routed),
    /// once it is routed and durable where it has to be.
    Publish {
        /// The message, its topic resolved; its expiry counts from now.
        message: Message,
        /// What is answered; QoS > 0.
        token: Option<AckToken>,
        /// DUP.
        dup: bool,
    },
    /// To be answered with [`Slot::handle_subscribed`](super::Slot::handle_subscribed). Until then what is delivered
    /// is held back, so that the retained messages come first. The filters are unchecked.
    Subscribe(Subscribe),
    /// To be answered with [`Slot::handle_unsubscribed`](super::Slot::handle_unsubscribed). The filters are unchecked.
    Unsubscribe(Unsubscribe),
    /// The client authenticates again (§4.12.1), to be answered with [`Slot::handle_authenticated`](super::Slot::handle_authenticated).
    Auth(Auth),
    /// The Will is due: to be routed as the client's message.
    Will(Message),
    /// The connection broke: messages of Shared Subscriptions that were not sent, or sent at QoS 1 and not
    /// acknowledged, for another member of the group [MQTT-4.8.2-5].
    Redistribute(Vec<SharedDelivery>),
    /// The client said goodbye: close.
    Disconnected(Disconnect),
    /// The session has expired: the host takes it out of its registry and calls [`Slot::end`](super::Slot::end).
    Expired,
    /// To be stored; tell [`Slot::handle_stored`](super::Slot::handle_stored) when it is. Only with [`Options::store`](super::Options::store).
    Record(StoreSequence, Record),
    /// One packet went out or came in, while [`Options::trace`](super::Options::trace) is on.
    Trace(PacketTrace),
}

/// A message of a Shared Subscription on its way to another member.
#[derive(Debug, Clone)]
pub struct SharedDelivery {
    /// Which group.
    pub key: ShareKey,
    /// The message.
    pub message: Message,
    /// When it expires.
    pub expires_at: Option<Instant>,
    /// At which QoS it was to be sent.
    pub qos: QoS,
    /// Where the session that gives it back [is stored](super::Slot::is_stored): what is stored there of it, to go when another
    /// member, or nobody, has it.
    pub stored: Option<StoredEntry>,
}

/// What became of a message given to [`Slot::deliver`](super::Slot::deliver).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivered {
    /// Sent, or queued.
    Taken,
    /// Sent, or queued, at QoS > 0 by a session that [is stored](super::Slot::is_stored): to be stored. What becomes of it is an
    /// [`Event::Record`]. At QoS 2 it is sent when [`Slot::handle_kept_stored`](super::Slot::handle_kept_stored) says that it is durable.
    Kept {
        /// Its number in this session; its packet identifier is a function of it.
        sequence: u64,
        /// At which QoS it goes out.
        qos: QoS,
        /// RETAIN as it goes out.
        retain: bool,
    },
    /// The same while a SUBSCRIBE is worked on: its sequence number follows, with [`Record::Numbered`].
    Held {
        /// Names it until then: numbers of one session rise.
        number: u64,
        /// At which QoS it goes out.
        qos: QoS,
        /// RETAIN as it goes out.
        retain: bool,
    },
    /// Not taken: it would be [held](Self::Held), and has no [tag](super::Routed::set_tag) by which the store knows it. Give it one,
    /// and deliver it again.
    NeedsTag,
    /// Sent, at QoS 0, and more waits than [`Options::outbox_high_bytes`](super::Options::outbox_high_bytes): the publisher is not to be read until
    /// this client has drained, or for 100 ms.
    Pressure,
    /// Dropped by policy, and counted.
    Dropped(DropReason),
    /// Not taken: nobody is attached, and the session keeps nothing or was to be asked only if attached.
    Absent,
    /// Not taken: the session is over.
    Ended,
}

/// Why a message was dropped; each has its count in [`SlotCounters`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DropReason {
    /// The session's queue is full.
    QueueFull,
    /// QoS 0 for a client that does not read.
    Slow,
    /// QoS 0 for a session without a client.
    Offline,
    /// Larger than the client's Maximum Packet Size [MQTT-3.1.2-25].
    TooLarge,
    /// Its Message Expiry Interval passed.
    Expired,
}

/// What a slot has counted since it was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SlotCounters {
    /// PUBLISH packets sent, also again.
    pub published: u64,
    /// Dropped because the queue was full.
    pub dropped_queue_full: u64,
    /// Dropped at QoS 0 because the client did not read.
    pub dropped_slow: u64,
    /// Dropped at QoS 0 because there was no client.
    pub dropped_offline: u64,
    /// Dropped because larger than the client takes.
    pub dropped_too_large: u64,
    /// Dropped because expired.
    pub dropped_expired: u64,
    /// QoS > 0 that the client refused, with a reason code of 0x80 or above in PUBACK or PUBREC.
    pub refused: u64,
}

impl SlotCounters {
    pub(super) fn drop(&mut self, reason: DropReason) -> Delivered {
        *match reason {
            DropReason::QueueFull => &mut self.dropped_queue_full,
            DropReason::Slow => &mut self.dropped_slow,
            DropReason::Offline => &mut self.dropped_offline,
            DropReason::TooLarge => &mut self.dropped_too_large,
            DropReason::Expired => &mut self.dropped_expired,
        } += 1;
        Delivered::Dropped(reason)
    }
}

/// What is left of a session that was [ended](super::Slot::end).
#[derive(Debug, Default)]
pub struct Ending {
    /// The Will, if it was not sent: to be routed now [MQTT-3.1.2-8].
    pub will: Option<Message>,
    /// What was subscribed to: to be taken out of the router.
    pub filters: Vec<TopicFilter>,
    /// Messages of Shared Subscriptions for other members.
    pub shared: Vec<SharedDelivery>,
    /// Where it was stored: the records that nobody had taken, in their order. They come before the rest.
    pub records: Vec<Record>,
    /// Where it was stored: the messages that end with it. Not those of [`shared`](Self::shared), which say it themselves.
    pub entries: Vec<StoredEntry>,
    /// Where it was stored: what was [held back](Delivered::Held), by its number, with the host's of the message.
    pub held: Vec<(u64, u64)>,
    /// Where it was stored: the packet identifiers that were not released.
    pub unreleased: Vec<PacketId>,
}

/// Whom a message is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// The session, whether a client is attached or not.
    Any,
    /// Only if a client is attached: the first round through a Shared Subscription's members.
    Attached,
}
