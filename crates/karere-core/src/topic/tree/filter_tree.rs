use core::hash::Hash;

use super::entries::Entries;
use super::exact::Exact;
use super::store::{NONE, ROOT, Store, Value};
use super::{LEVELS_MAX, Limits, TreeError};

/// Values by Topic Filter and key: who has subscribed to what.
///
/// Filters without wildcards are found by their whole text, the others level by level.
///
/// A filter here is one without `$share/{ShareName}/`, and valid ([`TopicFilter`](crate::topic::TopicFilter)
/// has seen to that).
pub struct FilterTree<K, V> {
    exact: Exact<Entries<K, V>>,
    store: Store<Entries<K, V>>,
    len: usize,
}

impl<K: Eq + Hash, V> FilterTree<K, V> {
    /// An empty tree. `seed` should be one that clients cannot guess.
    #[must_use]
    pub fn new(seed: u64, limits: Limits) -> Self {
        Self { exact: Exact::new(seed), store: Store::new(seed, limits), len: 0 }
    }

    /// Puts in `value` for `key` under `filter`, and gives back the one it replaces.
    ///
    /// # Errors
    /// [`TreeError`], and nothing has changed.
    pub fn insert(&mut self, filter: &str, key: K, value: V) -> Result<Option<V>, TreeError> {
        let entries = if is_wildcard(filter) {
            let id = self.store.insert(filter, self.exact.len())?;
            self.store.node_mut(id).map(|node| &mut node.value)
        } else {
            self.store.check_depth(filter)?;
            if !self.exact.contains(filter) {
                self.store.check_room(self.exact.len() + 1)?;
            }
            Some(self.exact.get_or_insert(filter))
        };
        let replaced = entries.and_then(|entries| entries.insert(key, value));
        self.len += usize::from(replaced.is_none());
        Ok(replaced)
    }

    /// Takes out what `key` has under exactly this filter.
    pub fn remove(&mut self, filter: &str, key: &K) -> Option<V> {
        if !is_wildcard(filter) {
            let removed = self.exact.get_mut(filter)?.remove(key)?;
            self.len -= 1;
            self.exact.prune(filter);
            return Some(removed);
        }
        let id = self.store.find(filter)?;
        let removed = self.store.node_mut(id)?.value.remove(key)?;
        self.len -= 1;
        self.store.prune(id);
        Some(removed)
    }

    /// What `key` has under exactly this filter.
    pub fn get_mut(&mut self, filter: &str, key: &K) -> Option<&mut V> {
        if !is_wildcard(filter) {
            return self.exact.get_mut(filter)?.get_mut(key);
        }
        let id = self.store.find(filter)?;
        self.store.node_mut(id)?.value.get_mut(key)
    }

    /// What `key` has under exactly this filter.
    #[must_use]
    pub fn get(&self, filter: &str, key: &K) -> Option<&V> {
        if !is_wildcard(filter) {
            return self.exact.get(filter.as_bytes())?.get(key);
        }
        self.store.node(self.store.find(filter)?)?.value.get(key)
    }

    /// Calls `f` with each key and value whose filter matches `topic`, in no particular order.
    ///
    /// Allocates nothing, and comes to each node at most once: the work is bounded by the nodes there are and
    /// by 2 to the number of levels, whichever is less. A key is seen once for each of its filters that
    /// match.
    pub fn matches(&self, topic: &str, mut f: impl FnMut(&K, &V)) {
        self.matching_entries(topic, |entries| {
            for (key, value) in entries.as_slice() {
                f(key, value);
            }
        });
    }

    /// Calls `f` once for each filter that matches `topic`, with all that hangs on it.
    #[inline]
    pub(crate) fn matching_entries<'a>(&'a self, topic: &str, mut f: impl FnMut(&'a Entries<K, V>)) {
        if self.exact.len() > 0
            && let Some(entries) = self.exact.get(topic.as_bytes())
        {
            f(entries);
        }
        if self.store.len() > 0 {
            self.matching_wildcards(topic, f);
        }
    }

    /// Goes down by the topic's own levels. The `+` children that it passes by are marked by their depth, and
    /// gone to afterwards, from the deepest up: the nodes know their parents, so that no stack has to.
    fn matching_wildcards<'a>(&'a self, topic: &str, mut f: impl FnMut(&'a Entries<K, V>)) {
        let topic_has_dollar = topic.starts_with('$');
        let topic = topic.as_bytes();
        let (mut id, mut at, mut depth) = (ROOT, 0, 0_u32);
        let mut passed_by = Detours::default();
        loop {
            let Some(node) = self.store.node(id) else { return };
            let wildcards = !(topic_has_dollar && id == ROOT); // [MQTT-4.7.2-1]
            if wildcards && let Some(below) = self.store.node(node.hash) {
                f(&below.value);
            }
            if let Some(rest) = topic.get(at..) {
                let level = first_level(rest);
                if wildcards && node.plus != NONE {
                    passed_by.mark(depth);
                }
                if let Some(child) = self.store.named_child(id, level) {
                    // Past the end of the topic after its last level.
                    (id, at, depth) = (child, at + level.len() + 1, depth + 1);
                    continue;
                }
            } else if !node.value.is_empty() {
                f(&node.value);
            }
            let Some(back) = passed_by.take_deepest() else { return };
            while depth > back
                && let Some(node) = self.store.node(id)
            {
                (id, at, depth) = (node.parent, level_before(topic, at), depth - 1);
            }
            let Some(node) = self.store.node(id) else { return };
            let level = first_level(topic.get(at..).unwrap_or_default());
            (id, at, depth) = (node.plus, at + level.len() + 1, depth + 1);
        }
    }

    /// How many values there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many nodes they take: one for each filter without wildcards, and one for each distinct prefix of whole
    /// levels of the others.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.store.len() + self.exact.len()
    }

    /// The memory taken, in bytes, as far as capacities tell. Looks at every node.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.exact.memory_bytes() + self.store.memory_bytes()
    }
}

impl<K: Eq + Hash, V> Value for Entries<K, V> {
    fn is_vacant(&self) -> bool {
        self.is_empty()
    }

    fn heap_bytes(&self) -> usize {
        Entries::heap_bytes(self)
    }
}

/// The depths, above the node where a walk is, at which it has passed a `+` child by: one bit each.
#[derive(Default)]
struct Detours(u128);

const _: () = assert!(LEVELS_MAX <= u128::BITS as usize);

impl Detours {
    fn mark(&mut self, depth: u32) {
        self.0 |= 1_u128.checked_shl(depth).unwrap_or_default();
    }

    fn take_deepest(&mut self) -> Option<u32> {
        let depth = self.0.checked_ilog2()?;
        self.0 ^= 1 << depth;
        Some(depth)
    }
}

fn is_wildcard(filter: &str) -> bool {
    filter.as_bytes().iter().any(|byte| matches!(byte, b'+' | b'#'))
}

fn first_level(rest: &[u8]) -> &[u8] {
    let end = rest.iter().position(|&byte| byte == b'/').unwrap_or(rest.len());
    rest.get(..end).unwrap_or_default()
}

/// Where the level begins that ends before `at`, which is where another one begins or would.
fn level_before(topic: &[u8], at: usize) -> usize {
    let before = topic.get(..at.saturating_sub(1)).unwrap_or_default();
    before.iter().rposition(|&byte| byte == b'/').map_or(0, |slash| slash + 1)
}
