//! Moving what is still needed out of the oldest segment.
//!
//! The oldest first, always: a removal may be dropped only where nothing older is left that it removes.

use std::io;

use super::{Log, Reader, Segment};
use crate::batch::{Batch, Operation, operations};
use crate::disk::Disk;
use crate::error::{Damage, Error};
use crate::frame::SEGMENT_HEAD_LEN;
use crate::index::Location;
use crate::recover::{Step, next_frame};

/// More segments than this are too many files, however small they are: each start makes one.
const SEGMENTS_MAX: usize = 64;

/// The oldest segment, as far as it has been gone through.
#[derive(Debug)]
pub(crate) struct Compaction<F> {
    reader: Reader<F>,
    segment: Segment,
    at: u64,
}

impl<D: Disk> Log<D> {
    /// Whether [`compact`](Self::compact) has something to do that is worth it.
    #[must_use]
    pub fn wants_compaction(&self) -> bool {
        let live = self.index.live_bytes();
        // On a full disk, what is garbage is what is missing; but what is needed must fit into what was kept back.
        let fits = self.full && live <= self.options.reserve_bytes / 2;
        let useful = if fits { 2 * live } else { 2 * live + self.options.slack_bytes };
        let due = self.compaction.is_some() || self.bytes() > useful || self.sealed.len() > SEGMENTS_MAX;
        due && !self.retiring && !self.failing && !self.sealed.is_empty()
    }

    /// Goes through at least `bytes` of the oldest segment, or to its end, and appends what is still needed of them.
    /// The segment is removed by the [`sync`](Self::sync) that makes the last of it durable.
    ///
    /// # Errors
    /// What the disk says.
    pub fn compact(&mut self, bytes: u64) -> Result<(), Error> {
        self.check()?;
        if self.retiring {
            return Ok(());
        }
        let is_needed = |segment: &Segment| self.index.is_needed(segment.number);
        if self.sealed.front().is_some_and(|oldest| !is_needed(oldest)) {
            self.compaction = None;
            self.retiring = true;
            return Ok(());
        }
        let Some(mut compaction) = self.take_compaction()? else { return Ok(()) };
        let until = compaction.at.saturating_add(bytes);
        let mut kept = Batch::new();
        while compaction.at < until.min(compaction.segment.len) {
            let step = next_frame(&mut compaction.reader, compaction.at, compaction.segment.len)?;
            let damage = self.keep_needed(&step, compaction.segment, &mut kept);
            if let Some((offset, next)) = damage {
                self.set_aside(&mut compaction, offset, next)?;
            }
            compaction.at = step.next;
        }
        if !kept.is_empty() {
            self.append(&kept)?;
        }
        if compaction.at < compaction.segment.len {
            self.compaction = Some(compaction);
        } else {
            self.retiring = true;
        }
        Ok(())
    }

    fn take_compaction(&mut self) -> Result<Option<Compaction<D::File>>, Error> {
        if let Some(compaction) = self.compaction.take() {
            return Ok(Some(compaction));
        }
        let Some(&segment) = self.sealed.front() else { return Ok(None) };
        let reader = Reader::new(self.disk.open(segment.number)?)?;
        Ok(Some(Compaction { reader, segment, at: SEGMENT_HEAD_LEN as u64 }))
    }

    /// Adds what is still needed of a frame to `kept`. Returns where a damaged piece begins and ends.
    fn keep_needed(&self, step: &Step, segment: Segment, kept: &mut Batch) -> Option<(u64, u64)> {
        let Some(frame) = &step.frame else { return Some((step.at, step.next)) };
        for operation in operations(&frame.body).flatten() {
            let Operation::Put { key, offset, len } = operation else { continue };
            let here = Location { segment: segment.number, len, offset: frame.offset + u64::from(offset) };
            if self.index.get(key) == Some(here) {
                let value = frame.body.get(offset as usize..offset as usize + len as usize);
                kept.put(key, &[value.unwrap_or_default()]);
            }
        }
        None
    }

    /// A piece that was whole when the log was opened is not any more: its values are lost.
    fn set_aside(
        &mut self,
        compaction: &mut Compaction<D::File>,
        offset: u64,
        next: u64,
    ) -> Result<(), Error> {
        let segment = compaction.segment.number;
        let piece = compaction.reader.at(offset, usize::try_from(next - offset).unwrap_or(usize::MAX))?;
        self.disk.quarantine(segment, offset, piece)?;
        self.damages.push(Damage { segment, offset, len: next - offset });
        self.index.forget_range(segment, offset..next);
        Ok(())
    }

    /// Removes the oldest segment: all that is needed of it has been copied, and the copies are durable.
    ///
    /// After an error it is still the oldest, and removed by the next sync: were a younger one removed before it, that
    /// would be missing in the chain of what is found.
    pub(super) fn retire(&mut self) -> Result<(), Error> {
        let Some(segment) = self.sealed.front().copied() else {
            self.retiring = false;
            return Ok(());
        };
        let removed = self.remove_given_up().and_then(|()| self.remove_file(segment.number));
        // Were it there again after a crash while a younger one is gone, what that one removed would be back.
        let removed = removed.and_then(|()| self.disk.sync_names());
        self.noted(removed)?;
        self.retiring = false;
        self.sealed.pop_front();
        self.index.forget_segment(segment.number);
        Ok(())
    }

    fn remove_given_up(&mut self) -> io::Result<()> {
        if self.given_up.is_empty() {
            return Ok(());
        }
        for index in 0..self.given_up.len() {
            self.remove_file(self.given_up[index])?;
        }
        self.disk.sync_names()?;
        self.given_up.clear();
        Ok(())
    }

    /// Removes a file. That it is not there is no error: its name was removed before, when nobody knew whether that was
    /// durable.
    fn remove_file(&mut self, number: u32) -> io::Result<()> {
        match self.disk.remove(number) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }
}
