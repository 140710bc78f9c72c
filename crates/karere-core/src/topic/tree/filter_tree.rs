use core::hash::Hash;

use super::entries::Entries;
use super::store::{NONE, NodeId, ROOT, Store, Value};
use super::{LEVELS_MAX, Limits, TreeError};

/// Values by Topic Filter and key: who has subscribed to what.
///
/// A filter here is one without `$share/{ShareName}/`, and valid ([`TopicFilter`](crate::topic::TopicFilter)
/// has seen to that).
pub struct FilterTree<K, V> {
    store: Store<Entries<K, V>>,
    len: usize,
}

impl<K: Eq + Hash, V> FilterTree<K, V> {
    /// An empty tree. `seed` should be one that clients cannot guess.
    #[must_use]
    pub fn new(seed: u64, limits: Limits) -> Self {
        Self { store: Store::new(seed, limits), len: 0 }
    }

    /// Puts in `value` for `key` under `filter`, and gives back the one it replaces.
    ///
    /// # Errors
    /// [`TreeError`], and nothing has changed.
    pub fn insert(&mut self, filter: &str, key: K, value: V) -> Result<Option<V>, TreeError> {
        let id = self.store.insert(filter)?;
        let replaced = self.store.node_mut(id).and_then(|node| node.value.insert(key, value));
        self.len += usize::from(replaced.is_none());
        Ok(replaced)
    }

    /// Takes out what `key` has under exactly this filter.
    pub fn remove(&mut self, filter: &str, key: &K) -> Option<V> {
        let id = self.store.find(filter)?;
        let removed = self.store.node_mut(id)?.value.remove(key)?;
        self.len -= 1;
        self.store.prune(id);
        Some(removed)
    }

    /// What `key` has under exactly this filter.
    pub fn get_mut(&mut self, filter: &str, key: &K) -> Option<&mut V> {
        let id = self.store.find(filter)?;
        self.store.node_mut(id)?.value.get_mut(key)
    }

    /// What `key` has under exactly this filter.
    #[must_use]
    pub fn get(&self, filter: &str, key: &K) -> Option<&V> {
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
    pub(crate) fn matching_entries<'a>(&'a self, topic: &str, mut f: impl FnMut(&'a Entries<K, V>)) {
        let topic_has_dollar = topic.starts_with('$');
        let topic = topic.as_bytes();
        let mut detours = Detours::new();
        let mut step = Some((ROOT, 0));
        while let Some((id, at)) = step {
            let Some(node) = self.store.node(id) else { return };
            let wildcards = !(topic_has_dollar && id == ROOT); // [MQTT-4.7.2-1]
            if wildcards && let Some(below) = self.store.node(node.hash) {
                f(&below.value);
            }
            let Some(rest) = topic.get(at..) else {
                if !node.value.is_empty() {
                    f(&node.value);
                }
                step = detours.pop();
                continue;
            };
            let level = rest.split(|&byte| byte == b'/').next().unwrap_or_default();
            let next = at + level.len() + 1; // past the end of the topic after its last level
            if wildcards && node.plus != NONE {
                detours.push((node.plus, next));
            }
            step = self.store.named_child(id, level).map(|child| (child, next)).or_else(|| detours.pop());
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

    /// How many nodes they take: one for each distinct prefix of whole levels.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.store.len()
    }

    /// The memory taken, in bytes, as far as capacities tell. Looks at every node.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.store.memory_bytes()
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

/// The `+` children that a walk has passed by, each with where in the topic its next level begins.
///
/// A walk always goes down, and leaves at most one behind at each level above it: there are never more than
/// levels in the tree.
struct Detours {
    stack: [(NodeId, usize); LEVELS_MAX],
    len: usize,
}

impl Detours {
    fn new() -> Self {
        Self { stack: [(NONE, 0); LEVELS_MAX], len: 0 }
    }

    fn push(&mut self, step: (NodeId, usize)) {
        if let Some(top) = self.stack.get_mut(self.len) {
            *top = step;
            self.len += 1;
        }
    }

    fn pop(&mut self) -> Option<(NodeId, usize)> {
        self.len = self.len.checked_sub(1)?;
        self.stack.get(self.len).copied()
    }
}
