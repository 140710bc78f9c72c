//! Sessions: who has one, who takes it over, when it is over.

use karere_core::broker::{Event, Slot};
use karere_core::codec::{Connect, Message, Properties};

use super::{Host, NEVER, Place, Stage};
use crate::around::Around;
use crate::fault::Fault;
use crate::history::{Note, number_of};

impl Host {
    /// Takes the session of the client's name, or makes one; [MQTT-3.1.4-3] to [MQTT-3.1.4-5].
    pub(super) fn attach(&mut self, around: &mut Around, wire: usize, connect: &Connect) {
        let now = around.instant();
        if let Some(session) = self.names.get(&connect.client_id).copied() {
            self.let_go(around, session);
            let place = &self.places[session as usize];
            if !place.slot.is_ended() && (connect.clean_start || place.slot.session_expiry() == 0) {
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

    /// The clock has come to a session's deadline.
    pub(crate) fn slot_clock(&mut self, around: &mut Around, session: u32) {
        let place = &mut self.places[session as usize];
        place.armed = NEVER;
        if place.slot.is_ended() {
            return;
        }
        let (wire, now) = (place.wire, around.instant());
        if wire.is_some_and(|wire| self.is_paused(wire)) {
            self.places[session as usize].slot.handle_unread(now);
        }
        let place = &mut self.places[session as usize];
        let silent = place.slot.handle_timeout(around.instant()).is_err();
        match place.wire {
            Some(wire) if silent => self.part(around, wire, session),
            _ => self.settle_effects(around, session),
        }
    }

    /// The connection of a session has gone.
    pub(super) fn detach(&mut self, around: &mut Around, session: u32) {
        around.note(Note::Detached { session });
        self.places[session as usize].slot.handle_closed(around.instant());
        self.move_qos2(around, session);
        self.settle_effects(around, session);
    }

    /// Another connection of the same client comes.
    fn let_go(&mut self, around: &mut Around, session: u32) {
        let Some(wire) = self.places[session as usize].wire else { return };
        self.leave_tasks(around, wire);
        around.note(Note::Detached { session });
        let place = &mut self.places[session as usize];
        place.wire = None;
        let last = place.slot.take_over(around.instant()).unwrap_or_default();
        self.say_last(around, wire, last);
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
            shared: Vec::new(),
            will: None,
        });
        self.names.insert(connect.client_id.compact(), session);
        session
    }

    /// Does what a session wants done: its Will, messages for other members of its groups, its end.
    fn settle_effects(&mut self, around: &mut Around, session: u32) {
        let (mut wills, mut shared, mut expired) = (Vec::new(), Vec::new(), false);
        while let Some(event) = self.places[session as usize].slot.poll_event() {
            match event {
                Event::Will(message) => wills.push(message),
                Event::Redistribute(messages) => shared.extend(messages),
                Event::Expired => expired = true,
                _ => {}
            }
        }
        if expired && !self.places[session as usize].slot.is_ended() {
            self.end(around, session);
        }
        self.redistribute(around, shared);
        for will in wills {
            self.send_will(around, session, will);
        }
        self.arm(around, session);
    }

    fn end(&mut self, around: &mut Around, session: u32) {
        let slot = &mut self.places[session as usize].slot;
        let counters = slot.counters();
        let ending = slot.end(around.instant());
        let client_id = slot.client_id().clone();
        around.note(Note::Ended { session, counters });
        // First the subscriptions: its own Will is not for a session that is over.
        self.router.remove_session(session, &ending.filters);
        self.names.remove(&client_id);
        self.redistribute(around, ending.shared);
        if let Some(will) = ending.will {
            self.send_will(around, session, will);
        }
    }

    fn send_will(&mut self, around: &mut Around, session: u32, will: Message) {
        if !around.faults.strikes(Fault::ForgetWill) {
            self.send_will_in_order(around, session, will);
        }
    }

    /// A fault: the Will is sent of a client that has said goodbye.
    pub(super) fn send_will_all_the_same(&mut self, around: &mut Around, session: u32) {
        if let Some(will) = self.places[session as usize].will.take()
            && around.faults.strikes(Fault::WillAfterGoodbye)
        {
            self.route_now(around, session, will);
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
