//! One timer for all: deadlines in a heap, one task that waits for the earliest.
//!
//! A deadline that moves later, as Keep Alive does with each packet, costs nothing: when the old one comes,
//! whoever it is for says what the new one is. Nothing is taken out of the heap before its time, but the
//! deadlines of those who have gone, once there are many: they may be years away.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::sync::Weak;

use karere_core::Instant;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::broker::Shared;
use crate::clock::Clock;
use crate::connection::{Link, Signals};
use crate::slot::Cell;
use crate::sync::Arc;

#[cfg(test)]
mod tests;

/// The heap, and the means to wake the task that waits.
#[derive(Default)]
pub(crate) struct Timer {
    deadlines: Mutex<Deadlines>,
    earlier: Notify,
}

/// Whose deadline it is. Weak: a deadline keeps nothing but the memory that the others have left.
pub(crate) enum Whose {
    /// A session's: keep alive, will delay, expiry.
    Slot(Weak<Cell>),
    /// A connection's that has no session yet.
    Link(Weak<Link>),
}

/// After how many deadlines at once other tasks get their turn.
const DUE_MAX: usize = 256;
/// So few deadlines are not worth looking through.
const SWEEP_MIN: usize = 256;

/// Serves all deadlines until the broker shuts down.
pub(crate) async fn run(broker: Arc<Shared>) {
    let mut due = Vec::new();
    loop {
        tokio::select! {
            () = broker.timer.wait(broker.clock, &mut due) => {}
            () = broker.closing() => return,
        }
        for (index, (at, whose)) in due.drain(..).enumerate() {
            match whose {
                Whose::Slot(cell) => cell.upgrade().iter().for_each(|cell| broker.slot_due(cell, at)),
                Whose::Link(link) => link.upgrade().iter().for_each(|link| link.signal(Signals::TIMEOUT)),
            }
            if index % DUE_MAX == DUE_MAX - 1 {
                tokio::task::yield_now().await;
            }
        }
    }
}

#[derive(Default)]
struct Deadlines {
    heap: BinaryHeap<Entry>,
    /// How many there were after those who had gone were last looked for.
    swept: usize,
}

struct Entry {
    at: Instant,
    whose: Whose,
}

impl Timer {
    /// Wakes `whose` at `at`.
    pub(crate) fn arm(&self, at: Instant, whose: Whose) {
        let mut deadlines = self.deadlines.lock();
        let earliest = deadlines.heap.peek().is_none_or(|first| at < first.at);
        deadlines.push(Entry { at, whose });
        drop(deadlines);
        if earliest {
            self.earlier.notify_one();
        }
    }

    /// Waits until something is due and moves it into `due`, together with all that is due by then.
    pub(crate) async fn wait(&self, clock: Clock, due: &mut Vec<(Instant, Whose)>) {
        loop {
            let next = self.take_due(clock.now(), due);
            if !due.is_empty() {
                return;
            }
            match next {
                None => self.earlier.notified().await,
                Some(at) => {
                    let sleep = tokio::time::sleep_until(clock.moment(at));
                    tokio::select! {
                        () = sleep => {}
                        () = self.earlier.notified() => {}
                    }
                }
            }
        }
    }

    fn take_due(&self, now: Instant, due: &mut Vec<(Instant, Whose)>) -> Option<Instant> {
        let heap = &mut self.deadlines.lock().heap;
        while let Some(first) = heap.peek() {
            if first.at > now {
                return Some(first.at);
            }
            due.extend(heap.pop().map(|entry| (entry.at, entry.whose)));
        }
        // A burst of connections is no reason to keep its room for ever.
        if heap.capacity() > 1024 {
            heap.shrink_to_fit();
        }
        None
    }
}

impl Deadlines {
    /// Looks for those who have gone whenever there are twice as many as after the last time: so that each
    /// deadline pays for a few others, and they are never more than the living and as many again.
    fn push(&mut self, entry: Entry) {
        self.heap.push(entry);
        if self.heap.len() > SWEEP_MIN.max(2 * self.swept) {
            self.heap.retain(|entry| entry.whose.is_there());
            self.swept = self.heap.len();
            self.heap.shrink_to(2 * self.swept);
        }
    }
}

impl Whose {
    fn is_there(&self) -> bool {
        match self {
            Self::Slot(cell) => cell.strong_count() > 0,
            Self::Link(link) => link.strong_count() > 0,
        }
    }
}

// The heap gives out its greatest: the earliest is the greatest.
impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        other.at.cmp(&self.at)
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl Eq for Entry {}
