//! Listens at one end of a connection: what may be sent, and what may not be sent yet.

use std::collections::BTreeSet;

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
        }
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

    /// Bytes that have come, and are being worked on.
    pub(crate) fn heard(&mut self, bytes: &[u8]) {
        self.heard.extend_from_slice(bytes);
        while let Some((_, packet)) = next(&mut self.version, &mut self.heard) {
            packet.iter().for_each(|packet| self.on_heard(packet));
        }
    }

    fn on_sent(&mut self, around: &mut Around, wire: usize, to: End, packet: &Packet) {
        match packet {
            Packet::Publish(publish) => {
                if let (End::Client, Some(message)) = (to, number_of(&publish.message.payload)) {
                    let (qos, dup) = (publish.message.qos, publish.dup);
                    around.note(Note::Sent { wire, message, qos, dup });
                }
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
