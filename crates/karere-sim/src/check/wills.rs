//! Wills: each sent once, when it is due, and only then.

use std::collections::BTreeMap;

use super::{Kind, Violations};
use crate::history::{History, Note};

/// How late a Will may be, in milliseconds.
const LATE_MILLIS_MAX: u64 = 5;

/// A Will that is to be sent.
struct Due {
    message: u64,
    at: u64,
    /// Its client may still come back.
    delayed: bool,
}

/// What a session has of a Will.
#[derive(Default)]
struct Testament {
    expiry: u32,
    /// The Will of the connection that it has, and its delay in seconds.
    will: Option<(u64, u32)>,
    /// One that is to be sent.
    due: Option<Due>,
}

pub(super) fn check(history: &History, violations: &mut Violations) {
    let mut testaments: BTreeMap<u32, Testament> = BTreeMap::new();
    for entry in &history.entries {
        for testament in testaments.values_mut() {
            if let Some(Due { message, .. }) =
                testament.due.take_if(|due| due.at + LATE_MILLIS_MAX < entry.at)
            {
                let what = format!("the Will {message} was not sent when it was due");
                violations.add(Kind::Will, None, &[message], what);
            }
        }
        take(history, &mut testaments, entry.at, &entry.note, violations);
    }
}

fn take(
    history: &History,
    testaments: &mut BTreeMap<u32, Testament>,
    now: u64,
    note: &Note,
    violations: &mut Violations,
) {
    match note {
        Note::Attached { session, expiry, will, .. } => {
            let testament = testaments.entry(*session).or_default();
            testament.expiry = *expiry;
            testament.will = *will;
            // The client is back in time; in the very millisecond it may be either.
            testament.due.take_if(|due| due.delayed && due.at >= now);
        }
        Note::Goodbye { session, with_will, expiry } => {
            let testament = testaments.entry(*session).or_default();
            testament.expiry = expiry.unwrap_or(testament.expiry);
            if !with_will {
                testament.will = None;
            }
        }
        Note::Detached { session } => {
            let testament = testaments.entry(*session).or_default();
            let seconds = |delay: u32| u64::from(delay.min(testament.expiry));
            testament.due = testament.will.take().map(|(message, delay)| Due {
                message,
                at: now + 1_000 * seconds(delay),
                delayed: seconds(delay) > 0,
            });
        }
        Note::Ended { session, .. } => {
            if let Some(due) = testaments.entry(*session).or_default().due.as_mut() {
                (due.at, due.delayed) = (now, false);
            }
        }
        Note::Routed { message, session, wire: None } if history.messages[*message as usize].is_will => {
            let testament = testaments.entry(*session).or_default();
            if testament.due.take_if(|due| due.message == *message && due.at <= now).is_none() {
                let what = format!("the Will {message} of session {session} was sent and was not due");
                violations.add(Kind::Will, Some(*session), &[*message], what);
            }
        }
        _ => {}
    }
}
