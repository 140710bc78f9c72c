//! The log in a thread of its own: group commit.

#[cfg(test)]
mod tests;

use std::mem;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::batch::Batch;
use crate::disk::Disk;
use crate::error::Error;
use crate::log::Log;

/// How long the disk is left alone after it failed, before it is tried again.
const RETRY: Duration = Duration::from_millis(500);
/// Gone through when the oldest segment is compacted, at least, between two syncs.
const COMPACT_BYTES: u64 = 256 * 1024;

/// Numbers what was submitted, in the order in which it becomes durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Ticket(u64);

/// What became of all that was submitted up to a ticket and not reported before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is durable.
    Durable(Ticket),
    /// The disk failed: whether it is there after a crash, nobody can say. It is never to be acknowledged.
    InDoubt(Ticket),
}

/// Why something was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The disk has failed, and what it owes waits in memory.
    #[error("the disk has failed")]
    Failing,
    /// The disk is full.
    #[error("the disk is full")]
    Full,
}

/// A log in a thread of its own. All that is submitted while one sync runs is made durable by the next one.
///
/// Dropping it writes and syncs what was submitted.
#[derive(Debug)]
pub struct Store {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    arrived: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: Batches,
    submitted: u64,
    failing: bool,
    full: bool,
    closed: bool,
    bytes: u64,
    error: Option<String>,
}

/// Batches one behind the other.
#[derive(Debug, Default)]
struct Batches {
    all: Vec<Batch>,
    bytes: usize,
}

impl Store {
    /// Starts the thread. `notify` hears of each sync there, in order; it is to return soon.
    ///
    /// # Errors
    /// There are no more threads.
    pub fn start<D: Disk>(
        log: Log<D>,
        notify: impl FnMut(Outcome) + Send + 'static,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        shared.state.lock().full = log.is_full();
        let mut writer = Writer { log, notify, shared: Arc::clone(&shared), reported: 0 };
        let thread = thread::Builder::new().name("karere-store".to_owned()).spawn(move || writer.run())?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Has `batch` written: something new, which a disk that does not work refuses.
    ///
    /// # Errors
    /// [`Refused`]; nothing of it is there.
    pub fn submit(&self, batch: Batch) -> Result<Ticket, Refused> {
        let state = self.shared.state.lock();
        match () {
            () if state.failing => Err(Refused::Failing),
            () if state.full => Err(Refused::Full),
            () => Ok(self.shared.push(state, batch)),
        }
    }

    /// Has `batch` written: a removal, or a change of what is there already. It is taken in any case, and waits in
    /// memory while the disk does not work.
    pub fn submit_change(&self, batch: Batch) -> Ticket {
        self.shared.push(self.shared.state.lock(), batch)
    }

    /// Whether the disk has failed and does not work again yet.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.shared.state.lock().failing
    }

    /// Whether there is room for changes only.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.shared.state.lock().full
    }

    /// What went wrong last.
    #[must_use]
    pub fn last_error(&self) -> Option<String> {
        self.shared.state.lock().error.clone()
    }

    /// Bytes of all segments, after the last sync.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.shared.state.lock().bytes
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.shared.state.lock().closed = true;
        self.shared.arrived.notify_one();
        // It ends by itself; a panic there has been reported.
        self.thread.take().into_iter().for_each(|thread| _ = thread.join());
    }
}

impl Shared {
    fn push(&self, mut state: parking_lot::MutexGuard<'_, State>, batch: Batch) -> Ticket {
        state.submitted += 1;
        let ticket = Ticket(state.submitted);
        let idle = state.waiting.all.is_empty();
        state.waiting.bytes += batch.len();
        state.waiting.all.push(batch);
        drop(state);
        if idle {
            self.arrived.notify_one();
        }
        ticket
    }
}

struct Writer<D: Disk, N> {
    log: Log<D>,
    notify: N,
    shared: Arc<Shared>,
    /// The last ticket whose outcome was told.
    reported: u64,
}

impl<D: Disk, N: FnMut(Outcome)> Writer<D, N> {
    fn run(&mut self) {
        while let Some((batches, last)) = self.next() {
            let bytes = batches.bytes as u64;
            // An append cannot fail but by size, and then nobody is told that it is durable.
            let appended = batches.all.iter().try_for_each(|batch| self.log.append(batch).map(drop));
            let written = appended.and_then(|()| self.write());
            let outcome = if written.is_ok() { Outcome::Durable(last) } else { Outcome::InDoubt(last) };
            self.note(written.err());
            if last.0 > self.reported {
                self.reported = last.0;
                (self.notify)(outcome);
            }
            let tidied = self.tidy(bytes);
            self.note(tidied.err());
        }
    }

    /// What has been submitted since the last time, once there is something to do; none at the end.
    fn next(&mut self) -> Option<(Batches, Ticket)> {
        let mut state = self.shared.state.lock();
        if self.log.is_failing() || self.log.is_full() {
            // However much arrives, it is tried again now and then only.
            let again = Instant::now() + RETRY;
            while !state.closed && !self.shared.arrived.wait_until(&mut state, again).timed_out() {}
        }
        while state.waiting.all.is_empty() && !state.closed && !self.has_work() {
            self.shared.arrived.wait(&mut state);
        }
        if state.closed && state.waiting.all.is_empty() {
            return None;
        }
        Some((mem::take(&mut state.waiting), Ticket(state.submitted)))
    }

    fn has_work(&self) -> bool {
        let log = &self.log;
        log.is_failing() || log.is_full() || log.pending_bytes() > 0 || log.wants_compaction()
    }

    fn write(&mut self) -> Result<(), Error> {
        // What is appended after a failure is written with what was owed then, and none of it was promised to anybody.
        if self.log.is_failing() { self.log.recover() } else { self.log.sync() }
    }

    /// Makes room, as much as `bytes` new ones ask for.
    fn tidy(&mut self, bytes: u64) -> Result<(), Error> {
        if self.log.is_full() && !self.log.is_failing() {
            // A disk that is full still is no failure.
            _ = self.log.refill();
        }
        if self.log.wants_compaction() { self.log.compact(COMPACT_BYTES.max(2 * bytes)) } else { Ok(()) }
    }

    fn note(&self, error: Option<Error>) {
        let mut state = self.shared.state.lock();
        (state.failing, state.full) = (self.log.is_failing(), self.log.is_full());
        state.bytes = self.log.bytes();
        if let Some(error) = error {
            state.error = Some(error.to_string());
        }
    }
}
