//! One consumer of a stream, for asyncio.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use pyo3::prelude::*;

use crate::modern::claim::Claim;
use crate::modern::message::Message;
use crate::modern::outcome;
use crate::modern::queue::{End, Queue};

/// The native half of a stream: one consumer of it.
#[pyclass(frozen, module = "karere._karere")]
pub(in crate::modern) struct LoopStream {
    pub(super) queue: Arc<Queue>,
    /// Its key among the streams; none for the stream of the rest.
    pub(super) key: Option<u64>,
    /// What was handed over last.
    last: Mutex<Option<Arc<Claim>>>,
}

impl LoopStream {
    pub(super) fn new(queue: Arc<Queue>, key: Option<u64>) -> Self {
        Self { queue, key, last: Mutex::default() }
    }
}

#[pymethods]
impl LoopStream {
    /// Another consumer of the same stream.
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.queue), self.key)
    }

    /// The next message if there is one already. Asking acknowledges the one before.
    pub(super) fn next(&self, py: Python<'_>) -> Option<Message> {
        let last = self.last.lock().take();
        let (incoming, orphans) = self.queue.pop();
        for claim in last.iter().chain(&orphans) {
            claim.finish(py);
        }
        let incoming = incoming?;
        let claim = incoming.claim.as_ref().filter(|claim| !claim.manual).cloned();
        if claim.is_some() {
            *self.last.lock() = claim;
        }
        Some(Message::from_incoming(py, incoming))
    }

    /// Has `waiter` set when a message comes; false when there is something already.
    fn wait_with(&self, waiter: Py<PyAny>) -> bool {
        self.queue.wait_with(waiter)
    }

    /// `waiter` waits no more.
    fn forget(&self, py: Python<'_>, waiter: &Bound<'_, PyAny>) {
        let [forgotten, next] = self.queue.forget(waiter);
        drop(forgotten);
        outcome::wake(py, next);
    }

    /// None while more may come; else what to raise, which for a client that was closed is nothing: `False`.
    fn end(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        Ok(match self.queue.end() {
            None => None,
            Some(End::Closed) => Some(false.into_pyobject(py)?.to_owned().into_any().unbind()),
            Some(end) => Some(outcome::end_error(py, &end).into_value(py).into_any()),
        })
    }

    fn __len__(&self) -> usize {
        self.queue.len()
    }
}

impl Drop for LoopStream {
    fn drop(&mut self) {
        let last = self.last.lock().take();
        if last.is_some() {
            self.queue.put_back(VecDeque::new(), last);
        }
    }
}
