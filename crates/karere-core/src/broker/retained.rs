//! Retained messages (section 3.3.1.3).

use alloc::boxed::Box;
use alloc::collections::BTreeSet;

use crate::codec::{Message, ReasonCode};
use crate::text::Text;
use crate::time::Instant;
use crate::topic::{Limits, TopicName, TopicTree, TreeError};

#[cfg(test)]
mod tests;

/// How many expired messages are removed in one go.
const EXPIRE_MAX: usize = 10_000;

/// A retained message as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retained {
    /// The message, with RETAIN set, in memory of its own. Its `expiry` is the one it was published with.
    pub message: Message,
    /// When it expires; what is left of it is for whoever encodes.
    pub expires_at: Option<Instant>,
    /// The Client Identifier that published it, for No Local. `None` for the server's own.
    pub publisher: Option<Text>,
    /// Rises with each retained message: of two for one topic the higher is the newer, and once it was
    /// delivered the other is not to follow.
    pub sequence: u64,
}

/// How much is retained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetainedLimits {
    /// Depth and nodes of the tree of topics.
    pub topics: Limits,
    /// Messages; 1,000,000. Then [`ReasonCode::QuotaExceeded`].
    pub messages_max: usize,
    /// Topics, payloads and properties together; 1 GiB. Then [`ReasonCode::QuotaExceeded`].
    pub bytes_max: usize,
}

impl Default for RetainedLimits {
    fn default() -> Self {
        Self { topics: Limits::default(), messages_max: 1_000_000, bytes_max: 1 << 30 }
    }
}

pub(super) struct RetainedStore {
    messages: TopicTree<Box<Retained>>,
    expiries: BTreeSet<(Instant, TopicName)>,
    bytes: usize,
    next_sequence: u64,
    limits: RetainedLimits,
}

impl RetainedStore {
    pub(super) fn new(seed: u64, limits: RetainedLimits) -> Self {
        let messages = TopicTree::new(seed, limits.topics);
        Self { messages, expiries: BTreeSet::new(), bytes: 0, next_sequence: 1, limits }
    }

    /// Stores a message in place of the one of its topic [MQTT-3.3.1-5], or with no payload only removes that
    /// one [MQTT-3.3.1-6] [MQTT-3.3.1-7].
    pub(super) fn retain(
        &mut self,
        now: Instant,
        publisher: Option<&Text>,
        message: &Message,
    ) -> Result<u64, ReasonCode> {
        let sequence = self.next_sequence;
        if message.payload.is_empty() {
            self.next_sequence += 1;
            self.remove(&message.topic);
            return Ok(sequence);
        }
        self.check_room(message)?;
        // Copied: a slice would pin the read buffer for as long as the message is retained.
        let message = Message { retain: true, ..message.compact() };
        let expires_at = message.expiry.map(|seconds| now.plus_seconds(seconds));
        self.insert(Retained { message, expires_at, publisher: publisher.cloned(), sequence })?;
        Ok(sequence)
    }

    /// Puts one back as it was.
    pub(super) fn restore(&mut self, retained: Retained) -> Result<(), ReasonCode> {
        self.check_room(&retained.message)?;
        self.insert(retained)
    }

    /// Removes what has expired, some at a time.
    pub(super) fn expire(&mut self, now: Instant, mut expired: impl FnMut(Retained)) {
        for _ in 0..EXPIRE_MAX {
            let Some((at, topic)) = self.expiries.first() else { return };
            if *at > now {
                return;
            }
            let topic = topic.clone();
            if let Some(retained) = self.remove(&topic) {
                expired(*retained);
            }
        }
    }

    /// Calls `f` with each message that `filter` matches and that has not expired.
    pub(super) fn matching(&self, now: Instant, filter: &str, mut f: impl FnMut(&Retained)) {
        self.messages.matching(filter, |retained| {
            if retained.expires_at.is_none_or(|at| at > now) {
                f(retained);
            }
        });
    }

    pub(super) fn get(&self, topic: &str) -> Option<&Retained> {
        self.messages.get(topic).map(Box::as_ref)
    }

    pub(super) fn len(&self) -> usize {
        self.messages.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.expiries.first().map(|(at, _)| *at)
    }

    /// Whether this message fits in place of the one that it would replace.
    fn check_room(&self, message: &Message) -> Result<(), ReasonCode> {
        let replaced = self.get(&message.topic).map(|old| old.message.size_bytes());
        let messages = self.len() + usize::from(replaced.is_none());
        let bytes = self.bytes - replaced.unwrap_or_default() + message.size_bytes();
        if messages > self.limits.messages_max || bytes > self.limits.bytes_max {
            return Err(ReasonCode::QuotaExceeded);
        }
        Ok(())
    }

    fn insert(&mut self, retained: Retained) -> Result<(), ReasonCode> {
        let Retained { expires_at, sequence, .. } = retained;
        let (topic, bytes) = (retained.message.topic.clone(), retained.message.size_bytes());
        let replaced = self.messages.insert(&topic, Box::new(retained)).map_err(topic_reason)?;
        if let Some(replaced) = replaced {
            self.forget(&replaced);
        }
        self.bytes += bytes;
        self.next_sequence = self.next_sequence.max(sequence.saturating_add(1));
        if let Some(at) = expires_at {
            self.expiries.insert((at, topic));
        }
        Ok(())
    }

    fn remove(&mut self, topic: &str) -> Option<Box<Retained>> {
        let removed = self.messages.remove(topic)?;
        self.forget(&removed);
        Some(removed)
    }

    /// Takes one that is no longer in the tree off the books.
    fn forget(&mut self, gone: &Retained) {
        self.bytes -= gone.message.size_bytes();
        if let Some(at) = gone.expires_at {
            self.expiries.remove(&(at, gone.message.topic.clone()));
        }
    }
}

fn topic_reason(error: TreeError) -> ReasonCode {
    match error {
        TreeError::TooDeep { .. } => ReasonCode::TopicNameInvalid,
        TreeError::Full { .. } => ReasonCode::QuotaExceeded,
    }
}
