//! The Python packages: built and installed as a user does it, then their tests.
//!
//! Everything lies in `target/python-venv`; the extension module is built in the release profile, in target folders of
//! its own, as its build settings are not those of the other crates.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::{Output, cargo, find, logged, tee};

/// For which interpreters the extension module is built.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Build {
    /// For the one that builds it, as `pip install .` does.
    Native,
    /// For CPython 3.9 and later.
    Abi3,
}

impl Build {
    /// Where it is built: each has settings of its own, and would build the other's anew.
    fn target(self) -> &'static str {
        if self == Build::Abi3 { "target/wheel-abi3" } else { "target/wheel" }
    }
}

/// Which tests are run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    All,
    NotSlow,
}

/// What the tests need from elsewhere.
const REQUIREMENTS: &str = "python/tests/requirements.txt";

/// What `ruff` looks at.
const SOURCES: [&str; 2] = ["python", "examples/python"];

/// Makes the environment, and builds and installs both packages into it.
pub(crate) fn install(root: &Path, build: Build) -> Result<(), String> {
    let venv = Venv::of(root, build);
    let _ = fs::remove_file(venv.installed());
    venv.make(root)?;
    // Not isolated: maturin and hatchling are in the environment, and one is not fetched for each build.
    // A test installs as README says.
    let mut pip = venv.pip();
    pip.current_dir(root).args([
        "install",
        "--quiet",
        "--no-build-isolation",
        "--no-deps",
        "--force-reinstall",
    ]);
    pip.args([".", "./python/karere-paho"]).env("CARGO_TARGET_DIR", root.join(build.target()));
    // maturin's Python half looks for the program in the path.
    pip.env("PATH", venv.path());
    if build == Build::Abi3 {
        pip.env("MATURIN_PEP517_ARGS", "--features abi3");
    }
    logged(&mut pip, &venv.log())?;
    logged(cargo(root).args(["build", "--quiet", "--release", "--package", "karere-cli"]), &venv.log())?;
    fs::write(venv.installed(), "").map_err(|error| format!("{}: {error}", venv.installed().display()))
}

/// Format and lint of all our Python.
pub(crate) fn ruff(root: &Path) -> bool {
    let sources: Vec<&str> = SOURCES.into_iter().filter(|folder| root.join(folder).is_dir()).collect();
    let venv = Venv::of(root, Build::Native);
    let ruff = |arguments: &[&str]| {
        tee(venv.module("ruff").current_dir(root).args(arguments).args(&sources)).success
    };
    let formatted = ruff(&["format", "--check", "--quiet"]);
    ruff(&["check", "--quiet"]) && formatted
}

/// Types, and the stub of the native module against what it is.
pub(crate) fn types(root: &Path) -> bool {
    let venv = Venv::of(root, Build::Native);
    // From elsewhere, so that the installed package is what is looked at.
    let folder = root.join("target/tmp");
    let _ = fs::create_dir_all(&folder);
    let typed =
        tee(venv.module("mypy").current_dir(root).args(["--no-error-summary", "python/karere"])).success;
    tee(venv.module("mypy.stubtest").current_dir(&folder).args(["--concise", "karere._karere"])).success
        && typed
}

/// The tests under `python/tests`.
pub(crate) fn pytest(root: &Path, build: Build, which: Which) -> Output {
    let venv = Venv::of(root, build);
    if !venv.installed().is_file() {
        return not_installed();
    }
    let mut command = venv.module("pytest");
    command.current_dir(root).args([
        "--quiet",
        "-n",
        "2",
        "--dist",
        "loadgroup",
        "--reruns",
        "2",
        "python/tests",
    ]);
    if which == Which::NotSlow {
        command.args(["-m", "not slow"]);
    }
    if build == Build::Abi3 {
        // They build and install the other one.
        command.arg("--ignore=python/tests/distribution/test_distributions.py");
    }
    tee(&mut command)
}

/// paho-mqtt's own tests against ours.
pub(crate) fn paho_suite(root: &Path, build: Build) -> Output {
    let venv = Venv::of(root, build);
    if !venv.installed().is_file() {
        return not_installed();
    }
    let mut command = Command::new(venv.python());
    tee(command.current_dir(root).arg("python/tests/upstream/suite.py"))
}

/// A program of ours in the environment of the tests.
pub(crate) fn program(root: &Path, path: &str) -> Command {
    let mut command = Command::new(Venv::of(root, Build::Native).python());
    command.current_dir(root).arg(path);
    command
}

/// From pytest's last line: `2 failed, 7 passed, 1 skipped, 1 error in 3.21s`, with or without its frame.
pub(crate) fn summary(text: &str) -> Option<(u64, u64)> {
    let line = text
        .lines()
        .rev()
        .find(|line| line.contains(" passed") || line.contains(" failed") || line.contains(" error"))?;
    let number = |word: &str| {
        let before = line.split(word).next().filter(|before| before.len() < line.len())?;
        before.rsplit(|c: char| !c.is_ascii_digit()).next()?.parse::<u64>().ok()
    };
    Some((number(" passed").unwrap_or(0), number(" failed").unwrap_or(0) + number(" error").unwrap_or(0)))
}

/// A virtual environment with the packages of one build.
struct Venv {
    folder: PathBuf,
}

impl Venv {
    fn of(root: &Path, build: Build) -> Venv {
        let name = if build == Build::Abi3 { "abi3" } else { "test" };
        Venv { folder: root.join("target/python-venv").join(name) }
    }

    /// Makes it and fills it with what the tests need, unless it is as it must be.
    fn make(&self, root: &Path) -> Result<(), String> {
        let requirements = root.join(REQUIREMENTS);
        let text = fs::read_to_string(&requirements)
            .map_err(|error| format!("{}: {error}", requirements.display()))?;
        let stamp = self.folder.join("stamp");
        if self.python().is_file() && fs::read_to_string(&stamp).is_ok_and(|old| old == text) {
            return Ok(());
        }
        let _ = fs::remove_dir_all(&self.folder);
        fs::create_dir_all(&self.folder).map_err(|error| format!("{}: {error}", self.folder.display()))?;
        let python =
            find("python3").ok_or("there is no python3 here: please install it, then run this again")?;
        let made = logged(Command::new(python).args(["-m", "venv"]).arg(&self.folder), &self.log());
        made.map_err(|error| {
            format!("{error}\nOn Debian the venv module is a package: apt-get install python3-venv")
        })?;
        logged(self.pip().args(["install", "--quiet", "--requirement"]).arg(&requirements), &self.log())?;
        fs::write(&stamp, text).map_err(|error| format!("{}: {error}", stamp.display()))
    }

    fn python(&self) -> PathBuf {
        self.folder.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" })
    }

    /// The environment's programs before the system's.
    fn path(&self) -> OsString {
        let programs = self.python().parent().map(Path::to_path_buf);
        let path = env::var_os("PATH").unwrap_or_default();
        env::join_paths(programs.into_iter().chain(env::split_paths(&path))).unwrap_or(path)
    }

    fn module(&self, name: &str) -> Command {
        let mut command = Command::new(self.python());
        command.args(["-m", name]);
        command
    }

    fn pip(&self) -> Command {
        let mut command = self.module("pip");
        command.arg("--disable-pip-version-check");
        command
    }

    /// There once both packages are installed, and gone as soon as they are built again.
    fn installed(&self) -> PathBuf {
        self.folder.join("installed")
    }

    fn log(&self) -> PathBuf {
        self.folder.with_extension("log")
    }
}

fn not_installed() -> Output {
    println!("the packages could not be installed: nothing was tested");
    Output { success: false, text: String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_of_pytest_counts_errors_as_failures() {
        assert_eq!(
            summary("x\n===== 3 failed, 20 passed, 2 skipped, 1 error in 3.21s =====\n"),
            Some((20, 4))
        );
        assert_eq!(summary("20 passed in 3.21s\nsomething after it\n"), Some((20, 0)));
        assert_eq!(summary("1 failed in 0.10s\n"), Some((0, 1)));
        assert_eq!(summary("Traceback (most recent call last):\n"), None);
    }
}
