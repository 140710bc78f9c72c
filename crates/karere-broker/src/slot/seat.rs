//! The core's slot as the cell has it, with what the broker adds.

use std::collections::VecDeque;
use std::sync::OnceLock;

use karere_core::broker::{Accepted, Ending, Event, SharedDelivery, Slot};
use karere_core::codec::Message;
use karere_core::connection::Outbox;
use karere_core::{Error, Instant, Text};
use karere_store::Key;

use super::booked::Keeping;
use super::cell::Place;
use super::late::Ticket;
use crate::bench::Pool;
use crate::connection::Link;
use crate::hub::SessionKey;
use crate::store::{Durable, Session};
use crate::sync::Arc;

/// One client's place.
pub(crate) struct Seat {
    pub(crate) slot: Slot,
    /// The earliest deadline that the timer has of it.
    pub(crate) armed: Instant,
    /// Publishers that read nothing until this reader has drained.
    waiters: Vec<Arc<Link>>,
    /// The outbox has a buffer from the pool.
    fitted: bool,
    /// Nothing leaves: what CONNACK answers for is not durable yet.
    quiet: bool,
    pub(crate) keeping: Keeping,
}

/// A connection whose CONNECT was accepted.
pub(crate) struct Admission {
    pub(crate) accepted: Accepted,
    /// The user name, for a session that is stored.
    pub(crate) username: Option<Text>,
}

/// What is known of a session without its lock.
pub(crate) struct Label {
    pub(crate) client_id: Text,
    /// Its name in the router, from its first subscription on.
    pub(crate) key: OnceLock<SessionKey>,
}

/// What is to be done when the slot's lock is gone.
#[derive(Default)]
pub(crate) struct Effects {
    pub(crate) events: Vec<Event>,
    /// Messages of Shared Subscriptions for other members.
    pub(crate) moves: Vec<Move>,
    /// Wills that are due, each with what is to be removed from the store when it has been sent.
    pub(crate) wills: Vec<(Message, Option<Key>)>,
    /// The session is over: this is what it held.
    pub(crate) ending: Option<Ended>,
    /// Its place in the client's order.
    pub(crate) ticket: Option<Ticket>,
}

/// A message of a Shared Subscription on its way to another member.
pub(crate) struct Move {
    /// The number of the session that gives it away, where that is stored.
    pub(crate) session: u64,
    pub(crate) delivery: SharedDelivery,
}

/// A session that is over.
pub(crate) struct Ended {
    pub(crate) ending: Ending,
    /// What the store has of it; it is still there.
    pub(crate) session: Option<Session>,
}

impl Seat {
    /// No deadline.
    pub(crate) const NEVER: Instant = Instant::from_millis(u64::MAX);

    pub(crate) fn new(slot: Slot, durable: Option<&Arc<Durable>>) -> Self {
        let keeping = durable.map_or(Keeping::Nothing, |durable| Keeping::May(durable.clone()));
        Self { slot, armed: Self::NEVER, waiters: Vec::new(), fitted: false, quiet: false, keeping }
    }

    /// One that the store has given back.
    pub(crate) fn restored(slot: Slot, durable: Arc<Durable>, session: Session) -> Self {
        Self { keeping: Keeping::booked(durable, session), ..Self::new(slot, None) }
    }

    /// Nothing is to leave, or all may.
    pub(crate) fn set_quiet(&mut self, quiet: bool) {
        self.quiet = quiet;
    }

    /// A publisher is to read nothing until this reader has drained. False: it was noted before.
    pub(crate) fn add_waiter(&mut self, publisher: &Arc<Link>) -> bool {
        let new = !self.waiters.iter().any(|waiting| Arc::ptr_eq(waiting, publisher));
        if new {
            self.waiters.push(publisher.clone());
        }
        new
    }

    /// A publisher waits no longer. False: it did not.
    pub(crate) fn remove_waiter(&mut self, publisher: &Arc<Link>) -> bool {
        let before = self.waiters.len();
        self.waiters.retain(|waiting| !Arc::ptr_eq(waiting, publisher));
        self.waiters.len() < before
    }

    /// All who wait: they may go on.
    pub(crate) fn take_waiters(&mut self) -> Vec<Arc<Link>> {
        std::mem::take(&mut self.waiters)
    }

    /// Lends the outbox a buffer: a connection that is idle has none of its own.
    pub(crate) fn fit(&mut self, pool: &mut Pool) {
        if !self.fitted
            && let Some(outbox) = self.slot.poll_transmit()
            && outbox.is_empty()
            && let Some(mut spare) = pool.take()
        {
            outbox.swap(&mut spare);
            self.fitted = true;
        }
    }

    /// Whether the session is over.
    pub(crate) fn is_over(&self) -> bool {
        self.slot.is_ended()
    }

    /// Takes the buffer back when nothing is in it.
    pub(crate) fn unfit(&mut self, pool: &mut Pool) {
        if self.fitted
            && let Some(outbox) = self.slot.poll_transmit()
            && outbox.is_empty()
        {
            let mut spare = Outbox::default();
            outbox.swap(&mut spare);
            pool.give(spare);
            self.fitted = false;
        }
    }
}

impl Place for Seat {
    type Instant = Instant;
    type Accepted = Admission;
    type Bytes = Outbox;
    type Effects = Effects;
    type Error = Error;
    type Label = Label;

    fn label(&self) -> Label {
        Label { client_id: self.slot.client_id().clone(), key: OnceLock::new() }
    }

    fn client_id(label: &Label) -> &Text {
        &label.client_id
    }

    fn attach(&mut self, now: Instant, admission: Admission) {
        let Admission { accepted, username } = admission;
        self.slot.attach(now, accepted);
        self.quiet = self.book_attached(username);
        self.book();
    }

    fn take_over(&mut self, now: Instant) -> Outbox {
        let will = self.slot.will().is_some();
        let last = self.slot.take_over(now).unwrap_or_default();
        self.leave(now, will, last)
    }

    fn handle_closed(&mut self, now: Instant) {
        let will = self.slot.will().is_some();
        self.slot.handle_closed(now);
        self.leave(now, will, Outbox::default());
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), Error> {
        self.slot.handle_timeout(now)
    }

    fn handle_written(&mut self, now: Instant, count: usize) -> bool {
        let drained = self.slot.handle_written(now, count);
        self.book();
        drained
    }

    fn end(&mut self, now: Instant, effects: &mut Effects) {
        let mut ending = self.slot.end(now);
        let session = self.end_booked();
        let number = session.as_ref().map_or(0, Session::number);
        let moves = ending.shared.drain(..).map(|delivery| Move { session: number, delivery });
        effects.moves.extend(moves);
        effects.ending = Some(Ended { ending, session });
    }

    fn put_in_order(effects: &mut Effects, ticket: impl FnOnce() -> Ticket) {
        let Effects { events, moves, wills, ending, .. } = &*effects;
        if !(events.is_empty() && moves.is_empty() && wills.is_empty() && ending.is_none()) {
            effects.ticket.get_or_insert_with(ticket);
        }
    }

    fn drain(&mut self, effects: &mut Effects) -> bool {
        let mut expired = false;
        while let Some(event) = self.slot.poll_event() {
            match event {
                Event::Expired => expired = true,
                Event::Record(sequence, record) => self.record(sequence, &record),
                Event::Will(will) => {
                    let key = self.session_mut().and_then(Session::send_will);
                    effects.wills.push((will, key));
                }
                Event::Redistribute(shared) => {
                    let session = self.session_mut().map_or(0, |session| session.number());
                    effects.moves.extend(shared.into_iter().map(|delivery| Move { session, delivery }));
                }
                other => effects.events.push(other),
            }
        }
        expired
    }

    fn take_bytes(&mut self) -> Option<Outbox> {
        if self.quiet {
            return None;
        }
        let outbox = self.slot.poll_transmit().filter(|outbox| !outbox.is_empty())?;
        let mut taken = Outbox::default();
        outbox.swap(&mut taken);
        self.fitted = false;
        Some(taken)
    }

    fn put_back(&mut self, mut unwritten: Outbox) {
        if let Some(outbox) = self.slot.poll_transmit() {
            outbox.put_back(&mut unwritten);
            self.fitted = true;
        }
    }

    fn is_ended(&self) -> bool {
        self.slot.is_ended()
    }

    fn is_kept(&self) -> bool {
        self.slot.session_expiry() > 0
    }
}

impl Seat {
    /// Writes down what the slot has recorded; its other events stay. Whoever has made it do something calls this
    /// before the lock is gone.
    pub(crate) fn book(&mut self) {
        if self.slot.has_events() && matches!(self.keeping, Keeping::Is(_)) {
            self.book_events();
        }
    }

    #[cold]
    fn book_events(&mut self) {
        let mut events = VecDeque::new();
        self.slot.swap_events(&mut events);
        events.retain(|event| match event {
            Event::Record(sequence, record) => {
                self.record(*sequence, record);
                false
            }
            _ => true,
        });
        self.slot.swap_events(&mut events);
    }

    /// The connection has gone; `will`: it had left one to be sent. Its last bytes, unless it was told nothing yet.
    fn leave(&mut self, now: Instant, will: bool, last: Outbox) -> Outbox {
        self.fitted = false;
        self.book_detached(now, will);
        if std::mem::take(&mut self.quiet) { Outbox::default() } else { last }
    }
}
