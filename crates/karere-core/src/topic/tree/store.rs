use alloc::vec;
use alloc::vec::Vec;
use core::hash::Hasher;
use core::mem;

use foldhash::SharedSeed;
use foldhash::fast::FoldHasher;
use hashbrown::HashTable;

use super::level::Level;
use super::{LEVELS_MAX, Limits, TreeError};

#[cfg(test)]
mod tests;

/// A node's place in the store. A `u32`, because a node holds six of them.
pub(super) type NodeId = u32;

/// The node above every first level; always there, and without a value.
pub(super) const ROOT: NodeId = 0;

/// No node. No index is ever so large, so looking it up finds nothing.
pub(super) const NONE: NodeId = NodeId::MAX;

/// The parent of a node on the free list.
const FREE: NodeId = NodeId::MAX - 1;

/// Below this many nodes nobody waits for the memory of the unused ones.
const COMPACT_MIN: usize = 1024;

/// What a node carries.
pub(super) trait Value: Default {
    /// Whether it carries nothing, so that a node without children is not needed for it.
    fn is_vacant(&self) -> bool;

    /// What it takes outside the node, in bytes.
    fn heap_bytes(&self) -> usize;
}

/// One level of a filter or a topic, below the levels before it.
pub(super) struct Node<T> {
    level: Level,
    pub(super) parent: NodeId,
    pub(super) first_child: NodeId,
    previous: NodeId,
    /// The next child of the same parent; on the free list, the next free node.
    pub(super) next: NodeId,
    /// The child that is the level `+`.
    pub(super) plus: NodeId,
    /// The child that is the level `#`.
    pub(super) hash: NodeId,
    pub(super) value: T,
}

/// The nodes of a tree in one list, and the way from a parent and a level to the child in one table.
///
/// One table instead of one in each node: most nodes have one child, and a table of its own would be the
/// larger part of it. The wildcard children are not in the table but in their parent, so that each step of a
/// match finds them without hashing, and a name can never be mistaken for one of them.
pub(super) struct Store<T> {
    nodes: Vec<Node<T>>,
    free: NodeId,
    free_len: usize,
    edges: HashTable<NodeId>,
    hash: EdgeHash,
    limits: Limits,
}

impl<T: Value> Store<T> {
    pub(super) fn new(seed: u64, limits: Limits) -> Self {
        let limits = Limits {
            levels_max: limits.levels_max.min(LEVELS_MAX),
            nodes_max: limits.nodes_max.min(FREE as usize - 1), // and the root
        };
        let root = Node::new(Level::EMPTY, NONE);
        let hash = EdgeHash { seed, shared: SharedSeed::from_u64(!seed) };
        Self { nodes: vec![root], free: NONE, free_len: 0, edges: HashTable::new(), hash, limits }
    }

    /// The node for `path`, made if it is not there. `elsewhere`: how many nodes count beside those in here.
    ///
    /// The caller has to put a value there, or call [`prune`](Self::prune).
    pub(super) fn insert(&mut self, path: &str, elsewhere: usize) -> Result<NodeId, TreeError> {
        self.check_depth(path)?;
        let mut levels = path.split('/').peekable();
        let mut id = ROOT;
        while let Some(child) = levels.peek().and_then(|level| self.child(id, level)) {
            id = child;
            levels.next();
        }
        self.check_room(elsewhere + levels.clone().count())?;
        for level in levels {
            id = self.add_child(id, level.as_bytes());
        }
        Ok(id)
    }

    /// Whether `path` has no more levels than it may.
    pub(super) fn check_depth(&self, path: &str) -> Result<(), TreeError> {
        let levels_max = self.limits.levels_max;
        match path.split('/').nth(levels_max) {
            Some(_) => Err(TreeError::TooDeep { levels_max }),
            None => Ok(()),
        }
    }

    /// Whether there may be `more` nodes.
    pub(super) fn check_room(&self, more: usize) -> Result<(), TreeError> {
        let nodes_max = self.limits.nodes_max;
        if self.len() + more > nodes_max { Err(TreeError::Full { nodes_max }) } else { Ok(()) }
    }

    /// Removes the node, and then those above it, for as long as they carry nothing and lead nowhere.
    ///
    /// Every [`NodeId`] is void after this.
    pub(super) fn prune(&mut self, mut id: NodeId) {
        while let Some(node) = self.node(id)
            && id != ROOT
            && node.first_child == NONE
            && node.value.is_vacant()
        {
            let parent = node.parent;
            self.remove_child(id);
            id = parent;
        }
        if self.nodes.len() > COMPACT_MIN && self.free_len > self.nodes.len() / 4 * 3 {
            self.compact();
        }
    }

    pub(super) fn node_mut(&mut self, id: NodeId) -> Option<&mut Node<T>> {
        self.nodes.get_mut(id as usize)
    }

    pub(super) fn node(&self, id: NodeId) -> Option<&Node<T>> {
        self.nodes.get(id as usize)
    }

    /// The node for `path`, if it is there.
    pub(super) fn find(&self, path: &str) -> Option<NodeId> {
        path.split('/').try_fold(ROOT, |id, level| self.child(id, level))
    }

    /// The child for a level of a filter.
    pub(super) fn child(&self, parent: NodeId, level: &str) -> Option<NodeId> {
        let id = match level {
            "+" => self.node(parent)?.plus,
            "#" => self.node(parent)?.hash,
            _ => return self.named_child(parent, level.as_bytes()),
        };
        (id != NONE).then_some(id)
    }

    /// The child for a level of a topic: never a wildcard.
    pub(super) fn named_child(&self, parent: NodeId, level: &[u8]) -> Option<NodeId> {
        let is_it = |&id: &NodeId| {
            self.node(id).is_some_and(|node| node.parent == parent && node.level.as_bytes() == level)
        };
        self.edges.find(self.hash.of(parent, level), is_it).copied()
    }

    /// How many nodes there are, without the root.
    pub(super) fn len(&self) -> usize {
        self.nodes.len() - self.free_len - 1
    }

    /// What the whole store takes, in bytes; looks at every node.
    pub(super) fn memory_bytes(&self) -> usize {
        let of_node = |node: &Node<T>| node.level.heap_bytes() + node.value.heap_bytes();
        self.nodes.capacity() * size_of::<Node<T>>()
            + self.edges.allocation_size()
            + self.nodes.iter().map(of_node).sum::<usize>()
    }

    fn add_child(&mut self, parent: NodeId, level: &[u8]) -> NodeId {
        let id = self.allocate(Node::new(Level::new(level), parent));
        let mut first = NONE;
        if let Some(parent) = self.node_mut(parent) {
            first = mem::replace(&mut parent.first_child, id);
            if let Some(wildcard) = parent.wildcard_mut(level) {
                *wildcard = id;
            }
        }
        if let Some(node) = self.node_mut(id) {
            node.next = first;
        }
        if let Some(first) = self.node_mut(first) {
            first.previous = id;
        }
        if !is_wildcard(level) {
            self.add_edge(id, self.hash.of(parent, level));
        }
        id
    }

    fn remove_child(&mut self, id: NodeId) {
        let Some(node) = self.nodes.get_mut(id as usize) else { return };
        let level = mem::replace(&mut node.level, Level::EMPTY);
        let Node { parent, previous, next, .. } = *node;
        node.parent = FREE;
        node.next = mem::replace(&mut self.free, id);
        self.free_len += 1;
        if let Some(next) = self.node_mut(next) {
            next.previous = previous;
        }
        if let Some(previous) = self.node_mut(previous) {
            previous.next = next;
        } else if let Some(parent) = self.node_mut(parent) {
            parent.first_child = next;
        }
        let level = level.as_bytes();
        if let Some(wildcard) = self.node_mut(parent).and_then(|node| node.wildcard_mut(level)) {
            *wildcard = NONE;
        } else if let Ok(edge) = self.edges.find_entry(self.hash.of(parent, level), |&it| it == id) {
            edge.remove();
        }
    }

    fn allocate(&mut self, node: Node<T>) -> NodeId {
        let id = self.free;
        if let Some(free) = self.nodes.get_mut(id as usize) {
            self.free = free.next;
            self.free_len -= 1;
            *free = node;
            return id;
        }
        if self.nodes.len() == self.nodes.capacity() {
            // By half instead of to the double: these lists are large, and half of one is enough to spare.
            self.nodes.reserve_exact((self.nodes.len() / 2).max(16));
        }
        self.nodes.push(node);
        (self.nodes.len() - 1) as NodeId // fits: nodes_max
    }

    fn add_edge(&mut self, id: NodeId, hash: u64) {
        let (nodes, hasher) = (&self.nodes, &self.hash);
        self.edges.insert_unique(hash, id, |&id| hasher.of_node(nodes, id));
    }

    /// Closes the gaps, and gives the memory of the unused nodes back.
    ///
    /// It is done when three quarters are unused, so it costs each removal a constant share.
    fn compact(&mut self) {
        let len = self.len() + 1;
        let mut moved_to = Vec::with_capacity(self.nodes.len());
        let mut next = 0;
        for node in &self.nodes {
            let used = node.parent != FREE;
            moved_to.push(if used { next } else { NONE });
            next += NodeId::from(used);
        }
        let mut kept = Vec::with_capacity(2 * len);
        kept.extend(mem::take(&mut self.nodes).into_iter().filter(|node| node.parent != FREE));
        for node in &mut kept {
            node.renumber(&moved_to);
        }
        (self.nodes, self.free, self.free_len) = (kept, NONE, 0);
        self.edges = HashTable::with_capacity(2 * len);
        for id in 1..len as NodeId {
            if self.node(id).is_some_and(|node| !is_wildcard(node.level.as_bytes())) {
                self.add_edge(id, self.hash.of_node(&self.nodes, id));
            }
        }
    }
}

impl<T: Value> Node<T> {
    fn new(level: Level, parent: NodeId) -> Self {
        let [first_child, previous, next, plus, hash] = [NONE; 5];
        Self { level, parent, first_child, previous, next, plus, hash, value: T::default() }
    }

    /// The level's text, as bytes of UTF-8.
    pub(super) fn level(&self) -> &[u8] {
        self.level.as_bytes()
    }

    fn wildcard_mut(&mut self, level: &[u8]) -> Option<&mut NodeId> {
        match level {
            b"+" => Some(&mut self.plus),
            b"#" => Some(&mut self.hash),
            _ => None,
        }
    }

    fn renumber(&mut self, moved_to: &[NodeId]) {
        let Self { parent, first_child, previous, next, plus, hash, .. } = self;
        for id in [parent, first_child, previous, next, plus, hash] {
            *id = moved_to.get(*id as usize).copied().unwrap_or(NONE);
        }
    }
}

fn is_wildcard(level: &[u8]) -> bool {
    matches!(level, b"+" | b"#")
}

/// The hash of an edge, under a seed that no client knows: a level is chosen by whoever subscribes.
struct EdgeHash {
    seed: u64,
    // Its own, because the fixed one that comes with the hasher is known to everybody.
    shared: SharedSeed,
}

impl EdgeHash {
    fn of(&self, parent: NodeId, level: &[u8]) -> u64 {
        let mut hasher = FoldHasher::with_seed(self.seed, &self.shared);
        hasher.write_u32(parent);
        hasher.write(level);
        hasher.finish()
    }

    fn of_node<T>(&self, nodes: &[Node<T>], id: NodeId) -> u64 {
        nodes.get(id as usize).map_or(0, |node| self.of(node.parent, node.level.as_bytes()))
    }
}
