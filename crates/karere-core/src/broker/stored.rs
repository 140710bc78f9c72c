//! What a store knows of a session: what it is given back after a restart, and what goes with the session.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::{Options, ShareKey};
use crate::codec::{Message, PacketId, QoS, SubscriptionIds, Will};
use crate::time::Instant;
use crate::topic::TopicFilter;

/// A session as its store has it: what [`Slot::restore`](super::Slot::restore) makes a slot of.
#[derive(Debug, Default)]
pub struct Restored {
    /// What is subscribed to.
    pub filters: Vec<TopicFilter>,
    /// The sequence number of the next message, where it is known to be above all [`entries`](Self::entries).
    pub next_sequence: u64,
    /// From this sequence number on nothing has ever been sent: [`Slot::unsent_from`](super::Slot::unsent_from) as it
    /// was when the connection ended, where nothing was attached since. `None` where it is not known: then all
    /// may have been sent.
    pub unsent_from: Option<u64>,
    /// What was sent and is not acknowledged, and what waits.
    pub entries: Vec<RestoredEntry>,
    /// What was [held back](super::Delivered::Held) when the broker stopped, in its order. Each gets its sequence
    /// number, and a [`Record::Numbered`](crate::store::Record::Numbered) says which.
    pub held: Vec<RestoredHeld>,
    /// Identifiers of QoS 2 messages from the client that were answered with PUBREC, or would have been, and are not released.
    pub unreleased: Vec<PacketId>,
    /// The Will, if it was not sent.
    pub will: Option<Will>,
    /// Session Expiry Interval in seconds, as it was last in force.
    pub session_expiry: u32,
    /// When the client's last connection ended; the Will's delay and the session's expiry count from it.
    pub disconnected_at: Instant,
}

/// One message of a session as its store has it.
#[derive(Debug, Clone)]
pub struct RestoredEntry {
    /// Its sequence number, of which its packet identifier is a function.
    pub sequence: u64,
    /// How far it has come.
    pub state: EntryState,
}

/// How far a message of a session has come.
#[derive(Debug, Clone)]
pub enum EntryState {
    /// It waits, or was sent.
    Kept(StoredMessage),
    /// PUBREC came: only PUBREL is to be sent.
    Received {
        /// The number of that PUBREC: PUBRELs are sent again in the order of these [MQTT-4.6.0-4].
        order: u64,
    },
}

/// One message that was held back while a SUBSCRIBE was worked on.
#[derive(Debug, Clone)]
pub struct RestoredHeld {
    /// What [`Delivered::Held`](super::Delivered::Held) named it.
    pub number: u64,
    /// The message.
    pub message: StoredMessage,
}

/// A message as it is kept for one session.
#[derive(Debug, Clone)]
pub struct StoredMessage {
    /// The message.
    pub message: Message,
    /// The host's number of it; 0 for none.
    pub tag: u64,
    /// At which QoS it goes out, above 0.
    pub qos: QoS,
    /// RETAIN as it goes out.
    pub retain: bool,
    /// The identifiers of the subscriptions that matched.
    pub subscription_ids: SubscriptionIds,
    /// When it expires.
    pub expires_at: Option<Instant>,
    /// The Shared Subscription that it comes from.
    pub shared: Option<ShareKey>,
}

/// A message that a store has for a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredEntry {
    /// Its sequence number.
    pub sequence: u64,
    /// The host's number of the message; 0 for none, and once PUBREC has come.
    pub tag: u64,
    /// PUBREC has come: a [`Record::Received`](crate::store::Record::Received) stands for it.
    pub received: bool,
}

/// A retained message that a session keeps: what [`Slot::handle_subscribed`](super::Slot::handle_subscribed) was given as the
/// `index`th, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeptRetained {
    /// Which one.
    pub index: usize,
    /// Its sequence number for this session.
    pub sequence: u64,
    /// At which QoS it goes out.
    pub qos: QoS,
}

/// What only a session has that is stored.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// The messages whose sequence number has to be durable before they are sent, and is not: all at QoS 2, and what was
    /// held back.
    pub(super) pending: Pending,
    /// What is below this sequence number and not yet durable moves to another member of its Shared Subscription
    /// when it is: the connection broke before.
    pub(super) moving: u64,
    /// Numbers what is held back.
    pub(super) next_held: u64,
    /// The messages held back at QoS 2 that are not durable, by their numbers.
    pub(super) pending_held: Pending,
}

/// Rising numbers of what is not durable.
#[derive(Debug, Default)]
pub(super) struct Pending(VecDeque<(u64, bool)>);

impl Pending {
    /// One more, above all before it.
    pub(super) fn push(&mut self, number: u64) {
        self.0.push_back((number, false));
    }

    /// This one is durable; one that was none does no harm.
    pub(super) fn settle(&mut self, number: u64) {
        let found = self.0.binary_search_by_key(&number, |(number, _)| *number);
        if let Some((_, settled)) = found.ok().and_then(|index| self.0.get_mut(index)) {
            *settled = true;
        }
        while self.0.front().is_some_and(|(_, settled)| *settled) {
            self.0.pop_front();
        }
    }

    /// Whether this one is durable, and all before it.
    pub(super) fn is_settled(&self, number: u64) -> bool {
        self.0.front().is_none_or(|(first, _)| number < *first)
    }
}

impl Kept {
    /// Whether the message with this sequence number may be sent, as far as the store goes.
    pub(super) fn may_send(kept: Option<&Self>, sequence: Option<u64>) -> bool {
        kept.zip(sequence).is_none_or(|(kept, sequence)| kept.pending.is_settled(sequence))
    }

    /// What a connection with this Session Expiry Interval in seconds needs of it: nothing without a store, and for a
    /// session that ends with its connection.
    pub(super) fn is_for(options: &Options, session_expiry: u32) -> bool {
        options.store && session_expiry > 0
    }
}
