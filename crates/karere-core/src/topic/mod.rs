//! Topic Names and Topic Filters (section 4.7), and the trees that match one against many of the other.
//!
//! [`FilterTree`] keeps filters and is asked with a topic (who subscribes?), [`TopicTree`] keeps topics and
//! is asked with a filter (which retained messages?). Both walk without recursion, and both have a limit on
//! depth and on nodes, because what they are fed comes from the network.

mod filter;
mod name;
mod tree;

pub use filter::{TopicFilter, matches};
pub use name::{TopicError, TopicName};
pub use tree::{FilterTree, LEVELS_MAX, Limits, TopicTree, TreeError};
