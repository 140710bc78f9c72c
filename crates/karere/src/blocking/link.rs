//! One connection of a blocking driver.

use std::io;
use std::mem;
use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};
use karere_core::connection::Outbox;
use karere_net::Transport;
use karere_net::sys::{self, WakeUp};
use parking_lot::Mutex;

use crate::Disconnection;
use crate::driver::{Pace, with_slices, write_zero};
use crate::engine::Engine;

/// The most that one read brings.
const READ_BYTES: usize = 64 * 1024;
/// Writes in a row before something is read again.
pub(super) const WRITES_MAX: usize = 16;

/// One connection. It is read and written by whichever thread calls, one at a time each.
pub(super) struct Link {
    pub(super) number: u32,
    pub(super) transport: Box<dyn Transport>,
    reader: Mutex<Reader>,
    /// What was taken to be written.
    outgoing: Mutex<Outbox>,
    pace: Mutex<Pace>,
}

struct Reader {
    /// Where the system writes to: only what came is copied on, and nothing has to be zeroed for it first.
    scratch: Box<[u8]>,
    /// What came and was not handled: whole packets are slices of it.
    input: BytesMut,
}

impl Link {
    pub(super) fn new(number: u32, transport: Box<dyn Transport>) -> Self {
        let scratch = vec![0; READ_BYTES].into_boxed_slice();
        let reader = Reader { scratch, input: BytesMut::with_capacity(READ_BYTES) };
        Self {
            number,
            transport,
            reader: Mutex::new(reader),
            outgoing: Mutex::default(),
            pace: Mutex::default(),
        }
    }

    pub(super) fn is_streaming(&self) -> bool {
        self.pace.lock().is_streaming()
    }

    /// Reads once. False when nothing was there.
    pub(super) fn read(&self, engine: &Engine) -> Result<bool, Disconnection> {
        let mut reader = self.reader.lock();
        let Reader { scratch, input } = &mut *reader;
        match self.transport.read(scratch) {
            Ok(0) => Err(Disconnection::end_of_stream()),
            Ok(count) => {
                self.pace.lock().on_read();
                input.extend_from_slice(scratch.get(..count).unwrap_or_default());
                engine.input(self.number, input, count).map(|()| true)
            }
            Err(error) if is_temporary(&error) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes what waits, a batch a call and at most `writes` of them, without waiting; then says whether the
    /// connection is over.
    pub(super) fn write(&self, engine: &Engine, writes: usize) -> Result<(), Disconnection> {
        if !engine.begin_writing(self.number) {
            return Ok(());
        }
        let mut outgoing = self.outgoing.lock();
        let mut written = 0;
        for _ in 0..writes {
            if !engine.next_to_write(self.number, &mut outgoing, mem::take(&mut written)) {
                return engine.end(self.number).map_or(Ok(()), Err);
            }
            match with_slices(&outgoing, |slices| self.transport.write_vectored(slices)) {
                Ok(0) => return Err(write_zero().into()),
                Ok(count) => {
                    self.pace.lock().on_written();
                    outgoing.advance(count);
                    written = count;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    engine.set_blocked(self.number, true);
                    return Ok(());
                }
                Err(error) => return Err(error.into()),
            }
        }
        let more = engine.next_to_write(self.number, &mut outgoing, written);
        engine.set_blocked(self.number, false);
        if more { Ok(()) } else { engine.end(self.number).map_or(Ok(()), Err) }
    }

    /// Says that no more will be written, and with `linger` waits that long for the server to close.
    ///
    /// To close with unread bytes would reset the connection, and what the server has not read with it.
    pub(super) fn shut(&self, linger: Option<Duration>) {
        let _ = self.transport.shutdown();
        let (Some(linger), Ok(nobody)) = (linger, WakeUp::new()) else { return };
        let deadline = Instant::now() + linger;
        let mut discarded = [0; 4096];
        while self.transport.socket().is_some() {
            match self.transport.read(&mut discarded) {
                Ok(0) => return,
                Ok(_) => continue,
                Err(error) if is_temporary(&error) => {}
                Err(_) => return,
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || sys::wait(self.transport.socket(), false, &nobody, Some(left)).is_err() {
                return;
            }
        }
    }
}

fn is_temporary(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
