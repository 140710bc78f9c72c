//! What a worker thread has on its bench: memory that is used again in each turn, so that no connection has
//! any of its own while it is idle, and no message needs any.

use std::cell::Cell;

use bytes::BytesMut;
use karere_core::connection::Outbox;

use crate::work::Work;

/// How much is read at once, in bytes.
pub(crate) const READ_BYTES_MAX: usize = 64 * 1024;
/// How many outbox buffers a thread keeps, however many its turns have needed lately.
const POOL_COUNT_MAX: usize = 256;
/// And however few.
const POOL_COUNT_MIN: usize = 4;
/// Lately is in the last so many turns, and at most as many before them.
const LATELY_TURNS: u32 = 1024;

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
    bench.pool.end_turn();
    BENCH.set(Some(bench));
    result
}

/// Outbox buffers that nobody uses at the moment: as many as a turn has needed lately.
///
/// Not more, because what one thread lends another may get back, so that each would fill up in time; and one
/// burst to many readers is no reason to keep what it took for ever.
#[derive(Default)]
pub(crate) struct Pool {
    spare: Vec<Outbox>,
    /// Asked for in this turn, and the most in one of the turns of lately and of before.
    asked: usize,
    lately: usize,
    before: usize,
    turns: u32,
}

impl Pool {
    pub(crate) fn take(&mut self) -> Option<Outbox> {
        self.asked += 1;
        self.spare.pop()
    }

    /// Takes an empty outbox for its buffer.
    pub(crate) fn give(&mut self, outbox: Outbox) {
        if self.spare.len() < self.needed() {
            self.spare.push(outbox);
        }
    }

    fn end_turn(&mut self) {
        self.lately = self.lately.max(std::mem::take(&mut self.asked));
        self.turns += 1;
        if self.turns == LATELY_TURNS {
            self.spare.truncate(self.needed());
            self.before = std::mem::take(&mut self.lately);
            self.turns = 0;
        }
    }

    fn needed(&self) -> usize {
        self.asked.max(self.lately).max(self.before).clamp(POOL_COUNT_MIN, POOL_COUNT_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(pool: &mut Pool, readers: usize) {
        let fitted: Vec<_> = (0..readers).map(|_| pool.take().unwrap_or_default()).collect();
        fitted.into_iter().for_each(|outbox| pool.give(outbox));
        pool.end_turn();
    }

    #[test]
    fn a_pool_keeps_as_many_buffers_as_a_turn_has_needed_lately() {
        let mut pool = Pool::default();
        for _ in 0..10 * LATELY_TURNS {
            turn(&mut pool, 100);
            assert_eq!(pool.spare.len(), 100);
        }
        // What other threads have lent does not stay.
        (0..1_000).for_each(|_| pool.give(Outbox::default()));
        assert_eq!(pool.spare.len(), 100);
        (0..3 * LATELY_TURNS).for_each(|_| turn(&mut pool, 1));
        assert_eq!(pool.spare.len(), POOL_COUNT_MIN);
        turn(&mut pool, 1_000);
        assert_eq!(pool.spare.len(), POOL_COUNT_MAX);
    }
}
