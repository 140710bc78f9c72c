//! `cargo xtask test`: everything that must pass before a change lands.

use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use crate::process::{Output, capture, cargo, tee};
use crate::python::{Build, Which};
use crate::{bench, fuzz, python, setup, soak, tidy};

/// What is run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// All of it.
    Full,
    /// All but what needs peers from elsewhere.
    Fast,
}

/// One line of the report. A stage that is not made of tests counts as one check.
struct Stage {
    name: &'static str,
    fast: bool, // whether it is part of the fast run
    run: fn(&Path, Extent) -> Count,
}

/// The stages in the order in which they run. Each runs whatever became of those before it.
const STAGES: &[Stage] = &[
    Stage { name: "setup", fast: false, run: |root, _| check(setup::setup(root)) },
    Stage { name: "fmt", fast: true, run: |root, _| done(cargo(root).args(["fmt", "--all", "--check"])) },
    Stage { name: "clippy", fast: true, run: clippy },
    Stage { name: "tidy", fast: true, run: |root, _| tidy_stage(root) },
    Stage { name: "docs", fast: true, run: docs },
    Stage { name: "deny", fast: true, run: deny },
    Stage { name: "examples", fast: true, run: examples },
    Stage { name: "tests", fast: true, run: tests },
    Stage { name: "doc tests", fast: true, run: doc_tests },
    Stage { name: "python", fast: true, run: |root, _| check(python::install(root, Build::Native)) },
    Stage { name: "ruff", fast: true, run: |root, _| yes(python::ruff(root)) },
    Stage { name: "types", fast: true, run: |root, _| yes(python::types(root)) },
    Stage { name: "pytest", fast: true, run: pytest },
    Stage {
        name: "paho suite",
        fast: false,
        run: |root, _| pytest_count(&python::paho_suite(root, Build::Native)),
    },
    Stage { name: "fuzz", fast: false, run: |root, _| fuzz_smoke(root) },
    Stage { name: "bench", fast: false, run: |root, _| bench_smoke(root) },
    Stage { name: "soak", fast: false, run: |root, _| soak_smokes(root) },
];

/// Python's tests once more, with the extension module for any CPython from 3.9 on.
const ABI3_STAGES: &[Stage] = &[
    Stage { name: "python", fast: true, run: |root, _| check(python::install(root, Build::Abi3)) },
    Stage {
        name: "pytest",
        fast: true,
        run: |root, _| pytest_count(&python::pytest(root, Build::Abi3, Which::All)),
    },
    Stage {
        name: "paho suite",
        fast: true,
        run: |root, _| pytest_count(&python::paho_suite(root, Build::Abi3)),
    },
];

/// The crates whose documentation is read by others.
const PUBLIC_CRATES: [&str; 4] = ["karere-core", "karere-net", "karere", "karere-broker"];

/// The end-to-end tests: the only binary that needs what `setup` installs.
const END_TO_END: &str = "e2e";

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Count {
    passed: u64,
    failed: u64,
}

/// Runs the stages and prints `N passed, N failed` as the last line.
pub(crate) fn test(root: &Path, extent: Extent) -> ExitCode {
    run(root, extent, STAGES)
}

/// The same for what `--features abi3` builds.
pub(crate) fn test_abi3(root: &Path) -> ExitCode {
    run(root, Extent::Full, ABI3_STAGES)
}

fn run(root: &Path, extent: Extent, stages: &[Stage]) -> ExitCode {
    let mut total = Count::default();
    let mut report = String::new();
    for stage in stages.iter().filter(|stage| stage.fast || extent == Extent::Full) {
        println!("\n==> {}", stage.name);
        let start = Instant::now();
        let count = (stage.run)(root, extent);
        let line = line(stage.name, count, start.elapsed());
        println!("{line}");
        report += &format!("{line}\n");
        total = total.plus(count);
    }
    println!("\n{report}\n{} passed, {} failed", total.passed, total.failed);
    if total.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn line(name: &str, count: Count, took: Duration) -> String {
    let verdict = match count {
        Count { passed: 0, failed: 0 } => "skipped".to_owned(),
        Count { passed: 1, failed: 0 } => "ok".to_owned(),
        Count { passed: 0, failed: 1 } => "FAILED".to_owned(),
        Count { passed, failed: 0 } => format!("ok, {passed} tests"),
        Count { passed, failed } => format!("FAILED, {failed} of {} tests", passed + failed),
    };
    format!("    {name:<10}{:>7.1} s  {verdict}", took.as_secs_f64())
}

impl Count {
    const OK: Count = Count { passed: 1, failed: 0 };
    const FAILED: Count = Count { passed: 0, failed: 1 };

    fn plus(self, other: Count) -> Count {
        Count { passed: self.passed + other.passed, failed: self.failed + other.failed }
    }
}

fn check(result: Result<(), String>) -> Count {
    match result {
        Ok(()) => Count::OK,
        Err(error) => {
            println!("{error}");
            Count::FAILED
        }
    }
}

fn done(command: &mut Command) -> Count {
    yes(tee(command).success)
}

fn yes(good: bool) -> Count {
    if good { Count::OK } else { Count::FAILED }
}

fn clippy(root: &Path, _: Extent) -> Count {
    let arguments =
        ["clippy", "--quiet", "--workspace", "--all-targets", "--release", "--", "-D", "warnings"];
    done(cargo(root).args(arguments))
}

fn tidy_stage(root: &Path) -> Count {
    check(tidy::tidy(root).and_then(|findings| match findings.len() {
        0 => Ok(()),
        _ => Err(findings.iter().map(|finding| format!("{finding}\n")).collect()),
    }))
}

fn docs(root: &Path, _: Extent) -> Count {
    let mut command = cargo(root);
    command.env("RUSTDOCFLAGS", "-D warnings").args(["doc", "--quiet", "--no-deps", "--release"]);
    PUBLIC_CRATES.iter().for_each(|name| _ = command.args(["--package", name]));
    done(&mut command)
}

/// Licences, advisories and sources by `deny.toml`, for who has cargo-deny.
fn deny(root: &Path, _: Extent) -> Count {
    if !capture(cargo(root).args(["deny", "--version"])).success {
        println!("cargo-deny is not installed: not looked at");
        return Count::default();
    }
    done(cargo(root).args(["deny", "check", "bans", "licenses", "sources"]))
}

fn tests(root: &Path, extent: Extent) -> Count {
    let mut command = cargo(root);
    if capture(cargo(root).args(["nextest", "--version"])).success {
        command.args([
            "nextest",
            "run",
            "--workspace",
            "--release",
            "--no-fail-fast",
            "--status-level",
            "slow",
        ]);
        if extent == Extent::Fast {
            command.args(["-E", &format!("not binary({END_TO_END})")]);
        }
        return count(&tee(&mut command), nextest_count);
    }
    println!("cargo-nextest is not installed: using cargo test");
    command.args(["test", "--workspace", "--release", "--no-fail-fast", "--lib", "--bins"]);
    // `--tests` would name the end-to-end binary too: the fast run leaves out the integration binaries.
    if extent == Extent::Full {
        command.arg("--tests");
    }
    count(&tee(command.args(["--", "--test-threads", "2"])), libtest_count)
}

fn doc_tests(root: &Path, _: Extent) -> Count {
    let mut command = cargo(root);
    command.args(["test", "--quiet", "--doc", "--workspace", "--release", "--no-fail-fast"]);
    count(&tee(&mut command), libtest_count)
}

/// Built here, before the end-to-end tests run them.
fn examples(root: &Path, _: Extent) -> Count {
    done(cargo(root).args(["build", "--quiet", "--workspace", "--release", "--examples"]))
}

fn pytest(root: &Path, extent: Extent) -> Count {
    let which = if extent == Extent::Full { Which::All } else { Which::NotSlow };
    pytest_count(&python::pytest(root, Build::Native, which))
}

fn pytest_count(output: &Output) -> Count {
    count(output, |text| {
        let (passed, failed) = python::summary(text).unwrap_or_default();
        Count { passed, failed }
    })
}

fn fuzz_smoke(root: &Path) -> Count {
    match fuzz::smoke(root) {
        Ok(fuzz::Smoke::Ran { clean, crashed }) => Count { passed: clean, failed: crashed },
        Ok(fuzz::Smoke::Skipped) => {
            println!("no nightly toolchain (rustup toolchain install nightly): not fuzzed");
            Count::default()
        }
        Err(error) => check(Err(error)),
    }
}

/// Loss and order only: what a time would say depends on what else the machine does.
fn bench_smoke(root: &Path) -> Count {
    match bench::smoke(root) {
        Ok(bench::Smoke::Clean) => Count::OK,
        Ok(bench::Smoke::Skipped) => {
            println!("mqload is not beside this repository: no load was put on the broker");
            Count::default()
        }
        Err(error) => check(Err(error)),
    }
}

/// Each counts as one check.
fn soak_smokes(root: &Path) -> Count {
    let smokes = soak::SMOKES.iter();
    smokes.fold(Count::default(), |sum, (command, arguments)| {
        sum.plus(check(soak::run(root, command, arguments)))
    })
}

/// What the test runner says it ran. That it failed without a failed test (nothing compiled,
/// it was killed) is one failure.
fn count(output: &Output, parse: fn(&str) -> Count) -> Count {
    let count = parse(&output.text);
    if !output.success && count.failed == 0 { count.plus(Count::FAILED) } else { count }
}

/// From `Summary [ 1.2s] 10/12 tests run: 7 passed (1 slow), 1 failed, 1 timed out, 1 exec failed, 3 skipped`.
fn nextest_count(text: &str) -> Count {
    let Some(summary) = text.lines().rev().find(|line| line.trim_start().starts_with("Summary [")) else {
        return Count::default();
    };
    let Some((before, after)) = summary.split_once(" run: ") else { return Count::default() };
    let passed = number_before(after, " passed");
    let ran = before.split(']').nth(1).and_then(|part| part.split_whitespace().next()).unwrap_or("0");
    // "10/12": two never ran, because the run was stopped.
    let wanted: u64 = ran.rsplit('/').next().and_then(|number| number.parse().ok()).unwrap_or(0);
    Count { passed, failed: wanted.saturating_sub(passed) }
}

/// From the lines `test result: ok. 5 passed; 0 failed; 1 ignored; ...`, one for each binary.
fn libtest_count(text: &str) -> Count {
    let results = text.lines().filter(|line| line.starts_with("test result: "));
    results.fold(Count::default(), |sum, line| {
        sum.plus(Count { passed: number_before(line, " passed"), failed: number_before(line, " failed") })
    })
}

fn number_before(text: &str, word: &str) -> u64 {
    let before = text.split(word).next().unwrap_or_default();
    before
        .split(|c: char| !c.is_ascii_digit())
        .next_back()
        .and_then(|digits| digits.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nextest_counts_what_failed_timed_out_and_never_ran() {
        let all = "x\n     Summary [   0.123s] 10 tests run: 10 passed (1 slow, 2 leaky), 3 skipped\n";
        assert_eq!(nextest_count(all), Count { passed: 10, failed: 0 });
        let some =
            "     Summary [   9.1s] 10 tests run: 7 passed, 1 failed, 1 timed out, 1 exec failed, 0 skipped";
        assert_eq!(nextest_count(some), Count { passed: 7, failed: 3 });
        let stopped = "     Summary [   9.1s] 2/12 tests run: 1 passed, 1 failed, 0 skipped";
        assert_eq!(nextest_count(stopped), Count { passed: 1, failed: 11 });
        let one = "     Summary [   9.1s] 1 test run: 1 passed, 0 skipped";
        assert_eq!(nextest_count(one), Count { passed: 1, failed: 0 });
    }

    #[test]
    fn libtest_counts_every_binary() {
        let text = "test result: ok. 5 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n\
                    test result: FAILED. 2 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out\n";
        assert_eq!(libtest_count(text), Count { passed: 7, failed: 3 });
    }

    #[test]
    fn a_runner_that_fails_without_a_failed_test_is_one_failure() {
        let output = Output { success: false, text: "error: could not compile".to_owned() };
        assert_eq!(count(&output, nextest_count), Count { passed: 0, failed: 1 });
    }
}
