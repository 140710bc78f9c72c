//! The core's timeline, continued from the moment the broker started.

use std::time::Duration;

use karere_core::Instant;

/// Milliseconds since the broker started, on the clock that nobody sets.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    origin: tokio::time::Instant,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self { origin: tokio::time::Instant::now() }
    }

    pub(crate) fn now(self) -> Instant {
        Instant::from_millis(u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// When tokio's clock shows `at`; the first moment at which [`now`](Self::now) is not before it.
    pub(crate) fn moment(self, at: Instant) -> tokio::time::Instant {
        let far = Duration::from_secs(365 * 24 * 3600);
        self.origin + Duration::from_millis(at.as_millis()).min(self.origin.elapsed() + far)
    }
}
