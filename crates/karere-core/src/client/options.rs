//! What a client is told once.

use bytes::Bytes;

use crate::codec::{Properties, Version, Will};
use crate::text::Text;

/// What a [`Client`](super::Client) is told once; what it says in every CONNECT.
///
/// Limits are data: each names its unit last and its policy in its documentation.
#[derive(Debug, Clone)]
pub struct Options {
    /// Protocol version.
    pub version: Version,
    /// Client Identifier; empty asks the server to assign one (§3.1.3.1).
    pub client_id: Text,
    /// Clean Start (3.x: Clean Session) of the *first* connection. Later connections of the same
    /// [`Client`](super::Client) resume on version 5, and on 3.x keep what the flag says.
    pub clean_start: bool,
    /// Say what [`clean_start`](Self::clean_start) says in the CONNECT of *every* connection, on version 5 too: for whoever
    /// decides it anew each time.
    pub clean_start_each: bool,
    /// Session Expiry Interval in seconds (§3.1.2.11.2), version 5 only; 0xFFFFFFFF never expires.
    pub session_expiry: u32,
    /// Keep Alive in seconds; 0 turns it off. A Server Keep Alive overrides it [MQTT-3.1.2-21].
    pub keep_alive: u16,
    /// The Receive Maximum that we announce: how many QoS > 0 messages may be unacknowledged by us.
    /// 65,535 is the protocol's default and is not sent; enforced on version 5 only.
    pub receive_maximum: u16,
    /// The Maximum Packet Size in bytes that we accept and announce; larger ones end the connection with 0x95.
    pub maximum_packet_size: u32,
    /// How many topic aliases the server may use towards us; 0 refuses them.
    pub topic_alias_maximum: u16,
    /// Give topics an alias by ourselves, the least recently used first to go, as far as the server allows.
    pub outbound_aliases: bool,
    /// The Will.
    pub will: Option<Will>,
    /// Further properties of CONNECT (user properties, authentication method and data, request flags).
    /// What has a field of its own here is taken from that field.
    pub properties: Properties,
    /// CONNECT carries [`properties`](Self::properties) exactly as they are, and nothing of the fields, which then only
    /// say how this end behaves.
    pub properties_verbatim: bool,
    /// On 3.x, ask as a bridge: mosquitto's extension.
    pub bridge: bool,
    /// What is asked for between CONNECT and CONNACK is sent at once (§3.1.4 allows it) instead of after CONNACK.
    pub eager: bool,
    /// What becomes of unacknowledged messages on a new connection.
    pub resend: Resend,
    /// After CONNACK nothing that waits is sent until [`Client::resume`](super::Client::resume): the application
    /// has its word first.
    pub resume_by_hand: bool,
    /// In which order messages are acknowledged.
    pub ack_order: AckOrder,
    /// When a QoS 2 message is handed over.
    pub handover: Handover,
    /// Our own bound on unacknowledged QoS > 0 messages, beside the server's Receive Maximum.
    pub inflight_max: u16,
    /// Messages that may wait, offline or for the window; beyond it the oldest QoS 0 one goes first, and
    /// without any, [`PublishError::Full`](super::PublishError::Full).
    pub queue_count_max: usize,
    /// The same bound in bytes of topics, payloads and properties.
    pub queue_bytes_max: usize,
    /// Keep QoS 0 messages that are published while there is no connection; else
    /// [`PublishError::NotConnected`](super::PublishError::NotConnected).
    pub queue_qos0: bool,
    /// Subscriptions are the client's business: SUBSCRIBE asked for offline waits for the connection, and
    /// all are made again when the server has lost the session.
    pub resubscribe: bool,
    /// SUBACK and UNSUBACK that answer nothing we have asked are told all the same; else they are nobody's.
    pub unasked_answers: bool,
    /// How long CONNACK may take, in milliseconds.
    pub connack_millis_max: u64,
    /// Bytes waiting to be written above which QoS > 0 messages stay in the queue.
    pub outbox_bytes_max: usize,
    /// There is a store: changes of the session come as [`Event::Record`](super::Event::Record), and the packets that
    /// follow from them wait until they are stored ([`Record`](super::Record)). QoS 2 messages are then handed over
    /// [on PUBLISH](Handover::OnPublish), whatever [`handover`](Self::handover) says: else they had to be stored too.
    pub store: bool,
    /// Show every packet as [`Event::Trace`](super::Event::Trace).
    pub trace: bool,
    /// Decides what is left to chance (hash seeds).
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            version: Version::V5,
            client_id: Text::EMPTY,
            clean_start: true,
            clean_start_each: false,
            session_expiry: 0,
            keep_alive: 60,
            receive_maximum: 1024,
            maximum_packet_size: 16 * 1024 * 1024,
            topic_alias_maximum: 16,
            outbound_aliases: false,
            will: None,
            properties: Properties::EMPTY,
            properties_verbatim: false,
            bridge: false,
            eager: false,
            resend: Resend::WithSession,
            resume_by_hand: false,
            ack_order: AckOrder::OfArrival,
            handover: Handover::OnPublish,
            inflight_max: 1024,
            queue_count_max: 100_000,
            queue_bytes_max: 64 * 1024 * 1024,
            queue_qos0: true,
            resubscribe: true,
            unasked_answers: false,
            connack_millis_max: 30_000,
            outbox_bytes_max: 256 * 1024,
            store: false,
            trace: false,
            seed: 0,
        }
    }
}

/// When a QoS 2 message is handed to the application, and so what its acknowledgement sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Handover {
    /// On PUBLISH: acknowledging sends PUBREC, so that nothing unseen is answered for.
    #[default]
    OnPublish,
    /// On PUBREL: PUBREC is sent at once, acknowledging sends PUBCOMP. paho's way.
    OnRelease,
}

/// What becomes of unacknowledged messages on a new connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Resend {
    /// They are sent again with DUP when the server has kept the session; else as new messages, and what was answered
    /// with PUBREC counts as delivered.
    #[default]
    WithSession,
    /// They are sent again with DUP and their identifiers whatever the server says of the session: paho's way. A server
    /// without the session takes them as new, or answers a PUBREL with PUBCOMP.
    Always,
}

/// In which order messages are acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AckOrder {
    /// In that of their arrival ([MQTT-4.6.0-2], [MQTT-4.6.0-3]), whatever the order of being done with them.
    #[default]
    OfArrival,
    /// As the application asks for it: one that it never acknowledges holds up none after it. paho's way.
    AsAsked,
}

/// What proves who we are; asked for at every connect.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    /// User Name.
    pub username: Option<Text>,
    /// Password; on 3.x only with a user name.
    pub password: Option<Bytes>,
}
