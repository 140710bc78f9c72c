//! What a worker thread has on its bench: memory that is used again in each turn, so that no connection has
//! any of its own while it is idle, and no message needs any.

use std::cell::Cell;

use bytes::BytesMut;
use karere_core::connection::Outbox;

use crate::work::Work;

/// How much is read at once, in bytes.
pub(crate) const READ_BYTES_MAX: usize = 64 * 1024;
/// How many outbox buffers a thread keeps.
const POOL_COUNT_MAX: usize = 256;

thread_local! {
    static BENCH: Cell<Option<Box<Bench>>> = const { Cell::new(None) };
}

/// One thread's memory.
#[derive(Default)]
pub(crate) struct Bench {
    pub(crate) input: BytesMut,
    pub(crate) pool: Pool,
    pub(crate) work: Work,
}

/// Gives `f` the thread's bench. Inside of another `with` it is a new one: correct, only slower.
pub(crate) fn with<R>(f: impl FnOnce(&mut Bench) -> R) -> R {
    let mut bench = BENCH.take().unwrap_or_default();
    let result = f(&mut bench);
    BENCH.set(Some(bench));
    result
}

/// Outbox buffers that nobody uses at the moment.
#[derive(Default)]
pub(crate) struct Pool(Vec<Outbox>);

impl Pool {
    pub(crate) fn take(&mut self) -> Option<Outbox> {
        self.0.pop()
    }

    /// Takes an empty outbox for its buffer.
    pub(crate) fn give(&mut self, outbox: Outbox) {
        if self.0.len() < POOL_COUNT_MAX {
            self.0.push(outbox);
        }
    }
}
