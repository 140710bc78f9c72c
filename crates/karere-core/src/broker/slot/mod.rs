//! One client's place in the broker.

mod held;
mod input;
mod lifetime;
mod output;
mod stored;

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashSet;

use self::output::Outbound;
use super::connection::Connection;
use super::stored::Kept;
use super::{Event, Options, SlotCounters};
use crate::codec::{Version, Will};
use crate::connection::Outbox;
use crate::session::{Queue, Receiver, Sender};
use crate::store::Gate;
use crate::text::Text;
use crate::time::Instant;
use crate::topic::TopicFilter;

/// One client's place in the broker: its Session and, while there is one, its Network Connection.
///
/// ```text
///    +--------------------------------------------------------------------------+
///    |  after each mutation: drain poll_event, write the outbox (poll_transmit), |
///    |                       sleep until poll_timeout                            |
///    +--------------------------------------------------------------------------+
/// ```
///
/// The host keeps it at a stable address under a lock of its own. A connection attaches and detaches
/// ([`attach`](Self::attach), [`handle_closed`](Self::handle_closed)), another takes its place
/// ([`take_over`](Self::take_over)), messages come in from other clients' connections
/// ([`deliver`](Self::deliver)), all under that lock. When the session is over it is [ended](Self::end), and gives
/// back what is delivered from then on. A Clean Start is the host's: end this slot and make another.
pub struct Slot {
    options: Arc<Options>,
    client_id: Text,
    connection: Option<Box<Connection>>,
    /// Counts attachments, so that a driver knows whether it is still its own.
    epoch: u32,
    events: VecDeque<Event>,
    sender: Sender<Outbound>,
    receiver: Receiver<()>,
    /// The sequence number of the next message at QoS > 0.
    sequence: u64,
    filters: HashSet<TopicFilter, FixedState>,
    /// SUBSCRIBEs that the host works on. While there are any, what is delivered is held back.
    subscribing: u32,
    /// In memory of its own, as there is seldom anything.
    held: Option<Box<Queue<Outbound>>>,
    /// In memory of its own: few clients have one, and a slot is to be small.
    will: Option<Box<Will>>,
    /// When the Will is to be sent, once the connection has gone.
    will_due: Option<Instant>,
    /// Session Expiry Interval in seconds.
    session_expiry: u32,
    /// When the session expires, once the connection has gone.
    expires_at: Option<Instant>,
    counters: SlotCounters,
    ended: bool,
    gate: Gate,
    /// In memory of its own: only where the session is stored.
    kept: Option<Box<Kept>>,
}

impl Slot {
    /// A place for a client, with a new session. `seed` decides its hash tables.
    #[must_use]
    pub fn new(client_id: Text, options: Arc<Options>, seed: u64) -> Self {
        Self {
            client_id,
            connection: None,
            epoch: 0,
            events: VecDeque::new(),
            sender: Sender::new(Queue::new(options.queue_count_max, options.queue_bytes_max)),
            receiver: Receiver::new(seed),
            sequence: 0,
            filters: HashSet::with_hasher(FixedState::with_seed(seed)),
            subscribing: 0,
            held: None,
            will: None,
            will_due: None,
            session_expiry: 0,
            expires_at: None,
            counters: SlotCounters::default(),
            ended: false,
            gate: Gate::default(),
            kept: None,
            options,
        }
    }

    /// What waits to be written, while attached.
    pub fn poll_transmit(&mut self) -> Option<&mut Outbox> {
        self.connection.as_mut().map(|connection| &mut connection.outbox)
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) at the latest.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        match &self.connection {
            Some(connection) if connection.closing => None,
            Some(connection) => connection.keep_alive.silence_due(),
            None => [self.will_due, self.expires_at].into_iter().flatten().min(),
        }
    }

    /// What happened, in order.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Exchanges the queue of events: a host lends one that has grown before it brings bytes, and takes it back
    /// with what happened, so that a quiet slot keeps no memory for events.
    pub fn swap_events(&mut self, events: &mut VecDeque<Event>) {
        core::mem::swap(&mut self.events, events);
    }

    /// Whether a connection is attached.
    #[must_use]
    pub fn is_attached(&self) -> bool {
        self.connection.is_some()
    }

    /// Whether a connection is attached and has more to say than goodbye.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.connection.as_ref().is_some_and(|connection| !connection.closing)
    }

    /// Whether packets that answer the client's may go: after its DISCONNECT they still may, after ours not.
    fn may_answer(&self) -> bool {
        self.connection.as_ref().is_some_and(|connection| !connection.silent)
    }

    /// Whether the session is over.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.ended
    }

    /// Which attachment this is: changes with each [`attach`](Self::attach).
    #[must_use]
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The Client Identifier.
    #[must_use]
    pub fn client_id(&self) -> &Text {
        &self.client_id
    }

    /// The version of the attached connection.
    #[must_use]
    pub fn version(&self) -> Option<Version> {
        self.connection.as_ref().map(|connection| connection.version)
    }

    /// Session Expiry Interval in seconds; above 0 the session outlives its connection.
    #[must_use]
    pub fn session_expiry(&self) -> u32 {
        self.session_expiry
    }

    /// What it has counted.
    #[must_use]
    pub fn counters(&self) -> SlotCounters {
        self.counters
    }

    /// Messages that wait.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.sender.queue.len() + self.held.as_ref().map_or(0, |held| held.len())
    }

    /// QoS > 0 messages that were sent and are not acknowledged.
    #[must_use]
    pub fn inflight(&self) -> usize {
        self.sender.inflight.len()
    }

    /// Bytes waiting to be written, also those that the driver has taken and not reported as written.
    #[must_use]
    pub fn outbox_bytes(&self) -> usize {
        self.connection.as_ref().map_or(0, |connection| connection.pending())
    }

    /// What is subscribed to.
    pub fn filters(&self) -> impl Iterator<Item = &TopicFilter> {
        self.filters.iter()
    }

    /// How many subscriptions there are.
    #[must_use]
    pub fn subscriptions(&self) -> usize {
        self.filters.len()
    }
}

impl core::fmt::Debug for Slot {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Slot")
            .field("client_id", &self.client_id)
            .field("attached", &self.is_attached())
            .field("queued", &self.queued())
            .field("inflight", &self.inflight())
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
