//! What the broker announces and enforces.

use crate::codec::QoS;

/// What the broker announces in CONNACK and enforces, the same for all clients.
///
/// Limits are data: each names its unit last and its policy in its documentation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// How many QoS > 0 messages of one publisher may be unanswered; announced to version 5, enforced there.
    pub receive_maximum: u16,
    /// Bytes of the largest packet taken; announced to version 5. Larger ones end the connection with 0x95
    /// before they are buffered.
    pub maximum_packet_size: u32,
    /// Bytes of the largest packet taken before CONNECT is accepted.
    pub connect_size_max: u32,
    /// How many topic aliases a client may use.
    pub topic_alias_maximum: u16,
    /// How many topic aliases we use towards a client that allows as many; 0 uses none.
    pub outbound_aliases_max: u16,
    /// The longest Keep Alive in seconds, 0 for any. A version 5 client is told (Server Keep Alive), and with it
    /// one that asked for none. A 3.x client cannot be told, and would be cut off before its next PINGREQ: it keeps its own.
    pub keep_alive_max: u16,
    /// The longest Session Expiry Interval in seconds; a version 5 client that asked for more is told.
    pub session_expiry_max: u32,
    /// Session Expiry Interval in seconds of a 3.x client without Clean Session.
    pub session_expiry_v3: u32,
    /// Messages that may wait for one session; then the oldest at QoS 0 goes, and without any the newest.
    pub queue_count_max: usize,
    /// The same bound in bytes.
    pub queue_bytes_max: usize,
    /// Unacknowledged QoS > 0 messages to one client, beside its Receive Maximum.
    pub inflight_max: u16,
    /// The highest QoS taken and granted.
    pub maximum_qos: QoS,
    /// Deliver with the QoS granted also what was published with a lower one, which no version of MQTT provides for.
    pub upgrade_qos: bool,
    /// Whether there are retained messages.
    pub retain_available: bool,
    /// Queue QoS 0 messages for an absent session too.
    pub queue_qos0: bool,
    /// Take an empty Client Identifier and assign one (3.1.1: with Clean Session only, [MQTT-3.1.3-8] of 3.1.1).
    pub allow_empty_client_id: bool,
    /// Bytes of the longest Client Identifier.
    pub client_id_bytes_max: usize,
    /// Subscriptions of one session; then 0x97.
    pub subscriptions_max: usize,
    /// Milliseconds that a connection has for its CONNECT, and again for its authentication.
    pub handshake_millis_max: u64,
    /// Bytes waiting for one client at which QoS > 0 stays in the queue and publishers of QoS 0 stop being read.
    pub outbox_high_bytes: usize,
    /// Bytes waiting for one client at which they are read again.
    pub outbox_low_bytes: usize,
    /// Bytes waiting for one client at which QoS 0 is dropped at once.
    pub outbox_bytes_max: usize,
    /// There is a store: changes of sessions that outlive their connection come as [`Event::Record`](super::Event::Record), and what
    /// answers for them waits ([`store`](crate::store)).
    pub store: bool,
    /// Show every packet as [`Event::Trace`](super::Event::Trace).
    pub trace: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            receive_maximum: 1024,
            maximum_packet_size: 16 * 1024 * 1024,
            connect_size_max: 256 * 1024,
            topic_alias_maximum: 32,
            outbound_aliases_max: 32,
            keep_alive_max: 0,
            session_expiry_max: u32::MAX,
            session_expiry_v3: u32::MAX,
            queue_count_max: 100_000,
            queue_bytes_max: 256 * 1024 * 1024,
            inflight_max: 1024,
            maximum_qos: QoS::ExactlyOnce,
            upgrade_qos: false,
            retain_available: true,
            queue_qos0: false,
            allow_empty_client_id: true,
            client_id_bytes_max: 1024,
            subscriptions_max: 10_000,
            handshake_millis_max: 10_000,
            outbox_high_bytes: 256 * 1024,
            outbox_low_bytes: 64 * 1024,
            outbox_bytes_max: 16 * 1024 * 1024,
            store: false,
            trace: false,
        }
    }
}
