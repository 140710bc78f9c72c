//! Filters and names: the trees against lists, the matcher against one that takes its time.

use std::collections::{BTreeMap, BTreeSet};

use arbitrary::{Result, Unstructured};
use karere_core::topic::{FilterTree, Limits, TopicFilter, TopicName, TopicTree, TreeError, matches};

use crate::{naive, packets};

/// Inserts, removals and questions, in any order.
pub fn run(input: &[u8]) {
    let u = &mut Unstructured::new(input);
    let _ = both_trees(u);
}

fn both_trees(u: &mut Unstructured<'_>) -> Result<()> {
    let limits = Limits { levels_max: u.int_in_range(1..=6)?, nodes_max: u.int_in_range(0..=40)? };
    let limits = if u.arbitrary()? { limits } else { Limits::default() };
    let seed = u.arbitrary()?;
    let mut subscriptions = Subscriptions::new(seed, limits);
    let mut topics = Topics::new(seed, limits);
    for step in 0..200_u32 {
        if u.is_empty() {
            break;
        }
        let filter = filter(u)?;
        let topic = topic(u)?;
        assert_eq!(matches(&filter, &topic), naive::matches(&filter, &topic), "{filter} and {topic}");
        match u.int_in_range(0..=5)? {
            0 | 1 => subscriptions.insert(&filter, u.int_in_range(0..=5)?, step),
            2 => subscriptions.remove(&filter, u.int_in_range(0..=5)?),
            3 => topics.insert(&topic, step),
            4 => topics.remove(&topic),
            _ => {}
        }
        subscriptions.check(&topic);
        topics.check(&filter);
    }
    Ok(())
}

/// A valid filter without a ShareName, of which there are not too many.
fn filter(u: &mut Unstructured<'_>) -> Result<String> {
    let text =
        if u.ratio(1, 8)? { u.arbitrary::<&str>()?.into() } else { packets::topic_filter(u)?.to_string() };
    let filter = TopicFilter::new(&text);
    assert_eq!(filter.is_ok(), naive::is_filter(&text), "{text:?}: {filter:?}");
    let filter = filter.map_or_else(|_| "a/+".into(), |filter| filter.filter_without_share().to_owned());
    Ok(filter)
}

fn topic(u: &mut Unstructured<'_>) -> Result<String> {
    if u.ratio(1, 8)? {
        let text = u.arbitrary::<&str>()?;
        let name = TopicName::new(text);
        assert_eq!(name.is_ok(), naive::is_name(text), "{text:?}: {name:?}");
        return Ok(name.map_or_else(|_| "a".into(), |name| name.to_string()));
    }
    Ok(packets::topic_name(u)?.to_string())
}

/// The tree of filters, and a list that says what it should hold.
struct Subscriptions {
    limits: Limits,
    tree: FilterTree<u8, u32>,
    list: BTreeMap<(String, u8), u32>,
}

impl Subscriptions {
    fn new(seed: u64, limits: Limits) -> Self {
        Self { limits, tree: FilterTree::new(seed, limits), list: BTreeMap::new() }
    }

    fn insert(&mut self, filter: &str, key: u8, value: u32) {
        let expected = may_insert(self.limits, self.paths(), filter, filter_nodes);
        let inserted = self.tree.insert(filter, key, value);
        assert_eq!(inserted.err(), expected.err(), "inserting {filter}");
        if let Ok(replaced) = inserted {
            assert_eq!(self.list.insert((filter.into(), key), value), replaced);
        }
        assert_eq!(self.tree.get(filter, &key).copied(), self.list.get(&(filter.into(), key)).copied());
    }

    fn remove(&mut self, filter: &str, key: u8) {
        assert_eq!(self.tree.remove(filter, &key), self.list.remove(&(filter.into(), key)));
        assert_eq!(self.tree.get(filter, &key), None);
    }

    fn check(&self, topic: &str) {
        let mut found = Vec::new();
        self.tree.matches(topic, |key, value| found.push((*key, *value)));
        found.sort_unstable();
        let matching = self.list.iter().filter(|((filter, _), _)| naive::matches(filter, topic));
        let mut expected: Vec<_> = matching.map(|((_, key), value)| (*key, *value)).collect();
        expected.sort_unstable();
        assert_eq!(found, expected, "who gets {topic}");
        assert_eq!((self.tree.len(), self.tree.is_empty()), (self.list.len(), self.list.is_empty()));
        assert_eq!(self.tree.nodes(), filter_nodes(self.paths()).len(), "nodes");
    }

    fn paths(&self) -> Vec<&str> {
        self.list.keys().map(|(filter, _)| filter.as_str()).collect()
    }
}

/// The tree of topics, and a list that says what it should hold.
struct Topics {
    limits: Limits,
    tree: TopicTree<u32>,
    list: BTreeMap<String, u32>,
}

impl Topics {
    fn new(seed: u64, limits: Limits) -> Self {
        Self { limits, tree: TopicTree::new(seed, limits), list: BTreeMap::new() }
    }

    fn insert(&mut self, topic: &str, value: u32) {
        let expected = may_insert(self.limits, self.paths(), topic, topic_nodes);
        let inserted = self.tree.insert(topic, value);
        assert_eq!(inserted.err(), expected.err(), "inserting {topic}");
        if let Ok(replaced) = inserted {
            assert_eq!(self.list.insert(topic.into(), value), replaced);
        }
        assert_eq!(self.tree.get(topic), self.list.get(topic));
    }

    fn remove(&mut self, topic: &str) {
        assert_eq!(self.tree.remove(topic), self.list.remove(topic));
    }

    fn check(&self, filter: &str) {
        let mut found = Vec::new();
        self.tree.matching(filter, |value| found.push(*value));
        found.sort_unstable();
        let matching = self.list.iter().filter(|(topic, _)| naive::matches(filter, topic));
        let mut expected: Vec<_> = matching.map(|(_, value)| *value).collect();
        expected.sort_unstable();
        assert_eq!(found, expected, "what {filter} brings");
        assert_eq!((self.tree.len(), self.tree.is_empty()), (self.list.len(), self.list.is_empty()));
        assert_eq!(self.tree.nodes(), topic_nodes(self.paths()).len(), "nodes");
    }

    fn paths(&self) -> Vec<&str> {
        self.list.keys().map(String::as_str).collect()
    }
}

/// What the limits say to one more path beside these.
fn may_insert<'a>(
    limits: Limits,
    paths: Vec<&'a str>,
    path: &'a str,
    nodes: impl Fn(Vec<&str>) -> BTreeSet<String>,
) -> std::result::Result<(), TreeError> {
    let Limits { levels_max, nodes_max } = limits;
    if path.split('/').count() > levels_max {
        return Err(TreeError::TooDeep { levels_max });
    }
    // What is there already fits, whatever the limit.
    let before = nodes(paths);
    let more = nodes(vec![path]).difference(&before).count();
    if before.len() + more > nodes_max { Err(TreeError::Full { nodes_max }) } else { Ok(()) }
}

/// What filters take: one node each without wildcards, apart from those that the others go through.
fn filter_nodes(filters: Vec<&str>) -> BTreeSet<String> {
    let (walked, exact): (Vec<_>, Vec<_>) =
        filters.into_iter().partition(|filter| filter.contains(['+', '#']));
    let walked = topic_nodes(walked).into_iter().map(|prefix| format!("walked {prefix}"));
    exact.into_iter().map(|filter| format!("exact {filter}")).chain(walked).collect()
}

/// Every distinct beginning of the paths that ends with a whole level: a node each.
fn topic_nodes(paths: Vec<&str>) -> BTreeSet<String> {
    let mut prefixes = BTreeSet::new();
    for path in paths {
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        prefixes.extend(ends.map(|end| path[..end].to_owned()));
    }
    prefixes
}
