//! Messages sent and not acknowledged.

use alloc::collections::VecDeque;
use core::ops::Range;

use crate::codec::{PacketId, QoS};

/// QoS > 0 messages that were sent and are not acknowledged, in the order in which they were first sent.
///
/// Each has a sequence number, of which its packet identifier is a function
/// ([`PacketId::from_sequence`]); numbers grow, so that an acknowledgement finds its entry by binary search
/// and the common one, for the oldest, at once.
#[derive(Debug)]
pub struct Inflight<T> {
    entries: VecDeque<Entry<T>>,
    /// Counts PUBRECs, so that PUBRELs are sent again in their order [MQTT-4.6.0-4].
    received: u64,
    /// The sequence numbers of what has not been sent on this connection. What is new lies behind its end.
    resend: Range<u64>,
}

#[derive(Debug)]
struct Entry<T> {
    sequence: u64,
    awaiting: Awaiting,
    /// Its PUBLISH went on this connection, and so took of the send quota.
    sent: bool,
    /// Gone with the PUBREC: from then on there is nothing to send but PUBREL.
    message: Option<T>,
}

/// Which packet a message sent waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Awaiting {
    /// QoS 1: PUBACK.
    PubAck,
    /// QoS 2: PUBREC.
    PubRec,
    /// QoS 2: PUBCOMP; PUBREC came as the numbered one.
    PubComp(u64),
}

/// An acknowledgement that does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InflightError {
    /// Nothing with this packet identifier is in flight.
    NotFound,
    /// It waits for another packet.
    Mismatch(Awaiting),
}

impl<T> Default for Inflight<T> {
    fn default() -> Self {
        Self { entries: VecDeque::new(), received: 0, resend: 0..0 }
    }
}

impl<T> Inflight<T> {
    /// A message was sent for the first time. `sequence` must be above all before it, and its packet
    /// identifier free.
    pub fn push(&mut self, sequence: u64, qos: QoS, message: T) {
        debug_assert!(self.entries.back().is_none_or(|last| last.sequence < sequence));
        let awaiting = if qos == QoS::ExactlyOnce { Awaiting::PubRec } else { Awaiting::PubAck };
        self.entries.push_back(Entry { sequence, awaiting, sent: true, message: Some(message) });
    }

    /// What a store gives back after a restart, to be sent again. `sequence` must be above all before it.
    pub fn restore(&mut self, sequence: u64, qos: QoS, message: T) {
        self.push(sequence, qos, message);
        if let Some(entry) = self.entries.back_mut() {
            entry.sent = false;
        }
    }

    /// The same for a message for which the PUBREC with this number had come: only PUBREL is to be sent.
    pub fn restore_received(&mut self, sequence: u64, received: u64) {
        let awaiting = Awaiting::PubComp(received);
        self.received = self.received.max(received.saturating_add(1));
        self.entries.push_back(Entry { sequence, awaiting, sent: false, message: None });
    }

    /// How many PUBRECs have come: the number of the next.
    #[must_use]
    pub const fn received(&self) -> u64 {
        self.received
    }

    /// PUBACK came: hands back the message.
    ///
    /// # Errors
    /// When no QoS 1 message with this identifier is in flight.
    pub fn puback(&mut self, packet_id: PacketId) -> Result<Option<T>, InflightError> {
        let index = self.find(packet_id).ok_or(InflightError::NotFound)?;
        self.expect(index, |awaiting| awaiting == Awaiting::PubAck)?;
        // The oldest, nearly always.
        let entry = if index == 0 { self.entries.pop_front() } else { self.entries.remove(index) };
        Ok(entry.and_then(|entry| entry.message))
    }

    /// PUBREC with success came: the message is the receiver's, PUBREL is next. Hands the message back the
    /// first time; a PUBREC that comes again is answered with PUBREL again.
    ///
    /// # Errors
    /// When no QoS 2 message with this identifier is in flight.
    pub fn pubrec(&mut self, packet_id: PacketId) -> Result<Option<T>, InflightError> {
        let index = self.find(packet_id).ok_or(InflightError::NotFound)?;
        self.expect(index, |awaiting| awaiting != Awaiting::PubAck)?;
        let Some(entry) = self.entries.get_mut(index) else { return Err(InflightError::NotFound) };
        if entry.awaiting == Awaiting::PubRec {
            entry.awaiting = Awaiting::PubComp(self.received);
            self.received += 1;
        }
        Ok(entry.message.take())
    }

    /// PUBREC with an error came: the exchange is over [MQTT-4.4.0-2].
    ///
    /// # Errors
    /// When no QoS 2 message with this identifier waits for PUBREC.
    pub fn pubrec_failed(&mut self, packet_id: PacketId) -> Result<Option<T>, InflightError> {
        let index = self.find(packet_id).ok_or(InflightError::NotFound)?;
        self.expect(index, |awaiting| awaiting == Awaiting::PubRec)?;
        Ok(self.entries.remove(index).and_then(|entry| entry.message))
    }

    /// PUBCOMP came: the exchange is over.
    ///
    /// # Errors
    /// When no QoS 2 message with this identifier waits for PUBCOMP.
    pub fn pubcomp(&mut self, packet_id: PacketId) -> Result<(), InflightError> {
        let index = self.find(packet_id).ok_or(InflightError::NotFound)?;
        self.expect(index, |awaiting| matches!(awaiting, Awaiting::PubComp(_)))?;
        self.entries.remove(index);
        Ok(())
    }

    /// A new connection has resumed the session: all is to be sent again. First the PUBRELs, by identifier,
    /// in the order in which their PUBRECs came; then the messages, one by one from
    /// [`next_resend`](Self::next_resend).
    pub fn resume(&mut self, pubrel: impl FnMut(PacketId)) {
        self.suspend();
        self.release(pubrel);
    }

    /// A new connection: nothing of this was sent on it, and all is to be sent again.
    pub fn suspend(&mut self) {
        self.entries.iter_mut().for_each(|entry| entry.sent = false);
        self.resend = match (self.entries.front(), self.entries.back()) {
            (Some(first), Some(last)) => first.sequence..last.sequence + 1,
            _ => 0..0,
        };
    }

    /// The PUBRELs to be sent again, in the order in which their PUBRECs came; not those that belong to this connection.
    pub fn release(&mut self, mut pubrel: impl FnMut(PacketId)) {
        let mut released: alloc::vec::Vec<(u64, u64)> = self
            .entries
            .iter()
            .filter(|entry| !entry.sent)
            .filter_map(|entry| match entry.awaiting {
                Awaiting::PubComp(received) => Some((received, entry.sequence)),
                _ => None,
            })
            .collect();
        released.sort_unstable();
        for (_, sequence) in released {
            pubrel(PacketId::from_sequence(sequence));
        }
    }

    /// The next message that has to be sent again, in the order of the first sending [MQTT-4.6.0-1]; call
    /// [`resent`](Self::resent) when that is done.
    #[must_use]
    pub fn next_resend(&self) -> Option<(PacketId, &T)> {
        if self.resend.is_empty() {
            return None;
        }
        let start = self.entries.partition_point(|entry| entry.sequence < self.resend.start);
        let unsent = self.entries.range(start..).take_while(|entry| entry.sequence < self.resend.end);
        let mut sendable = unsent.filter_map(|entry| Some((entry.sequence, entry.message.as_ref()?)));
        sendable.next().map(|(sequence, message)| (PacketId::from_sequence(sequence), message))
    }

    /// The sequence number that this identifier stands for.
    #[must_use]
    pub fn sequence(&self, packet_id: PacketId) -> Option<u64> {
        self.entries.get(self.find(packet_id)?).map(|entry| entry.sequence)
    }

    /// Whether the PUBLISH with this identifier went on this connection, and not only its PUBREL.
    #[must_use]
    pub fn is_sent(&self, packet_id: PacketId) -> bool {
        self.find(packet_id).and_then(|index| self.entries.get(index)).is_some_and(|entry| entry.sent)
    }

    /// The message with this identifier, unless PUBREC has come for it.
    #[must_use]
    pub fn get(&self, packet_id: PacketId) -> Option<&T> {
        self.entries.get(self.find(packet_id)?)?.message.as_ref()
    }

    /// What [`next_resend`](Self::next_resend) named was sent.
    pub fn resent(&mut self, packet_id: PacketId) {
        let entry = self.find(packet_id).and_then(|index| self.entries.get_mut(index));
        self.resend.start = entry.map_or(self.resend.end, |entry| {
            entry.sent = true;
            entry.sequence + 1
        });
    }

    /// Whether anything has to be sent again before something new may be sent.
    #[must_use]
    pub fn is_resending(&self) -> bool {
        self.next_resend().is_some()
    }

    /// Takes out, in order, the messages that `chosen` says, with what each waited for.
    pub fn extract(
        &mut self,
        mut chosen: impl FnMut(Awaiting, Option<&T>) -> bool,
        mut taken: impl FnMut(T),
    ) {
        if !self.entries.iter().any(|entry| chosen(entry.awaiting, entry.message.as_ref())) {
            return;
        }
        for entry in core::mem::take(&mut self.entries) {
            if !chosen(entry.awaiting, entry.message.as_ref()) {
                self.entries.push_back(entry);
            } else if let Some(message) = entry.message {
                taken(message);
            }
        }
    }

    /// How many went on this connection and are not acknowledged.
    #[must_use]
    pub fn sent(&self) -> usize {
        self.entries.iter().filter(|entry| entry.sent).count()
    }

    /// Takes out everything that was not sent on this connection, in order: sequence number, what it waited for, and the
    /// message where it is kept.
    pub fn drain_unsent(&mut self) -> impl DoubleEndedIterator<Item = (u64, Awaiting, Option<T>)> + use<T> {
        self.resend = 0..0;
        let (sent, unsent): (VecDeque<_>, VecDeque<_>) =
            core::mem::take(&mut self.entries).into_iter().partition(|entry| entry.sent);
        self.entries = sent;
        unsent.into_iter().map(|entry| (entry.sequence, entry.awaiting, entry.message))
    }

    /// Takes out everything, in order: sequence number, what it waited for, and the message where it is kept.
    pub fn drain(&mut self) -> impl DoubleEndedIterator<Item = (u64, Awaiting, Option<T>)> + use<T> {
        self.resend = 0..0;
        core::mem::take(&mut self.entries)
            .into_iter()
            .map(|entry| (entry.sequence, entry.awaiting, entry.message))
    }

    /// Whether something with this identifier is in flight.
    #[must_use]
    pub fn contains(&self, packet_id: PacketId) -> bool {
        self.find(packet_id).is_some()
    }

    /// How many are in flight.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none is in flight.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The sequence numbers, rising.
    pub fn sequences(&self) -> impl Iterator<Item = u64> {
        self.entries.iter().map(|entry| entry.sequence)
    }

    /// The sequence number of the oldest.
    #[must_use]
    pub fn first_sequence(&self) -> Option<u64> {
        self.entries.front().map(|entry| entry.sequence)
    }

    /// All, in order, for a store.
    pub fn iter(&self) -> impl Iterator<Item = (u64, Awaiting, Option<&T>)> {
        self.entries.iter().map(|entry| (entry.sequence, entry.awaiting, entry.message.as_ref()))
    }

    fn expect(&self, index: usize, fits: impl FnOnce(Awaiting) -> bool) -> Result<(), InflightError> {
        let awaiting = self.entries.get(index).ok_or(InflightError::NotFound)?.awaiting;
        if fits(awaiting) { Ok(()) } else { Err(InflightError::Mismatch(awaiting)) }
    }

    /// The entry whose sequence number gives this identifier. More than one number may do so when the oldest
    /// is more than 65,535 behind the newest; at most one of them is in use.
    fn find(&self, packet_id: PacketId) -> Option<usize> {
        const IDS: u64 = 65_535;
        let first = self.entries.front()?.sequence;
        if PacketId::from_sequence(first) == packet_id {
            return Some(0);
        }
        let last = self.entries.back()?.sequence;
        let offset = (u64::from(packet_id.get()) + IDS - 1 - first % IDS) % IDS;
        let mut sequence = first + offset;
        while sequence <= last {
            if let Ok(index) = self.entries.binary_search_by_key(&sequence, |entry| entry.sequence) {
                return Some(index);
            }
            sequence += IDS;
        }
        None
    }
}

#[cfg(test)]
mod tests;
