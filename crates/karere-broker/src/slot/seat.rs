//! The core's slot as the cell has it, with what the broker adds.

use std::sync::OnceLock;

use karere_core::broker::{Accepted, Ending, Event, Slot};
use karere_core::connection::Outbox;
use karere_core::{Error, Instant, Text};

use super::cell::Place;
use super::late::Ticket;
use crate::bench::Pool;
use crate::connection::Link;
use crate::hub::SessionKey;
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
    /// The session is over: this is what it held.
    pub(crate) ending: Option<Ending>,
    /// Its place in the client's order.
    pub(crate) ticket: Option<Ticket>,
}

impl Seat {
    /// No deadline.
    pub(crate) const NEVER: Instant = Instant::from_millis(u64::MAX);

    pub(crate) fn new(slot: Slot) -> Self {
        Self { slot, armed: Self::NEVER, waiters: Vec::new(), fitted: false }
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
    type Accepted = Accepted;
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

    fn attach(&mut self, now: Instant, accepted: Accepted) {
        self.slot.attach(now, accepted);
    }

    fn take_over(&mut self, now: Instant) -> Outbox {
        self.fitted = false;
        self.slot.take_over(now).unwrap_or_default()
    }

    fn handle_closed(&mut self, now: Instant) {
        self.slot.handle_closed(now);
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), Error> {
        self.slot.handle_timeout(now)
    }

    fn handle_written(&mut self, now: Instant, count: usize) -> bool {
        self.slot.handle_written(now, count)
    }

    fn end(&mut self, now: Instant, effects: &mut Effects) {
        effects.ending = Some(self.slot.end(now));
    }

    fn put_in_order(effects: &mut Effects, ticket: impl FnOnce() -> Ticket) {
        if !effects.events.is_empty() || effects.ending.is_some() {
            effects.ticket.get_or_insert_with(ticket);
        }
    }

    fn drain(&mut self, effects: &mut Effects) -> bool {
        let mut expired = false;
        while let Some(event) = self.slot.poll_event() {
            match event {
                Event::Expired => expired = true,
                other => effects.events.push(other),
            }
        }
        expired
    }

    fn take_bytes(&mut self) -> Option<Outbox> {
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
