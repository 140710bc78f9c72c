//! A routed message into the slots of its receivers, one slot's lock at a time.

use std::cell::Cell;
use std::sync::atomic::Ordering::AcqRel;

use karere_core::Instant;
use karere_core::broker::{Delivered, Presence, Routed, SharedDelivery, SharedTarget};
use karere_store::Key;

use super::letter::Letter;
use super::run::{Delivery, Publish, Run};
use super::table::Table;
use super::{Outcome, Source, Work};
use crate::bench::Pool;
use crate::hub::SessionKey;
use crate::slot::{self, Move, State};
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
        let group =
            source.broker.commit.durable().filter(|_| self.exactly_once).map(|durable| durable.group());
        let done = loop {
            self.deliver_to_sessions(source, now, table, pool, outcome, budget);
            if self.next.0 == self.routed.end {
                break true;
            }
            let publish = &self.publishes[self.next.0];
            if *budget == 0 && !(self.exactly_once && publish.is_exactly_once()) {
                break false;
            }
            if let Some(Delivery::Shared(target)) = self.deliveries.get(self.next.1) {
                let letter = publish.letter(source);
                let mut routed = Routed::new(&publish.message, publish.received, &mut self.scratch);
                if publish.several {
                    letter.number(source, &mut routed);
                }
                self.stored |=
                    deliver_shared(source, now, target, &letter, &mut routed, table, pool, outcome);
                self.next.1 += 1;
                *budget = budget.saturating_sub(1);
            }
        };
        drop(group);
        done
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
            let atomic = self.exactly_once && routing.is_exactly_once();
            let letter = routing.letter(source);
            let mut routed = Routed::new(&routing.message, routing.received, &mut self.scratch);
            if routing.several {
                letter.number(source, &mut routed);
            }
            while *next < routing.end {
                let Delivery::Session(place, grant) = &self.deliveries[*next] else { return };
                if *budget == 0 && !atomic {
                    return;
                }
                *budget = budget.saturating_sub(1);
                *next += 1;
                let state = hold(&mut held, *place, table, pool);
                let delivered = if table.is_stored(*place) {
                    let (delivered, untold) =
                        letter.deliver(source, now, state, &mut routed, grant, Presence::Any);
                    if untold {
                        table.note(*place);
                    }
                    delivered
                } else {
                    state.place.slot.deliver(now, &mut routed, grant, Presence::Any)
                };
                match delivered {
                    Delivered::Taken => outcome.delivered += 1,
                    Delivered::Kept { .. } | Delivered::Held { .. } => {
                        outcome.delivered += 1;
                        self.stored = true;
                    }
                    Delivered::Pressure => {
                        outcome.delivered += 1;
                        press(source, table.cell(*place), state, outcome);
                    }
                    Delivered::Dropped(_) => outcome.dropped += 1,
                    Delivered::Absent | Delivered::Ended | Delivered::NeedsTag => {}
                }
            }
            if atomic || routing.tag.get() > 0 || !self.wills.is_empty() {
                held = None;
                self.stored |= routing.finish(source, atomic, will_of(&self.wills, *publish));
            }
            *publish += 1;
        }
    }
}

impl Publish {
    fn letter<'a>(&'a self, source: &Source<'a>) -> Letter<'a> {
        Letter {
            message: &self.message,
            expires_at: self.message.expiry.map(|seconds| self.received.plus_seconds(seconds)),
            publisher: source.cell.map(|cell| &cell.label.client_id),
            tag: &self.tag,
        }
    }

    /// It has been delivered to all. Whether its answer waits for what that writes down.
    fn finish(&self, source: &Source<'_>, atomic: bool, will: Option<Key>) -> bool {
        let Some(durable) = source.broker.commit.durable() else { return false };
        if self.tag.get() > 0 || will.is_some() {
            durable.append(|ledger, batch| {
                ledger.release(batch, self.tag.get());
                will.into_iter().for_each(|key| batch.remove(key));
            });
        }
        let received = self.token.filter(|_| atomic && !self.reason.is_error());
        if let (Some(token), Some(cell)) = (received, source.cell) {
            cell.lock().place.receive(token.packet_id());
        }
        received.is_some()
    }
}

fn will_of(wills: &[(usize, Key)], publish: usize) -> Option<Key> {
    wills.iter().find(|(of, _)| *of == publish).map(|(_, key)| *key)
}

impl Work {
    /// Finds other members for messages of Shared Subscriptions that one could not keep [MQTT-4.8.2-5]. A message is in the
    /// store with the one or with the other, always.
    pub(crate) fn give_away(&mut self, moves: Vec<Move>, source: &Source<'_>, pool: &mut Pool) {
        if moves.is_empty() {
            return;
        }
        let now = source.broker.clock.now();
        for Move { session, delivery } in moves {
            let SharedDelivery { key, mut message, expires_at, qos, stored } = delivery;
            let group = source.broker.commit.durable().map(|durable| durable.group());
            let target = source.broker.hub.read().router.next_turn(key);
            let tag = Cell::new(stored.map_or(0, |entry| entry.tag));
            if let Some(target) = target {
                message.qos = qos;
                let letter = Letter { message: &message, expires_at, publisher: None, tag: &tag };
                let mut routed = Routed::with_expiry(&message, expires_at, &mut self.run.scratch);
                routed.set_tag(tag.get());
                let Self { table, outcome, .. } = self;
                deliver_shared(source, now, &target, &letter, &mut routed, table, pool, outcome);
            }
            if let Some(durable) = source.broker.commit.durable() {
                durable.append(|ledger, batch| {
                    if let Some(entry) = &stored {
                        ledger.moved(batch, session, entry);
                    }
                    if stored.is_none_or(|entry| entry.tag == 0) {
                        // It got one on the way.
                        ledger.release(batch, tag.get());
                    }
                });
            }
            drop(group);
        }
        self.finish(source, pool);
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

/// To the first member that takes it: one that is attached, else one whose session keeps it. Whether it is stored there.
#[expect(clippy::too_many_arguments, reason = "what a delivery needs, of two owners")]
fn deliver_shared(
    source: &Source<'_>,
    now: Instant,
    target: &SharedTarget<SessionKey>,
    letter: &Letter<'_>,
    routed: &mut Routed<'_>,
    table: &mut Table,
    pool: &mut Pool,
    outcome: &mut Outcome,
) -> bool {
    for presence in [Presence::Attached, Presence::Any] {
        for member in target.in_turn() {
            let find = || source.broker.hub.read().cell(member.session).cloned();
            let Some(place) = table.place(member.session, find) else { continue };
            let cell = table.cell(place);
            let mut state = cell.lock();
            state.place.fit(pool);
            let (delivered, untold) =
                letter.deliver(source, now, &mut state, routed, &member.grant, presence);
            if untold {
                table.note(place);
            }
            let mut stored = false;
            match delivered {
                Delivered::Absent | Delivered::Ended | Delivered::NeedsTag => continue,
                Delivered::Taken => outcome.delivered += 1,
                Delivered::Kept { .. } | Delivered::Held { .. } => {
                    outcome.delivered += 1;
                    stored = true;
                }
                Delivered::Pressure => {
                    outcome.delivered += 1;
                    press(source, cell, &mut state, outcome);
                }
                Delivered::Dropped(_) => outcome.dropped += 1,
            }
            table.fill(place);
            return stored;
        }
    }
    outcome.dropped += 1;
    false
}

/// The publisher is to wait until this reader has drained; once, however often it is told.
fn press(source: &Source<'_>, cell: &Arc<slot::Cell>, state: &mut State, outcome: &mut Outcome) {
    let Some(publisher) = source.link else { return };
    if state.place.add_waiter(publisher) {
        publisher.pressed.fetch_add(1, AcqRel);
        outcome.pressed.push(cell.clone());
    }
}
