//! A client's session on the disk: what was published and is not acknowledged, and what came at QoS 2.
//!
//! [`Options::store`](crate::Options::store) turns it on. This module is for that, and for those who drive the
//! [core](karere_core::client) themselves.

mod record;
mod watch;

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use karere_core::Text;
use karere_core::client::{Outgoing, Record, Restored};
use karere_core::store::StoreSequence;
pub use karere_store::Durability;
use karere_store::{Batch, Directory, Disk, Journal, Log, Mark, NotWritten, OpenError, Written};
use parking_lot::{Mutex, MutexGuard};

use self::record::{Found, PUBLISHED, RECEIVED, SESSION, TAKEN};
pub(crate) use self::watch::Watch;

/// Memory that is kept for the next batch.
const SPARE_BYTES: usize = 64 * 1024;

/// Where a client keeps its session, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreOptions {
    /// The folder; it is made if there is none. One client at a time may use it.
    pub path: PathBuf,
    /// Bytes of messages that are kept, with 22 bytes and a little more for each; 64 MiB. Beyond it publishing at QoS > 0
    /// fails with [`StoreError::Full`] until something is acknowledged. The folder takes up to three times as much.
    pub bytes_max: u64,
    /// What a message outlives before it goes on the wire; the loss of power.
    pub durability: Durability,
}

impl StoreOptions {
    /// In the folder at `path`.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), bytes_max: 64 << 20, durability: Durability::Fsync }
    }

    fn for_log(&self, seed: u64) -> karere_store::Options {
        karere_store::Options {
            durability: self.durability,
            segment_bytes: (self.bytes_max / 8).clamp(64 << 10, 16 << 20),
            slack_bytes: (self.bytes_max / 2).max(1 << 20),
            reserve_bytes: (self.bytes_max / 16).min(1 << 20),
            seed,
        }
    }
}

/// Why the store does not do what it is for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Somebody else uses the folder.
    #[error("{} is in use by {holder}: stop it, or choose another folder", path.display())]
    Locked {
        /// The folder.
        path: PathBuf,
        /// Who uses it, as far as is known: "process 1234".
        holder: String,
    },
    /// The folder cannot be opened or made, or what is in it cannot be read.
    #[error("the store cannot be opened: {0}")]
    Open(String),
    /// There is no room for the message below [`StoreOptions::bytes_max`].
    #[error("the store is full: {needed} of at most {max} bytes are in use")]
    Full {
        /// Bytes in use.
        needed: u64,
        /// The limit.
        max: u64,
    },
    /// The disk is full.
    #[error("the store's disk is full")]
    DiskFull,
    /// The disk failed, just now or before, and is not back yet.
    #[error("{0}")]
    Failing(String),
}

impl From<OpenError> for StoreError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Locked { path, holder } => Self::Locked { path, holder },
            error => Self::Open(error.to_string()),
        }
    }
}

impl From<NotWritten> for StoreError {
    fn from(error: NotWritten) -> Self {
        match error {
            NotWritten::Full { needed, max } => Self::Full { needed, max },
            NotWritten::DiskFull => Self::DiskFull,
            error => Self::Failing(error.to_string()),
        }
    }
}

/// How a store is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreStatus {
    /// Bytes of messages that are kept.
    pub needed_bytes: u64,
    /// Bytes that the folder's segments have.
    pub segment_bytes: u64,
    /// The disk has failed and is not back yet: publishing at QoS > 0 fails.
    pub is_failing: bool,
    /// What went wrong last.
    pub last_error: Option<String>,
    /// Pieces that were found to be damaged when the store was opened. They are kept aside in the folder, as `*.damaged`.
    pub damages: usize,
}

/// A store that was opened and read, and takes nothing yet.
pub struct Opened<D: Disk = Directory> {
    log: Log<D>,
    bytes_max: u64,
    damages: usize,
    found: Found,
}

impl<D: Disk> fmt::Debug for Opened<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened").field("found", &self.found).finish_non_exhaustive()
    }
}

impl Opened {
    /// Opens the store, and makes one where there is none. Returns what an earlier process left of the session; `now` is
    /// the time on the [core's](karere_core::Instant) timeline.
    ///
    /// # Errors
    /// [`StoreError::Locked`], [`StoreError::Open`].
    pub fn open(
        options: &StoreOptions,
        now: karere_core::Instant,
        seed: u64,
    ) -> Result<(Self, Restored), StoreError> {
        Opened::on(Directory::open(&options.path)?, options, now, seed)
    }
}

impl<D: Disk> Opened<D> {
    /// The same, whatever the disk.
    pub(crate) fn on(
        disk: D,
        options: &StoreOptions,
        now: karere_core::Instant,
        seed: u64,
    ) -> Result<(Self, Restored), StoreError> {
        let (log, report) = Log::open(disk, options.for_log(seed))?;
        let (found, restored) = record::read(&log, now, wall_millis())?;
        let (bytes_max, damages) = (options.bytes_max, report.damages.len());
        Ok((Self { log, bytes_max, damages, found }, restored))
    }

    /// Has it take what is to be kept. `notify` hears in a thread of the store's up to which [record](karere_core::client::Event::Record)
    /// all is stored, for [`Client::handle_stored`](karere_core::client::Client::handle_stored). What that brings in records is to be
    /// [written](Turn::record) too.
    ///
    /// # Errors
    /// [`StoreError::Open`] when there are no more threads.
    pub fn start(
        self,
        mut notify: impl FnMut(&SessionStore, StoreSequence) + Send + 'static,
    ) -> Result<Arc<SessionStore>, StoreError> {
        let marks = Arc::<Mutex<Marks>>::default();
        let me = Arc::<OnceLock<Weak<SessionStore>>>::default();
        let (theirs, you) = (Arc::clone(&marks), Arc::clone(&me));
        let told = move |mark| {
            let reached = theirs.lock().reach(mark);
            let store = you.get().and_then(Weak::upgrade);
            if let (Some(sequence), Some(store)) = (reached, store) {
                notify(&store, sequence);
                store.watch.reach(sequence);
            }
        };
        let journal = Journal::start(self.log, self.bytes_max, told)
            .map_err(|error| StoreError::Open(error.to_string()))?;
        let desk = Desk { batch: Batch::new(), found: self.found };
        let store = Arc::new(SessionStore {
            journal,
            desk: Mutex::new(desk),
            marks,
            watch: Arc::default(),
            damages: self.damages,
        });
        _ = me.set(Arc::downgrade(&store));
        Ok(store)
    }
}

/// A client's session on the disk.
///
/// Dropping it [closes](Self::close) it.
#[derive(Debug)]
pub struct SessionStore {
    journal: Journal,
    desk: Mutex<Desk>,
    marks: Arc<Mutex<Marks>>,
    watch: Arc<Watch>,
    damages: usize,
}

#[derive(Debug)]
struct Desk {
    batch: Batch,
    found: Found,
}

/// Which records became durable with what was written.
#[derive(Debug, Default)]
struct Marks {
    waiting: VecDeque<(Mark, StoreSequence)>,
    durable: Mark,
    reached: StoreSequence,
}

/// The right to write to a [`SessionStore`]: whoever has it does so in the order of the session's records.
///
/// To be taken before the lock of the client, where both are held; and not to be held while anything is waited for.
#[derive(Debug)]
pub struct Turn<'a> {
    store: &'a SessionStore,
    desk: MutexGuard<'a, Desk>,
}

impl SessionStore {
    /// Waits for one's turn to write.
    #[must_use]
    pub fn turn(&self) -> Turn<'_> {
        Turn { store: self, desk: self.desk.lock() }
    }

    /// Waits until all that was written is stored, at most until `until`. Returns up to which record all is stored, for
    /// [`Client::handle_stored`](karere_core::client::Client::handle_stored).
    pub fn wait(&self, until: Instant) -> StoreSequence {
        let last = self.marks.lock().waiting.back().map(|(mark, _)| *mark);
        let reached = last.filter(|last| self.journal.wait(*last, Some(until)));
        let mut marks = self.marks.lock();
        reached.and_then(|mark| marks.reach(mark));
        let reached = marks.reached;
        drop(marks);
        self.watch.reach(reached);
        reached
    }

    /// Writes and syncs what it was given, and lets the folder go. Nothing new is taken any more.
    pub fn close(&self) {
        let is_durable = self.journal.close();
        self.watch.close(is_durable);
    }

    /// Takes the folder again, and goes on.
    ///
    /// # Errors
    /// [`StoreError::Locked`] when somebody else has it now, [`StoreError::Open`] when somebody else has used it since.
    pub fn reopen(&self) -> Result<(), StoreError> {
        self.journal.reopen()?;
        self.watch.reopen();
        Ok(())
    }

    /// How it is doing.
    #[must_use]
    pub fn status(&self) -> StoreStatus {
        let (needed_bytes, segment_bytes) = self.journal.bytes();
        StoreStatus {
            needed_bytes,
            segment_bytes,
            is_failing: self.journal.is_failing(),
            last_error: self.journal.last_error(),
            damages: self.damages,
        }
    }

    pub(crate) fn watch(&self) -> &Arc<Watch> {
        &self.watch
    }

    fn note(&self, written: Written, sequence: StoreSequence) -> Option<StoreSequence> {
        let mut marks = self.marks.lock();
        if written.is_durable {
            marks.durable = marks.durable.max(written.mark);
        }
        marks.waiting.push_back((written.mark, sequence));
        let durable = marks.durable;
        let reached = marks.reach(durable);
        drop(marks);
        reached.inspect(|reached| self.watch.reach(*reached))
    }
}

impl Turn<'_> {
    /// Keeps a message that was published. It is with the operating system then. Returns up to which record all is stored,
    /// if that is news.
    ///
    /// # Errors
    /// [`StoreError::Full`], [`StoreError::DiskFull`], [`StoreError::Failing`]: it is not kept, and to be
    /// [withdrawn](karere_core::client::Client::withdraw).
    pub fn publish(
        &mut self,
        number: StoreSequence,
        sequence: u64,
        message: &Outgoing<'_>,
    ) -> Result<Option<StoreSequence>, StoreError> {
        let batch = &mut self.desk.batch;
        batch.put_with(PUBLISHED.key(sequence), |out| record::encode(message, wall_millis, out));
        let written = self.store.journal.write(batch);
        batch.clear(SPARE_BYTES);
        Ok(self.store.note(written?, number))
    }

    /// Keeps what `records` say, except of messages that were published. Returns up to which record all is stored, if that
    /// is news.
    pub fn record(&mut self, records: &[(StoreSequence, Record)]) -> Option<StoreSequence> {
        let (last, _) = records.last()?;
        let Desk { batch, found } = &mut *self.desk;
        let mut is_wanted = false;
        for (_, record) in records {
            is_wanted |= !matches!(record, Record::Finished { .. });
            put(batch, found, *record);
        }
        let written = self.store.journal.write_change(batch, is_wanted);
        batch.clear(SPARE_BYTES);
        self.store.note(written, *last)
    }

    /// Keeps under which Client Identifier the session is.
    pub fn identify(&mut self, client_id: &Text) {
        let Desk { batch, found } = &mut *self.desk;
        if found.client_id.as_ref() == Some(client_id) {
            return;
        }
        found.client_id = Some(client_id.clone());
        batch.put_with(SESSION.key(0), |out| record::encode_client_id(client_id, out));
        self.store.journal.write_change(batch, false);
        batch.clear(SPARE_BYTES);
    }
}

fn put(batch: &mut Batch, found: &mut Found, record: Record) {
    match record {
        Record::Published { .. } => {}
        Record::Received { sequence, order } => {
            batch.remove(PUBLISHED.key(sequence));
            batch.put_with(RECEIVED.key(sequence), |out| record::encode_number(order, out));
        }
        Record::Finished { sequence, received } => {
            batch.remove(if received { RECEIVED } else { PUBLISHED }.key(sequence));
        }
        Record::Taken { packet_id } => {
            found.taken.insert(packet_id.get());
            batch.put_with(TAKEN.key(packet_id.get().into()), record::encode_nothing);
        }
        Record::Released { packet_id } => {
            found.taken.remove(&packet_id.get());
            batch.remove(TAKEN.key(packet_id.get().into()));
        }
        Record::Forgotten => {
            let taken: BTreeSet<u16> = std::mem::take(&mut found.taken);
            taken.into_iter().for_each(|packet_id| batch.remove(TAKEN.key(packet_id.into())));
        }
    }
}

impl Marks {
    /// All up to `mark` is durable. Returns up to which record, if that is news.
    fn reach(&mut self, mark: Mark) -> Option<StoreSequence> {
        self.durable = self.durable.max(mark);
        let before = self.reached;
        while let Some((_, sequence)) = self.waiting.pop_front_if(|(mark, _)| *mark <= self.durable) {
            self.reached = self.reached.max(sequence);
        }
        (self.reached > before).then_some(self.reached)
    }
}

impl Drop for SessionStore {
    fn drop(&mut self) {
        self.close();
    }
}

/// The wall clock.
fn wall_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
