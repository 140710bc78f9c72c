//! `cargo xtask sim`: the simulator with as many seeds as wanted; `cargo xtask mutants`: with faults that it must see.

use std::path::Path;
use std::process::ExitCode;

use crate::process::{cargo, tee};

/// Runs the simulator; `arguments` are its own: `--seeds N`, `--seed S`, `--fault NAME`.
pub(crate) fn sim(root: &Path, arguments: &[&str]) -> ExitCode {
    let mut command = cargo(root);
    command.args(["run", "--quiet", "--release", "--package", "karere-sim", "--"]).args(arguments);
    if tee(&mut command).success { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Commits each named fault until the simulator sees it, `seeds` times at most, and prints the table of
/// `docs/internals/proof.md`. Fails when one is not seen.
pub(crate) fn mutants(root: &Path, seeds: &str) -> ExitCode {
    sim(root, &["--mutants", seeds])
}
