//! Packets from the client.

use bytes::BytesMut;

use super::Slot;
use super::output::Outbound;
use crate::Error;
use crate::broker::Event;
use crate::codec::{
    self, Ack, Auth, Disconnect, FixedHeader, Packet, PacketId, PacketType, Properties, Publish, QoS,
    ReasonCode, SubAck, Subscribe,
};
use crate::connection::{Direction, PacketTrace};
use crate::session::{AckToken, Acked, Answer, Release, Taken};
use crate::store::{Record, StoreSequence};
use crate::time::Instant;
use crate::topic::TopicFilter;

impl Slot {
    /// Takes in what the network brought: handles whole packets and leaves the rest in `input`.
    ///
    /// A message is a slice of `input`'s memory; whoever keeps one for long copies it.
    ///
    /// # Errors
    /// When the connection must end. The outbox holds a DISCONNECT with the reason on version 5: write it, close, and
    /// call [`handle_closed`](Self::handle_closed).
    pub fn handle_input(&mut self, now: Instant, input: &mut BytesMut) -> Result<(), Error> {
        while self.is_open() {
            let result = match self.next_frame(input) {
                Ok(None) => break,
                Ok(Some(header)) => self.handle_frame(now, header, input),
                Err(error) => Err(error),
            };
            result.inspect_err(|error| self.disconnect(now, error.reason_code()))?;
        }
        Ok(())
    }

    /// The host has routed a message that came at QoS > 0, and it is durable where it has to be: PUBACK or PUBREC, in
    /// the order of arrival. With a reason of 0x80 or above it was refused: on 3.x, which cannot say so, it is
    /// acknowledged all the same (§3.3.5 of 3.1.1).
    pub fn handle_routed(&mut self, _now: Instant, token: AckToken, reason: ReasonCode) {
        let untold = reason.is_error() && self.version().is_some_and(|version| !version.is_v5());
        self.receiver.acknowledge(token, if untold { ReasonCode::Success } else { reason });
        self.answer();
    }

    /// The host can neither store a message that came at QoS > 0 nor say so to this client, and closes its connection: it
    /// is forgotten without an answer, so that it is new when it comes again.
    pub fn handle_unrouted(&mut self, _now: Instant, token: AckToken) {
        self.receiver.forget(token);
    }

    fn next_frame(&self, input: &BytesMut) -> Result<Option<FixedHeader>, Error> {
        let Some(header) = FixedHeader::peek(input)? else { return Ok(None) };
        if header.frame_len() > self.options.maximum_packet_size as usize {
            let what = "packet larger than our Maximum Packet Size";
            return Err(Error::LimitExceeded { what, reason: ReasonCode::PacketTooLarge });
        }
        Ok((input.len() >= header.frame_len()).then_some(header))
    }

    fn handle_frame(&mut self, now: Instant, header: FixedHeader, input: &mut BytesMut) -> Result<(), Error> {
        let Some(connection) = &mut self.connection else { return Ok(()) };
        let packet = Packet::decode(connection.version, input.split_to(header.frame_len()).freeze())?;
        connection.keep_alive.on_received(now);
        if self.options.trace {
            self.events.push_back(Event::Trace(PacketTrace::of(Direction::Received, &packet)));
        }
        match packet {
            Packet::Publish(publish) => self.on_publish(publish),
            Packet::PubAck(ack) => self.on_ack(now, PacketType::PubAck, &ack),
            Packet::PubRec(ack) => self.on_ack(now, PacketType::PubRec, &ack),
            Packet::PubRel(ack) => self.on_pubrel(&ack),
            Packet::PubComp(ack) => self.on_ack(now, PacketType::PubComp, &ack),
            Packet::Subscribe(subscribe) => self.on_subscribe(subscribe),
            Packet::Unsubscribe(unsubscribe) => {
                self.events.push_back(Event::Unsubscribe(unsubscribe));
                Ok(())
            }
            Packet::PingReq => {
                self.send(&Packet::PingResp);
                Ok(())
            }
            Packet::Disconnect(disconnect) => self.on_disconnect(disconnect),
            Packet::Auth(auth) => self.on_auth(auth),
            Packet::Connect(_) => Err(Error::protocol("a second CONNECT")), // [MQTT-3.1.0-2]
            _ => Err(Error::protocol("a packet that a client does not send")),
        }
    }

    fn on_publish(&mut self, mut publish: Publish) -> Result<(), Error> {
        let Some(connection) = &mut self.connection else { return Ok(()) };
        connection.inbound_aliases.resolve(&mut publish)?;
        let Publish { dup, packet_id, message, subscription_ids, .. } = publish;
        if !subscription_ids.is_empty() {
            return Err(Error::protocol("a Subscription Identifier in a client's PUBLISH")); // [MQTT-3.3.4-6]
        }
        if message.qos > self.options.maximum_qos {
            let what = "QoS above our Maximum QoS"; // [MQTT-3.2.2-11]
            return Err(Error::ProtocolError { what, reason: ReasonCode::QoSNotSupported });
        }
        if message.retain && !self.options.retain_available {
            let what = "RETAIN without Retain Available"; // [MQTT-3.2.2-14]
            return Err(Error::ProtocolError { what, reason: ReasonCode::RetainNotSupported });
        }
        let token = match packet_id {
            None => None,
            Some(packet_id) if message.qos == QoS::AtLeastOnce => {
                Some(self.receiver.take_at_least_once(packet_id)?)
            }
            Some(packet_id) => match self.receiver.take_exactly_once(packet_id)? {
                Taken::First(token) => Some(token),
                Taken::Copy => {
                    self.answer();
                    return Ok(());
                }
                Taken::AnswerAgain => {
                    self.send_ack(PacketType::PubRec, packet_id, ReasonCode::Success);
                    return Ok(());
                }
            },
        };
        self.events.push_back(Event::Publish { message, token, dup });
        Ok(())
    }

    fn on_pubrel(&mut self, ack: &Ack) -> Result<(), Error> {
        match self.receiver.release(ack.packet_id)? {
            Release::Unknown => {
                // Through the gate: it may have been released so lately that the store does not know yet.
                let reason = ReasonCode::PacketIdentifierNotFound;
                self.send_answer(Answer { packet: PacketType::PubComp, packet_id: ack.packet_id, reason });
            }
            Release::Done | Release::HandOver(..) => {
                self.record(Record::Released { packet_id: ack.packet_id });
                self.answer();
            }
        }
        Ok(())
    }

    fn on_ack(&mut self, now: Instant, packet: PacketType, ack: &Ack) -> Result<(), Error> {
        let sequence = if self.gate.is_on() { self.sender.inflight.sequence(ack.packet_id) } else { None };
        let sequence = sequence.unwrap_or_default();
        let acked = self.sender.on_ack(packet, ack.packet_id, ack.reason.is_error());
        // By reference: a message is large to move.
        match &acked {
            Err(_) => return acked.map(drop),
            Ok(Acked::Finished(outbound)) => {
                self.counters.refused += u64::from(ack.reason.is_error() && outbound.is_some());
                if self.is_stored() {
                    let received = outbound.is_none();
                    let tag = outbound.as_ref().map_or(0, |outbound| outbound.tag);
                    self.record(Record::Finished { sequence, tag, received });
                }
                if self.sender.has_more() {
                    self.pump(now);
                }
            }
            Ok(Acked::Unknown) => {}
            Ok(Acked::Release(outbound)) => {
                // The first time only; its answer waits for the record each time.
                if let Some(Outbound { tag, .. }) = outbound {
                    let order = self.sender.inflight.received().saturating_sub(1);
                    self.record(Record::Received { sequence, tag: *tag, order });
                }
                self.send_answer(Answer {
                    packet: PacketType::PubRel,
                    packet_id: ack.packet_id,
                    reason: ReasonCode::Success,
                });
            }
            Ok(Acked::ReleaseUnknown) => {
                self.send_ack(PacketType::PubRel, ack.packet_id, ReasonCode::PacketIdentifierNotFound);
            }
        }
        Ok(())
    }

    fn on_subscribe(&mut self, subscribe: Subscribe) -> Result<(), Error> {
        let shared_no_local = |filter: &str| filter.starts_with("$share/");
        if subscribe.subscriptions.iter().any(|each| each.options.no_local && shared_no_local(&each.filter)) {
            return Err(Error::protocol("No Local on a Shared Subscription")); // [MQTT-3.8.3-4]
        }
        self.subscribing += 1;
        self.events.push_back(Event::Subscribe(subscribe));
        Ok(())
    }

    fn on_disconnect(&mut self, disconnect: Disconnect) -> Result<(), Error> {
        let Some(connection) = &mut self.connection else { return Ok(()) };
        if let Some(expiry) = disconnect.properties.session_expiry_interval() {
            if connection.session_expiry_asked == 0 && expiry > 0 {
                // Not 0x81: the packet is well formed (§3.14.2.2.2).
                return Err(Error::protocol("a Session Expiry Interval raised from 0 in DISCONNECT"));
            }
            self.session_expiry = expiry.min(self.options.session_expiry_max);
        }
        connection.closing = true;
        if disconnect.reason == ReasonCode::NORMAL_DISCONNECTION {
            self.will = None; // [MQTT-3.14.4-3]
        }
        self.events.push_back(Event::Disconnected(disconnect));
        Ok(())
    }

    fn on_auth(&mut self, auth: Auth) -> Result<(), Error> {
        let method = self.connection.as_ref().and_then(|connection| connection.authentication.as_deref());
        if method.is_none() || auth.properties.authentication_method() != method {
            return Err(Error::protocol("AUTH with another authentication method than CONNECT")); // [MQTT-4.12.1-1]
        }
        self.events.push_back(Event::Auth(auth));
        Ok(())
    }

    /// Answers to SUBSCRIBE go through here, so that the slot knows what it is subscribed to.
    pub(super) fn on_subscribed(&mut self, epoch: u32, subscribe: &Subscribe, reasons: &[ReasonCode]) {
        for (subscription, reason) in subscribe.subscriptions.iter().zip(reasons) {
            if let (false, Ok(filter)) = (reason.is_error(), TopicFilter::new(&subscription.filter)) {
                self.filters.insert(filter);
            }
        }
        if epoch != self.epoch {
            return;
        }
        self.subscribing = self.subscribing.saturating_sub(1);
        let suback = SubAck {
            packet_id: subscribe.packet_id,
            reasons: reasons.to_vec(),
            properties: Properties::EMPTY,
        };
        self.send(&Packet::SubAck(suback));
    }

    /// The host's answer to [`Event::Unsubscribe`]: the filters that are subscribed to no longer, and UNSUBACK, unless
    /// another connection has come since the event.
    pub fn handle_unsubscribed(
        &mut self,
        epoch: u32,
        packet_id: PacketId,
        ended: &[TopicFilter],
        reasons: &[ReasonCode],
    ) {
        for filter in ended {
            self.filters.remove(filter);
        }
        if epoch != self.epoch {
            return;
        }
        let v5 = self.connection.as_ref().is_some_and(|connection| connection.version.is_v5());
        let reasons = if v5 { reasons.to_vec() } else { alloc::vec::Vec::new() };
        self.send(&Packet::UnsubAck(SubAck { packet_id, reasons, properties: Properties::EMPTY }));
    }

    /// Sends the answers whose turn has come.
    fn answer(&mut self) {
        if !self.may_answer() {
            return;
        }
        while let Some(answer) = self.receiver.next_answer() {
            match answer.packet {
                PacketType::PubComp => self.send_answer(answer),
                _ => self.send_ack(answer.packet, answer.packet_id, answer.reason),
            }
        }
    }

    /// What [`Event::Record`] named is durable, up to `sequence`: the packets that waited for it leave.
    pub fn handle_stored(&mut self, _now: Instant, sequence: StoreSequence) {
        self.gate.stored(sequence);
        if !self.may_answer() {
            return;
        }
        while let Some(answer) = self.gate.next() {
            self.send_ack(answer.packet, answer.packet_id, answer.reason);
        }
    }

    pub(super) fn record(&mut self, record: Record) {
        if let Some(sequence) = self.gate.record() {
            self.events.push_back(Event::Record(sequence, record));
        }
    }

    /// PUBREL and PUBCOMP wait for the record of what they answer.
    pub(super) fn send_answer(&mut self, answer: Answer) {
        if let Some(answer) = self.gate.answer(answer) {
            self.send_ack(answer.packet, answer.packet_id, answer.reason);
        }
    }

    /// An acknowledgement without properties.
    pub(super) fn send_ack(&mut self, kind: PacketType, packet_id: PacketId, reason: ReasonCode) {
        let Some(connection) = self.connection.as_mut().filter(|connection| !connection.silent) else {
            return;
        };
        let ack = Ack { packet_id, reason, properties: Properties::EMPTY };
        let version = connection.version;
        let _ = connection.outbox.write(|out| codec::encode_ack(kind, &ack, version, out));
        if self.options.trace {
            let trace = PacketTrace {
                packet_id: Some(packet_id),
                reason: Some(reason),
                ..PacketTrace::new(Direction::Sent, kind)
            };
            self.events.push_back(Event::Trace(trace));
        }
    }
}
