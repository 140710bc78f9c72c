//! What the broker writes down of a session that is stored.

use karere_broker::store::{MessageRef, Session, SessionRow, Terms};
use karere_core::broker::Event;
use karere_core::codec::{PacketId, QoS};
use karere_core::store::{Record, StoreSequence};

use super::Host;
use super::waiting::{Untold, Waiter};
use crate::around::Around;
use crate::fault::Fault;
use crate::history::Note;

/// A session that is stored.
pub(super) struct Booked {
    pub(super) session: Session,
    /// Its number in the store.
    pub(super) number: u64,
    untold: Untold,
    last: Option<StoreSequence>,
}

impl Booked {
    pub(super) fn new(session: Session) -> Self {
        Self { number: session.number(), session, untold: Untold::default(), last: None }
    }
}

impl Host {
    /// A connection has come. Whether its CONNACK waits for the disk.
    pub(super) fn book_attached(&mut self, around: &mut Around, session: u32) -> bool {
        let place = &mut self.places[session as usize];
        let Some(vault) = self.vault.as_mut().filter(|_| place.slot.is_stored()) else { return false };
        let booked = place.booked.get_or_insert_with(|| Booked::new(vault.ledger.session()));
        self.numbers.insert(booked.number, session);
        let row = SessionRow {
            client_id: place.slot.client_id().clone(),
            username: None,
            session_expiry: place.slot.session_expiry(),
            disconnected_at: None,
            next_sequence: 0,
            unsent_from: None,
        };
        let will = place.slot.will();
        vault.append(around, |_, batch| booked.session.attach(batch, &row, will));
        true
    }

    /// The connection has gone; `will`: there is one, which waits for its delay or is on its way.
    pub(super) fn book_detached(&mut self, around: &mut Around, session: u32, will: bool) {
        let now = self.now(around);
        let place = &mut self.places[session as usize];
        let (Some(vault), Some(booked)) = (&mut self.vault, &mut place.booked) else { return };
        let row = SessionRow {
            client_id: place.slot.client_id().clone(),
            username: None,
            session_expiry: place.slot.session_expiry(),
            disconnected_at: Some(now),
            next_sequence: 0,
            unsent_from: Some(place.slot.unsent_from()),
        };
        vault.append(around, |_, batch| booked.session.detach(batch, &row, will));
    }

    /// It keeps a message; with a tag it is stored under that.
    pub(super) fn keep(
        &mut self,
        around: &mut Around,
        session: u32,
        sequence: u64,
        terms: &Terms,
        message: (u64, &MessageRef<'_>),
    ) {
        let place = &mut self.places[session as usize];
        let (Some(vault), Some(booked)) = (&mut self.vault, &mut place.booked) else { return };
        vault.append(around, |ledger, batch| booked.session.keep(ledger, batch, sequence, terms, message));
        around.note(Note::Kept { session, id: PacketId::from_sequence(sequence).get() });
        if terms.qos == QoS::ExactlyOnce {
            if around.faults.is(Fault::SendBeforeStored) {
                let now = around.instant();
                return place.slot.handle_kept_stored(now, [sequence]);
            }
            booked.untold.kept.push(sequence);
            booked.untold.urgent = true;
        }
    }

    /// It holds a message back.
    pub(super) fn hold(&mut self, around: &mut Around, session: u32, number: u64, terms: Terms, tag: u64) {
        let place = &mut self.places[session as usize];
        let (Some(vault), Some(booked)) = (&mut self.vault, &mut place.booked) else { return };
        if terms.qos == QoS::ExactlyOnce {
            booked.untold.held.push(number);
            booked.untold.urgent = true;
        }
        vault.append(around, |ledger, batch| booked.session.hold(ledger, batch, number, terms, tag));
    }

    /// A message at QoS 2 has come, and all that it brings is written down.
    pub(super) fn receive(&mut self, around: &mut Around, session: u32, packet_id: PacketId) {
        let place = &mut self.places[session as usize];
        if let (Some(vault), Some(booked)) = (&mut self.vault, &mut place.booked) {
            vault.append(around, |_, batch| booked.session.receive(batch, packet_id));
        }
    }

    /// The slot has recorded something.
    pub(super) fn book(
        &mut self,
        around: &mut Around,
        session: u32,
        sequence: StoreSequence,
        record: &Record,
    ) {
        let now = self.now(around);
        let place = &mut self.places[session as usize];
        let (Some(vault), Some(booked)) = (&mut self.vault, &mut place.booked) else { return };
        booked.last = Some(sequence);
        booked.untold.record = Some(sequence);
        match record {
            Record::Received { .. } if around.faults.is(Fault::ForgetReceived) => {
                return place.slot.handle_stored(now, sequence);
            }
            Record::Received { .. } if around.faults.is(Fault::ReleaseEarly) => {
                place.slot.handle_stored(now, sequence);
            }
            Record::Released { .. } if around.faults.is(Fault::CompleteEarly) => {
                place.slot.handle_stored(now, sequence);
            }
            Record::Received { .. } | Record::Released { .. } => booked.untold.urgent = true,
            // Whatever its QoS: it is sent under a number that the disk has to know.
            Record::Numbered { sequence, .. } => {
                booked.untold.kept.push(*sequence);
                booked.untold.urgent = true;
            }
            _ => {}
        }
        vault.append(around, |ledger, batch| booked.session.record(ledger, batch, record));
        if let Record::Numbered { sequence, .. } = record {
            around.note(Note::Kept { session, id: PacketId::from_sequence(*sequence).get() });
        }
        if let (Record::Finished { tag, .. }, true) = (record, around.faults.is(Fault::ReleaseTwice)) {
            vault.append(around, |ledger, batch| ledger.release(batch, *tag));
        }
    }

    /// Writes down what a slot has recorded; its other events stay.
    pub(super) fn book_events(&mut self, around: &mut Around, session: u32) {
        let mut events = std::collections::VecDeque::new();
        let place = &mut self.places[session as usize];
        if place.booked.is_none() || !place.slot.has_events() {
            return;
        }
        place.slot.swap_events(&mut events);
        events.retain(|event| match event {
            Event::Record(sequence, record) => {
                self.book(around, session, *sequence, record);
                false
            }
            _ => true,
        });
        self.places[session as usize].slot.swap_events(&mut events);
    }

    /// Has the slot told what of it is stored, once it is.
    pub(super) fn tell_later(&mut self, around: &mut Around, session: u32) {
        let Some(booked) = &mut self.places[session as usize].booked else { return };
        let Untold { kept, held, record, .. } = &booked.untold;
        if kept.is_empty() && held.is_empty() && record.is_none() {
            return;
        }
        let untold = std::mem::take(&mut booked.untold);
        self.wait(around, Waiter::Told(session, untold));
    }
}
