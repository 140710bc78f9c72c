//! The store boundary: what must be durable before which packet may leave.
//!
//! The core never writes. It says as values what is to be stored, and holds back the packets that answer for it
//! until it hears that they are; how records reach a disk, and how many with one sync, is the driver's business.
//!
//! | packet that waits | for | who holds it back |
//! |---|---|---|
//! | PUBACK, PUBREC to a publisher | the message, the durable sessions it was matched to, and at QoS 2 the received identifier | the host: it calls [`Slot::handle_routed`](crate::broker::Slot::handle_routed) when they are |
//! | outgoing QoS 2 PUBLISH | its packet identifier: a function of the session's sequence number ([`PacketId::from_sequence`](crate::codec::PacketId::from_sequence)), so that there is no record of its own | nobody |
//! | outgoing PUBREL | the PUBREC it answers: [`Record::Received`] | the core |
//! | outgoing PUBCOMP | the forgotten identifier: [`Record::Released`] | the core |
//! | SUBACK, UNSUBACK | the subscription | the host: [`Slot::handle_subscribed`](crate::broker::Slot::handle_subscribed) |
//! | CONNACK | the session made, resumed or deleted | the host: [`Slot::attach`](crate::broker::Slot::attach) |
//!
//! Sending at QoS 1 and forgetting on PUBACK wait for nothing. Without a store, or for a session that ends with
//! its connection, there are no records and no packet waits.

use alloc::collections::VecDeque;

use crate::codec::PacketId;
use crate::session::Answer;

/// Numbers the records of one session, in the order in which they are to become durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct StoreSequence(u64);

/// A change of a session that is to be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Record {
    /// PUBREC came for the message with this sequence number: it is the receiver's, and must not be sent again.
    Received {
        /// The message's sequence number.
        sequence: u64,
    },
    /// The exchange of the message with this sequence number is over. No packet waits for it.
    Finished {
        /// The message's sequence number.
        sequence: u64,
    },
    /// PUBREL came: the identifier of an incoming QoS 2 message is forgotten.
    Released {
        /// Which one.
        packet_id: PacketId,
    },
}

/// Holds back answers until what they answer for is stored.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    on: bool,
    recorded: u64,
    stored: u64,
    waiting: VecDeque<(u64, Answer)>,
}

impl Gate {
    /// A new connection; `on` when its session is stored. What waited belonged to the one before.
    pub(crate) fn open(&mut self, on: bool) {
        self.on = on;
        self.waiting.clear();
    }

    /// Numbers a record, where there are any.
    pub(crate) fn record(&mut self) -> Option<StoreSequence> {
        self.on.then(|| {
            self.recorded += 1;
            StoreSequence(self.recorded)
        })
    }

    /// An answer to what was last recorded: to be sent now, or kept until that is stored.
    pub(crate) fn answer(&mut self, answer: Answer) -> Option<Answer> {
        if !self.on || (self.stored >= self.recorded && self.waiting.is_empty()) {
            return Some(answer);
        }
        self.waiting.push_back((self.recorded, answer));
        None
    }

    /// All up to `sequence` is durable.
    pub(crate) fn stored(&mut self, sequence: StoreSequence) {
        self.stored = self.stored.max(sequence.0);
    }

    /// The next answer that waits no longer.
    pub(crate) fn next(&mut self) -> Option<Answer> {
        let (record, _) = self.waiting.front()?;
        if *record > self.stored {
            return None;
        }
        self.waiting.pop_front().map(|(_, answer)| answer)
    }
}
