use super::*;
use crate::topic::TopicName;
use alloc::string::{String, ToString};
use proptest::prelude::*;

#[track_caller]
fn refused(filter: &str) -> TopicError {
    TopicFilter::new(filter).expect_err(filter)
}

#[test]
fn the_examples_of_section_4_7_1_match_as_it_says() {
    for topic in
        ["sport/tennis/player1", "sport/tennis/player1/ranking", "sport/tennis/player1/score/wimbledon"]
    {
        assert!(matches("sport/tennis/player1/#", topic), "{topic}");
    }
    assert!(matches("sport/#", "sport"));
    assert!(matches("#", "sport/tennis"));
    assert!(matches("sport/tennis/+", "sport/tennis/player1"));
    assert!(matches("sport/tennis/+", "sport/tennis/player2"));
    assert!(!matches("sport/tennis/+", "sport/tennis/player1/ranking"));
    assert!(!matches("sport/+", "sport"));
    assert!(matches("sport/+", "sport/"));
    assert!(matches("+/+", "/finance"));
    assert!(matches("/+", "/finance"));
    assert!(!matches("+", "/finance"));
}

#[test]
fn a_leading_wildcard_does_not_match_a_leading_dollar() {
    assert!(!matches("#", "$SYS/monitor/Clients"));
    assert!(!matches("+/monitor/Clients", "$SYS/monitor/Clients"));
    assert!(!matches("+", "$"));
    assert!(matches("$SYS/#", "$SYS/monitor/Clients"));
    assert!(matches("$SYS/#", "$SYS"));
    assert!(matches("$SYS/monitor/+", "$SYS/monitor/Clients"));
    assert!(matches("+/$SYS", "a/$SYS"), "only the first character of a topic is special");
}

#[test]
fn levels_are_compared_as_they_are() {
    assert!(!matches("ACCOUNTS", "Accounts"));
    assert!(!matches("/finance", "finance"));
    assert!(!matches("finance/", "finance"));
    assert!(matches("Accounts payable", "Accounts payable"));
    assert!(!matches("a//b", "a/b"));
    assert!(matches("a/+/b", "a//b"));
    assert!(matches("/", "/"));
    assert!(!matches("\u{e9}", "e\u{301}"), "no normalisation [MQTT-4.7.3-4]");
    assert!(!matches("a", "\u{feff}a"), "no stripping of a byte order mark [MQTT-1.5.4-3]");
    assert!(!matches("a/b", "a"));
    assert!(!matches("a/b/c", "a/b"));
}

#[test]
fn the_valid_filters_of_section_4_7_1_are_taken() {
    for filter in
        ["#", "sport/tennis/#", "+", "+/tennis/#", "sport/+/player1", "/", "//", " ", "$SYS/#", "$shared/#"]
    {
        assert_eq!(TopicFilter::new(filter).unwrap().as_str(), filter);
    }
}

#[test]
fn a_multi_level_wildcard_anywhere_but_last_and_alone_is_refused() {
    assert_eq!(refused("sport/tennis#"), TopicError::WildcardInLevel { at: 12 });
    assert_eq!(refused("sport/tennis/#/ranking"), TopicError::MultiLevelNotLast { at: 13 });
    assert_eq!(refused("#/"), TopicError::MultiLevelNotLast { at: 0 });
    assert_eq!(refused("##"), TopicError::WildcardInLevel { at: 0 });
    assert_eq!(refused("a/#b"), TopicError::WildcardInLevel { at: 2 });
}

#[test]
fn a_single_level_wildcard_that_shares_its_level_is_refused() {
    assert_eq!(refused("sport+"), TopicError::WildcardInLevel { at: 5 });
    assert_eq!(refused("a/+b/c"), TopicError::WildcardInLevel { at: 2 });
    assert_eq!(refused("++"), TopicError::WildcardInLevel { at: 0 });
    assert_eq!(refused("é+"), TopicError::WildcardInLevel { at: 2 });
}

#[test]
fn what_is_no_string_of_mqtt_is_no_filter_and_no_name() {
    assert_eq!(refused(""), TopicError::Empty);
    assert!(matches!(refused("a\0b"), TopicError::Text(_)));
    assert!(TopicFilter::new(&"a".repeat(65_535)).is_ok());
    assert!(matches!(refused(&"a".repeat(65_536)), TopicError::Text(_)));
    assert_eq!(TopicName::new(""), Err(TopicError::Empty));
    assert!(matches!(TopicName::new("a\0b"), Err(TopicError::Text(_))));
}

#[test]
fn a_name_with_a_wildcard_is_refused_and_told_where() {
    assert_eq!(TopicName::new("a/+"), Err(TopicError::WildcardInName { at: 2 }));
    assert_eq!(TopicName::new("é#b+"), Err(TopicError::WildcardInName { at: 2 }));
    for name in ["/", "$SYS/a", "$share/a/b", "Accounts payable", "\u{feff}a"] {
        assert_eq!(TopicName::new(name).unwrap().as_str(), name);
    }
}

#[test]
fn a_shared_filter_is_taken_apart_and_matches_with_what_follows_the_name() {
    let filter = TopicFilter::new("$share/consumer1//finance").unwrap();
    assert_eq!(filter.share(), Some(("consumer1", "/finance")));
    assert_eq!(filter.filter_without_share(), "/finance");
    assert!(filter.matches("/finance"));
    assert!(!filter.matches("$share/consumer1//finance"));
    assert!(!filter.is_wildcard());

    let filter = TopicFilter::new("$share/g/sport/tennis/+").unwrap();
    assert!(filter.is_wildcard());
    assert!(filter.matches("sport/tennis/player1"));

    let filter = TopicFilter::new("$shared/g/t").unwrap();
    assert_eq!(filter.share(), None);
    assert_eq!(filter.filter_without_share(), "$shared/g/t");
    assert!(!TopicFilter::new("$share/g/#").unwrap().matches("$SYS/a"));
}

#[test]
fn a_shared_filter_without_name_or_filter_is_refused() {
    assert_eq!(refused("$share"), TopicError::ShareNameMissing);
    assert_eq!(refused("$share/"), TopicError::ShareNameMissing);
    assert_eq!(refused("$share//t"), TopicError::ShareNameMissing);
    assert_eq!(refused("$share/g"), TopicError::ShareFilterMissing);
    assert_eq!(refused("$share/g/"), TopicError::ShareFilterMissing);
    assert_eq!(refused("$share/a+b/t"), TopicError::WildcardInShareName { at: 8 });
    assert_eq!(refused("$share/#/t"), TopicError::WildcardInShareName { at: 7 });
    assert_eq!(refused("$share/g/#/x"), TopicError::MultiLevelNotLast { at: 9 });
    assert_eq!(refused("$share/g/a/b+"), TopicError::WildcardInLevel { at: 12 });
}

#[test]
fn an_error_says_what_is_wrong_and_where() {
    assert_eq!(refused("a/#/b").to_string(), "the `#` at byte 2 is not the last level of the filter");
    assert!(refused("$share/g").to_string().contains("no filter"));
}

#[test]
fn a_topic_of_65_536_levels_is_matched_without_recursion() {
    let topic = "/".repeat(65_535);
    assert!(matches("#", &topic));
    assert!(matches("+/#", &topic));
    assert!(matches(&topic, &topic));
    assert!(!matches("+/+", &topic));
}

/// Section 4.7.1 as a definition instead of as a loop.
fn defined(filter: &[&str], topic: &[&str]) -> bool {
    match (filter, topic) {
        (["#"], _) | ([], []) => true,
        ([], _) | (_, []) => false,
        ([first, filter @ ..], [name, topic @ ..]) => {
            (*first == "+" || first == name) && defined(filter, topic)
        }
    }
}

proptest! {
    #[test]
    fn matching_is_what_section_4_7_defines(
        filter in "(([ab$]{0,2}|\\+)/){0,4}([ab]{0,1}|\\+|#)",
        topic in "[ab/$]{1,8}",
    ) {
        let levels = |text: &'static str| text.split('/').collect::<alloc::vec::Vec<_>>();
        let (filter, topic): (&'static str, &'static str) = (String::leak(filter), String::leak(topic));
        let hidden = topic.starts_with('$') && filter.starts_with(['+', '#']);
        prop_assert_eq!(matches(filter, topic), !hidden && defined(&levels(filter), &levels(topic)));
    }

    #[test]
    fn no_string_makes_a_check_panic_and_what_passes_is_kept_as_it_is(
        text in "[a$/+#é]{0,12}|\\$share[/a+#$]{0,8}",
    ) {
        if let Ok(filter) = TopicFilter::new(&text) {
            prop_assert_eq!(filter.as_str(), &text);
            prop_assert!(filter.as_str().ends_with(filter.filter_without_share()));
        }
        prop_assert_eq!(TopicName::new(&text).is_ok(), !text.is_empty() && !text.contains(['+', '#']));
    }
}
