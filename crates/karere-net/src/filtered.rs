//! A stream whose bytes go through filters.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::{Buf, BytesMut};

use crate::filter::Stack;
use crate::sys::{self, BorrowedSocket, WakeUp};
use crate::tcp;
use crate::transport::Transport;

/// The most that is taken from the caller with one write.
const WRITE_BYTES_MAX: usize = 64 * 1024;
/// The most of an empty buffer that is kept for later.
const KEPT_BYTES_MAX: usize = 16 * 1024;
/// The most that one read brings.
const SCRATCH_BYTES: usize = 32 * 1024;

thread_local! {
    /// Where the system writes to, for all streams of a thread: an idle one has no buffer.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A non-blocking stream with TLS, WebSocket or both on it: itself one again.
///
/// A write that answers [`io::ErrorKind::WouldBlock`] may have taken bytes. The next one must be given the same bytes
/// again, with or without more behind them, and is told that they have gone once they have: what is counted as written is
/// with the system. A buffer of 64 KiB is large enough for any read; with a small one there may be more to read
/// although the socket is silent.
#[derive(Debug)]
pub struct Filtered<T> {
    inner: T,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    stack: Stack,
    /// What has come and was not read.
    plain: BytesMut,
    /// How many bytes of the caller's wait in the stack, of which the caller does not know yet that they are taken.
    taken: usize,
    /// Why there is nothing more to read, once what is there was read.
    failed: Option<io::Error>,
}

impl<T: Transport> Filtered<T> {
    /// Puts `stack` on `inner`, which must be non-blocking.
    pub fn new(inner: T, stack: Stack) -> Self {
        let state = State { stack, plain: BytesMut::new(), taken: 0, failed: None };
        Self { inner, state: Mutex::new(state) }
    }

    /// Goes through the beginning of each layer (handshake, upgrade), blocking. It may be left out: then reads and
    /// writes go through it, and tell what went wrong.
    ///
    /// # Errors
    /// What went wrong; [`io::ErrorKind::TimedOut`] after `deadline`.
    pub fn open(&self, deadline: Instant) -> io::Result<()> {
        let nobody = WakeUp::new()?;
        while !self.advance()? {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(tcp::timed_out());
            }
            sys::wait(self.inner.socket(), self.wants_write(), &nobody, Some(left))?;
        }
        Ok(())
    }

    /// Does what can be done for the beginning without waiting. Whether that is over.
    ///
    /// # Errors
    /// What went wrong.
    pub fn advance(&self) -> io::Result<bool> {
        let mut state = self.lock();
        let mut buffer = [0; 4096];
        loop {
            unless_blocked(state.flush(&self.inner))?;
            if state.stack.is_open() {
                return Ok(true);
            }
            match self.inner.read(&mut buffer) {
                Ok(count) => state.take(&self.inner, buffer.get(..count).unwrap_or_default(), None),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            if let Some(error) = state.failed.take() {
                return Err(error);
            }
        }
    }

    /// Reads what is there, appending it to `buffer`; 0 is the end of the stream.
    ///
    /// # Errors
    /// As [`Transport::read`].
    pub fn read_into(&self, buffer: &mut BytesMut) -> io::Result<usize> {
        let mut state = self.lock();
        let before = buffer.len();
        buffer.extend_from_slice(&std::mem::take(&mut state.plain));
        SCRATCH.with_borrow_mut(|scratch| {
            if scratch.is_empty() {
                scratch.resize(SCRATCH_BYTES, 0);
            }
            loop {
                if buffer.len() > before {
                    return Ok(buffer.len() - before);
                }
                if let Some(error) = state.failed.take() {
                    return Err(error);
                }
                if state.stack.is_closed() {
                    return Ok(0);
                }
                let count = self.inner.read(scratch)?;
                if count == 0 && state.stack.is_open() {
                    return Ok(0);
                }
                state.take(&self.inner, scratch.get(..count).unwrap_or_default(), Some(buffer));
            }
        })
    }

    /// The stream below.
    pub fn get_ref(&self) -> &T {
        &self.inner
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Transport> Transport for Filtered<T> {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = self.lock();
        loop {
            if !state.plain.is_empty() {
                let count = state.plain.len().min(buffer.len());
                state.plain.copy_to_slice(buffer.get_mut(..count).unwrap_or_default());
                state.shrink();
                return Ok(count);
            }
            if let Some(error) = state.failed.take() {
                return Err(error);
            }
            if state.stack.is_closed() {
                return Ok(0);
            }
            // Half of it: with what is there of the last record, more may come out than goes in.
            let half = buffer.len().div_ceil(2);
            let count = self.inner.read(buffer.get_mut(..half).unwrap_or_default())?;
            if count == 0 && state.stack.is_open() {
                return Ok(0);
            }
            state.take(&self.inner, buffer.get(..count).unwrap_or_default(), None);
        }
    }

    fn write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut state = self.lock();
        state.flush(&self.inner)?;
        if state.taken == 0 {
            state.taken = state.encode(buffers);
            state.flush(&self.inner)?;
        }
        Ok(std::mem::take(&mut state.taken))
    }

    fn shutdown(&self) -> io::Result<()> {
        let mut state = self.lock();
        state.stack.close();
        // Whoever does not take it now sees the stream end without it.
        let said = state.flush(&self.inner);
        self.inner.shutdown().and(said)
    }

    fn wants_write(&self) -> bool {
        self.lock().stack.wants_write()
    }

    fn flush(&self) -> io::Result<()> {
        self.lock().flush(&self.inner)
    }

    fn socket(&self) -> Option<BorrowedSocket<'_>> {
        self.inner.socket()
    }
}

impl State {
    /// What has come from the network, nothing being its end, goes to `plain` or else to our own. What is to be said to it
    /// is said at once.
    fn take<T: Transport>(&mut self, inner: &T, bytes: &[u8], plain: Option<&mut BytesMut>) {
        if bytes.is_empty() {
            let error = io::Error::new(io::ErrorKind::UnexpectedEof, "the peer closed before it had agreed");
            self.failed = Some(error);
            return;
        }
        let result = self.stack.handle_input(bytes, plain.unwrap_or(&mut self.plain));
        // What does not go now waits for whoever writes next, or for `flush`; what is broken is found by the next read.
        let _ = self.flush(inner);
        self.failed = result.err();
    }

    /// Takes some of `buffers`. How many bytes.
    fn encode(&mut self, buffers: &[IoSlice<'_>]) -> usize {
        let mut room = WRITE_BYTES_MAX;
        let mut parts = Vec::with_capacity(buffers.len());
        for buffer in buffers {
            let count = buffer.len().min(room);
            parts.push(IoSlice::new(buffer.get(..count).unwrap_or_default()));
            room -= count;
            if room == 0 {
                break;
            }
        }
        self.stack.encode(&parts);
        WRITE_BYTES_MAX - room
    }

    fn flush<T: Transport>(&mut self, inner: &T) -> io::Result<()> {
        while let Some(bytes) = self.stack.poll_transmit()
            && !bytes.is_empty()
        {
            match inner.write_vectored(&[IoSlice::new(bytes)]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    bytes.advance(count);
                    if bytes.is_empty() && bytes.capacity() > KEPT_BYTES_MAX {
                        *bytes = BytesMut::new();
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// What is idle keeps no memory.
    fn shrink(&mut self) {
        if self.plain.is_empty() {
            self.plain = BytesMut::new();
        }
    }
}

fn unless_blocked(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests;
