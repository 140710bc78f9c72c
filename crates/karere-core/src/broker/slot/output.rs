//! Messages to the client.

use alloc::collections::VecDeque;

use super::Slot;
use crate::broker::routed::{Patch, header};
use crate::broker::stored::Kept;
use crate::broker::{
    Delivered, DropReason, Event, Grant, Presence, Routed, ShareKey, SharedDelivery, SlotCounters,
    StoredEntry, StoredMessage,
};
use crate::codec::{EncodeError, Message, PacketId, PacketType, PublishHeader, QoS, SubscriptionIds};
use crate::connection::{Direction, PacketTrace};
use crate::session::{Next, Waiting, is_expired, remaining_seconds};
use crate::store::{Gate, Record};
use crate::time::Instant;

/// A message that waits for the client, or was sent and is not acknowledged.
#[derive(Debug)]
pub(super) struct Outbound {
    pub(super) message: Message,
    pub(super) qos: QoS,
    pub(super) retain: bool,
    pub(super) subscription_ids: SubscriptionIds,
    pub(super) expires_at: Option<Instant>,
    pub(super) shared: Option<ShareKey>,
    /// QoS > 0: its sequence number, of which its packet identifier is a function.
    pub(super) number: Number,
    /// The host's number of the message, 0 for none.
    pub(super) tag: u64,
}

/// A number or none, as small as a number.
#[derive(Debug, Clone, Copy)]
pub(super) struct Number(u64);

impl From<Option<u64>> for Number {
    fn from(number: Option<u64>) -> Self {
        Self(number.unwrap_or(u64::MAX))
    }
}

impl Outbound {
    pub(super) fn new(routed: &mut Routed<'_>, grant: &Grant, qos: QoS, sequence: Option<u64>) -> Self {
        Self {
            message: routed.keep(),
            qos,
            retain: routed.retain_for(grant.retain_as_published),
            subscription_ids: grant.subscription_ids.clone(),
            expires_at: routed.expires_at(),
            shared: grant.shared,
            number: sequence.into(),
            tag: routed.tag(),
        }
    }

    /// One that a store gives back.
    pub(super) fn restored(stored: StoredMessage, sequence: Option<u64>) -> Self {
        let StoredMessage { message, tag, qos, retain, subscription_ids, expires_at, shared } = stored;
        Self { message, qos, retain, subscription_ids, expires_at, shared, number: sequence.into(), tag }
    }

    /// Whether it may move, or be dropped: at QoS 2 not before it is durable, as the store may not even know of it.
    pub(super) fn may_go(&self, kept: Option<&Kept>) -> bool {
        self.qos < QoS::ExactlyOnce || Kept::may_send(kept, self.sequence())
    }

    /// What a store has of it.
    pub(super) fn stored(&self) -> Option<StoredEntry> {
        self.sequence().map(|sequence| StoredEntry { sequence, tag: self.tag, received: false })
    }

    /// For another member of its Shared Subscription; `stored`: its session is.
    pub(super) fn into_shared(self, stored: bool) -> Option<SharedDelivery> {
        let stored = if stored { self.stored() } else { None };
        let Self { message, qos, expires_at, shared, .. } = self;
        shared.map(|key| SharedDelivery { key, message, expires_at, qos, stored })
    }
}

impl Waiting for Outbound {
    fn qos(&self) -> QoS {
        self.qos
    }

    fn size_bytes(&self) -> usize {
        self.message.size_bytes()
    }

    fn expires_at(&self) -> Option<Instant> {
        self.expires_at
    }

    #[inline]
    fn sequence(&self) -> Option<u64> {
        (self.number.0 != u64::MAX).then_some(self.number.0)
    }
}

impl Slot {
    /// A message for this client: into the outbox while it is attached and takes it, else into the queue, as
    /// far as policy allows.
    ///
    /// At QoS 2 a session that [is stored](Self::is_stored) keeps it in the queue, and all at QoS > 0 behind it, until
    /// [`handle_kept_stored`](Self::handle_kept_stored).
    pub fn deliver(
        &mut self,
        now: Instant,
        routed: &mut Routed<'_>,
        grant: &Grant,
        presence: Presence,
    ) -> Delivered {
        if self.ended {
            return Delivered::Ended;
        }
        if routed.expires_at().is_some_and(|at| at < now) {
            return self.counters.drop(DropReason::Expired); // on its way from another member, say
        }
        let qos = self.delivered_qos(routed.message(), grant.qos);
        if !self.is_open() && (presence == Presence::Attached || self.session_expiry == 0) {
            return Delivered::Absent;
        }
        // Also while the connection closes: what is held back must not be overtaken.
        if self.subscribing > 0 || self.held.is_some() {
            return self.hold(now, routed, grant, qos);
        }
        if !self.is_open() {
            return self.deliver_absent(now, routed, grant, qos);
        }
        if qos == QoS::AtMostOnce {
            self.deliver_now(now, routed, grant)
        } else {
            self.deliver_numbered(now, routed, grant, qos)
        }
    }

    /// The driver has written `bytes` bytes of what it took out of the outbox. True when publishers that wait for
    /// this client may go on.
    pub fn handle_written(&mut self, now: Instant, bytes: usize) -> bool {
        let low = self.options.outbox_low_bytes;
        let Some(connection) = &mut self.connection else { return false };
        connection.written(bytes);
        let drained = connection.pending() <= low;
        let relieved = drained && core::mem::take(&mut connection.pressed);
        if drained {
            connection.slow = false;
            if self.sender.has_more() {
                self.pump(now);
            }
        }
        relieved
    }

    /// Publishers have waited for this client in vain: its QoS 0 messages are dropped until it has drained.
    pub fn mark_slow(&mut self) {
        if let Some(connection) = &mut self.connection {
            connection.slow = connection.pressed;
        }
    }

    pub(super) fn delivered_qos(&self, message: &Message, granted: QoS) -> QoS {
        if self.options.upgrade_qos { granted } else { message.qos.min(granted) }
    }

    /// QoS 0: no copy is kept, and none waits but in the outbox.
    pub(super) fn deliver_now(&mut self, now: Instant, routed: &mut Routed<'_>, grant: &Grant) -> Delivered {
        let (high, max) = (self.options.outbox_high_bytes, self.options.outbox_bytes_max);
        let Some(connection) = &mut self.connection else { return Delivered::Absent };
        if !self.sender.may_send(QoS::AtMostOnce) {
            return self.enqueue(now, Outbound::new(routed, grant, QoS::AtMostOnce, None));
        }
        let pending = connection.pending();
        if pending >= max || connection.slow {
            return self.counters.drop(DropReason::Slow);
        }
        if self.write_routed(now, routed, grant, QoS::AtMostOnce, None).is_err() {
            return self.counters.drop(DropReason::TooLarge);
        }
        match &mut self.connection {
            Some(connection) if connection.pending() >= high => {
                connection.pressed = true;
                Delivered::Pressure
            }
            _ => Delivered::Taken,
        }
    }

    pub(super) fn deliver_numbered(
        &mut self,
        now: Instant,
        routed: &mut Routed<'_>,
        grant: &Grant,
        qos: QoS,
    ) -> Delivered {
        let sequence = self.sequence;
        let room = self.outbox_bytes() < self.options.outbox_high_bytes;
        let outbound = Outbound::new(routed, grant, qos, Some(sequence));
        let waits = qos == QoS::ExactlyOnce && self.is_stored();
        if waits || !(room && self.sender.may_send(qos) && self.sender.is_free(sequence)) {
            return self.enqueue(now, outbound);
        }
        if self.write_routed(now, routed, grant, qos, Some(PacketId::from_sequence(sequence))).is_err() {
            return self.counters.drop(DropReason::TooLarge);
        }
        self.sequence += 1;
        let retain = outbound.retain;
        self.sender.sent(sequence, qos, outbound);
        if self.is_stored() { Delivered::Kept { sequence, qos, retain } } else { Delivered::Taken }
    }

    /// Nobody is attached: into the queue, if there is to be one.
    pub(super) fn deliver_absent(
        &mut self,
        now: Instant,
        routed: &mut Routed<'_>,
        grant: &Grant,
        qos: QoS,
    ) -> Delivered {
        if self.session_expiry == 0 {
            return Delivered::Absent;
        }
        if qos == QoS::AtMostOnce && !self.options.queue_qos0 {
            return self.counters.drop(DropReason::Offline);
        }
        let sequence = (qos > QoS::AtMostOnce).then_some(self.sequence);
        self.enqueue(now, Outbound::new(routed, grant, qos, sequence))
    }

    pub(super) fn enqueue(&mut self, now: Instant, outbound: Outbound) -> Delivered {
        let (sequence, qos, retain) = (outbound.sequence(), outbound.qos, outbound.retain);
        let Self { sender, counters, gate, events, kept, .. } = self;
        let spared = |outbound: &Outbound| !outbound.may_go(kept.as_deref());
        let pushed = sender.queue.push_sparing(now, outbound, spared, |dropped| {
            let expired = is_expired(now, dropped.expires_at);
            let reason = if expired { DropReason::Expired } else { DropReason::QueueFull };
            note_dropped(counters, gate, events, &dropped, reason);
        });
        if pushed.is_err() {
            return self.counters.drop(DropReason::QueueFull);
        }
        let Some(sequence) = sequence else { return Delivered::Taken };
        self.sequence += 1;
        let Some(kept) = &mut self.kept else { return Delivered::Taken };
        if qos == QoS::ExactlyOnce {
            kept.pending.push(sequence);
        }
        Delivered::Kept { sequence, qos, retain }
    }

    /// Sends what waits, as far as the window and the outbox allow.
    pub(super) fn pump(&mut self, now: Instant) {
        while self.is_open() && self.outbox_bytes() < self.options.outbox_high_bytes {
            let Self { sender, kept, .. } = self;
            match sender.next_to_send_if(|next| Kept::may_send(kept.as_deref(), next.sequence())) {
                None => break,
                Some(Next::Again(packet_id)) => self.resend(now, packet_id),
                Some(Next::New(outbound)) => self.send_queued(now, outbound),
            }
        }
    }

    fn resend(&mut self, now: Instant, packet_id: PacketId) {
        let Some(outbound) = self.sender.inflight.get(packet_id) else { return };
        let header = outbound.header(now, true, Some(packet_id));
        let Some(connection) = &mut self.connection else { return };
        // What is larger than this client takes counts as sent [MQTT-3.1.2-25].
        let version = connection.version;
        if !header.encoded_len(version).is_ok_and(|len| len <= connection.maximum_packet_size) {
            let (sequence, tag) = (outbound.sequence().unwrap_or_default(), outbound.tag);
            self.sender.give_up(packet_id);
            let reason = DropReason::TooLarge;
            self.counters.drop(reason);
            self.record(Record::Dropped { sequence, tag, reason });
            return;
        }
        if connection.outbox.write(|out| header.encode(version, out)).is_ok() {
            connection.outbox.push_shared(&outbound.message.payload);
            self.counters.published += 1;
            if self.options.trace {
                self.events.push_back(Event::Trace(outbound.trace(true, packet_id)));
            }
        }
    }

    fn send_queued(&mut self, now: Instant, outbound: Outbound) {
        if is_expired(now, outbound.expires_at) {
            return self.lose(&outbound, DropReason::Expired);
        }
        let packet_id = outbound.sequence().map(PacketId::from_sequence);
        let header = outbound.header(now, false, packet_id);
        if self.write_own(header, &outbound.message).is_err() {
            return self.lose(&outbound, DropReason::TooLarge);
        }
        if let Some(sequence) = outbound.sequence() {
            self.sender.sent(sequence, outbound.qos, outbound);
        }
    }

    fn lose(&mut self, outbound: &Outbound, reason: DropReason) {
        note_dropped(&mut self.counters, &mut self.gate, &mut self.events, outbound, reason);
    }

    /// Writes the shared encoding, or this receiver's own where it has an alias or subscription identifiers.
    fn write_routed(
        &mut self,
        now: Instant,
        routed: &mut Routed<'_>,
        grant: &Grant,
        qos: QoS,
        packet_id: Option<PacketId>,
    ) -> Result<(), EncodeError> {
        let Some(connection) = &mut self.connection else { return Ok(()) };
        let retain = routed.retain_for(grant.retain_as_published);
        let version = connection.version;
        let own =
            version.is_v5() && (connection.outbound_aliases.is_used() || !grant.subscription_ids.is_empty());
        if own {
            let expiry = routed.expires_at().map(|at| remaining_seconds(now, at));
            let message = routed.message();
            let header = PublishHeader {
                qos,
                retain,
                packet_id,
                subscription_ids: grant.subscription_ids.as_slice(),
                ..header(message, expiry, false)
            };
            return write(connection, header, message)
                .map(|()| self.count(packet_id, qos, retain, routed.message()));
        }
        let len = routed.encoded_len(now, version, qos)?;
        if len > connection.maximum_packet_size {
            return Err(EncodeError::PacketTooLarge { len });
        }
        let mut payload = None;
        connection.outbox.write(|out| {
            payload = routed.write(now, Patch { version, qos, retain, packet_id }, out)?;
            Ok(())
        })?;
        if let Some(payload) = payload {
            connection.outbox.push_shared(payload);
        }
        self.count(packet_id, qos, retain, routed.message());
        Ok(())
    }

    fn write_own(&mut self, header: PublishHeader<'_>, message: &Message) -> Result<(), EncodeError> {
        let Some(connection) = &mut self.connection else { return Ok(()) };
        let (packet_id, qos, retain) = (header.packet_id, header.qos, header.retain);
        write(connection, header, message)?;
        self.count(packet_id, qos, retain, message);
        Ok(())
    }

    fn count(&mut self, packet_id: Option<PacketId>, qos: QoS, retain: bool, message: &Message) {
        self.counters.published += 1;
        if self.options.trace {
            self.events.push_back(Event::Trace(PacketTrace {
                packet_id,
                qos,
                flag: retain,
                topic: Some(message.topic.as_text().clone()),
                size: message.payload.len(),
                ..PacketTrace::new(Direction::Sent, PacketType::Publish)
            }));
        }
    }
}

impl Outbound {
    fn trace(&self, dup: bool, packet_id: PacketId) -> PacketTrace {
        PacketTrace {
            packet_id: Some(packet_id),
            dup,
            qos: self.qos,
            flag: self.retain,
            topic: Some(self.message.topic.as_text().clone()),
            size: self.message.payload.len(),
            ..PacketTrace::new(Direction::Sent, PacketType::Publish)
        }
    }

    fn header(&self, now: Instant, dup: bool, packet_id: Option<PacketId>) -> PublishHeader<'_> {
        let expiry = self.expires_at.map(|at| remaining_seconds(now, at));
        PublishHeader {
            dup,
            qos: self.qos,
            retain: self.retain,
            packet_id,
            subscription_ids: self.subscription_ids.as_slice(),
            ..header(&self.message, expiry, false)
        }
    }
}

/// A message that had been taken is dropped by policy.
fn note_dropped(
    counters: &mut SlotCounters,
    gate: &mut Gate,
    events: &mut VecDeque<Event>,
    dropped: &Outbound,
    reason: DropReason,
) {
    counters.drop(reason);
    let Some(sequence) = dropped.sequence() else { return };
    if let Some(number) = gate.record() {
        events.push_back(Event::Record(number, Record::Dropped { sequence, tag: dropped.tag, reason }));
    }
}

/// Encodes for one receiver, with an alias where it takes them and the packet stays below its Maximum Packet Size.
fn write(
    connection: &mut super::Connection,
    mut header: PublishHeader<'_>,
    message: &Message,
) -> Result<(), EncodeError> {
    const ALIAS_BYTES: usize = 3;
    let version = connection.version;
    let len = header.encoded_len(version)?;
    if len > connection.maximum_packet_size {
        return Err(EncodeError::PacketTooLarge { len });
    }
    if len + ALIAS_BYTES <= connection.maximum_packet_size
        && let Some(alias) = connection.outbound_aliases.assign(&message.topic)
    {
        header.topic_alias = Some(alias.alias);
        header.topic = if alias.known { "" } else { header.topic };
    }
    connection.outbox.write(|out| header.encode(version, out))?;
    connection.outbox.push_shared(&message.payload);
    Ok(())
}
