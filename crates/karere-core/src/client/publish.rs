//! Messages from the application to the server.

use alloc::vec::Vec;
use core::num::NonZeroU16;

use bytes::Bytes;

use super::link::{Granted, Phase};
use super::{Client, DropReason, Event, PublishError, Record};
use crate::Error;
use crate::codec::{
    Ack, EncodeError, Message, PacketId, PacketType, Properties, PropertyOwner, PublishHeader, QoS,
    ReasonCode, Version,
};
use crate::connection::{Direction, PacketTrace};
use crate::session::{Acked, Answer, Next, Waiting, is_expired, remaining_seconds};
use crate::text::{Text, TextError, is_plain_name};
use crate::time::Instant;
use crate::topic::TopicName;

/// A message to be published, borrowed: at QoS 0 it is written straight into the outbox.
#[derive(Debug, Clone, Copy)]
pub struct Outgoing<'a> {
    /// Topic Name.
    pub topic: &'a str,
    /// Payload.
    pub payload: Payload<'a>,
    /// QoS.
    pub qos: QoS,
    /// RETAIN.
    pub retain: bool,
    /// Message Expiry Interval in seconds, counted from now; version 5.
    pub expiry: Option<u32>,
    /// A topic alias set by hand, for a connection without automatic ones; version 5. A message that waits
    /// or is sent again goes without it.
    pub topic_alias: Option<NonZeroU16>,
    /// The other properties; version 5.
    pub properties: &'a Properties,
    /// QoS 0: allot a packet identifier all the same, and report with it when the bytes were written.
    pub tracked: bool,
}

/// The payload of an [`Outgoing`].
#[derive(Debug, Clone, Copy)]
pub enum Payload<'a> {
    /// Copied where it must be kept.
    Borrowed(&'a [u8]),
    /// Shared where it must be kept.
    Shared(&'a Bytes),
}

impl<'a> Outgoing<'a> {
    /// A message at QoS 0, not retained, without properties.
    #[must_use]
    pub fn new(topic: &'a str, payload: &'a [u8]) -> Self {
        static NONE: Properties = Properties::EMPTY;
        Self {
            topic,
            payload: Payload::Borrowed(payload),
            qos: QoS::AtMostOnce,
            retain: false,
            expiry: None,
            topic_alias: None,
            properties: &NONE,
            tracked: false,
        }
    }

    /// With this QoS.
    #[must_use]
    pub fn qos(self, qos: QoS) -> Self {
        Self { qos, ..self }
    }

    /// With RETAIN or without.
    #[must_use]
    pub fn retain(self, retain: bool) -> Self {
        Self { retain, ..self }
    }

    fn header(&self, dup: bool, packet_id: Option<PacketId>) -> PublishHeader<'a> {
        PublishHeader {
            dup,
            qos: self.qos,
            retain: self.retain,
            packet_id,
            topic: self.topic,
            topic_alias: self.topic_alias,
            expiry: self.expiry,
            subscription_ids: &[],
            properties: self.properties,
            payload_len: self.payload.len(),
        }
    }

    /// A copy to keep: for the queue, and until it is acknowledged.
    fn keep(&self, now: Instant, sequence: Option<u64>) -> Result<Queued, PublishError> {
        let bare = Message {
            topic: TopicName::EMPTY,
            payload: Bytes::new(),
            qos: self.qos,
            retain: self.retain,
            expiry: None,
            properties: self.properties.clone(),
        };
        let message = match self.payload {
            Payload::Borrowed(payload) => {
                TopicName::check(self.topic)?;
                bare.compact_with(self.topic, payload)
            }
            Payload::Shared(payload) => {
                Message { topic: TopicName::new(self.topic)?, payload: payload.clone(), ..bare }
            }
        };
        let expires_at = self.expiry.map(|seconds| now.plus_seconds(seconds));
        Ok(Queued { message, sequence, expires_at })
    }
}

impl Payload<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Borrowed(payload) => payload.len(),
            Self::Shared(payload) => payload.len(),
        }
    }
}

/// A message that waits, or was sent and is not acknowledged.
#[derive(Debug)]
pub(super) struct Queued {
    pub(super) message: Message,
    /// Its number, of which its packet identifier is a function; none for an untracked QoS 0.
    pub(super) sequence: Option<u64>,
    pub(super) expires_at: Option<Instant>,
}

impl Queued {
    pub(super) fn into_message(self) -> Option<(PacketId, Message)> {
        Some((self.packet_id()?, self.message))
    }

    /// Whether it is not among those from this number on that are not stored; at QoS 0 none is.
    pub(super) fn is_below(&self, unstored: Option<u64>) -> bool {
        let Some(unstored) = unstored else { return true };
        self.message.qos == QoS::AtMostOnce || self.sequence.is_none_or(|sequence| sequence < unstored)
    }

    fn packet_id(&self) -> Option<PacketId> {
        self.sequence.map(PacketId::from_sequence)
    }

    fn outgoing(&self, now: Instant) -> Outgoing<'_> {
        let Message { topic, payload, qos, retain, properties, .. } = &self.message;
        Outgoing {
            topic,
            payload: Payload::Shared(payload),
            qos: *qos,
            retain: *retain,
            expiry: self.expires_at.map(|at| remaining_seconds(now, at)),
            topic_alias: None,
            properties,
            tracked: self.sequence.is_some() && *qos == QoS::AtMostOnce,
        }
    }
}

impl Waiting for Queued {
    fn qos(&self) -> QoS {
        self.message.qos
    }

    fn size_bytes(&self) -> usize {
        self.message.size_bytes()
    }

    fn expires_at(&self) -> Option<Instant> {
        self.expires_at
    }

    fn sequence(&self) -> Option<u64> {
        self.sequence
    }
}

impl Client {
    /// Publishes a message. At once when connected and the window is open; else it waits.
    ///
    /// Returns the packet identifier: of QoS > 0 also of what waits, and of QoS 0 when
    /// [tracked](Outgoing::tracked). What becomes of it says [`Event::Published`] or [`Event::Dropped`].
    ///
    /// # Errors
    /// Each [`PublishError`]; nothing was changed then.
    pub fn publish(&mut self, now: Instant, message: Outgoing<'_>) -> Result<Option<PacketId>, PublishError> {
        self.check(&message)?;
        let numbered = message.qos > QoS::AtMostOnce || message.tracked;
        if message.qos == QoS::AtMostOnce && self.may_go_at_once(&message) {
            let number = if numbered {
                Some(self.next_packet_id().ok_or(PublishError::PacketIdsExhausted)?)
            } else {
                None
            };
            self.transmit(now, &message, number.map(|(sequence, _)| sequence))?;
            return Ok(number.map(|(_, packet_id)| packet_id));
        }
        if message.qos == QoS::AtMostOnce && !self.link.is_taking() && !self.options.queue_qos0 {
            return Err(PublishError::NotConnected);
        }
        self.publish_kept(now, &message, numbered)
    }

    /// A message that must be kept: until it is acknowledged, or until it can be sent at all.
    fn publish_kept(
        &mut self,
        now: Instant,
        message: &Outgoing<'_>,
        numbered: bool,
    ) -> Result<Option<PacketId>, PublishError> {
        let before = self.sequence;
        let number = if numbered {
            Some(self.next_packet_id().ok_or(PublishError::PacketIdsExhausted)?)
        } else {
            None
        };
        let packet_id = number.map(|(_, packet_id)| packet_id);
        let result = message.keep(now, number.map(|(sequence, _)| sequence)).and_then(|kept| match number {
            Some((sequence, _)) if message.qos > QoS::AtMostOnce && self.may_go_at_once(message) => {
                self.transmit(now, message, Some(sequence))?;
                self.sender.sent(sequence, message.qos, kept);
                Ok(())
            }
            _ => self.enqueue(now, kept),
        });
        if result.is_err() {
            self.sequence = before;
        }
        result.map(|()| packet_id)
    }

    fn enqueue(&mut self, now: Instant, kept: Queued) -> Result<(), PublishError> {
        let stores = kept.message.qos > QoS::AtMostOnce && self.gate.is_on();
        let sequence = kept.sequence.filter(|_| stores);
        let mut dropped = Vec::new();
        let pushed = self.sender.queue.push(now, kept, |queued| dropped.push(queued));
        for queued in dropped {
            let why =
                if is_expired(now, queued.expires_at) { DropReason::Expired } else { DropReason::QueueFull };
            self.record_dropped(&queued);
            self.events.push_back(Event::Dropped { packet_id: queued.packet_id(), why });
        }
        pushed.map_err(|_| PublishError::Full {
            count: self.sender.queue.len(),
            bytes: self.sender.queue.bytes(),
        })?;
        if let Some(sequence) = sequence
            && let Some(number) = self.record(Record::Published { sequence })
        {
            self.unstored.push_back((number, sequence));
        }
        Ok(())
    }

    /// Sends what waits, as far as the window, the server's limits and the outbox allow.
    pub(super) fn pump(&mut self, now: Instant) {
        while self.link.phase == Phase::Connected
            && self.link.held.is_none()
            && self.link.pending() < self.options.outbox_bytes_max
        {
            let unstored = self.unstored.front().map(|(_, sequence)| *sequence);
            match self.sender.next_to_send_if(|queued| queued.is_below(unstored)) {
                None => break,
                Some(Next::Again(packet_id)) => self.resend(now, packet_id),
                Some(Next::New(queued)) => self.send_queued(now, queued),
            }
        }
    }

    /// Not by `transmit`: what is sent again carries its topic in full.
    fn resend(&mut self, now: Instant, packet_id: PacketId) {
        let Some(queued) = self.sender.inflight.get(packet_id) else { return };
        let outgoing = queued.outgoing(now);
        if self.check(&outgoing).is_err() {
            // This server takes less than the one it was first sent to.
            let sequence = self.sender.inflight.sequence(packet_id).unwrap_or_default();
            self.sender.give_up(packet_id);
            self.record_finished(sequence, false);
            let why = DropReason::NotAccepted;
            return self.events.push_back(Event::Dropped { packet_id: Some(packet_id), why });
        }
        let header = outgoing.header(true, Some(packet_id));
        if encode(&mut self.link.outbox, self.link.version, &header, outgoing.payload).is_ok() {
            self.link.keep_alive.on_sent(now);
            if self.options.trace {
                self.events.push_back(Event::Trace(trace(&outgoing, true, Some(packet_id))));
            }
        }
    }

    fn send_queued(&mut self, now: Instant, queued: Queued) {
        let packet_id = queued.packet_id();
        if is_expired(now, queued.expires_at) {
            self.record_dropped(&queued);
            self.events.push_back(Event::Dropped { packet_id, why: DropReason::Expired });
            return;
        }
        let outgoing = queued.outgoing(now);
        if self.check(&outgoing).is_err() || self.transmit(now, &outgoing, queued.sequence).is_err() {
            self.record_dropped(&queued);
            self.events.push_back(Event::Dropped { packet_id, why: DropReason::NotAccepted });
            return;
        }
        if let (Some(sequence), true) = (queued.sequence, queued.message.qos > QoS::AtMostOnce) {
            self.sender.sent(sequence, queued.message.qos, queued);
        }
    }

    /// Whether a message may go without waiting behind another of its kind.
    fn may_go_at_once(&self, message: &Outgoing<'_>) -> bool {
        // QoS 0 waits for no disk: order is kept within a QoS.
        let room = message.qos == QoS::AtMostOnce
            || (self.link.pending() < self.options.outbox_bytes_max && !self.gate.is_on());
        self.link.is_taking() && room && self.sender.may_send(message.qos)
    }

    /// What makes a message impossible, and what the server of this connection does not take.
    fn check(&self, message: &Outgoing<'_>) -> Result<(), PublishError> {
        if !(message.topic.is_empty() && message.topic_alias.is_some()) {
            TopicName::check(message.topic)?;
        }
        if !is_plain_name(message.topic.as_bytes()) && message.topic.as_bytes().contains(&0) {
            return Err(PublishError::TopicName(TextError::Null.into())); // [MQTT-1.5.4-2]
        }
        let connected = self.link.phase == Phase::Connected;
        let server = if connected { self.link.server } else { Granted::default() };
        if message.qos > server.maximum_qos {
            return Err(PublishError::QoSNotSupported(server.maximum_qos));
        }
        if message.retain && !server.retain {
            return Err(PublishError::RetainNotSupported);
        }
        if let Some(alias) = message.topic_alias
            && (alias.get() > server.topic_alias_maximum || self.link.outbound_aliases.is_used())
        {
            return Err(PublishError::TopicAliasInvalid(alias.get()));
        }
        if !message.properties.is_empty() {
            message.properties.check(PropertyOwner::Message)?;
        }
        // Any identifier has the same length.
        let numbered = (message.qos > QoS::AtMostOnce).then(|| PacketId::from_sequence(0));
        let len = message.header(false, numbered).encoded_len(self.version())?;
        if len > server.maximum_packet_size {
            return Err(PublishError::TooLarge { len, max: server.maximum_packet_size });
        }
        Ok(())
    }

    /// Whether automatic aliases are on, and setting one keeps the packet below the server's limit.
    fn has_room_for_alias(&self, header: &PublishHeader<'_>) -> bool {
        const ALIAS_BYTES: usize = 3;
        let max = self.link.server.maximum_packet_size;
        self.link.outbound_aliases.is_used()
            && (max == usize::MAX
                || header.encoded_len(self.version()).is_ok_and(|len| len + ALIAS_BYTES <= max))
    }

    /// Encodes a message into the outbox.
    fn transmit(
        &mut self,
        now: Instant,
        message: &Outgoing<'_>,
        sequence: Option<u64>,
    ) -> Result<(), EncodeError> {
        let packet_id = sequence.map(PacketId::from_sequence);
        let on_wire = packet_id.filter(|_| message.qos > QoS::AtMostOnce);
        let mut header = message.header(false, on_wire);
        if self.has_room_for_alias(&header)
            && let Some(alias) = self.link.outbound_aliases.assign(message.topic)
        {
            header.topic_alias = Some(alias.alias);
            header.topic = if alias.known { "" } else { message.topic };
        }
        encode(&mut self.link.outbox, self.link.version, &header, message.payload)?;
        self.link.keep_alive.on_sent(now);
        if let (true, Some(sequence)) = (message.qos == QoS::AtMostOnce, sequence) {
            self.tracked.push_back((self.link.outbox.pushed(), sequence));
        }
        if self.options.trace {
            self.events.push_back(Event::Trace(trace(message, false, packet_id)));
        }
        Ok(())
    }
}

/// The acknowledgements.
impl Client {
    pub(super) fn on_ack(&mut self, now: Instant, packet: PacketType, ack: Ack) -> Result<(), Error> {
        let Ack { packet_id, mut reason, properties } = ack;
        let sequence = if self.gate.is_on() { self.sender.inflight.sequence(packet_id) } else { None };
        let sequence = sequence.unwrap_or_default();
        match self.sender.on_ack(packet, packet_id, reason.is_error())? {
            Acked::Finished(_) => {
                self.record_finished(sequence, packet == PacketType::PubComp);
                if packet == PacketType::PubComp && reason == ReasonCode::PacketIdentifierNotFound {
                    // The message went over with PUBREC; this is how an exchange ends whose first PUBCOMP was lost.
                    reason = ReasonCode::Success;
                }
                self.events.push_back(Event::Published { packet_id, reason, properties });
                if self.sender.has_more() {
                    self.pump(now);
                }
            }
            Acked::Release(_) => {
                let order = self.sender.inflight.received().saturating_sub(1);
                self.record(Record::Received { sequence, order });
                self.send_answer(
                    now,
                    Answer { packet: PacketType::PubRel, packet_id, reason: ReasonCode::Success },
                );
            }
            Acked::ReleaseUnknown => {
                self.send_ack(now, PacketType::PubRel, packet_id, ReasonCode::PacketIdentifierNotFound);
            }
            Acked::Unknown => {}
        }
        Ok(())
    }
}

fn encode(
    outbox: &mut crate::connection::Outbox,
    version: Version,
    header: &PublishHeader<'_>,
    payload: Payload<'_>,
) -> Result<(), EncodeError> {
    outbox.write(|out| header.encode(version, out))?;
    match payload {
        Payload::Borrowed(payload) => outbox.push_slice(payload),
        Payload::Shared(payload) => outbox.push_shared(payload),
    }
    Ok(())
}

fn trace(message: &Outgoing<'_>, dup: bool, packet_id: Option<PacketId>) -> PacketTrace {
    PacketTrace {
        packet_id,
        dup,
        qos: message.qos,
        flag: message.retain,
        topic: Text::new(message.topic).ok(),
        size: message.payload.len(),
        properties: message.properties.clone(),
        ..PacketTrace::new(Direction::Sent, PacketType::Publish)
    }
}
