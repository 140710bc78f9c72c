//! A session that is stored: what was kept is durable, what ends with it, and the slot after a restart.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::Slot;
use super::output::Outbound;
use crate::broker::{
    Ending, EntryState, Event, Options, Restored, RestoredEntry, RestoredHeld, StoredEntry, StoredMessage,
};
use crate::codec::{PacketId, QoS, Will};
use crate::session::{Awaiting, Waiting};
use crate::store::Record;
use crate::text::Text;
use crate::time::Instant;

impl Slot {
    /// A place for a client whose session was stored: as it was when its connection ended, with nobody attached.
    ///
    /// What may have been sent is sent again with its packet identifier, in its order and with DUP, before anything else
    /// [MQTT-4.4.0-1]. That is all below [`Restored::unsent_from`], as far as its packet identifiers differ: while a
    /// message before it has the same, nothing can have been sent. It does not expire any more, nor move to another
    /// member of its Shared Subscription at QoS 2; what is above does both, and is sent for the first time. No window
    /// can tell the two apart where `unsent_from` is not known, because a crash may have lost that more was
    /// acknowledged.
    ///
    /// `options` must have [`store`](Options::store) on. A Will or an end that was due meanwhile comes with
    /// [`handle_timeout`](Self::handle_timeout). Take the events: what was held back has its sequence numbers.
    #[must_use]
    pub fn restore(client_id: Text, options: Arc<Options>, seed: u64, restored: Restored) -> Self {
        let mut slot = Self::new(client_id, options, seed);
        // The client was told of this session, and the next CONNACK says so.
        slot.epoch = 1;
        slot.gate.open(true);
        slot.filters.extend(restored.filters);
        restored.unreleased.into_iter().for_each(|packet_id| slot.receiver.restore(packet_id));
        slot.restore_entries(restored.entries, restored.unsent_from);
        slot.sequence = slot.sequence.max(restored.next_sequence);
        slot.kept = Some(Box::default());
        slot.restore_held(restored.held);
        slot.session_expiry = restored.session_expiry;
        let at = restored.disconnected_at;
        if let Some(will) = restored.will {
            // The end of the session sends it too, if that is earlier.
            slot.will_due = Some(at.plus_seconds(will.delay));
            slot.will = Some(will.into());
        }
        slot.expires_at =
            (restored.session_expiry < u32::MAX).then(|| at.plus_seconds(restored.session_expiry));
        slot
    }

    /// Whether the session is stored: there is a [store](Options::store), and it was to outlive a connection once.
    ///
    /// It stays so to its end. From then on what is delivered at QoS > 0 is [kept](crate::broker::Delivered::Kept) or
    /// [held](crate::broker::Delivered::Held), and changes are [recorded](Event::Record).
    #[must_use]
    pub fn is_stored(&self) -> bool {
        self.kept.is_some()
    }

    /// What was [kept](crate::broker::Delivered::Kept) at QoS 2, or has been [numbered](Record::Numbered), under these
    /// sequence numbers is durable, in any order: what waited for that is sent. What was to move to another member of
    /// its Shared Subscription when the connection broke moves now, with an [`Event::Redistribute`], also when the
    /// session [has ended](Self::end) since.
    ///
    /// Each is to be told, whatever has become of it meanwhile; others' numbers do no harm.
    pub fn handle_kept_stored(&mut self, now: Instant, sequences: impl IntoIterator<Item = u64>) {
        let Some(kept) = &mut self.kept else { return };
        sequences.into_iter().for_each(|sequence| kept.pending.settle(sequence));
        if kept.moving > 0 {
            self.move_on();
        }
        if !self.ended && self.sender.has_more() {
            self.pump(now);
        }
    }

    /// What was [held back](crate::broker::Delivered::Held) at QoS 2 under these numbers is durable, in any order: it gets
    /// its sequence number once the SUBSCRIBE is answered, and with it a [`Record::Numbered`].
    ///
    /// Each is to be told, whatever has become of it meanwhile; others' numbers do no harm.
    pub fn handle_held_stored(&mut self, now: Instant, numbers: impl IntoIterator<Item = u64>) {
        let Some(kept) = &mut self.kept else { return };
        numbers.into_iter().for_each(|number| kept.pending_held.settle(number));
        if !self.ended {
            self.release_held(now);
        }
    }

    /// Whether a packet waits until all that was recorded is durable.
    #[must_use]
    pub fn is_waiting_for_store(&self) -> bool {
        self.gate.is_waiting()
    }

    /// Whether [`poll_event`](Self::poll_event) has something.
    #[must_use]
    pub fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    /// The Will, while it is not sent.
    #[must_use]
    pub fn will(&self) -> Option<&Will> {
        self.will.as_deref()
    }

    /// From this sequence number on nothing has ever been sent. It stays so until the next [`attach`](Self::attach).
    #[must_use]
    pub fn unsent_from(&self) -> u64 {
        let first = self.sender.queue.iter().find_map(Waiting::sequence);
        first.unwrap_or(self.sequence)
    }

    /// What a store has of the session's messages, in the order of their sequence numbers; nothing where the session
    /// [is not stored](Self::is_stored).
    pub fn stored_entries(&self) -> impl Iterator<Item = StoredEntry> {
        let inflight = self.sender.inflight.iter().map(|(sequence, awaiting, outbound)| StoredEntry {
            sequence,
            tag: outbound.map_or(0, |outbound| outbound.tag),
            received: matches!(awaiting, Awaiting::PubComp(_)),
        });
        let queue = self.sender.queue.iter().filter_map(Outbound::stored);
        inflight.chain(queue).filter(|_| self.is_stored())
    }

    /// Moves what the connection left and is durable now.
    fn move_on(&mut self) {
        let Self { sender, kept: Some(kept), events, .. } = self else { return };
        let moving = kept.moving;
        if kept.pending.is_settled(moving) {
            kept.moving = 0;
        }
        let moves = |outbound: &Outbound| {
            outbound.shared.is_some()
                && outbound.qos == QoS::ExactlyOnce
                && outbound
                    .sequence()
                    .is_some_and(|number| number < moving && kept.pending.is_settled(number))
        };
        let mut shared = Vec::new();
        sender.queue.extract(moves, &mut |outbound| shared.extend(outbound.into_shared(true)));
        if !shared.is_empty() {
            events.push_back(Event::Redistribute(shared));
        }
    }

    /// The connection has gone: what could not move with the rest is to, if there is any.
    pub(super) fn leave_moving(&mut self) {
        if !self.is_stored() {
            return;
        }
        let moving = self.sender.queue.iter().any(|outbound| self.waits_to_move(outbound).is_some());
        if let Some(kept) = &mut self.kept {
            kept.moving = if moving { self.sequence } else { 0 };
        }
    }

    /// What is stored of a session that ends. What is still to move stays here:
    /// [`handle_kept_stored`](Self::handle_kept_stored) gives it out.
    pub(super) fn end_stored(&mut self, ending: &mut Ending) {
        self.leave_moving();
        let mut held = self.held.take();
        while let Some(outbound) = held.as_mut().and_then(|held| held.pop()) {
            ending.held.extend(outbound.sequence().map(|number| (number, outbound.tag)));
        }
        ending.unreleased = self.receiver.packet_ids().collect();
        let waits: Vec<u64> =
            self.sender.queue.iter().filter_map(|outbound| self.waits_to_move(outbound)).collect();
        ending.entries =
            self.stored_entries().filter(|entry| waits.binary_search(&entry.sequence).is_err()).collect();
        let gone = |outbound: &Outbound| {
            outbound.sequence().is_none_or(|sequence| waits.binary_search(&sequence).is_err())
        };
        self.sender.queue.extract(gone, &mut drop);
    }

    /// The sequence number of a message in the queue that may not move to another member before it is durable.
    fn waits_to_move(&self, outbound: &Outbound) -> Option<u64> {
        let waits = outbound.shared.is_some() && !outbound.may_go(self.kept.as_deref());
        outbound.sequence().filter(|_| waits)
    }

    fn restore_entries(&mut self, mut entries: Vec<RestoredEntry>, unsent_from: Option<u64>) {
        entries.sort_by_key(|entry| entry.sequence);
        entries.dedup_by_key(|entry| entry.sequence);
        let received = entries.iter().rfind(|entry| matches!(entry.state, EntryState::Received { .. }));
        // Whatever was before one that has come was sent before it.
        let surely_sent = received.map_or(0, |entry| entry.sequence);
        let mut unsent_from = unsent_from.unwrap_or(u64::MAX).max(surely_sent);
        for RestoredEntry { sequence, state } in entries {
            self.sequence = sequence.saturating_add(1);
            match state {
                EntryState::Received { order } => {
                    self.sender.inflight.restore_received(sequence, order);
                }
                EntryState::Kept(message) => {
                    if sequence > surely_sent
                        && self.sender.inflight.contains(PacketId::from_sequence(sequence))
                    {
                        unsent_from = unsent_from.min(sequence);
                    }
                    let outbound = Outbound::restored(message, Some(sequence));
                    if sequence < unsent_from {
                        self.sender.inflight.restore(sequence, outbound.qos, outbound);
                    } else {
                        self.sender.queue.restore(outbound);
                    }
                }
            }
        }
    }

    fn restore_held(&mut self, held: Vec<RestoredHeld>) {
        for RestoredHeld { number, message } in held {
            let StoredMessage { tag, qos, retain, .. } = message;
            let sequence = self.sequence;
            self.sequence += 1;
            self.sender.queue.restore(Outbound::restored(message, Some(sequence)));
            if let Some(kept) = &mut self.kept {
                kept.pending.push(sequence);
            }
            self.record(Record::Numbered { number, sequence, tag, qos, retain });
        }
    }
}
