//! Syncing without the log's lock: others append and write meanwhile.

use std::io;

use super::Log;
use crate::disk::{Disk, SegmentFile};
use crate::error::{Error, OpenError};

/// A sync that has begun: it needs nothing of the log, only that its end is told to it.
#[derive(Debug)]
pub struct Syncing<F> {
    file: F,
    number: u32,
    /// How much of the segment it covers.
    end: u64,
}

impl<F: SegmentFile> Syncing<F> {
    /// Returns when it is durable, or has failed; once.
    ///
    /// # Errors
    /// What the system says.
    pub fn run(&mut self) -> io::Result<()> {
        self.file.sync()
    }
}

impl<D: Disk> Log<D> {
    /// Begins a sync of all that was appended: hands it to the operating system, and returns what is to be
    /// [run](Syncing::run) and then given to [`finish_sync`](Self::finish_sync). One at a time. None when there is nothing
    /// to sync.
    ///
    /// # Errors
    /// [`Error::Failed`] or [`Error::Failing`].
    pub fn begin_sync(&mut self) -> Result<Option<Syncing<D::File>>, Error> {
        self.flush()?;
        if self.buffer.is_empty() && !self.retiring {
            return Ok(None);
        }
        let file = self.active.file.duplicate();
        let file = self.noted(file)?;
        Ok(Some(Syncing { file, number: self.active.number, end: self.end() }))
    }

    /// The end of a sync. What was appended after its beginning waits for the next one.
    ///
    /// Where a segment ends here, or one is removed, this writes and syncs.
    ///
    /// # Errors
    /// [`Error::Failed`]; [`Error::Failing`] when something else has failed meanwhile, and then this sync counts for nothing.
    pub fn finish_sync(&mut self, syncing: &Syncing<D::File>, synced: io::Result<()>) -> Result<(), Error> {
        self.check()?;
        self.noted(synced)?;
        if syncing.number != self.active.number {
            return Err(Error::Failing);
        }
        let covered = usize::try_from(syncing.end.saturating_sub(self.active.base)).unwrap_or(usize::MAX);
        self.buffer.drain(..covered.min(self.buffer.len()));
        self.buffer.shrink_to((1 << 20).max(self.buffer.len()));
        self.active.flushed = self.active.flushed.saturating_sub(covered);
        (self.active.base, self.active.synced) = (syncing.end, syncing.end);
        if self.retiring {
            self.retire()?;
        }
        match self.active.base >= self.options.segment_bytes {
            // The next segment counts what this one has: all of it first.
            true if !self.buffer.is_empty() => self.sync(),
            true => self.roll(),
            false => Ok(()),
        }
    }

    /// Bytes of values and keys that are still needed.
    #[must_use]
    pub fn needed_bytes(&self) -> u64 {
        self.index.live_bytes()
    }

    /// Lets the disk go: nothing is done with this log any more, unless it is [taken again](Self::take_again).
    pub fn let_go(&mut self) {
        self.disk.let_go();
    }

    /// Takes the disk again.
    ///
    /// # Errors
    /// [`OpenError::Locked`], [`OpenError::Changed`], [`OpenError::Io`].
    pub fn take_again(&mut self) -> Result<(), OpenError> {
        self.disk.take_again()?;
        let what = || "the folder cannot be read".to_owned();
        let numbers = self.disk.list().map_err(|source| OpenError::Io { what: what(), source })?;
        // Whoever opens it begins a segment.
        if numbers.into_iter().max() != Some(self.active.number) {
            self.disk.let_go();
            return Err(OpenError::Changed);
        }
        Ok(())
    }

    /// How durable things are to be.
    #[must_use]
    pub fn durability(&self) -> crate::Durability {
        self.options.durability
    }

    /// Whether the next sync removes a segment.
    #[must_use]
    pub fn is_retiring(&self) -> bool {
        self.retiring
    }
}
