//! The three laws of DESIGN.md.

use std::path::Path;

use super::tree::Tree;
use super::{Finding, has_word};
use crate::process::{capture, cargo};

pub(super) const CORE: &str = "crates/karere-core/";

/// The faces: they hold no rule of the protocol.
const FACES: [&str; 2] = ["crates/karere-cli/src/", "crates/karere-python/src/"];

/// Who must not depend on whom, directly or through others, outside of tests. The first law comes first: what
/// brings I/O, a clock, a thread, randomness or a runtime.
const FORBIDDEN: [(&str, &[&str]); 3] = [
    (
        "karere-core",
        &["tokio", "mio", "rand", "getrandom", "fastrand", "libc", "rustix", "socket2", "parking_lot"],
    ),
    ("karere-broker", &["karere"]),
    ("karere", &["karere-broker"]),
];

/// The laws as far as the sources show them.
pub(super) fn sources(tree: &Tree) -> Vec<Finding> {
    let mut findings = core_without_std(tree);
    for source in tree.rust().filter(|source| FACES.iter().any(|face| source.path.starts_with(face))) {
        let matching = source.code.lines().enumerate().filter(|(_, line)| matches_on_a_packet(line));
        let what = "a match on a packet type in a face: the protocol's rules belong to the core";
        findings.extend(matching.map(|(index, _)| Finding::new(source, index + 1, what)));
    }
    findings
}

/// Whether `line` has a packet, or the type of one, as a pattern. To name one (whose properties?) decides nothing.
fn matches_on_a_packet(line: &str) -> bool {
    ["Packet::", "PacketType::"].iter().filter(|word| has_word(line, word)).any(|word| {
        let (before, after) = line.split_once(word).unwrap_or_default();
        after.contains("=>")
            || before.contains("matches!(")
            || (before.contains("let ") && !before.contains('='))
            || before.trim() == "|"
    })
}

/// The laws as far as the dependencies show them.
pub(super) fn dependencies(root: &Path) -> Result<Vec<Finding>, String> {
    let mut findings = Vec::new();
    for (name, forbidden) in FORBIDDEN {
        let arguments =
            ["tree", "--edges", "normal", "--prefix", "none", "--target", "all", "--package", name];
        let output = capture(cargo(root).args(arguments));
        if !output.success {
            return Err(format!("cargo tree: {}", output.text.trim()));
        }
        findings.extend(forbidden_in(name, forbidden, &output.text));
    }
    Ok(findings)
}

/// `list` is what `cargo tree --prefix none` prints: `name version ...` on each line, the crate itself first.
fn forbidden_in(name: &str, forbidden: &[&str], list: &str) -> Vec<Finding> {
    let names: Vec<&str> = list.lines().skip(1).filter_map(|line| line.split_whitespace().next()).collect();
    let found = forbidden.iter().filter(|dependency| names.contains(dependency));
    let path = format!("crates/{name}/Cargo.toml");
    found
        .map(|what| Finding {
            path: path.clone(),
            line: 0,
            what: format!("{name} must not depend on {what}"),
        })
        .collect()
}

fn core_without_std(tree: &Tree) -> Vec<Finding> {
    let Some(lib) = tree.get("crates/karere-core/src/lib.rs") else { return Vec::new() };
    let mut findings = Vec::new();
    if !lib.code.lines().any(|line| line.trim() == "#![no_std]") {
        findings.push(Finding::new(lib, 0, "the core must be #![no_std]"));
    }
    for source in tree.rust().filter(|source| source.path.starts_with("crates/karere-core/src/")) {
        let lines: Vec<&str> = source.code.lines().collect();
        for (index, line) in lines.iter().enumerate().filter(|(_, line)| has_word(line, "extern crate std")) {
            if index == 0 || lines[index - 1].trim() != "#[cfg(test)]" || !line.trim().starts_with("extern") {
                findings.push(Finding::new(source, index + 1, "std in the core, outside its tests"));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    const CORE_LIB: &str = "crates/karere-core/src/lib.rs";

    #[test]
    fn the_core_is_no_std_but_for_its_tests() {
        let good = "#![no_std]\nextern crate alloc;\n#[cfg(test)]\nextern crate std;\n";
        assert_eq!(sources(&Tree::of(&[(CORE_LIB, good)])), []);
        assert_eq!(sources(&Tree::of(&[(CORE_LIB, "// #![no_std]\n")])).len(), 1);
        assert_eq!(sources(&Tree::of(&[(CORE_LIB, "#![no_std]\nextern crate std;\n")])).len(), 1);
    }

    #[test]
    fn a_face_that_decides_by_a_packet_is_found() {
        let bad = [
            "match packet { Packet::Publish(p) => 1 }",
            "if let Packet::Publish(p) = packet {}",
            "let Some(Packet::PingReq) = packet else {};",
            "let is_publish = matches!(kind, PacketType::Publish);",
            "    | PacketType::Publish",
        ];
        let good = [
            "use core::Packet;",
            "let block = properties(PacketType::Publish);",
            "Id::A => owner == Owner::Packet(PacketType::Publish),",
            "// Packet::Publish => 1",
            "match mine { MyPacket::New => 1 }",
        ];
        for path in ["crates/karere-cli/src/a.rs", "crates/karere/src/a.rs"] {
            let found = sources(&Tree::of(&[(path, &bad.join("\n"))])).len();
            assert_eq!(found, if path.contains("cli") { bad.len() } else { 0 });
            assert_eq!(sources(&Tree::of(&[(path, &good.join("\n"))])), []);
        }
    }

    #[test]
    fn a_forbidden_dependency_is_found() {
        let list = "karere-broker v0.1.0 (here)\nkarere-core v0.1.0 (here)\nbytes v1.12.0\nkarere v0.1.0 (here) (*)\n";
        assert_eq!(forbidden_in("karere-broker", &["karere"], list).len(), 1);
        assert_eq!(forbidden_in("karere-broker", &["tokio"], list), []);
        assert_eq!(forbidden_in("karere", &["karere"], "karere v0.1.0 (here)\n"), []);
    }
}
