//! Who is attached to a session slot, and who writes for it.
//!
//! Everything that several threads do to one client's place at the same moment is in this file and in
//! `registry.rs`, over traits, so that the model checker runs this very code against a small model of a
//! session.

use karere_core::Text;

use super::late::{Late, Ticket};
use crate::sync::{Arc, Mutex, MutexGuard};

/// A session slot as the cell sees it.
pub(crate) trait Place {
    /// The clock.
    type Instant: Copy;
    /// A connection whose CONNECT was accepted.
    type Accepted;
    /// Bytes for the connection.
    type Bytes: Default;
    /// What the verbs below want done when the lock is gone.
    type Effects: Default;
    /// Why a connection must be closed.
    type Error;
    /// What is to be known of it without the lock.
    type Label;

    /// What is to be known of it without the lock.
    fn label(&self) -> Self::Label;
    /// The Client Identifier.
    fn client_id(label: &Self::Label) -> &Text;
    /// A connection takes the place; nobody else has it.
    fn attach(&mut self, now: Self::Instant, accepted: Self::Accepted);
    /// The connection is to go because another one comes. Its last bytes.
    fn take_over(&mut self, now: Self::Instant) -> Self::Bytes;
    /// The connection has gone.
    fn handle_closed(&mut self, now: Self::Instant);
    /// The clock has reached what `rearm` asked for.
    fn handle_timeout(&mut self, now: Self::Instant) -> Result<(), Self::Error>;
    /// `count` bytes of what was taken have been written. Whether a reader that was pressed has drained.
    fn handle_written(&mut self, now: Self::Instant, count: usize) -> bool;
    /// The session is over, whatever it held is given back as effects.
    fn end(&mut self, now: Self::Instant, effects: &mut Self::Effects);
    /// `effects`, unless it is nothing, has this place in its client's order.
    fn put_in_order(effects: &mut Self::Effects, ticket: impl FnOnce() -> Ticket);
    /// Moves the events into `effects`. True: the session has expired and must end in the same breath.
    fn drain(&mut self, effects: &mut Self::Effects) -> bool;
    /// All bytes that wait; `None` when there are none.
    fn take_bytes(&mut self) -> Option<Self::Bytes>;
    /// Puts unwritten bytes before what waits.
    fn put_back(&mut self, unwritten: Self::Bytes);
    /// Whether the session is over.
    fn is_ended(&self) -> bool;
    /// Whether the session outlives its connection.
    fn is_kept(&self) -> bool;
}

/// A connection as the cell sees it.
pub(crate) trait Line {
    /// Bytes for it.
    type Bytes;

    /// The slot lets it go. `writing`: somebody has taken bytes that go before `goodbye` and will
    /// [give back](Self::give_back) what could not be written of them. `ticket`: for what it may have left to be
    /// done, unless it knows already.
    fn part(&self, goodbye: Self::Bytes, writing: bool, ticket: Option<Ticket>);
    /// That ticket, once.
    fn take_ticket(&self) -> Option<Ticket>;
    /// The bytes of that somebody.
    fn give_back(&self, unwritten: Self::Bytes);
}

/// A session slot at a stable address, with its own lock. Outlives connections.
pub(crate) struct SlotCell<P: Place, L: ?Sized> {
    pub(crate) label: P::Label,
    state: Mutex<State<P, L>>,
}

/// What the lock protects.
pub(crate) struct State<P, L: ?Sized> {
    pub(crate) place: P,
    line: Option<Arc<L>>,
    /// Somebody has taken the bytes that waited and writes them.
    writing: bool,
    /// No connection has been here yet.
    fresh: bool,
}

/// What became of a connection that asked for a slot.
pub(crate) enum Opened<A> {
    /// It has it.
    Attached,
    /// The session in it is over; there must be a new cell.
    Ended(A),
}

/// What became of bytes that were written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Finished {
    /// Accounted for; whether a pressed reader has drained.
    Attached { drained: bool },
    /// The connection was let go meanwhile: its own driver writes the rest.
    Parted,
}

impl<P, L> SlotCell<P, L>
where
    P: Place,
    L: Line<Bytes = P::Bytes> + ?Sized,
{
    pub(crate) fn new(place: P) -> Self {
        let label = place.label();
        Self { label, state: Mutex::new(State { place, line: None, writing: false, fresh: true }) }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State<P, L>> {
        self.state.lock()
    }

    /// The slot, if `line` is still the connection that has it.
    pub(crate) fn lock_for(&self, line: &Arc<L>) -> Option<MutexGuard<'_, State<P, L>>> {
        let state = self.state.lock();
        state.is_held_by(line).then_some(state)
    }

    /// Attaches `line`, after whoever is attached has been let go. `clean`: the session that is here ends
    /// instead, as does one that is not to outlive the connection which is let go, and its place must be
    /// taken by a new cell.
    pub(crate) fn open(
        &self,
        now: P::Instant,
        accepted: P::Accepted,
        clean: bool,
        line: &Arc<L>,
        late: &Late,
        effects: &mut P::Effects,
    ) -> Opened<P::Accepted> {
        let ticket = || late.ticket(P::client_id(&self.label));
        let mut state = self.state.lock();
        if let Some(old) = state.line.take() {
            let goodbye = state.place.take_over(now);
            old.part(goodbye, state.writing, Some(ticket()));
            state.writing = false;
            state.settle(now, effects);
        }
        if !state.fresh && (clean || !state.place.is_kept()) && !state.place.is_ended() {
            state.place.end(now, effects);
        }
        P::put_in_order(effects, ticket);
        if state.place.is_ended() {
            return Opened::Ended(accepted);
        }
        state.fresh = false;
        state.line = Some(line.clone());
        state.place.attach(now, accepted);
        state.settle(now, effects);
        Opened::Attached
    }

    /// `line` has gone, or is to go: what waits for it goes with it, unless it was let go before. Either way its
    /// work is over when what is returned is dropped; `leaves`: there is some of it.
    pub(crate) fn detach(
        &self,
        now: P::Instant,
        line: &Arc<L>,
        leaves: bool,
        late: &Late,
        effects: &mut P::Effects,
    ) -> Option<Ticket> {
        let ticket = || late.ticket(P::client_id(&self.label));
        let mut state = self.state.lock();
        if !state.is_held_by(line) {
            return line.take_ticket();
        }
        let goodbye = state.place.take_bytes().unwrap_or_default();
        let left = leaves.then(ticket);
        line.part(goodbye, state.writing, None);
        state.line = None;
        state.writing = false;
        state.place.handle_closed(now);
        state.settle(now, effects);
        P::put_in_order(effects, ticket);
        left
    }

    /// The clock has come to this slot's deadline. On an error the connection that is returned must close.
    pub(crate) fn timeout(
        &self,
        now: P::Instant,
        late: &Late,
        effects: &mut P::Effects,
    ) -> Result<(), (Option<Arc<L>>, P::Error)> {
        let mut state = self.state.lock();
        if state.place.is_ended() {
            return Ok(());
        }
        let result = state.place.handle_timeout(now);
        state.settle(now, effects);
        P::put_in_order(effects, || late.ticket(P::client_id(&self.label)));
        result.map_err(|error| (state.line.clone(), error))
    }

    /// `count` of the bytes that were taken have been written to `line`, `unwritten` have not.
    pub(crate) fn finish_write(
        &self,
        now: P::Instant,
        line: &Arc<L>,
        count: usize,
        unwritten: Option<P::Bytes>,
    ) -> (Finished, MutexGuard<'_, State<P, L>>) {
        let mut state = self.state.lock();
        if !state.is_held_by(line) {
            // Another connection may have the slot by now: these bytes are none of its business.
            line.give_back(unwritten.unwrap_or_default());
            return (Finished::Parted, state);
        }
        state.writing = false;
        unwritten.into_iter().for_each(|bytes| state.place.put_back(bytes));
        let drained = state.place.handle_written(now, count);
        (Finished::Attached { drained }, state)
    }
}

impl<P, L> State<P, L>
where
    P: Place,
    L: Line<Bytes = P::Bytes> + ?Sized,
{
    /// Takes the bytes that wait and the connection to write them to, if nobody else writes.
    /// [`SlotCell::finish_write`] must follow.
    pub(crate) fn begin_write(&mut self) -> Option<(Arc<L>, P::Bytes)> {
        if self.writing {
            return None;
        }
        let line = self.line.clone()?;
        let bytes = self.place.take_bytes()?;
        self.writing = true;
        Some((line, bytes))
    }

    /// What was here before the broker was started anew.
    pub(crate) fn restore(&mut self, place: P) {
        self.place = place;
        self.fresh = false;
    }

    /// The connection that has the slot.
    pub(crate) fn line(&self) -> Option<&Arc<L>> {
        self.line.as_ref()
    }

    /// Takes the events; a session that has expired ends before anybody can attach to it.
    pub(crate) fn settle(&mut self, now: P::Instant, effects: &mut P::Effects) {
        if self.place.drain(effects) && !self.place.is_ended() {
            self.place.end(now, effects);
        }
    }

    fn is_held_by(&self, line: &Arc<L>) -> bool {
        self.line.as_ref().is_some_and(|held| Arc::ptr_eq(held, line))
    }
}
