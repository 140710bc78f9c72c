//! Messages that wait to be sent.

use alloc::collections::VecDeque;

use crate::codec::QoS;
use crate::time::Instant;

/// What a [`Queue`] must know of its items.
pub trait Waiting {
    /// Its QoS.
    fn qos(&self) -> QoS;
    /// What it counts for against the limit in bytes.
    fn size_bytes(&self) -> usize;
    /// When it expires.
    fn expires_at(&self) -> Option<Instant>;
    /// Its sequence number, of which its packet identifier is a function.
    fn sequence(&self) -> Option<u64>;
}

/// Messages that wait to be sent, in order, bounded in count and in bytes.
#[derive(Debug)]
pub struct Queue<T> {
    items: VecDeque<T>,
    bytes: usize,
    /// How many of `items` are at QoS 0.
    qos0: usize,
    count_max: usize,
    bytes_max: usize,
}

impl<T: Waiting> Queue<T> {
    /// Empty, with its limits.
    #[must_use]
    pub const fn new(count_max: usize, bytes_max: usize) -> Self {
        Self { items: VecDeque::new(), bytes: 0, qos0: 0, count_max, bytes_max }
    }

    /// Puts `item` at the end. When a limit is reached, first what has expired goes, then the oldest at
    /// QoS 0, each handed to `dropped`; when that is not enough, `item` comes back.
    ///
    /// # Errors
    /// `item` itself when the queue is full of QoS > 0.
    pub fn push(&mut self, now: Instant, item: T, dropped: impl FnMut(T)) -> Result<(), T> {
        self.push_sparing(now, item, |_| false, dropped)
    }

    /// The same, and what `spared` says does not go for having expired.
    ///
    /// # Errors
    /// `item` itself when the queue is full of QoS > 0.
    pub fn push_sparing(
        &mut self,
        now: Instant,
        item: T,
        spared: impl Fn(&T) -> bool,
        mut dropped: impl FnMut(T),
    ) -> Result<(), T> {
        if !self.fits(&item) {
            self.extract(|item| is_expired(now, item.expires_at()) && !spared(item), &mut dropped);
        }
        while !self.fits(&item) {
            match self.pop_oldest_qos0() {
                Some(oldest) => dropped(oldest),
                None => return Err(item),
            }
        }
        self.bytes += item.size_bytes();
        self.qos0 += usize::from(item.qos() == QoS::AtMostOnce);
        self.items.push_back(item);
        Ok(())
    }

    /// Puts `items` before all others, in their order and beyond the limits: they were taken before.
    pub fn put_back(&mut self, items: impl DoubleEndedIterator<Item = T>) {
        for item in items.rev() {
            self.bytes += item.size_bytes();
            self.qos0 += usize::from(item.qos() == QoS::AtMostOnce);
            self.items.push_front(item);
        }
    }

    /// Puts `item` at the end, beyond the limits: it was taken before a restart.
    pub fn restore(&mut self, item: T) {
        self.bytes += item.size_bytes();
        self.qos0 += usize::from(item.qos() == QoS::AtMostOnce);
        self.items.push_back(item);
    }

    /// Takes the first, expired or not.
    pub fn pop(&mut self) -> Option<T> {
        let item = self.items.pop_front()?;
        self.forget(&item);
        Some(item)
    }

    /// The first.
    #[must_use]
    pub fn front(&self) -> Option<&T> {
        self.items.front()
    }

    /// Gives what has expired to `dropped`.
    pub fn expire(&mut self, now: Instant, dropped: &mut impl FnMut(T)) {
        self.extract(|item| is_expired(now, item.expires_at()), dropped);
    }

    /// Takes out all that `chosen` says, in order.
    pub fn extract(&mut self, mut chosen: impl FnMut(&T) -> bool, taken: &mut impl FnMut(T)) {
        if !self.items.iter().any(&mut chosen) {
            return;
        }
        for item in core::mem::take(&mut self.items) {
            if chosen(&item) {
                self.forget(&item);
                taken(item);
            } else {
                self.items.push_back(item);
            }
        }
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// How many wait at QoS 0.
    #[must_use]
    pub const fn qos0(&self) -> usize {
        self.qos0
    }

    /// Their bytes.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// All, in order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.items.iter()
    }

    /// New limits; what is there stays.
    pub fn set_limits(&mut self, count_max: usize, bytes_max: usize) {
        self.count_max = count_max;
        self.bytes_max = bytes_max;
    }

    fn fits(&self, item: &T) -> bool {
        self.items.len() < self.count_max && self.bytes + item.size_bytes() <= self.bytes_max
    }

    fn pop_oldest_qos0(&mut self) -> Option<T> {
        if self.qos0 == 0 {
            return None;
        }
        let index = self.items.iter().position(|item| item.qos() == QoS::AtMostOnce)?;
        let item = self.items.remove(index)?;
        self.forget(&item);
        Some(item)
    }

    fn forget(&mut self, item: &T) {
        self.bytes -= item.size_bytes();
        self.qos0 -= usize::from(item.qos() == QoS::AtMostOnce);
    }
}

/// Whether the time of something has passed [MQTT-3.3.2-5].
pub(crate) fn is_expired(now: Instant, expires_at: Option<Instant>) -> bool {
    expires_at.is_some_and(|at| at <= now)
}

/// What is left of a Message Expiry Interval [MQTT-3.3.2-6]: whole seconds, rounded up, so that a message does
/// not arrive as expired.
pub(crate) fn remaining_seconds(now: Instant, expires_at: Instant) -> u32 {
    u32::try_from(expires_at.since(now).as_millis().div_ceil(1000)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[derive(Debug, PartialEq, Clone, Copy)]
    struct Item(u32, QoS, usize, Option<u64>);

    impl Waiting for Item {
        fn qos(&self) -> QoS {
            self.1
        }
        fn size_bytes(&self) -> usize {
            self.2
        }
        fn expires_at(&self) -> Option<Instant> {
            self.3.map(Instant::from_millis)
        }
        fn sequence(&self) -> Option<u64> {
            None
        }
    }

    const NOW: Instant = Instant::from_millis(1000);

    fn push(queue: &mut Queue<Item>, item: Item) -> (Result<(), Item>, Vec<u32>) {
        let mut dropped = Vec::new();
        let result = queue.push(NOW, item, |item| dropped.push(item.0));
        (result, dropped)
    }

    #[test]
    fn a_full_queue_drops_the_expired_then_the_oldest_qos_0_then_refuses_the_newest() {
        let mut queue = Queue::new(4, 1000);
        for item in [
            Item(1, QoS::AtLeastOnce, 1, None),
            Item(2, QoS::AtMostOnce, 1, None),
            Item(3, QoS::AtLeastOnce, 1, Some(1000)),
            Item(4, QoS::AtMostOnce, 1, None),
        ] {
            assert_eq!(push(&mut queue, item), (Ok(()), Vec::new()));
        }
        let one = |n| Item(n, QoS::AtLeastOnce, 1, None);
        assert_eq!(push(&mut queue, one(5)), (Ok(()), Vec::from([3])));
        assert_eq!(push(&mut queue, one(6)), (Ok(()), Vec::from([2])));
        assert_eq!(push(&mut queue, one(7)), (Ok(()), Vec::from([4])));
        assert_eq!(push(&mut queue, one(8)), (Err(one(8)), Vec::new()));
        let left: Vec<u32> = core::iter::from_fn(|| queue.pop()).map(|item| item.0).collect();
        assert_eq!(left, [1, 5, 6, 7]);
        assert_eq!((queue.bytes(), queue.qos0()), (0, 0));
    }

    #[test]
    fn the_limit_in_bytes_holds_beside_the_limit_in_count() {
        let mut queue = Queue::new(100, 10);
        assert!(push(&mut queue, Item(1, QoS::AtMostOnce, 6, None)).0.is_ok());
        assert_eq!(push(&mut queue, Item(2, QoS::AtLeastOnce, 7, None)), (Ok(()), Vec::from([1])));
        assert!(push(&mut queue, Item(3, QoS::AtLeastOnce, 4, None)).0.is_err());
        assert!(push(&mut queue, Item(4, QoS::AtLeastOnce, 3, None)).0.is_ok());
        assert_eq!(queue.bytes(), 10);
    }
}
