//! The core's timeline, continued from the moment the broker started; with a store, from where it was before that.

use std::time::Duration;

use karere_core::Instant;

/// Milliseconds since the broker started, on the clock that nobody sets, and those before.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    origin: tokio::time::Instant,
    /// Where the timeline was at the origin.
    before: Instant,
}

impl Clock {
    pub(crate) fn continued(before: Instant) -> Self {
        Self { origin: tokio::time::Instant::now(), before }
    }

    pub(crate) fn now(self) -> Instant {
        self.before.plus_millis(self.up_millis())
    }

    /// Milliseconds since the broker started.
    pub(crate) fn up_millis(self) -> u64 {
        u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// When tokio's clock shows `at`; the first moment at which [`now`](Self::now) is not before it.
    pub(crate) fn moment(self, at: Instant) -> tokio::time::Instant {
        let far = Duration::from_secs(365 * 24 * 3600);
        self.origin + at.since(self.before).min(self.origin.elapsed() + far)
    }
}
