//! Wills: each sent once, when it is due, and only then: behind what its client had sent, and before what that sends
//! next. One of a session that is stored is sent after a restart too, by the same clock; and where nobody can know
//! whether it was sent or cancelled before the broker ended, it may be.

use std::collections::{BTreeMap, BTreeSet};

use super::{Kind, Stored, Violations};
use crate::history::{History, Note};

/// How late a Will may be, in milliseconds, once what its client had sent is done.
const LATE_MILLIS_MAX: i64 = 5;

/// The Will of one connection.
struct Will {
    message: u64,
    /// The Will Delay Interval, in seconds.
    delay: u32,
    wire: usize,
    /// When it was written down, in the history, and whether its client was told so.
    put: usize,
    welcomed: bool,
    stage: Stage,
    /// Its end is not certain: it may be sent in any case.
    maybe: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Its client is there.
    Attached,
    /// To be sent from `at` on, and by `latest`; `delayed`: its client may still come back. Since that place of the history.
    Due { at: i64, latest: i64, delayed: bool, since: usize },
    /// The broker has ended, and counts its delay anew; from there at the earliest.
    Halted { earliest: Option<i64> },
    /// Sent or cancelled, there in the history.
    Over { since: usize },
}

/// What a session has of Wills.
#[derive(Default)]
struct Testament {
    peer: usize,
    expiry: u32,
    /// It was to outlive a connection, so that it is stored where there is a disk.
    lasts: bool,
    wills: Vec<Will>,
}

/// What there is of all of them.
#[derive(Default)]
struct Wills {
    testaments: BTreeMap<u32, Testament>,
    /// By peer: whether something of what it has sent is left to be done, or since when nothing is.
    late: BTreeMap<usize, Result<i64, ()>>,
    /// Wires in the order of their CONNECTs, which may come late: one that was opened earlier may be the next.
    attached: Vec<usize>,
    wires: BTreeMap<usize, u32>,
    stored: Stored,
    /// How far the broker's timeline is before the one of the history, in milliseconds.
    ahead: i64,
    down: bool,
    restored: BTreeSet<u32>,
    /// Sessions that end with the broker.
    lost: BTreeSet<u32>,
}

pub(super) fn check(history: &History, violations: &mut Violations) {
    let mut wills = Wills::default();
    for (at, entry) in history.entries.iter().enumerate() {
        violations.at = at + 1;
        wills.stored.take(&entry.note);
        let now = entry.at as i64 + wills.ahead;
        for message in wills.overdue(now) {
            let what = format!("the Will {message} was not sent when it was due");
            violations.add(Kind::Will, None, &[message], what);
        }
        wills.take(history, at, now, &entry.note, violations);
    }
}

impl Wills {
    /// Takes out those that should have been sent.
    fn overdue(&mut self, now: i64) -> Vec<u64> {
        let mut overdue = Vec::new();
        if self.down {
            return overdue;
        }
        for testament in self.testaments.values_mut() {
            let Ok(since) = self.late.get(&testament.peer).copied().unwrap_or(Ok(i64::MIN)) else { continue };
            let is_late = |will: &mut Will| match will.stage {
                Stage::Due { latest, .. } => latest.max(since).saturating_add(LATE_MILLIS_MAX) < now,
                _ => false,
            };
            overdue.extend(testament.wills.extract_if(.., is_late).map(|will| will.message));
        }
        overdue
    }

    fn take(&mut self, history: &History, at: usize, now: i64, note: &Note, violations: &mut Violations) {
        match note {
            Note::Late { peer, late } => drop(self.late.insert(*peer, if *late { Err(()) } else { Ok(now) })),
            Note::Attached { session, peer, wire, expiry, will } => {
                self.attached.push(*wire);
                self.wires.insert(*wire, *session);
                let testament = self.testaments.entry(*session).or_default();
                (testament.peer, testament.expiry) = (*peer, *expiry);
                testament.lasts |= *expiry > 0;
                testament.attach(at, now, *wire, *will);
            }
            Note::Welcomed { wire } => {
                let session = self.wires.get(wire).and_then(|session| self.testaments.get_mut(session));
                let wills = session.into_iter().flat_map(|testament| &mut testament.wills);
                wills.filter(|will| will.wire == *wire).for_each(|will| will.welcomed = true);
            }
            Note::Goodbye { session, with_will, expiry } => {
                let testament = self.testaments.entry(*session).or_default();
                testament.expiry = expiry.unwrap_or(testament.expiry);
                for will in testament.wills.iter_mut().filter(|will| will.stage == Stage::Attached) {
                    if !with_will {
                        will.stage = Stage::Over { since: at };
                    }
                }
            }
            Note::Detached { session } => {
                let testament = self.testaments.entry(*session).or_default();
                let expiry = testament.expiry;
                for will in testament.wills.iter_mut().filter(|will| will.stage == Stage::Attached) {
                    let seconds = i64::from(will.delay.min(expiry));
                    let due = now + 1_000 * seconds;
                    will.stage = Stage::Due { at: due, latest: due, delayed: seconds > 0, since: at };
                }
            }
            Note::Ended { session, .. } => {
                for will in &mut self.testaments.entry(*session).or_default().wills {
                    if let Stage::Due { at, latest, delayed, .. } = &mut will.stage {
                        (*at, *latest, *delayed) = ((*at).min(now), (*latest).min(now), false);
                    }
                }
            }
            Note::Halted { session, stored: false, .. } => _ = self.lost.insert(*session),
            Note::Killed { .. } => self.halt(),
            Note::Restored(restored) => {
                self.restored.insert(restored.session);
                self.testaments.entry(restored.session).or_default().expiry = restored.expiry;
            }
            Note::Revived { ahead, .. } => self.revive(at, now - self.ahead, *ahead),
            Note::Routed { message, session, wire: None } if history.messages[*message as usize].is_will => {
                self.sent(at, now, *session, *message, violations);
            }
            Note::Routed { message, session, wire: Some(wire) } => {
                self.overtaken(*session, *wire, *message, violations);
            }
            _ => {}
        }
    }

    /// The broker has ended, and sessions with it that were not stored.
    fn halt(&mut self) {
        self.down = true;
        let (certain, lost) = (&self.stored, std::mem::take(&mut self.lost));
        for (session, testament) in &mut self.testaments {
            let stored = testament.lasts && !lost.contains(session);
            testament.wills.retain_mut(|will| will.halt(certain) && stored);
        }
    }

    /// The broker is there again, at `millis` of the history's timeline.
    fn revive(&mut self, place: usize, millis: i64, ahead: i64) {
        (self.ahead, self.down) = (ahead, false);
        let now = millis + ahead;
        let restored = std::mem::take(&mut self.restored);
        for (session, testament) in &mut self.testaments {
            let expiry = testament.expiry;
            let is_there = restored.contains(session);
            testament.wills.retain_mut(|will| {
                let seconds = i64::from(will.delay.min(expiry));
                let due = now + 1_000 * seconds;
                match &mut will.stage {
                    Stage::Halted { earliest } => {
                        // The timeline may go on behind where it was: by as much as was not written down of it.
                        let (at, latest) = earliest.map_or((due, due), |at| (at.min(due), at.max(due)));
                        will.stage = Stage::Due { at, latest, delayed: seconds > 0, since: place };
                        is_there
                    }
                    // What was due while it was away is due now; the session may be over, and its Will not yet sent.
                    Stage::Due { latest, .. } => {
                        *latest = (*latest).max(now);
                        true
                    }
                    _ => true,
                }
            });
        }
    }

    fn sent(&mut self, place: usize, now: i64, session: u32, message: u64, violations: &mut Violations) {
        let wills = &mut self.testaments.entry(session).or_default().wills;
        let will = wills.iter_mut().find(|will| will.message == message);
        let is_due = |will: &&mut Will| match will.stage {
            Stage::Due { at, .. } => at <= now || will.maybe,
            _ => will.maybe,
        };
        match will.filter(is_due) {
            Some(will) => (will.stage, will.maybe) = (Stage::Over { since: place }, false),
            None => {
                let what = format!("the Will {message} of session {session} was sent and was not due");
                violations.add(Kind::Will, Some(session), &[message], what);
            }
        }
    }

    /// A message of a connection must not come before the Will of an earlier one of the same client.
    fn overtaken(&self, session: u32, wire: usize, message: u64, violations: &mut Violations) {
        let Some(Testament { peer, .. }) = self.testaments.get(&session) else { return };
        let place = |wire: usize| self.attached.iter().position(|attached| *attached == wire);
        let of_peer = self.testaments.values().filter(|testament| testament.peer == *peer);
        let is_earlier = |will: &&Will| {
            matches!(will.stage, Stage::Due { delayed: false, .. }) && place(will.wire) < place(wire)
        };
        if let Some(Will { message: will, .. }) =
            of_peer.flat_map(|testament| &testament.wills).find(is_earlier)
        {
            let what = format!("the Will {will} comes behind message {message} of the next connection");
            violations.add(Kind::Will, Some(session), &[*will, message], what);
        }
    }
}

impl Will {
    /// The broker has ended. Whether anything is left of it, where it was stored.
    fn halt(&mut self, certain: &Stored) -> bool {
        let is_put = self.welcomed || certain.has(self.put);
        match self.stage {
            Stage::Over { since } => {
                self.maybe |= !certain.has(since);
                return self.maybe;
            }
            _ if !is_put => (self.maybe, self.stage) = (true, Stage::Over { since: usize::MAX }),
            Stage::Due { at, since, .. } if !certain.has(since) => {
                self.stage = Stage::Halted { earliest: Some(at) };
            }
            Stage::Attached => self.stage = Stage::Halted { earliest: None },
            _ => {}
        }
        true
    }
}

impl Testament {
    /// A connection has come, with this Will and its delay in seconds.
    fn attach(&mut self, place: usize, now: i64, wire: usize, will: Option<(u64, u32)>) {
        for will in &mut self.wills {
            // The client is back in time; in the very millisecond it may be either.
            if let Stage::Due { latest, delayed: true, .. } = will.stage
                && latest >= now
            {
                will.stage = Stage::Over { since: place };
            }
        }
        if let Some((message, delay)) = will {
            let stage = Stage::Attached;
            self.wills.push(Will { message, delay, wire, put: place, welcomed: false, stage, maybe: false });
        }
    }
}
