//! What came of a run.

use std::fmt;
use std::ops::AddAssign;

use crate::check::{self, Violation};
use crate::history::{History, Note};
use crate::world::{self, Setting};

/// What came of the run of a seed.
#[derive(Debug)]
pub struct Verdict {
    /// The seed.
    pub seed: u64,
    /// What was wrong; nothing, in a good run.
    pub violations: Vec<Violation>,
    /// How much happened.
    pub counts: Counts,
}

/// How much happened: a run in which nothing happens shows nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages published by applications.
    pub published: u64,
    /// Messages that applications were given.
    pub received: u64,
    /// Of those, the ones that were sent again.
    pub received_again: u64,
    /// Connections accepted.
    pub connected: u64,
    /// Connections that resumed a session.
    pub resumed: u64,
    /// Connections lost after some byte, or let go without a word.
    pub cut: u64,
    /// Sessions that ended before the run did.
    pub ended: u64,
    /// Wills sent.
    pub wills: u64,
    /// Deliveries to members of groups.
    pub shared: u64,
    /// Messages dropped by policy, as the sessions counted them.
    pub dropped: u64,
    /// Runs of a broker on a disk.
    pub on_disk: u64,
    /// Ends of the broker.
    pub killed: u64,
    /// Sessions that a restart has given back.
    pub restored: u64,
    /// Commits that became durable.
    pub commits: u64,
    /// Commits that the disk has failed.
    pub in_doubt: u64,
    /// Messages and requests that were refused because of the disk.
    pub refused: u64,
    /// Sessions whose client cannot know what they are: the first CONNACK was lost.
    pub misled: u64,
}

/// Violations that are shown, at most: mostly one has caused the others.
const SHOWN_MAX: usize = 5;

/// Runs and checks.
pub(crate) fn judge(setting: &Setting) -> Verdict {
    let history = world::run(setting);
    let report = check::check(&history);
    let mut counts = count(&history);
    counts.misled = report.misled;
    Verdict { seed: setting.seed, violations: report.violations, counts }
}

fn count(history: &History) -> Counts {
    let mut counts = Counts::default();
    for entry in &history.entries {
        match &entry.note {
            Note::Published { .. } => counts.published += 1,
            Note::Got { dup, .. } => {
                counts.received += 1;
                counts.received_again += u64::from(*dup);
            }
            Note::Connected { session_present, .. } => {
                counts.connected += 1;
                counts.resumed += u64::from(*session_present);
            }
            Note::Cut { .. } => counts.cut += 1,
            Note::Routed { message, .. } => {
                counts.wills += u64::from(history.messages[*message as usize].is_will);
            }
            Note::Killed { .. } => counts.killed += 1,
            Note::Revived { .. } => counts.on_disk = 1,
            Note::Restored(_) => counts.restored += 1,
            Note::Durable { .. } => counts.commits += 1,
            Note::InDoubt { .. } => counts.in_doubt += 1,
            Note::Answered { reason, .. } => counts.refused += u64::from(reason.is_error()),
            Note::Given { group: true, .. } => counts.shared += 1,
            Note::Ended { counters, .. } => {
                counts.ended += 1;
                counts.dropped += check::dropped(counters);
            }
            Note::Final { counters, .. } => counts.dropped += check::dropped(counters),
            _ => {}
        }
    }
    counts
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.published += other.published;
        self.received += other.received;
        self.received_again += other.received_again;
        self.connected += other.connected;
        self.resumed += other.resumed;
        self.cut += other.cut;
        self.ended += other.ended;
        self.wills += other.wills;
        self.shared += other.shared;
        self.dropped += other.dropped;
        self.on_disk += other.on_disk;
        self.killed += other.killed;
        self.restored += other.restored;
        self.commits += other.commits;
        self.in_doubt += other.in_doubt;
        self.refused += other.refused;
        self.misled += other.misled;
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}: {} violations", self.seed, self.violations.len())?;
        self.violations.iter().take(SHOWN_MAX).try_for_each(|violation| writeln!(f, "  {violation}"))
    }
}
