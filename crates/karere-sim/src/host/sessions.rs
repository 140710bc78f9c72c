//! Sessions: who has one, who takes it over, when it is over.

use karere_broker::store::Session;
use karere_core::broker::{Event, SharedDelivery, Slot};
use karere_core::codec::{Connect, Message, Properties, ReasonCode};
use karere_core::connection::Outbox;
use karere_store::Key;

use super::vault::{Refused, Vault};
use super::waiting::Waiter;
use super::{Host, NEVER, Place, Stage};
use crate::around::Around;
use crate::fault::Fault;
use crate::history::{Note, number_of};

/// A message of a Shared Subscription on its way to another member.
pub(super) struct Move {
    /// The number of the session that gives it away, where that is stored.
    pub(super) from: Option<u64>,
    pub(super) delivery: SharedDelivery,
}

impl Host {
    /// Takes the session of the client's name, or makes one; [MQTT-3.1.4-3] to [MQTT-3.1.4-5].
    pub(super) fn attach(&mut self, around: &mut Around, wire: usize, connect: &Connect) {
        let now = self.now(around);
        if self.is_refused_by_disk(connect) {
            let stage = std::mem::replace(&mut self.services[wire].stage, Stage::Over);
            let Stage::Greeting(mut handshake) = stage else { return };
            handshake.reject(ReasonCode::ServerUnavailable, &Properties::EMPTY);
            let mut last = Outbox::default();
            handshake.poll_transmit().swap(&mut last);
            return self.say_last(around, wire, last);
        }
        let mut deleted = false;
        if let Some(session) = self.names.get(&connect.client_id).copied() {
            self.let_go(around, session);
            let place = &self.places[session as usize];
            if !place.slot.is_ended() && (connect.clean_start || place.slot.session_expiry() == 0) {
                deleted = place.booked.is_some();
                self.end(around, session);
            }
        }
        let session = self.names.get(&connect.client_id).copied().unwrap_or_else(|| self.make(connect));
        let stage = std::mem::replace(&mut self.services[wire].stage, Stage::Talking(session));
        let Stage::Greeting(handshake) = stage else { return };
        let seed = self.random.next();
        let Some(accepted) = handshake.accept(now, None, &Properties::EMPTY, seed) else { return };
        let place = &mut self.places[session as usize];
        place.wire = Some(wire);
        place.slot.attach(now, accepted);
        let stored = self.book_attached(around, session);
        self.book_events(around, session);
        self.tell_later(around, session);
        if self.vault.is_some() && (stored || deleted) && !around.faults.is(Fault::WelcomeEarly) {
            self.places[session as usize].quiet = true;
            self.wait(around, Waiter::Connected { session, wire });
        }
        let place = &mut self.places[session as usize];
        (self.services[wire].session, self.services[wire].epoch) = (session, place.slot.epoch());
        self.wait_behind(around, wire);
        let place = &mut self.places[session as usize];
        let will = connect.will.as_ref();
        place.will = will.map(|will| will.message.clone());
        let will = will.and_then(|will| Some((number_of(&will.message.payload)?, will.delay)));
        let (peer, expiry) = (around.wires[wire].peer, place.slot.session_expiry());
        around.note(Note::Attached { session, peer, wire, expiry, will });
        self.forget_one_filter(around, session);
        self.settle_effects(around, session);
        self.flush(around, wire);
    }

    /// Whether a session that is to be stored cannot be. One that is there already needs no more than a change, which a
    /// full disk has room for.
    fn is_refused_by_disk(&self, connect: &Connect) -> bool {
        let Some(refused) = self.vault.as_ref().and_then(Vault::refuses) else { return false };
        let there = self.names.get(&connect.client_id);
        let there = there.is_some_and(|session| self.places[*session as usize].booked.is_some());
        let lasts = match connect.version.is_v5() {
            true => connect.properties.session_expiry_interval().is_some_and(|seconds| seconds > 0),
            false => !connect.clean_start,
        };
        match refused {
            Refused::Failing => lasts || there,
            Refused::Full => lasts && (!there || connect.clean_start),
        }
    }

    /// The clock has come to a session's deadline.
    pub(crate) fn slot_clock(&mut self, around: &mut Around, session: u32) {
        let place = &mut self.places[session as usize];
        place.armed = NEVER;
        if place.slot.is_ended() || self.down.is_some() {
            return;
        }
        let (wire, now) = (place.wire, self.now(around));
        if wire.is_some_and(|wire| self.is_paused(wire)) {
            self.places[session as usize].slot.handle_unread(now);
        }
        let place = &mut self.places[session as usize];
        let silent = place.slot.handle_timeout(now).is_err();
        match place.wire {
            Some(wire) if silent => self.part(around, wire, session),
            _ => self.settle_effects(around, session),
        }
    }

    /// The connection of a session has gone.
    pub(super) fn detach(&mut self, around: &mut Around, session: u32) {
        around.note(Note::Detached { session });
        let now = self.now(around);
        let place = &mut self.places[session as usize];
        let will = place.slot.will().is_some();
        place.slot.handle_closed(now);
        place.quiet = false;
        self.book_detached(around, session, will);
        self.move_qos2(around, session);
        self.settle_effects(around, session);
    }

    /// Another connection of the same client comes.
    fn let_go(&mut self, around: &mut Around, session: u32) {
        let Some(wire) = self.places[session as usize].wire else { return };
        self.leave_tasks(around, wire);
        around.note(Note::Detached { session });
        let now = self.now(around);
        let place = &mut self.places[session as usize];
        place.wire = None;
        let will = place.slot.will().is_some();
        let last = place.slot.take_over(now).unwrap_or_default();
        let quiet = std::mem::take(&mut place.quiet);
        self.book_detached(around, session, will);
        self.say_last(around, wire, if quiet { Outbox::default() } else { last });
        self.move_qos2(around, session);
        self.settle_effects(around, session);
    }

    fn make(&mut self, connect: &Connect) -> u32 {
        let session = self.places.len() as u32;
        let slot = Slot::new(connect.client_id.compact(), self.options.clone(), self.random.next());
        self.places.push(Place {
            slot,
            wire: None,
            armed: NEVER,
            stored_at: 0,
            quiet: false,
            booked: None,
            shared: Vec::new(),
            will: None,
        });
        self.names.insert(connect.client_id.compact(), session);
        session
    }

    /// Does what a session wants done: its Will, messages for other members of its groups, its end.
    pub(super) fn settle_effects(&mut self, around: &mut Around, session: u32) {
        let (mut wills, mut moves, mut expired) = (Vec::new(), Vec::new(), false);
        let mut records = Vec::new();
        let place = &mut self.places[session as usize];
        let from = place.booked.as_ref().map(|booked| booked.number);
        while let Some(event) = place.slot.poll_event() {
            match event {
                Event::Will(message) => {
                    let key = place.booked.as_mut().and_then(|booked| booked.session.send_will());
                    wills.push((message, key));
                }
                Event::Redistribute(shared) => {
                    moves.extend(shared.into_iter().map(|delivery| Move { from, delivery }));
                }
                Event::Expired => expired = true,
                Event::Record(sequence, record) => records.push((sequence, record)),
                _ => {}
            }
        }
        for (sequence, record) in records {
            self.record(around, session, sequence, record);
        }
        self.tell_later(around, session);
        if expired && !self.places[session as usize].slot.is_ended() {
            self.end(around, session);
        }
        for message in moves.iter().filter_map(|there| number_of(&there.delivery.message.payload)) {
            around.note(Note::Moved { session, message });
        }
        self.redistribute(around, moves);
        for (will, key) in wills {
            self.send_will(around, session, will, key);
        }
        self.arm(around, session);
    }

    fn end(&mut self, around: &mut Around, session: u32) {
        let now = self.now(around);
        let place = &mut self.places[session as usize];
        let counters = place.slot.counters();
        let mut ending = place.slot.end(now);
        let client_id = place.slot.client_id().clone();
        // What is left of it in the store; its number stays, for what is still to move.
        let from = place.booked.as_ref().map(|booked| booked.number);
        let mut stored = place.booked.as_mut().map(|booked| booked.session.take());
        around.note(Note::Ended { session, counters });
        // First the subscriptions: its own Will is not for a session that is over.
        self.router.remove_session(session, &ending.filters);
        self.names.remove(&client_id);
        let will = ending.will.take();
        let key = stored.as_mut().filter(|_| will.is_some()).and_then(Session::send_will);
        let moves = std::mem::take(&mut ending.shared);
        let moves = moves.into_iter().map(|delivery| Move { from, delivery }).collect();
        self.redistribute(around, moves);
        // Behind what has moved to others, so that it is always with somebody.
        if let (Some(vault), Some(mut stored)) = (&mut self.vault, stored) {
            vault.append(around, |ledger, batch| stored.end(ledger, batch, &ending));
        }
        if let Some(will) = will {
            self.send_will(around, session, will, key);
        }
    }

    fn send_will(&mut self, around: &mut Around, session: u32, will: Message, key: Option<Key>) {
        if !around.faults.strikes(Fault::ForgetWill) {
            self.send_will_in_order(around, session, will, key);
        }
    }

    /// A fault: the Will is sent of a client that has said goodbye.
    pub(super) fn send_will_all_the_same(&mut self, around: &mut Around, session: u32) {
        if let Some(will) = self.places[session as usize].will.take()
            && around.faults.strikes(Fault::WillAfterGoodbye)
        {
            self.route_now(around, session, will, None);
        }
    }

    /// A fault, at a session's next connection.
    fn forget_one_filter(&mut self, around: &mut Around, session: u32) {
        let filter = self.places[session as usize].slot.filters().next().cloned();
        if let Some(filter) = filter
            && around.faults.strikes(Fault::ForgetSubscription)
        {
            self.router.unsubscribe(session, &filter);
        }
    }
}
