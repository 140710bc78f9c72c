//! What the broker writes down of a session that is stored.

use std::sync::atomic::Ordering::Relaxed;

use karere_core::broker::Grant;
use karere_core::codec::{PacketId, QoS};
use karere_core::store::{Record, StoreSequence};
use karere_core::{Instant, Text};

use super::seat::Seat;
use crate::counters::add;
use crate::store::{Durable, MessageRef, Session, SessionRow, Terms, Untold};
use crate::sync::Arc;

/// Whether a session is stored.
pub(crate) enum Keeping {
    /// There is no store.
    Nothing,
    /// There is one.
    May(Arc<Durable>),
    /// It is.
    Is(Box<Booked>),
}

/// A session that is stored.
pub(crate) struct Booked {
    pub(crate) durable: Arc<Durable>,
    pub(crate) session: Session,
    /// What the slot has not been told to be stored, and nobody waits for.
    untold: Untold,
    /// The last record.
    last: StoreSequence,
    /// Of the messages that the receiver has refused, how many are counted.
    refused: u64,
}

impl Keeping {
    pub(super) fn booked(durable: Arc<Durable>, session: Session) -> Self {
        let (untold, last) = (Untold::default(), StoreSequence::default());
        Self::Is(Box::new(Booked { durable, session, untold, last, refused: 0 }))
    }
}

impl Seat {
    /// What is written down, if anything is.
    pub(crate) fn booked(&mut self) -> Option<&mut Booked> {
        match &mut self.keeping {
            Keeping::Is(booked) => Some(booked),
            _ => None,
        }
    }

    /// The session in the ledger.
    pub(crate) fn session_mut(&mut self) -> Option<&mut Session> {
        self.booked().map(|booked| &mut booked.session)
    }

    /// On which terms it gets a message.
    pub(crate) fn terms(&mut self, qos: QoS, retain: bool, grant: &Grant) -> Terms {
        self.session_mut().map(|session| session.terms(qos, retain, grant)).unwrap_or_default()
    }

    /// Whether the slot is to be told when something is durable.
    pub(crate) fn is_untold(&self) -> bool {
        match &self.keeping {
            Keeping::Is(booked) => !(booked.untold.kept.is_empty() && booked.untold.held.is_empty()),
            _ => false,
        }
    }

    /// It keeps a message; with a tag it is stored under that.
    pub(crate) fn keep(&mut self, sequence: u64, terms: &Terms, tag: u64, message: &MessageRef<'_>) {
        let Some(Booked { durable, session, untold, .. }) = self.booked() else { return };
        durable.append(|ledger, batch| session.keep(ledger, batch, sequence, terms, (tag, message)));
        durable.count.kept.fetch_add(1, Relaxed);
        if terms.qos == QoS::ExactlyOnce {
            untold.kept.push(sequence);
        }
    }

    /// It holds a message back.
    pub(crate) fn hold(&mut self, number: u64, terms: Terms, tag: u64) {
        let Some(Booked { durable, session, untold, .. }) = self.booked() else { return };
        if terms.qos == QoS::ExactlyOnce {
            untold.held.push(number);
        }
        durable.append(|ledger, batch| session.hold(ledger, batch, number, terms, tag));
        durable.count.kept.fetch_add(1, Relaxed);
    }

    /// A message at QoS 2 has come, and all that it brings is written down.
    pub(crate) fn receive(&mut self, packet_id: PacketId) {
        if let Some(Booked { durable, session, .. }) = self.booked() {
            durable.append(|_, batch| session.receive(batch, packet_id));
        }
    }

    /// The slot has recorded something.
    pub(crate) fn record(&mut self, sequence: StoreSequence, record: &Record) {
        let refused = self.slot.counters().refused;
        let Some(booked) = self.booked() else { return };
        let Booked { durable, session, untold, last, .. } = booked;
        durable.append(|ledger, batch| session.record(ledger, batch, record));
        durable.count(record);
        add(&durable.count.refused_by_receiver, refused - std::mem::replace(&mut booked.refused, refused));
        *last = sequence;
        match *record {
            Record::Received { .. } | Record::Released { .. } => untold.record = Some(sequence),
            Record::Numbered { sequence, .. } => untold.kept.push(sequence),
            _ => {}
        }
    }

    /// What the slot is to be told when all that was written down until now is durable.
    pub(crate) fn take_untold(&mut self) -> Option<Untold> {
        let waits = self.slot.is_waiting_for_store();
        let booked = self.booked()?;
        if waits {
            booked.untold.record = Some(booked.last);
        }
        let Untold { kept, held, record } = &booked.untold;
        if kept.is_empty() && held.is_empty() && record.is_none() {
            return None;
        }
        Some(std::mem::take(&mut booked.untold))
    }

    /// A connection has come. Whether its CONNACK waits for the disk.
    pub(super) fn book_attached(&mut self, username: Option<Text>) -> bool {
        if !self.slot.is_stored() {
            return false;
        }
        if let Keeping::May(durable) = &self.keeping {
            let durable = durable.clone();
            let session = durable.ledger().session();
            self.keeping = Keeping::booked(durable, session);
        }
        let row = SessionRow {
            client_id: self.slot.client_id().clone(),
            username,
            session_expiry: self.slot.session_expiry(),
            disconnected_at: None,
            next_sequence: 0,
            unsent_from: None,
        };
        let will = self.slot.will().cloned();
        let Some(Booked { durable, session, .. }) = self.booked() else { return false };
        durable.append(|_, batch| session.attach(batch, &row, will.as_ref()));
        durable.waits()
    }

    /// The connection has gone; `will`: there is one, which waits for its delay or is on its way.
    pub(super) fn book_detached(&mut self, now: Instant, will: bool) {
        let row = SessionRow {
            client_id: self.slot.client_id().clone(),
            username: None,
            session_expiry: self.slot.session_expiry(),
            disconnected_at: Some(now),
            next_sequence: 0,
            unsent_from: Some(self.slot.unsent_from()),
        };
        let Some(Booked { durable, session, .. }) = self.booked() else { return };
        let row = SessionRow { username: session.username().cloned(), ..row };
        if durable.append(|_, batch| session.detach(batch, &row, will)) {
            // Nobody waits for it, but the sooner it is written the less likely is a Will that was given up.
            durable.store().commit();
        }
    }

    /// It was connected when the broker crashed, and is not any more.
    pub(crate) fn book_restored(&mut self, now: Instant) {
        let will = self.slot.will().is_some();
        self.book_detached(now, will);
    }

    /// The session is over: what the store still has of it.
    pub(super) fn end_booked(&mut self) -> Option<Session> {
        self.session_mut().map(Session::take)
    }
}
