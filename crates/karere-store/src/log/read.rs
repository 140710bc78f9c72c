//! Reading values back, one or all.

use std::io;

use super::Log;
use crate::batch::Key;
use crate::disk::{Disk, SegmentFile};
use crate::error::Error;
use crate::index::Location;

/// Read at a time, at least.
const WINDOW: usize = 1 << 20;

impl<D: Disk> Log<D> {
    /// The value of `key`.
    ///
    /// # Errors
    /// What the disk says, or [`Error::Damaged`].
    pub fn get(&self, key: Key) -> Result<Option<Vec<u8>>, Error> {
        let Some(location) = self.index.get(key) else { return Ok(None) };
        if let Some(value) = self.in_buffer(location) {
            return Ok(Some(value.to_vec()));
        }
        let mut value = vec![0; location.len as usize];
        let read = if location.segment == self.active.number {
            self.active.file.read_at(location.offset, &mut value)?
        } else {
            self.disk.open(location.segment)?.read_at(location.offset, &mut value)?
        };
        if read < value.len() {
            return Err(damaged(location));
        }
        Ok(Some(value))
    }

    /// Shows `visit` all values whose key `wanted` takes, in the order in which they lie on the disk.
    ///
    /// # Errors
    /// What the disk says, or [`Error::Damaged`].
    pub fn visit(
        &self,
        wanted: impl Fn(Key) -> bool,
        mut visit: impl FnMut(Key, &[u8]),
    ) -> Result<(), Error> {
        let mut found: Vec<_> = self.index.find(wanted).collect();
        found.sort_unstable_by_key(|(_, location)| (location.segment, location.offset));
        let mut reader: Option<(u32, Reader<D::File>)> = None;
        for (key, location) in found {
            if let Some(value) = self.in_buffer(location) {
                visit(key, value);
                continue;
            }
            if reader.as_ref().is_none_or(|(segment, _)| *segment != location.segment) {
                reader = Some((location.segment, Reader::new(self.disk.open(location.segment)?)?));
            }
            let Some((_, reader)) = &mut reader else { continue };
            let value = reader.at(location.offset, location.len as usize)?;
            if value.len() < location.len as usize {
                return Err(damaged(location));
            }
            visit(key, value);
        }
        Ok(())
    }

    /// All keys that `wanted` takes, in their order.
    #[must_use]
    pub fn keys(&self, wanted: impl Fn(Key) -> bool) -> Vec<Key> {
        let mut keys: Vec<_> = self.index.find(wanted).map(|(key, _)| key).collect();
        keys.sort_unstable();
        keys
    }

    /// A value that is not yet durable.
    fn in_buffer(&self, location: Location) -> Option<&[u8]> {
        let offset = location
            .offset
            .checked_sub(self.active.base)
            .filter(|_| location.segment == self.active.number)?;
        let offset = usize::try_from(offset).ok()?;
        self.buffer.get(offset..offset + location.len as usize)
    }
}

/// Reads a segment mostly from its beginning to its end.
#[derive(Debug)]
pub(crate) struct Reader<F> {
    file: F,
    len: u64,
    start: u64,
    window: Vec<u8>,
}

impl<F: SegmentFile> Reader<F> {
    pub(crate) fn new(file: F) -> io::Result<Self> {
        let len = file.size()?;
        Ok(Self { file, len, start: 0, window: Vec::new() })
    }

    /// How many bytes the segment has.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// `len` bytes from `offset` on, or fewer where the segment ends.
    pub(crate) fn at(&mut self, offset: u64, len: usize) -> io::Result<&[u8]> {
        let len = usize::try_from(self.len.saturating_sub(offset)).unwrap_or(usize::MAX).min(len);
        let inside = offset.checked_sub(self.start).and_then(|from| usize::try_from(from).ok());
        let from = match inside.filter(|from| self.window.len().saturating_sub(*from) >= len) {
            Some(from) => from,
            None => {
                self.window.resize(len.max(WINDOW), 0);
                self.start = offset;
                let read = self.file.read_at(offset, &mut self.window)?;
                self.window.truncate(read);
                0
            }
        };
        let rest = self.window.get(from..).unwrap_or_default();
        Ok(rest.get(..len).unwrap_or(rest))
    }
}

fn damaged(location: Location) -> Error {
    Error::Damaged { segment: location.segment, offset: location.offset }
}
