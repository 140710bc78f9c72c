//! What can be wrong, and how much of it there was.

use std::collections::BTreeMap;
use std::fmt;

use crate::clock::{Step, show};

/// A broken promise. B1 to B5 are the statements of DESIGN.md.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    Missing,
    MissingInGroup,
    RetainedLost,
    SessionLost,
    WillMissing,
    DoubledAtTwo,
    DoubledInGroup,
    OutOfOrder,
    Identifier,
    NotResent,
    Unwanted,
    Corrupt,
    Stuck,
    Protocol,
    Died,
}

impl Kind {
    pub(crate) const ALL: [Self; 15] = [
        Self::Missing,
        Self::MissingInGroup,
        Self::RetainedLost,
        Self::SessionLost,
        Self::WillMissing,
        Self::DoubledAtTwo,
        Self::DoubledInGroup,
        Self::OutOfOrder,
        Self::Identifier,
        Self::NotResent,
        Self::Unwanted,
        Self::Corrupt,
        Self::Stuck,
        Self::Protocol,
        Self::Died,
    ];

    /// As a line of the table says it.
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Missing => "B1 acknowledged and missing",
            Self::MissingInGroup => "B1 missing in a share group",
            Self::RetainedLost => "B1 retained values lost",
            Self::SessionLost => "B1 sessions lost",
            Self::WillMissing => "B5 Wills missing",
            Self::DoubledAtTwo => "B2 doubled at QoS 2",
            Self::DoubledInGroup => "B2 doubled at QoS 2 in a group",
            Self::OutOfOrder => "B3 out of order",
            Self::Identifier => "B4 other packet id or no DUP",
            Self::NotResent => "B4 not sent again",
            Self::Unwanted => "B4 without a subscription",
            Self::Corrupt => "corrupt or never sent",
            Self::Stuck => "exchanges that stand still",
            Self::Protocol => "closed or wrong on the wire",
            Self::Died => "died by itself",
        }
    }
}

/// One broken promise, and its story.
#[derive(Debug, Clone)]
pub(crate) struct Finding {
    pub(crate) kind: Kind,
    pub(crate) step: Step,
    pub(crate) story: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}: {}", self.kind.words(), show(self.step), self.story)
    }
}

/// Findings of a kind are kept up to here; the others are only counted.
const KEPT_MAX: u64 = 3;

/// What a run comes to.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) sent: u64,
    pub(crate) acknowledged: u64,
    pub(crate) delivered: u64, // copies handed over
    pub(crate) doubled_at_one: u64,
    pub(crate) refused: u64,
    pub(crate) wills_due: u64,
    found: BTreeMap<Kind, u64>,
    kept: Vec<Finding>,
}

impl Counts {
    pub(crate) fn add(&mut self, finding: Finding) {
        let found = self.found.entry(finding.kind).or_default();
        *found += 1;
        if *found <= KEPT_MAX {
            self.kept.push(finding);
        }
    }

    pub(crate) fn of(&self, kind: Kind) -> u64 {
        self.found.get(&kind).copied().unwrap_or(0)
    }

    pub(crate) fn findings(&self) -> &[Finding] {
        &self.kept
    }

    pub(crate) fn clean(&self) -> bool {
        self.found.is_empty()
    }
}
