//! What an application does of its own accord.

use karere_core::Text;
use karere_core::client::{Client, Outgoing, Payload};
use karere_core::codec::{
    Disconnect, Properties, Property, QoS, ReasonCode, RetainHandling, SubscribeOptions, Subscription,
};
use karere_core::topic::TopicFilter;

use super::Peer;
use crate::agenda::{End, Step};
use crate::around::Around;
use crate::history::{Letter, Note, payload};
use crate::plan::{FILTERS, TOPICS};

const QOS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

impl Peer {
    /// One deed, and when the next one is due.
    pub(crate) fn act(&mut self, around: &mut Around) {
        if around.settling {
            return;
        }
        let pace = self.random.between(1, self.plan.pace_millis);
        around.later(pace, Step::Act(self.number));
        if self.random.percent(self.plan.publishes) {
            for _ in 0..self.random.between(1, 4) {
                self.publish(around);
            }
        } else {
            match self.random.below(10) {
                0..=2 => self.subscribe(around),
                3 => self.unsubscribe(around),
                4..=5 => self.say_goodbye(around),
                6..=8 => self.vanish(around),
                _ => self.restart(around),
            }
        }
        self.finish(around);
    }

    pub(super) fn subscribe(&mut self, around: &mut Around) {
        let mut options = SubscribeOptions::new(self.random.pick(&QOS));
        let v5 = self.plan.version.is_v5();
        let group = self.plan.group;
        if group.is_some() {
            options.qos = options.qos.max(QoS::AtLeastOnce);
        }
        if v5 {
            options.no_local = group.is_none() && self.random.percent(20);
            options.retain_as_published = self.random.percent(30);
            options.retain_handling = self.random.pick(&[
                RetainHandling::SendAtSubscribe,
                RetainHandling::SendAtSubscribe,
                RetainHandling::SendIfNew,
                RetainHandling::DoNotSend,
            ]);
        }
        let id = (v5 && self.random.percent(30)).then(|| self.random.between(1, 4) as u32);
        let filters = if group.is_some() { 1 } else { self.random.between(1, 2) };
        let subscriptions: Vec<Subscription> = (0..filters)
            .filter_map(|_| {
                let filter = group.unwrap_or_else(|| self.random.pick(&FILTERS));
                Text::new(filter).ok().map(|filter| Subscription { filter, options })
            })
            .collect();
        let _ = self.client.subscribe(around.instant(), &subscriptions, id, &Properties::EMPTY);
    }

    fn unsubscribe(&mut self, around: &mut Around) {
        let filter = self.plan.group.unwrap_or_else(|| self.random.pick(&FILTERS));
        if let Ok(filter) = TopicFilter::new(filter) {
            let _ = self.client.unsubscribe(around.instant(), &[filter], &Properties::EMPTY);
        }
    }

    fn publish(&mut self, around: &mut Around) {
        let topic = self.random.pick(&TOPICS);
        let qos = self.random.pick(&QOS);
        let retain = topic.starts_with("r/") && self.random.percent(70);
        let clears = retain && self.random.percent(10);
        let short = self.plan.version.is_v5() && self.random.percent(10);
        let large = self.random.percent(5);
        let payload_bytes =
            if large { self.random.between(300, 9_000) } else { self.random.between(8, 40) } as usize;
        let letter = Letter {
            publisher: self.number,
            topic: topic.to_owned(),
            qos,
            retain,
            expiry: short.then(|| self.random.between(1, 5) as u32),
            payload_bytes: if clears { 0 } else { payload_bytes },
            is_will: false,
        };
        let expiry = letter.expiry;
        let message = around.history.messages.len() as u64;
        let bytes = if clears { Vec::new() } else { payload(message, payload_bytes) };
        let outgoing = Outgoing {
            expiry,
            payload: Payload::Borrowed(&bytes),
            ..Outgoing::new(topic, &[]).qos(qos).retain(retain)
        };
        let Ok(packet_id) = self.client.publish(around.instant(), outgoing) else { return };
        let message = around.letter(letter);
        around.note(Note::Published { peer: self.number, message });
        if let Some(packet_id) = packet_id {
            self.unanswered.insert(packet_id.get(), message);
        }
    }

    /// DISCONNECT: without its Will, or on version 5 with it, or ending its session.
    fn say_goodbye(&mut self, around: &mut Around) {
        let mut disconnect = Disconnect::normal();
        if self.plan.version.is_v5() && self.random.percent(30) {
            disconnect.reason = ReasonCode::DisconnectWithWillMessage;
        }
        if self.plan.version.is_v5() && self.plan.is_durable() && self.random.percent(15) {
            let expiry = self.random.pick(&[0, 2]);
            disconnect.properties =
                Properties::from_properties([Property::SessionExpiryInterval(expiry)]).unwrap_or_default();
        }
        self.client.disconnect(around.instant(), &disconnect);
        self.finish(around);
        self.leave(around, "it said DISCONNECT");
    }

    /// The connection breaks, and the broker may not hear of it for long; this client does at once.
    fn vanish(&mut self, around: &mut Around) {
        let Some(wire) = self.wire else { return };
        let forgetful = self.random.percent(50).then_some(End::Broker);
        around.cut(wire, forgetful);
        self.leave(around, "it broke off");
        if forgetful.is_some() && self.random.percent(60) {
            self.open(around); // while the broker still has the other one
        }
    }

    /// The process ends and starts again. What belongs to a session that is to last is kept; all else is gone.
    fn restart(&mut self, around: &mut Around) {
        if let Some(wire) = self.wire {
            around.cut(wire, None);
        }
        self.leave(around, "its process ended");
        if self.plan.is_durable() {
            return;
        }
        around.note(Note::Restarted { peer: self.number });
        self.client = Client::new(self.plan.options(self.number));
        self.unanswered.clear();
        self.unacknowledged.clear();
        self.armed = super::NEVER;
        self.has_subscribed = false;
    }
}
