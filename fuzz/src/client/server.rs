//! What a server sees of the client, and what it may expect.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::num::NonZeroU16;

use karere_core::{
    client::{Handover, Options},
    codec::{Ack, ConnAck, Packet, PacketId, Properties, Publish, QoS, ReasonCode, SubAck, Version},
    session::AckToken,
};

/// How far a connection is, as the server sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Closed,
    Opened,
    Connecting,
    Connected,
    /// One of the two has said DISCONNECT, or the server has refused.
    Over,
}

/// What an identifier is in use for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Use {
    PubAck(Publish),
    PubRec(Publish),
    /// PUBREC went, PUBREL is to come.
    PubRel,
    /// PUBREL came, PUBCOMP is to go.
    PubComp,
    Subscribe(usize),
    Unsubscribe(usize),
}

/// A QoS 1 message that was handed over on this connection and not acknowledged.
struct Arrival {
    packet_id: PacketId,
    token: AckToken,
    acknowledged: bool,
}

/// What a server sees of the client.
pub(super) struct Server {
    version: Version,
    handover: Handover,
    clean_session: bool,
    phase: Phase,
    clean_start: bool,
    limits: Properties,
    /// Identifiers of the client's, in use over connections.
    in_use: BTreeMap<PacketId, Use>,
    /// PUBLISHes of this connection that are not acknowledged.
    unacknowledged: BTreeSet<PacketId>,
    aliases: BTreeMap<NonZeroU16, String>,
    /// Numbers of the latest messages: at QoS 0, and at QoS 1 and 2.
    latest: [u64; 2],
    arrivals: VecDeque<Arrival>,
    /// Identifiers that we sent PUBCOMP for before PUBREL had come.
    hasty: BTreeSet<PacketId>,
    /// Identifiers of QoS 2 messages that we sent and did not release.
    unreleased: BTreeSet<PacketId>,
}

impl Server {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            version: options.version,
            // With a store there is but this one.
            handover: if options.store { Handover::OnPublish } else { options.handover },
            clean_session: options.clean_start,
            phase: Phase::Closed,
            clean_start: false,
            limits: Properties::EMPTY,
            in_use: BTreeMap::new(),
            unacknowledged: BTreeSet::new(),
            aliases: BTreeMap::new(),
            latest: [0; 2],
            arrivals: VecDeque::new(),
            hasty: BTreeSet::new(),
            unreleased: BTreeSet::new(),
        }
    }

    pub(super) fn open(&mut self) {
        self.phase = Phase::Opened;
        self.limits = Properties::EMPTY;
    }

    pub(super) fn close(&mut self) {
        self.phase = Phase::Closed;
        self.in_use.retain(|_, used| !matches!(used, Use::Subscribe(_) | Use::Unsubscribe(_)));
        for used in self.in_use.values_mut().filter(|used| **used == Use::PubComp) {
            *used = Use::PubRel;
        }
        self.unacknowledged.clear();
        self.hasty.clear();
        self.aliases.clear();
        self.arrivals.clear();
        self.latest[0] = 0;
    }

    /// The client wants no more of this connection, said so or not.
    pub(super) fn end(&mut self) {
        if self.phase != Phase::Closed {
            self.phase = Phase::Over;
        }
    }

    pub(super) fn awaits_connack(&self) -> bool {
        self.phase == Phase::Connecting
    }

    pub(super) fn asked_to_start_clean(&self) -> bool {
        self.clean_start
    }

    pub(super) fn has_ended(&self) -> bool {
        self.phase == Phase::Over
    }

    /// CONNACK of a server that has what it is asked for, and no limits.
    pub(super) fn welcome(&self) -> ConnAck {
        let session_present = !self.clean_start && self.version != Version::V31;
        ConnAck { session_present, reason: ReasonCode::Success, properties: Properties::EMPTY }
    }

    pub(super) fn knows_alias(&self, alias: NonZeroU16) -> bool {
        self.phase == Phase::Connected && self.aliases.contains_key(&alias)
    }

    /// The client has sent a packet of `len` bytes.
    pub(super) fn on_packet(&mut self, packet: &Packet, len: usize) {
        assert_ne!(self.phase, Phase::Over, "nothing is sent after the end: {packet:?}");
        let max = self.limits.maximum_packet_size().map_or(usize::MAX, |max| max as usize);
        assert!(len <= max, "{len} bytes, but the server takes {max}: {packet:?}");
        match packet {
            Packet::Connect(connect) => {
                assert_eq!(self.phase, Phase::Opened, "CONNECT is the first packet, and the only one");
                self.phase = Phase::Connecting;
                self.clean_start = connect.clean_start;
            }
            Packet::Auth(_) => {
                assert!(matches!(self.phase, Phase::Connecting | Phase::Connected), "AUTH before CONNECT");
            }
            _ => {
                assert_eq!(self.phase, Phase::Connected, "nothing but AUTH before CONNACK: {packet:?}");
                self.on_packet_connected(packet);
            }
        }
    }

    fn on_packet_connected(&mut self, packet: &Packet) {
        match packet {
            Packet::Publish(publish) => self.on_publish(publish),
            Packet::PubAck(ack) => self.on_puback(ack),
            Packet::PubRec(ack) if ack.reason.is_error() => _ = self.unreleased.remove(&ack.packet_id),
            Packet::PubRel(ack) if ack.reason == ReasonCode::Success => self.on_pubrel(ack.packet_id),
            Packet::PubRec(_) | Packet::PubRel(_) | Packet::PubComp(_) | Packet::PingReq => {}
            Packet::Subscribe(subscribe) => {
                self.take_into_use(subscribe.packet_id, Use::Subscribe(subscribe.subscriptions.len()));
            }
            Packet::Unsubscribe(unsubscribe) => {
                self.take_into_use(unsubscribe.packet_id, Use::Unsubscribe(unsubscribe.filters.len()));
            }
            Packet::Disconnect(_) => self.phase = Phase::Over,
            _ => panic!("a client does not send {packet:?}"),
        }
    }

    fn on_publish(&mut self, publish: &Publish) {
        let mut resolved = publish.clone();
        resolved.message.topic = self.resolve(publish);
        resolved.topic_alias = None;
        resolved.message.expiry = None;
        let message = &publish.message;
        if !publish.dup {
            let maximum_qos = self.limits.maximum_qos().unwrap_or(QoS::ExactlyOnce);
            assert!(message.qos <= maximum_qos, "{:?}, but the server takes {maximum_qos:?}", message.qos);
            assert!(
                !message.retain || self.limits.retain_available().unwrap_or(true),
                "RETAIN not available"
            );
            self.check_order(publish);
        }
        let Some(packet_id) = publish.packet_id else { return };
        assert!(self.unacknowledged.insert(packet_id), "{packet_id} is sent twice on one connection");
        let used = match message.qos {
            QoS::AtLeastOnce => Use::PubAck(Publish { dup: false, ..resolved }),
            _ => Use::PubRec(Publish { dup: false, ..resolved }),
        };
        if publish.dup {
            assert_eq!(self.in_use.get(&packet_id), Some(&used), "sent again is sent the same");
        } else {
            self.take_into_use(packet_id, used);
        }
    }

    /// The topic, after the server's limits on aliases were looked at.
    fn resolve(&mut self, publish: &Publish) -> karere_core::topic::TopicName {
        let topic = &publish.message.topic;
        let Some(alias) = publish.topic_alias else { return topic.clone() };
        let max = self.limits.topic_alias_maximum().unwrap_or(0);
        assert!(alias.get() <= max, "alias {alias}, but the server takes {max}");
        if !topic.is_empty() {
            self.aliases.insert(alias, topic.to_string());
            return topic.clone();
        }
        let known = self.aliases.get(&alias).unwrap_or_else(|| panic!("alias {alias} stands for nothing"));
        karere_core::topic::TopicName::new(known).expect("it was a name")
    }

    fn check_order(&mut self, publish: &Publish) {
        let number = publish.message.payload.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
        let numbered = publish.message.qos > QoS::AtMostOnce;
        let latest = &mut self.latest[usize::from(numbered)];
        assert!(number > *latest || number > 1 << 32, "message {number} after {latest}");
        *latest = if number > 1 << 32 { *latest } else { number };
    }

    fn on_pubrel(&mut self, packet_id: PacketId) {
        match self.in_use.get_mut(&packet_id) {
            Some(used @ (Use::PubRel | Use::PubComp)) => *used = Use::PubComp,
            // On 3.x nothing tells a PUBREL that answers a PUBREC for nothing.
            used => {
                let known = self.hasty.remove(&packet_id) || !self.version.is_v5();
                assert!(known, "PUBREL {packet_id} without a PUBREC: {used:?}");
            }
        }
    }

    fn take_into_use(&mut self, packet_id: PacketId, used: Use) {
        let before = self.in_use.insert(packet_id, used);
        assert_eq!(before, None, "identifier {packet_id} is used again while in use");
    }

    fn on_puback(&mut self, ack: &Ack) {
        let arrival = self.arrivals.pop_front().expect("PUBACK for a message");
        assert_eq!(arrival.packet_id, ack.packet_id, "PUBACKs leave in the order of arrival");
        assert!(arrival.acknowledged, "PUBACK before the application was done");
    }

    pub(super) fn on_handed_over(&mut self, packet_id: PacketId, qos: QoS, token: AckToken) {
        if qos == QoS::AtLeastOnce {
            self.arrivals.push_back(Arrival { packet_id, token, acknowledged: false });
        }
    }

    pub(super) fn on_acknowledged(&mut self, token: AckToken) {
        for arrival in self.arrivals.iter_mut().filter(|arrival| arrival.token == token) {
            arrival.acknowledged = true;
        }
    }

    /// The client has taken this packet without an error. Returns how many messages it had to hand over for it.
    pub(super) fn on_taken(&mut self, packet: &Packet) -> usize {
        match packet {
            Packet::ConnAck(connack) => self.on_connack(connack),
            Packet::Publish(publish) => return self.on_sent_publish(publish),
            Packet::PubRel(ack) => {
                let released = self.unreleased.remove(&ack.packet_id);
                return usize::from(released && self.handover == Handover::OnRelease);
            }
            Packet::PubAck(ack) => self.finish(ack.packet_id, |used| matches!(used, Use::PubAck(_))),
            Packet::PubRec(ack) if ack.reason.is_error() => {
                self.finish(ack.packet_id, |used| matches!(used, Use::PubRec(_)));
            }
            Packet::PubRec(ack) => {
                if let Some(used @ Use::PubRec(_)) = self.in_use.get_mut(&ack.packet_id) {
                    *used = Use::PubRel;
                }
            }
            Packet::PubComp(ack) => {
                if self.in_use.get(&ack.packet_id) == Some(&Use::PubRel) {
                    self.hasty.insert(ack.packet_id);
                }
                self.finish(ack.packet_id, |used| matches!(used, Use::PubRel | Use::PubComp));
            }
            Packet::SubAck(suback) => self.finish(suback.packet_id, |used| matches!(used, Use::Subscribe(_))),
            Packet::UnsubAck(suback) => {
                self.finish(suback.packet_id, |used| matches!(used, Use::Unsubscribe(_)));
            }
            Packet::Disconnect(_) => self.phase = Phase::Over,
            _ => {}
        }
        0
    }

    fn on_connack(&mut self, connack: &ConnAck) {
        if connack.reason.is_error() {
            self.phase = Phase::Over;
            return;
        }
        self.phase = Phase::Connected;
        self.limits = connack.properties.clone();
        let resumed = connack.session_present || (self.version == Version::V31 && !self.clean_session);
        if !resumed {
            self.in_use.clear();
            self.unreleased.clear();
            self.latest[1] = 0;
        }
    }

    fn on_sent_publish(&mut self, publish: &Publish) -> usize {
        match (publish.packet_id, publish.message.qos) {
            (Some(packet_id), QoS::ExactlyOnce) => {
                let first = self.unreleased.insert(packet_id);
                usize::from(first && self.handover == Handover::OnPublish)
            }
            _ => 1,
        }
    }

    /// The client cannot send it again to a server that takes less than before, and has said so.
    pub(super) fn on_given_up(&mut self, packet_id: PacketId) {
        self.finish(packet_id, |used| matches!(used, Use::PubAck(_) | Use::PubRec(_)));
    }

    fn finish(&mut self, packet_id: PacketId, fits: impl Fn(&Use) -> bool) {
        if self.in_use.get(&packet_id).is_some_and(fits) {
            self.in_use.remove(&packet_id);
            self.unacknowledged.remove(&packet_id);
        }
    }

    /// What answers the packet at `index` among those that wait.
    pub(super) fn answer_to(&self, index: usize, refused: bool) -> Option<Packet> {
        if self.phase != Phase::Connected {
            return None;
        }
        // What waits only on another connection was not sent on this one yet.
        let waits = |(id, used): &(&PacketId, &Use)| match used {
            Use::PubAck(_) | Use::PubRec(_) => self.unacknowledged.contains(id),
            Use::PubRel => false,
            _ => true,
        };
        let waiting: Vec<_> = self.in_use.iter().filter(waits).collect();
        let (packet_id, used) = waiting.get(index.checked_rem(waiting.len())?)?;
        let refused = refused && self.version.is_v5();
        let reason = if refused { ReasonCode::NotAuthorized } else { ReasonCode::Success };
        let ack = Ack { packet_id: **packet_id, reason, properties: Properties::EMPTY };
        let reasons = |count: usize| SubAck {
            packet_id: **packet_id,
            reasons: vec![reason; count],
            properties: Properties::EMPTY,
        };
        Some(match used {
            Use::PubAck(_) => Packet::PubAck(ack),
            Use::PubRec(_) => Packet::PubRec(ack),
            Use::PubRel | Use::PubComp => Packet::PubComp(Ack::success(**packet_id)),
            Use::Subscribe(count) => Packet::SubAck(reasons(*count)),
            Use::Unsubscribe(_) if !self.version.is_v5() => Packet::UnsubAck(reasons(0)),
            Use::Unsubscribe(count) => Packet::UnsubAck(reasons(*count)),
        })
    }

    /// The send quota [MQTT-3.3.4-7].
    pub(super) fn check(&self) {
        let max = self.limits.receive_maximum().unwrap_or(u16::MAX);
        let unacknowledged = self.unacknowledged.len();
        assert!(unacknowledged <= usize::from(max), "{unacknowledged} unacknowledged, but {max} are taken");
    }

    pub(super) fn check_all_answered(&self) {
        assert!(self.in_use.is_empty(), "in use at the end: {:?}", self.in_use);
        assert!(self.arrivals.is_empty(), "{} messages without PUBACK", self.arrivals.len());
    }
}
