//! Who is done with a message, and so when it is acknowledged.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use karere_core::client::AckToken;
use pyo3::prelude::*;

/// Takes acknowledgements: a client.
pub(super) trait Acknowledge: Send + Sync {
    /// The message of `token` is done with, by all that got it.
    fn acknowledge(&self, py: Python<'_>, token: AckToken);
}

/// One consumer's part in the acknowledgement of a message.
pub(super) struct Claim {
    /// Gone with its client: then there is nobody to tell.
    client: Weak<dyn Acknowledge>,
    token: AckToken,
    /// Consumers that are not done, when there were several.
    others: Option<Arc<AtomicUsize>>,
    /// By hand: asking for the next message does not finish it.
    pub(super) manual: bool,
    done: AtomicBool,
}

impl Claim {
    pub(super) fn new(
        client: Weak<dyn Acknowledge>,
        token: AckToken,
        others: Option<Arc<AtomicUsize>>,
        manual: bool,
    ) -> Arc<Self> {
        Arc::new(Self { client, token, others, manual, done: AtomicBool::new(false) })
    }

    /// The consumer is done; only the first call counts.
    pub(super) fn finish(&self, py: Python<'_>) {
        if self.done.swap(true, Ordering::AcqRel) {
            return;
        }
        let last = self.others.as_ref().is_none_or(|left| left.fetch_sub(1, Ordering::AcqRel) == 1);
        if last && let Some(client) = self.client.upgrade() {
            client.acknowledge(py, self.token);
        }
    }
}
