use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::topic::matches;

const ROOMY: Limits = Limits { levels_max: LEVELS_MAX, nodes_max: 10_000_000 };

fn filters(filters: &[&str]) -> FilterTree<u32, ()> {
    let mut tree = FilterTree::new(1, ROOMY);
    for (key, filter) in filters.iter().enumerate() {
        tree.insert(filter, key as u32, ()).unwrap();
    }
    tree
}

fn topics(topics: &[&str]) -> TopicTree<String> {
    let mut tree = TopicTree::new(1, ROOMY);
    for topic in topics {
        tree.insert(topic, topic.to_string()).unwrap();
    }
    tree
}

/// The keys seen, each as often as it was.
fn keys<V>(tree: &FilterTree<u32, V>, topic: &str) -> Vec<u32> {
    let mut seen = Vec::new();
    tree.matches(topic, |key, _| seen.push(*key));
    seen.sort_unstable();
    seen
}

fn found(tree: &TopicTree<String>, filter: &str) -> Vec<String> {
    let mut seen = Vec::new();
    tree.matching(filter, |topic| seen.push(topic.clone()));
    seen.sort_unstable();
    seen
}

#[test]
fn a_topic_finds_each_filter_that_matches_once() {
    let tree = filters(&["a/b/c", "a/+/c", "#", "a/#", "a/b/c/#", "+/+/+", "a/b", "a/b/+/#", "b/#", "+"]);
    assert_eq!(keys(&tree, "a/b/c"), [0, 1, 2, 3, 4, 5, 7]);
    assert_eq!(keys(&tree, "a"), [2, 3, 9]);
    assert_eq!(keys(&tree, "a/b/c/d/e/f"), [2, 3, 4, 7]);
}

#[test]
fn empty_levels_are_levels() {
    let tree = filters(&["/", "+/+", "/+", "//", "a/", "a"]);
    assert_eq!(keys(&tree, "/"), [0, 1, 2]);
    assert_eq!(keys(&tree, "//"), [3]);
    assert_eq!(keys(&tree, "a/"), [1, 4]);
}

#[test]
fn a_leading_wildcard_does_not_see_a_leading_dollar() {
    let tree = filters(&["#", "+/a", "$SYS/#", "$SYS/+", "+/+", "$SYS/a"]);
    assert_eq!(keys(&tree, "$SYS/a"), [2, 3, 5]);
    assert_eq!(keys(&tree, "$SYS"), [2]);
    let tree = topics(&["$SYS/a", "$SYS/b", "a", "$", "x/$SYS"]);
    assert_eq!(found(&tree, "#"), ["a", "x/$SYS"]);
    assert_eq!(found(&tree, "+"), ["a"]);
    assert_eq!(found(&tree, "+/#"), ["a", "x/$SYS"]);
    assert_eq!(found(&tree, "+/+"), ["x/$SYS"]);
    assert_eq!(found(&tree, "$SYS/#"), ["$SYS/a", "$SYS/b"]);
}

#[test]
fn a_wildcard_in_a_topic_is_not_taken_for_the_one_of_a_filter() {
    let tree = filters(&["a/+", "a/#"]);
    assert_eq!(keys(&tree, "a/+"), [0, 1]);
    assert_eq!(keys(&tree, "a/#"), [0, 1]);
}

#[test]
fn a_filter_finds_each_topic_once() {
    let tree = topics(&["a", "a/b", "a/b/c", "a/x/c", "b/b/c", "/", "a/"]);
    assert_eq!(found(&tree, "a/#"), ["a", "a/", "a/b", "a/b/c", "a/x/c"]);
    assert_eq!(found(&tree, "a/+/c"), ["a/b/c", "a/x/c"]);
    assert_eq!(found(&tree, "+/b/+"), ["a/b/c", "b/b/c"]);
    assert_eq!(found(&tree, "+/+"), ["/", "a/", "a/b"]);
    assert_eq!(found(&tree, "a/b"), ["a/b"]);
    assert_eq!(found(&tree, "a/b/c/d"), [] as [&str; 0]);
    assert_eq!(found(&tree, "#").len(), 7);
}

#[test]
fn inserting_again_replaces_and_gives_back_the_old_value() {
    let mut tree = FilterTree::new(1, ROOMY);
    assert_eq!(tree.insert("a/+", 7, "old"), Ok(None));
    assert_eq!(tree.insert("a/+", 7, "new"), Ok(Some("old")));
    assert_eq!((tree.len(), tree.get("a/+", &7)), (1, Some(&"new")));
    *tree.get_mut("a/+", &7).unwrap() = "newer";
    assert_eq!(tree.remove("a/+", &7), Some("newer"));
    assert_eq!((tree.get("a/+", &7), tree.is_empty()), (None, true));
}

#[test]
fn removing_what_is_not_there_changes_nothing() {
    let mut tree = filters(&["a/b"]);
    for (filter, key) in [("a", 0), ("a/b", 1), ("a/b/c", 0), ("a/+", 0), ("#", 0)] {
        assert_eq!(tree.remove(filter, &key), None);
    }
    assert_eq!((tree.len(), tree.nodes()), (1, 1));
}

#[test]
fn nodes_that_lead_nowhere_are_pruned() {
    let mut tree = filters(&["a/b/c/+", "a/b/#", "a/+/#", "a/b"]);
    assert_eq!(tree.nodes(), 8);
    tree.remove("a/b/c/+", &0);
    assert_eq!(tree.nodes(), 6);
    tree.remove("a/+/#", &2);
    assert_eq!(tree.nodes(), 4);
    assert_eq!(keys(&tree, "a/b"), [1, 3]);
    tree.remove("a/b/#", &1);
    assert_eq!(tree.nodes(), 1);
    assert_eq!(keys(&tree, "a/b"), [3]);
    tree.remove("a/b", &3);
    assert_eq!(tree.nodes(), 0);
}

#[test]
fn a_path_that_is_too_deep_is_refused() {
    let limits = Limits { levels_max: 3, ..ROOMY };
    let mut tree = FilterTree::new(1, limits);
    assert_eq!(tree.insert("a/b/+", 0, ()), Ok(None));
    assert_eq!(tree.insert("a/b/c/#", 0, ()), Err(TreeError::TooDeep { levels_max: 3 }));
    assert_eq!(tree.insert("a/b/c/d", 0, ()), Err(TreeError::TooDeep { levels_max: 3 }));
    assert_eq!(tree.insert(&"/".repeat(65_535), 0, ()), Err(TreeError::TooDeep { levels_max: 3 }));
    assert_eq!((tree.len(), tree.nodes()), (1, 3));
    assert_eq!(TopicTree::new(1, limits).insert("a/b/c/d", ()), Err(TreeError::TooDeep { levels_max: 3 }));
}

#[test]
fn no_setting_lets_a_tree_be_deeper_than_a_walk_can_be() {
    let mut tree = FilterTree::new(1, Limits { levels_max: usize::MAX, nodes_max: usize::MAX });
    let refused = tree.insert(&"/".repeat(LEVELS_MAX), 0, ());
    assert_eq!(refused, Err(TreeError::TooDeep { levels_max: LEVELS_MAX }));
}

#[test]
fn a_full_tree_refuses_new_nodes_and_makes_none_of_them() {
    let limits = Limits { nodes_max: 4, ..ROOMY };
    let mut tree = FilterTree::new(1, limits);
    assert_eq!(tree.insert("a/b/+", 0, ()), Ok(None));
    assert_eq!(tree.insert("a/x/+", 0, ()), Err(TreeError::Full { nodes_max: 4 }));
    assert_eq!(tree.nodes(), 3);
    assert_eq!(tree.insert("a/b/+", 1, ()), Ok(None), "what is there already needs no node");
    assert_eq!(tree.insert("a/x/y", 0, ()), Ok(None), "without a wildcard it is one");
    for full in ["a/#", "a"] {
        assert_eq!(tree.insert(full, 0, ()), Err(TreeError::Full { nodes_max: 4 }));
    }
    assert_eq!(tree.insert("a/x/y", 1, ()), Ok(None));
    tree.remove("a/x/y", &0);
    tree.remove("a/x/y", &1);
    assert_eq!(tree.insert("a/#", 0, ()), Ok(None), "a pruned node can be used again");
}

/// Every filter of `+` and one name to a depth: each step finds both, and each topic matches all of them.
#[test]
fn a_walk_at_its_deepest_and_widest_loses_nothing() {
    let mut tree = FilterTree::new(1, ROOMY);
    let all = 1_u32 << 10;
    for bits in 0..all {
        let levels: Vec<_> = (0..10).map(|level| if bits >> level & 1 == 0 { "+" } else { "a" }).collect();
        tree.insert(&levels.join("/"), bits, ()).unwrap();
    }
    assert_eq!(keys(&tree, "a/a/a/a/a/a/a/a/a/a").len() as u32, all);

    let mut tree = FilterTree::new(1, ROOMY);
    let (mut name, mut other) = (String::new(), String::new());
    for depth in 0..LEVELS_MAX as u32 {
        let slash = if depth == 0 { "" } else { "/" };
        tree.insert(&format!("{name}{slash}+"), depth, ()).unwrap();
        tree.insert(&format!("{other}{slash}a"), 1000 + depth, ()).unwrap();
        name.push_str(&format!("{slash}a"));
        other.push_str(&format!("{slash}+"));
    }
    for depth in 0..LEVELS_MAX as u32 {
        let topic = alloc::vec!["a"; depth as usize + 1].join("/");
        assert_eq!(keys(&tree, &topic), [depth, 1000 + depth]);
    }
}

/// Row by row `+`, `+/+`, `+/+/+`, ... with `a` in between: as many ways through as there are subsets, were
/// they walked one by one.
#[test]
fn pathological_filters_against_a_long_topic_stay_cheap() {
    let mut tree = FilterTree::new(1, ROOMY);
    for depth in 1..=LEVELS_MAX {
        tree.insert(&alloc::vec!["+"; depth].join("/"), depth as u32, ()).unwrap();
        let mut levels = alloc::vec!["+"; depth];
        levels[depth / 2] = "a";
        tree.insert(&levels.join("/"), 1000 + depth as u32, ()).unwrap();
        levels[depth - 1] = "#";
        tree.insert(&levels.join("/"), 2000 + depth as u32, ()).unwrap();
    }
    let topic = "a/".repeat(32_767);
    let started = std::time::Instant::now();
    for _ in 0..100 {
        assert_eq!(keys(&tree, &topic).len(), LEVELS_MAX);
    }
    assert!(started.elapsed().as_secs() < 2, "took {:?}", started.elapsed());
}

#[test]
fn a_hundred_thousand_subscribers_of_one_filter_come_and_go_quickly() {
    let mut tree = FilterTree::new(1, ROOMY);
    let started = std::time::Instant::now();
    for filter in ["a/b", "a/+"] {
        for key in 0..100_000_u32 {
            tree.insert(filter, key, key).unwrap();
        }
        assert_eq!(tree.get(filter, &77_777), Some(&77_777));
        let full = tree.memory_bytes();
        for key in 0..100_000 {
            assert_eq!(tree.remove(filter, &key), Some(key));
            if key == 90_000 {
                assert!(tree.memory_bytes() < full / 2);
                assert_eq!(tree.get(filter, &99_999), Some(&99_999));
            }
        }
        assert_eq!((tree.len(), tree.nodes()), (0, 0));
        assert!(tree.memory_bytes() < full / 100);
    }
    assert!(started.elapsed().as_secs() < 2, "took {:?}", started.elapsed());
}

#[test]
fn a_subscription_of_its_own_three_levels_takes_400_bytes_at_most() {
    for shape in ["device/{}/status", "{}/temperature/celsius", "building/floor/{}", "{}/{}/{}", "{}/+/{}"] {
        let mut tree = FilterTree::<(u32, u32), [u32; 2]>::new(1, ROOMY);
        for key in 0..100_000 {
            tree.insert(&shape.replace("{}", &format!("sensor-{key:08}")), (0, key), [0; 2]).unwrap();
        }
        let each = tree.memory_bytes() / tree.len();
        assert!(each <= 400, "{shape}: {each} bytes a subscription, {} nodes", tree.nodes());
    }
}

#[test]
fn the_memory_of_a_flood_of_nodes_is_given_back() {
    let mut tree = filters(&["keep/this/one", "keep/+/#", "keep/this/two"]);
    let before = tree.memory_bytes();
    for last in ["+", "named"] {
        let filter = |key: u32| format!("flood/{key}/a-level-that-does-not-fit-inline/{last}");
        for key in 0..60_000 {
            tree.insert(&filter(key), key, ()).unwrap();
        }
        assert!(tree.memory_bytes() > 60_000 * 100);
        for key in 0..60_000 {
            tree.remove(&filter(key), &key).unwrap();
        }
        assert_eq!((tree.len(), tree.nodes()), (3, 5));
        assert!(tree.memory_bytes() < before + 500_000, "{} bytes are left", tree.memory_bytes());
        assert_eq!(keys(&tree, "keep/this/one"), [0, 1]);
    }
}

fn path(wildcards: bool) -> impl Strategy<Value = String> {
    let name = if wildcards { "(([ab$]?|\\+)/){0,3}([ab$]?|\\+|#)" } else { "([ab$]?/){0,4}[ab$]?" };
    name.prop_filter("one character at least", |path| !path.is_empty())
}

/// Many on few nodes, so that each shape of what hangs on a node is come to and left again.
fn steps() -> impl Strategy<Value = Vec<(bool, String, u32)>> {
    let crowd = prop_oneof![Just("a".to_string()), Just("a/+".to_string())];
    let step =
        prop_oneof![(any::<bool>(), path(true), 0..4_u32), (prop::bool::weighted(0.6), crowd, 0..40_u32)];
    prop::collection::vec(step, 0..200)
}

proptest! {
    #[test]
    fn a_filter_tree_answers_as_a_list_of_filters_does(
        steps in steps(),
        topics in prop::collection::vec(path(false), 8),
    ) {
        let mut tree = FilterTree::new(9, ROOMY);
        let mut model = BTreeMap::new();
        for (value, (insert, filter, key)) in steps.into_iter().enumerate() {
            let entry = (filter.clone(), key);
            if insert {
                prop_assert_eq!(tree.insert(&filter, key, value).unwrap(), model.insert(entry, value));
            } else {
                prop_assert_eq!(tree.remove(&filter, &key), model.remove(&entry));
            }
        }
        for topic in topics {
            let mut seen = Vec::new();
            tree.matches(&topic, |key, value| seen.push((*key, *value)));
            seen.sort_unstable();
            let expected = model.iter().filter(|((filter, _), _)| matches(filter, &topic));
            let mut expected: Vec<_> = expected.map(|((_, key), value)| (*key, *value)).collect();
            expected.sort_unstable();
            prop_assert_eq!(seen, expected, "for {}", topic);
        }
        prop_assert_eq!(tree.len(), model.len());
        let filters: BTreeSet<_> = model.keys().map(|(filter, _)| filter).collect();
        let (walked, exact): (Vec<_>, Vec<_>) =
            filters.into_iter().partition(|filter| filter.contains(['+', '#']));
        prop_assert_eq!(tree.nodes(), prefixes(walked.into_iter()) + exact.len());
        for ((filter, key), value) in model {
            prop_assert_eq!(tree.get(&filter, &key), Some(&value));
            tree.remove(&filter, &key);
        }
        prop_assert_eq!((tree.len(), tree.nodes()), (0, 0));
    }

    #[test]
    fn a_topic_tree_answers_as_a_list_of_topics_does(
        steps in prop::collection::vec((prop::bool::weighted(0.7), path(false)), 0..100),
        filters in prop::collection::vec(path(true), 8),
    ) {
        let mut tree = TopicTree::new(9, ROOMY);
        let mut model = BTreeMap::new();
        for (insert, topic) in steps {
            if insert {
                let replaced = tree.insert(&topic, topic.clone()).unwrap();
                prop_assert_eq!(replaced, model.insert(topic.clone(), topic));
            } else {
                prop_assert_eq!(tree.remove(&topic), model.remove(&topic));
            }
        }
        for filter in filters {
            let expected: Vec<_> = model.keys().filter(|topic| matches(&filter, topic)).cloned().collect();
            prop_assert_eq!(found(&tree, &filter), expected, "for {}", filter);
        }
        prop_assert_eq!(tree.len(), model.len());
        prop_assert_eq!(tree.nodes(), prefixes(model.keys()));
    }

    #[test]
    fn a_tree_answers_the_same_after_it_was_compacted(
        keep in prop::collection::btree_set(0..3_000_u32, 0..200),
    ) {
        let mut tree = FilterTree::new(3, ROOMY);
        let name = |key: u32| match key % 3 {
            0 => format!("{}/+/{key}", key % 7),
            _ => format!("{}/{key}/{key}", key % 7),
        };
        for key in 0..3_000 {
            prop_assert_eq!(tree.insert(&name(key), key, ()), Ok(None));
        }
        let before = tree.memory_bytes();
        for key in (0..3_000).filter(|key| !keep.contains(key)) {
            prop_assert_eq!(tree.remove(&name(key), &key), Some(()));
        }
        prop_assert!(tree.memory_bytes() < before / 2);
        for key in &keep {
            prop_assert_eq!(keys(&tree, &name(*key).replace('+', "x")), [*key]);
            prop_assert_eq!(tree.remove(&name(*key), key), Some(()));
        }
        prop_assert_eq!(tree.nodes(), 0);
    }
}

/// How many nodes these paths need.
fn prefixes<'a>(paths: impl Iterator<Item = &'a String>) -> usize {
    let mut all = BTreeSet::new();
    for path in paths {
        let levels: Vec<_> = path.split('/').collect();
        (1..=levels.len()).for_each(|len| {
            all.insert(levels[..len].join("/"));
        });
    }
    all.len()
}
