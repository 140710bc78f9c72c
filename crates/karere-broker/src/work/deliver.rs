//! A routed message into the slots of its receivers, one slot's lock at a time.

use std::sync::atomic::Ordering::AcqRel;

use karere_core::Instant;
use karere_core::broker::{Delivered, Presence, Routed, SharedTarget};

use super::run::{Delivery, Run};
use super::table::Table;
use super::{Outcome, Source, Work};
use crate::bench::Pool;
use crate::hub::SessionKey;
use crate::slot::{Cell, State};
use crate::sync::{Arc, MutexGuard};

impl Run {
    /// Makes the deliveries of what is routed. False: `budget` of them have been made, and there are more.
    pub(super) fn deliver(
        &mut self,
        source: &Source<'_>,
        table: &mut Table,
        pool: &mut Pool,
        outcome: &mut Outcome,
        budget: &mut usize,
    ) -> bool {
        let now = source.broker.clock.now();
        loop {
            self.deliver_to_sessions(source, now, table, pool, outcome, budget);
            if self.next.0 == self.routed.end {
                return true;
            }
            if *budget == 0 {
                return false;
            }
            let publish = &self.publishes[self.next.0];
            if let Some(Delivery::Shared(target)) = self.deliveries.get(self.next.1) {
                let mut routed = Routed::new(&publish.message, publish.received, &mut self.scratch);
                deliver_shared(source, now, target, &mut routed, table, pool, outcome);
                self.next.1 += 1;
                *budget -= 1;
            }
        }
    }

    /// As far as the budget, or the next copy for a Shared Subscription.
    fn deliver_to_sessions(
        &mut self,
        source: &Source<'_>,
        now: Instant,
        table: &Table,
        pool: &mut Pool,
        outcome: &mut Outcome,
        budget: &mut usize,
    ) {
        let mut held: Option<(u32, MutexGuard<'_, State>)> = None;
        let (publish, next) = (&mut self.next.0, &mut self.next.1);
        while *publish < self.routed.end {
            let routing = &self.publishes[*publish];
            let mut routed = Routed::new(&routing.message, routing.received, &mut self.scratch);
            while *next < routing.end {
                let Delivery::Session(place, grant) = &self.deliveries[*next] else { return };
                if *budget == 0 {
                    return;
                }
                *budget -= 1;
                *next += 1;
                let state = hold(&mut held, *place, table, pool);
                match state.place.slot.deliver(now, &mut routed, grant, Presence::Any) {
                    Delivered::Taken => outcome.delivered += 1,
                    Delivered::Pressure => {
                        outcome.delivered += 1;
                        press(source, table.cell(*place), state, outcome);
                    }
                    Delivered::Dropped(_) => outcome.dropped += 1,
                    Delivered::Absent | Delivered::Ended => {}
                }
            }
            *publish += 1;
        }
    }
}

impl Work {
    /// Finds other members for messages of Shared Subscriptions that one could not keep [MQTT-4.8.2-5].
    pub(super) fn redistribute(&mut self, source: &Source<'_>, pool: &mut Pool) {
        let now = source.broker.clock.now();
        for mut given in std::mem::take(&mut self.shared) {
            let target = source.broker.hub.read().router.next_turn(given.key);
            let Some(target) = target else { continue };
            given.message.qos = given.qos;
            let mut routed = Routed::with_expiry(&given.message, given.expires_at, &mut self.run.scratch);
            deliver_shared(source, now, &target, &mut routed, &mut self.table, pool, &mut self.outcome);
        }
    }
}

/// The lock of the session at `place`: kept while one delivery after the other is for the same session, and
/// let go before another one is taken.
fn hold<'h, 't>(
    held: &'h mut Option<(u32, MutexGuard<'t, State>)>,
    place: u32,
    table: &'t Table,
    pool: &mut Pool,
) -> &'h mut State {
    if held.as_ref().is_some_and(|(at, _)| *at != place) {
        *held = None;
    }
    let (_, state) = held.get_or_insert_with(|| {
        table.fill(place);
        let mut state = table.cell(place).lock();
        state.place.fit(pool);
        (place, state)
    });
    state
}

/// To the first member that takes it: one that is attached, else one whose session keeps it.
fn deliver_shared(
    source: &Source<'_>,
    now: Instant,
    target: &SharedTarget<SessionKey>,
    routed: &mut Routed<'_>,
    table: &mut Table,
    pool: &mut Pool,
    outcome: &mut Outcome,
) {
    for presence in [Presence::Attached, Presence::Any] {
        for member in target.in_turn() {
            let find = || source.broker.hub.read().cell(member.session).cloned();
            let Some(place) = table.place(member.session, find) else { continue };
            let cell = table.cell(place);
            let mut state = cell.lock();
            state.place.fit(pool);
            match state.place.slot.deliver(now, routed, &member.grant, presence) {
                Delivered::Absent | Delivered::Ended => continue,
                Delivered::Taken => outcome.delivered += 1,
                Delivered::Pressure => {
                    outcome.delivered += 1;
                    press(source, cell, &mut state, outcome);
                }
                Delivered::Dropped(_) => outcome.dropped += 1,
            }
            table.fill(place);
            return;
        }
    }
    outcome.dropped += 1;
}

/// The publisher is to wait until this reader has drained; once, however often it is told.
fn press(source: &Source<'_>, cell: &Arc<Cell>, state: &mut State, outcome: &mut Outcome) {
    let Some(publisher) = source.link else { return };
    if state.place.add_waiter(publisher) {
        publisher.pressed.fetch_add(1, AcqRel);
        outcome.pressed.push(cell.clone());
    }
}
