use super::*;

const IDS: &str = "1.5 Data\nMQTT-1.5.4-1\nMQTT-1.5.4-2\n\n3.1 CONNECT\nMQTT-3.1.2-4\n";
const TESTS: &str = "mod a {\n    #[test]\n    fn it_shows() {}\n}\n#[tokio::test]\nasync fn so_does_this() {}\n\
    #[test]\n#[ignore]\nfn it_sleeps() {}\nfn no_test() {}\n// #[test]\nfn nor_this() {}\n";

fn tree(statements: &str) -> Tree {
    Tree::of(&[
        ("conformance/ids-5.0.txt", IDS),
        ("conformance/statements.toml", statements),
        ("crates/core/src/lib.rs", "#[cfg(test)]\nmod tests;\n"),
        ("crates/core/src/tests/deep.rs", "proptest! {\n    #[test]\n    fn holds(x in any::<u8>()) {}\n}\n"),
        ("crates/core/src/one/mod.rs", TESTS),
        ("crates/core/tests/wire/main.rs", "#[test]\nfn at_the_root() {}\n"),
        ("crates/core/tests/wire/two.rs", "#[test]\nfn in_a_module() {}\n"),
    ])
}

fn whats(statements: &str) -> Vec<String> {
    findings(&tree(statements)).iter().map(ToString::to_string).collect()
}

const WHOLE: &str = "# comment\n[\"5.0\".\"MQTT-1.5.4-1\"]\nbroker = [\"core one::a::it_shows\"]\n\
    client = [\n    \"core one::so_does_this\",\n    \"core tests::deep::holds\",\n]\n\n\
    [\"5.0\".\"MQTT-1.5.4-2\"]\nbinds = \"broker\"\nbroker = [\"core::wire at_the_root\", \"core::wire two::in_a_module\"]\n\n\
    [\"5.0\".\"MQTT-3.1.2-4\"]\nbroker = [\"core one::so_does_this\"]\nnot_ours = \"because it is so\"\n";

#[test]
fn statements_that_are_all_there_with_tests_that_exist_are_nothing_to_mend() {
    assert_eq!(whats(WHOLE), [] as [&str; 0]);
}

#[test]
fn a_statement_that_is_missing_unknown_or_twice_there_is_found() {
    let cut = WHOLE.rsplit_once("[\"5.0\"").unwrap().0;
    assert_eq!(whats(cut), ["conformance/statements.toml: MQTT-3.1.2-4 of MQTT 5.0 is missing"]);
    let unknown = WHOLE.replace("[\"5.0\".\"MQTT-3.1.2-4\"]", "[\"3.1.1\".\"MQTT-3.1.2-4\"]");
    assert!(whats(&unknown)[1].ends_with("MQTT 3.1.1 has no such statement"));
    let twice = format!("{WHOLE}{WHOLE}");
    assert_eq!(whats(&twice).iter().filter(|what| what.contains("twice")).count(), 3);
}

#[test]
fn ids_without_statements_are_found() {
    assert_eq!(findings(&Tree::of(&[("conformance/ids-5.0.txt", IDS)])).len(), 1);
    assert_eq!(findings(&Tree::of(&[])), []);
}

#[test]
fn a_test_that_does_not_exist_or_is_none_is_found_on_its_line() {
    for name in [
        "core one::a::is_gone",
        "core one::it_shows",
        "core one::it_sleeps",
        "core one::no_test",
        "core one::nor_this",
    ] {
        let statements = WHOLE.replace("core tests::deep::holds", name);
        let line = format!("conformance/statements.toml:6: MQTT-1.5.4-1: no such test: {name}");
        assert_eq!(whats(&statements), [line]);
    }
}

#[test]
fn an_end_without_tests_needs_a_word_and_one_with_tests_none() {
    let silent = WHOLE.replace("not_ours = \"because it is so\"", "");
    assert!(whats(&silent)[0].ends_with("nothing shows it for the client"));
    let open = WHOLE.replace("not_ours = \"because it is so\"", "open = true");
    assert_eq!(whats(&open), [] as [&str; 0]);
    let shown = WHOLE
        .replace("broker = [\"core one::a::it_shows\"]", "broker = [\"core one::a::it_shows\"]\nopen = true");
    assert!(whats(&shown)[0].ends_with("shown, and yet open or not ours"));
    let unbound = WHOLE.replace("binds = \"broker\"", "binds = \"client\"");
    assert_eq!(whats(&unbound).len(), 2);
}

#[test]
fn what_is_no_value_is_found_on_its_line() {
    for (from, to) in [
        ("binds = \"broker\"", "binds = \"nobody\""),
        ("binds = \"broker\"", "owner = \"broker\""),
        ("binds = \"broker\"", "binds"),
        ("binds = \"broker\"", "open = yes"),
        ("not_ours = \"because it is so\"", "not_ours = \"no\""),
    ] {
        let found = whats(&WHOLE.replace(from, to));
        assert_eq!(found.len(), 1, "{to}");
        assert!(found[0].starts_with("conformance/statements.toml:1"), "{found:?}");
    }
    assert_eq!(whats(&WHOLE.replace("\n]\n", "\n")).len(), 1, "a list that does not end");
}

#[test]
fn a_chapter_counts_its_own() {
    let tree = tree(&WHOLE.replace("not_ours = \"because it is so\"", "open = true"));
    let (all, standards) = (read(&tree).unwrap(), ids::read(&tree));
    let counts: Vec<Count> =
        standards[0].chapters.iter().map(|each| count(&all, &standards[0], each)).collect();
    let first = Count { statements: 2, broker: 2, client: 1, not_ours: 0, open: 0 };
    let second = Count { statements: 1, broker: 1, client: 0, not_ours: 0, open: 1 };
    assert_eq!(counts, [first, second]);
    assert_eq!(first.plus(second).statements, 3);
}
