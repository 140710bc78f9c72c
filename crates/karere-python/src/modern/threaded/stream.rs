//! One consumer of a stream, for threads.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use pyo3::prelude::*;

use super::{ThreadClient, deadline, is_over, pass};
use crate::modern::claim::Claim;
use crate::modern::errors;
use crate::modern::fork::Own;
use crate::modern::message::Message;
use crate::modern::outcome::end_error;
use crate::modern::queue::{End, Incoming, Queue};

/// The native half of a stream: one consumer of it.
#[pyclass(frozen, module = "karere._karere")]
pub(in crate::modern) struct ThreadStream {
    pub(super) held: Own<Held>,
    /// A client lives as long as somebody can still hear from it.
    client: Py<ThreadClient>,
}

pub(super) struct Held {
    pub(super) queue: Arc<Queue>,
    /// Its key among the streams; none for the stream of the rest.
    pub(super) key: Option<u64>,
    hand: Mutex<Hand>,
}

/// What one consumer has taken.
#[derive(Default)]
struct Hand {
    /// Not looked at.
    batch: VecDeque<(u64, Incoming)>,
    /// Handed over last.
    last: Option<Arc<Claim>>,
}

impl ThreadStream {
    pub(super) fn new(client: Py<ThreadClient>, queue: Arc<Queue>, key: Option<u64>) -> Self {
        Self { held: Own::new(Held { queue, key, hand: Mutex::default() }), client }
    }
}

impl Held {
    /// The next message if there is one already. Asking acknowledges the one before.
    pub(super) fn next(&self, py: Python<'_>) -> Option<Message> {
        let mut hand = self.hand.lock();
        let last = hand.last.take();
        let mut orphans = Vec::new();
        if hand.batch.is_empty() {
            orphans = self.queue.take(&mut hand.batch);
        }
        let next = hand.batch.pop_front().map(|(_, incoming)| incoming);
        let claim = next.as_ref().and_then(|incoming| incoming.claim.as_ref());
        hand.last = claim.filter(|claim| !claim.manual).cloned();
        drop(hand);
        for claim in last.iter().chain(&orphans) {
            claim.finish(py);
        }
        next.map(|incoming| Message::from_incoming(py, incoming))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let Hand { batch, last } = std::mem::take(&mut *self.hand.lock());
        if !batch.is_empty() || last.is_some() {
            self.queue.put_back(batch, last);
        }
    }
}

#[pymethods]
impl ThreadStream {
    /// Another consumer of the same stream.
    fn clone(&self, py: Python<'_>) -> PyResult<Self> {
        let held = self.held.get()?;
        Ok(Self::new(self.client.clone_ref(py), Arc::clone(&held.queue), held.key))
    }

    /// Waits for the next message; None once the stream has ended. Asking acknowledges the one before.
    #[pyo3(signature = (timeout=None))]
    fn next(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<Option<Message>> {
        let held = self.held.get()?;
        if let Some(message) = held.next(py) {
            return Ok(Some(message));
        }
        let deadline = deadline(timeout)?;
        loop {
            if let Some(message) = held.next(py) {
                return Ok(Some(message));
            }
            match held.queue.end() {
                None => {}
                Some(End::Closed) => return Ok(None),
                Some(end) => return Err(end_error(py, &end)),
            }
            if is_over(deadline) {
                return Err(errors::timed_out(py, "no message in time"));
            }
            py.detach(|| held.queue.wait(pass(deadline)));
            py.check_signals()?;
        }
    }

    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Message>> {
        self.next(py, None)
    }

    fn __len__(&self) -> PyResult<usize> {
        let held = self.held.get()?;
        let taken = held.hand.lock().batch.len();
        Ok(taken + held.queue.len())
    }
}
