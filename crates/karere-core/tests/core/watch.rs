//! Looks over the shoulder of a sender: packet identifiers never used twice, the send quota never exceeded.

use std::collections::{BTreeMap, BTreeSet};

use bytes::BytesMut;
use karere_core::codec::{FixedHeader, Packet, PacketId, QoS, Version};

/// What one end has sent, and what it has heard, as its peer's peer must.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    sent: BytesMut,
    heard: BytesMut,
    version: Option<Version>,
    /// CONNECT or CONNACK has been heard.
    opened: bool,
    /// Identifiers of PUBLISHes that are not done with, and what they wait for.
    in_use: BTreeMap<PacketId, Waits>,
    /// PUBCOMP came although PUBREL, which waits for a store, had not gone: it may still go.
    early: BTreeSet<PacketId>,
    requests: BTreeSet<PacketId>,
    /// Identifiers of PUBLISHes of this connection that are not done with.
    outstanding: BTreeSet<PacketId>,
    receive_maximum: usize,
    /// The order in which messages were first sent, by QoS.
    pub(crate) first_sent: [Vec<PacketId>; 3],
    /// The most that were unacknowledged at once.
    pub(crate) most: usize,
}

/// The acknowledgement that ends it, or comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waits {
    Ack,
    Rec,
    /// PUBCOMP; whether PUBREL has gone on this connection.
    Comp {
        sent: bool,
    },
}

impl Watch {
    /// A new connection. The session is another when CONNACK says so.
    pub(crate) fn open(&mut self, version: Version) {
        self.sent.clear();
        self.heard.clear();
        self.outstanding.clear();
        self.opened = false;
        self.early.clear();
        for waits in self.in_use.values_mut() {
            if let Waits::Comp { sent } = waits {
                *sent = false;
            }
        }
        self.version = Some(version);
        self.receive_maximum = usize::from(u16::MAX);
    }

    /// Bytes left the end; the packets that are whole by now.
    pub(crate) fn sent(&mut self, bytes: &[u8]) -> Vec<Packet> {
        let version = self.version.expect("open");
        self.sent.extend_from_slice(bytes);
        let packets = whole(version, &mut self.sent);
        packets.iter().for_each(|packet| self.on_sent(packet));
        packets
    }

    /// Bytes have reached the end, and it is about to read them.
    pub(crate) fn heard(&mut self, bytes: &[u8]) {
        let version = self.version.expect("open");
        self.heard.extend_from_slice(bytes);
        for packet in whole(version, &mut self.heard) {
            self.on_heard(&packet);
        }
    }

    fn on_sent(&mut self, packet: &Packet) {
        match packet {
            Packet::Publish(publish) => {
                let Some(packet_id) = publish.packet_id else { return };
                let one = publish.message.qos == QoS::AtLeastOnce;
                let waits = if one { Waits::Ack } else { Waits::Rec };
                let known = self.in_use.insert(packet_id, waits);
                if publish.dup && known.is_some() {
                    assert_eq!(known, Some(waits), "DUP for {packet_id}, which is released");
                } else if publish.dup {
                    // It was on its way to the wire when the connection was lost: its sender cannot know.
                    self.first_sent[usize::from(publish.message.qos.bits())].push(packet_id);
                } else {
                    assert_eq!(known, None, "{packet_id} is in use [MQTT-2.2.1-4]");
                    assert!(!self.requests.contains(&packet_id), "{packet_id} is in use by a request");
                    self.first_sent[usize::from(publish.message.qos.bits())].push(packet_id);
                }
                assert!(self.outstanding.insert(packet_id), "{packet_id} twice on one connection");
                let unacknowledged = self.outstanding.len();
                assert!(
                    unacknowledged <= self.receive_maximum,
                    "{unacknowledged} unacknowledged [MQTT-4.9.0-2]"
                );
                self.most = self.most.max(unacknowledged);
            }
            Packet::PubRel(ack) => {
                let is_known = matches!(self.in_use.get(&ack.packet_id), Some(Waits::Comp { .. }));
                let told = ack.reason.is_error() || self.version != Some(Version::V5);
                let was_early = self.early.remove(&ack.packet_id);
                if is_known {
                    self.in_use.insert(ack.packet_id, Waits::Comp { sent: true });
                }
                assert!(is_known || told || was_early, "PUBREL for {} without PUBREC", ack.packet_id);
            }
            Packet::Subscribe(subscribe) => self.request(subscribe.packet_id),
            Packet::Unsubscribe(unsubscribe) => self.request(unsubscribe.packet_id),
            _ => {}
        }
    }

    fn request(&mut self, packet_id: PacketId) {
        assert!(!self.in_use.contains_key(&packet_id), "{packet_id} is in use by a PUBLISH");
        self.requests.insert(packet_id);
    }

    fn on_heard(&mut self, packet: &Packet) {
        match packet {
            Packet::ConnAck(connack) if !self.opened => {
                self.opened = true;
                if !connack.session_present && self.version != Some(Version::V31) {
                    self.in_use.clear();
                }
                self.receive_maximum = connack.properties.receive_maximum().map_or(65_535, usize::from);
            }
            Packet::Connect(connect) if !self.opened => {
                self.opened = true;
                self.receive_maximum = connect.properties.receive_maximum().map_or(65_535, usize::from);
            }
            Packet::PubAck(ack) => self.done(ack.packet_id, Waits::Ack),
            Packet::PubComp(ack) => {
                if self.in_use.get(&ack.packet_id) == Some(&Waits::Comp { sent: false }) {
                    self.early.insert(ack.packet_id);
                    self.done(ack.packet_id, Waits::Comp { sent: false });
                }
                self.done(ack.packet_id, Waits::Comp { sent: true });
            }
            Packet::PubRec(ack) if ack.reason.is_error() => self.done(ack.packet_id, Waits::Rec),
            Packet::PubRec(ack) => {
                if let Some(waits @ Waits::Rec) = self.in_use.get_mut(&ack.packet_id) {
                    *waits = Waits::Comp { sent: false };
                }
            }
            Packet::SubAck(suback) | Packet::UnsubAck(suback) => {
                self.requests.remove(&suback.packet_id);
            }
            _ => {}
        }
    }

    /// The end of an exchange, if that is what it waits for.
    fn done(&mut self, packet_id: PacketId, waits: Waits) {
        if self.in_use.get(&packet_id) == Some(&waits) {
            self.in_use.remove(&packet_id);
            self.outstanding.remove(&packet_id);
        }
    }
}

/// Takes the whole packets off the front; what is no packet stays.
pub(crate) fn whole(version: Version, bytes: &mut BytesMut) -> Vec<Packet> {
    let mut packets = Vec::new();
    while let Ok(Some(header)) = FixedHeader::peek(bytes) {
        if bytes.len() < header.frame_len() {
            break;
        }
        match Packet::decode(version, bytes.split_to(header.frame_len()).freeze()) {
            Ok(packet) => packets.push(packet),
            Err(_) => break,
        }
    }
    packets
}

/// Short for tests that go through all of them.
pub(crate) const QOS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];
