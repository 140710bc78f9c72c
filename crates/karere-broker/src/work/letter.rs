//! A message on its way into slots, and what the store gets of it.

use std::cell::Cell;

use karere_core::broker::{Delivered, Grant, Presence, Routed};
use karere_core::codec::Message;
use karere_core::{Instant, Text};

use super::Source;
use crate::slot::State;
use crate::store::MessageRef;

/// A message that is being delivered.
pub(super) struct Letter<'a> {
    pub(super) message: &'a Message,
    pub(super) expires_at: Option<Instant>,
    pub(super) publisher: Option<&'a Text>,
    /// Its number in the store; 0 while it has none.
    pub(super) tag: &'a Cell<u64>,
}

impl Letter<'_> {
    /// Into one slot, and what that keeps of it into the store. Whether the slot is to be told when it is durable.
    pub(super) fn deliver(
        &self,
        source: &Source<'_>,
        now: Instant,
        state: &mut State,
        routed: &mut Routed<'_>,
        grant: &Grant,
        presence: Presence,
    ) -> (Delivered, bool) {
        let mut delivered = state.place.slot.deliver(now, routed, grant, presence);
        if delivered == Delivered::NeedsTag {
            self.number(source, routed);
            delivered = state.place.slot.deliver(now, routed, grant, presence);
        }
        match delivered {
            Delivered::Kept { sequence, qos, retain } => {
                let terms = state.place.terms(qos, retain, grant);
                state.place.keep(sequence, &terms, self.tag.get(), &self.as_stored());
            }
            Delivered::Held { number, qos, retain } => {
                let terms = state.place.terms(qos, retain, grant);
                state.place.hold(number, terms, self.tag.get());
            }
            _ => {}
        }
        state.place.book();
        (delivered, state.place.is_untold())
    }

    /// Stores the message under a number of its own, unless it has one.
    pub(super) fn number(&self, source: &Source<'_>, routed: &mut Routed<'_>) {
        let Some(durable) = source.broker.commit.durable() else { return };
        if self.tag.get() == 0 {
            self.tag.set(durable.append(|ledger, batch| ledger.message(batch, &self.as_stored())));
        }
        routed.set_tag(self.tag.get());
    }

    fn as_stored(&self) -> MessageRef<'_> {
        MessageRef { message: self.message, expires_at: self.expires_at, publisher: self.publisher }
    }
}
