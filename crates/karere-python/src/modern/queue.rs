//! What one stream keeps for its consumer.

use std::collections::VecDeque;
use std::iter;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use karere::Disconnection;
use karere_core::client::Received;
use parking_lot::{Condvar, Mutex};
use pyo3::prelude::*;

use super::claim::Claim;

/// A message behind this many gets a copy of its bytes: else it would pin the buffer that it was read into, however
/// small it is. A consumer that keeps up pays for no copy.
const PINNED_COUNT_MAX: usize = 4096;

/// How many messages a thread takes at once, so that it and the driver seldom meet at the lock. What it has taken is
/// out of reach of the limit in bytes.
const BATCH_MAX: usize = 64;

/// A message for one consumer.
pub(super) struct Incoming {
    pub(super) received: Received,
    /// QoS > 0.
    pub(super) claim: Option<Arc<Claim>>,
}

/// Messages between the driver and one consumer.
pub(super) struct Queue {
    kept: Mutex<Kept>,
    arrived: Condvar,
    bytes_max: usize,
}

#[derive(Default)]
struct Kept {
    /// QoS > 0, bounded by our Receive Maximum; each with its place in the stream.
    owed: VecDeque<(u64, Incoming)>,
    /// QoS 0, bounded in bytes; the same.
    fleeting: VecDeque<(u64, Incoming)>,
    fleeting_bytes: usize,
    next: u64,
    /// Futures of asyncio's, of tasks that wait for a message.
    waiters: VecDeque<Py<PyAny>>,
    /// What consumers that went had in hand: finished when the next one asks.
    orphans: Vec<Arc<Claim>>,
    /// Threads that wait for one.
    threads: usize,
    end: Option<End>,
}

/// Why no more messages come.
#[derive(Clone)]
pub(super) enum End {
    /// The client or the stream was closed.
    Closed,
    /// The connection was lost, and is not made again.
    Lost(Disconnection),
}

impl Queue {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { kept: Mutex::default(), arrived: Condvar::new(), bytes_max }
    }

    /// Adds a message. Returns whom to wake, and how many QoS 0 messages were given up for it.
    pub(super) fn push(&self, mut incoming: Incoming) -> (Option<Py<PyAny>>, u64) {
        let mut kept = self.kept.lock();
        if kept.owed.len() + kept.fleeting.len() >= PINNED_COUNT_MAX {
            incoming.received.message = incoming.received.message.compact();
        }
        let number = kept.next;
        kept.next += 1;
        let mut given_up = 0;
        if incoming.claim.is_some() {
            kept.owed.push_back((number, incoming));
        } else {
            kept.fleeting_bytes += incoming.received.message.size_bytes();
            kept.fleeting.push_back((number, incoming));
            given_up = kept.give_up(self.bytes_max);
        }
        let waiter = kept.waiters.pop_front();
        if kept.threads > 0 {
            self.arrived.notify_one();
        }
        (waiter, given_up)
    }

    /// The oldest message, and what is finished by asking for it.
    pub(super) fn pop(&self) -> (Option<Incoming>, Vec<Arc<Claim>>) {
        let mut kept = self.kept.lock();
        let next = kept.pop().map(|(_, incoming)| incoming);
        (next, mem::take(&mut kept.orphans))
    }

    /// Moves the oldest messages to the empty `batch`. Returns what is finished by asking for them.
    pub(super) fn take(&self, batch: &mut VecDeque<(u64, Incoming)>) -> Vec<Arc<Claim>> {
        let mut kept = self.kept.lock();
        batch.extend(iter::from_fn(|| kept.pop()).take(BATCH_MAX));
        mem::take(&mut kept.orphans)
    }

    /// A consumer goes: what it has taken and not looked at is there again, what it had in hand is finished when
    /// somebody else asks.
    pub(super) fn put_back(&self, batch: VecDeque<(u64, Incoming)>, last: Option<Arc<Claim>>) {
        let mut kept = self.kept.lock();
        kept.orphans.extend(last);
        for (number, incoming) in batch.into_iter().rev() {
            if incoming.claim.is_some() {
                kept.owed.push_front((number, incoming));
            } else {
                kept.fleeting_bytes += incoming.received.message.size_bytes();
                kept.fleeting.push_front((number, incoming));
            }
        }
    }

    /// Has `waiter` set when something happens; false when something has.
    pub(super) fn wait_with(&self, waiter: Py<PyAny>) -> bool {
        let mut kept = self.kept.lock();
        let ready = kept.is_ready();
        if ready {
            drop(kept);
            drop(waiter); // a Python object, and so not under the lock
        } else {
            kept.waiters.push_back(waiter);
        }
        !ready
    }

    /// `waiter` waits no more. Returns it, and whom to wake in its place.
    pub(super) fn forget(&self, waiter: &Bound<'_, PyAny>) -> [Option<Py<PyAny>>; 2] {
        let mut kept = self.kept.lock();
        let at = kept.waiters.iter().position(|other| other.is(waiter));
        let forgotten = at.and_then(|at| kept.waiters.remove(at));
        let next = if kept.is_ready() { kept.waiters.pop_front() } else { None };
        [forgotten, next]
    }

    /// Blocks until something happens, for at most `limit`.
    pub(super) fn wait(&self, limit: Duration) {
        let mut kept = self.kept.lock();
        if !kept.is_ready() {
            kept.threads += 1;
            self.arrived.wait_for(&mut kept, limit);
            kept.threads -= 1;
        }
    }

    /// Ends the stream; what it keeps can still be read. Returns whom to wake.
    pub(super) fn close(&self, end: End) -> VecDeque<Py<PyAny>> {
        let mut kept = self.kept.lock();
        kept.end.get_or_insert(end);
        self.arrived.notify_all();
        mem::take(&mut kept.waiters)
    }

    /// Whether nothing more comes.
    pub(super) fn is_closed(&self) -> bool {
        self.kept.lock().end.is_some()
    }

    /// Why it has ended, if it has and nothing is left to read.
    pub(super) fn end(&self) -> Option<End> {
        let kept = self.kept.lock();
        kept.end.clone().filter(|_| kept.owed.is_empty() && kept.fleeting.is_empty())
    }

    /// Messages that are there.
    pub(super) fn len(&self) -> usize {
        let kept = self.kept.lock();
        kept.owed.len() + kept.fleeting.len()
    }
}

impl Kept {
    fn is_ready(&self) -> bool {
        !self.owed.is_empty() || !self.fleeting.is_empty() || self.end.is_some()
    }

    /// The oldest of both kinds.
    fn pop(&mut self) -> Option<(u64, Incoming)> {
        let number = |kind: &VecDeque<(u64, Incoming)>| kind.front().map_or(u64::MAX, |entry| entry.0);
        if number(&self.owed) < number(&self.fleeting) {
            return self.owed.pop_front();
        }
        let (number, incoming) = self.fleeting.pop_front()?;
        self.fleeting_bytes -= incoming.received.message.size_bytes();
        Some((number, incoming))
    }

    /// Drops the oldest QoS 0 messages until the rest fits; the newest always stays.
    fn give_up(&mut self, bytes_max: usize) -> u64 {
        let mut given_up = 0;
        while self.fleeting_bytes > bytes_max && self.fleeting.len() > 1 {
            if let Some((_, incoming)) = self.fleeting.pop_front() {
                self.fleeting_bytes -= incoming.received.message.size_bytes();
                given_up += 1;
            }
        }
        given_up
    }
}
