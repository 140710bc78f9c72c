//! What a program holds of a broker that runs.

use std::net::SocketAddr;

use karere_core::client::Options as ClientOptions;
use karere_net::Address;

use crate::broker::Shared;
use crate::builder::{StartError, StoreFound};
use crate::counters::Counters;
use crate::local::{LocalClient, LocalError};
use crate::sync::Arc;

/// A broker that runs. Cheap to clone.
///
/// It runs until [`shutdown`](Self::shutdown), or until the last handle is dropped: then connections are cut
/// without a goodbye.
#[derive(Clone)]
pub struct BrokerHandle(Arc<Running>);

struct Running {
    broker: Arc<Shared>,
    places: Places,
    found: Option<StoreFound>,
}

/// How a store fares.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreState {
    /// Its disk has failed, and is tried again now and then.
    pub failing: bool,
    /// Its disk is full.
    pub full: bool,
    /// What went wrong last.
    pub last_error: Option<String>,
    /// Bytes on the disk.
    pub bytes: u64,
}

/// Where a broker listens, and where it could not.
#[derive(Debug, Default)]
pub(crate) struct Places {
    pub(crate) local: Vec<SocketAddr>,
    pub(crate) addresses: Vec<Address>,
    pub(crate) skipped: Vec<StartError>,
}

/// How a shutdown went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shutdown {
    /// Connections that were there.
    pub closed: usize,
    /// Those of them that had to be cut, because they had not taken their last bytes at the deadline.
    pub cut: usize,
}

impl BrokerHandle {
    pub(crate) fn new(broker: Arc<Shared>, places: Places, found: Option<StoreFound>) -> Self {
        Self(Arc::new(Running { broker, places, found }))
    }

    /// Where the broker listens, in the order of the calls of [`listen`](crate::Builder::listen), with the
    /// ports that the system chose: TCP, whatever is spoken over it.
    #[must_use]
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.0.places.local
    }

    /// The same, and Unix domain sockets, as clients name them: with what is spoken there.
    #[must_use]
    pub fn addresses(&self) -> &[Address] {
        &self.0.places.addresses
    }

    /// Which [optional](crate::Listener::optional) listeners the broker has started without, and why.
    #[must_use]
    pub fn skipped(&self) -> &[StartError] {
        &self.0.places.skipped
    }

    /// What the store held when the broker started; `None` without one.
    #[must_use]
    pub fn store_found(&self) -> Option<&StoreFound> {
        self.0.found.as_ref()
    }

    /// How the store fares; `None` without one.
    #[must_use]
    pub fn store_state(&self) -> Option<StoreState> {
        let store = self.0.broker.commit.durable()?.store();
        Some(StoreState {
            failing: store.is_failing(),
            full: store.is_full(),
            last_error: store.last_error(),
            bytes: store.bytes(),
        })
    }

    /// What the broker has counted until now.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.0.broker.counters()
    }

    /// A client in this process, without a socket, with version 5, Clean Start and the default options.
    ///
    /// # Errors
    /// [`LocalError::Refused`] when a hook or a rule of the broker says no, [`LocalError::Closed`] when it
    /// shuts down, [`LocalError::ClientId`] for an identifier that is no UTF-8 string of MQTT.
    pub async fn client(&self, client_id: &str) -> Result<LocalClient, LocalError> {
        let client_id = karere_core::Text::new(client_id).map_err(|_| LocalError::ClientId)?;
        self.client_with(ClientOptions { client_id, keep_alive: 0, ..ClientOptions::default() }).await
    }

    /// The same with options of one's own: a session that stays, a Will, limits.
    ///
    /// Its Keep Alive should be 0, because it sends nothing while nobody calls it.
    ///
    /// # Errors
    /// As [`client`](Self::client).
    pub async fn client_with(&self, options: ClientOptions) -> Result<LocalClient, LocalError> {
        LocalClient::connect(&self.0.broker, options).await
    }

    /// Stops listening, says goodbye to everybody (version 5: DISCONNECT with 0x8B), and returns when all
    /// connections are gone: after the [deadline](crate::Builder::shutdown_deadline) at the latest. What is to be on the
    /// disk is, and its folder is free.
    pub async fn shutdown(&self) -> Shutdown {
        self.0.broker.shutdown().await
    }
}

impl std::fmt::Debug for BrokerHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BrokerHandle").field("addresses", &self.0.places.addresses).finish_non_exhaustive()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.broker.cut();
    }
}
