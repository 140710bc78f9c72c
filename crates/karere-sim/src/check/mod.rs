//! What is held against what happened.

mod expiry;
mod identifiers;
mod model;
mod publishers;
mod receivers;
mod resume;
mod retained;
mod sessions;
mod shares;
mod wills;

use std::collections::BTreeMap;
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
    /// A session, a subscription or an identifier that was stored is not there after a restart, or one is that was given up.
    Session,
    /// What was sent and not acknowledged is sent again under another packet identifier, in another order, or though
    /// it had come.
    Resume,
    /// A message or a session has outlived its expiry.
    Expiry,
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
    let end = history.entries.len();
    let mut violations = Violations { found: Vec::new(), at: end };
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
    // These go through the history once, and say where they are.
    wills::check(history, &mut violations);
    sessions::check(history, &mut violations);
    identifiers::check(history, &mut violations);
    resume::check(history, &mut violations);
    retained::check(history, &mut violations);
    expiry::check(history, &mut violations);
    violations.at = end;
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

/// What is certainly on the disk, from what the broker has heard of it.
#[derive(Default)]
struct Stored {
    taken: BTreeMap<u64, usize>,
    /// All that happened before this place in the history.
    before: usize,
}

impl Stored {
    fn take(&mut self, note: &Note) {
        match note {
            Note::Taken { ticket, before } => _ = self.taken.insert(*ticket, *before),
            Note::Durable { ticket } => {
                self.before = self.before.max(self.taken.get(ticket).copied().unwrap_or_default());
            }
            // What was taken and not synced is nothing to the next life.
            Note::Killed { .. } => self.taken.clear(),
            _ => {}
        }
    }

    /// Whether what was written down then is.
    fn has(&self, at: usize) -> bool {
        at < self.before
    }
}

struct Violations {
    found: Vec<Violation>,
    /// Up to where in the history it is seen: the end, unless somebody knows better.
    at: usize,
}

impl Violations {
    fn add(&mut self, kind: Kind, session: Option<u32>, messages: &[u64], what: String) {
        self.found.push(Violation { kind, what, session, messages: messages.to_vec(), at: self.at });
    }
}
