//! `cargo xtask tidy`: our own lint, for what clippy does not look at.
//!
//! Every check is a function from the [`Tree`] (the text of the files git knows) to findings, so that each can be
//! shown a bad sample in its test.

mod laws;
mod lexer;
mod links;
mod modules;
mod sizes;
pub(crate) mod tree;
mod words;

use std::fmt;
use std::path::Path;

use tree::{Source, Tree};

/// One thing to mend, printed as `path:line: what`.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    path: String,
    line: usize, // from 1; 0 for the file as a whole
    what: String,
}

/// Looks at every file that git knows or would add.
///
/// # Errors
/// When git or cargo cannot be asked.
pub(crate) fn tidy(root: &Path) -> Result<Vec<Finding>, String> {
    let tree = Tree::read(root)?;
    let checks: [fn(&Tree) -> Vec<Finding>; 8] = [
        sizes::files,
        sizes::functions,
        words::unfinished,
        words::machines,
        modules::dead_files,
        links::broken,
        laws::sources,
        crate::conformance::findings,
    ];
    let mut findings: Vec<Finding> = checks.iter().flat_map(|check| check(&tree)).collect();
    findings.extend(laws::dependencies(root)?);
    findings.sort();
    Ok(findings)
}

impl Finding {
    pub(crate) fn new(source: &Source, line: usize, what: impl Into<String>) -> Finding {
        Finding { path: source.path.clone(), line, what: what.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path, self.what),
            line => write!(f, "{}:{line}: {}", self.path, self.what),
        }
    }
}

/// The line numbers, from 1, on which `word` stands by itself in `text`.
fn lines_with_word<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    text.lines().enumerate().filter(move |(_, line)| has_word(line, word)).map(|(index, _)| index + 1)
}

/// Whether `word` stands in `line` with no letter, digit or underscore directly before or after it.
/// Only the ends of `word` that are such characters themselves are looked at.
fn has_word(line: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back().is_some_and(part) && word.starts_with(part);
        let after = line[at + word.len()..].chars().next().is_some_and(part) && word.ends_with(part);
        !before && !after
    })
}
