//! `cargo xtask loc`: how much there is of what.

use std::collections::BTreeMap;
use std::path::Path;

use crate::tidy::tree::{Source, Tree};

#[derive(Default)]
struct Lines {
    files: usize,
    code: usize,
    tests: usize,
    comments: usize,
}

/// Prints lines of code, tests and comments for each crate.
pub(crate) fn loc(root: &Path) -> Result<(), String> {
    let tree = Tree::read(root)?;
    let mut crates: BTreeMap<String, Lines> = BTreeMap::new();
    for source in tree.rust() {
        crates.entry(crate_of(&source.path)).or_default().add(source);
    }
    println!("{:<24}{:>7}{:>9}{:>9}{:>10}", "", "files", "code", "tests", "comments");
    for (name, lines) in &crates {
        println!("{name:<24}{:>7}{:>9}{:>9}{:>10}", lines.files, lines.code, lines.tests, lines.comments);
    }
    Ok(())
}

impl Lines {
    fn add(&mut self, source: &Source) {
        self.files += 1;
        let is_test_file = source.path.contains("/tests/") || source.path.ends_with("/tests.rs");
        let mut in_tests = is_test_file;
        for (text, code) in source.text.lines().zip(source.code.lines()) {
            // By the rule of the house a test module is the last thing in its file.
            in_tests |= code.trim() == "#[cfg(test)]" && !text.is_empty();
            match (code.trim().is_empty(), text.trim().is_empty(), in_tests) {
                (true, true, _) => {}
                (true, false, _) => self.comments += 1,
                (false, _, true) => self.tests += 1,
                (false, _, false) => self.code += 1,
            }
        }
    }
}

fn crate_of(path: &str) -> String {
    let mut parts = path.split('/');
    match (parts.next(), parts.next()) {
        (Some("crates"), Some(name)) => format!("crates/{name}"),
        (Some(folder), Some(_)) => folder.to_owned(),
        _ => ".".to_owned(),
    }
}
