//! What the broker counts.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use karere_core::codec::{FixedHeader, PacketType};

/// What a broker has counted since it started, and what it holds, at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Connections whose CONNECT was accepted and that are still there.
    pub clients_connected: u64,
    /// Sessions, those of absent clients too.
    pub clients_total: u64,
    /// The most that [`clients_connected`](Self::clients_connected) ever was.
    pub clients_maximum: u64,
    /// Sessions of absent clients that have expired.
    pub clients_expired: u64,
    /// Connections accepted by a listener.
    pub connections_total: u64,
    /// Connections closed at once because there were too many.
    pub connections_refused: u64,
    /// Connections whose CONNECT was refused.
    pub connects_refused: u64,
    /// Failed attempts to accept a connection, for want of descriptors or memory.
    pub accept_errors: u64,
    /// MQTT packets received.
    pub messages_received: u64,
    /// MQTT packets sent.
    pub messages_sent: u64,
    /// PUBLISH packets received.
    pub publish_received: u64,
    /// PUBLISH packets sent, or waiting to be.
    pub publish_sent: u64,
    /// Copies of messages that some subscriber did not get: queue full, too slow, too large, expired.
    pub publish_dropped: u64,
    /// PUBLISH packets that a hook or a rule refused.
    pub publish_refused: u64,
    /// Bytes received.
    pub bytes_received: u64,
    /// Bytes sent.
    pub bytes_sent: u64,
    /// Subscriptions, those of absent clients too.
    pub subscriptions: u64,
    /// Retained messages.
    pub retained: u64,
    /// What they take: topics, payloads and properties, in bytes.
    pub retained_bytes: u64,
    /// Writes to connections.
    pub writes: u64,
    /// How long the broker has been running, in seconds.
    pub uptime_seconds: u64,
}

/// The same while they are counted: added to once a turn, not once a message.
#[derive(Debug, Default)]
pub(crate) struct Count {
    pub(crate) clients_connected: AtomicU64,
    pub(crate) clients_maximum: AtomicU64,
    pub(crate) clients_expired: AtomicU64,
    pub(crate) connections_total: AtomicU64,
    pub(crate) connections_refused: AtomicU64,
    pub(crate) connects_refused: AtomicU64,
    pub(crate) accept_errors: AtomicU64,
    pub(crate) messages_received: AtomicU64,
    pub(crate) messages_sent: AtomicU64,
    pub(crate) publish_received: AtomicU64,
    pub(crate) publish_sent: AtomicU64,
    pub(crate) publish_dropped: AtomicU64,
    pub(crate) publish_refused: AtomicU64,
    pub(crate) bytes_received: AtomicU64,
    pub(crate) bytes_sent: AtomicU64,
    pub(crate) writes: AtomicU64,
}

impl Count {
    /// What is counted here; the caller fills in what is held elsewhere.
    pub(crate) fn snapshot(&self) -> Counters {
        let read = |counter: &AtomicU64| counter.load(Relaxed);
        // First, see `sent`.
        let bytes_sent = self.bytes_sent.load(Acquire);
        Counters {
            clients_connected: read(&self.clients_connected),
            clients_maximum: read(&self.clients_maximum),
            clients_expired: read(&self.clients_expired),
            connections_total: read(&self.connections_total),
            connections_refused: read(&self.connections_refused),
            connects_refused: read(&self.connects_refused),
            accept_errors: read(&self.accept_errors),
            messages_received: read(&self.messages_received),
            messages_sent: read(&self.messages_sent),
            publish_received: read(&self.publish_received),
            publish_sent: read(&self.publish_sent),
            publish_dropped: read(&self.publish_dropped),
            publish_refused: read(&self.publish_refused),
            bytes_received: read(&self.bytes_received),
            bytes_sent,
            writes: read(&self.writes),
            ..Counters::default()
        }
    }

    pub(crate) fn connected(&self) {
        let now = self.clients_connected.fetch_add(1, Relaxed) + 1;
        self.clients_maximum.fetch_max(now, Relaxed);
    }

    pub(crate) fn disconnected(&self) {
        self.clients_connected.fetch_sub(1, Relaxed);
    }
}

/// Adds, unless there is nothing to add.
pub(crate) fn add(counter: &AtomicU64, count: u64) {
    if count > 0 {
        counter.fetch_add(count, Relaxed);
    }
}

/// What a client has sent, packet by packet.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Traffic {
    packets: u64,
    publishes: u64,
    /// Those that are answered with one packet each.
    answered: u64,
}

impl Traffic {
    /// Looks at the whole packets that `input` begins with, and at no more of them than their headers.
    pub(crate) fn of(mut input: &[u8]) -> Self {
        let mut traffic = Self::default();
        while let Ok(Some(header)) = FixedHeader::peek(input)
            && let Some(rest) = input.get(header.frame_len()..)
        {
            traffic.packets += 1;
            match header.packet_type() {
                PacketType::Publish => {
                    traffic.publishes += 1;
                    traffic.answered += u64::from(header.flags() & 0b0110 != 0);
                }
                PacketType::PubRec
                | PacketType::PubRel
                | PacketType::Subscribe
                | PacketType::Unsubscribe
                | PacketType::PingReq => traffic.answered += 1,
                _ => {}
            }
            input = rest;
        }
        traffic
    }
}

impl Count {
    /// The bytes come last, so that whoever sees them sees the writes too.
    pub(crate) fn sent(&self, writes: u64, bytes: u64) {
        add(&self.writes, writes);
        self.bytes_sent.fetch_add(bytes, Release);
    }

    pub(crate) fn received(&self, traffic: Traffic) {
        add(&self.messages_received, traffic.packets);
        add(&self.publish_received, traffic.publishes);
        add(&self.messages_sent, traffic.answered);
    }
}

#[cfg(test)]
mod tests {
    use super::Traffic;

    #[test]
    fn traffic_counts_whole_packets_and_those_that_are_answered() {
        let publish_qos0 = [0x30, 3, 0, 1, b'a'];
        let publish_qos1 = [0x32, 5, 0, 1, b'a', 0, 1];
        let ping = [0xC0, 0];
        let partial = [0x30, 9, 0];
        let input = [&publish_qos0[..], &publish_qos1, &ping, &partial].concat();
        assert_eq!(Traffic::of(&input), Traffic { packets: 3, publishes: 2, answered: 2 });
    }
}
