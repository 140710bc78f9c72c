//! A session that is stored: what is to be stored of it, what waits for that, and what comes back after a restart.

use alloc::vec::Vec;

use super::link::Phase;
use super::publish::Queued;
use super::{Client, Event, MessageState, Options, Record, Restored};
use crate::codec::QoS;
use crate::session::Answer;
use crate::store::StoreSequence;
use crate::time::Instant;

/// With a store.
impl Client {
    /// A client without a connection, with the session that a store has: an earlier process left it there.
    ///
    /// What was published and is not acknowledged is sent again with the same identifiers. Where the session is under
    /// another Client Identifier than the [options](Options::client_id) name, it is lost, and what it holds is new.
    #[must_use]
    pub fn restore(options: Options, restored: Restored) -> Self {
        let mut client = Self::new(options);
        let Restored { client_id, messages, taken } = restored;
        client.has_session = client_id.is_some() || !messages.is_empty() || !taken.is_empty();
        let is_ours = client_id.as_ref().is_none_or(|client_id| *client_id == client.options.client_id);
        let is_assigned = client.options.client_id.is_empty() && client_id.is_some();
        for message in messages {
            if message.sequence < client.sequence {
                continue; // not in their order: whoever stored these stored something else
            }
            let sequence = message.sequence;
            client.sequence = sequence.saturating_add(1);
            match message.state {
                MessageState::Published { message, expires_at } => {
                    let queued = Queued { sequence: Some(sequence), message, expires_at };
                    client.sender.inflight.restore(sequence, queued.message.qos, queued);
                }
                MessageState::Received { order } => client.sender.inflight.restore_received(sequence, order),
            }
        }
        taken.into_iter().for_each(|packet_id| client.receiver.restore(packet_id));
        if is_assigned {
            client.assigned_id = client_id;
        } else if !is_ours {
            client.has_session = false;
            client.forget_incoming();
            client.send_as_new();
        }
        client
    }

    /// What [`Event::Record`] named is durable, up to `sequence`: the packets that waited for it leave.
    pub fn handle_stored(&mut self, now: Instant, sequence: StoreSequence) {
        self.gate.stored(sequence);
        while self.unstored.pop_front_if(|(number, _)| *number <= sequence).is_some() {}
        let asks = self.forgetting.take_if(|forgetting| *forgetting <= sequence).is_some();
        // Behind our DISCONNECT nothing may go, and the next connection sends again what is unanswered.
        if self.link.phase != Phase::Connected {
            return;
        }
        while let Some(answer) = self.gate.next() {
            self.send_ack(now, answer.packet, answer.packet_id, answer.reason);
        }
        if asks && self.link.held.is_none() {
            self.send_requests(now);
        }
        self.pump(now);
    }

    /// Takes back a message for which [`Record::Published`] came: it cannot be stored, and whoever published it is told so.
    pub fn withdraw(&mut self, sequence: u64) {
        self.sender.queue.extract(|queued| queued.sequence == Some(sequence), &mut drop);
        self.unstored.retain(|(_, unstored)| *unstored != sequence);
    }

    /// Whether a packet waits until something is stored.
    #[must_use]
    pub fn is_waiting_for_store(&self) -> bool {
        self.gate.is_waiting() || !self.unstored.is_empty()
    }

    /// Says that a change of the session is to be stored, where there is a store.
    pub(super) fn record(&mut self, record: Record) -> Option<StoreSequence> {
        let number = self.gate.record()?;
        self.events.push_back(Event::Record(number, record));
        Some(number)
    }

    /// The exchange of a message is over.
    pub(super) fn record_finished(&mut self, sequence: u64, received: bool) {
        self.record(Record::Finished { sequence, received });
    }

    /// A message that waited is given up.
    pub(super) fn record_dropped(&mut self, queued: &Queued) {
        if let Some(sequence) = queued.sequence.filter(|_| queued.message.qos > QoS::AtMostOnce) {
            self.record_finished(sequence, false);
        }
    }

    /// The server knows nothing of the incoming messages whose identifiers we keep.
    pub(super) fn forget_incoming(&mut self) {
        if self.receiver.unreleased() > 0 {
            self.forgetting = self.record(Record::Forgotten);
        }
        self.receiver.clear();
    }

    /// PUBREC, PUBREL and PUBCOMP wait for the record of what they answer.
    pub(super) fn send_answer(&mut self, now: Instant, answer: Answer) {
        if let Some(answer) = self.gate.answer(answer) {
            self.send_ack(now, answer.packet, answer.packet_id, answer.reason);
        }
    }

    /// What waits for no record goes behind what does.
    pub(super) fn send_behind(&mut self, now: Instant, answer: Answer) {
        if let Some(answer) = self.gate.follow(answer) {
            self.send_ack(now, answer.packet, answer.packet_id, answer.reason);
        }
    }

    /// Puts all that the server has not taken responsibility for before what waits, as new. What it has answered with
    /// PUBREC counts as delivered.
    pub(super) fn send_as_new(&mut self) {
        let mut again = Vec::new();
        let mut delivered = Vec::new();
        for (sequence, _, message) in self.sender.inflight.drain_unsent() {
            match message {
                None => delivered.push(sequence),
                Some(message) => again.push(message),
            }
        }
        self.sender.queue.put_back(again.into_iter());
        for sequence in delivered {
            self.record_finished(sequence, true);
            self.events.push_back(Event::delivered(sequence));
        }
    }
}
