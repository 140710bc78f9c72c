//! What a forked child finds: clients whose thread stayed behind, and locks that nobody will release.

use std::mem;
use std::sync::atomic::{AtomicU32, Ordering};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

/// How many forks lie between the first process and this one.
static GENERATION: AtomicU32 = AtomicU32::new(0);

const FORKED: &str = "this client belongs to the parent process: a forked child needs one of its own";

/// Says that this is a child now: what the parent made is no longer touched, not even to free it.
#[pyfunction]
#[pyo3(name = "_after_fork_in_child")]
pub(super) fn after_fork_in_child() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
}

/// A value of the process that made it. In a forked child it is neither used nor dropped: to drop a client
/// would say DISCONNECT on the parent's connection, and might wait for a lock that a thread of the parent's held.
pub(super) struct Own<T> {
    /// There until it is dropped.
    value: Option<T>,
    generation: u32,
}

impl<T> Own<T> {
    pub(super) fn new(value: T) -> Self {
        Self { value: Some(value), generation: GENERATION.load(Ordering::Relaxed) }
    }

    /// The value, where it may be used.
    pub(super) fn get(&self) -> PyResult<&T> {
        let ours = self.generation == GENERATION.load(Ordering::Relaxed);
        self.value.as_ref().filter(|_| ours).ok_or_else(|| PyRuntimeError::new_err(FORKED))
    }
}

impl<T> Drop for Own<T> {
    fn drop(&mut self) {
        if self.get().is_err() {
            mem::forget(self.value.take());
        }
    }
}
