//! Which stream gets which message.

use std::mem;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Weak};

use karere_core::client::{AckToken, Received};
use karere_core::topic::{FilterTree, Limits, TopicFilter};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use super::claim::{Acknowledge, Claim};
use super::queue::{End, Incoming, Queue};

/// The streams of one client: one of its own for each subscription that asked for it, and one for the rest.
pub(super) struct Streams {
    tree: FilterTree<u64, Arc<Queue>>,
    members: Vec<Member>,
    /// What no other stream is for.
    rest: Arc<Queue>,
    next_key: u64,
    bytes_max: usize,
    manual: bool,
    hits: Vec<Arc<Queue>>,
    /// Futures to be set now that their streams have something.
    woken: Vec<Py<PyAny>>,
    /// QoS 0 messages that consumers were too slow for.
    dropped: u64,
}

struct Member {
    key: u64,
    filters: Vec<String>,
    queue: Arc<Queue>,
}

impl Streams {
    pub(super) fn new(seed: u64, bytes_max: usize, manual: bool) -> Self {
        Self {
            tree: FilterTree::new(seed, Limits::default()),
            members: Vec::new(),
            rest: Arc::new(Queue::new(bytes_max)),
            next_key: 0,
            bytes_max,
            manual,
            hits: Vec::new(),
            woken: Vec::new(),
            dropped: 0,
        }
    }

    /// The client connects, perhaps after it was closed: what it gets from now on is for new consumers.
    pub(super) fn open(&mut self) {
        if self.rest.is_closed() {
            self.rest = Arc::new(Queue::new(self.bytes_max));
        }
    }

    /// The stream of what no other is for.
    pub(super) fn rest(&self) -> Arc<Queue> {
        Arc::clone(&self.rest)
    }

    /// A new stream of what matches one of `filters`.
    pub(super) fn join(&mut self, filters: Vec<String>) -> PyResult<(u64, Arc<Queue>)> {
        let wrong = |error: &dyn std::fmt::Display| PyValueError::new_err(error.to_string());
        let (key, queue) = (self.next_key, Arc::new(Queue::new(self.bytes_max)));
        self.next_key += 1;
        let mut member = Member { key, filters: Vec::new(), queue: Arc::clone(&queue) };
        for filter in filters {
            let filter = TopicFilter::new(&filter).map_err(|error| wrong(&error))?;
            member.filters.push(filter.filter_without_share().to_owned());
        }
        let inserted = member
            .filters
            .iter()
            .try_for_each(|filter| self.tree.insert(filter, key, Arc::clone(&queue)).map(drop));
        self.members.push(member);
        if let Err(error) = inserted {
            self.leave(key);
            return Err(wrong(&error));
        }
        Ok((key, queue))
    }

    pub(super) fn leave(&mut self, key: u64) {
        let Some(at) = self.members.iter().position(|member| member.key == key) else { return };
        let member = self.members.swap_remove(at);
        for filter in &member.filters {
            self.tree.remove(filter, &key);
        }
    }

    /// Gives a message to each stream that it is for; nobody is woken yet.
    pub(super) fn deliver<C: Acknowledge + 'static>(&mut self, client: &Weak<C>, received: Received) {
        if self.tree.is_empty() {
            let claim = received.ack.map(|token| self.claim(client, token, None));
            return Self::push(&mut self.woken, &mut self.dropped, &self.rest, Incoming { received, claim });
        }
        let mut hits = mem::take(&mut self.hits);
        self.tree.matches(&received.message.topic, |_, queue| {
            // A stream with two filters that match gets the message once.
            if !hits.iter().any(|hit| Arc::ptr_eq(hit, queue)) {
                hits.push(Arc::clone(queue));
            }
        });
        if hits.is_empty() {
            hits.push(Arc::clone(&self.rest));
        }
        let others = (hits.len() > 1).then(|| Arc::new(AtomicUsize::new(hits.len())));
        for queue in hits.drain(..) {
            let claim = received.ack.map(|token| self.claim(client, token, others.clone()));
            let incoming = Incoming { received: received.clone(), claim };
            Self::push(&mut self.woken, &mut self.dropped, &queue, incoming);
        }
        self.hits = hits;
    }

    /// Whom to wake for what was delivered.
    pub(super) fn woken(&mut self) -> Vec<Py<PyAny>> {
        mem::take(&mut self.woken)
    }

    /// Ends every stream; what they keep can still be read. Returns whom to wake.
    pub(super) fn close(&mut self, end: &End) -> Vec<Py<PyAny>> {
        let members = self.members.iter().map(|member| &member.queue);
        members.chain([&self.rest]).flat_map(|queue| queue.close(end.clone())).collect()
    }

    /// QoS 0 messages that were given up because their consumers were behind.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    fn claim<C: Acknowledge + 'static>(
        &self,
        client: &Weak<C>,
        token: AckToken,
        others: Option<Arc<AtomicUsize>>,
    ) -> Arc<Claim> {
        let client: Weak<C> = Weak::clone(client);
        Claim::new(client, token, others, self.manual)
    }

    fn push(woken: &mut Vec<Py<PyAny>>, dropped: &mut u64, queue: &Queue, incoming: Incoming) {
        let (waiter, given_up) = queue.push(incoming);
        woken.extend(waiter);
        *dropped += given_up;
    }
}
