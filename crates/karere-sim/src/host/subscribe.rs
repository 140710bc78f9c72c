//! SUBSCRIBE and UNSUBSCRIBE.

use karere_broker::store::{MessageRef, Terms};
use karere_core::broker::NewSubscription;
use karere_core::broker::Retained;
use karere_core::codec::{QoS, ReasonCode, Subscribe, Unsubscribe};
use karere_core::topic::TopicFilter;

use super::vault::{Refused, Vault};
use super::waiting::{SubscribedWaiter, UnsubscribedWaiter, Waiter};
use super::{Host, Task};
use crate::agenda::Step;
use crate::around::Around;
use crate::fault::Fault;
use crate::history::Note;

impl Host {
    /// The first half: the subscriptions are in force, each in one step with taking its retained messages. Others may
    /// have their turns before the slot hears of it.
    pub(super) fn subscribe(&mut self, around: &mut Around, wire: usize, session: u32, packet: Subscribe) {
        let client_id = self.places[session as usize].slot.client_id().clone();
        let (mut reasons, mut retained, mut snapshot) = (Vec::new(), Vec::new(), Vec::new());
        let stored = self.places[session as usize].booked.is_some();
        let refused = self.vault.as_ref().and_then(Vault::refuses).filter(|_| stored);
        for subscription in &packet.subscriptions {
            let Ok(filter) = TopicFilter::from_text(subscription.filter.clone()) else {
                reasons.push(ReasonCode::TopicFilterInvalid);
                continue;
            };
            let (options, id) = (subscription.options, packet.subscription_id);
            let new = NewSubscription { session, filter: &filter, options, subscription_id: id };
            let existed = self.places[session as usize].slot.filters().any(|there| *there == filter);
            if refused == Some(Refused::Failing) || (refused == Some(Refused::Full) && !existed) {
                reasons.push(ReasonCode::ImplementationSpecificError);
                continue;
            }
            let now = self.now(around);
            let made = self.router.subscribe_with_retained(now, &client_id, &new, &mut snapshot);
            if made.is_ok() {
                let (filter, by) = (filter.as_str().to_owned(), (wire, packet.packet_id.get()));
                around.note(Note::Subscribed { session, filter, options, id, by });
            }
            if !snapshot.is_empty() && around.faults.strikes(Fault::ForgetRetained) {
                snapshot.clear();
            }
            reasons.push(made.map_or_else(|reason| reason, |_| ReasonCode::granted(options.qos)));
            retained.extend(snapshot.drain(..).map(|message| (message, options.qos)));
        }
        self.services[wire].tasks.push_front(Task::Subscribed(packet, reasons, retained));
    }

    /// The second half: the subscriptions are written down, where they have to be, and the slot hears of them.
    pub(super) fn subscribe_slot(
        &mut self,
        around: &mut Around,
        wire: usize,
        session: u32,
        packet: Subscribe,
        reasons: Vec<ReasonCode>,
        retained: Vec<(Retained, QoS)>,
    ) {
        let epoch = self.services[wire].epoch;
        let waiter = SubscribedWaiter { session, wire, epoch, packet, reasons, retained };
        let place = &mut self.places[session as usize];
        let (Some(vault), Some(booked)) = (&mut self.vault, &mut place.booked) else {
            return self.subscribed(around, waiter);
        };
        let SubscribedWaiter { packet, reasons, .. } = &waiter;
        let router = &self.router;
        vault.append(around, |_, batch| {
            let granted = packet.subscriptions.iter().zip(reasons).filter(|(_, reason)| !reason.is_error());
            for (subscription, _) in granted {
                let Ok(filter) = TopicFilter::from_text(subscription.filter.clone()) else { continue };
                let (options, id) = (subscription.options, packet.subscription_id);
                booked.session.subscribe(batch, &filter, options, id, router.share_key(&filter));
            }
        });
        if around.faults.is(Fault::ConfirmEarly) {
            return self.subscribed(around, waiter);
        }
        self.wait(around, Waiter::Subscribed(waiter.into()));
    }

    /// SUBACK, and the retained messages.
    pub(super) fn subscribed(&mut self, around: &mut Around, waiter: SubscribedWaiter) {
        let SubscribedWaiter { session, epoch, packet, reasons, mut retained, .. } = waiter;
        let now = self.now(around);
        let slot = &self.places[session as usize].slot;
        if slot.epoch() != epoch || !slot.is_attached() {
            // Nothing was held back for them since their connection has gone: what has replaced one of them has
            // been delivered before it.
            let is_last = |there: &Retained| {
                self.router.retained(&there.message.topic).is_some_and(|last| last.sequence == there.sequence)
            };
            retained.retain(|(there, _)| is_last(there));
        }
        let slot = &mut self.places[session as usize].slot;
        if slot.is_ended() {
            return self.forget_filters(session, &packet);
        }
        let messages = retained.iter().map(|(retained, qos)| (retained, *qos));
        let kept = slot.handle_subscribed(now, epoch, &packet, &reasons, messages, &mut self.scratch);
        for kept in kept {
            if self.vault.is_none() {
                self.store(around, session, Step::SlotKept(session, kept.sequence));
                continue;
            }
            let (retained, _) = &retained[kept.index];
            let message = MessageRef {
                message: &retained.message,
                expires_at: retained.expires_at,
                publisher: retained.publisher.as_ref(),
            };
            let subscription_ids = packet.subscription_id.into();
            let terms = Terms { qos: kept.qos, retain: true, subscription_ids, share: 0 };
            self.keep(around, session, kept.sequence, &terms, (0, &message));
        }
        self.settle_effects(around, session);
        self.flush_of(around, session);
    }

    /// The session ended between the halves, and whoever ended it knew nothing of these.
    pub(super) fn forget_filters(&mut self, session: u32, packet: &Subscribe) {
        for subscription in &packet.subscriptions {
            if let Ok(filter) = TopicFilter::from_text(subscription.filter.clone()) {
                self.router.unsubscribe(session, &filter);
            }
        }
    }

    pub(super) fn unsubscribe(
        &mut self,
        around: &mut Around,
        wire: usize,
        session: u32,
        packet: &Unsubscribe,
    ) {
        let (mut ended, mut reasons) = (Vec::new(), Vec::new());
        for filter in &packet.filters {
            let Ok(filter) = TopicFilter::from_text(filter.clone()) else {
                reasons.push(ReasonCode::TopicFilterInvalid);
                continue;
            };
            if self.router.unsubscribe(session, &filter) {
                let (name, by) = (filter.as_str().to_owned(), (wire, packet.packet_id.get()));
                around.note(Note::Unsubscribed { session, filter: name, by });
                reasons.push(ReasonCode::Success);
                ended.push(filter);
            } else {
                reasons.push(ReasonCode::NoSubscriptionExisted);
            }
        }
        let (epoch, packet_id) = (self.services[wire].epoch, packet.packet_id);
        let place = &mut self.places[session as usize];
        let (Some(vault), Some(booked)) = (&mut self.vault, &mut place.booked) else {
            return place.slot.handle_unsubscribed(epoch, packet_id, &ended, &reasons);
        };
        vault.append(around, |_, batch| {
            ended.iter().for_each(|filter| booked.session.unsubscribe(batch, filter));
        });
        let waiter = UnsubscribedWaiter { session, wire, epoch, packet_id, ended, reasons };
        self.wait(around, Waiter::Unsubscribed(waiter.into()));
    }
}
