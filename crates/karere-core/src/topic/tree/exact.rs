use core::hash::Hasher;

use foldhash::SharedSeed;
use foldhash::fast::FoldHasher;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Place;

use super::level::Level;
use super::store::Value;

/// Below this many entries nobody waits for the memory of the unused ones.
const SHRINK_MIN: usize = 1024;

/// Values by a whole filter without wildcards, text and value in one cell.
///
/// Most filters are such, and only the topic that reads the same matches one: one hash and, where there are
/// many, one or two cache lines, where a walk level by level comes to two or three lines a level.
pub(super) struct Exact<T> {
    entries: HashTable<Entry<T>>,
    hash: PathHash,
}

struct Entry<T> {
    path: Level,
    value: T,
}

/// The hash of a filter, under a seed that no client knows: a filter is chosen by whoever subscribes.
struct PathHash {
    seed: u64,
    // Its own, because the fixed one that comes with the hasher is known to everybody.
    shared: SharedSeed,
}

impl<T: Value> Exact<T> {
    pub(super) fn new(seed: u64) -> Self {
        let hash = PathHash { seed, shared: SharedSeed::from_u64(!seed) };
        Self { entries: HashTable::new(), hash }
    }

    /// The value for `path`, a vacant one if it was not there.
    pub(super) fn get_or_insert(&mut self, path: &str) -> &mut T {
        let (path, hash) = (path.as_bytes(), &self.hash);
        let place = self.entries.entry(
            hash.of(path),
            |entry| entry.path.as_bytes() == path,
            |entry| hash.of(entry.path.as_bytes()),
        );
        let occupied = match place {
            Place::Occupied(occupied) => occupied,
            Place::Vacant(vacant) => vacant.insert(Entry { path: Level::new(path), value: T::default() }),
        };
        &mut occupied.into_mut().value
    }

    pub(super) fn get_mut(&mut self, path: &str) -> Option<&mut T> {
        let path = path.as_bytes();
        let entry = self.entries.find_mut(self.hash.of(path), |entry| entry.path.as_bytes() == path)?;
        Some(&mut entry.value)
    }

    /// Forgets `path` if its value is vacant.
    pub(super) fn prune(&mut self, path: &str) {
        let path = path.as_bytes();
        let is_vacant = |entry: &Entry<T>| entry.path.as_bytes() == path && entry.value.is_vacant();
        if let Ok(entry) = self.entries.find_entry(self.hash.of(path), is_vacant) {
            entry.remove();
        }
        let capacity = self.entries.capacity();
        if capacity > SHRINK_MIN && self.entries.len() < capacity / 4 {
            let hash = &self.hash;
            self.entries.shrink_to(2 * self.entries.len(), |entry| hash.of(entry.path.as_bytes()));
        }
    }

    #[inline]
    pub(super) fn get(&self, path: &[u8]) -> Option<&T> {
        let entry = self.entries.find(self.hash.of(path), |entry| entry.path.as_bytes() == path)?;
        Some(&entry.value)
    }

    pub(super) fn contains(&self, path: &str) -> bool {
        self.get(path.as_bytes()).is_some()
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// What the whole table takes, in bytes; looks at every entry.
    pub(super) fn memory_bytes(&self) -> usize {
        let of_entry = |entry: &Entry<T>| entry.path.heap_bytes() + entry.value.heap_bytes();
        self.entries.allocation_size() + self.entries.iter().map(of_entry).sum::<usize>()
    }
}

impl PathHash {
    #[inline]
    fn of(&self, path: &[u8]) -> u64 {
        let mut hasher = FoldHasher::with_seed(self.seed, &self.shared);
        hasher.write(path);
        hasher.finish()
    }
}
