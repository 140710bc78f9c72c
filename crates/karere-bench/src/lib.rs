//! What counting needs: an allocator that counts, and peers that cost the process nothing. What measuring needs: a
//! job for a client and a clock of CPU.
//!
//! Counts do not flake, times do: counts are asserted in the tests of this crate.

mod load;
mod peer;

use std::alloc::System;
use std::sync::{Mutex, MutexGuard, PoisonError};

pub use load::{Job, Mark};
pub use peer::{Peer, Raw, wait_until};
pub use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

/// The type of the allocator that a test binary installs.
pub type Counting = StatsAlloc<System>;

/// Allocations of the whole process while `work` runs; growing in place counts as one.
pub fn allocations(work: impl FnOnce()) -> usize {
    let before = INSTRUMENTED_SYSTEM.stats();
    work();
    let after = INSTRUMENTED_SYSTEM.stats();
    (after.allocations - before.allocations) + (after.reallocations - before.reallocations)
}

/// One measurement at a time in a process: allocations of all threads are counted together.
pub fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}
