//! Messages in a row: routed under one lock of the hub, delivered, acknowledged.

use std::cell::Cell;
use std::ops::Range;

use karere_core::Instant;
use karere_core::broker::{AckToken, Event, Grant, Publisher, Scratch, SharedTarget, Target};
use karere_core::codec::{Message, QoS, ReasonCode};
use karere_store::Key;

use super::table::Table;
use super::{DELIVERIES_MAX, Outcome, Source};
use crate::bench::Pool;
use crate::commit;
use crate::hub::{Inner, SessionKey};
use crate::store::MessageRef;

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
    /// What is removed from the store when the message with this number has been delivered.
    pub(super) wills: Vec<(usize, Key)>,
    /// Something of the messages that are routed is on its way to the disk.
    pub(super) stored: bool,
    /// The publisher's session is stored, and has sent messages at QoS 2 among them: each of those is in the store
    /// with its packet identifier and all that it brings, or not at all.
    pub(super) exactly_once: bool,
}

/// One message on its way.
pub(super) struct Publish {
    pub(super) message: Message,
    pub(super) token: Option<AckToken>,
    pub(super) reason: ReasonCode,
    pub(super) received: Instant,
    /// Behind its last delivery.
    pub(super) end: usize,
    /// Its number in the store, 0 for none.
    pub(super) tag: Cell<u64>,
    /// Several sessions that are stored may keep it: it is stored once.
    pub(super) several: bool,
    /// It cannot be stored, and its publisher cannot be told.
    unrouted: bool,
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
        self.publishes.push(Publish {
            message,
            token,
            reason: ReasonCode::Success,
            received: Instant::ZERO,
            end: 0,
            tag: Cell::new(0),
            several: false,
            unrouted: false,
        });
    }

    /// A Will, and what is to be removed from the store when it has been delivered.
    pub(super) fn push_will(&mut self, message: Message, key: Option<Key>) {
        self.wills.extend(key.map(|key| (self.publishes.len(), key)));
        self.push(message, None);
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
            self.answer(source, outcome);
            self.routed.start = self.routed.end;
            self.deliveries.clear();
            self.next.1 = 0;
        }
        self.publishes.clear();
        self.wills.clear();
        self.routed = 0..0;
        self.next = (0, 0);
        true
    }

    /// Answers what is routed, in its order, once it is durable where it must be.
    fn answer(&mut self, source: &Source<'_>, outcome: &Outcome) {
        let routed = || self.publishes[self.routed.clone()].iter();
        if outcome.unstored {
            let unrouted = routed().filter(|publish| publish.unrouted);
            source.broker.commit.forget(source, unrouted.filter_map(|publish| publish.token));
        }
        let answers = routed().filter(|publish| !publish.unrouted);
        let answers = answers.filter_map(|publish| publish.token.map(|token| (token, publish.reason)));
        source.broker.commit.acknowledge(source, self.stored, answers);
        self.stored = false;
    }

    /// Finds the targets of the messages that follow, up to a turn's worth of deliveries.
    fn route(&mut self, source: &Source<'_>, table: &mut Table, outcome: &mut Outcome) {
        let now = source.broker.clock.now();
        let key = source.cell.and_then(|cell| cell.label.key.get().copied());
        self.exactly_once = source.broker.commit.durable().is_some() && self.is_exactly_once(source);
        let refused = source.broker.commit.refuses();
        let mut hub = source.broker.hub.read();
        while self.routed.end < self.publishes.len() && self.deliveries.len() < DELIVERIES_MAX {
            let publish = &mut self.publishes[self.routed.end];
            let start = self.deliveries.len();
            publish.received = now;
            if source.cell.is_some() && is_reserved(&publish.message.topic) {
                publish.refuse(ReasonCode::NotAuthorized, outcome);
            } else if publish.message.retain {
                drop(hub);
                if let Some(reason) = refused.filter(|_| publish.token.is_some()) {
                    publish.refuse_to_store(source, reason, outcome);
                } else {
                    let mut writing = source.broker.hub.write();
                    let result = retain(&mut writing, source, now, publish, &mut self.targets);
                    match result {
                        Err(reason) if source.tells && publish.token.is_some() => {
                            publish.refuse(reason, outcome);
                        }
                        Err(_) => writing.router.route(key, &publish.message.topic, &mut self.targets),
                        Ok(stored) => self.stored |= stored && publish.token.is_some(),
                    }
                    resolve(&writing, table, &mut self.targets, &mut self.deliveries);
                }
                hub = source.broker.hub.read();
            } else {
                hub.router.route(key, &publish.message.topic, &mut self.targets);
                if self.targets.is_empty() && publish.token.is_some() {
                    publish.reason = ReasonCode::NoMatchingSubscribers;
                }
                resolve(&hub, table, &mut self.targets, &mut self.deliveries);
            }
            if source.broker.commit.durable().is_some() {
                self.consider_store(source, table, start, refused, outcome);
            }
            self.publishes[self.routed.end].end = self.deliveries.len();
            self.routed.end += 1;
        }
    }

    /// What the store will get of the message that has just been routed; if it takes nothing new, the message is
    /// refused in place of being delivered to some.
    fn consider_store(
        &mut self,
        source: &Source<'_>,
        table: &Table,
        start: usize,
        refused: Option<ReasonCode>,
        outcome: &mut Outcome,
    ) {
        let publish = &mut self.publishes[self.routed.end];
        let upgrade = source.broker.options.upgrade_qos;
        if publish.message.qos == QoS::AtMostOnce && !upgrade {
            return;
        }
        let mut stored = self.deliveries[start..].iter().filter(|delivery| delivery.is_stored(table));
        let some = stored.next().is_some();
        publish.several = some && stored.next().is_some();
        let exactly_once = self.exactly_once && publish.is_exactly_once();
        if let Some(reason) = refused
            && publish.token.is_some()
            && !publish.reason.is_error()
            && (some || exactly_once)
        {
            self.deliveries.truncate(start);
            publish.refuse_to_store(source, reason, outcome);
        }
    }

    /// Whether there are messages at QoS 2 of a session that is stored.
    fn is_exactly_once(&self, source: &Source<'_>) -> bool {
        self.publishes[self.routed.end..].iter().any(Publish::is_exactly_once)
            && source.cell.is_some_and(|cell| commit::is_stored(&cell.lock()))
    }
}

impl Publish {
    /// Whether it is to be delivered at most once, however often it comes.
    pub(super) fn is_exactly_once(&self) -> bool {
        self.token.is_some_and(|token| token.qos() == QoS::ExactlyOnce)
    }

    fn refuse(&mut self, reason: ReasonCode, outcome: &mut Outcome) {
        self.reason = reason;
        outcome.refused += 1;
    }

    /// The disk takes nothing new. A client that cannot be told is closed without an answer.
    fn refuse_to_store(&mut self, source: &Source<'_>, reason: ReasonCode, outcome: &mut Outcome) {
        self.refuse(reason, outcome);
        self.unrouted = !source.tells;
        outcome.unstored |= self.unrouted;
        if let Some(durable) = source.broker.commit.durable() {
            crate::counters::add(&durable.count.refused, 1);
        }
    }
}

impl Delivery {
    /// Whether a session that is stored may keep it.
    fn is_stored(&self, table: &Table) -> bool {
        match self {
            Self::Session(place, grant) => grant.qos > QoS::AtMostOnce && table.is_stored(*place),
            Self::Shared(target) => target
                .in_turn()
                .any(|member| member.grant.qos > QoS::AtMostOnce && member.session.is_stored()),
        }
    }
}

/// Topics that only the broker itself publishes to.
fn is_reserved(topic: &str) -> bool {
    topic == "$SYS" || topic.starts_with("$SYS/")
}

/// Retains a message and finds its targets. Whether the store has something new.
fn retain(
    hub: &mut Inner,
    source: &Source<'_>,
    now: Instant,
    publish: &Publish,
    targets: &mut Vec<Target<SessionKey>>,
) -> Result<bool, ReasonCode> {
    let message = &publish.message;
    let client_id = source.cell.map(|cell| &cell.label.client_id);
    let publisher = source.cell.zip(client_id).map(|(cell, client_id)| Publisher {
        session: cell.label.key.get().copied().unwrap_or(SessionKey::NOBODY),
        client_id,
    });
    let durable = source.broker.commit.durable().filter(|_| !is_reserved(&message.topic));
    let replaced =
        durable.and_then(|_| hub.router.retained(&message.topic)).map(|retained| retained.sequence);
    let sequence = hub.router.retain_and_route(now, publisher, message, targets)?;
    let Some(durable) = durable else { return Ok(false) };
    let row = MessageRef {
        message,
        expires_at: message.expiry.map(|seconds| now.plus_seconds(seconds)),
        publisher: client_id,
    };
    let new = (!message.payload.is_empty()).then_some((sequence, &row));
    Ok(durable.retain(&message.topic, replaced, new, publish.token.is_some()))
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
