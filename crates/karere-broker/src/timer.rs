//! One timer for all: deadlines in a heap, one task that waits for the earliest.
//!
//! A deadline that moves later, as Keep Alive does with each packet, costs nothing: when the old one comes,
//! whoever it is for says what the new one is. Nothing is taken out of the heap before its time, but once there are
//! many the deadlines of those who have gone, and of each session all but the one that it relies on: they may be years
//! away.

use std::cmp::{Ordering, Reverse};
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

/// The same in the heap, where a session's deadlines are numbered as they came. Boxed is what few need, for their room.
enum Held {
    Slot(u32, Weak<Cell>),
    Link(Box<Weak<Link>>),
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
    /// How many there were after the last sweep.
    swept: usize,
    /// How many came since.
    came: u32,
}

struct Entry {
    at: Instant,
    whose: Held,
}

impl Timer {
    /// Wakes `whose` at `at`. A session relies on the last deadline that it was armed with, until that has come.
    pub(crate) fn arm(&self, at: Instant, whose: Whose) {
        let mut deadlines = self.deadlines.lock();
        let earliest = deadlines.heap.peek().is_none_or(|first| at < first.at);
        deadlines.push(at, whose);
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
            due.extend(heap.pop().map(|entry| (entry.at, entry.whose.into())));
        }
        // A burst of connections is no reason to keep its room for ever.
        if heap.capacity() > 1024 {
            heap.shrink_to_fit();
        }
        None
    }
}

impl Deadlines {
    /// Sweeps whenever there are twice as many as after the last time: so that each deadline pays for a few others,
    /// and they are never more than one for each of the living and as many again.
    fn push(&mut self, at: Instant, whose: Whose) {
        self.came += 1;
        let whose = match whose {
            Whose::Slot(cell) => Held::Slot(self.came, cell),
            Whose::Link(link) => Held::Link(Box::new(link)),
        };
        self.heap.push(Entry { at, whose });
        if self.heap.len() > SWEEP_MIN.max(2 * self.swept) || self.came == u32::MAX {
            self.sweep();
        }
    }

    /// Takes out those who have gone, and of each session's deadlines all but the last that came.
    fn sweep(&mut self) {
        let mut entries = std::mem::take(&mut self.heap).into_vec();
        entries.retain(|entry| entry.whose.is_there());
        entries.sort_unstable_by_key(|entry| entry.whose.rank());
        entries.dedup_by_key(|entry| entry.whose.rank().0);
        for entry in &mut entries {
            entry.whose.renumber();
        }
        (self.swept, self.came) = (entries.len(), 0);
        entries.shrink_to(2 * self.swept);
        self.heap = entries.into();
    }
}

impl Held {
    fn is_there(&self) -> bool {
        match self {
            Self::Slot(_, cell) => cell.strong_count() > 0,
            Self::Link(link) => link.strong_count() > 0,
        }
    }

    /// Whose it is, as long as they are there, and of a session's the last that came first. Each of a connection's is
    /// one of its own.
    fn rank(&self) -> (usize, Reverse<u32>) {
        match self {
            Self::Slot(came, cell) => (cell.as_ptr().addr(), Reverse(*came)),
            Self::Link(link) => ((&raw const **link).addr(), Reverse(0)),
        }
    }

    fn renumber(&mut self) {
        if let Self::Slot(came, _) = self {
            *came = 0;
        }
    }
}

impl From<Held> for Whose {
    fn from(held: Held) -> Self {
        match held {
            Held::Slot(_, cell) => Self::Slot(cell),
            Held::Link(link) => Self::Link(*link),
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
