//! Acknowledgements in the order of arrival.

use alloc::collections::VecDeque;

use crate::codec::{PacketId, QoS, ReasonCode};

/// What was received and is not acknowledged, in the order of arrival.
///
/// The application may be done with them in any order; acknowledgements leave in the order in which the
/// messages came ([MQTT-4.6.0-2], [MQTT-4.6.0-3]).
#[derive(Debug, Default)]
pub(crate) struct Arrivals {
    entries: VecDeque<Arrival>,
    /// The number of the first of `entries`; numbers are given in sequence.
    first: u64,
    /// How many are at QoS 1.
    at_least_once: usize,
    /// Acknowledged as the application asks for it, and not in the order of arrival.
    as_asked: bool,
    /// Those whose turn has come out of order; in `entries` they are done.
    ready: VecDeque<Done>,
}

#[derive(Debug)]
struct Arrival {
    packet_id: PacketId,
    qos: QoS,
    done: Option<ReasonCode>,
}

/// One arrival whose turn has come to be acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Done {
    pub(crate) packet_id: PacketId,
    pub(crate) qos: QoS,
    pub(crate) reason: ReasonCode,
}

impl Arrivals {
    /// From now on those that the application is done with are acknowledged at once, and hold up none after them.
    pub(crate) fn set_as_asked(&mut self, as_asked: bool) {
        self.as_asked = as_asked;
    }

    /// Returns the number to give to [`done`](Self::done).
    pub(crate) fn push(&mut self, packet_id: PacketId, qos: QoS) -> u64 {
        self.entries.push_back(Arrival { packet_id, qos, done: None });
        self.at_least_once += usize::from(qos == QoS::AtLeastOnce);
        self.first + self.entries.len() as u64 - 1
    }

    /// The application is done with that arrival; false when it was already, or never was.
    pub(crate) fn done(&mut self, arrival: u64, reason: ReasonCode) -> bool {
        let entry = arrival.checked_sub(self.first).and_then(|index| self.entries.get_mut(index as usize));
        match entry {
            Some(entry) if entry.done.is_none() => {
                entry.done = Some(reason);
                if self.as_asked {
                    self.ready.push_back(Done { packet_id: entry.packet_id, qos: entry.qos, reason });
                    self.forget_done();
                }
                true
            }
            _ => false,
        }
    }

    /// The next arrival to acknowledge, if the application is done with it.
    pub(crate) fn next(&mut self) -> Option<Done> {
        if self.as_asked {
            return self.ready.pop_front();
        }
        let Arrival { packet_id, qos, done: Some(reason) } = *self.entries.front()? else { return None };
        self.entries.pop_front();
        self.first += 1;
        self.at_least_once -= usize::from(qos == QoS::AtLeastOnce);
        Some(Done { packet_id, qos, reason })
    }

    /// How many are at QoS 1: those that count against our Receive Maximum and stand nowhere else.
    pub(crate) fn at_least_once(&self) -> usize {
        self.at_least_once
    }

    /// The connection has gone: the peer sends them again.
    pub(crate) fn clear(&mut self) {
        self.first += self.entries.len() as u64;
        self.entries.clear();
        self.ready.clear();
        self.at_least_once = 0;
    }

    fn forget_done(&mut self) {
        while let Some(Arrival { qos, done: Some(_), .. }) = self.entries.front() {
            self.at_least_once -= usize::from(*qos == QoS::AtLeastOnce);
            self.entries.pop_front();
            self.first += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn id(n: u16) -> PacketId {
        PacketId::new(n).unwrap()
    }

    #[test]
    fn acknowledgements_leave_in_the_order_of_arrival_whatever_the_order_of_being_done() {
        let mut arrivals = Arrivals::default();
        let numbers: Vec<u64> = (1..=3).map(|n| arrivals.push(id(n), QoS::AtLeastOnce)).collect();
        assert!(arrivals.done(numbers[2], ReasonCode::Success));
        assert!(arrivals.done(numbers[1], ReasonCode::NotAuthorized));
        assert_eq!(arrivals.next(), None);
        assert!(arrivals.done(numbers[0], ReasonCode::Success));
        let order: Vec<_> =
            core::iter::from_fn(|| arrivals.next()).map(|done| (done.packet_id.get(), done.reason)).collect();
        assert_eq!(
            order,
            [(1, ReasonCode::Success), (2, ReasonCode::NotAuthorized), (3, ReasonCode::Success)]
        );
    }

    #[test]
    fn as_asked_one_that_is_never_acknowledged_holds_up_none_after_it() {
        let mut arrivals = Arrivals::default();
        arrivals.set_as_asked(true);
        let numbers: Vec<u64> = (1..=3).map(|n| arrivals.push(id(n), QoS::AtLeastOnce)).collect();
        assert!(arrivals.done(numbers[2], ReasonCode::Success));
        assert!(arrivals.done(numbers[1], ReasonCode::Success));
        assert!(!arrivals.done(numbers[1], ReasonCode::Success));
        let order: Vec<u16> =
            core::iter::from_fn(|| arrivals.next()).map(|done| done.packet_id.get()).collect();
        assert_eq!(order, [3, 2]);
        assert_eq!(arrivals.at_least_once(), 3); // until the first is done: a bound that errs on the safe side
        assert!(arrivals.done(numbers[0], ReasonCode::Success));
        assert_eq!(arrivals.at_least_once(), 0);
    }

    #[test]
    fn being_done_twice_or_with_what_has_gone_is_refused() {
        let mut arrivals = Arrivals::default();
        let first = arrivals.push(id(1), QoS::AtLeastOnce);
        assert!(arrivals.done(first, ReasonCode::Success));
        assert!(!arrivals.done(first, ReasonCode::Success));
        arrivals.clear();
        let second = arrivals.push(id(1), QoS::AtLeastOnce);
        assert!(!arrivals.done(first, ReasonCode::Success));
        assert_ne!(first, second);
        assert!(!arrivals.done(second + 1, ReasonCode::Success));
    }
}
