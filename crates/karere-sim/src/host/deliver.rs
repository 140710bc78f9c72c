//! From a publisher to whoever is to have it.

use std::rc::Rc;

use karere_core::Instant;
use karere_core::broker::{
    AckToken, Delivered, Grant, Presence, Publisher, Routed, SharedDelivery, SharedTarget, Target,
};
use karere_core::codec::{Message, QoS, ReasonCode};

use super::{Host, Task};
use crate::around::Around;
use crate::fault::Fault;
use crate::history::{Note, number_of};

/// A message on its way, and when it expires.
struct Parcel<'a> {
    message: &'a Rc<Message>,
    expires_at: Option<Instant>,
    /// The connection that waits if a reader does not keep up.
    publisher: Option<usize>,
}

impl Host {
    /// Routes a message and those that come right behind it; their deliveries are next, then their answers.
    pub(super) fn route_in_a_row(
        &mut self,
        around: &mut Around,
        wire: usize,
        session: u32,
        message: Rc<Message>,
        token: Option<AckToken>,
    ) {
        let mut row = vec![(message, token)];
        while let Some(Task::Publish(..)) = self.services[wire].tasks.front() {
            if let Some(Task::Publish(message, token)) = self.services[wire].tasks.pop_front() {
                row.push((message, token));
            }
        }
        if row.len() > 1 && row[0].0.topic == row[1].0.topic && around.faults.strikes(Fault::SwapOrder) {
            row.swap(0, 1);
        }
        let received = around.instant();
        let (mut next, mut answers, mut targets) = (Vec::new(), Vec::new(), Vec::new());
        for (message, token) in row {
            let mut reason = ReasonCode::Success;
            if token.is_none() || !around.faults.strikes(Fault::AcknowledgeUnrouted) {
                reason = self.route(around, session, Some(wire), &message, &mut targets);
            }
            next.extend(targets.drain(..).map(|target| Task::Deliver(message.clone(), received, target)));
            answers.extend(token.map(|token| Task::Answer(token, reason)));
        }
        for task in next.into_iter().chain(answers).rev() {
            self.services[wire].tasks.push_front(task);
        }
    }

    /// Finds the targets of a message.
    fn route(
        &mut self,
        around: &mut Around,
        session: u32,
        wire: Option<usize>,
        message: &Message,
        targets: &mut Vec<Target<u32>>,
    ) -> ReasonCode {
        match number_of(&message.payload) {
            Some(number) => around.note(Note::Routed { message: number, session, wire }),
            None => around.note(Note::Cleared { topic: message.topic.as_str().to_owned() }),
        }
        let client_id = self.places[session as usize].slot.client_id().clone();
        let publisher = Publisher { session, client_id: &client_id };
        if message.retain && !around.faults.strikes(Fault::KeepOldRetained) {
            let retained = self.router.retain_and_route(around.instant(), Some(publisher), message, targets);
            return retained.err().unwrap_or(ReasonCode::Success);
        }
        self.router.route(Some(session), &message.topic, targets);
        if targets.is_empty() { ReasonCode::NoMatchingSubscribers } else { ReasonCode::Success }
    }

    /// A message that no connection brings, a Will: routed and delivered at once.
    pub(super) fn route_now(&mut self, around: &mut Around, session: u32, message: Message) {
        let (message, mut targets) = (Rc::new(message), Vec::new());
        self.route(around, session, None, &message, &mut targets);
        let received = around.instant();
        for target in targets {
            self.deliver(around, None, &message, received, &target);
        }
    }

    /// To one target; `publisher` is the connection that waits if a reader does not keep up.
    pub(super) fn deliver(
        &mut self,
        around: &mut Around,
        publisher: Option<usize>,
        message: &Rc<Message>,
        received: Instant,
        target: &Target<u32>,
    ) {
        let expires_at = message.expiry.map(|seconds| received.plus_seconds(seconds));
        let parcel = Parcel { message, expires_at, publisher };
        match target {
            Target::Session { session, grant } => {
                let counts = message.qos.min(grant.qos) > QoS::AtMostOnce;
                if counts && around.faults.strikes(Fault::DropAcknowledged) {
                    return;
                }
                let times = if around.faults.strikes(Fault::DeliverTwice) { 2 } else { 1 };
                for _ in 0..times {
                    self.hand_over(around, *session, &parcel, grant, Presence::Any);
                }
            }
            Target::Shared(target) => self.share(around, target, &parcel),
        }
    }

    /// To the first member that takes it: one that is attached, else one whose session keeps it.
    fn share(&mut self, around: &mut Around, target: &SharedTarget<u32>, parcel: &Parcel<'_>) {
        let all = around.faults.strikes(Fault::ShareWithAll);
        for presence in [Presence::Attached, Presence::Any] {
            for member in target.in_turn() {
                let how = self.hand_over(around, member.session, parcel, &member.grant, presence);
                if !matches!(how, Delivered::Absent | Delivered::Ended) && !all {
                    return;
                }
            }
        }
    }

    /// Finds other members for messages that one could not keep [MQTT-4.8.2-5].
    pub(super) fn redistribute(&mut self, around: &mut Around, shared: Vec<SharedDelivery>) {
        for given in shared {
            let Some(target) = self.router.next_turn(given.key) else { continue };
            let mut message = given.message;
            message.qos = given.qos;
            let message = Rc::new(message);
            let parcel = Parcel { message: &message, expires_at: given.expires_at, publisher: None };
            self.share(around, &target, &parcel);
        }
    }

    /// A fault: what was sent at QoS 2 to a member whose connection is lost goes to another as well.
    pub(super) fn move_qos2(&mut self, around: &mut Around, from: u32) {
        let sent = std::mem::take(&mut self.places[from as usize].shared);
        let mut targets = Vec::new();
        for message in sent {
            if !around.faults.strikes(Fault::MoveQoS2) {
                continue;
            }
            self.router.route(None, &message.topic, &mut targets);
            for target in &targets {
                let Target::Shared(target) = target else { continue };
                let Some(member) = target.in_turn().find(|member| member.session != from) else { continue };
                let parcel = Parcel { message: &message, expires_at: None, publisher: None };
                self.hand_over(around, member.session, &parcel, &member.grant, Presence::Any);
            }
        }
    }

    fn hand_over(
        &mut self,
        around: &mut Around,
        session: u32,
        parcel: &Parcel<'_>,
        grant: &Grant,
        presence: Presence,
    ) -> Delivered {
        let place = &mut self.places[session as usize];
        let Parcel { message, expires_at, publisher } = *parcel;
        let mut routed = Routed::with_expiry(message, expires_at, &mut self.scratch);
        let how = place.slot.deliver(around.instant(), &mut routed, grant, presence);
        let group = grant.shared.is_some();
        if let Some(number) = number_of(&message.payload) {
            around.note(Note::Given { session, message: number, group, how });
        }
        if group && how == Delivered::Taken && message.qos.min(grant.qos) == QoS::ExactlyOnce {
            place.shared.push(message.clone());
        }
        let wire = place.wire;
        if let (Delivered::Pressure, Some(publisher)) = (how, publisher) {
            self.services[publisher].pressed.push(session);
        }
        if let Some(wire) = wire {
            self.flush(around, wire);
        }
        how
    }
}
