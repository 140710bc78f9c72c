//! What is delivered while a SUBSCRIBE is worked on: the retained messages come first.

use alloc::vec::Vec;

use super::Slot;
use super::output::{Number, Outbound};
use crate::broker::{Delivered, DropReason, Grant, KeptRetained, Options, Retained, Routed, Scratch};
use crate::codec::{QoS, ReasonCode, Subscribe, SubscriptionIds};
use crate::session::{Queue, Waiting, is_expired};
use crate::store::Record;
use crate::time::Instant;

impl Slot {
    /// The host's answer to [`Event::Subscribe`](crate::broker::Event::Subscribe), once the subscriptions are durable where
    /// they have to be: SUBACK with a reason for each filter, then the retained messages, then what was delivered since
    /// the subscription came into force.
    ///
    /// Each retained message goes out at its own QoS or the granted one, whichever is lower. `epoch` is the
    /// [`epoch`](Self::epoch) of the event: a connection that came since gets no SUBACK that it did not ask for.
    ///
    /// Returns those that a session which [is stored](Self::is_stored) keeps: they are to be stored as what
    /// [`deliver`](Self::deliver) answers with [`Delivered::Kept`], and before this slot's next event is taken.
    pub fn handle_subscribed<'a>(
        &mut self,
        now: Instant,
        epoch: u32,
        subscribe: &Subscribe,
        reasons: &[ReasonCode],
        retained: impl IntoIterator<Item = (&'a Retained, QoS)>,
        scratch: &mut Scratch,
    ) -> Vec<KeptRetained> {
        self.on_subscribed(epoch, subscribe, reasons);
        let subscription_ids = SubscriptionIds::from(subscribe.subscription_id);
        let mut kept = Vec::new();
        for (index, (message, qos)) in retained.into_iter().enumerate() {
            let grant = Grant { qos, subscription_ids: subscription_ids.clone(), ..Grant::default() };
            let mut routed = Routed::snapshot(message, scratch);
            let qos = self.delivered_qos(&message.message, qos);
            // Not `deliver`: another SUBSCRIBE may be on its way, and these come before what it holds back.
            let delivered = if !self.is_open() {
                self.deliver_absent(now, &mut routed, &grant, qos)
            } else if qos == QoS::AtMostOnce {
                self.deliver_now(now, &mut routed, &grant)
            } else {
                self.deliver_numbered(now, &mut routed, &grant, qos)
            };
            if let Delivered::Kept { sequence, qos, .. } = delivered {
                kept.push(KeptRetained { index, sequence, qos });
            }
        }
        self.release_held(now);
        kept
    }

    /// A SUBSCRIBE is being worked on: its retained messages come first.
    pub(super) fn hold(
        &mut self,
        now: Instant,
        routed: &mut Routed<'_>,
        grant: &Grant,
        qos: QoS,
    ) -> Delivered {
        let stored = self.kept.as_ref().filter(|_| qos > QoS::AtMostOnce);
        if stored.is_some() && routed.tag() == 0 {
            return Delivered::NeedsTag;
        }
        let number = stored.map(|kept| kept.next_held);
        // While it is held back its number stands where its sequence number will.
        let outbound = Outbound::new(routed, grant, qos, number);
        let retain = outbound.retain;
        let Options { queue_count_max, queue_bytes_max, .. } = *self.options;
        let mut held =
            self.held.take().unwrap_or_else(|| Queue::new(queue_count_max, queue_bytes_max).into());
        // What is not durable may not even be known to the store.
        let spared = |outbound: &Outbound| outbound.qos == QoS::ExactlyOnce && outbound.sequence().is_some();
        let pushed = held.push_sparing(now, outbound, spared, |dropped| self.lose_held(now, &dropped));
        self.held = Some(held);
        if pushed.is_err() {
            return self.counters.drop(DropReason::QueueFull);
        }
        let Some((kept, number)) = self.kept.as_mut().zip(number) else { return Delivered::Taken };
        kept.next_held = number + 1;
        if qos == QoS::ExactlyOnce {
            kept.pending_held.push(number);
        }
        Delivered::Held { number, qos, retain }
    }

    /// When nobody is attached, or the last SUBSCRIBE is answered: what was held back takes its place.
    pub(super) fn release_held(&mut self, now: Instant) {
        if self.connection.is_none() {
            self.subscribing = 0;
        }
        if self.subscribing > 0 {
            return;
        }
        let mut held = self.held.take();
        while let Some(mut outbound) = held.as_mut().and_then(|held| self.next_held(held)) {
            if outbound.qos == QoS::AtMostOnce && !self.is_open() && !self.options.queue_qos0 {
                self.counters.drop(DropReason::Offline);
                continue;
            }
            let (number, tag) = (outbound.sequence().unwrap_or_default(), outbound.tag);
            outbound.number = Number::from((outbound.qos > QoS::AtMostOnce).then_some(self.sequence));
            let stored = self.is_stored() && outbound.sequence().is_some();
            match self.enqueue(now, outbound) {
                Delivered::Kept { sequence, qos, retain } => {
                    self.await_number(sequence, qos);
                    self.record(Record::Numbered { number, sequence, tag, qos, retain });
                }
                Delivered::Dropped(reason) if stored => {
                    self.record(Record::HeldDropped { number, tag, reason });
                }
                _ => {}
            }
        }
        self.held = held.filter(|held| !held.is_empty());
        self.pump(now);
    }

    /// What was held back is known to its store without its sequence number: at QoS 1 too that is to be durable
    /// before it is sent, or it would be sent again under another [MQTT-4.4.0-1].
    pub(super) fn await_number(&mut self, sequence: u64, qos: QoS) {
        // At QoS 2 it is so in any case.
        if let (Some(kept), QoS::AtLeastOnce) = (&mut self.kept, qos) {
            kept.pending.push(sequence);
        }
    }

    /// The first of what is held back, unless it waits to be durable.
    fn next_held(&self, held: &mut Queue<Outbound>) -> Option<Outbound> {
        let front = held.front()?;
        let pending = self.kept.as_ref().map(|kept| &kept.pending_held);
        let waits = front.qos == QoS::ExactlyOnce
            && pending.zip(front.sequence()).is_some_and(|(pending, number)| !pending.is_settled(number));
        if waits { None } else { held.pop() }
    }

    fn lose_held(&mut self, now: Instant, dropped: &Outbound) {
        let expired = is_expired(now, dropped.expires_at());
        let reason = if expired { DropReason::Expired } else { DropReason::QueueFull };
        self.counters.drop(reason);
        if let Some(number) = dropped.sequence() {
            self.record(Record::HeldDropped { number, tag: dropped.tag, reason });
        }
    }
}
