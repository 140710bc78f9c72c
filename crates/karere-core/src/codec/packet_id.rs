//! Packet Identifier (section 2.2.1).

use core::{fmt, num::NonZeroU16};

/// The number that ties an acknowledgement to its packet; never zero. [MQTT-2.2.1-3]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PacketId(NonZeroU16);

impl PacketId {
    /// `None` for zero.
    #[inline]
    #[must_use]
    pub const fn new(id: u16) -> Option<Self> {
        match NonZeroU16::new(id) {
            Some(id) => Some(Self(id)),
            None => None,
        }
    }

    /// The number, 1 to 65,535.
    #[inline]
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0.get()
    }

    /// The identifier of the message with this sequence number: `sequence % 65535 + 1`, so that the
    /// sequence numbers of any 65,535 messages in a row give different identifiers.
    #[must_use]
    pub const fn from_sequence(sequence: u64) -> Self {
        // The remainder is below 65,535, so that adding to one cannot saturate.
        Self(NonZeroU16::MIN.saturating_add((sequence % 65_535) as u16))
    }
}

impl fmt::Display for PacketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_is_no_identifier() {
        assert_eq!(PacketId::new(0), None);
        assert_eq!(PacketId::new(65_535).map(PacketId::get), Some(65_535));
    }

    #[test]
    fn the_identifiers_of_a_sequence_go_round_without_zero() {
        let ids = [0, 1, 65_533, 65_534, 65_535, 65_536, u64::MAX].map(|n| PacketId::from_sequence(n).get());
        assert_eq!(ids, [1, 2, 65_534, 65_535, 1, 2, 1]);
    }

    #[test]
    fn sixty_five_thousand_five_hundred_and_thirty_five_in_a_row_are_all_different() {
        let start = 1_000_000;
        let mut ids: std::vec::Vec<_> = (start..start + 65_535).map(PacketId::from_sequence).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 65_535);
    }
}
