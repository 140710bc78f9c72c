//! The log in a thread of its own: group commit.

#[cfg(test)]
mod tests;

use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard};

use crate::batch::Batch;
use crate::disk::Disk;
use crate::error::Error;
use crate::log::Log;

/// How long the disk is left alone after it failed, or was full, before it is tried again.
const RETRY: Duration = Duration::from_millis(500);
/// How long what nobody waits for may stay in memory.
const UNASKED: Duration = Duration::from_millis(20);
/// Gone through when the oldest segment is compacted, at least, between two syncs.
const COMPACT_BYTES: u64 = 256 * 1024;
/// A batch that has grown so large is followed by the next one: it becomes one frame, and a frame has its limit.
const BATCH_BYTES: usize = 64 << 20;
/// Memory of a batch that is kept for the next one.
const SPARE_BYTES: usize = 1 << 20;

/// Numbers what was appended, in the order in which it becomes durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Ticket(u64);

/// What became of all that was appended up to a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is durable. Also told of what was in doubt, when it has been written anew and is durable now.
    Durable(Ticket),
    /// The disk failed: whether it is there after a crash, nobody can say. It is not to be acknowledged. Told once, of
    /// what was not reported before.
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

/// A log in a thread of its own. Everybody appends to one open batch; what is in it when a sync ends is made durable
/// by the next one.
///
/// Closing or dropping it writes and syncs what was appended.
#[derive(Debug)]
pub struct Store {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// While this lives, what is appended is one batch: after a crash it is there whole or not at all.
///
/// The store writes nothing meanwhile, so that it is to be short, and nobody may have two at once.
#[derive(Debug)]
#[must_use]
pub struct Group<'a>(#[allow(dead_code, reason = "held")] RwLockReadGuard<'a, ()>);

#[derive(Debug, Default)]
struct Shared {
    /// Locked for writing while the open batch is taken. Before `state`, where both are.
    groups: RwLock<()>,
    state: Mutex<State>,
    arrived: Condvar,
    /// What is new is refused: 1 failing, 2 full.
    refuses: AtomicU8,
}

#[derive(Debug, Default)]
struct State {
    /// What was appended since the writer took the last time: full batches, and the open one.
    sealed: Vec<Batch>,
    open: Batch,
    /// When something first was.
    since: Option<Instant>,
    /// Somebody waits for it.
    urgent: bool,
    /// How often the writer has taken.
    taken: u64,
    closed: bool,
    bytes: u64,
    error: Option<String>,
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
        let mut writer = Writer {
            log,
            notify,
            shared: Arc::clone(&shared),
            durable: 0,
            doubted: 0,
            refilled: None,
            spare: Batch::new(),
        };
        writer.note(None);
        let thread = thread::Builder::new().name("karere-store".to_owned()).spawn(move || writer.run())?;
        Ok(Self { shared, thread: Mutex::new(Some(thread)) })
    }

    /// Has `change` add to the open batch, all of it at once. It is taken in any case, and waits in memory while the disk
    /// does not work; ask [`refuses`](Self::refuses) before something new. Written within 20 ms, or as soon as somebody
    /// [commits](Self::commit).
    pub fn append<R>(&self, change: impl FnOnce(&mut Batch) -> R) -> R {
        let mut state = self.shared.state.lock();
        let before = state.open.len();
        let result = change(&mut state.open);
        if before == 0 && !state.open.is_empty() && state.since.is_none() {
            state.since = Some(Instant::now());
            drop(state);
            self.shared.arrived.notify_one();
        } else if state.open.len() > BATCH_BYTES {
            drop(state);
            self.shared.seal();
        }
        result
    }

    /// Has all that was appended until now written and synced. The ticket stands for it.
    pub fn commit(&self) -> Ticket {
        let mut state = self.shared.state.lock();
        if state.since.is_none() {
            return Ticket(state.taken);
        }
        let ticket = Ticket(state.taken + 1);
        if !mem::replace(&mut state.urgent, true) {
            drop(state);
            self.shared.arrived.notify_one();
        }
        ticket
    }

    /// Has what is appended until the end of what is returned be one batch. Not to be called by who has one already, nor
    /// by who holds a lock that another one needs in order to give theirs up.
    pub fn group(&self) -> Group<'_> {
        Group(self.shared.groups.read())
    }

    /// Has `batch` written and synced: something new, which a disk that does not work refuses.
    ///
    /// # Errors
    /// [`Refused`]; nothing of it is there.
    pub fn submit(&self, batch: &Batch) -> Result<Ticket, Refused> {
        match self.refuses() {
            Some(refused) => Err(refused),
            None => Ok(self.submit_change(batch)),
        }
    }

    /// Has `batch` written and synced: a removal, or a change of what is there already. It is taken in any case, and waits
    /// in memory while the disk does not work.
    pub fn submit_change(&self, batch: &Batch) -> Ticket {
        self.append(|open| open.append(batch));
        self.commit()
    }

    /// Whether something new is refused, and why. An atomic read.
    #[must_use]
    pub fn refuses(&self) -> Option<Refused> {
        match self.shared.refuses.load(Ordering::Acquire) {
            0 => None,
            1 => Some(Refused::Failing),
            _ => Some(Refused::Full),
        }
    }

    /// Whether the disk has failed and does not work again yet.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.refuses() == Some(Refused::Failing)
    }

    /// Whether there is room for changes only.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.refuses() == Some(Refused::Full)
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

    /// Writes and syncs what was appended, and lets the disk go. What is appended afterwards is lost.
    pub fn close(&self) {
        self.shared.state.lock().closed = true;
        self.shared.arrived.notify_one();
        let thread = self.thread.lock().take();
        // It ends by itself; a panic there has been reported.
        thread.into_iter().for_each(|thread| _ = thread.join());
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    /// The open batch has grown large: the next one follows, unless somebody is in the middle of a group.
    fn seal(&self) {
        let Some(_alone) = self.groups.try_write() else { return };
        let mut state = self.state.lock();
        if state.open.len() > BATCH_BYTES {
            let full = mem::take(&mut state.open);
            state.sealed.push(full);
        }
    }
}

struct Writer<D: Disk, N> {
    log: Log<D>,
    notify: N,
    shared: Arc<Shared>,
    /// The last ticket that was reported as durable, and as in doubt.
    durable: u64,
    doubted: u64,
    /// When the reserve was last tried to be filled, since the disk last failed.
    refilled: Option<Instant>,
    spare: Batch,
}

/// What the writer has taken.
struct Taken {
    sealed: Vec<Batch>,
    open: Batch,
    ticket: u64,
}

impl<D: Disk, N: FnMut(Outcome)> Writer<D, N> {
    fn run(&mut self) {
        while self.wait() {
            let Taken { sealed, open, ticket } = self.take();
            let batches = sealed.iter().chain((!open.is_empty()).then_some(&open));
            let bytes: usize = sealed.iter().map(Batch::len).sum::<usize>() + open.len();
            // An append cannot fail but by size, and then nobody is told that it is durable.
            let appended = batches.into_iter().try_for_each(|batch| self.log.append(batch).map(drop));
            self.spare = open;
            self.spare.clear(SPARE_BYTES);
            let written = appended.and_then(|()| self.write());
            let durable = written.is_ok();
            self.note(written.err());
            self.report(durable, ticket);
            let tidied = self.tidy(bytes as u64);
            self.note(tidied.err());
        }
    }

    /// Until there is something to do. False: it is over.
    fn wait(&mut self) -> bool {
        let mut state = self.shared.state.lock();
        if self.log.is_failing() {
            // However much arrives, it is tried again now and then only.
            let again = Instant::now() + RETRY;
            while !state.closed && !self.shared.arrived.wait_until(&mut state, again).timed_out() {}
            return !(state.closed && state.since.is_none());
        }
        while !state.closed && !state.urgent && !self.has_work() {
            let refill = self.refilled.filter(|_| self.log.is_full()).map(|last| last + RETRY);
            let due = state.since.map(|since| since + UNASKED).into_iter().chain(refill).min();
            if self.sleep(&mut state, due) {
                break;
            }
        }
        !(state.closed && state.since.is_none())
    }

    /// Until something arrives. True: `due` has come.
    fn sleep(&self, state: &mut MutexGuard<'_, State>, due: Option<Instant>) -> bool {
        match due {
            Some(due) => self.shared.arrived.wait_until(state, due).timed_out(),
            None => {
                self.shared.arrived.wait(state);
                false
            }
        }
    }

    fn has_work(&self) -> bool {
        self.log.pending_bytes() > 0 || self.log.wants_compaction()
    }

    fn take(&mut self) -> Taken {
        let _alone = self.shared.groups.write();
        let mut state = self.shared.state.lock();
        if state.since.take().is_some() {
            state.taken += 1;
        }
        state.urgent = false;
        let open = mem::replace(&mut state.open, mem::take(&mut self.spare));
        Taken { sealed: mem::take(&mut state.sealed), open, ticket: state.taken }
    }

    fn write(&mut self) -> Result<(), Error> {
        // What is appended after a failure is written with what was owed then, and none of it was promised to anybody.
        if !self.log.is_failing() {
            return self.log.sync();
        }
        self.refilled = None;
        self.log.recover()
    }

    fn report(&mut self, durable: bool, ticket: u64) {
        if durable && ticket > self.durable {
            self.durable = ticket;
            (self.notify)(Outcome::Durable(Ticket(ticket)));
        } else if !durable && ticket > self.durable.max(self.doubted) {
            self.doubted = ticket;
            (self.notify)(Outcome::InDoubt(Ticket(ticket)));
        }
    }

    /// Makes room, as much as `bytes` new ones ask for.
    fn tidy(&mut self, bytes: u64) -> Result<(), Error> {
        let due = self.refilled.is_none_or(|last| last.elapsed() >= RETRY);
        if self.log.is_full() && !self.log.is_failing() && due {
            // A disk that is full still is no failure.
            _ = self.log.refill();
            self.refilled = Some(Instant::now());
        }
        if self.log.wants_compaction() { self.log.compact(COMPACT_BYTES.max(2 * bytes)) } else { Ok(()) }
    }

    fn note(&mut self, error: Option<Error>) {
        let refuses = match (self.log.is_failing(), self.log.is_full()) {
            (true, _) => 1,
            (false, true) => 2,
            (false, false) => 0,
        };
        self.shared.refuses.store(refuses, Ordering::Release);
        let mut state = self.shared.state.lock();
        state.bytes = self.log.bytes();
        if let Some(error) = error {
            state.error = Some(error.to_string());
        }
    }
}
