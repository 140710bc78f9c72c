//! Named faults, which the checkers must see.

use std::str::FromStr;

/// A fault with its name, and what is wrong with it.
#[derive(Debug, Clone, Copy)]
pub struct Named {
    /// What `--fault` takes.
    pub name: &'static str,
    /// Which it is.
    pub fault: Fault,
    /// What it does.
    pub what: &'static str,
}

macro_rules! faults {
    ($($name:literal $fault:ident $what:literal;)*) => {
        /// What is done wrong on purpose, in the host, on its disk or on the wire, to see that a checker sees it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Fault {
            $(#[doc = $what] $fault,)*
        }

        /// All of them.
        pub const FAULTS: &[Named] = &[$(Named { name: $name, fault: Fault::$fault, what: $what },)*];
    };
}

faults! {
    "drop-acknowledged" DropAcknowledged "A delivery at QoS > 0 is left out, and the publisher is told that all is well.";
    "acknowledge-unrouted" AcknowledgeUnrouted "A message is acknowledged and never routed.";
    "deliver-twice" DeliverTwice "A delivery is made twice.";
    "swap-order" SwapOrder "Two messages of one publisher are routed in the wrong order.";
    "forget-retained" ForgetRetained "A new subscription gets none of its retained messages.";
    "keep-old-retained" KeepOldRetained "A retained message is not replaced by the next.";
    "exceed-quota" ExceedQuota "The broker does not see the client's Receive Maximum.";
    "exceed-packet-size" ExceedPacketSize "The broker does not see the client's Maximum Packet Size.";
    "move-qos2" MoveQoS2 "A QoS 2 message that was sent to one member of a group is given to another too, when its connection is lost.";
    "share-with-all" ShareWithAll "A message of a group is given to each of its members.";
    "forget-subscription" ForgetSubscription "A subscription is forgotten when its session is resumed.";
    "forget-will" ForgetWill "A Will is not sent.";
    "will-after-goodbye" WillAfterGoodbye "A Will is sent although the client has said goodbye.";
    "forget-work" ForgetWork "What a connection has brought is forgotten with the connection: it is neither routed nor answered.";
    "late-work" LateWork "What a connection has brought is done behind what the next connection of its client brings.";
    "acknowledge-early" AcknowledgeEarly "PUBACK or PUBREC leaves before what it promises is stored.";
    "skip-sync" SkipSync "One sync of three is left out, and counts as done.";
    "acknowledge-in-doubt" AcknowledgeInDoubt "A write or a sync that has failed counts as done.";
    "commit-out-of-order" CommitOutOfOrder "One batch of three is written behind the next one.";
    "split-group" SplitGroup "A QoS 2 message and its identifier are not stored in one step.";
    "send-before-stored" SendBeforeStored "A QoS 2 message is sent before it is stored.";
    "forget-received" ForgetReceived "That PUBREC has come is not stored.";
    "release-early" ReleaseEarly "PUBREL leaves before the PUBREC that it answers is stored.";
    "complete-early" CompleteEarly "PUBCOMP leaves before the release is stored.";
    "confirm-early" ConfirmEarly "SUBACK leaves before the subscription is stored.";
    "welcome-early" WelcomeEarly "CONNACK leaves before the session is stored.";
    "release-twice" ReleaseTwice "A message that two sessions keep is removed from the store when one is done with it.";
    "ignore-again" IgnoreAgain "What comes with DUP is answered, never routed, though it never came before.";
    "forget-queued" ForgetQueued "A restart forgets the last message of each session.";
    "deliver-second-copy" DeliverSecondCopy "A restart forgets which QoS 2 messages have come, and takes the second copy for a new one.";
    "release-again" ReleaseAgain "A restart forgets for which QoS 2 messages PUBREC has come.";
    "renumber" Renumber "A restart gives what was sent other packet identifiers.";
    "reuse-number" ReuseNumber "A message is sent under a packet identifier that is in use.";
    "swap-queue" SwapQueue "A restart changes the order of two messages.";
    "drop-retain" DropRetain "A restart forgets RETAIN.";
    "outlive-expiry" OutliveExpiry "A restart forgets when messages expire.";
    "expire-late" ExpireLate "A session expires as if its client had left at the restart.";
    "lose-will" LoseWill "A restart forgets Wills.";
    "lose-subscription" LoseSubscription "A restart forgets a subscription.";
    "lose-retained" LoseRetained "A restart forgets a retained message.";
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = FAULTS.iter().find(|known| known.name == name);
        found.map(|known| known.fault).ok_or_else(|| {
            let names: Vec<&str> = FAULTS.iter().map(|known| known.name).collect();
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
