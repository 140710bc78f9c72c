//! Keep Alive: instants compared, nothing re-armed.

use crate::time::Instant;

/// When something was last heard and sent, and how long the silence may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeepAlive {
    /// Milliseconds; 0 is off.
    interval: u64,
    received: Instant,
    sent: Instant,
    /// When the PINGREQ that is not answered yet was sent.
    pinged: Option<Instant>,
}

impl KeepAlive {
    /// `seconds` 0 turns it off.
    pub(crate) fn new(now: Instant, seconds: u16) -> Self {
        Self { interval: u64::from(seconds) * 1000, received: now, sent: now, pinged: None }
    }

    pub(crate) fn on_received(&mut self, now: Instant) {
        self.received = now;
    }

    pub(crate) fn on_sent(&mut self, now: Instant) {
        self.sent = now;
    }

    pub(crate) fn on_pingreq(&mut self, now: Instant) {
        self.sent = now;
        self.pinged = Some(now);
    }

    pub(crate) fn on_pingresp(&mut self) {
        self.pinged = None;
    }

    /// The client's side: PINGREQ is due when nothing was sent, or nothing was heard, for one interval
    /// [MQTT-3.1.2-20]. Also when nothing was heard, because else a sender never learns that its peer is gone.
    ///
    /// What comes after a PINGREQ, be it part of a packet too large to have an answer in front of it, shows that the server
    /// is there: then it is asked again.
    pub(crate) fn ping_due(&self) -> Option<Instant> {
        let since = match self.pinged {
            None => self.sent.min(self.received),
            Some(at) if self.received > at => at,
            Some(_) => return None,
        };
        (self.interval > 0).then(|| since.plus_millis(self.interval))
    }

    /// The client's side: the answer to PINGREQ is overdue.
    pub(crate) fn pong_due(&self) -> Option<Instant> {
        self.pinged.filter(|at| self.received <= *at).map(|at| at.plus_millis(self.interval))
    }

    /// The server's side: one and a half intervals without a packet [MQTT-3.1.2-22].
    pub(crate) fn silence_due(&self) -> Option<Instant> {
        (self.interval > 0).then(|| self.received.plus_millis(self.interval + self.interval / 2))
    }
}
