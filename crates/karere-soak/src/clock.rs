//! One order of all that happens in a run.

use std::time::Instant;

/// Microseconds since the run began, or a little more: no two events have the same.
pub(crate) type Step = u64;

/// One millisecond in steps.
pub(crate) const MS: Step = 1000;

#[derive(Debug)]
pub(crate) struct Clock {
    start: Instant,
    last: Step,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self { start: Instant::now(), last: 0 }
    }

    /// The step of an event that happens now.
    pub(crate) fn step(&mut self) -> Step {
        self.last = self.now().max(self.last + 1);
        self.last
    }

    pub(crate) fn now(&self) -> Step {
        self.start.elapsed().as_micros() as Step
    }
}

/// For people: seconds with the microseconds behind.
pub(crate) fn show(step: Step) -> String {
    format!("{}.{:06} s", step / 1_000_000, step % 1_000_000)
}
