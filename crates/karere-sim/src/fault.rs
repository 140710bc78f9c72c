//! Named faults, which the checkers must see.

use std::str::FromStr;

/// What is done wrong on purpose, in the host or on the wire, to see that a checker sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A delivery at QoS > 0 is left out, and the publisher is told that all is well.
    DropAcknowledged,
    /// A message is acknowledged and never routed.
    AcknowledgeUnrouted,
    /// A delivery is made twice.
    DeliverTwice,
    /// Two messages of one publisher are routed in the wrong order.
    SwapOrder,
    /// A new subscription gets none of its retained messages.
    ForgetRetained,
    /// A retained message is not replaced by the next.
    KeepOldRetained,
    /// The broker does not see the client's Receive Maximum.
    ExceedQuota,
    /// The broker does not see the client's Maximum Packet Size.
    ExceedPacketSize,
    /// A QoS 2 message that was sent to one member of a group is given to another too, when its connection is lost.
    MoveQoS2,
    /// A message of a group is given to each of its members.
    ShareWithAll,
    /// A subscription is forgotten when its session is resumed.
    ForgetSubscription,
    /// A Will is not sent.
    ForgetWill,
    /// A Will is sent although the client has said goodbye.
    WillAfterGoodbye,
    /// What a connection has brought is forgotten with the connection: it is neither routed nor answered.
    ForgetWork,
    /// What a connection has brought is done behind what the next connection of its client brings.
    LateWork,
}

/// A fault by its name, and its description: what `--fault` takes.
pub const FAULTS: [(&str, Fault); 15] = [
    ("drop-acknowledged", Fault::DropAcknowledged),
    ("acknowledge-unrouted", Fault::AcknowledgeUnrouted),
    ("deliver-twice", Fault::DeliverTwice),
    ("swap-order", Fault::SwapOrder),
    ("forget-retained", Fault::ForgetRetained),
    ("keep-old-retained", Fault::KeepOldRetained),
    ("exceed-quota", Fault::ExceedQuota),
    ("exceed-packet-size", Fault::ExceedPacketSize),
    ("move-qos2", Fault::MoveQoS2),
    ("share-with-all", Fault::ShareWithAll),
    ("forget-subscription", Fault::ForgetSubscription),
    ("forget-will", Fault::ForgetWill),
    ("will-after-goodbye", Fault::WillAfterGoodbye),
    ("forget-work", Fault::ForgetWork),
    ("late-work", Fault::LateWork),
];

impl FromStr for Fault {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = FAULTS.iter().find(|(known, _)| *known == name);
        found.map(|(_, fault)| *fault).ok_or_else(|| {
            let names: Vec<&str> = FAULTS.iter().map(|(name, _)| *name).collect();
            format!("no such fault: {name}. There are: {}", names.join(", "))
        })
    }
}

/// The fault of a run, if it has one.
#[derive(Debug)]
pub(crate) struct Faults {
    fault: Option<Fault>,
    /// How often it has been possible.
    seen: u32,
}

/// How many chances pass between two times that a fault is done.
const EVERY: u32 = 3;

impl Faults {
    pub(crate) fn new(fault: Option<Fault>) -> Self {
        Self { fault, seen: 0 }
    }

    /// Here `fault` could be done: whether it is to be, now and then.
    pub(crate) fn strikes(&mut self, fault: Fault) -> bool {
        if self.fault != Some(fault) {
            return false;
        }
        self.seen += 1;
        self.seen.is_multiple_of(EVERY)
    }

    /// Whether `fault` is the one of this run, done always.
    pub(crate) fn is(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }
}
