//! The store boundary: what must be durable before which packet may leave.
//!
//! The core never writes. It says as values what is to be stored, and holds back the packets that answer for it
//! until it hears that they are; how records reach a disk, and how many with one sync, is the driver's business.
//!
//! | packet that waits | for | who holds it back |
//! |---|---|---|
//! | PUBACK, PUBREC to a publisher | the message, the durable sessions it was matched to, and at QoS 2 the received identifier | the host: it calls [`Slot::handle_routed`](crate::broker::Slot::handle_routed) when they are |
//! | outgoing QoS 2 PUBLISH | its packet identifier: a function of the session's sequence number ([`PacketId::from_sequence`](crate::codec::PacketId::from_sequence)), so that there is no record of its own | the core, with all QoS > 0 behind it, until [`Slot::handle_kept_stored`](crate::broker::Slot::handle_kept_stored) |
//! | outgoing PUBREL | the PUBREC it answers: [`Record::Received`] | the core |
//! | outgoing PUBCOMP | the forgotten identifier: [`Record::Released`] | the core |
//! | SUBACK, UNSUBACK | the subscription | the host: [`Slot::handle_subscribed`](crate::broker::Slot::handle_subscribed) |
//! | CONNACK | the session made, resumed or deleted | the host: [`Slot::attach`](crate::broker::Slot::attach) |
//!
//! Sending at QoS 1 and forgetting on PUBACK wait for nothing. Without a store, or for a session that ends with
//! its connection, there are no records and no packet waits.

use alloc::boxed::Box;
use alloc::collections::VecDeque;

use crate::broker::DropReason;
use crate::codec::{PacketId, QoS};
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
        /// The host's number of the message, which is needed no longer; 0 for none.
        tag: u64,
        /// The number of the PUBREC in this session: PUBRELs are sent again in this order.
        order: u64,
    },
    /// The exchange of the message with this sequence number is over: acknowledged, or refused by the receiver.
    /// No packet waits for it.
    Finished {
        /// The message's sequence number.
        sequence: u64,
        /// The host's number of the message; 0 for none, and after [`Received`](Self::Received).
        tag: u64,
        /// [`Received`](Self::Received) was before it: what is stored for that goes.
        received: bool,
    },
    /// The message with this sequence number is dropped by policy. No packet waits for it.
    Dropped {
        /// The message's sequence number.
        sequence: u64,
        /// The host's number of the message; 0 for none.
        tag: u64,
        /// By which policy.
        reason: DropReason,
    },
    /// A message that was [held back](crate::broker::Delivered::Held) has its sequence number now.
    Numbered {
        /// Its number among those held back.
        number: u64,
        /// Its sequence number.
        sequence: u64,
        /// The host's number of the message.
        tag: u64,
        /// At which QoS it goes out.
        qos: QoS,
        /// RETAIN as it goes out.
        retain: bool,
    },
    /// A message that was [held back](crate::broker::Delivered::Held) is dropped by policy. No packet waits for it.
    HeldDropped {
        /// Its number among those held back.
        number: u64,
        /// The host's number of the message.
        tag: u64,
        /// By which policy.
        reason: DropReason,
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
    /// Only where the session was ever stored: a session that is not is to be small.
    records: Option<Box<Records>>,
}

#[derive(Debug, Default)]
struct Records {
    recorded: u64,
    stored: u64,
    waiting: VecDeque<(u64, Answer)>,
}

impl Gate {
    /// A new connection; `on` when its session is stored. What waited belonged to the one before.
    pub(crate) fn open(&mut self, on: bool) {
        self.on = on;
        if on {
            self.records.get_or_insert_default();
        }
        if let Some(records) = &mut self.records {
            records.waiting.clear();
        }
    }

    /// Whether the session is stored: there are records.
    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        self.on
    }

    /// Numbers a record, where there are any.
    pub(crate) fn record(&mut self) -> Option<StoreSequence> {
        let records = self.records.as_mut().filter(|_| self.on)?;
        records.recorded += 1;
        Some(StoreSequence(records.recorded))
    }

    /// An answer to what was last recorded: to be sent now, or kept until that is stored.
    pub(crate) fn answer(&mut self, answer: Answer) -> Option<Answer> {
        let Some(records) = self.records.as_mut().filter(|_| self.on) else { return Some(answer) };
        if records.stored >= records.recorded && records.waiting.is_empty() {
            return Some(answer);
        }
        records.waiting.push_back((records.recorded, answer));
        None
    }

    /// An answer that waits for no record, but does not overtake one that does.
    pub(crate) fn follow(&mut self, answer: Answer) -> Option<Answer> {
        let Some(records) = self.records.as_mut().filter(|_| self.on) else { return Some(answer) };
        let Some((last, _)) = records.waiting.back() else { return Some(answer) };
        records.waiting.push_back((*last, answer));
        None
    }

    /// Whether an answer waits.
    pub(crate) fn is_waiting(&self) -> bool {
        self.records.as_ref().is_some_and(|records| !records.waiting.is_empty())
    }

    /// All up to `sequence` is durable.
    pub(crate) fn stored(&mut self, sequence: StoreSequence) {
        if let Some(records) = &mut self.records {
            records.stored = records.stored.max(sequence.0);
        }
    }

    /// The next answer that waits no longer.
    pub(crate) fn next(&mut self) -> Option<Answer> {
        let records = self.records.as_mut()?;
        let (record, _) = records.waiting.front()?;
        if *record > records.stored {
            return None;
        }
        records.waiting.pop_front().map(|(_, answer)| answer)
    }
}
