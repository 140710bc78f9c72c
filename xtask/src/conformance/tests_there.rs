//! The names of all tests, found in the sources, as nextest prints them: `karere-core client::tests::connect::name`
//! for a library's own, `karere-broker::broker qos::name` for those of an integration binary.

use std::collections::BTreeSet;

use crate::tidy::tree::{Source, Tree};

pub(super) fn names(tree: &Tree) -> BTreeSet<String> {
    tree.rust().filter_map(|source| Some((place(&source.path)?, source))).flat_map(in_file).collect()
}

/// Where a file's tests are: the binary, and the module.
struct Place {
    binary: String,
    module: Vec<String>,
}

/// The place of `crates/NAME/src/a/b.rs` or `crates/NAME/tests/BINARY/a.rs`, by the rule that a module's file bears its name.
fn place(path: &str) -> Option<Place> {
    let rest = path.strip_prefix("crates/").or_else(|| path.starts_with("xtask/").then_some(path))?;
    let rest = rest.strip_suffix(".rs")?;
    let mut parts: Vec<&str> = rest.split('/').collect();
    if matches!(parts.last(), Some(&("lib" | "main" | "mod"))) {
        parts.pop();
    }
    let (binary, module) = match parts.as_slice() {
        [name, "src", module @ ..] => ((*name).to_owned(), module),
        [name, "tests", binary, module @ ..] => (format!("{name}::{binary}"), module),
        _ => return None,
    };
    Some(Place { binary, module: module.iter().map(|part| (*part).to_owned()).collect() })
}

/// The tests of a file: a function behind `#[test]` or `#[tokio::test]`, in the modules that are open around it. One
/// that is ignored shows nothing.
fn in_file((place, source): (Place, &Source)) -> Vec<String> {
    let mut found = Vec::new();
    let mut open: Vec<(usize, &str)> = Vec::new(); // depth outside, and name, of inline modules
    let mut depth = 0;
    let (mut is_test, mut is_ignored) = (false, false);
    for line in source.code.lines().map(str::trim) {
        is_test |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
        is_ignored |= line.starts_with("#[ignore");
        if let Some(name) = named(line, "mod").filter(|_| line.ends_with('{')) {
            open.push((depth, name));
        }
        if let Some(name) = named(line, "fn") {
            if is_test && !is_ignored {
                let inline = open.iter().map(|(_, module)| *module);
                let path: Vec<&str> =
                    place.module.iter().map(String::as_str).chain(inline).chain([name]).collect();
                found.push(format!("{} {}", place.binary, path.join("::")));
            }
            (is_test, is_ignored) = (false, false);
        }
        depth += line.matches('{').count();
        depth = depth.saturating_sub(line.matches('}').count());
        while open.last().is_some_and(|(outside, _)| depth <= *outside) {
            open.pop();
        }
    }
    found
}

/// The name behind `keyword`, where an item of that kind begins on this line.
fn named<'a>(line: &'a str, keyword: &str) -> Option<&'a str> {
    let (before, rest) = line.split_once(&format!("{keyword} "))?;
    let begins =
        before.split_whitespace().all(|word| matches!(word, "async" | "const") || word.starts_with("pub"));
    let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
    (begins && end > 0).then(|| &rest[..end])
}
