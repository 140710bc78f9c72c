use alloc::boxed::Box;
use alloc::vec::Vec;
use core::hash::{BuildHasher, Hash};
use core::{mem, slice};

use foldhash::fast::FixedState;
use hashbrown::HashTable;

/// Up to here, looking through a list beats looking into an index.
const FEW_MAX: usize = 16;

/// What hangs on one filter: values by key, in no particular order.
///
/// Nearly every filter has one subscriber and some have 100,000, so one entry is kept in the node, a few in a
/// list, and for more there is an index over that list: nothing here takes time proportional to their number.
#[derive(Default)]
pub(crate) enum Entries<K, V> {
    #[default]
    None,
    One((K, V)),
    Few(Vec<(K, V)>),
    Many(Box<Indexed<K, V>>),
}

/// A list, and where in it each key is.
pub(crate) struct Indexed<K, V> {
    entries: Vec<(K, V)>,
    positions: HashTable<u32>,
}

impl<K: Eq + Hash, V> Entries<K, V> {
    /// Puts `value` in, and gives back what was there for this key.
    pub(super) fn insert(&mut self, key: K, value: V) -> Option<V> {
        if let Some(old) = self.get_mut(&key) {
            return Some(mem::replace(old, value));
        }
        match self {
            Self::None => *self = Self::One((key, value)),
            Self::Few(list) if list.len() < FEW_MAX => list.push((key, value)),
            Self::Many(indexed) => indexed.push(key, value),
            Self::One(_) | Self::Few(_) => self.grow(key, value),
        }
        None
    }

    pub(super) fn remove(&mut self, key: &K) -> Option<V> {
        let removed = match self {
            Self::One((only, _)) if only == key => match mem::take(self) {
                Self::One((_, value)) => Some(value),
                _ => None,
            },
            Self::None | Self::One(_) => None,
            Self::Few(list) => {
                let position = list.iter().position(|(other, _)| other == key)?;
                Some(list.swap_remove(position).1)
            }
            Self::Many(indexed) => indexed.remove(key),
        };
        self.shrink();
        removed
    }

    pub(super) fn get(&self, key: &K) -> Option<&V> {
        match self {
            Self::Many(indexed) => indexed.get(key),
            _ => self.as_slice().iter().find(|(other, _)| other == key).map(|(_, value)| value),
        }
    }

    pub(super) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let list = match self {
            Self::None => return None,
            Self::One(only) => slice::from_mut(only),
            Self::Few(list) => list.as_mut_slice(),
            Self::Many(indexed) => return indexed.get_mut(key),
        };
        list.iter_mut().find(|(other, _)| other == key).map(|(_, value)| value)
    }

    /// One more than this shape holds: the next larger shape.
    fn grow(&mut self, key: K, value: V) {
        *self = match mem::take(self) {
            Self::One(first) => Self::Few(Vec::from([first, (key, value)])),
            Self::Few(list) => {
                let mut indexed = Indexed { entries: Vec::new(), positions: HashTable::new() };
                list.into_iter().for_each(|(key, value)| indexed.push(key, value));
                indexed.push(key, value);
                Self::Many(Box::new(indexed))
            }
            other @ (Self::None | Self::Many(_)) => other,
        };
    }

    /// After a removal: the shape that fits what is left.
    fn shrink(&mut self) {
        match self {
            Self::Few(list) if list.len() <= 1 => *self = list.pop().map_or(Self::None, Self::One),
            // Half of what made it grow, so that one that comes and goes does not build an index each time.
            Self::Many(indexed) if indexed.entries.len() <= FEW_MAX / 2 => {
                let mut list = mem::take(&mut indexed.entries);
                list.shrink_to_fit();
                *self = Self::Few(list);
            }
            Self::Many(indexed) => indexed.release(),
            Self::None | Self::One(_) | Self::Few(_) => {}
        }
    }
}

impl<K, V> Entries<K, V> {
    pub(crate) fn as_slice(&self) -> &[(K, V)] {
        match self {
            Self::None => &[],
            Self::One(only) => slice::from_ref(only),
            Self::Few(list) => list,
            Self::Many(indexed) => &indexed.entries,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::None)
    }

    pub(super) fn heap_bytes(&self) -> usize {
        match self {
            Self::None | Self::One(_) => 0,
            Self::Few(list) => list.capacity() * size_of::<(K, V)>(),
            Self::Many(indexed) => {
                size_of::<Indexed<K, V>>()
                    + indexed.entries.capacity() * size_of::<(K, V)>()
                    + indexed.positions.allocation_size()
            }
        }
    }
}

impl<K: Eq + Hash, V> Indexed<K, V> {
    /// Appends a key that is not there yet.
    fn push(&mut self, key: K, value: V) {
        let hash = hash_of(&key);
        // A position is an entry of 8 bytes or more somewhere in memory: 2^32 of them do not come together.
        let Ok(position) = u32::try_from(self.entries.len()) else { return };
        self.entries.push((key, value));
        let entries = &self.entries;
        self.positions.insert_unique(hash, position, |&at| hash_at(entries, at));
    }

    fn remove(&mut self, key: &K) -> Option<V> {
        let entries = &self.entries;
        let found = self.positions.find_entry(hash_of(key), |&at| key_at(entries, at) == Some(key));
        let (position, _) = found.ok()?.remove();
        let (_, value) = self.entries.swap_remove(position as usize);
        if let Some((moved, _)) = self.entries.get(position as usize) {
            let last = self.entries.len() as u32;
            if let Some(at) = self.positions.find_mut(hash_of(moved), |&at| at == last) {
                *at = position;
            }
        }
        Some(value)
    }

    fn get(&self, key: &K) -> Option<&V> {
        let at = self.positions.find(hash_of(key), |&at| key_at(&self.entries, at) == Some(key))?;
        self.entries.get(*at as usize).map(|(_, value)| value)
    }

    fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let at = self.positions.find(hash_of(key), |&at| key_at(&self.entries, at) == Some(key))?;
        self.entries.get_mut(*at as usize).map(|(_, value)| value)
    }

    /// Gives memory back once three quarters of it are unused.
    fn release(&mut self) {
        let len = self.entries.len();
        if len < self.entries.capacity() / 4 {
            self.entries.shrink_to(2 * len);
            let entries = &self.entries;
            self.positions.shrink_to(2 * len, |&at| hash_at(entries, at));
        }
    }
}

fn key_at<K, V>(entries: &[(K, V)], position: u32) -> Option<&K> {
    entries.get(position as usize).map(|(key, _)| key)
}

fn hash_at<K: Hash, V>(entries: &[(K, V)], position: u32) -> u64 {
    key_at(entries, position).map_or(0, hash_of)
}

/// Keys are the broker's own numbers, so that nobody can choose them to collide: no seed.
fn hash_of<K: Hash>(key: &K) -> u64 {
    FixedState::with_seed(0).hash_one(key)
}
