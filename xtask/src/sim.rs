//! `cargo xtask sim`: the simulator with as many seeds as wanted.

use std::path::Path;
use std::process::ExitCode;

use crate::process::{cargo, tee};

/// Runs the simulator; `arguments` are its own: `--seeds N`, `--seed S`, `--fault NAME`.
pub(crate) fn sim(root: &Path, arguments: &[&str]) -> ExitCode {
    let mut command = cargo(root);
    command.args(["run", "--quiet", "--release", "--package", "karere-sim", "--"]).args(arguments);
    if tee(&mut command).success { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
