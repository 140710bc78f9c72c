//! How a broker is set up and started.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::io;
use std::time::Duration;

use karere_core::Instant;
use karere_core::broker::{Options, RouterLimits};

use crate::broker::Shared;
use crate::endpoint::Listener;
use crate::handle::{BrokerHandle, Places};
use crate::hooks::{Authenticate, Authorize, Hooks, MessageHook};
use crate::store::{self, Opening, StoreOptions};
use crate::sync::Arc;
use crate::{listener, sys, timer};

/// An MQTT broker; see [`Broker::builder`].
#[derive(Debug)]
pub struct Broker;

impl Broker {
    /// Sets up a broker: listens nowhere, says yes to everybody, publishes `$SYS` every 10 seconds.
    pub fn builder() -> Builder {
        Builder {
            listeners: Vec::new(),
            options: Options::default(),
            settings: Settings::default(),
            hooks: Hooks::default(),
            store: None,
        }
    }
}

/// Sets up a broker; from [`Broker::builder`].
#[must_use = "a broker runs after `start`"]
pub struct Builder {
    listeners: Vec<Listener>,
    options: Options,
    settings: Settings,
    hooks: Hooks,
    store: Option<Opening>,
}

/// What is not the protocol's.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) connections_max: usize,
    pub(crate) sys_interval: Duration,
    pub(crate) shutdown_deadline: Duration,
    pub(crate) router: RouterLimits,
    pub(crate) seed: Option<u64>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            connections_max: 1_000_000,
            sys_interval: Duration::from_secs(10),
            shutdown_deadline: Duration::from_secs(5),
            router: RouterLimits::default(),
            seed: None,
        }
    }
}

impl Builder {
    /// Listens where `listener` says, with what it says beneath MQTT: `host:port` is enough for plain TCP. May be called
    /// again for more.
    ///
    /// A name is listened on at all of its addresses. Port 0 takes a free one, the same for all addresses of
    /// a name; [`BrokerHandle::local_addrs`] tells which. An IPv6 address means IPv6 alone: `[::]:1883` and
    /// `0.0.0.0:1883` go together.
    pub fn listen(mut self, listener: impl Into<Listener>) -> Self {
        self.listeners.push(listener.into());
        self
    }

    /// What the broker announces and enforces.
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// How much is kept of subscriptions and retained messages, of all sessions together.
    pub fn router_limits(mut self, limits: RouterLimits) -> Self {
        self.settings.router = limits;
        self
    }

    /// How many connections there may be, 1,000,000 by default. Over it a connection is closed as soon as it
    /// is accepted, and counted in [`Counters::connections_refused`](crate::Counters::connections_refused).
    pub fn connections_max(mut self, count: usize) -> Self {
        self.settings.connections_max = count;
        self
    }

    /// How often the topics under `$SYS` are published; zero turns them off.
    pub fn sys_interval(mut self, interval: Duration) -> Self {
        self.settings.sys_interval = interval;
        self
    }

    /// How long [`BrokerHandle::shutdown`] waits for clients to take what is still to be written to them.
    pub fn shutdown_deadline(mut self, deadline: Duration) -> Self {
        self.settings.shutdown_deadline = deadline;
        self
    }

    /// The seed of all hashing; by default a new one at each start, so that nobody can choose names that
    /// collide.
    pub fn seed(mut self, seed: u64) -> Self {
        self.settings.seed = Some(seed);
        self
    }

    /// Keeps on a disk what is to outlive the broker: sessions with an expiry above 0, their subscriptions, messages and
    /// Wills, and retained messages. What was acknowledged is there after a crash, as far as
    /// [`StoreOptions::durability`] promises. Without it all is in memory.
    pub fn store(mut self, options: StoreOptions) -> Self {
        self.store = Some(Opening::folder(options));
        self
    }

    /// The same on any disk: for tests.
    #[doc(hidden)]
    pub fn store_on(mut self, disk: impl karere_store::Disk, options: karere_store::Options) -> Self {
        self.store = Some(Opening::disk(disk, options));
        self
    }

    /// Asks `hook` who may connect.
    pub fn authenticate(mut self, hook: impl Authenticate) -> Self {
        self.hooks.authenticate = Some(Arc::new(hook));
        self
    }

    /// Asks `hook` who may publish and subscribe to what.
    pub fn authorize(mut self, hook: impl Authorize) -> Self {
        self.hooks.authorize = Some(Arc::new(hook));
        self
    }

    /// Shows every message to `hook` before it is routed.
    pub fn message_hook(mut self, hook: impl MessageHook) -> Self {
        self.hooks.message = Some(Arc::new(hook));
        self
    }

    /// Starts listening, and serves on the current tokio runtime until [`BrokerHandle::shutdown`] or until
    /// the last handle is dropped.
    ///
    /// # Errors
    /// [`StartError::Resolve`] for a name that means no address, [`StartError::Listen`] when an address is in
    /// use or not ours, [`StartError::Store`] when the store cannot be opened.
    ///
    /// # Panics
    /// Outside of a tokio runtime, or in one without its network and time drivers.
    pub async fn start(mut self) -> Result<BrokerHandle, StartError> {
        let (mut acceptors, mut skipped) = (Vec::new(), Vec::new());
        for listener in &self.listeners {
            match listener::open(listener).await {
                Ok(opened) => acceptors.extend(opened.into_iter().map(|one| (one, listener.over.clone()))),
                Err(error) if error.is_bearable(listener) => skipped.push(error),
                Err(error) => return Err(error),
            }
        }
        let places = Places {
            local: acceptors.iter().filter_map(|(acceptor, _)| acceptor.local_addr()).collect(),
            addresses: acceptors.iter().filter_map(|(acceptor, over)| acceptor.address(over)).collect(),
            skipped,
        };
        self.settings.seed.get_or_insert_with(|| RandomState::new().hash_one(0));
        let (broker, found) = self.open()?;
        for (acceptor, over) in acceptors {
            tokio::spawn(listener::accept(broker.clone(), acceptor, over));
        }
        if let Some(durable) = broker.commit.durable() {
            tokio::spawn(store::run(broker.clone(), durable.clone()));
        }
        tokio::spawn(timer::run(broker.clone()));
        tokio::spawn(sys::tidy(broker.clone()));
        if !broker.settings.sys_interval.is_zero() {
            tokio::spawn(sys::run(broker.clone()));
        }
        Ok(BrokerHandle::new(broker, places, found))
    }

    /// What all tasks share, with what the store gives back.
    fn open(mut self) -> Result<(Arc<Shared>, Option<StoreFound>), StartError> {
        let Some(opening) = self.store else {
            return Ok((
                Arc::new(Shared::new(self.options, self.settings, self.hooks, None, Instant::ZERO)),
                None,
            ));
        };
        let seed = self.settings.seed.unwrap_or_default();
        let found = opening.open(seed).map_err(|source| StartError::Store { source })?;
        let known = StoreFound::new(&found.recovered, found.report);
        self.options.store = true;
        let durable = found.durable;
        let before = found.recovered.now;
        let shared = Shared::new(self.options, self.settings, self.hooks, Some(durable.clone()), before);
        let broker = Arc::new(shared);
        store::restore(&broker, &durable, found.recovered);
        Ok((broker, Some(known)))
    }
}

/// What a store held when the broker started.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreFound {
    /// Sessions.
    pub sessions: usize,
    /// Messages that wait in them, or were sent and not acknowledged.
    pub messages: usize,
    /// Retained messages.
    pub retained: usize,
    /// What belonged to nothing any more, and is removed: of what was being changed when it ended.
    pub orphans: usize,
    /// Values that cannot be understood; they are left where they are.
    pub strange: usize,
    /// Of the log itself: what was read, cut off, and found damaged.
    pub log: karere_store::Report,
}

impl StoreFound {
    fn new(recovered: &store::Recovered, log: karere_store::Report) -> Self {
        Self {
            sessions: recovered.sessions.len(),
            messages: recovered.sessions.iter().map(store::RecoveredSession::messages).sum(),
            retained: recovered.retained.len(),
            orphans: recovered.orphans_len,
            strange: recovered.strange,
            log,
        }
    }
}

/// Why a broker did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {}", plain(.source))]
    Listen {
        /// Which one.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// A name means no address.
    #[error("cannot listen on {address}: {}", plain(.source))]
    Resolve {
        /// What was asked for.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// The store cannot be opened.
    #[error("the store cannot be opened: {source}")]
    Store {
        /// Why.
        source: karere_store::OpenError,
    },
}

impl StartError {
    /// Whether another program, or another broker, has the address.
    #[must_use]
    pub fn is_address_in_use(&self) -> bool {
        matches!(self, Self::Listen { source, .. } if source.kind() == io::ErrorKind::AddrInUse)
    }
}

/// The system's words without its numbers.
fn plain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => "address in use".to_owned(),
        io::ErrorKind::AddrNotAvailable => "no such address on this machine".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::NotFound => "the name has no address".to_owned(),
        _ => error.to_string(),
    }
}
