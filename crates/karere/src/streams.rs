//! Which stream gets which message, and what each keeps for its consumer.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use karere_core::topic::{FilterTree, Limits, TreeError};
use parking_lot::Mutex;

use crate::client::Shared;
use crate::incoming::{Incoming, Joint, Part};
use crate::{AckToken, Received};

/// A stream whose oldest message came this many turns ago gets copies: a message pins the buffer that it was read
/// into, 64 KiB a turn, however small it is. A consumer that keeps up, or nearly so, pays for no copy.
const PINNED_TURNS_MAX: u64 = 16;

/// How many messages a consumer takes at once, so that it and the driver seldom meet at the lock. What it has taken
/// is out of reach of [`Options::stream_bytes_max`](crate::Options::stream_bytes_max).
const BATCH_MAX: usize = 64;

/// After a turn that brought more than this, the driver lets the consumers go first: taken while it is still in the
/// cache, a message costs half of what it does once there are thousands.
const CROWD: usize = BATCH_MAX;

/// The streams of one client.
pub(crate) struct Streams {
    members: Vec<Member>,
    tree: FilterTree<u64, Arc<Queue>>,
    /// Those that get every message.
    everything: Vec<Arc<Queue>>,
    next_key: u64,
    bytes_max: usize,
    /// Counts the driver's turns.
    turn: u64,
    hits: Vec<Arc<Queue>>,
    wakers: Vec<Waker>,
    /// Messages of this turn.
    delivered: usize,
}

struct Member {
    key: u64,
    /// None of them: it gets every message.
    filters: Vec<String>,
    queue: Arc<Queue>,
}

/// What a turn of the driver could not hand over.
#[derive(Debug, Default)]
pub(crate) struct Leftover {
    /// To be acknowledged: nobody took them.
    pub(crate) tokens: Vec<AckToken>,
    pub(crate) unclaimed: u64,
    pub(crate) dropped: u64,
}

impl Streams {
    pub(crate) fn new(seed: u64, bytes_max: usize) -> Self {
        Self {
            members: Vec::new(),
            tree: FilterTree::new(seed, Limits::default()),
            everything: Vec::new(),
            next_key: 0,
            bytes_max,
            turn: 0,
            hits: Vec::new(),
            wakers: Vec::new(),
            delivered: 0,
        }
    }

    /// A new stream of what matches one of `filters`; of everything when there are none.
    pub(crate) fn join(&mut self, filters: Vec<String>) -> Result<(u64, Arc<Queue>), TreeError> {
        let (key, queue) = (self.next_key, Arc::new(Queue::new(self.bytes_max)));
        self.next_key += 1;
        let inserted =
            filters.iter().try_for_each(|filter| self.tree.insert(filter, key, Arc::clone(&queue)).map(drop));
        if filters.is_empty() {
            self.everything.push(Arc::clone(&queue));
        }
        self.members.push(Member { key, filters, queue: Arc::clone(&queue) });
        match inserted {
            Ok(()) => Ok((key, queue)),
            Err(error) => {
                self.leave(key);
                Err(error)
            }
        }
    }

    pub(crate) fn leave(&mut self, key: u64) {
        let Some(at) = self.members.iter().position(|member| member.key == key) else { return };
        let Member { filters, queue, .. } = self.members.swap_remove(at);
        for filter in &filters {
            self.tree.remove(filter, &key);
        }
        self.everything.retain(|other| !Arc::ptr_eq(other, &queue));
    }

    /// Gives a message to each stream that it is for. Nobody is woken before [`end_turn`](Self::end_turn).
    pub(crate) fn deliver(&mut self, shared: &Arc<Shared>, received: Received, leftover: &mut Leftover) {
        let hits = &mut self.hits;
        hits.extend(self.everything.iter().cloned());
        if !self.tree.is_empty() {
            self.tree.matches(&received.message.topic, |_, queue| {
                // A stream with two filters that match gets the message once.
                if !hits.iter().any(|hit| Arc::ptr_eq(hit, queue)) {
                    hits.push(Arc::clone(queue));
                }
            });
        }
        let (token, streams) = (received.ack, hits.len());
        self.delivered += streams;
        if streams == 0 {
            leftover.unclaimed += 1;
            leftover.tokens.extend(token);
        }
        let joint = token.filter(|_| streams > 1).map(|token| Joint::new(shared, token, streams));
        let mut received = Some(received);
        for (at, queue) in self.hits.drain(..).enumerate() {
            let part = match &joint {
                Some(joint) => Some(Part::joint(joint)),
                None => token.map(|token| Part::sole(shared, token)),
            };
            let copy = if at + 1 == streams { received.take() } else { received.clone() };
            let Some(copy) = copy else { continue };
            leftover.dropped += queue.push(Incoming::new(copy, part), self.turn, &mut self.wakers);
        }
    }

    /// Whom to wake now that a turn is over. True when it brought more than a few messages.
    pub(crate) fn end_turn(&mut self, wakers: &mut Vec<Waker>) -> bool {
        self.turn += 1;
        wakers.append(&mut self.wakers);
        std::mem::take(&mut self.delivered) > CROWD
    }

    /// Ends every stream; what they keep can still be read.
    pub(crate) fn close(&mut self) {
        while let Some(member) = self.members.last() {
            member.queue.close();
            let key = member.key;
            self.leave(key);
        }
    }
}

/// What one stream keeps for its consumer.
#[derive(Debug)]
pub(crate) struct Queue {
    state: Mutex<Kept>,
    bytes_max: usize,
}

#[derive(Debug, Default)]
struct Kept {
    /// QoS > 0, bounded by our Receive Maximum.
    owed: VecDeque<Entry>,
    /// QoS 0, bounded in bytes.
    fleeting: VecDeque<Entry>,
    fleeting_bytes: usize,
    next: u64,
    waker: Option<Waker>,
    closed: bool,
}

#[derive(Debug)]
struct Entry {
    /// Its place in the stream, over both kinds.
    number: u64,
    /// When it came.
    turn: u64,
    incoming: Incoming,
}

impl Queue {
    fn new(bytes_max: usize) -> Self {
        Self { state: Mutex::default(), bytes_max }
    }

    /// Returns how many messages were given up for it.
    fn push(&self, mut incoming: Incoming, turn: u64, wakers: &mut Vec<Waker>) -> u64 {
        let mut kept = self.state.lock();
        if kept.oldest_turn().is_some_and(|oldest| oldest + PINNED_TURNS_MAX < turn) {
            incoming.compact();
        }
        let number = kept.next;
        kept.next += 1;
        wakers.extend(kept.waker.take());
        if incoming.part().is_some() {
            kept.owed.push_back(Entry { number, turn, incoming });
            return 0;
        }
        kept.fleeting_bytes += incoming.size_bytes();
        kept.fleeting.push_back(Entry { number, turn, incoming });
        kept.give_up(self.bytes_max)
    }

    /// Moves the next messages into the empty `batch`; false once the stream has ended.
    pub(crate) fn poll(&self, cx: &Context<'_>, batch: &mut VecDeque<Incoming>) -> Poll<bool> {
        let mut kept = self.state.lock();
        if kept.take(batch) {
            return Poll::Ready(true);
        }
        if kept.closed {
            return Poll::Ready(false);
        }
        kept.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    /// As [`poll`](Self::poll), without waiting; false when there is nothing now.
    pub(crate) fn try_take(&self, batch: &mut VecDeque<Incoming>) -> bool {
        self.state.lock().take(batch)
    }

    fn close(&self) {
        let mut kept = self.state.lock();
        kept.closed = true;
        let waker = kept.waker.take();
        drop(kept);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Kept {
    /// Moves the oldest to `batch`; false when there are none.
    fn take(&mut self, batch: &mut VecDeque<Incoming>) -> bool {
        let oldest = std::iter::from_fn(|| self.pop());
        batch.extend(oldest.take(BATCH_MAX));
        !batch.is_empty()
    }

    /// The oldest of both kinds.
    fn pop(&mut self) -> Option<Incoming> {
        let number = |kind: &VecDeque<Entry>| kind.front().map_or(u64::MAX, |entry| entry.number);
        if number(&self.owed) < number(&self.fleeting) {
            return self.owed.pop_front().map(|entry| entry.incoming);
        }
        let entry = self.fleeting.pop_front()?;
        self.fleeting_bytes -= entry.incoming.size_bytes();
        Some(entry.incoming)
    }

    fn oldest_turn(&self) -> Option<u64> {
        let fronts = [self.owed.front(), self.fleeting.front()];
        fronts.into_iter().flatten().map(|entry| entry.turn).min()
    }

    /// Drops the oldest QoS 0 messages until the rest fits; the newest always stays.
    fn give_up(&mut self, bytes_max: usize) -> u64 {
        let mut given_up = 0;
        while self.fleeting_bytes > bytes_max && self.fleeting.len() > 1 {
            if let Some(Entry { incoming, .. }) = self.fleeting.pop_front() {
                self.fleeting_bytes -= incoming.size_bytes();
                given_up += 1;
            }
        }
        given_up
    }
}
