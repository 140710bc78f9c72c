//! Other people's programs, and experiments with ours: `bench-compare/`, built only when asked for.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::{cargo, find, logged};
use crate::setup::debian;

/// Where they are, from the root of the workspace.
const SOURCES: &str = "bench-compare";
const BUILT: &str = "target/peers/compare";

/// The program `name`, whether it is built or not.
pub(super) fn program(root: &Path, name: &str) -> PathBuf {
    root.join(BUILT).join("release").join(name)
}

/// Whether `name` is built; a line that says how to build it when it is not.
pub(super) fn is_there(root: &Path, name: &str) -> bool {
    let there = program(root, name).is_file();
    if !there {
        println!("bench: {name} is not built (cargo xtask setup bench): left out");
    }
    there
}

/// `name` with `arguments`.
pub(super) fn command(root: &Path, name: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program(root, name));
    command.args(arguments);
    command
}

/// `cargo xtask setup bench`: all of them, into `target/peers/compare`.
///
/// # Errors
/// One of them cannot be built; the others are, where they can.
pub(crate) fn setup(root: &Path) -> Result<(), String> {
    let built = root.join(BUILT);
    fs::create_dir_all(built.join("release")).map_err(|error| format!("{}: {error}", built.display()))?;
    let log = built.join("setup.log");
    println!("setup: building {SOURCES} into {BUILT} (minutes, the first time)");
    let mut build = cargo(root);
    build
        .args(["build", "--release", "--locked", "--manifest-path"])
        .arg(root.join(SOURCES).join("Cargo.toml"));
    let rust = logged(build.arg("--target-dir").arg(&built), &log);
    // Not needed by the others: each is told of.
    let c = libmosquitto(root, &log).map_err(|error| format!("libmosquitto's client: {error}"));
    match (rust, c) {
        (Ok(()), Ok(())) => Ok(()),
        (Err(one), Err(other)) => Err(format!("{one}\n{other}")),
        (Err(error), _) | (_, Err(error)) => Err(error),
    }
}

/// The C program, against Debian's library.
fn libmosquitto(root: &Path, log: &Path) -> Result<(), String> {
    let compiler = find("cc").ok_or("there is no C compiler here: please install gcc or clang")?;
    let compile = || {
        let mut compile = Command::new(&compiler);
        compile.args(["-O2", "-Wall", "-Wextra", "-o"]).arg(program(root, "libmosquitto"));
        logged(compile.arg(root.join(SOURCES).join("libmosquitto.c")).arg("-lmosquitto"), log)
    };
    if compile().is_ok() {
        return Ok(());
    }
    debian(&["libmosquitto-dev"], log)?;
    compile()
}
