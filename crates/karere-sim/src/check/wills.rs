//! Wills: each sent once, when it is due, and only then: behind what its client had sent, and before what that sends
//! next.

use std::collections::BTreeMap;

use super::{Kind, Violations};
use crate::history::{History, Note};

/// How late a Will may be, in milliseconds, once what its client had sent is done.
const LATE_MILLIS_MAX: u64 = 5;

/// A Will that is to be sent.
struct Due {
    message: u64,
    at: u64,
    /// The connection that it was for.
    wire: usize,
    /// Its client may still come back.
    delayed: bool,
}

/// What a session has of a Will.
#[derive(Default)]
struct Testament {
    peer: usize,
    wire: usize,
    expiry: u32,
    /// The Will of the connection that it has, and its delay in seconds.
    will: Option<(u64, u32)>,
    /// Those that are to be sent.
    due: Vec<Due>,
}

/// What there is of all of them.
#[derive(Default)]
struct Wills {
    testaments: BTreeMap<u32, Testament>,
    /// By peer: whether something of what it has sent is left to be done, or since when nothing is.
    late: BTreeMap<usize, Result<u64, ()>>,
    /// Wires in the order of their CONNECTs, which may come late: one that was opened earlier may be the next.
    attached: Vec<usize>,
}

pub(super) fn check(history: &History, violations: &mut Violations) {
    let mut wills = Wills::default();
    for entry in &history.entries {
        for message in wills.overdue(entry.at) {
            let what = format!("the Will {message} was not sent when it was due");
            violations.add(Kind::Will, None, &[message], what);
        }
        wills.take(history, entry.at, &entry.note, violations);
    }
}

impl Wills {
    /// Takes out those that should have been sent.
    fn overdue(&mut self, now: u64) -> Vec<u64> {
        let mut overdue = Vec::new();
        for testament in self.testaments.values_mut() {
            let Ok(since) = self.late.get(&testament.peer).copied().unwrap_or(Ok(0)) else { continue };
            let late = testament.due.extract_if(.., |due| due.at.max(since) + LATE_MILLIS_MAX < now);
            overdue.extend(late.map(|due| due.message));
        }
        overdue
    }

    fn take(&mut self, history: &History, now: u64, note: &Note, violations: &mut Violations) {
        match note {
            Note::Late { peer, late } => drop(self.late.insert(*peer, if *late { Err(()) } else { Ok(now) })),
            Note::Attached { session, peer, wire, expiry, will } => {
                let testament = self.testaments.entry(*session).or_default();
                (testament.peer, testament.wire) = (*peer, *wire);
                (testament.expiry, testament.will) = (*expiry, *will);
                self.attached.push(*wire);
                // The client is back in time; in the very millisecond it may be either.
                testament.due.retain(|due| !due.delayed || due.at < now);
            }
            Note::Goodbye { session, with_will, expiry } => {
                let testament = self.testaments.entry(*session).or_default();
                testament.expiry = expiry.unwrap_or(testament.expiry);
                if !with_will {
                    testament.will = None;
                }
            }
            Note::Detached { session } => {
                let testament = self.testaments.entry(*session).or_default();
                let Some((message, delay)) = testament.will.take() else { return };
                let seconds = u64::from(delay.min(testament.expiry));
                let (at, wire, delayed) = (now + 1_000 * seconds, testament.wire, seconds > 0);
                testament.due.push(Due { message, at, wire, delayed });
            }
            Note::Ended { session, .. } => {
                for due in &mut self.testaments.entry(*session).or_default().due {
                    (due.at, due.delayed) = (due.at.min(now), false);
                }
            }
            Note::Routed { message, session, wire: None } if history.messages[*message as usize].is_will => {
                self.sent(now, *session, *message, violations);
            }
            Note::Routed { message, session, wire: Some(wire) } => {
                self.overtaken(*session, *wire, *message, violations);
            }
            _ => {}
        }
    }

    fn sent(&mut self, now: u64, session: u32, message: u64, violations: &mut Violations) {
        let due = &mut self.testaments.entry(session).or_default().due;
        let before = due.len();
        due.retain(|due| due.message != message || due.at > now);
        if due.len() == before {
            let what = format!("the Will {message} of session {session} was sent and was not due");
            violations.add(Kind::Will, Some(session), &[message], what);
        }
    }

    /// A message of a connection must not come before the Will of an earlier one of the same client.
    fn overtaken(&self, session: u32, wire: usize, message: u64, violations: &mut Violations) {
        let Some(Testament { peer, .. }) = self.testaments.get(&session) else { return };
        let place = |wire: usize| self.attached.iter().position(|attached| *attached == wire);
        let of_peer = self.testaments.values().filter(|testament| testament.peer == *peer);
        let earlier = of_peer
            .flat_map(|testament| &testament.due)
            .find(|due| !due.delayed && place(due.wire) < place(wire));
        if let Some(Due { message: will, .. }) = earlier {
            let what = format!("the Will {will} comes behind message {message} of the next connection");
            violations.add(Kind::Will, Some(session), &[*will, message], what);
        }
    }
}
