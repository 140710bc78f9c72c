//! Which of `message_callback_add`'s filters match a topic, in paho's order.

use std::collections::HashMap;

/// The filters, as a tree of levels.
#[derive(Debug, Default)]
pub(super) struct Filters {
    root: Node,
}

#[derive(Debug, Default)]
struct Node {
    children: HashMap<Box<str>, Node>,
    /// The filter that ends here.
    filter: Option<Box<str>>,
}

impl Filters {
    pub(super) fn insert(&mut self, filter: &str) {
        let mut node = &mut self.root;
        for level in filter.split('/') {
            node = node.children.entry(level.into()).or_default();
        }
        node.filter = Some(filter.into());
    }

    pub(super) fn remove(&mut self, filter: &str) {
        let mut node = &mut self.root;
        for level in filter.split('/') {
            let Some(child) = node.children.get_mut(level) else { return };
            node = child;
        }
        node.filter = None;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.root.is_bare()
    }

    /// The filters that match: at each level what is named before `+` before `#`. A wildcard at the front matches
    /// nothing that begins with `$` [MQTT-4.7.2-1].
    pub(super) fn matching(&self, topic: &str) -> Vec<Box<str>> {
        let levels: Vec<&str> = topic.split('/').collect();
        let mut found = Vec::new();
        self.root.collect(&levels, !topic.starts_with('$'), &mut found);
        found
    }
}

impl Node {
    fn is_bare(&self) -> bool {
        self.filter.is_none() && self.children.values().all(Self::is_bare)
    }

    /// Not deeper than the filters that the program itself has given.
    fn collect(&self, levels: &[&str], wild: bool, found: &mut Vec<Box<str>>) {
        match levels.split_first() {
            None => found.extend(self.filter.clone()),
            Some((level, rest)) => {
                if let Some(child) = self.children.get(*level) {
                    child.collect(rest, true, found);
                }
                if let Some(child) = self.children.get("+").filter(|_| wild) {
                    child.collect(rest, true, found);
                }
            }
        }
        if let Some(child) = self.children.get("#").filter(|_| wild) {
            found.extend(child.filter.clone());
        }
    }
}
