//! What a client is told once.

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use karere_core::client;
use karere_core::codec::{Properties, Version, Will};
use karere_core::text::TextError;
use karere_net::{Address, AddressError, Connector, Url};

use crate::{Credentials, Durability, Handover, StoreOptions, Text};

/// What a client is told once: where the server is, what CONNECT says, and every limit.
///
/// Each method takes the options and gives them back changed; the fields may be set as well.
///
/// ```
/// use std::time::Duration;
/// use karere::{Options, Reconnect};
///
/// let options = Options::new("broker.example", 1883)
///     .client_id("thermometer-7")?
///     .credentials("ana", "secret")?
///     .keep_alive(30)
///     .reconnect(Reconnect { max: Duration::from_secs(30), ..Reconnect::default() });
/// # Ok::<(), karere::TextError>(())
/// ```
#[derive(Clone)]
pub struct Options {
    /// Where the server is.
    pub address: Address,
    /// What the protocol needs to know, with its limits.
    pub core: client::Options,
    /// How long connecting may take, for all addresses of the server's name together; 5 seconds.
    pub connect_timeout: Duration,
    /// What connecting needs to know beside the address: whom to trust with TLS, headers of a WebSocket.
    pub connector: Connector,
    /// When to connect again after the connection was lost; none gives up.
    pub reconnect: Option<Reconnect>,
    /// Whether a blocking [`loop_forever`](crate::blocking::Client::loop_forever) goes on after the first connection failed.
    pub retry_first_connection: bool,
    /// Asked at every connect.
    pub credentials: CredentialsProvider,
    /// Messages of a stream are acknowledged by [`Incoming::ack`](crate::Incoming::ack), those of a callback by
    /// [`Client::ack`](crate::blocking::Client::ack), and by nothing else.
    pub manual_ack: bool,
    /// Bytes of QoS 0 messages that one stream keeps for a consumer that is behind; beyond it the oldest go
    /// first, counted in [`Counters::dropped`](crate::Counters::dropped). 16 MiB.
    pub stream_bytes_max: usize,
    /// Where the session is kept over the end of the process; none.
    pub store: Option<StoreOptions>,
}

/// When to connect again after the connection was lost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reconnect {
    /// The first wait; 1 second.
    pub min: Duration,
    /// The longest wait; each is twice the one before until here. 2 minutes.
    pub max: Duration,
    /// How much of each wait is left to chance, from 0 (nothing) to 1, so that clients that lost a
    /// server together do not come back together; 0.5.
    pub jitter: f64,
}

impl Default for Reconnect {
    fn default() -> Self {
        Self { min: Duration::from_secs(1), max: Duration::from_secs(120), jitter: 0.5 }
    }
}

/// Who is asked for [`Credentials`] at every connect.
#[derive(Clone)]
pub struct CredentialsProvider(Arc<dyn Fn() -> Credentials + Send + Sync>);

impl Options {
    /// For the server at `host`, a name or an IP address, reached by TCP.
    #[must_use]
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self::from_address(Address::tcp(host, port))
    }

    /// For the server at `address`.
    #[must_use]
    pub fn from_address(address: Address) -> Self {
        Self {
            address,
            core: client::Options { seed: random(), ..client::Options::default() },
            connect_timeout: Duration::from_secs(5),
            connector: Connector::default(),
            reconnect: Some(Reconnect::default()),
            retry_first_connection: false,
            credentials: CredentialsProvider::new(Credentials::default),
            manual_ack: false,
            stream_bytes_max: 16 * 1024 * 1024,
            store: None,
        }
    }

    /// For `mqtt://[user[:password]@]host[:port]`, or the same with `mqtts`, `ws` or `wss`, or `unix:/path`. A topic in
    /// it is the caller's business ([`Url`]).
    ///
    /// # Errors
    /// [`AddressError`] for what is no such URL, or has a user name that MQTT cannot carry.
    pub fn from_url(url: &str) -> Result<Self, AddressError> {
        let Url { address, username, password, .. } = url.parse()?;
        let options = Self::from_address(address);
        match username {
            None => Ok(options),
            Some(username) => {
                let wrong = |_| AddressError::Encoding(username.clone());
                options.username(Some(&username), password.map(Bytes::from)).map_err(wrong)
            }
        }
    }

    /// The protocol version; 5.
    #[must_use]
    pub fn version(mut self, version: Version) -> Self {
        self.core.version = version;
        self
    }

    /// The Client Identifier; empty (as it is at first) asks the server to assign one.
    ///
    /// # Errors
    /// [`TextError`] for what is no UTF-8 Encoded String: U+0000 in it, or over 65,535 bytes.
    pub fn client_id(mut self, client_id: &str) -> Result<Self, TextError> {
        self.core.client_id = Text::new(client_id)?;
        Ok(self)
    }

    /// Whether the first connection starts a new session (3.x: whether every one does); true.
    #[must_use]
    pub fn clean_start(mut self, clean_start: bool) -> Self {
        self.core.clean_start = clean_start;
        self
    }

    /// Seconds that the server keeps the session after the connection has gone, version 5; 0. 0xFFFFFFFF never ends.
    #[must_use]
    pub fn session_expiry(mut self, seconds: u32) -> Self {
        self.core.session_expiry = seconds;
        self
    }

    /// The Keep Alive in seconds; 60. 0 turns it off.
    #[must_use]
    pub fn keep_alive(mut self, seconds: u16) -> Self {
        self.core.keep_alive = seconds;
        self
    }

    /// The Will: what the server publishes when we go without DISCONNECT.
    #[must_use]
    pub fn will(mut self, will: Will) -> Self {
        self.core.will = Some(will);
        self
    }

    /// Further properties of CONNECT, version 5: user properties, the authentication method and its data.
    #[must_use]
    pub fn properties(mut self, properties: Properties) -> Self {
        self.core.properties = properties;
        self
    }

    /// User name and password, the same at every connect.
    ///
    /// # Errors
    /// [`TextError`] for a user name that is no UTF-8 Encoded String.
    pub fn credentials(self, username: &str, password: impl AsRef<[u8]>) -> Result<Self, TextError> {
        self.username(Some(username), Some(Bytes::copy_from_slice(password.as_ref())))
    }

    /// User name and password, each or none.
    ///
    /// # Errors
    /// [`TextError`] for a user name that is no UTF-8 Encoded String.
    pub fn username(self, username: Option<&str>, password: Option<Bytes>) -> Result<Self, TextError> {
        let credentials = Credentials { username: username.map(Text::new).transpose()?, password };
        Ok(self.credentials_provider(move || credentials.clone()))
    }

    /// Asks `provider` for user name and password at every connect: a token that expires, a file that changes.
    #[must_use]
    pub fn credentials_provider(
        mut self,
        provider: impl Fn() -> Credentials + Send + Sync + 'static,
    ) -> Self {
        self.credentials = CredentialsProvider::new(provider);
        self
    }

    /// How long connecting may take; 5 seconds.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Whom to trust with `mqtts` and `wss`, and as whom to come; without it the system's authorities are trusted.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, client: karere_net::tls::Client) -> Self {
        self.connector.tls = Some(client);
        self
    }

    /// One more header of the request for a WebSocket (`ws`, `wss`). One that has the name of one of ours replaces it.
    #[cfg(feature = "websocket")]
    #[must_use]
    pub fn websocket_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.connector.headers.push((name.into(), value.into()));
        self
    }

    /// When to connect again after the connection was lost.
    #[must_use]
    pub fn reconnect(mut self, reconnect: Reconnect) -> Self {
        self.reconnect = Some(reconnect);
        self
    }

    /// Gives up when the connection is lost.
    #[must_use]
    pub fn no_reconnect(mut self) -> Self {
        self.reconnect = None;
        self
    }

    /// See [`retry_first_connection`](Self#structfield.retry_first_connection); false.
    #[must_use]
    pub fn retry_first_connection(mut self, retry: bool) -> Self {
        self.retry_first_connection = retry;
        self
    }

    /// Whether messages are acknowledged by hand only; false.
    #[must_use]
    pub fn manual_ack(mut self, manual: bool) -> Self {
        self.manual_ack = manual;
        self
    }

    /// When a QoS 2 message is handed over; on PUBLISH.
    #[must_use]
    pub fn handover(mut self, handover: Handover) -> Self {
        self.core.handover = handover;
        self
    }
}

/// The store.
impl Options {
    /// Keeps the session in the folder at `path`, over the end of the process: once publishing at QoS 1 or 2 has returned,
    /// the message is sent whatever happens to the process, and a QoS 2 message that the application is done with does not
    /// come again. See [`store`](crate::store).
    ///
    /// The session is then to outlive the connection at the server too: [`clean_start`](Self::clean_start) becomes false, and
    /// the [session expiry](Self::session_expiry) a week where it was none; set them afterwards to have it otherwise. A folder
    /// is for one server and one Client Identifier. The file system is used when the client is made; what is wrong with it
    /// is an error of connecting ([`ConnectError::Store`](crate::ConnectError::Store)).
    #[must_use]
    pub fn store(mut self, path: impl Into<PathBuf>) -> Self {
        const WEEK: u32 = 7 * 24 * 3600;
        self.store = Some(StoreOptions::new(path));
        self.core.clean_start = false;
        if self.core.session_expiry == 0 {
            self.core.session_expiry = WEEK;
        }
        self
    }

    /// Bytes of messages that the store keeps; 64 MiB. Beyond it publishing at QoS 1 and 2 fails.
    #[must_use]
    pub fn store_bytes_max(mut self, bytes: u64) -> Self {
        self.store.iter_mut().for_each(|store| store.bytes_max = bytes);
        self
    }

    /// What a message in the store outlives before it goes on the wire; the loss of power.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.store.iter_mut().for_each(|store| store.durability = durability);
        self
    }
}

/// Limits.
impl Options {
    /// The Receive Maximum that we announce: unacknowledged QoS > 0 messages towards us; 1,024.
    #[must_use]
    pub fn receive_maximum(mut self, count: u16) -> Self {
        self.core.receive_maximum = count;
        self
    }

    /// The Maximum Packet Size that we accept, in bytes; 16 MiB. A larger packet ends the connection.
    #[must_use]
    pub fn maximum_packet_size(mut self, bytes: u32) -> Self {
        self.core.maximum_packet_size = bytes;
        self
    }

    /// How many topic aliases the server may use towards us; 16.
    #[must_use]
    pub fn topic_alias_maximum(mut self, count: u16) -> Self {
        self.core.topic_alias_maximum = count;
        self
    }

    /// Whether our messages get topic aliases by themselves, as far as the server allows; false.
    #[must_use]
    pub fn outbound_aliases(mut self, on: bool) -> Self {
        self.core.outbound_aliases = on;
        self
    }

    /// How many QoS > 0 messages of ours may be unacknowledged, beside the server's Receive Maximum; 1,024.
    #[must_use]
    pub fn inflight_max(mut self, count: u16) -> Self {
        self.core.inflight_max = count;
        self
    }

    /// How many messages may wait, offline or for the window; 100,000. The oldest QoS 0 one goes first; without
    /// any, publishing fails.
    #[must_use]
    pub fn queue_count_max(mut self, count: usize) -> Self {
        self.core.queue_count_max = count;
        self
    }

    /// The same bound in bytes of topics, payloads and properties; 64 MiB.
    #[must_use]
    pub fn queue_bytes_max(mut self, bytes: usize) -> Self {
        self.core.queue_bytes_max = bytes;
        self
    }

    /// Whether QoS 0 messages are kept while there is no connection; true. Else publishing them fails.
    #[must_use]
    pub fn queue_qos0(mut self, on: bool) -> Self {
        self.core.queue_qos0 = on;
        self
    }

    /// Bytes that may wait to be written before an async publish waits and the queue is held back.
    #[must_use]
    pub fn outbox_bytes_max(mut self, bytes: usize) -> Self {
        self.core.outbox_bytes_max = bytes;
        self
    }

    /// Bytes of QoS 0 messages that one stream keeps for a consumer that is behind; 16 MiB.
    #[must_use]
    pub fn stream_bytes_max(mut self, bytes: usize) -> Self {
        self.stream_bytes_max = bytes;
        self
    }

    /// Whether subscriptions are made again when the server has lost the session, and wait while offline; true.
    #[must_use]
    pub fn resubscribe(mut self, on: bool) -> Self {
        self.core.resubscribe = on;
        self
    }

    /// Whether every packet is shown, as an event or to on_log; false.
    #[must_use]
    pub fn trace(mut self, on: bool) -> Self {
        self.core.trace = on;
        self
    }

    /// What the state machine gets: the protocol's part, with what only a driver can add.
    pub(crate) fn for_core(&self) -> client::Options {
        let mut core = self.core.clone();
        if core.version == Version::V31 && core.client_id.is_empty() {
            // 3.1 has no server that assigns identifiers, and allows 23 characters.
            core.client_id = Text::new(format!("karere-{:016x}", random())).unwrap_or(Text::EMPTY);
        }
        core
    }
}

impl CredentialsProvider {
    fn new(provider: impl Fn() -> Credentials + Send + Sync + 'static) -> Self {
        Self(Arc::new(provider))
    }

    pub(crate) fn ask(&self) -> Credentials {
        (self.0)()
    }
}

impl fmt::Debug for CredentialsProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not what it provides: a password does not belong into a log.
        f.write_str("CredentialsProvider")
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("address", &self.address)
            .field("core", &self.core)
            .field("reconnect", &self.reconnect)
            .field("manual_ack", &self.manual_ack)
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}

/// A number that differs from run to run and from call to call.
pub(crate) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_fills_in_the_credentials() {
        let options = Options::from_url("mqtt://ana:secret@broker.example:99/ignored").unwrap();
        assert_eq!(options.address, Address::tcp("broker.example", 99));
        let credentials = options.credentials.ask();
        assert_eq!(credentials.username.as_deref(), Some("ana"));
        assert_eq!(credentials.password.as_deref(), Some(&b"secret"[..]));
    }

    #[test]
    fn a_provider_is_asked_anew_each_time() {
        let asked = std::sync::atomic::AtomicU32::new(0);
        let options = Options::new("h", 1).credentials_provider(move || {
            let count = asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            Credentials { username: Text::new(format!("user {count}")).ok(), password: None }
        });
        assert_eq!(options.credentials.ask().username.as_deref(), Some("user 0"));
        assert_eq!(options.clone().credentials.ask().username.as_deref(), Some("user 1"));
    }

    #[test]
    fn a_client_of_version_3_1_always_has_an_identifier_of_at_most_23_characters() {
        let options = Options::new("h", 1).version(Version::V31).for_core();
        assert_eq!(options.client_id.len(), 23);
        assert_ne!(options.client_id, Options::new("h", 1).version(Version::V31).for_core().client_id);
        assert!(Options::new("h", 1).for_core().client_id.is_empty());
    }

    #[test]
    fn no_password_is_shown() {
        let shown = format!("{:?}", Options::from_url("mqtt://ana:secret@h").unwrap());
        assert!(!shown.contains("secret"), "{shown}");
    }
}
