use alloc::vec::Vec;

use super::store::{NONE, NodeId, ROOT, Store, Value};
use super::{LEVELS_MAX, Limits, TreeError};

/// Values by Topic Name: the retained message of each topic.
///
/// Nodes without a value are the larger part of it, so a large `V` is better boxed.
pub struct TopicTree<V> {
    store: Store<Option<V>>,
    len: usize,
}

impl<V> TopicTree<V> {
    /// An empty tree. `seed` should be one that clients cannot guess.
    #[must_use]
    pub fn new(seed: u64, limits: Limits) -> Self {
        Self { store: Store::new(seed, limits), len: 0 }
    }

    /// Puts in `value` for `topic`, and gives back the one it replaces.
    ///
    /// # Errors
    /// [`TreeError`], and nothing has changed.
    pub fn insert(&mut self, topic: &str, value: V) -> Result<Option<V>, TreeError> {
        let id = self.store.insert(topic, 0)?;
        let replaced = self.store.node_mut(id).and_then(|node| node.value.replace(value));
        self.len += usize::from(replaced.is_none());
        Ok(replaced)
    }

    /// Takes out the value of exactly this topic.
    pub fn remove(&mut self, topic: &str) -> Option<V> {
        let id = self.store.find(topic)?;
        let removed = self.store.node_mut(id)?.value.take()?;
        self.len -= 1;
        self.store.prune(id);
        Some(removed)
    }

    /// The value of exactly this topic.
    #[must_use]
    pub fn get(&self, topic: &str) -> Option<&V> {
        self.store.node(self.store.find(topic)?)?.value.as_ref()
    }

    /// Calls `f` with the value of each topic that `filter` matches, in no particular order.
    ///
    /// `filter` is one without `$share/{ShareName}/`. Comes to each node at most once.
    pub fn matching(&self, filter: &str, mut f: impl FnMut(&V)) {
        // Two more than a topic can have are as good as any number: no `#` there is reached, and no end.
        let levels: Vec<&str> = filter.split('/').take(LEVELS_MAX + 2).collect();
        let mut step = Some((ROOT, 0));
        while let Some((id, depth)) = step {
            let down = match levels.get(depth).copied() {
                None => {
                    self.visit(id, &mut f);
                    None
                }
                Some("#") => {
                    self.visit_all(id, &mut f);
                    None
                }
                Some("+") => self.visible(id, self.first_child(id)),
                Some(level) => self.store.named_child(id, level.as_bytes()),
            };
            step = match down {
                Some(child) => Some((child, depth + 1)),
                None => self.next_branch(id, depth, &levels),
            };
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

    /// The memory taken, in bytes, as far as capacities tell: without what a value holds on to itself.
    /// Looks at every node.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.store.memory_bytes()
    }

    /// From a node that is done, the next sibling that the nearest `+` at or above it matches.
    ///
    /// The nodes know their parents, so that no stack has to.
    fn next_branch(&self, mut id: NodeId, mut depth: usize, levels: &[&str]) -> Option<(NodeId, usize)> {
        loop {
            let node = self.store.node(id)?;
            depth = depth.checked_sub(1)?;
            if levels.get(depth) == Some(&"+")
                && let Some(sibling) = self.visible(node.parent, node.next)
            {
                return Some((sibling, depth + 1));
            }
            id = node.parent;
        }
    }

    /// Visits all that is at and below `top`.
    fn visit_all(&self, top: NodeId, f: &mut impl FnMut(&V)) {
        let mut step = Some(top);
        while let Some(id) = step {
            self.visit(id, f);
            step = self.visible(id, self.first_child(id)).or_else(|| self.next_below(top, id));
        }
    }

    /// From a node without children, the next one in `top`'s subtree.
    fn next_below(&self, top: NodeId, mut id: NodeId) -> Option<NodeId> {
        while id != top {
            let node = self.store.node(id)?;
            if let Some(sibling) = self.visible(node.parent, node.next) {
                return Some(sibling);
            }
            id = node.parent;
        }
        None
    }

    fn visit(&self, id: NodeId, f: &mut impl FnMut(&V)) {
        if let Some(value) = self.store.node(id).and_then(|node| node.value.as_ref()) {
            f(value);
        }
    }

    /// The first of `id` and its later siblings that a wildcard sees: not the first levels with a `$`
    /// [MQTT-4.7.2-1].
    fn visible(&self, parent: NodeId, mut id: NodeId) -> Option<NodeId> {
        while let Some(node) = self.store.node(id) {
            if parent != ROOT || !node.level().starts_with(b"$") {
                return Some(id);
            }
            id = node.next;
        }
        None
    }

    fn first_child(&self, id: NodeId) -> NodeId {
        self.store.node(id).map_or(NONE, |node| node.first_child)
    }
}

impl<V> Value for Option<V> {
    fn is_vacant(&self) -> bool {
        self.is_none()
    }

    fn heap_bytes(&self) -> usize {
        0
    }
}
