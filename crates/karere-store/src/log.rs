//! The engine: segments, the index, and what is not yet durable.

mod compact;
mod concurrent;
mod read;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::mem;

use crate::batch::{Batch, Operation, operations};
use crate::disk::{Disk, SegmentFile as _};
use crate::error::{Damage, Error, OpenError};
use crate::frame::{BODY_LEN_MAX, FRAME_HEAD_LEN, Frame, FrameHead, SEGMENT_HEAD_LEN, SegmentHead};
use crate::index::{Index, Location};
use crate::recover::{self, Report};
use compact::Compaction;
pub use concurrent::Syncing;
pub(crate) use read::Reader;

/// What a [`Log`] is told once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// What an append has outlived once [`Log::sync`] has returned.
    pub durability: Durability,
    /// Bytes after which a segment is followed by the next one.
    pub segment_bytes: u64,
    /// Bytes that may be used beside twice what is needed before the oldest segment is compacted.
    pub slack_bytes: u64,
    /// Bytes kept back for a full disk, so that removals and compaction work there.
    pub reserve_bytes: u64,
    /// Decides the identity of a new store, and the seed of the index.
    pub seed: u64,
}

/// What something that is stored outlives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// The loss of power: each sync reaches the disk.
    #[default]
    Fsync,
    /// The end of the process, in any way: it is with the operating system.
    Os,
    /// Nothing but the end of who closes the store: it is written when there is enough of it, or soon.
    None,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            durability: Durability::Fsync,
            segment_bytes: 64 << 20,
            slack_bytes: 128 << 20,
            reserve_bytes: 8 << 20,
            seed: 0,
        }
    }
}

/// A store, without a thread: changes are appended, made durable together, and found again by their keys.
///
/// After an error of [`flush`](Self::flush), [`sync`](Self::sync) or [`compact`](Self::compact), what was appended since
/// the last sync that succeeded is in doubt: it is never to be acknowledged. The log keeps it, and
/// [`recover`](Self::recover) writes it anew into a segment of its own; nothing is synced a second time.
#[derive(Debug)]
pub struct Log<D: Disk> {
    disk: D,
    options: Options,
    store: u64,
    index: Index,
    /// The segments before the active one, the oldest first.
    sealed: VecDeque<Segment>,
    active: Active<D::File>,
    /// The bytes of the active segment from its `base` on.
    buffer: Vec<u8>,
    /// Numbers that were given.
    sequence: u64,
    number: u32,
    failing: bool,
    /// The reserve was given back, and the disk has no room for it.
    full: bool,
    compaction: Option<Compaction<D::File>>,
    /// Its values are copied: to be removed once the copies are durable.
    retiring: bool,
    /// Segments that were begun in vain and that nothing follows. Their files go before any segment is removed: what is found
    /// below a segment that is missing would be taken for the rest of a chain.
    given_up: Vec<u32>,
    damages: Vec<Damage>,
}

/// A segment that grows no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) number: u32,
    /// How many of its bytes count.
    pub(crate) len: u64,
}

/// The segment that grows.
#[derive(Debug)]
struct Active<F> {
    number: u32,
    file: F,
    /// All before this has been made as durable as [`Options::durability`] says.
    base: u64,
    /// What a loss of power leaves of it.
    synced: u64,
    /// Bytes of the buffer that are with the operating system.
    flushed: usize,
}

/// What was found on a disk.
pub(crate) struct Found {
    pub(crate) store: u64,
    pub(crate) index: Index,
    pub(crate) segments: VecDeque<Segment>,
    pub(crate) sequence: u64,
    /// The highest number that a file has.
    pub(crate) number: u32,
    pub(crate) report: Report,
}

impl<D: Disk> Log<D> {
    /// Opens the store on `disk`, or makes one where there is none, and says what was found.
    ///
    /// # Errors
    /// A newer format, a missing segment, or what the disk says.
    pub fn open(mut disk: D, options: Options) -> Result<(Self, Report), OpenError> {
        let found = recover::replay(&mut disk, options.seed)?;
        let number = found.number + 1;
        let (follows, counts) = found.segments.back().map_or((0, 0), |segment| (segment.number, segment.len));
        let head = SegmentHead { store: found.store, number, follows, counts };
        let active = Active::create(&mut disk, head)
            .map_err(|source| OpenError::Io { what: format!("segment {number} cannot be made"), source })?;
        let full = disk.reserve(options.reserve_bytes).is_err();
        let log = Self {
            disk,
            options,
            store: found.store,
            index: found.index,
            sealed: found.segments,
            active,
            buffer: Vec::new(),
            sequence: found.sequence,
            number,
            failing: false,
            full,
            compaction: None,
            retiring: false,
            given_up: Vec::new(),
            damages: Vec::new(),
        };
        Ok((log, found.report))
    }

    /// Appends `batch`, and returns its number. It can be read at once; it is durable once [`sync`](Self::sync) has
    /// returned.
    ///
    /// Works while the disk does not: what is appended then waits in memory.
    ///
    /// # Errors
    /// [`Error::TooLarge`]; nothing was appended.
    pub fn append(&mut self, batch: &Batch) -> Result<u64, Error> {
        if batch.len() > BODY_LEN_MAX {
            return Err(Error::TooLarge(batch.len()));
        }
        self.sequence += 1;
        let body = self.end() + FRAME_HEAD_LEN as u64;
        let head = FrameHead { sequence: self.sequence, durable: self.active.synced };
        head.encode(batch.as_bytes(), &mut self.buffer);
        for operation in operations(batch.as_bytes()).flatten() {
            self.index.apply(operation, self.active.number, body);
        }
        Ok(self.sequence)
    }

    /// Hands what was appended to the operating system.
    ///
    /// # Errors
    /// [`Error::Failed`] or [`Error::Failing`].
    pub fn flush(&mut self) -> Result<(), Error> {
        self.check()?;
        let rest = self.buffer.get(self.active.flushed..).unwrap_or_default();
        if rest.is_empty() {
            return Ok(());
        }
        let done = self.active.file.append(rest);
        self.noted(done)?;
        self.active.flushed = self.buffer.len();
        Ok(())
    }

    /// Returns when all that was appended outlives what [`Options::durability`] says.
    ///
    /// # Errors
    /// [`Error::Failed`] or [`Error::Failing`].
    pub fn sync(&mut self) -> Result<(), Error> {
        self.flush()?;
        if !self.buffer.is_empty() {
            if self.options.durability == Durability::Fsync {
                let done = self.active.file.sync();
                self.noted(done)?;
                self.active.synced = self.end();
            }
            self.active.base = self.end();
            self.active.flushed = 0;
            self.buffer.clear();
            // What one burst took is not kept for ever.
            self.buffer.shrink_to(1 << 20);
        }
        if self.retiring {
            self.retire()?;
        }
        if self.active.base >= self.options.segment_bytes { self.roll() } else { Ok(()) }
    }

    /// After a failure: writes what is in doubt into a new segment and syncs it. The failed one is never trusted behind
    /// what was known to be durable.
    ///
    /// # Errors
    /// [`Error::Failed`]: it fails still, and everything is as it was.
    pub fn recover(&mut self) -> Result<(), Error> {
        if !self.failing {
            return Ok(());
        }
        // For a full disk: there is room for what removes now.
        if self.disk.release().is_ok() {
            self.full = true;
        }
        self.number += 1;
        let head = self.head_of_next();
        let (active, buffer) = match Active::begin(&mut self.disk, head, &self.buffer) {
            Ok(begun) => begun,
            Err(error) => {
                self.given_up.push(head.number);
                return Err(error.into());
            }
        };
        let failed = self.take_over(active);
        self.move_locations(failed, &buffer);
        self.active.base += buffer.len() as u64;
        self.active.synced = self.active.base;
        self.failing = false;
        self.buffer.clear();
        Ok(())
    }

    /// Keeps space back again, after the disk was full.
    ///
    /// # Errors
    /// There is none yet.
    pub fn refill(&mut self) -> Result<(), Error> {
        if self.full {
            self.disk.reserve(self.options.reserve_bytes)?;
            self.full = false;
        }
        Ok(())
    }

    /// Whether a write or a sync has failed, and [`recover`](Self::recover) has not succeeded since.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.failing
    }

    /// Whether there is room for what removes only.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.full
    }

    /// How many keys have a value.
    #[must_use]
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether no key has a value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of all segments.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.sealed.iter().map(|segment| segment.len).sum::<u64>() + self.end()
    }

    /// Bytes of what is not yet durable.
    #[must_use]
    pub fn pending_bytes(&self) -> usize {
        self.buffer.len()
    }

    /// What was found to be damaged since the log was opened.
    #[must_use]
    pub fn damages(&self) -> &[Damage] {
        &self.damages
    }

    /// The disk.
    #[must_use]
    pub fn disk(&self) -> &D {
        &self.disk
    }

    fn end(&self) -> u64 {
        self.active.base + self.buffer.len() as u64
    }

    fn check(&self) -> Result<(), Error> {
        if self.failing { Err(Error::Failing) } else { Ok(()) }
    }

    /// Remembers that something failed.
    fn noted<T>(&mut self, done: std::io::Result<T>) -> Result<T, Error> {
        self.failing |= done.is_err();
        Ok(done?)
    }

    fn roll(&mut self) -> Result<(), Error> {
        self.number += 1;
        let head = self.head_of_next();
        let active = Active::create(&mut self.disk, head);
        if active.is_err() {
            self.given_up.push(head.number);
        }
        let active = self.noted(active)?;
        self.take_over(active);
        Ok(())
    }

    fn head_of_next(&self) -> SegmentHead {
        let (follows, counts) = (self.active.number, self.active.base);
        SegmentHead { store: self.store, number: self.number, follows, counts }
    }

    /// From now on `active` grows. Returns the segment that grew until now.
    fn take_over(&mut self, active: Active<D::File>) -> Segment {
        let before = mem::replace(&mut self.active, active);
        let sealed = Segment { number: before.number, len: before.base };
        self.sealed.push_back(sealed);
        sealed
    }

    /// The values that lay behind `failed` lie in `buffer` now, at the beginning of the active segment.
    fn move_locations(&mut self, failed: Segment, buffer: &[u8]) {
        let (mut rest, mut at) = (buffer, 0);
        while let Some((frame, len)) = Frame::decode(rest) {
            let (before, now) =
                (failed.len + at + FRAME_HEAD_LEN as u64, self.active.base + at + FRAME_HEAD_LEN as u64);
            for operation in operations(frame.body).flatten() {
                if let Operation::Put { key, offset, len } = operation {
                    let of = |segment, base: u64| Location { segment, len, offset: base + u64::from(offset) };
                    if self.index.get(key) == Some(of(failed.number, before)) {
                        self.index.put(key, of(self.active.number, now));
                    }
                }
            }
            rest = rest.get(len..).unwrap_or_default();
            at += len as u64;
        }
    }
}

impl<F: crate::SegmentFile> Active<F> {
    /// A segment that begins with the frames of `buffer`, all durable; and those frames as they stand there.
    fn begin<D: Disk<File = F>>(
        disk: &mut D,
        head: SegmentHead,
        buffer: &[u8],
    ) -> std::io::Result<(Self, Vec<u8>)> {
        let mut active = Self::create(disk, head)?;
        let buffer = reframed(buffer, active.synced);
        active.file.append(&buffer)?;
        active.file.sync()?;
        Ok((active, buffer))
    }

    /// A segment with its head, durable and named.
    fn create<D: Disk<File = F>>(disk: &mut D, head: SegmentHead) -> std::io::Result<Self> {
        let mut file = disk.create(head.number)?;
        file.append(&head.encode())?;
        file.sync()?;
        disk.sync_names()?;
        let base = SEGMENT_HEAD_LEN as u64;
        Ok(Self { number: head.number, file, base, synced: base, flushed: 0 })
    }
}

impl Index {
    /// Applies an operation of a batch whose first byte lies at `body` of `segment`.
    pub(crate) fn apply(&mut self, operation: Operation, segment: u32, body: u64) {
        match operation {
            Operation::Put { key, offset, len } => {
                self.put(key, Location { segment, len, offset: body + u64::from(offset) });
            }
            Operation::Remove { key } => self.remove(key),
        }
    }
}

/// The frames of `buffer`, as they are to stand in a segment of which `durable` bytes are.
fn reframed(buffer: &[u8], durable: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(buffer.len());
    let mut rest = buffer;
    while let Some((frame, len)) = Frame::decode(rest) {
        FrameHead { sequence: frame.head.sequence, durable }.encode(frame.body, &mut out);
        rest = rest.get(len..).unwrap_or_default();
    }
    out
}
