//! Packet identifiers of QoS 2 messages that were received and not released (§4.3.3).

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::codec::PacketId;

/// The identifiers of QoS 2 messages received and not released by PUBREL, each with what `T` keeps for it.
///
/// An identifier stays for the life of the session: no timer ends it, or a copy sent later would be new.
#[derive(Debug)]
pub struct Unreleased<T> {
    ids: HashMap<PacketId, Entry<T>, FixedState>,
    /// Numbers the connections.
    connection: u32,
    /// How many count against this connection's Receive Maximum.
    counted: usize,
}

#[derive(Debug)]
struct Entry<T> {
    answered: bool,
    /// On which connection it was last received.
    connection: u32,
    kept: T,
}

/// What a QoS 2 PUBLISH with a given identifier is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Receipt {
    /// The first: to be handed over, and answered when that is done.
    First,
    /// Another copy on the same connection, and the first is not answered yet: its answer will do for both.
    Pending,
    /// The first copy on this connection of one that an earlier connection brought and did not answer: handed
    /// over already, and to be answered here when that is done.
    Resumed,
    /// Another copy of what was answered: to be answered again, and not handed over [MQTT-4.3.3-10].
    Answered,
}

impl<T> Unreleased<T> {
    /// Empty; `seed` decides the order in the table.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { ids: HashMap::with_hasher(FixedState::with_seed(seed)), connection: 0, counted: 0 }
    }

    /// A new connection: none counts against its Receive Maximum yet.
    pub fn resume(&mut self) {
        self.connection = self.connection.wrapping_add(1);
        self.counted = 0;
    }

    /// A PUBLISH came. `keep` is asked only for the first copy.
    pub fn receive(&mut self, packet_id: PacketId, keep: impl FnOnce() -> T) -> Receipt {
        let connection = self.connection;
        let Some(entry) = self.ids.get_mut(&packet_id) else {
            self.counted += 1;
            self.ids.insert(packet_id, Entry { answered: false, connection, kept: keep() });
            return Receipt::First;
        };
        let resumed = core::mem::replace(&mut entry.connection, connection) != connection;
        self.counted += usize::from(resumed);
        match (entry.answered, resumed) {
            (true, _) => Receipt::Answered,
            (false, true) => Receipt::Resumed,
            (false, false) => Receipt::Pending,
        }
    }

    /// What a store gives back after a restart: answered on an earlier connection.
    pub fn restore(&mut self, packet_id: PacketId, kept: T) {
        let connection = self.connection.wrapping_sub(1);
        self.ids.insert(packet_id, Entry { answered: true, connection, kept });
    }

    /// PUBREC has been sent.
    pub fn answer(&mut self, packet_id: PacketId) {
        if let Some(entry) = self.ids.get_mut(&packet_id) {
            entry.answered = true;
        }
    }

    /// What is kept for an identifier.
    #[must_use]
    pub fn get(&self, packet_id: PacketId) -> Option<&T> {
        self.ids.get(&packet_id).map(|entry| &entry.kept)
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, packet_id: PacketId) -> Option<&mut T> {
        self.ids.get_mut(&packet_id).map(|entry| &mut entry.kept)
    }

    /// PUBREL came, or the message was refused: the identifier is free again.
    pub fn release(&mut self, packet_id: PacketId) -> Option<T> {
        let entry = self.ids.remove(&packet_id)?;
        self.counted -= usize::from(entry.connection == self.connection);
        Some(entry.kept)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// How many came on this connection, and so count against its Receive Maximum.
    #[must_use]
    pub const fn counted(&self) -> usize {
        self.counted
    }

    /// Whether a message with this identifier came on this connection.
    #[must_use]
    pub fn is_counted(&self, packet_id: PacketId) -> bool {
        self.ids.get(&packet_id).is_some_and(|entry| entry.connection == self.connection)
    }

    /// Whether PUBREC has been sent for this identifier, on whichever connection.
    #[must_use]
    pub fn is_answered(&self, packet_id: PacketId) -> bool {
        self.ids.get(&packet_id).is_some_and(|entry| entry.answered)
    }

    /// Whether a message with this identifier is here.
    #[must_use]
    pub fn contains(&self, packet_id: PacketId) -> bool {
        self.ids.contains_key(&packet_id)
    }

    /// Forgets all: the session is new.
    pub fn clear(&mut self) {
        self.ids.clear();
        self.counted = 0;
    }

    /// The identifiers, for a store.
    pub fn ids(&self) -> impl Iterator<Item = PacketId> {
        self.ids.keys().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_copy_is_new_and_every_later_one_says_what_to_do() {
        let mut unreleased = Unreleased::new(1);
        let id = PacketId::new(7).unwrap();
        assert_eq!(unreleased.receive(id, || ()), Receipt::First);
        assert_eq!(unreleased.receive(id, || ()), Receipt::Pending);
        unreleased.answer(id);
        assert_eq!(unreleased.receive(id, || ()), Receipt::Answered);
        assert_eq!(unreleased.receive(id, || ()), Receipt::Answered);
        assert_eq!(unreleased.len(), 1);
        assert_eq!(unreleased.release(id), Some(()));
        assert_eq!(unreleased.release(id), None);
        assert_eq!(unreleased.receive(id, || ()), Receipt::First);
    }

    #[test]
    fn what_an_earlier_connection_left_unanswered_is_not_new_on_the_next() {
        let mut unreleased = Unreleased::new(1);
        let id = PacketId::new(7).unwrap();
        assert_eq!(unreleased.receive(id, || ()), Receipt::First);
        assert_eq!(unreleased.counted(), 1);
        unreleased.resume();
        assert_eq!(unreleased.counted(), 0);
        assert_eq!(unreleased.receive(id, || ()), Receipt::Resumed);
        assert_eq!(unreleased.receive(id, || ()), Receipt::Pending);
        assert_eq!(unreleased.counted(), 1);
        unreleased.answer(id);
        unreleased.resume();
        assert_eq!(unreleased.receive(id, || ()), Receipt::Answered);
        unreleased.release(id);
        assert_eq!(unreleased.counted(), 0);
    }
}
