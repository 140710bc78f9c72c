//! How long to wait before connecting again.

use std::time::Duration;

use crate::options::{Reconnect, random};

/// The waits of one client: each twice the one before, from `min` to `max`, less a part left to chance.
#[derive(Debug)]
pub(crate) struct Backoff {
    policy: Reconnect,
    next: Duration,
    /// SplitMix64.
    state: u64,
}

impl Backoff {
    pub(crate) fn new(policy: Reconnect) -> Self {
        Self { policy, next: policy.min, state: random() }
    }

    /// The next wait.
    pub(crate) fn wait(&mut self) -> Duration {
        let wait = self.next.min(self.policy.max);
        self.next = wait.saturating_mul(2).min(self.policy.max);
        wait.mul_f64(1.0 - self.policy.jitter.clamp(0.0, 1.0) * self.chance())
    }

    /// A connection has ended that was up for `lasted`.
    ///
    /// Only one that outlived the wait before it counts as a success: two clients that take over each other's
    /// session connect well each time, and must slow down all the same.
    pub(crate) fn ended(&mut self, lasted: Duration) {
        if lasted >= self.next {
            self.next = self.policy.min;
        }
    }

    /// From 0 to 1.
    fn chance(&mut self) -> f64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) as f64 / u64::MAX as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn policy(jitter: f64) -> Reconnect {
        Reconnect { min: SECOND, max: SECOND * 5, jitter }
    }

    #[test]
    fn each_wait_is_twice_the_one_before_up_to_the_longest() {
        let mut backoff = Backoff::new(policy(0.0));
        let waits: Vec<u64> = (0..5).map(|_| backoff.wait().as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 5, 5]);
    }

    #[test]
    fn jitter_shortens_a_wait_by_at_most_its_part_and_never_twice_alike() {
        let mut backoff = Backoff::new(Reconnect { min: SECOND, max: SECOND, jitter: 0.25 });
        let waits: Vec<Duration> = (0..100).map(|_| backoff.wait()).collect();
        assert!(waits.iter().all(|wait| (SECOND * 3 / 4..=SECOND).contains(wait)), "{waits:?}");
        assert!(waits.windows(2).all(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn a_connection_that_lasted_starts_over_and_one_that_did_not_goes_on_slowing_down() {
        let mut backoff = Backoff::new(policy(0.0));
        backoff.wait();
        backoff.ended(SECOND);
        assert_eq!(backoff.wait(), SECOND * 2);
        backoff.ended(SECOND * 10);
        assert_eq!(backoff.wait(), SECOND);
    }
}
