//! Which callbacks there are.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use karere_core::topic::{FilterTree, Limits, TopicFilter};
use parking_lot::Mutex;

use super::client::Client;
use super::log::Log;
use crate::delivery::{Answer, Published};
use crate::{Auth, ConnAck, ConnectError, Disconnection, Received, SubscribeError};

/// A callback. Its own lock is held while it runs, and is never waited for: callbacks run one at a time.
pub(super) type Callback<T> = Arc<Mutex<dyn FnMut(&Client, &T) + Send>>;

pub(super) fn callback<T>(f: impl FnMut(&Client, &T) + Send + 'static) -> Callback<T> {
    Arc::new(Mutex::new(f))
}

/// One of each kind.
#[derive(Clone, Default)]
pub(super) struct Callbacks {
    pub(super) connect: Option<Callback<ConnAck>>,
    pub(super) connect_fail: Option<Callback<ConnectError>>,
    pub(super) disconnect: Option<Callback<Disconnection>>,
    pub(super) message: Option<Callback<Received>>,
    pub(super) publish: Option<Callback<Published>>,
    pub(super) subscribe: Option<Callback<Answer>>,
    pub(super) unsubscribe: Option<Callback<Answer>>,
    pub(super) auth: Option<Callback<Auth>>,
    pub(super) log: Option<Callback<Log>>,
}

/// The callbacks of a client, which may be changed at any time, by a callback too.
pub(super) struct Registry {
    /// Changed as a whole, so that a reader keeps what it has and looks at one number to see that it is old.
    current: Mutex<Arc<Callbacks>>,
    version: AtomicU64,
    filters: Mutex<FilterTree<(), Callback<Received>>>,
    filters_count: AtomicU64,
}

impl Registry {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            current: Mutex::default(),
            version: AtomicU64::new(1),
            filters: Mutex::new(FilterTree::new(seed, Limits::default())),
            filters_count: AtomicU64::new(0),
        }
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut Callbacks)) {
        let mut current = self.current.lock();
        let mut new = Callbacks::clone(&current);
        change(&mut new);
        let former = std::mem::replace(&mut *current, Arc::new(new));
        self.version.fetch_add(1, Ordering::Release);
        drop(current);
        drop(former); // what it captured may do anything when it is dropped
    }

    pub(super) fn look<R>(&self, look: impl FnOnce(&Callbacks) -> R) -> R {
        look(&self.current.lock())
    }

    pub(super) fn add(&self, filter: &str, callback: Callback<Received>) -> Result<(), SubscribeError> {
        let filter = TopicFilter::new(filter)?;
        let mut filters = self.filters.lock();
        let former = filters.insert(filter.filter_without_share(), (), callback)?;
        self.filters_count.store(filters.len() as u64, Ordering::Release);
        drop(filters);
        drop(former); // what it captured may do anything when it is dropped
        Ok(())
    }

    pub(super) fn remove(&self, filter: &str) -> bool {
        let Ok(filter) = TopicFilter::new(filter) else { return false };
        let mut filters = self.filters.lock();
        let former = filters.remove(filter.filter_without_share(), &());
        self.filters_count.store(filters.len() as u64, Ordering::Release);
        drop(filters);
        former.is_some()
    }

    /// Adds the callbacks of the filters that match `topic` to `hits`.
    fn matching(&self, topic: &str, hits: &mut Vec<Callback<Received>>) {
        if self.filters_count.load(Ordering::Acquire) > 0 {
            self.filters.lock().matches(topic, |(), callback| hits.push(Arc::clone(callback)));
        }
    }
}

/// What a dispatcher knows of the callbacks, and what it reuses.
#[derive(Default)]
pub(super) struct View {
    callbacks: Arc<Callbacks>,
    version: u64,
    hits: Vec<Callback<Received>>,
}

impl View {
    /// The callbacks as they are now.
    pub(super) fn of<'a>(&'a mut self, registry: &Registry) -> &'a Callbacks {
        if self.version != registry.version.load(Ordering::Acquire) {
            let current = registry.current.lock();
            self.version = registry.version.load(Ordering::Acquire);
            let former = std::mem::replace(&mut self.callbacks, Arc::clone(&current));
            drop(current);
            drop(former); // what it captured may do anything when it is dropped
        }
        &self.callbacks
    }

    /// Calls all filters' callbacks that match, or on_message when none does. False when nobody took the message.
    pub(super) fn on_message(&mut self, registry: &Registry, client: &Client, received: &Received) -> bool {
        let mut hits = std::mem::take(&mut self.hits);
        registry.matching(&received.message.topic, &mut hits);
        let mut taken = !hits.is_empty();
        for callback in hits.drain(..) {
            callback.lock()(client, received);
        }
        self.hits = hits;
        if !taken && let Some(callback) = self.of(registry).message.clone() {
            callback.lock()(client, received);
            taken = true;
        }
        taken
    }
}
