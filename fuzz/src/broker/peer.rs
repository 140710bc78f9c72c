//! The client at the other end of the wire: what it has seen, and what it would answer.

use std::collections::{BTreeMap, BTreeSet};

use karere_core::{
    codec::{Ack, Connect, Packet, PacketId, PacketType, Publish, QoS, ReasonCode, Version},
    topic::TopicName,
};

pub(super) struct Peer {
    pub(super) version: Version,
    /// CONNECT went, and CONNACK is to say this of the session.
    awaited: Option<bool>,
    /// The server has said DISCONNECT.
    over: bool,
    /// On this connection things were sent that a client with manners does not send.
    pub(super) rude: bool,
    /// The same in this session: identifiers may stand for other exchanges than we know of.
    pub(super) tainted: bool,
    receive_maximum: usize,
    maximum_packet_size: usize,
    topic_alias_maximum: u16,
    /// Aliases of this connection: the server's, and our own.
    aliases: BTreeMap<u16, TopicName>,
    pub(super) own_aliases: BTreeMap<u16, TopicName>,
    /// The server's messages of this connection that we have not acknowledged.
    unacknowledged: BTreeMap<PacketId, Publish>,
    /// QoS 1 messages that we have seen and not acknowledged, over connections.
    seen: BTreeMap<PacketId, Publish>,
    /// Which of them came from a Shared Subscription.
    pub(super) shared: BTreeSet<PacketId>,
    /// QoS 2 messages that we have seen and that were not released, over connections.
    unreleased: BTreeMap<PacketId, Publish>,
    /// What waits for our answer: PUBACK, PUBREC, PUBREL or PUBCOMP.
    pub(super) to_answer: Vec<(PacketType, PacketId)>,
    /// Our own messages that are not acknowledged; none once PUBREL went. In the order of sending.
    pub(super) sent: Vec<(PacketId, Option<Publish>)>,
    /// Our own messages to be sent again, since CONNACK said that the session is there.
    pub(super) again: bool,
}

impl Default for Peer {
    fn default() -> Self {
        Self {
            version: Version::V5,
            awaited: None,
            over: false,
            rude: false,
            tainted: false,
            receive_maximum: 0,
            maximum_packet_size: 0,
            topic_alias_maximum: 0,
            aliases: BTreeMap::new(),
            own_aliases: BTreeMap::new(),
            unacknowledged: BTreeMap::new(),
            seen: BTreeMap::new(),
            shared: BTreeSet::new(),
            unreleased: BTreeMap::new(),
            to_answer: Vec::new(),
            sent: Vec::new(),
            again: false,
        }
    }
}

impl Peer {
    /// CONNECT went.
    pub(super) fn open(&mut self, connect: &Connect, session_present: bool) {
        let properties = &connect.properties;
        self.version = connect.version;
        self.awaited = Some(session_present);
        self.over = false;
        self.rude = false;
        self.receive_maximum = properties.receive_maximum().unwrap_or(u16::MAX).into();
        self.maximum_packet_size = properties.maximum_packet_size().map_or(usize::MAX, |size| size as usize);
        self.topic_alias_maximum = properties.topic_alias_maximum().unwrap_or(0);
        self.aliases.clear();
        self.own_aliases.clear();
        self.unacknowledged.clear();
        self.to_answer.clear();
        self.again = false;
        // Already now, and not with CONNACK: one that is lost would leave it with the state of another session.
        if !session_present {
            self.seen.clear();
            self.unreleased.clear();
            self.sent.clear();
            self.tainted = false;
        }
    }

    /// Whether CONNACK has come, and nothing that ends the connection.
    pub(super) fn is_connected(&self) -> bool {
        self.awaited.is_none() && !self.over
    }

    pub(super) fn has_limits(&self) -> bool {
        self.maximum_packet_size != usize::MAX
    }

    /// Reads a packet of `len` bytes. Returns a message that it has not seen.
    pub(super) fn read(&mut self, packet: &Packet, len: usize) -> Option<Publish> {
        assert!(!self.over, "nothing is sent after DISCONNECT: {packet:?}");
        assert!(
            len <= self.maximum_packet_size,
            "{len} bytes, {} are taken: {packet:?}",
            self.maximum_packet_size
        );
        if let Some(session_present) = self.awaited.take() {
            self.on_connack(packet, session_present);
            return None;
        }
        match packet {
            Packet::Publish(publish) => return self.on_publish(publish),
            Packet::PubAck(ack) => self.sent.retain(|(id, _)| *id != ack.packet_id),
            Packet::PubRec(ack) => {
                assert!(!ack.reason.is_error());
                self.to_answer.push((PacketType::PubRel, ack.packet_id));
            }
            Packet::PubRel(ack) => {
                self.unreleased.remove(&ack.packet_id);
                self.to_answer.push((PacketType::PubComp, ack.packet_id));
            }
            Packet::PubComp(ack) => self.sent.retain(|(id, _)| *id != ack.packet_id),
            Packet::Disconnect(_) => {
                assert!(self.version.is_v5(), "a server says no DISCONNECT before version 5");
                self.over = true;
            }
            Packet::SubAck(_) | Packet::UnsubAck(_) | Packet::PingResp => {}
            _ => panic!("a server does not send {packet:?}"),
        }
        None
    }

    fn on_connack(&mut self, packet: &Packet, session_present: bool) {
        let Packet::ConnAck(connack) = packet else { panic!("not CONNACK first: {packet:?}") };
        assert_eq!(connack.reason, ReasonCode::Success);
        // 3.1 cannot say it.
        assert_eq!(
            connack.session_present,
            session_present && self.version != Version::V31,
            "session present"
        );
        self.again = true;
    }

    fn on_publish(&mut self, publish: &Publish) -> Option<Publish> {
        let mut publish = publish.clone();
        publish.message.topic = self.resolve(&publish);
        let Some(packet_id) = publish.packet_id else { return Some(publish) };
        if !publish.dup {
            self.shared.remove(&packet_id);
        }
        let before = self.unacknowledged.insert(packet_id, publish.clone());
        assert!(before.is_none(), "{packet_id} is used again while in use, for {publish:?}");
        let (count, max) = (self.unacknowledged.len(), self.receive_maximum);
        assert!(count <= max, "{count} unacknowledged, {max} are taken");
        let (known, answer) = match publish.message.qos {
            QoS::ExactlyOnce => (&mut self.unreleased, PacketType::PubRec),
            _ => (&mut self.seen, PacketType::PubAck),
        };
        self.to_answer.push((answer, packet_id));
        let Some(seen) = known.insert(packet_id, publish.clone()) else { return Some(publish) };
        assert_eq!(seen.message.payload, publish.message.payload, "{packet_id} has become another message");
        assert!(publish.dup, "the same again without DUP: {publish:?}");
        None
    }

    fn resolve(&mut self, publish: &Publish) -> TopicName {
        let topic = &publish.message.topic;
        let Some(alias) = publish.topic_alias.map(std::num::NonZeroU16::get) else { return topic.clone() };
        assert!(alias <= self.topic_alias_maximum, "alias {alias}, but we take {}", self.topic_alias_maximum);
        if !topic.is_empty() {
            self.aliases.insert(alias, topic.clone());
        }
        self.aliases.get(&alias).unwrap_or_else(|| panic!("alias {alias} stands for nothing")).clone()
    }

    /// The answer at `index`, taken out.
    pub(super) fn answer(&mut self, index: usize) -> Option<Packet> {
        let index = index.checked_rem(self.to_answer.len())?;
        let (kind, packet_id) = self.to_answer.remove(index);
        let ack = Ack::success(packet_id);
        Some(match kind {
            PacketType::PubAck => {
                self.seen.remove(&packet_id);
                self.unacknowledged.remove(&packet_id);
                Packet::PubAck(ack)
            }
            PacketType::PubRec => Packet::PubRec(ack),
            PacketType::PubRel => {
                self.sent
                    .iter_mut()
                    .filter(|(id, _)| *id == packet_id)
                    .for_each(|(_, publish)| *publish = None);
                Packet::PubRel(ack)
            }
            _ => {
                self.unacknowledged.remove(&packet_id);
                Packet::PubComp(ack)
            }
        })
    }

    /// Whether `packet` answers a message that has not been read: it may be on its way, and will not come again.
    pub(super) fn acknowledges_unread(&self, packet: &Packet) -> bool {
        let (Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubComp(ack)) = packet else { return false };
        let id = &ack.packet_id;
        !self.unacknowledged.contains_key(id) && !self.to_answer.iter().any(|(_, waiting)| waiting == id)
    }

    /// Something that was not ours to send was sent in our name: what we know is as it would be then.
    pub(super) fn on_sent(&mut self, packet: &Packet) {
        match packet {
            Packet::PubAck(ack) => {
                self.seen.remove(&ack.packet_id);
                self.unacknowledged.remove(&ack.packet_id);
                self.forget(PacketType::PubAck, ack.packet_id);
            }
            Packet::PubRec(ack) if ack.reason.is_error() => {
                self.unreleased.remove(&ack.packet_id);
                self.unacknowledged.remove(&ack.packet_id);
                self.forget(PacketType::PubRec, ack.packet_id);
            }
            Packet::PubRec(ack) => self.forget(PacketType::PubRec, ack.packet_id),
            Packet::PubComp(ack) => {
                self.unreleased.remove(&ack.packet_id);
                self.unacknowledged.remove(&ack.packet_id);
                self.forget(PacketType::PubComp, ack.packet_id);
            }
            Packet::PubRel(ack) => {
                self.forget(PacketType::PubRel, ack.packet_id);
                self.sent
                    .iter_mut()
                    .filter(|(id, _)| *id == ack.packet_id)
                    .for_each(|(_, sent)| *sent = None);
            }
            _ => {}
        }
    }

    fn forget(&mut self, kind: PacketType, packet_id: PacketId) {
        self.to_answer.retain(|waiting| *waiting != (kind, packet_id));
    }

    /// A message of a Shared Subscription was taken back and is another's: if it comes again, it is new.
    pub(super) fn taken_back(&mut self, payload: &[u8]) -> bool {
        let is_it =
            |id: &PacketId, publish: &Publish| publish.message.payload == payload && self.shared.contains(id);
        let found = self.seen.iter().find(|(id, publish)| is_it(id, publish)).map(|(id, _)| *id);
        found.is_some_and(|id| self.seen.remove(&id).is_some())
    }

    pub(super) fn check_at_rest(&self) {
        assert!(self.unacknowledged.is_empty(), "unacknowledged: {:?}", self.unacknowledged);
        assert!(self.sent.is_empty(), "not acknowledged by the server: {:?}", self.sent);
    }
}
