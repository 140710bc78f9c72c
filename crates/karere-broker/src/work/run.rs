//! Messages in a row: routed under one lock of the hub, delivered, acknowledged.

use std::ops::Range;

use karere_core::Instant;
use karere_core::broker::{AckToken, Event, Grant, Publisher, Scratch, SharedTarget, Target};
use karere_core::codec::{Message, ReasonCode};

use super::table::Table;
use super::{DELIVERIES_MAX, Outcome, Source};
use crate::bench::Pool;
use crate::hub::{Inner, SessionKey};

/// Messages in a row, and how far they have come.
#[derive(Default)]
pub(super) struct Run {
    pub(super) publishes: Vec<Publish>,
    pub(super) deliveries: Vec<Delivery>,
    pub(super) scratch: Scratch,
    targets: Vec<Target<SessionKey>>,
    /// Messages that are routed and not yet acknowledged, and the first behind them.
    pub(super) routed: Range<usize>,
    /// The message and the delivery that are next.
    pub(super) next: (usize, usize),
}

/// One message on its way.
pub(super) struct Publish {
    pub(super) message: Message,
    token: Option<AckToken>,
    reason: ReasonCode,
    pub(super) received: Instant,
    /// Behind its last delivery.
    pub(super) end: usize,
}

/// One copy on its way.
pub(super) enum Delivery {
    /// To the session at this place of the table.
    Session(u32, Grant),
    /// To one of a group.
    Shared(SharedTarget<SessionKey>),
}

impl Run {
    pub(super) fn push(&mut self, message: Message, token: Option<AckToken>) {
        let received = Instant::ZERO;
        self.publishes.push(Publish { message, token, reason: ReasonCode::Success, received, end: 0 });
    }

    /// Takes the messages out again, none of which has been routed.
    pub(super) fn take_events(&mut self) -> impl Iterator<Item = Event> + use<> {
        let publishes = std::mem::take(&mut self.publishes);
        publishes.into_iter().map(|Publish { message, token, .. }| Event::Publish {
            message,
            token,
            dup: false,
        })
    }

    /// Routes, delivers and acknowledges. False: `budget` deliveries have been made, and there are more.
    pub(super) fn advance(
        &mut self,
        source: &Source<'_>,
        table: &mut Table,
        pool: &mut Pool,
        outcome: &mut Outcome,
        budget: &mut usize,
    ) -> bool {
        while self.routed.start < self.publishes.len() {
            if self.routed.is_empty() {
                self.route(source, table, outcome);
            }
            if !self.deliver(source, table, pool, outcome, budget) {
                return false;
            }
            let answers = self.publishes[self.routed.clone()].iter();
            acknowledge(
                source,
                answers.filter_map(|publish| publish.token.map(|token| (token, publish.reason))),
            );
            self.routed.start = self.routed.end;
            self.deliveries.clear();
            self.next.1 = 0;
        }
        self.publishes.clear();
        self.routed = 0..0;
        self.next = (0, 0);
        true
    }

    /// Finds the targets of the messages that follow, up to a turn's worth of deliveries.
    fn route(&mut self, source: &Source<'_>, table: &mut Table, outcome: &mut Outcome) {
        let now = source.broker.clock.now();
        let key = source.cell.and_then(|cell| cell.label.key.get().copied());
        let mut hub = source.broker.hub.read();
        while self.routed.end < self.publishes.len() && self.deliveries.len() < DELIVERIES_MAX {
            let publish = &mut self.publishes[self.routed.end];
            publish.received = now;
            if source.cell.is_some() && is_reserved(&publish.message.topic) {
                publish.refuse(ReasonCode::NotAuthorized, outcome);
            } else if publish.message.retain {
                drop(hub);
                let mut writing = source.broker.hub.write();
                let result = retain(&mut writing, source, now, publish, &mut self.targets);
                match result {
                    Err(reason) if source.tells && publish.token.is_some() => publish.refuse(reason, outcome),
                    Err(_) => writing.router.route(key, &publish.message.topic, &mut self.targets),
                    Ok(_) => {}
                }
                resolve(&writing, table, &mut self.targets, &mut self.deliveries);
                drop(writing);
                hub = source.broker.hub.read();
            } else {
                hub.router.route(key, &publish.message.topic, &mut self.targets);
                if self.targets.is_empty() && publish.token.is_some() {
                    publish.reason = ReasonCode::NoMatchingSubscribers;
                }
                resolve(&hub, table, &mut self.targets, &mut self.deliveries);
            }
            self.publishes[self.routed.end].end = self.deliveries.len();
            self.routed.end += 1;
        }
    }
}

impl Publish {
    fn refuse(&mut self, reason: ReasonCode, outcome: &mut Outcome) {
        self.reason = reason;
        outcome.refused += 1;
    }
}

/// Answers messages, in their order, once they are routed and, where they must be, durable.
pub(super) fn acknowledge(source: &Source<'_>, answers: impl Iterator<Item = (AckToken, ReasonCode)>) {
    let mut answers = answers.peekable();
    if answers.peek().is_none() {
        return;
    }
    // Also when another connection has the session by now: a QoS 2 message that it sends again is answered
    // by this, not routed again. What belonged to the old connection alone is known to be stale.
    let Some(cell) = source.cell else { return };
    let mut state = cell.lock();
    let now = source.broker.clock.now();
    source.broker.commit.acknowledge(&mut state.place.slot, now, answers);
}

/// Topics that only the broker itself publishes to.
fn is_reserved(topic: &str) -> bool {
    topic == "$SYS" || topic.starts_with("$SYS/")
}

fn retain(
    hub: &mut Inner,
    source: &Source<'_>,
    now: Instant,
    publish: &Publish,
    targets: &mut Vec<Target<SessionKey>>,
) -> Result<u64, ReasonCode> {
    let publisher = source.cell.map(|cell| Publisher {
        session: cell.label.key.get().copied().unwrap_or(SessionKey::NOBODY),
        client_id: &cell.label.client_id,
    });
    hub.router.retain_and_route(now, publisher, &publish.message, targets)
}

fn resolve(
    hub: &Inner,
    table: &mut Table,
    targets: &mut Vec<Target<SessionKey>>,
    deliveries: &mut Vec<Delivery>,
) {
    for target in targets.drain(..) {
        match target {
            Target::Session { session, grant } => {
                let place = table.place(session, || hub.cell(session).cloned());
                deliveries.extend(place.map(|place| Delivery::Session(place, grant)));
            }
            Target::Shared(target) => deliveries.push(Delivery::Shared(target)),
        }
    }
}
