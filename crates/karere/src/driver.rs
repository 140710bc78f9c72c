//! What moves bytes and time between the network and the state machine.

#[cfg(feature = "tokio")]
pub(crate) mod tokio;

use std::io::{self, IoSlice};
use std::time::{Duration, Instant};

use karere_core::connection::Outbox;

/// The most slices of one vectored write. More are there only with many large payloads in a row.
const SLICES: usize = 32;

/// Messages closer than this come one on the other's heels.
const HEELS: Duration = Duration::from_micros(100);

/// How close messages come: one on the other's heels, a driver waits a moment for more of them, so that they share a
/// write.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// When something was written, if nothing was read since.
    wrote: Option<Instant>,
}

impl Pace {
    pub(crate) fn on_written(&mut self) {
        self.wrote = Some(Instant::now());
    }

    /// A question that waits for its answer is no stream, however quick they are.
    pub(crate) fn on_read(&mut self) {
        self.wrote = None;
    }

    pub(crate) fn is_streaming(&self) -> bool {
        self.wrote.is_some_and(|wrote| wrote.elapsed() < HEELS)
    }
}

/// Gives what waits to `write`, as slices for one vectored write.
pub(crate) fn with_slices<R>(
    outbox: &Outbox,
    write: impl FnOnce(&[IoSlice<'_>]) -> io::Result<R>,
) -> io::Result<R> {
    let mut parts: [&[u8]; SLICES] = [&[]; SLICES];
    let used = outbox.slices(&mut parts);
    let slices = parts.map(IoSlice::new);
    write(slices.get(..used).unwrap_or(&slices))
}

/// No byte was written, although some wait.
pub(crate) fn write_zero() -> io::Error {
    io::Error::new(io::ErrorKind::WriteZero, "the socket takes no bytes")
}
