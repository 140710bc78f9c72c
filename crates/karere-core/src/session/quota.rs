//! The send quota (§4.9).

/// How many more QoS > 0 PUBLISH packets may be sent before an acknowledgement comes back.
///
/// Made anew for each connection from the peer's Receive Maximum [MQTT-4.9.0-1].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SendQuota {
    left: u16,
    max: u16,
}

impl SendQuota {
    /// The full quota of a new connection.
    #[must_use]
    pub const fn new(receive_maximum: u16) -> Self {
        Self { left: receive_maximum, max: receive_maximum }
    }

    /// Whether a PUBLISH may go [MQTT-4.9.0-2].
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.left > 0
    }

    /// A PUBLISH has gone.
    pub fn take(&mut self) {
        self.left = self.left.saturating_sub(1);
    }

    /// A PUBACK, a PUBCOMP, or a PUBREC with an error has come for a PUBLISH of this connection. Never above the
    /// start.
    pub fn give(&mut self) {
        self.left = self.left.saturating_add(1).min(self.max);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quota_closes_when_it_is_used_up_and_never_exceeds_its_start() {
        let mut quota = SendQuota::new(2);
        quota.give();
        quota.take();
        quota.take();
        assert!(!quota.is_open());
        quota.give();
        assert!(quota.is_open());
        quota.give();
        quota.give();
        assert_eq!(quota, SendQuota::new(2));
    }
}
