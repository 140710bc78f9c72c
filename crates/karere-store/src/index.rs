//! Where each value lies, and how much of each segment is still needed.

use std::collections::BTreeMap;
use std::ops::Range;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;

use crate::batch::{Key, OPERATION_LEN};

/// Where a value lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Location {
    pub(crate) segment: u32,
    pub(crate) len: u32,
    pub(crate) offset: u64,
}

#[derive(Debug)]
pub(crate) struct Index {
    values: HashMap<Key, Location, FixedState>,
    /// Bytes of operations that are still needed, by segment.
    live: BTreeMap<u32, u64>,
}

impl Index {
    pub(crate) fn new(seed: u64) -> Self {
        Self { values: HashMap::with_hasher(FixedState::with_seed(seed)), live: BTreeMap::new() }
    }

    pub(crate) fn put(&mut self, key: Key, location: Location) {
        match self.values.entry(key) {
            Entry::Occupied(mut entry) => {
                let before = entry.insert(location);
                self.needed_less(before);
            }
            Entry::Vacant(entry) => {
                entry.insert(location);
            }
        }
        *self.live.entry(location.segment).or_default() += bytes(location);
    }

    pub(crate) fn remove(&mut self, key: Key) {
        if let Some(before) = self.values.remove(&key) {
            self.needed_less(before);
        }
    }

    /// Forgets the values that lie in `range` of `segment`: they cannot be read any more.
    pub(crate) fn forget_range(&mut self, segment: u32, range: Range<u64>) {
        let lost = |location: &Location| location.segment == segment && range.contains(&location.offset);
        let lost: Vec<Key> =
            self.values.iter().filter(|(_, location)| lost(location)).map(|(key, _)| *key).collect();
        lost.into_iter().for_each(|key| self.remove(key));
    }

    pub(crate) fn forget_segment(&mut self, segment: u32) {
        self.live.remove(&segment);
    }

    pub(crate) fn get(&self, key: Key) -> Option<Location> {
        self.values.get(&key).copied()
    }

    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    /// Bytes that are still needed, of all segments.
    pub(crate) fn live_bytes(&self) -> u64 {
        self.live.values().sum()
    }

    /// Whether anything in `segment` is still needed.
    pub(crate) fn is_needed(&self, segment: u32) -> bool {
        self.live.get(&segment).is_some_and(|live| *live > 0)
    }

    /// Where the values of all keys lie that `wanted` takes, in no order.
    pub(crate) fn find(&self, wanted: impl Fn(Key) -> bool) -> impl Iterator<Item = (Key, Location)> {
        self.values.iter().filter(move |(key, _)| wanted(**key)).map(|(key, location)| (*key, *location))
    }

    fn needed_less(&mut self, location: Location) {
        if let Some(live) = self.live.get_mut(&location.segment) {
            *live = live.saturating_sub(bytes(location));
        }
    }
}

fn bytes(location: Location) -> u64 {
    OPERATION_LEN as u64 + u64::from(location.len)
}
