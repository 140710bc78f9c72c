//! Listens at one end of a connection: what may be sent, and what may not be sent yet.

use std::collections::{BTreeMap, BTreeSet};

use bytes::BytesMut;
use karere_core::codec::{FixedHeader, Packet, PacketId, QoS, Version};

use crate::agenda::End;
use crate::around::Around;
use crate::check::Kind;
use crate::history::{Note, number_of};

/// What one end of one connection has sent and heard.
#[derive(Debug)]
pub(crate) struct Tap {
    version: Version,
    sent: BytesMut,
    heard: BytesMut,
    /// Publishes of this connection that are not acknowledged to their end.
    outstanding: BTreeSet<PacketId>,
    receive_maximum: usize,
    packet_bytes_max: usize,
    /// Our own bound.
    inflight_max: usize,
    /// Our DISCONNECT has gone: nothing may follow.
    silent: bool,
    /// The messages that have come, by their packet identifiers; none for one without payload.
    incoming: BTreeMap<PacketId, Option<u64>>,
}

impl Tap {
    pub(crate) fn new(version: Version, inflight_max: u16) -> Self {
        Self {
            version,
            sent: BytesMut::new(),
            heard: BytesMut::new(),
            outstanding: BTreeSet::new(),
            receive_maximum: usize::from(u16::MAX),
            packet_bytes_max: usize::MAX,
            inflight_max: usize::from(inflight_max),
            silent: false,
            incoming: BTreeMap::new(),
        }
    }

    /// The version that the connection speaks.
    pub(crate) fn version(&self) -> Version {
        self.version
    }

    /// Bytes that have gone to `to`.
    pub(crate) fn sent(&mut self, around: &mut Around, wire: usize, to: End, bytes: &[u8]) {
        self.sent.extend_from_slice(bytes);
        while let Some((len, packet)) = next(&mut self.version, &mut self.sent) {
            let Some(packet) = packet else {
                around.history.offence(Kind::Protocol, format!("{len} bytes to {to:?} are no packet"));
                continue;
            };
            if len > self.packet_bytes_max {
                let what =
                    format!("{len} bytes to {to:?}, whose Maximum Packet Size is {}", self.packet_bytes_max);
                around.history.offence(Kind::Quota, what);
            }
            if self.silent {
                around.history.offence(
                    Kind::Quota,
                    format!("{} to {to:?} behind DISCONNECT", packet.packet_type().name()),
                );
            }
            self.on_sent(around, wire, to, &packet);
        }
    }

    /// Bytes that have come to `at`, and are being worked on.
    pub(crate) fn heard(&mut self, around: &mut Around, wire: usize, at: End, bytes: &[u8]) {
        self.heard.extend_from_slice(bytes);
        while let Some((_, packet)) = next(&mut self.version, &mut self.heard) {
            let Some(packet) = packet else { continue };
            if at == End::Broker {
                self.note_heard(around, wire, &packet);
            }
            self.on_heard(&packet);
        }
    }

    /// What comes to the broker.
    fn note_heard(&mut self, around: &mut Around, wire: usize, packet: &Packet) {
        match packet {
            Packet::Publish(publish) => {
                let number = number_of(&publish.message.payload);
                self.incoming.extend(publish.packet_id.map(|id| (id, number)));
            }
            Packet::PubAck(ack) | Packet::PubComp(ack) => {
                around.note(Note::Finished { wire, id: ack.packet_id.get() });
            }
            Packet::PubRec(ack) if ack.reason.is_error() => {
                around.note(Note::Finished { wire, id: ack.packet_id.get() });
            }
            Packet::PubRec(ack) => around.note(Note::Received { wire, id: ack.packet_id.get() }),
            Packet::PubRel(ack) => around.note(Note::Releasing { wire, id: ack.packet_id.get() }),
            _ => {}
        }
    }

    /// What goes from the broker.
    fn note_sent(&self, around: &mut Around, wire: usize, packet: &Packet) {
        match packet {
            Packet::Publish(publish) => {
                if let Some(message) = number_of(&publish.message.payload) {
                    let (qos, dup) = (publish.message.qos, publish.dup);
                    let id = publish.packet_id.map(PacketId::get);
                    around.note(Note::Sent { wire, message, id, qos, dup });
                }
            }
            Packet::ConnAck(connack) if !connack.reason.is_error() => around.note(Note::Welcomed { wire }),
            Packet::PubAck(ack) | Packet::PubRec(ack) if !ack.reason.is_error() => {
                let message = self.incoming.get(&ack.packet_id).copied().flatten();
                around.note(Note::Acked { wire, id: ack.packet_id.get(), message });
            }
            Packet::SubAck(ack) | Packet::UnsubAck(ack) => {
                around.note(Note::Confirmed { wire, id: ack.packet_id.get() });
            }
            Packet::PubRel(ack) => around.note(Note::Released { wire, id: ack.packet_id.get() }),
            Packet::PubComp(ack) => around.note(Note::Completed { wire, id: ack.packet_id.get() }),
            _ => {}
        }
    }

    fn on_sent(&mut self, around: &mut Around, wire: usize, to: End, packet: &Packet) {
        if to == End::Client {
            self.note_sent(around, wire, packet);
        }
        match packet {
            Packet::Publish(publish) => {
                if publish.message.qos == QoS::AtMostOnce {
                    return;
                }
                let Some(id) = publish.packet_id else { return };
                if !self.outstanding.insert(id) {
                    around
                        .history
                        .offence(Kind::Quota, format!("PUBLISH to {to:?} with {id:?}, which is in use"));
                }
                let max = self.receive_maximum.min(self.inflight_max);
                if self.outstanding.len() > max {
                    let count = self.outstanding.len();
                    around
                        .history
                        .offence(Kind::Quota, format!("{count} unacknowledged to {to:?}, who takes {max}"));
                }
            }
            Packet::Subscribe(packet) => self.on_request(around, packet.packet_id),
            Packet::Unsubscribe(packet) => self.on_request(around, packet.packet_id),
            Packet::Disconnect(_) => self.silent = true,
            _ => {}
        }
    }

    fn on_request(&self, around: &mut Around, id: PacketId) {
        if self.outstanding.contains(&id) {
            around.history.offence(Kind::Quota, format!("{id:?} is in use by a PUBLISH"));
        }
    }

    fn on_heard(&mut self, packet: &Packet) {
        match packet {
            Packet::Connect(connect) => {
                self.receive_maximum = connect.properties.receive_maximum().map_or(65_535, usize::from);
                let size = connect.properties.maximum_packet_size();
                self.packet_bytes_max = size.map_or(usize::MAX, |size| size as usize);
            }
            Packet::ConnAck(connack) => {
                self.receive_maximum = connack.properties.receive_maximum().map_or(65_535, usize::from);
                let size = connack.properties.maximum_packet_size();
                self.packet_bytes_max = size.map_or(usize::MAX, |size| size as usize);
            }
            Packet::PubAck(ack) | Packet::PubComp(ack) => {
                self.outstanding.remove(&ack.packet_id);
            }
            Packet::PubRec(ack) if ack.reason.is_error() => {
                self.outstanding.remove(&ack.packet_id);
            }
            _ => {}
        }
    }
}

/// The next whole frame: its length, and what it is; a CONNECT says which version it is all in.
fn next(version: &mut Version, bytes: &mut BytesMut) -> Option<(usize, Option<Packet>)> {
    let header = FixedHeader::peek(bytes).ok()??;
    let len = header.frame_len();
    if bytes.len() < len {
        return None;
    }
    let frame = bytes.split_to(len).freeze();
    let packet = Packet::decode(*version, frame).ok();
    if let Some(Packet::Connect(connect)) = &packet {
        *version = connect.version;
    }
    Some((len, packet))
}
