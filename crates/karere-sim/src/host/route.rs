//! Whom a message is for, and whether the disk allows it.

use std::cell::Cell;
use std::rc::Rc;

use karere_broker::store::MessageRef;
use karere_core::broker::{AckToken, Publisher, Target};
use karere_core::codec::{Message, QoS, ReasonCode, Version};
use karere_store::Key;

use super::deliver::Parcel;
use super::vault::{Refused, Vault};
use super::waiting::Waiter;
use super::{Host, Task};
use crate::around::Around;
use crate::fault::Fault;
use crate::history::{Note, number_of};

/// What came of routing a message.
struct Routing {
    reason: ReasonCode,
    /// The disk does not allow it.
    refused: bool,
    /// Several sessions that are stored may keep it.
    several: bool,
}

impl Routing {
    const REFUSED: Self =
        Self { reason: ReasonCode::ImplementationSpecificError, refused: true, several: false };
}

impl Host {
    /// Routes a message and those that come right behind it; their deliveries are next, then their answers.
    pub(super) fn route_in_a_row(
        &mut self,
        around: &mut Around,
        wire: usize,
        session: u32,
        message: Message,
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
        let stored = Rc::new(Cell::new(false));
        let (mut next, mut answers, mut targets) = (Vec::new(), Vec::new(), Vec::new());
        for (message, token) in row {
            let parcel = self.parcel(around, session, Some(wire), message, &stored);
            let mut routing = Routing { reason: ReasonCode::Success, refused: false, several: false };
            if token.is_none() || !around.faults.strikes(Fault::AcknowledgeUnrouted) {
                routing = self.route(around, session, Some(wire), &parcel, token.as_ref(), &mut targets);
            }
            if let (true, Some(token)) = (routing.refused, token)
                && self.services[wire].tap.version() != Version::V5
            {
                answers.push(Task::Forget(token));
                continue;
            }
            let as_one = token.filter(|token| self.is_as_one(session, token) && !routing.reason.is_error());
            let parcel = Rc::new(parcel);
            if routing.several {
                self.number(around, &parcel);
            }
            match as_one {
                Some(token) => {
                    let targets = std::mem::take(&mut targets);
                    next.push(Task::DeliverAsOne(parcel, targets, token.packet_id()));
                }
                None => {
                    next.extend(targets.drain(..).map(|target| Task::Deliver(parcel.clone(), target)));
                    next.push(Task::Delivered(parcel));
                }
            }
            answers.extend(token.map(|token| Task::Answer(token, routing.reason, stored.clone())));
        }
        for task in next.into_iter().chain(answers).rev() {
            self.services[wire].tasks.push_front(task);
        }
    }

    /// A message that no connection brings, a Will: routed and delivered at once. `key`: what goes from the store with it.
    pub(super) fn route_now(
        &mut self,
        around: &mut Around,
        session: u32,
        message: Message,
        key: Option<Key>,
    ) {
        let mut targets = Vec::new();
        let parcel = self.parcel(around, session, None, message, &Rc::default());
        let routing = self.route(around, session, None, &parcel, None, &mut targets);
        if routing.several {
            self.number(around, &parcel);
        }
        targets.iter().for_each(|target| self.deliver(around, &parcel, target));
        self.finish_delivery(around, &parcel, key);
        self.tell_targets(around, &targets);
    }

    /// A message is answered, when it is durable where it has to be.
    pub(super) fn answer(
        &mut self,
        around: &mut Around,
        (session, wire): (u32, usize),
        token: AckToken,
        reason: ReasonCode,
        stored: bool,
    ) {
        if self.vault.is_some() && stored && !around.faults.is(Fault::AcknowledgeEarly) {
            return self.wait(around, Waiter::Answer { session, wire, token, reason });
        }
        // Also when the connection has gone: at QoS 2 the answer is for the next one.
        let now = self.now(around);
        self.places[session as usize].slot.handle_routed(now, token, reason);
    }

    fn parcel(
        &self,
        around: &Around,
        session: u32,
        wire: Option<usize>,
        message: Message,
        stored: &Rc<Cell<bool>>,
    ) -> Parcel {
        let now = self.now(around);
        Parcel {
            expires_at: message.expiry.map(|seconds| now.plus_seconds(seconds)),
            publisher: Some(self.places[session as usize].slot.client_id().clone()),
            message,
            wire,
            tag: Cell::default(),
            stored: stored.clone(),
        }
    }

    /// Stores a message under a number of its own.
    fn number(&mut self, around: &mut Around, parcel: &Parcel) {
        let Some(vault) = &mut self.vault else { return };
        parcel.tag.set(vault.append(around, |ledger, batch| ledger.message(batch, &parcel.as_stored())));
    }

    /// Whether a message of a session that is stored is to be delivered at most once, however often it comes.
    fn is_as_one(&self, session: u32, token: &AckToken) -> bool {
        let is_stored = self.places[session as usize].booked.is_some();
        self.vault.is_some() && is_stored && token.qos() == QoS::ExactlyOnce
    }

    /// Finds the targets of a message.
    fn route(
        &mut self,
        around: &mut Around,
        session: u32,
        wire: Option<usize>,
        parcel: &Parcel,
        token: Option<&AckToken>,
        targets: &mut Vec<Target<u32>>,
    ) -> Routing {
        let message = &parcel.message;
        let retains = message.retain && !around.faults.strikes(Fault::KeepOldRetained);
        let refuses = self.vault.as_ref().and_then(Vault::refuses).filter(|_| token.is_some());
        if retains && let Some(refused) = refuses {
            return Routing { reason: reason_of(refused), ..Routing::REFUSED };
        }
        let before = if retains { self.retained_sequence(message) } else { None };
        let mut reason = ReasonCode::Success;
        let mut sequence = None;
        if retains {
            let client_id = self.places[session as usize].slot.client_id().clone();
            let publisher = Publisher { session, client_id: &client_id };
            match self.router.retain_and_route(self.now(around), Some(publisher), message, targets) {
                Ok(number) => sequence = Some(number),
                Err(error) => reason = error,
            }
        } else {
            self.router.route(Some(session), &message.topic, targets);
            if targets.is_empty() {
                reason = ReasonCode::NoMatchingSubscribers;
            }
        }
        let kept = targets.iter().filter(|target| self.is_stored(target)).count();
        let stores = message.qos > QoS::AtMostOnce && kept > 0;
        if let Some(refused) = refuses.filter(|_| !retains)
            && (stores || token.is_some_and(|token| self.is_as_one(session, token)))
        {
            targets.clear();
            return Routing { reason: reason_of(refused), ..Routing::REFUSED };
        }
        let by = wire.zip(token.map(|token| token.packet_id().get()));
        match number_of(&message.payload) {
            Some(number) => around.note(Note::Routed { message: number, session, wire }),
            None => around.note(Note::Cleared { topic: message.topic.as_str().to_owned(), by }),
        }
        if let Some(sequence) = sequence {
            self.book_retained(around, before, sequence, parcel);
        }
        Routing { reason, refused: false, several: stores && kept > 1 }
    }

    fn retained_sequence(&self, message: &Message) -> Option<u64> {
        self.router.retained(&message.topic).map(|retained| retained.sequence)
    }

    fn book_retained(&mut self, around: &mut Around, replaced: Option<u64>, sequence: u64, parcel: &Parcel) {
        let Some(vault) = &mut self.vault else { return };
        let message: MessageRef<'_> = parcel.as_stored();
        let full = vault.refuses() == Some(Refused::Full);
        let row = (!parcel.message.payload.is_empty() && !full).then_some((sequence, &message));
        if replaced.is_some() || row.is_some() {
            vault.append(around, |ledger, batch| ledger.retain(batch, replaced, row));
            parcel.stored.set(true);
        }
    }

    fn is_stored(&self, target: &Target<u32>) -> bool {
        let kept =
            |session: u32, qos: QoS| qos > QoS::AtMostOnce && self.places[session as usize].booked.is_some();
        match target {
            Target::Session { session, grant } => kept(*session, grant.qos),
            Target::Shared(target) => target.in_turn().any(|member| kept(member.session, member.grant.qos)),
        }
    }
}

fn reason_of(refused: Refused) -> ReasonCode {
    match refused {
        Refused::Failing => ReasonCode::ImplementationSpecificError,
        Refused::Full => ReasonCode::QuotaExceeded,
    }
}
