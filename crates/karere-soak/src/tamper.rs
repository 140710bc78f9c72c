//! Faults on purpose, between the wire and the judge: each is a broker's fault that the judge must tell.

use crate::topic::{Area, Stamp};

/// A fault, put in once and as soon as there is a place for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A delivery to a durable session never comes.
    Lose,
    /// One to a share group never comes.
    LoseShared,
    /// A Will never comes.
    LoseWill,
    /// A delivery at QoS 2 comes twice.
    Double,
    /// Two messages of one publisher on one topic change places.
    Swap,
    /// A delivery goes to somebody who has not subscribed to it.
    Misdirect,
    /// A payload is cut.
    Cut,
    /// The broker says that it knows nothing of a session.
    ForgetSession,
    /// A delivery is sent again under another packet identifier.
    Renumber,
    /// A delivery that was not answered is not sent again.
    NotAgain,
    /// A retained value is an older one.
    OldRetained,
}

impl Fault {
    pub(crate) const ALL: [(Self, &'static str); 11] = [
        (Self::Lose, "lose"),
        (Self::LoseShared, "lose-shared"),
        (Self::LoseWill, "lose-will"),
        (Self::Double, "double"),
        (Self::Swap, "swap"),
        (Self::Misdirect, "misdirect"),
        (Self::Cut, "cut"),
        (Self::ForgetSession, "forget-session"),
        (Self::Renumber, "renumber"),
        (Self::NotAgain, "not-again"),
        (Self::OldRetained, "old-retained"),
    ];

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == name).map(|(fault, _)| *fault)
    }
}

/// The fault of a run, if it has one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tamper {
    fault: Option<Fault>,
    done: bool,
    /// So many places are let go by.
    patience: u32,
}

impl Tamper {
    pub(crate) fn new(fault: Option<Fault>, patience: u32) -> Self {
        Self { fault, done: false, patience }
    }

    /// Whether `fault` is to be put in here.
    pub(crate) fn now(&mut self, fault: Fault) -> bool {
        if self.done || self.fault != Some(fault) {
            return false;
        }
        if self.patience > 0 {
            self.patience -= 1;
            return false;
        }
        self.done = true;
        true
    }

    /// Whether this first copy is to be lost on its way.
    pub(crate) fn loses(&mut self, area: Area, stamp: Stamp) -> bool {
        let fault = match area {
            Area::Shared => Fault::LoseShared,
            Area::Will => Fault::LoseWill,
            Area::Plain if stamp.counter > 5 => Fault::Lose,
            _ => return false,
        };
        self.now(fault)
    }

    #[cfg(test)]
    pub(crate) fn is_done(&self) -> bool {
        self.done
    }
}
