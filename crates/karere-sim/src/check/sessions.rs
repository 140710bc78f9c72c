//! What a restart gives back of sessions: each that its client was told of, with the subscriptions that it was told of,
//! on a timeline that goes on; and nobody resumes one that has expired.

use std::collections::BTreeMap;

use karere_core::codec::SubscribeOptions;

use super::{Kind, Stored, Violations};
use crate::history::{History, Note, Restored};

/// How late a session may expire, in milliseconds.
const LATE_MILLIS_MAX: i64 = 5;

/// A subscription, or none.
type Subscription = Option<(SubscribeOptions, Option<u32>)>;

/// What is known of a session.
#[derive(Default)]
struct Session {
    wire: usize,
    expiry: u32,
    ended: bool,
    /// Its client was told that it is there.
    promised: bool,
    /// It was stored when the broker ended, and is not back yet.
    awaited: bool,
    /// The subscriptions that its client was told of.
    certain: BTreeMap<String, Subscription>,
    /// What it was not told of yet, in its order.
    changes: Vec<(String, (usize, u16), Subscription)>,
    /// When its connection ended, on the broker's timeline, and the place in the history.
    left: Option<(i64, usize)>,
    /// The same of an earlier connection: what a restart goes by, if the next one was not stored.
    left_before: i64,
}

#[derive(Default)]
struct Sessions {
    sessions: BTreeMap<u32, Session>,
    wires: BTreeMap<usize, u32>,
    stored: Stored,
    ahead: i64,
    turned: i64,
    /// How many commits this life has seen.
    commits: u32,
}

pub(super) fn check(history: &History, violations: &mut Violations) {
    let mut sessions = Sessions::default();
    for (at, entry) in history.entries.iter().enumerate() {
        violations.at = at + 1;
        sessions.stored.take(&entry.note);
        sessions.take(at, entry.at as i64, &entry.note, violations);
    }
}

impl Sessions {
    fn take(&mut self, at: usize, millis: i64, note: &Note, violations: &mut Violations) {
        let now = millis + self.ahead;
        match note {
            Note::Attached { session, wire, expiry, .. } => {
                self.attach(*session, *wire, *expiry, now, violations);
            }
            Note::Welcomed { wire } => {
                if let Some(session) = self.of(*wire) {
                    session.promised = session.expiry > 0;
                }
            }
            Note::Goodbye { session, expiry, .. } => {
                let there = self.sessions.entry(*session).or_default();
                there.expiry = expiry.unwrap_or(there.expiry);
            }
            Note::Detached { session } => {
                self.sessions.entry(*session).or_default().left = Some((now, at));
            }
            Note::Ended { session, .. } => self.sessions.entry(*session).or_default().ended = true,
            Note::Subscribed { session, filter, options, id, by } => {
                let change = (filter.clone(), *by, Some((*options, *id)));
                self.sessions.entry(*session).or_default().changes.push(change);
            }
            Note::Unsubscribed { session, filter, by } => {
                self.sessions.entry(*session).or_default().changes.push((filter.clone(), *by, None));
            }
            Note::Confirmed { wire, id } => {
                if let Some(session) = self.of(*wire) {
                    session.confirm((*wire, *id));
                }
            }
            Note::Durable { .. } => self.commits += 1,
            Note::Halted { session, stored, .. } => {
                let there = self.sessions.entry(*session).or_default();
                there.awaited = *stored && !there.ended;
            }
            Note::Killed { .. } => {
                for there in self.sessions.values_mut() {
                    let certain = there.left.filter(|(_, at)| self.stored.has(*at));
                    if let (Some((left, _)), None) = (there.left, certain) {
                        there.left_before = left;
                    }
                    there.left = certain;
                }
            }
            Note::Restored(restored) => self.restore(restored, violations),
            Note::Revived { ahead, turned } => self.revive(millis, at, *ahead, *turned, violations),
            _ => {}
        }
    }

    fn of(&mut self, wire: usize) -> Option<&mut Session> {
        self.sessions.get_mut(self.wires.get(&wire)?)
    }

    fn attach(&mut self, number: u32, wire: usize, expiry: u32, now: i64, violations: &mut Violations) {
        self.wires.insert(wire, number);
        let session = self.sessions.entry(number).or_default();
        let due = |left: i64| left + 1_000 * i64::from(session.expiry) + LATE_MILLIS_MAX;
        let left = session.left.take();
        session.left_before = left.map_or(session.left_before, |(left, _)| left);
        if let Some((left, _)) = left
            && session.expiry < u32::MAX
            && due(left) < now
        {
            let what =
                format!("session {number}, left at {left} for {} s, is resumed at {now}", session.expiry);
            violations.add(Kind::Expiry, Some(number), &[], what);
        }
        (session.wire, session.expiry) = (wire, expiry);
    }

    fn restore(&mut self, restored: &Restored, violations: &mut Violations) {
        let number = restored.session;
        let session = self.sessions.entry(number).or_default();
        session.awaited = false;
        // An end that nobody was told of.
        let resurrected = std::mem::take(&mut session.ended);
        session.expiry = restored.expiry;
        let mut found: BTreeMap<&str, Subscription> = BTreeMap::new();
        for (filter, options, id) in &restored.filters {
            found.insert(filter, Some((*options, *id)));
        }
        let names: Vec<&String> =
            session.certain.keys().chain(session.changes.iter().map(|(filter, ..)| filter)).collect();
        for filter in names {
            let found = found.get(filter.as_str()).copied().flatten();
            let certain = session.certain.get(filter).copied().flatten();
            let changes = session.changes.iter().filter(|(of, ..)| of == filter);
            let mut possible = changes.map(|(.., there)| *there).chain([certain]);
            if !resurrected && !possible.any(|possible| possible == found) {
                let what = format!("session {number} has {filter} as {found:?} again, not as {certain:?}");
                violations.add(Kind::Session, Some(number), &[], what);
            }
        }
        session.changes.clear();
        session.certain = found.into_iter().map(|(filter, there)| (filter.to_owned(), there)).collect();
    }

    fn revive(&mut self, millis: i64, at: usize, ahead: i64, turned: i64, violations: &mut Violations) {
        let forward = turned - self.turned;
        if self.commits > 2 && forward >= 0 && ahead - self.ahead != forward {
            let what =
                format!("the timeline went on by {} ms more than it should", ahead - self.ahead - forward);
            violations.add(Kind::Expiry, None, &[], what);
        }
        (self.ahead, self.turned, self.commits) = (ahead, turned, 0);
        for (number, session) in &mut self.sessions {
            if std::mem::take(&mut session.awaited) {
                session.ended = true;
                if session.promised {
                    let what = format!("session {number}, of which its client was told, is not there again");
                    violations.add(Kind::Session, Some(*number), &[], what);
                }
            }
            // Whoever was attached, or may be taken for it, counts as gone from now on.
            session.left.get_or_insert((session.left_before.max(millis + ahead), at));
        }
    }
}

impl Session {
    /// A SUBSCRIBE or UNSUBSCRIBE is answered, and all before it are durable with it.
    fn confirm(&mut self, packet: (usize, u16)) {
        let Some(last) = self.changes.iter().rposition(|(_, by, _)| *by == packet) else { return };
        for (filter, _, there) in self.changes.drain(..=last) {
            self.certain.insert(filter, there);
        }
    }
}
