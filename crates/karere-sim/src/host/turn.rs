//! A connection's turn: take in what has come, then do it, a few things at a time.

use std::rc::Rc;

use bytes::BytesMut;
use karere_core::broker::{AckToken, Event, HandshakeEvent};
use karere_core::codec::{FixedHeader, Packet, PacketType, PropertyId, ReasonCode, Version};
use karere_core::connection::Outbox;
use karere_core::store::{Record, StoreSequence};

use super::{Host, Stage, Task};
use crate::agenda::{End, Step};
use crate::around::Around;
use crate::check::Kind;
use crate::fault::Fault;
use crate::history::Note;

/// How long a publisher waits for readers that do not keep up.
const PRESSURE_MILLIS: u64 = 100;

impl Host {
    pub(crate) fn turn(&mut self, around: &mut Around, wire: usize) {
        self.services[wire].waiting = false;
        match self.services[wire].stage {
            Stage::Greeting(_) => self.greet(around, wire),
            Stage::Talking(session) => self.converse(around, wire, session),
            // What a client sends to a connection that is over concerns nobody.
            Stage::Parting | Stage::Over => self.do_late_work(around, wire),
        }
        self.flush(around, wire);
    }

    fn greet(&mut self, around: &mut Around, wire: usize) {
        let now = self.now(around);
        let service = &mut self.services[wire];
        service.tap.heard(around, wire, End::Broker, &service.arrived);
        let arrived = service.arrived.split();
        service.input.unsplit(arrived);
        conceal(around, &mut service.input);
        let Stage::Greeting(handshake) = &mut service.stage else { return };
        match handshake.handle_input(now, &mut service.input) {
            Ok(Some(HandshakeEvent::Connect(connect))) => {
                self.attach(around, wire, &connect);
                self.expect_turn(around, wire); // packets may have come with CONNECT
            }
            Ok(None) if !service.at_end => {}
            Ok(_) | Err(_) => {
                let mut last = Outbox::default();
                handshake.poll_transmit().swap(&mut last);
                self.say_last(around, wire, last);
            }
        }
    }

    fn converse(&mut self, around: &mut Around, wire: usize, session: u32) {
        if !self.is_due(around, wire) {
            return; // until it is its turn
        }
        for reader in std::mem::take(&mut self.services[wire].pressed) {
            self.places[reader as usize].slot.mark_slow();
        }
        if self.services[wire].tasks.is_empty() {
            self.take_input(around, wire, session);
        }
        for _ in 0..self.random.pick(&[1, 2, 8, 1_000]) {
            let Some(task) = self.services[wire].tasks.pop_front() else { break };
            if matches!(task, Task::Part) {
                return self.part(around, wire, session);
            }
            self.perform(around, wire, session, task);
        }
        let service = &self.services[wire];
        if !service.pressed.is_empty() {
            self.services[wire].waiting = true;
            around.later(PRESSURE_MILLIS, Step::Turn(wire));
        } else if !service.tasks.is_empty() {
            // Mostly soon; now and then it takes a hook's time.
            self.services[wire].waiting = true;
            around.later(self.random.pick(&[0, 0, 1, 3, 40]), Step::Turn(wire));
        } else if !service.arrived.is_empty() {
            self.expect_turn(around, wire);
        } else if service.at_end {
            self.part(around, wire, session);
        }
    }

    fn take_input(&mut self, around: &mut Around, wire: usize, session: u32) {
        let now = self.now(around);
        let service = &mut self.services[wire];
        service.tap.heard(around, wire, End::Broker, &service.arrived);
        let arrived = service.arrived.split();
        service.input.unsplit(arrived);
        let place = &mut self.places[session as usize];
        let result = place.slot.handle_input(now, &mut service.input);
        let mut records = Vec::new();
        while let Some(event) = place.slot.poll_event() {
            match event {
                Event::Publish { message, token, dup } => {
                    let ignored = dup && around.faults.is(Fault::IgnoreAgain);
                    service.tasks.push_back(match token.filter(|_| ignored) {
                        Some(token) => Task::Answer(token, ReasonCode::Success, Rc::default()),
                        None => Task::Publish(message, token),
                    });
                }
                Event::Subscribe(packet) => service.tasks.push_back(Task::Subscribe(packet)),
                Event::Unsubscribe(packet) => service.tasks.push_back(Task::Unsubscribe(packet)),
                Event::Disconnected(disconnect) => {
                    let with_will = disconnect.reason != ReasonCode::NORMAL_DISCONNECTION;
                    let expiry = disconnect.properties.session_expiry_interval();
                    around.note(Note::Goodbye { session, with_will, expiry });
                    service.tasks.push_back(Task::Part);
                }
                Event::Record(sequence, record) => records.push((sequence, record)),
                _ => {}
            }
        }
        let goodbye = matches!(service.tasks.back(), Some(Task::Part));
        if let Err(error) = result {
            around.history.offence(Kind::Protocol, format!("session {session} cannot go on: {error}"));
            service.tasks.push_back(Task::Part);
        }
        for (sequence, record) in records {
            self.record(around, session, sequence, record);
        }
        self.tell_later(around, session);
        self.arm(around, session);
        if goodbye {
            self.send_will_all_the_same(around, session);
        }
    }

    pub(super) fn perform(&mut self, around: &mut Around, wire: usize, session: u32, task: Task) {
        match task {
            Task::Publish(message, token) => self.route_in_a_row(around, wire, session, message, token),
            Task::Deliver(parcel, target) => {
                self.deliver(around, &parcel, &target);
                self.tell_targets(around, &[target]);
            }
            Task::DeliverAsOne(parcel, targets, packet_id) => {
                self.deliver_as_one(around, session, &parcel, &targets, packet_id);
            }
            Task::Delivered(parcel) => self.finish_delivery(around, &parcel, None),
            Task::Answer(token, reason, stored) => {
                self.answer(around, (session, wire), token, reason, stored.get());
            }
            Task::Forget(token) => self.forget(around, wire, session, token),
            // Nobody would end the subscriptions of a session that is over.
            Task::Subscribe(_) if self.places[session as usize].slot.is_ended() => {}
            Task::Subscribe(packet) => self.subscribe(around, wire, session, packet),
            Task::Subscribed(packet, ..) if self.places[session as usize].slot.is_ended() => {
                self.forget_filters(session, &packet);
            }
            Task::Subscribed(packet, reasons, retained) => {
                self.subscribe_slot(around, wire, session, packet, reasons, retained);
            }
            Task::Unsubscribe(packet) => self.unsubscribe(around, wire, session, &packet),
            Task::Will(session, will, key) => self.route_now(around, session, will, key),
            Task::Part => {}
        }
    }

    /// A message that the disk does not allow, of a client that cannot be told: it is forgotten, and the connection ends.
    fn forget(&mut self, around: &mut Around, wire: usize, session: u32, token: AckToken) {
        let now = self.now(around);
        let place = &mut self.places[session as usize];
        if place.wire == Some(wire) {
            place.slot.disconnect(now, ReasonCode::ImplementationSpecificError);
            self.services[wire].tasks.push_back(Task::Part);
        }
        self.places[session as usize].slot.handle_unrouted(now, token);
    }

    /// What is stored by now for a session.
    pub(crate) fn stored(&mut self, around: &mut Around, session: u32, sequence: StoreSequence) {
        let place = &mut self.places[session as usize];
        place.slot.handle_stored(around.instant(), sequence);
        self.flush_of(around, session);
    }

    pub(crate) fn kept_stored(&mut self, around: &mut Around, session: u32, sequence: u64) {
        self.places[session as usize].slot.handle_kept_stored(around.instant(), [sequence]);
        self.settle_stored(around, session);
    }

    pub(crate) fn held_stored(&mut self, around: &mut Around, session: u32, number: u64) {
        self.places[session as usize].slot.handle_held_stored(around.instant(), [number]);
        self.settle_stored(around, session);
    }

    fn settle_stored(&mut self, around: &mut Around, session: u32) {
        self.settle_effects(around, session);
        self.flush_of(around, session);
    }

    /// A change of a session will be stored.
    pub(super) fn record(
        &mut self,
        around: &mut Around,
        session: u32,
        sequence: StoreSequence,
        record: Record,
    ) {
        if self.vault.is_some() {
            return self.book(around, session, sequence, &record);
        }
        self.store(around, session, Step::SlotStored(session, sequence));
        if let Record::Numbered { sequence, .. } = record {
            self.store(around, session, Step::SlotKept(session, sequence));
        }
    }

    /// Something of a session will be stored, behind what is to be stored already.
    pub(super) fn store(&mut self, around: &mut Around, session: u32, step: Step) {
        let place = &mut self.places[session as usize];
        place.stored_at = place.stored_at.max(around.now + self.random.between(0, 5));
        around.agenda.push(place.stored_at, step);
    }

    /// The end of a conversation: what waits is written, and the connection closed.
    pub(super) fn part(&mut self, around: &mut Around, wire: usize, session: u32) {
        self.leave_tasks(around, wire);
        let place = &mut self.places[session as usize];
        if place.wire != Some(wire) {
            return;
        }
        let mut last = Outbox::default();
        if !place.quiet {
            place.slot.poll_transmit().into_iter().for_each(|outbox| outbox.swap(&mut last));
        }
        place.wire = None;
        self.say_last(around, wire, last);
        if self.services[wire].at_end {
            self.services[wire].stage = Stage::Over;
            around.close(wire, End::Broker);
        }
        self.detach(around, session);
    }
}

/// Takes out of a CONNECT what the broker is not to see: a fault.
fn conceal(around: &Around, input: &mut BytesMut) {
    let hidden = match () {
        () if around.faults.is(Fault::ExceedQuota) => PropertyId::ReceiveMaximum,
        () if around.faults.is(Fault::ExceedPacketSize) => PropertyId::MaximumPacketSize,
        () => return,
    };
    let Ok(Some(header)) = FixedHeader::peek(input) else { return };
    if header.packet_type() != PacketType::Connect || input.len() < header.frame_len() {
        return;
    }
    let frame = input.split_to(header.frame_len()).freeze();
    let mut seen = BytesMut::new();
    if let Ok(Packet::Connect(mut connect)) = Packet::decode(Version::V5, frame) {
        connect.properties = connect.properties.without(&[hidden]);
        let _ = Packet::Connect(connect.clone()).encode(connect.version, &mut seen);
    }
    seen.unsplit(input.split());
    *input = seen;
}
