//! The two trees, over one store of nodes.

mod entries;
mod exact;
mod filter_tree;
mod level;
mod store;
mod topic_tree;

#[cfg(test)]
mod tests;

pub use filter_tree::FilterTree;
pub use topic_tree::TopicTree;

/// The most levels that a tree can be told to take; what a walk keeps on the stack is sized by it.
pub const LEVELS_MAX: usize = 128;

/// How large a tree may grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Levels of one filter or topic; 128, which is also the most there can be ([`LEVELS_MAX`]).
    pub levels_max: usize,
    /// Nodes; 10,000,000. In a [`TopicTree`], and for filters with wildcards, distinct prefixes that end with a
    /// whole level; a filter without wildcards is one.
    pub nodes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { levels_max: LEVELS_MAX, nodes_max: 10_000_000 }
    }
}

/// Why something was not put into a tree; the tree is as it was before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// More levels than [`Limits::levels_max`].
    #[error("more than {levels_max} levels")]
    TooDeep {
        /// The limit.
        levels_max: usize,
    },
    /// It would take more nodes than [`Limits::nodes_max`].
    #[error("more than {nodes_max} nodes")]
    Full {
        /// The limit.
        nodes_max: usize,
    },
}
