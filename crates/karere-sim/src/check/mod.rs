//! What is held against what happened.

mod model;
mod publishers;
mod receivers;
mod shares;
mod wills;

use std::fmt;

use karere_core::broker::SlotCounters;

use self::model::Ledger;
use crate::history::{History, Note};

/// What can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A message was acknowledged to its publisher and did not reach a session that was to have it, and no
    /// permitted end explains it.
    Loss,
    /// A session got a message more often than it may: at QoS 0 and 2 twice, at QoS 1 twice without DUP.
    Duplicate,
    /// Two messages of one publisher, topic and QoS came in the wrong order.
    Order,
    /// A subscription did not get the last retained message, or got another, or got it twice.
    Retained,
    /// Receive Maximum, the bound on what is in flight or the Maximum Packet Size was exceeded, or a packet
    /// identifier was used that is in use.
    Quota,
    /// A Will was not sent when it was due, or was sent when it was not.
    Will,
    /// A message for a group went to more than one member, or at QoS 2 to another one after it was sent.
    Shared,
    /// QoS, RETAIN, Subscription Identifiers or payload are not what they have to be.
    Content,
    /// One end refused what the other sent.
    Protocol,
    /// Something never comes to its end.
    Stuck,
}

/// Something that is wrong.
#[derive(Debug, Clone)]
pub struct Violation {
    /// What.
    pub kind: Kind,
    /// In words.
    pub what: String,
    /// The session and the messages that it is about.
    pub(crate) session: Option<u32>,
    pub(crate) messages: Vec<u64>,
    /// The place in the history up to where it is seen.
    pub(crate) at: usize,
}

/// What the checkers say.
pub(crate) struct Report {
    pub(crate) violations: Vec<Violation>,
    pub(crate) misled: u64,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.kind, self.what)
    }
}

/// Holds everything against a history.
pub(crate) fn check(history: &History) -> Report {
    let ledger = Ledger::new(history);
    let mut violations = Violations { found: Vec::new(), end: history.entries.len() };
    for (at, kind, what) in &history.offences {
        let (kind, what, messages) = (*kind, what.clone(), Vec::new());
        violations.found.push(Violation { kind, what, session: None, messages, at: *at });
    }
    for entry in &history.entries {
        if let Note::GotOther { peer, what } = &entry.note {
            violations.add(
                Kind::Content,
                None,
                &[],
                format!("peer {peer} got what nobody has published: {what}"),
            );
        }
    }
    publishers::check(history, &ledger, &mut violations);
    receivers::check(history, &ledger, &mut violations);
    shares::check(history, &ledger, &mut violations);
    wills::check(history, &mut violations);
    ledger.check_end(&mut violations);
    let misled = ledger.sessions.values().filter(|session| session.misled).count() as u64;
    Report { violations: violations.found, misled }
}

/// All that a session has dropped.
pub(crate) fn dropped(counters: &SlotCounters) -> u64 {
    let SlotCounters {
        dropped_queue_full,
        dropped_slow,
        dropped_offline,
        dropped_too_large,
        dropped_expired,
        ..
    } = counters;
    dropped_queue_full + dropped_slow + dropped_offline + dropped_too_large + dropped_expired
}

struct Violations {
    found: Vec<Violation>,
    end: usize,
}

impl Violations {
    fn add(&mut self, kind: Kind, session: Option<u32>, messages: &[u64], what: String) {
        self.found.push(Violation { kind, what, session, messages: messages.to_vec(), at: self.end });
    }
}
