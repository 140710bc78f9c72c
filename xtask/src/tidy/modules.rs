//! Files that nothing compiles.

use std::collections::BTreeSet;

use super::Finding;
use super::tree::Tree;

/// Every Rust file must be reached: the root of a target, or declared by `mod name;` in a file that is.
pub(super) fn dead_files(tree: &Tree) -> Vec<Finding> {
    let mut reached = BTreeSet::new();
    let mut waiting = roots(tree);
    while let Some((path, is_root)) = waiting.pop() {
        let Some(source) = tree.get(&path) else { continue };
        if reached.insert(path.clone()) {
            let declared = declarations(&source.text, &source.code);
            let children = declared.into_iter().flat_map(|child| candidates(&path, is_root, &child));
            waiting.extend(children.map(|child| (child, false)));
        }
    }
    let dead = tree.rust().filter(|source| !reached.contains(&source.path));
    dead.map(|source| Finding::new(source, 0, "no `mod` leads here: nothing compiles it")).collect()
}

/// The targets that cargo finds by itself, and those that a manifest names.
fn roots(tree: &Tree) -> Vec<(String, bool)> {
    let mut roots = Vec::new();
    for manifest in tree.sources.iter().filter(|source| source.path.ends_with("Cargo.toml")) {
        let folder = manifest.path.trim_end_matches("Cargo.toml");
        let named = manifest.text.split("path = \"").skip(1).filter_map(|rest| rest.split('"').next());
        roots.extend(named.map(|path| normal(&format!("{folder}{path}"))));
        let inside = tree.rust().filter_map(|source| source.path.strip_prefix(folder));
        roots.extend(inside.filter(|path| is_target(path)).map(|path| format!("{folder}{path}")));
    }
    roots.into_iter().map(|path| (path, true)).collect()
}

fn is_target(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    matches!(
        parts.as_slice(),
        ["build.rs"]
            | ["src", "lib.rs" | "main.rs"]
            | ["src", "bin", _]
            | ["src", "bin", _, "main.rs"]
            | ["tests" | "examples" | "benches", _]
            | ["tests" | "examples" | "benches", _, "main.rs"]
    )
}

enum Declared {
    Named(String),
    At(String), // #[path = "..."]
}

/// What a file declares. Modules declared inside inline modules are not followed: give them a file.
fn declarations(text: &str, code: &str) -> Vec<Declared> {
    let mut found = Vec::new();
    let mut path = None;
    for (text, code) in text.lines().zip(code.lines()) {
        if let Some(rest) = text.trim().strip_prefix("#[path = \"") {
            path = rest.split('"').next().map(str::to_owned);
        }
        let Some(name) = code.trim().strip_suffix(';').and_then(|line| line.rsplit_once("mod ")) else {
            continue;
        };
        let (before, name) = (name.0.trim(), name.1.trim());
        let is_declaration = before.is_empty() || before.starts_with("pub") || before.ends_with(']');
        if is_declaration && name.chars().all(|c| c.is_alphanumeric() || c == '_') {
            found.push(path.take().map_or_else(|| Declared::Named(name.to_owned()), Declared::At));
        }
    }
    found
}

/// Where the file of a module declared in `parent` may be.
fn candidates(parent: &str, is_root: bool, child: &Declared) -> Vec<String> {
    let (folder, file) = parent.rsplit_once('/').unwrap_or(("", parent));
    let name = match child {
        Declared::At(path) => return vec![normal(&format!("{folder}/{path}"))],
        Declared::Named(name) => name,
    };
    let base = match file {
        _ if is_root => folder.to_owned(),
        "mod.rs" => folder.to_owned(),
        _ => format!("{folder}/{}", file.trim_end_matches(".rs")),
    };
    vec![normal(&format!("{base}/{name}.rs")), normal(&format!("{base}/{name}/mod.rs"))]
}

/// `path` without `.` and `..`.
pub(super) fn normal(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => _ = parts.pop(),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_no_module_declares_is_dead() {
        let tree = Tree::of(&[
            ("crates/a/Cargo.toml", "[[example]]\nname = \"e\"\npath = \"../../examples/e.rs\"\n"),
            ("crates/a/src/lib.rs", "pub mod one;\n#[cfg(test)]\nmod tests;\n// mod commented;\n"),
            ("crates/a/src/tests.rs", ""),
            ("crates/a/src/one/mod.rs", "pub(crate) mod two;"),
            ("crates/a/src/one/two.rs", "mod three;\n#[path = \"../other.rs\"]\nmod four;\n"),
            ("crates/a/src/one/two/three.rs", ""),
            ("crates/a/src/other.rs", ""),
            ("crates/a/src/commented.rs", ""),
            ("crates/a/src/one/three.rs", ""),
            ("crates/a/tests/e2e/main.rs", "mod peer;\n"),
            ("crates/a/tests/e2e/peer.rs", ""),
            ("examples/e.rs", ""),
            ("examples/dead.rs", ""),
        ]);
        let found = dead_files(&tree);
        let dead: Vec<_> = found.iter().map(|finding| finding.path.as_str()).collect();
        assert_eq!(dead, ["crates/a/src/commented.rs", "crates/a/src/one/three.rs", "examples/dead.rs"]);
    }
}
