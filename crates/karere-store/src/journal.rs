//! The log for one process's own use: written by whoever calls, synced by a thread beside.

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::batch::{Batch, Operation, operations};
use crate::disk::Disk;
use crate::error::{Error, OpenError};
use crate::log::{Durability, Log};

/// How long the disk is left alone after it failed twice, or was full, before it is tried again.
const RETRY: Duration = Duration::from_millis(500);
/// How long what is written with [`Durability::None`] may stay in memory, and how much of it.
const UNWRITTEN: Duration = Duration::from_millis(100);
const UNWRITTEN_BYTES: usize = 64 * 1024;
/// So much that nobody waits for is synced all the same: what is not durable is kept in memory too.
const UNWANTED_BYTES: usize = 1 << 20;
/// Gone through when the oldest segment is compacted, at least, between two syncs.
const COMPACT_BYTES: u64 = 256 * 1024;

/// Numbers what was written, in the order in which it becomes durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Mark(u64);

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// Stands for it.
    pub mark: Mark,
    /// It is as durable already as [`Options::durability`](crate::Options::durability) asks for; else the thread tells when
    /// it is.
    pub is_durable: bool,
}

/// Why something new was not written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotWritten {
    /// There is no room for it below the limit.
    #[error("the store is full: {needed} bytes of at most {max} are needed")]
    Full {
        /// Bytes that are needed already.
        needed: u64,
        /// The limit.
        max: u64,
    },
    /// The disk is full: there is room for what removes only.
    #[error("the store's disk is full")]
    DiskFull,
    /// The disk failed just now.
    #[error("the store cannot be written: {0}")]
    Failed(String),
    /// The disk has failed before, and does not work again yet.
    #[error("the store's disk has failed, and is not back yet")]
    Failing,
    /// The journal is closed.
    #[error("the store is closed")]
    Closed,
}

/// A log that whoever has something to keep writes to in their own thread, while a thread beside syncs.
///
/// Writing returns when the bytes are with the operating system, and does not wait for a sync that runs; it waits where a
/// segment ends, once in [`segment_bytes`](crate::Options::segment_bytes). All that is written while one sync runs is made
/// durable by the next. Dropping it syncs what is written.
#[derive(Debug)]
pub struct Journal {
    desk: Arc<dyn Desk>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What a [`Journal`] does, whatever its disk.
trait Desk: Send + Sync + fmt::Debug {
    /// Starts the thread.
    fn spawn(self: Arc<Self>) -> std::io::Result<JoinHandle<()>>;
    fn write(&self, batch: &Batch) -> Result<Written, NotWritten>;
    fn write_change(&self, batch: &Batch, is_wanted: bool) -> Written;
    fn wait(&self, mark: Mark, until: Option<Instant>) -> bool;
    fn last_error(&self) -> Option<String>;
    fn bytes(&self) -> (u64, u64);
    fn is_failing(&self) -> bool;
    fn close(&self);
    /// Whether all that was written is durable.
    fn let_go(&self) -> bool;
    fn take_again(&self) -> Result<(), OpenError>;
}

impl Journal {
    /// Starts the thread. No more than `bytes_max` bytes of keys and values are taken. `notify` hears there up to what all
    /// has become durable, in order; it is to return soon.
    ///
    /// # Errors
    /// There are no more threads.
    pub fn start<D: Disk>(
        log: Log<D>,
        bytes_max: u64,
        notify: impl FnMut(Mark) + Send + 'static,
    ) -> std::io::Result<Self> {
        let durability = log.durability();
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                log,
                durability,
                bytes_max,
                written: 0,
                wanted: 0,
                durable: 0,
                told: 0,
                growth: 0,
                since: None,
                retry: None,
                is_asleep: false,
                is_closed: false,
                error: None,
            }),
            work: Condvar::new(),
            done: Condvar::new(),
            failing: AtomicBool::new(false),
            notify: Mutex::new(Box::new(notify)),
        });
        let thread = Arc::clone(&shared).spawn()?;
        Ok(Self { desk: shared, thread: Mutex::new(Some(thread)) })
    }

    /// Writes something new.
    ///
    /// # Errors
    /// [`NotWritten`]: it is not there, nor will it be. (After [`NotWritten::Failed`] it may be there when the process ends
    /// before the disk works again.)
    pub fn write(&self, batch: &Batch) -> Result<Written, NotWritten> {
        self.desk.write(batch)
    }

    /// Writes a removal, or a change of what is there already. It is taken in any case, and waits in memory while the disk
    /// does not work. Unless it `is_wanted` it is made durable with something else, soon or late.
    pub fn write_change(&self, batch: &Batch, is_wanted: bool) -> Written {
        self.desk.write_change(batch, is_wanted)
    }

    /// Waits until all up to `mark` is durable, at most until `until`; false when it is not.
    pub fn wait(&self, mark: Mark, until: Option<Instant>) -> bool {
        self.desk.wait(mark, until)
    }

    /// Whether the disk has failed and does not work again yet.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.desk.is_failing()
    }

    /// What went wrong last.
    #[must_use]
    pub fn last_error(&self) -> Option<String> {
        self.desk.last_error()
    }

    /// Bytes of keys and values that are needed, and bytes of all segments.
    #[must_use]
    pub fn bytes(&self) -> (u64, u64) {
        self.desk.bytes()
    }
}

impl Journal {
    /// Begins again after [`close`](Self::close), with what was changed meanwhile.
    ///
    /// # Errors
    /// [`OpenError::Locked`] and [`OpenError::Changed`] when somebody else has it or has had it, [`OpenError::Io`].
    pub fn reopen(&self) -> Result<(), OpenError> {
        let mut thread = self.thread.lock();
        if thread.is_none() {
            self.desk.take_again()?;
            let what = "the store's thread cannot be started".to_owned();
            let spawned = Arc::clone(&self.desk).spawn();
            *thread = Some(spawned.map_err(|source| OpenError::Io { what, source })?);
        }
        Ok(())
    }

    /// Syncs what is written, ends the thread and lets the disk go. From then on nothing new is taken, and changes stay in
    /// memory. Returns whether all is durable.
    pub fn close(&self) -> bool {
        self.desk.close();
        if let Some(thread) = self.thread.lock().take()
            && thread.thread().id() != thread::current().id()
        {
            // A panic there has been reported.
            _ = thread.join();
        }
        self.desk.let_go()
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.close();
    }
}

struct Shared<D: Disk> {
    state: Mutex<State<D>>,
    notify: Mutex<Box<dyn FnMut(Mark) + Send>>,
    /// There is something for the thread to do.
    work: Condvar,
    /// Something has become durable.
    done: Condvar,
    /// What [`Log::is_failing`] says: to be refused without a wait for the lock, which a disk may hold up now.
    failing: AtomicBool,
}

struct State<D: Disk> {
    log: Log<D>,
    durability: Durability,
    bytes_max: u64,
    written: u64,
    /// All up to this is waited for.
    wanted: u64,
    durable: u64,
    /// All up to this was told.
    told: u64,
    /// Bytes written since the log was last looked through for what is not needed.
    growth: u64,
    /// When something was left in memory, with [`Durability::None`].
    since: Option<Instant>,
    /// When a disk that has failed or is full is tried again.
    retry: Option<Instant>,
    is_asleep: bool,
    is_closed: bool,
    error: Option<String>,
}

impl<D: Disk> Desk for Shared<D> {
    fn spawn(self: Arc<Self>) -> std::io::Result<JoinHandle<()>> {
        thread::Builder::new().name("karere-store".to_owned()).spawn(move || self.run())
    }

    fn write(&self, batch: &Batch) -> Result<Written, NotWritten> {
        if self.is_failing() {
            return Err(NotWritten::Failing);
        }
        let mut state = self.state.lock();
        state.check(batch)?;
        state.log.append(batch).map_err(|error| NotWritten::Failed(error.to_string()))?;
        if let Err(error) = state.hand_over() {
            state.take_back(batch);
            self.fail(&mut state, &error);
            return Err(NotWritten::Failed(error.to_string()));
        }
        Ok(self.written(state, batch, true))
    }

    fn write_change(&self, batch: &Batch, is_wanted: bool) -> Written {
        let mut state = self.state.lock();
        // It fails by size alone: no change is so large.
        let appended = state.log.append(batch);
        if appended.is_ok()
            && !state.is_closed
            && !state.log.is_failing()
            && let Err(error) = state.hand_over()
        {
            self.fail(&mut state, &error);
        }
        self.written(state, batch, is_wanted)
    }

    fn wait(&self, mark: Mark, until: Option<Instant>) -> bool {
        let mut state = self.state.lock();
        while state.durable < mark.0 {
            match until {
                None => self.done.wait(&mut state),
                Some(until) if self.done.wait_until(&mut state, until).timed_out() => break,
                Some(_) => {}
            }
        }
        state.durable >= mark.0
    }

    fn last_error(&self) -> Option<String> {
        self.state.lock().error.clone()
    }

    fn bytes(&self) -> (u64, u64) {
        let state = self.state.lock();
        (state.log.needed_bytes(), state.log.bytes())
    }

    fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Acquire)
    }

    fn close(&self) {
        self.state.lock().is_closed = true;
        self.work.notify_one();
    }

    fn let_go(&self) -> bool {
        let mut state = self.state.lock();
        state.log.let_go();
        state.durable >= state.written && !state.log.is_failing()
    }

    fn take_again(&self) -> Result<(), OpenError> {
        let mut state = self.state.lock();
        state.log.take_again()?;
        (state.is_closed, state.wanted) = (false, state.written);
        Ok(())
    }
}

impl<D: Disk> Shared<D> {
    /// Counts what was written, and has the thread do what follows from it.
    fn written(&self, mut state: MutexGuard<'_, State<D>>, batch: &Batch, is_wanted: bool) -> Written {
        state.written += 1;
        state.growth += batch.len() as u64;
        if state.durability == Durability::Fsync {
            if is_wanted || state.log.pending_bytes() > UNWANTED_BYTES {
                state.wanted = state.written;
            }
        } else if !state.log.is_failing() && !state.is_closed {
            (state.wanted, state.durable) = (state.written, state.written);
        }
        let mark = Mark(state.written);
        let is_durable = state.durable >= mark.0;
        if state.is_asleep && (state.has_work() || state.since.is_some()) {
            state.is_asleep = false;
            drop(state);
            self.work.notify_one();
        }
        Written { mark, is_durable }
    }

    fn fail(&self, state: &mut State<D>, error: &Error) {
        state.error = Some(error.to_string());
        // At once, the first time: what a full disk keeps back may be all that it takes.
        state.retry.get_or_insert_with(Instant::now);
        self.failing.store(state.log.is_failing(), Ordering::Release);
        state.is_asleep = false;
        self.work.notify_one();
    }

    fn run(&self) {
        let mut state = self.state.lock();
        loop {
            self.sleep(&mut state);
            // The last time, with all that nobody waits for.
            let is_last = state.is_closed;
            let done = match state.log.is_failing() {
                true => state.recover(),
                false => self.sync(&mut state),
            };
            self.note(&mut state, done);
            let tidied = state.tidy();
            self.note(&mut state, tidied);
            self.done.notify_all();
            let durable = state.durable;
            if durable > state.told {
                state.told = durable;
                MutexGuard::unlocked(&mut state, || (self.notify.lock())(Mark(durable)));
            }
            if is_last {
                return;
            }
        }
    }

    /// Until there is something to do.
    fn sleep(&self, state: &mut MutexGuard<'_, State<D>>) {
        while !state.is_closed {
            let until = state.due();
            let is_due = until.is_some_and(|until| until <= Instant::now());
            if is_due || !state.log.is_failing() && state.has_work() {
                break;
            }
            state.is_asleep = true;
            match until {
                Some(until) => _ = self.work.wait_until(state, until),
                None => self.work.wait(state),
            }
            state.is_asleep = false;
        }
    }

    /// One sync for all that is written; others write meanwhile.
    fn sync(&self, state: &mut MutexGuard<'_, State<D>>) -> Result<(), Error> {
        let upto = state.written;
        state.since = None;
        if state.durability != Durability::Fsync {
            state.log.sync()?;
            state.durable = upto;
            return Ok(());
        }
        if let Some(mut syncing) = state.log.begin_sync()? {
            let synced = MutexGuard::unlocked(state, || syncing.run());
            state.log.finish_sync(&syncing, synced)?;
        }
        state.durable = upto;
        Ok(())
    }

    fn note(&self, state: &mut State<D>, done: Result<(), Error>) {
        let (failing, full) = (state.log.is_failing(), state.log.is_full());
        if let Err(error) = done {
            state.error = Some(error.to_string());
            let again = if state.retry.is_some() { RETRY } else { Duration::ZERO };
            state.retry = Some(Instant::now() + again);
        } else if !failing {
            state.retry = full.then(|| Instant::now() + RETRY);
        }
        self.failing.store(failing, Ordering::Release);
    }
}

impl<D: Disk> State<D> {
    fn check(&self, batch: &Batch) -> Result<(), NotWritten> {
        if self.is_closed {
            return Err(NotWritten::Closed);
        }
        if self.log.is_failing() {
            return Err(NotWritten::Failing);
        }
        if self.log.is_full() {
            return Err(NotWritten::DiskFull);
        }
        let needed = self.log.needed_bytes();
        if needed + batch.len() as u64 > self.bytes_max {
            return Err(NotWritten::Full { needed, max: self.bytes_max });
        }
        Ok(())
    }

    /// What was appended goes to where [`Durability`] says that it must be when writing returns.
    fn hand_over(&mut self) -> Result<(), Error> {
        match self.durability {
            Durability::Fsync => self.log.flush(),
            Durability::None if self.log.pending_bytes() < UNWRITTEN_BYTES => {
                self.since.get_or_insert_with(Instant::now);
                Ok(())
            }
            Durability::Os | Durability::None => {
                self.since = None;
                self.log.sync()
            }
        }
    }

    /// What could not be written is not to come back with what the log writes anew.
    fn take_back(&mut self, batch: &Batch) {
        let mut removal = Batch::new();
        for operation in operations(batch.as_bytes()).flatten() {
            if let Operation::Put { key, .. } = operation {
                removal.remove(key);
            }
        }
        // It is no larger than what was appended.
        _ = self.log.append(&removal);
    }

    fn recover(&mut self) -> Result<(), Error> {
        let upto = self.written;
        self.log.recover()?;
        (self.durable, self.since) = (upto, None);
        Ok(())
    }

    /// Makes room.
    fn tidy(&mut self) -> Result<(), Error> {
        if self.log.is_failing() {
            return Ok(());
        }
        if self.log.is_full() {
            // A disk that is full still is no failure.
            _ = self.log.refill();
        }
        let growth = std::mem::take(&mut self.growth);
        if self.log.wants_compaction() { self.log.compact(COMPACT_BYTES.max(2 * growth)) } else { Ok(()) }
    }

    fn has_work(&self) -> bool {
        self.wanted > self.durable
            || self.log.is_retiring()
            || (self.growth > COMPACT_BYTES && self.log.wants_compaction())
    }

    /// When there is something to do at the latest.
    fn due(&self) -> Option<Instant> {
        let written = self.since.filter(|_| !self.log.is_failing()).map(|since| since + UNWRITTEN);
        [self.retry, written].into_iter().flatten().min()
    }
}

impl<D: Disk> fmt::Debug for Shared<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("failing", &self.failing).finish_non_exhaustive()
    }
}
