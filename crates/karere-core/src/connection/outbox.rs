//! Bytes waiting to go.

use alloc::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};

/// Payloads of at least this many bytes are queued whole beside the flat buffer instead of being copied.
const LARGE_BYTES_MIN: usize = 4096;
/// A flat buffer that has grown beyond this many bytes is not kept once it has been written.
const KEPT_BYTES_MAX: usize = 256 * 1024;

/// Bytes waiting to go: one flat buffer, with large payloads queued whole beside it.
///
/// The driver keeps a spare, [swaps](Self::swap) it for the full one under its lock, and writes outside of
/// it; both buffers keep their memory, so that nothing is allocated once they have grown.
///
/// What is in here is never removed or reordered, because a topic alias may hang on it.
#[derive(Debug, Default)]
pub struct Outbox {
    flat: BytesMut,
    /// Payloads and how many bytes of `flat` go before each, counted from the one before it.
    large: VecDeque<(usize, Bytes)>,
    large_bytes: usize,
    /// How many bytes of `flat` lie behind the last of `large`.
    tail: usize,
    /// All bytes that were ever put in; stays with its owner over a swap.
    pushed: u64,
}

impl Outbox {
    /// Bytes waiting.
    #[must_use]
    pub fn len(&self) -> usize {
        self.flat.len() + self.large_bytes
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.flat.is_empty() && self.large.is_empty()
    }

    /// All bytes that were ever put in, also those swapped out since.
    #[must_use]
    pub fn pushed(&self) -> u64 {
        self.pushed
    }

    /// Exchanges what waits here for what waits in `other`; each keeps its own count of bytes put in.
    pub fn swap(&mut self, other: &mut Self) {
        core::mem::swap(self, other);
        core::mem::swap(&mut self.pushed, &mut other.pushed);
    }

    /// Puts everything that waits in `earlier` before what waits here: a driver gives back what it took and
    /// could not write. Free when nothing has been put in since.
    pub fn put_back(&mut self, earlier: &mut Self) {
        if earlier.is_empty() {
            return;
        }
        self.swap(earlier);
        if earlier.is_empty() {
            return;
        }
        let pushed = self.pushed;
        self.append(earlier);
        self.pushed = pushed;
    }

    /// Moves all that waits in `other` behind what waits here.
    pub fn append(&mut self, other: &mut Self) {
        let len = other.len();
        for (before, payload) in core::mem::take(&mut other.large) {
            self.flat.extend_from_slice(&other.flat.split_to(before.min(other.flat.len())));
            self.tail += before;
            self.push_whole(payload);
        }
        self.tail += other.flat.len();
        self.flat.extend_from_slice(&other.flat);
        self.pushed += len as u64;
        other.clear();
    }

    /// The waiting bytes as slices in order, as many as `out` takes, for one vectored write. Returns how many.
    pub fn slices<'a>(&'a self, out: &mut [&'a [u8]]) -> usize {
        let mut flat = &self.flat[..];
        let mut used = 0;
        let mut put = |slice: &'a [u8]| -> bool {
            match out.get_mut(used) {
                _ if slice.is_empty() => true,
                None => false,
                Some(place) => {
                    *place = slice;
                    used += 1;
                    true
                }
            }
        };
        for (before, payload) in &self.large {
            let (head, rest) = flat.split_at_checked(*before).unwrap_or((flat, &[]));
            flat = rest;
            if !put(head) || !put(payload) {
                return used;
            }
        }
        put(flat);
        used
    }

    /// Forgets everything that waits.
    pub fn clear(&mut self) {
        self.flat.clear();
        self.large.clear();
        self.large_bytes = 0;
        self.tail = 0;
        self.shrink();
    }

    /// Encodes into the flat buffer.
    pub(crate) fn write<E>(&mut self, encode: impl FnOnce(&mut BytesMut) -> Result<(), E>) -> Result<(), E> {
        let before = self.flat.len();
        let result = encode(&mut self.flat);
        if result.is_err() {
            self.flat.truncate(before);
        }
        let grown = self.flat.len() - before;
        self.tail += grown;
        self.pushed += grown as u64;
        result
    }

    /// A payload that is borrowed, or small: copied.
    #[inline]
    pub(crate) fn push_slice(&mut self, payload: &[u8]) {
        self.flat.extend_from_slice(payload);
        self.tail += payload.len();
        self.pushed += payload.len() as u64;
    }

    /// A payload that is shared: queued whole when it is large, else copied.
    #[inline]
    pub(crate) fn push_shared(&mut self, payload: &Bytes) {
        if payload.len() < LARGE_BYTES_MIN {
            return self.push_slice(payload);
        }
        self.pushed += payload.len() as u64;
        self.push_whole(payload.clone());
    }

    fn push_whole(&mut self, payload: Bytes) {
        self.large_bytes += payload.len();
        self.large.push_back((self.tail, payload));
        self.tail = 0;
    }

    fn shrink(&mut self) {
        if self.flat.is_empty() && self.flat.capacity() > KEPT_BYTES_MAX {
            self.flat = BytesMut::new();
        }
    }
}

impl Buf for Outbox {
    fn remaining(&self) -> usize {
        self.len()
    }

    fn chunk(&self) -> &[u8] {
        match self.large.front() {
            Some((0, payload)) => payload,
            Some((before, _)) => self.flat.get(..*before).unwrap_or(&self.flat),
            None => &self.flat,
        }
    }

    fn advance(&mut self, mut count: usize) {
        while count > 0 {
            match self.large.front_mut() {
                Some((0, payload)) => {
                    let step = count.min(payload.len());
                    payload.advance(step);
                    self.large_bytes -= step;
                    count -= step;
                    if payload.is_empty() {
                        self.large.pop_front();
                    }
                }
                Some((before, _)) => {
                    let step = count.min(*before).min(self.flat.len());
                    *before -= step;
                    self.flat.advance(step);
                    count -= step;
                }
                None => {
                    let step = count.min(self.flat.len());
                    self.flat.advance(step);
                    self.tail -= step;
                    break;
                }
            }
        }
        if self.is_empty() {
            // Not only tidy: `clear` gives an advanced buffer its whole memory back.
            self.reset();
        }
    }
}

impl Outbox {
    fn reset(&mut self) {
        self.flat.clear();
        let capacity = self.flat.capacity();
        // Takes back the room before the read position; no allocation, because nothing is in it.
        self.flat.reserve(capacity.max(1));
        self.shrink();
    }
}

#[cfg(test)]
mod tests;
