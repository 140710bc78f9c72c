//! Where a packet waits for the disk.
//!
//! The one place between routing and answering. A message is routed at once, and only its PUBACK or PUBREC waits for
//! what was stored of it. Without a store, and where neither a session that is stored nor a retained message is concerned,
//! there is nothing to wait for.

use karere_core::broker::AckToken;
use karere_core::codec::ReasonCode;

use crate::connection::Signals;
use crate::slot::{Keeping, State};
use crate::store::{Durable, Waiter};
use crate::sync::Arc;
use crate::work::Source;

/// The store, if there is one.
#[derive(Default)]
pub(crate) struct Commit {
    durable: Option<Arc<Durable>>,
}

impl Commit {
    pub(crate) fn new(durable: Option<Arc<Durable>>) -> Self {
        Self { durable }
    }

    pub(crate) fn durable(&self) -> Option<&Arc<Durable>> {
        self.durable.as_ref()
    }

    /// Why what has to be stored is refused at the moment.
    pub(crate) fn refuses(&self) -> Option<ReasonCode> {
        self.durable.as_ref()?.refuses().map(|(_, reason)| reason)
    }

    /// Answers messages in their order. `stored`: something of them is on its way to the disk.
    pub(crate) fn acknowledge(
        &self,
        source: &Source<'_>,
        stored: bool,
        answers: impl Iterator<Item = (AckToken, ReasonCode)>,
    ) {
        let mut answers = answers.peekable();
        if answers.peek().is_none() {
            return;
        }
        // Also when another connection has the session by now: a QoS 2 message that it sends again is answered
        // by this, not routed again. What belonged to the old connection alone is known to be stale.
        let Some(cell) = source.cell else { return };
        let now = source.broker.clock.now();
        if let Some(durable) = self.durable.as_ref().filter(|durable| stored && durable.waits()) {
            let (cell, link, answers) = (cell.clone(), source.link.cloned(), Vec::from_iter(answers));
            link.iter().for_each(|link| link.wait_for_disk(answers.len()));
            durable.wait(now, Waiter::Answers { cell, link, answers });
            return;
        }
        let mut state = cell.lock();
        answers.for_each(|(token, reason)| state.place.slot.handle_routed(now, token, reason));
    }

    /// Messages that cannot be stored, of a client that cannot be told: they are forgotten, and its connection closes.
    pub(crate) fn forget(&self, source: &Source<'_>, tokens: impl Iterator<Item = AckToken>) {
        let Some(cell) = source.cell else { return };
        let now = source.broker.clock.now();
        let mut state = cell.lock();
        state.place.slot.disconnect(now, ReasonCode::ImplementationSpecificError);
        // Also one that has come since: it may wait for the answer to a copy.
        state.line().iter().for_each(|link| link.signal(Signals::CLOSE));
        tokens.for_each(|token| state.place.slot.handle_unrouted(now, token));
    }
}

/// Whether the session in this slot is stored.
pub(crate) fn is_stored(state: &State) -> bool {
    matches!(state.place.keeping, Keeping::Is(_))
}
