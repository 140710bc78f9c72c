//! `cargo xtask soak`: what only shows after a long time.

use std::path::Path;

use crate::process::{capture, cargo, tee};
use crate::python;

const CYCLES: u64 = 100_000;

/// Kills in the test run: as many as a minute holds.
const KILLS: &str = "50";

/// `cargo xtask soak python [--cycles N]`: so many connections of each of Python's faces, and nothing may pile up.
/// `cargo xtask soak kill9 ...`: our broker, killed under load; what follows is `karere-soak`'s.
/// `cargo xtask soak full`: the disk fills up under it.
///
/// # Errors
/// Something piles up, something was lost, or what is needed cannot be built.
pub(crate) fn soak(root: &Path, arguments: &[&str]) -> Result<(), String> {
    match arguments {
        ["python"] => pile_up(root, CYCLES),
        ["python", "--cycles", number] => {
            pile_up(root, number.parse().map_err(|_| format!("soak: {number} is no number of cycles"))?)
        }
        ["kill9", rest @ ..] => run(root, "kill9", rest),
        ["full"] => run(root, "full", &[]),
        _ => Err("soak: there are `soak python [--cycles N]`, `soak kill9 [--cycles N] [--broker NAME]` and `soak full`"
            .to_owned()),
    }
}

/// What the test run has time for of each: kills, a full disk, and whether the load that is measured loses anything.
pub(crate) const SMOKES: [(&str, &[&str]); 3] =
    [("kill9", &["--cycles", KILLS]), ("full", &[]), ("durable", &["--quick", "--only", "fsync"])];

/// One command of `karere-soak`, on the broker as it is now.
///
/// # Errors
/// It fails, or cannot be built.
pub(crate) fn run(root: &Path, command: &str, arguments: &[&str]) -> Result<(), String> {
    let build = ["build", "--quiet", "--release", "--package", "karere-cli", "--package", "karere-soak"];
    let built = capture(cargo(root).args(build));
    if !built.success {
        return Err(built.text);
    }
    let mut program = std::process::Command::new(root.join("target/release/karere-soak"));
    program.current_dir(root).arg(command).args(arguments);
    if tee(&mut program).success { Ok(()) } else { Err(format!("karere-soak {command} has failed")) }
}

fn pile_up(root: &Path, cycles: u64) -> Result<(), String> {
    python::install(root, python::Build::Native)?;
    let mut command = python::program(root, "python/tests/soak/soak.py");
    command.arg(cycles.to_string());
    if tee(&mut command).success { Ok(()) } else { Err("soak: something piles up".to_owned()) }
}
