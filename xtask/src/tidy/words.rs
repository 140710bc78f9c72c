//! Words that have no place in a finished file.

use super::tree::Tree;
use super::{Finding, lines_with_word};

// Spelt in two halves, because this file is looked at too.
const NOTES: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];
const MACROS: [&str; 3] = ["dbg!", "todo!", "unimplemented!"];

/// Folders of somebody's machine, and the hosts that a package comes from: which registry or mirror is used is for
/// the configuration of whoever builds.
const MACHINES: [&str; 8] = [
    concat!("/wo", "rk"),
    concat!("/ro", "ot"),
    concat!("/fa", "rm"),
    concat!("/tmp/", "bash_jobs"),
    concat!("registry.", "npmjs.org"),
    concat!("files.", "pythonhosted.org"),
    concat!("index.", "crates.io"),
    concat!("static.", "crates.io"),
];

/// What says of itself that it is not done.
pub(super) fn unfinished(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in &tree.sources {
        for word in NOTES {
            findings.extend(lines_with_word(&source.text, word).map(|line| Finding::new(source, line, word)));
        }
        for word in MACROS {
            findings.extend(lines_with_word(&source.code, word).map(|line| Finding::new(source, line, word)));
        }
    }
    findings
}

/// What is true on one machine only.
pub(super) fn machines(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in tree.sources.iter().filter(|source| source.path != "Cargo.lock") {
        for (index, line) in source.text.lines().enumerate() {
            let found = MACHINES.iter().filter(|name| is_path_or_host(line, name));
            findings
                .extend(found.map(|name| {
                    Finding::new(source, index + 1, format!("{name}: true on one machine only"))
                }));
        }
    }
    findings
}

/// Whether `name` stands in `line` as the start of an absolute path, or as a host: not in the middle of a longer path.
fn is_path_or_host(line: &str, name: &str) -> bool {
    let inside = |c: char| c.is_alphanumeric() || "_-.~*>})".contains(c);
    line.match_indices(name).any(|(at, _)| {
        let starts = !line[..at].ends_with(inside) || !name.starts_with('/');
        let ends = !line[at + name.len()..].starts_with(|c: char| c.is_alphanumeric() || "_-".contains(c));
        starts && ends
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_found_in_any_file_and_a_macro_in_code_only() {
        let note = format!("// {}: later\nlet x = {}(y);\n// {}\n", NOTES[0], MACROS[0], MACROS[1]);
        let found =
            unfinished(&Tree::of(&[("a.rs", &note), ("b.md", NOTES[2]), ("c.md", "method TODOs and xxx")]));
        let lines: Vec<_> = found.iter().map(|finding| (finding.path.as_str(), finding.line)).collect();
        assert_eq!(lines, [("a.rs", 1), ("a.rs", 2), ("b.md", 1)]);
    }

    #[test]
    fn a_path_of_one_machine_is_found_and_a_longer_path_is_not() {
        let bad = MACHINES.map(|name| format!("x = \"{name}/y\"")).join("\n");
        assert_eq!(machines(&Tree::of(&[("a.toml", &bad)])).len(), MACHINES.len());
        let good = MACHINES[..4].iter().map(|name| format!("a/b{name}/y {name}er\n")).collect::<String>();
        assert_eq!(machines(&Tree::of(&[("a.toml", &good)])), []);
    }
}
