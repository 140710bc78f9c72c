//! Where a packet waits for the disk.
//!
//! The one place between routing and answering. QoS 1 is routed at once, and only its PUBACK waits for what
//! was stored; a QoS 2 message is routed when it is stored, so that a copy sent again after a crash is not
//! doubled. In memory there is nothing to wait for.

use karere_core::Instant;
use karere_core::broker::{AckToken, Slot};
use karere_core::codec::ReasonCode;
use karere_core::store::{Record, StoreSequence};

/// The store in memory: everything is as durable as it will ever be.
#[derive(Debug)]
pub(crate) struct Commit;

impl Commit {
    /// A change of the session is to be stored: the packets that wait for it leave when it is.
    pub(crate) fn record(&self, slot: &mut Slot, now: Instant, sequence: StoreSequence, record: &Record) {
        let _ = record;
        slot.handle_stored(now, sequence);
    }

    /// Answers messages in their order; they are routed, and stored where that is asked for.
    pub(crate) fn acknowledge(
        &self,
        slot: &mut Slot,
        now: Instant,
        answers: impl Iterator<Item = (AckToken, ReasonCode)>,
    ) {
        for (token, reason) in answers {
            slot.handle_routed(now, token, reason);
        }
    }
}
