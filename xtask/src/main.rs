//! Automation for karere: `cargo xtask <command>`.
//!
//! No dependencies, so that the first command in a fresh clone starts within seconds.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this program talks to a person at a terminal")]

mod bench;
mod conformance;
mod fuzz;
mod loc;
mod process;
mod python;
mod setup;
mod sim;
mod soak;
mod test;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

const HELP: &str = "\
Automation for karere.

Usage: cargo xtask <command>

  setup        install what the end-to-end tests talk to: mosquitto, paho-mqtt, MQTT.js
  setup bench  build what `bench` compares with beside: rumqttd, rumqttc, libmosquitto, an epoll loop over our core
  test         everything that must pass before a change lands; the last line counts it
  test --fast  the same without setup, the end-to-end tests and the slow ones of Python
  test --abi3  Python's tests with the extension module for any CPython from 3.9 on
  tidy         our own lint: sizes, words, dead files, links, the three laws of DESIGN.md, statements without a test
  conformance  the standards' statements by chapter: how many are shown by tests, for the broker and for the client
  fuzz         [--minutes N] [--target T]: fuzz the core, N (10) minutes for each target, with a nightly toolchain
  sim          [--seeds N] [--seed S] [--fault NAME]: many clients and one broker that is killed, decided by a seed
  mutants      [--seeds N]: each named fault in up to N (400) seeds of the simulator; fails when one is not seen
  soak python  [--cycles N]: connections of each of Python's faces, one after the other; nothing may pile up
  soak kill9   [--cycles N] [--seed S] [--broker karere|mosquitto|mosquitto-autosave|all]: SIGKILL under load
  soak full    a disk that fills up under the broker and has room again; mounting a small one needs root
  bench        [--quick] [--drivers] [--rounds N] [--secs S] [--only NAME] [--json FILE]: what a message costs the brokers
  bench clients [--rounds N] [--only NAME] [--json FILE]: what it costs our client, rumqttc and libmosquitto
  bench python  [--quick] [--rounds N] [--only NAME] [--json FILE]: what it costs our Python faces, paho-mqtt, gmqtt, aiomqtt
  bench durable [--quick] [--rounds N] [--secs S] [--messages N] [--data DIR]: what it costs to keep what is acknowledged
  bench counts  [--record]: instructions a message, against those recorded
  loc          lines of code, comments and tests in each crate
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let root = match workspace_root() {
        Ok(root) => root,
        Err(error) => return fail(&error),
    };
    match words.as_slice() {
        ["setup"] => setup::setup(&root).map_or_else(|error| fail(&error), |()| ExitCode::SUCCESS),
        ["setup", "bench"] => bench::setup(&root).map_or_else(|error| fail(&error), |()| ExitCode::SUCCESS),
        ["test"] => test::test(&root, test::Extent::Full),
        ["test", "--fast"] => test::test(&root, test::Extent::Fast),
        ["test", "--abi3"] => test::test_abi3(&root),
        ["tidy"] => tidy_command(&root),
        ["conformance"] => {
            conformance::conformance(&root).map_or_else(|error| fail(&error), |()| ExitCode::SUCCESS)
        }
        ["fuzz", rest @ ..] => {
            fuzz::fuzz(&root, rest).map_or_else(|error| fail(&error), |()| ExitCode::SUCCESS)
        }
        ["sim", rest @ ..] => sim::sim(&root, rest),
        ["mutants"] => sim::mutants(&root, "400"),
        ["mutants", "--seeds", seeds] => sim::mutants(&root, seeds),
        ["soak", rest @ ..] => {
            soak::soak(&root, rest).map_or_else(|error| fail(&error), |()| ExitCode::SUCCESS)
        }
        ["bench", rest @ ..] => {
            bench::bench(&root, rest).map_or_else(|error| fail(&error), |()| ExitCode::SUCCESS)
        }
        ["loc"] => loc::loc(&root).map_or_else(|error| fail(&error), |()| ExitCode::SUCCESS),
        [] | ["help" | "--help" | "-h"] => {
            print!("{HELP}");
            ExitCode::SUCCESS
        }
        unknown => fail(&format!("no such command: {}\n\n{HELP}", unknown.join(" "))),
    }
}

fn tidy_command(root: &Path) -> ExitCode {
    match tidy::tidy(root) {
        Err(error) => fail(&error),
        Ok(findings) if findings.is_empty() => {
            println!("tidy: nothing to mend; {} statements open", conformance::open(root));
            ExitCode::SUCCESS
        }
        Ok(findings) => {
            findings.iter().for_each(|finding| println!("{finding}"));
            fail(&format!("tidy: {} to mend", findings.len()))
        }
    }
}

/// The folder of the workspace's manifest, looked for upwards from the current folder.
fn workspace_root() -> Result<PathBuf, String> {
    let here = std::env::current_dir().map_err(|error| format!("cannot read the current folder: {error}"))?;
    let is_root = |folder: &Path| {
        std::fs::read_to_string(folder.join("Cargo.toml"))
            .is_ok_and(|manifest| manifest.contains("[workspace]"))
    };
    here.ancestors()
        .find(|folder| is_root(folder))
        .map(Path::to_path_buf)
        .ok_or_else(|| format!("no workspace in {} or above it", here.display()))
}

fn fail(error: &str) -> ExitCode {
    eprintln!("error: {}", error.trim_end());
    ExitCode::FAILURE
}
