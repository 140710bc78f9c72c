//! What all clients of a run share.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::clock::{Clock, Step};
use crate::judge::{Judge, Kind, SessionId};
use crate::random::Random;
use crate::tamper::Tamper;

#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) clock: Clock,
    pub(crate) judge: Judge,
    pub(crate) random: Random,
    pub(crate) address: SocketAddr,
    /// Set just before the broker is killed, unset before it is started again.
    pub(crate) killed: Arc<AtomicBool>,
    /// When it was last seen to be gone.
    pub(crate) lost_at: Step,
    /// New messages are published, subscriptions change, clients come and go.
    pub(crate) busy: bool,
    /// A QoS 2 message counts as taken with PUBCOMP, not with PUBREC.
    pub(crate) promises_late: bool,
    pub(crate) tamper: Tamper,
    /// A session that is subscribed to nothing plain: for a fault on purpose.
    pub(crate) stranger: Option<SessionId>,
}

impl Scene {
    pub(crate) fn new(address: SocketAddr, seed: u64, tamper: Tamper) -> Self {
        Self {
            clock: Clock::new(),
            judge: Judge::default(),
            random: Random::new(seed),
            address,
            killed: Arc::new(AtomicBool::new(false)),
            lost_at: 0,
            busy: true,
            promises_late: false,
            tamper,
            stranger: None,
        }
    }

    pub(crate) fn note(&mut self, name: &str, line: &str) {
        let step = self.clock.step();
        self.judge.note(step, format!("{name}: {line}"));
    }

    pub(crate) fn find(&mut self, kind: Kind, name: &str, what: &str) {
        let step = self.clock.step();
        self.judge.find(kind, step, format!("{name}: {what}"), &[name]);
    }

    /// A connection has ended that its client did not end: a finding, unless the broker was killed.
    pub(crate) fn lost(&mut self, name: &str, why: &str) {
        self.note(name, &format!("connection lost ({why})"));
        if !self.killed.load(Ordering::SeqCst) {
            self.find(Kind::Protocol, name, &format!("the broker lives and the connection ended: {why}"));
        }
    }
}
