//! `cargo xtask bench`: what a message costs, measured side by side.
//!
//! The load comes from `mqload`, a program beside this repository; where it is not there, nothing is measured. All
//! peers take turns within a round, so that a busy machine is equally busy for each of them. All runs are on
//! loopback and on free ports; what is started is stopped again whatever happens.

mod clients;
mod counts;
mod figures;
mod load;
mod peers;
mod python;
mod scenario;
mod server;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::{capture, cargo, find};
use crate::soak;
use figures::Measured;
use load::Load;
pub(crate) use peers::setup;
use scenario::Scenario;
use server::{Broker, Server};

/// What a run was told.
struct Settings {
    rounds: usize,
    seconds: f64,         // of publishing in each run
    only: Option<String>, // a part of the scenarios' names
    json: Option<PathBuf>,
    quick: bool,
    drivers: bool, // our core under another driver, in the place of other people's brokers
}

/// What a smoke run found.
pub(crate) enum Smoke {
    /// Nothing was lost.
    Clean,
    /// There is no `mqload` beside the repository.
    Skipped,
}

/// `cargo xtask bench [clients|counts|durable|python] ...`
///
/// # Errors
/// Something cannot be built or run, our broker lost messages or their order, or a count has grown.
pub(crate) fn bench(root: &Path, arguments: &[&str]) -> Result<(), String> {
    match arguments {
        ["counts", rest @ ..] => counts::counts(root, rest),
        ["durable", rest @ ..] => soak::run(root, "durable", rest),
        ["clients", rest @ ..] => with_load(root, |load| clients::clients(root, load, rest)),
        ["python", rest @ ..] => with_load(root, |load| python::python(root, load, rest)),
        _ => {
            let settings = Settings::parse(arguments)?;
            with_load(root, |load| brokers(root, load, &settings))
        }
    }
}

/// One second of the main scenarios, to see that nothing is lost: never how long it took.
///
/// # Errors
/// As with [`bench`].
pub(crate) fn smoke(root: &Path) -> Result<Smoke, String> {
    let Some(load) = Load::build(root)? else { return Ok(Smoke::Skipped) };
    brokers(root, &load, &Settings::parse(&["--quick"])?).map(|()| Smoke::Clean)
}

fn with_load(root: &Path, run: impl FnOnce(&Load) -> Result<(), String>) -> Result<(), String> {
    match Load::build(root)? {
        Some(load) => run(&load),
        None => {
            println!("bench: there is no {}: nothing is measured", load::FOLDER);
            Ok(())
        }
    }
}

fn brokers(root: &Path, load: &Load, settings: &Settings) -> Result<(), String> {
    build(root, &["--package", "karere-cli"])?;
    let scenarios = settings.scenarios();
    if scenarios.is_empty() {
        return Err("bench: no scenario has such a name".to_owned());
    }
    let brokers = present(root, settings);
    println!("{}", machine());
    let mut all = Vec::new();
    for round in 1..=settings.rounds {
        for scenario in &scenarios {
            println!("round {round} of {}: {}", settings.rounds, scenario.name);
            for &broker in &brokers {
                let server = Server::start(root, load, broker)?;
                let line = load.run(scenario, settings.seconds, &server);
                all.push(Measured { broker, scenario: scenario.name.clone(), round, line });
            }
        }
    }
    print!("\n{}", figures::table(&scenarios, &brokers, &all));
    if let Some(file) = &settings.json {
        fs::write(file, figures::json(&all)).map_err(|error| format!("{}: {error}", file.display()))?;
    }
    figures::verdict(&all)
}

/// The brokers that are here; a line for each that is not.
fn present(root: &Path, settings: &Settings) -> Vec<Broker> {
    let mut all = vec![Broker::Karere];
    if settings.drivers {
        all.extend(peers::is_there(root, "epoll").then_some(Broker::Epoll));
    } else if !settings.quick {
        match find("mosquitto") {
            Some(_) => all.push(Broker::Mosquitto),
            None => println!("bench: mosquitto is not installed (cargo xtask setup): left out"),
        }
        all.extend(peers::is_there(root, "rumqttd").then_some(Broker::Rumqttd));
    }
    all.push(Broker::Floor);
    all
}

fn build(root: &Path, what: &[&str]) -> Result<(), String> {
    let output = capture(cargo(root).args(["build", "--quiet", "--release"]).args(what));
    if output.success { Ok(()) } else { Err(output.text) }
}

/// What the figures were taken on.
fn machine() -> String {
    let text = |file: &str| fs::read_to_string(file).unwrap_or_default();
    let cpus = text("/proc/cpuinfo");
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let model = model.trim_start_matches([' ', '\t', ':']);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = text("/proc/sys/kernel/osrelease");
    let rustc = capture(Command::new("rustc").arg("--version")).text;
    let busy = text("/proc/loadavg");
    let busy = busy.split(' ').next().unwrap_or_default();
    format!("{cores} cores, {model}, Linux {}, {}; load {busy} before", kernel.trim(), rustc.trim())
}

impl Settings {
    fn parse(arguments: &[&str]) -> Result<Self, String> {
        let mut settings =
            Self { rounds: 3, seconds: 3.0, only: None, json: None, quick: false, drivers: false };
        let mut words = arguments.iter();
        while let Some(&word) = words.next() {
            if word == "--drivers" {
                settings.drivers = true;
                continue;
            }
            if word == "--quick" {
                settings = Self { rounds: 1, seconds: 1.0, quick: true, ..settings };
                continue;
            }
            let value = *words.next().ok_or_else(|| format!("bench: {word} needs a value"))?;
            let bad = || format!("bench: {word} {value}: not a number");
            match word {
                "--rounds" => {
                    settings.rounds = value.parse().map_err(|_| bad())?;
                }
                "--secs" => {
                    let seconds: f64 = value.parse().map_err(|_| bad())?;
                    settings.seconds = Some(seconds).filter(|s| (0.1..=600.0).contains(s)).ok_or_else(bad)?;
                }
                "--only" => settings.only = Some(value.to_owned()),
                "--json" => settings.json = Some(value.into()),
                _ => {
                    return Err(format!(
                        "bench: {word} is none of --quick, --drivers, --rounds N, --secs S, --only NAME, --json FILE"
                    ));
                }
            }
        }
        Ok(settings)
    }

    fn scenarios(&self) -> Vec<Scenario> {
        let mut all = if self.quick { scenario::main() } else { scenario::all() };
        all.retain(|scenario| self.only.as_ref().is_none_or(|part| scenario.name.contains(part.as_str())));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quick_run_is_one_round_of_one_second_of_the_main_scenarios() {
        let quick = Settings::parse(&["--quick"]).expect("settings");
        assert_eq!((quick.rounds, quick.seconds, quick.scenarios().len()), (1, 1.0, 4));
    }

    #[test]
    fn scenarios_are_chosen_by_a_part_of_their_names() {
        let settings = Settings::parse(&["--rounds", "2", "--only", "pairs"]).expect("settings");
        assert_eq!(settings.rounds, 2);
        let names: Vec<String> = settings.scenarios().into_iter().map(|scenario| scenario.name).collect();
        assert_eq!(names, ["pairs q1 16", "pairs q1 1024"]);
    }

    #[test]
    fn an_option_that_there_is_not_is_named() {
        assert!(Settings::parse(&["--fast", "1"]).is_err_and(|error| error.contains("--fast")));
        assert!(Settings::parse(&["--secs", "x"]).is_err_and(|error| error.contains("not a number")));
    }
}
