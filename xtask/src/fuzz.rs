//! `cargo xtask fuzz`: the targets of `fuzz/`, built with the nightly toolchain and run without cargo-fuzz.
//!
//! Everything it makes is in `target/fuzz`: the build, a corpus for each target that grows from run to run, the logs,
//! and the inputs that crashed.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::process::{capture, cargo, tee};

const TARGETS: [&str; 6] = ["decode", "round_trip", "chunking", "client", "broker", "topic"];

/// How many run beside each other.
const AT_ONCE: usize = 2;

const MINUTES: u64 = 10;
/// What the smoke run does: the same inputs each time, so that a red run is somebody's change and not chance.
const SMOKE: Length = Length::Runs(8_000);

/// What lets libFuzzer see which branches an input took, and what was compared with what.
const FLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares";

/// How long a target runs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Length {
    Time(Duration),
    /// So many inputs, made from a fixed seed and nothing that earlier runs have found.
    Runs(u64),
}

/// A run of one target.
struct Report {
    target: &'static str,
    executions: u64,
    coverage: u64,         // edges
    crash: Option<String>, // what is known of it
}

/// What a smoke run found.
pub(crate) enum Smoke {
    /// How many targets ran clean, and how many did not.
    Ran { clean: u64, crashed: u64 },
    /// There is no nightly toolchain.
    Skipped,
}

/// `cargo xtask fuzz [--minutes N] [--target T]`: N minutes for each target.
///
/// # Errors
/// A crash, or that it cannot be built.
pub(crate) fn fuzz(root: &Path, arguments: &[&str]) -> Result<(), String> {
    let (time, targets) = parse(arguments)?;
    let Some(host) = nightly_host() else {
        return Err("no nightly toolchain. Get one: rustup toolchain install nightly".to_owned());
    };
    build(root, &host)?;
    match run(root, &host, &targets, Length::Time(time))?
        .iter()
        .filter(|report| report.crash.is_some())
        .count()
    {
        0 => Ok(()),
        crashed => Err(format!("fuzz: {crashed} of {} targets crashed", targets.len())),
    }
}

/// Some thousand inputs for each target, to see that they run.
///
/// # Errors
/// That they cannot be built.
pub(crate) fn smoke(root: &Path) -> Result<Smoke, String> {
    let Some(host) = nightly_host() else { return Ok(Smoke::Skipped) };
    if !tee(cargo(root).args(["fmt", "--manifest-path", "fuzz/Cargo.toml", "--check"])).success {
        return Err("fuzz/ is not formatted: cargo fmt --manifest-path fuzz/Cargo.toml".to_owned());
    }
    build(root, &host)?;
    let reports = run(root, &host, &TARGETS, SMOKE)?;
    let crashed = reports.iter().filter(|report| report.crash.is_some()).count() as u64;
    Ok(Smoke::Ran { clean: reports.len() as u64 - crashed, crashed })
}

fn parse(arguments: &[&str]) -> Result<(Duration, Vec<&'static str>), String> {
    let (mut minutes, mut targets) = (MINUTES, TARGETS.to_vec());
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let value = words.next().ok_or_else(|| format!("fuzz: {word} needs a value"))?;
        match *word {
            "--minutes" => {
                // To libFuzzer, 0 is for ever.
                minutes = value
                    .parse()
                    .ok()
                    .filter(|minutes| *minutes > 0)
                    .ok_or_else(|| format!("fuzz: {value} is no number of minutes"))?;
            }
            "--target" => {
                let known = TARGETS.into_iter().find(|target| target == value);
                targets =
                    vec![known.ok_or_else(|| format!("fuzz: no target {value}. There are {TARGETS:?}"))?];
            }
            _ => return Err(format!("fuzz: {word} is neither --minutes N nor --target T")),
        }
    }
    Ok((Duration::from_secs(minutes * 60), targets))
}

/// The triple of the nightly toolchain, if there is one.
fn nightly_host() -> Option<String> {
    let version = capture(Command::new("rustup").args(["run", "nightly", "rustc", "-vV"]));
    let host = version.text.lines().find_map(|line| line.strip_prefix("host: "));
    host.filter(|_| version.success).map(str::to_owned)
}

fn build(root: &Path, host: &str) -> Result<(), String> {
    let mut command = Command::new("rustup");
    // What `cargo run` set for us is not for another toolchain.
    let ours = cargo(root);
    ours.get_envs().filter(|(_, value)| value.is_none()).for_each(|(name, _)| _ = command.env_remove(name));
    command.current_dir(root).env("RUSTFLAGS", FLAGS);
    command.args(["run", "nightly", "cargo", "build", "--quiet", "--locked", "--release"]);
    // With a target named, the flags are not for build scripts.
    command.args(["--manifest-path", "fuzz/Cargo.toml", "--target-dir", "target/fuzz", "--target", host]);
    if tee(&mut command).success { Ok(()) } else { Err("the fuzz targets do not build".to_owned()) }
}

fn run(root: &Path, host: &str, targets: &[&'static str], length: Length) -> Result<Vec<Report>, String> {
    let mut reports = Vec::new();
    for some in targets.chunks(AT_ONCE) {
        let threads = some.iter().map(|&target| {
            let (root, binary) =
                (root.to_owned(), root.join("target/fuzz").join(host).join("release").join(target));
            thread::spawn(move || run_one(&root, &binary, target, length))
        });
        for thread in threads.collect::<Vec<_>>() {
            let report = thread.join().map_err(|_| "a thread panicked".to_owned())??;
            println!("{report}");
            reports.push(report);
        }
    }
    Ok(reports)
}

fn run_one(root: &Path, binary: &Path, target: &'static str, length: Length) -> Result<Report, String> {
    let folder = |name: &str| -> Result<PathBuf, String> {
        let folder = root.join("target/fuzz").join(name).join(target);
        fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        Ok(folder)
    };
    let smoke = matches!(length, Length::Runs(_));
    let corpus = folder(if smoke { "smoke" } else { "corpus" })?;
    if smoke {
        fs::remove_dir_all(&corpus).map_err(|error| format!("{}: {error}", corpus.display()))?;
        folder("smoke")?;
    }
    let crashes = folder("crashes")?;
    // The seeds are the same each time; what a run has found stays beside them.
    if !capture(Command::new(binary).env("KARERE_FUZZ_SEEDS", &corpus)).success {
        return Err(format!("{target} writes no seeds"));
    }
    let log = root.join("target/fuzz").join(format!("{target}.log"));
    let file = File::create(&log).map_err(|error| format!("{}: {error}", log.display()))?;
    let mut command = Command::new(binary);
    command.args(["-timeout=10", "-rss_limit_mb=2048", "-max_len=4096", "-print_final_stats=1"]);
    match length {
        Length::Time(time) => command.arg(format!("-max_total_time={}", time.as_secs())),
        Length::Runs(runs) => command.arg(format!("-runs={runs}")).arg("-seed=1"),
    };
    command.arg(format!("-artifact_prefix={}/", crashes.display())).arg(&corpus);
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file).status();
    let success = status.map_err(|error| format!("{}: {error}", binary.display()))?.success();
    let text = fs::read(&log).map_err(|error| format!("{}: {error}", log.display()))?;
    Ok(Report::read(target, success, &String::from_utf8_lossy(&text)))
}

impl Report {
    /// From what libFuzzer printed.
    fn read(target: &'static str, success: bool, log: &str) -> Self {
        let number_after = |line: &str, word: &str| {
            let rest = line.split_once(word)?.1.trim_start();
            rest.split(|c: char| !c.is_ascii_digit()).next()?.parse::<u64>().ok()
        };
        let last = |word: &str| log.lines().rev().find_map(|line| number_after(line, word)).unwrap_or(0);
        let about = |word: &str| log.lines().position(|line| line.contains(word));
        let crash = (!success).then(|| {
            let panic =
                about("panicked at").map(|at| log.lines().skip(at).take(4).collect::<Vec<_>>().join("\n  "));
            let input = about("Test unit written to ").and_then(|at| log.lines().nth(at));
            let input = input.and_then(|line| line.rsplit_once(' ')).map_or("(none)", |(_, path)| path);
            format!(
                "  {}\n  input: {input}",
                panic.unwrap_or_else(|| "no panic: time, memory or a signal".into())
            )
        });
        Self { target, executions: last("stat::number_of_executed_units:"), coverage: last(" cov:"), crash }
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { target, executions, coverage, crash } = self;
        let verdict = if crash.is_some() { "CRASHED" } else { "clean" };
        write!(f, "    {target:<11}{executions:>12} executions, coverage {coverage:>5}: {verdict}")?;
        crash.as_ref().map_or(Ok(()), |crash| write!(f, "\n{crash}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_are_read_from_the_end_of_the_log() {
        let log = "#2\tINITED cov: 5 ft: 5\n#900\tDONE   cov: 41 ft: 99 corp: 3/9b\n\
                   stat::number_of_executed_units: 1234\nstat::peak_rss_mb:              30\n";
        let report = Report::read("decode", true, log);
        assert_eq!((report.executions, report.coverage, report.crash), (1234, 41, None));
    }

    #[test]
    fn a_crash_is_reported_with_its_input() {
        let log = "thread '<unnamed>' panicked at src/a.rs:1:2:\nleft is not right\n\
                   artifact_prefix='x/'; Test unit written to x/crash-12\n";
        let crash = Report::read("topic", false, log).crash.expect("a crash");
        assert!(crash.contains("left is not right") && crash.ends_with("input: x/crash-12"), "{crash}");
    }

    #[test]
    fn the_command_takes_minutes_and_a_target() {
        assert_eq!(parse(&[]), Ok((Duration::from_secs(600), TARGETS.to_vec())));
        let words = ["--minutes", "3", "--target", "topic"];
        assert_eq!(parse(&words), Ok((Duration::from_secs(180), vec!["topic"])));
        assert!(parse(&["--target", "nothing"]).is_err_and(|error| error.contains("round_trip")));
        assert!(parse(&["--minutes"]).is_err());
    }
}
