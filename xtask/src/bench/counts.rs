//! `cargo xtask bench counts`: instructions a message, which flake far less than times do.
//!
//! Each path runs twice under callgrind, once with twice the messages: the difference is the messages', what
//! starting costs falls out.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::process::{capture, find};

/// What was counted last, to be committed.
const RECORD: &str = "crates/karere-bench/counts.toml";
const PATHS: [&str; 6] = ["decode", "encode", "route_q0", "route_q1", "client_publish", "client_receive"];
const MESSAGES: u64 = 20_000;
/// By how much a count may grow before somebody has to look.
const GROWTH_MAX: f64 = 0.05;

/// `cargo xtask bench counts [--record]`: counts, and compares with what is recorded or records it.
///
/// # Errors
/// A path costs over 5 % more instructions than recorded, or cannot be counted.
pub(super) fn counts(root: &Path, arguments: &[&str]) -> Result<(), String> {
    let records = match arguments {
        [] => false,
        ["--record"] => true,
        _ => return Err("bench counts takes --record only".to_owned()),
    };
    let Some(valgrind) = find("valgrind") else {
        println!("bench: valgrind is not installed: instructions are not counted");
        return Ok(());
    };
    super::build(root, &["--package", "karere-bench", "--example", "paths"])?;
    let mut counted = Vec::new();
    for path in PATHS {
        let once = instructions(&valgrind, root, path, MESSAGES)?;
        let twice = instructions(&valgrind, root, path, 2 * MESSAGES)?;
        counted.push((path, twice.saturating_sub(once) / MESSAGES));
    }
    let file = root.join(RECORD);
    if records {
        let lines: String = counted.iter().map(|(path, count)| format!("{path} = {count}\n")).collect();
        let head = "# Instructions a message, by `cargo xtask bench counts --record`.\n";
        fs::write(&file, format!("{head}{lines}")).map_err(|error| format!("{RECORD}: {error}"))?;
    }
    let text = fs::read_to_string(&file)
        .map_err(|error| format!("{RECORD}: {error}. To make it: cargo xtask bench counts --record"))?;
    report(&counted, &recorded(&text))
}

fn report(counted: &[(&str, u64)], recorded: &[(String, u64)]) -> Result<(), String> {
    let mut grown = Vec::new();
    println!("{:<16}{:>10}{:>10}", "instructions", "now", "recorded");
    for (path, now) in counted {
        let before = recorded.iter().find(|(name, _)| name == path).map(|(_, count)| *count);
        println!(
            "{path:<16}{now:>10}{:>10}",
            before.map_or_else(|| "-".to_owned(), |count| count.to_string())
        );
        if before.is_none_or(|before| *now as f64 > before as f64 * (1.0 + GROWTH_MAX)) {
            grown.push(*path);
        }
    }
    match grown.is_empty() {
        true => Ok(()),
        false => Err(format!(
            "over 5 % more instructions than recorded, or not recorded: {}. Where that is meant: \
             cargo xtask bench counts --record",
            grown.join(", ")
        )),
    }
}

/// From lines `name = count`.
fn recorded(text: &str) -> Vec<(String, u64)> {
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    pairs.filter_map(|(name, count)| Some((name.trim().to_owned(), count.trim().parse().ok()?))).collect()
}

fn instructions(valgrind: &Path, root: &Path, path: &str, messages: u64) -> Result<u64, String> {
    let mut command = Command::new(valgrind);
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    command.arg(root.join("target/release/examples/paths")).args([path, &messages.to_string()]);
    let output = capture(&mut command);
    let collected = output.text.lines().find_map(|line| line.split_once("Collected : "));
    let count = collected.and_then(|(_, count)| count.split_whitespace().next()?.parse().ok());
    count.filter(|_| output.success).ok_or_else(|| format!("{path}: not counted\n{}", output.text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_may_grow_by_5_percent_and_no_more() {
        let recorded = recorded("# words\ndecode = 100\nencode = 200\n");
        assert_eq!(report(&[("decode", 105), ("encode", 1)], &recorded), Ok(()));
        let error = report(&[("decode", 106), ("encode", 210)], &recorded).expect_err("it has grown");
        assert!(error.contains("decode") && !error.contains("encode"), "{error}");
    }

    #[test]
    fn a_path_that_is_not_recorded_is_an_error() {
        assert!(report(&[("decode", 1)], &[]).is_err());
    }
}
