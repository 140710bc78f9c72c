//! What belongs to one connection of a client and goes with it.

use alloc::vec::Vec;

use crate::codec::{ConnAck, Connect, PacketId, QoS, Version};
use crate::connection::{InboundAliases, KeepAlive, OutboundAliases, Outbox};
use crate::text::Text;
use crate::time::Instant;

/// How far a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// There is none.
    Closed,
    /// CONNECT is on its way, CONNACK awaited.
    Opening,
    /// CONNACK came.
    Connected,
    /// DISCONNECT went or came, or the connection was refused: the driver closes.
    Closing,
}

/// What belongs to one connection and goes with it.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) phase: Phase,
    /// What CONNECT said, whatever the options have become since.
    pub(super) version: Version,
    pub(super) clean_start: bool,
    /// The Authentication Method of CONNECT, which AUTH must repeat.
    pub(super) authentication: Option<Text>,
    pub(super) outbox: Outbox,
    /// Bytes written of all that were ever put into the outbox.
    pub(super) written: u64,
    pub(super) keep_alive: KeepAlive,
    /// While opening or closing: when patience ends.
    pub(super) deadline: Instant,
    pub(super) server: Granted,
    pub(super) inbound_aliases: InboundAliases,
    pub(super) outbound_aliases: OutboundAliases,
    /// The application's packets go before CONNACK too.
    pub(super) eager: bool,
    /// What waits is not sent until the application has had its word; the PUBRELs to be sent again then.
    pub(super) held: Option<Vec<PacketId>>,
    pub(super) disconnect_body_bytes: usize,
    /// Bytes of a packet that is not whole: more of them show that the server is there.
    pub(super) partial_bytes: usize,
}

impl Link {
    pub(super) fn new() -> Self {
        Self {
            phase: Phase::Closed,
            version: Version::V5,
            clean_start: false,
            authentication: None,
            outbox: Outbox::default(),
            written: 0,
            keep_alive: KeepAlive::new(Instant::ZERO, 0),
            deadline: Instant::ZERO,
            server: Granted::default(),
            inbound_aliases: InboundAliases::new(0),
            outbound_aliases: OutboundAliases::new(0, 0),
            eager: false,
            held: None,
            disconnect_body_bytes: 0,
            partial_bytes: 0,
        }
    }

    /// Whether a packet of the application's may go now.
    pub(super) fn is_taking(&self) -> bool {
        self.phase == Phase::Connected || (self.eager && self.phase == Phase::Opening)
    }

    /// The transport is open.
    pub(super) fn open(&mut self, deadline: Instant, connect: &Connect, inbound_alias_max: u16) {
        self.clear();
        self.phase = Phase::Opening;
        self.version = connect.version;
        self.clean_start = connect.clean_start;
        let method = connect.properties.authentication_method();
        self.authentication = method.and_then(|method| Text::new(method).ok());
        self.deadline = deadline;
        let aliases = if connect.version.is_v5() { inbound_alias_max } else { 0 };
        self.inbound_aliases = InboundAliases::new(aliases);
    }

    /// The transport has gone, with what was not written.
    pub(super) fn clear(&mut self) {
        self.phase = Phase::Closed;
        self.held = None;
        self.partial_bytes = 0;
        self.outbox.clear();
        self.written = self.outbox.pushed();
    }

    /// The driver has written this much more; a late report of an earlier connection's bytes counts for nothing.
    pub(super) fn written(&mut self, bytes: usize) {
        self.written = self.outbox.pushed().min(self.written + bytes as u64);
    }

    /// Bytes that are not written, in the outbox or in the driver's hands.
    pub(super) fn pending(&self) -> usize {
        (self.outbox.pushed() - self.written) as usize
    }
}

/// What the server said in CONNACK that it allows (§3.2.2.3).
#[derive(Debug, Clone, Copy)]
pub(super) struct Granted {
    pub(super) maximum_packet_size: usize,
    pub(super) maximum_qos: QoS,
    pub(super) retain: bool,
    pub(super) topic_alias_maximum: u16,
    pub(super) receive_maximum: u16,
    pub(super) wildcards: bool,
    pub(super) subscription_ids: bool,
    pub(super) shared: bool,
}

impl Default for Granted {
    fn default() -> Self {
        Self {
            maximum_packet_size: usize::MAX,
            maximum_qos: QoS::ExactlyOnce,
            retain: true,
            topic_alias_maximum: 0,
            receive_maximum: u16::MAX,
            wildcards: true,
            subscription_ids: true,
            shared: true,
        }
    }
}

impl From<&ConnAck> for Granted {
    fn from(connack: &ConnAck) -> Self {
        let properties = &connack.properties;
        let all = Self::default();
        Self {
            maximum_packet_size: properties.maximum_packet_size().map_or(usize::MAX, |size| size as usize),
            maximum_qos: properties.maximum_qos().unwrap_or(all.maximum_qos),
            retain: properties.retain_available().unwrap_or(true),
            topic_alias_maximum: properties.topic_alias_maximum().unwrap_or(0),
            receive_maximum: properties.receive_maximum().unwrap_or(u16::MAX),
            wildcards: properties.wildcard_subscription_available().unwrap_or(true),
            subscription_ids: properties.subscription_identifier_available().unwrap_or(true),
            shared: properties.shared_subscription_available().unwrap_or(true),
        }
    }
}
