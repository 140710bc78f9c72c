//! SUBSCRIBE and UNSUBSCRIBE.

use karere_core::broker::NewSubscription;
use karere_core::codec::{ReasonCode, Subscribe, Unsubscribe};
use karere_core::topic::TopicFilter;

use super::{Host, Task};
use crate::around::Around;
use crate::fault::Fault;
use crate::history::Note;

impl Host {
    /// The first half: the subscriptions are in force, each in one step with taking its retained messages. Others may
    /// have their turns before the slot hears of it.
    pub(super) fn subscribe(&mut self, around: &mut Around, wire: usize, session: u32, packet: Subscribe) {
        let client_id = self.places[session as usize].slot.client_id().clone();
        let (mut reasons, mut retained, mut snapshot) = (Vec::new(), Vec::new(), Vec::new());
        for subscription in &packet.subscriptions {
            let Ok(filter) = TopicFilter::from_text(subscription.filter.clone()) else {
                reasons.push(ReasonCode::TopicFilterInvalid);
                continue;
            };
            let (options, id) = (subscription.options, packet.subscription_id);
            let new = NewSubscription { session, filter: &filter, options, subscription_id: id };
            let made = self.router.subscribe_with_retained(around.instant(), &client_id, &new, &mut snapshot);
            if made.is_ok() {
                let filter = filter.as_str().to_owned();
                around.note(Note::Subscribed { session, filter, options, id });
            }
            if !snapshot.is_empty() && around.faults.strikes(Fault::ForgetRetained) {
                snapshot.clear();
            }
            reasons.push(made.map_or_else(|reason| reason, |_| ReasonCode::granted(options.qos)));
            retained.extend(snapshot.drain(..).map(|message| (message, options.qos)));
        }
        self.services[wire].tasks.push_front(Task::Subscribed(packet, reasons, retained));
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
                around.note(Note::Unsubscribed { session, filter: filter.as_str().to_owned() });
                reasons.push(ReasonCode::Success);
                ended.push(filter);
            } else {
                reasons.push(ReasonCode::NoSubscriptionExisted);
            }
        }
        let slot = &mut self.places[session as usize].slot;
        slot.handle_unsubscribed(self.services[wire].epoch, packet.packet_id, &ended, &reasons);
    }
}
