//! What the runs came to, side by side.

use std::fmt::Write;

use crate::clock::{MS, Step};
use crate::judge::{Counts, Kind};

/// One broker's run.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) broker: String,
    pub(crate) cycles: u64,
    pub(crate) counts: Counts,
    pub(crate) recoveries: Vec<Step>, // from the start of the process to its first CONNACK
    pub(crate) took: Step,
}

/// A column for each broker.
pub(crate) fn table(outcomes: &[Outcome]) -> String {
    let mut text = String::new();
    let mut line = |name: &str, of: &dyn Fn(&Outcome) -> String| {
        let cells: String = outcomes.iter().map(|outcome| format!("{:>22}", of(outcome))).collect();
        let _ = writeln!(text, "{name:<34}{cells}");
    };
    line("", &|outcome| outcome.broker.clone());
    line("kills", &|outcome| outcome.cycles.to_string());
    line("messages sent", &|outcome| outcome.counts.sent.to_string());
    line("messages acknowledged", &|outcome| outcome.counts.acknowledged.to_string());
    line("copies delivered", &|outcome| outcome.counts.delivered.to_string());
    line("Wills due", &|outcome| outcome.counts.wills_due.to_string());
    line("refused", &|outcome| outcome.counts.refused.to_string());
    line("doubled at QoS 1 (allowed)", &|outcome| outcome.counts.doubled_at_one.to_string());
    for kind in Kind::ALL {
        line(kind.words(), &|outcome| outcome.counts.of(kind).to_string());
    }
    line("recovery, median and longest, ms", &|outcome| {
        let mut all = outcome.recoveries.clone();
        all.sort_unstable();
        let at = |step: Option<&Step>| step.copied().unwrap_or(0) as f64 / MS as f64;
        format!("{:.1} / {:.1}", at(all.get(all.len() / 2)), at(all.last()))
    });
    line("took, s", &|outcome| format!("{:.1}", outcome.took as f64 / 1e6));
    text
}

/// The first stories of what went wrong, of each kind.
pub(crate) fn stories(outcome: &Outcome) -> String {
    let mut findings: Vec<_> = outcome.counts.findings().iter().collect();
    findings.sort_by_key(|finding| (finding.kind, finding.step));
    findings.iter().map(|finding| format!("  {finding}\n")).collect()
}
