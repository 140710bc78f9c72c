//! `karere-sim --seeds N [--seed S] [--fault NAME]`: runs seeds on all cores, and shows what fails.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this program talks to a person at a terminal")]

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use karere_sim::{Counts, CrashPoints, Fault, Outcome, crash_points, minimal_trace, simulate, whole_history};

const HELP: &str = "\
Usage: karere-sim [--seeds N] [--seed S] [--fault NAME] [--history S] [--mutants N] [--crash S]

  --seeds N     how many seeds to run; 1,000, or 1 with --seed
  --seed S      the first of them; 1
  --fault NAME  commit a fault on purpose, to see that it is seen
  --mutants N   commit each fault in up to N seeds, and say who sees it
  --crash S     kill the broker behind each change of its disk in the run of this seed
  --history S   show all that happens in the run of this seed, and nothing else

Example: karere-sim --seed 4711
";

/// Failing seeds that are shown in full, at most.
const SHOWN_MAX: usize = 3;

/// After how many seeds a line says how far it is.
const PROGRESS_EVERY: u64 = 5_000;

struct Task {
    first: u64,
    seeds: u64,
    fault: Option<Fault>,
    history: Option<u64>,
    mutants: Option<u64>,
    crash: Option<u64>,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match read(&arguments) {
        Ok(Task { history: Some(seed), fault, .. }) => {
            print!("{}", whole_history(seed, fault));
            ExitCode::SUCCESS
        }
        Ok(Task { crash: Some(seed), fault, .. }) => crash(seed, fault),
        Ok(Task { mutants: Some(seeds), .. }) => score(seeds),
        Ok(task) => run(&task),
        Err(error) => {
            eprintln!("{error}\n{HELP}");
            ExitCode::FAILURE
        }
    }
}

/// Every crash point of one run.
fn crash(seed: u64, fault: Option<Fault>) -> ExitCode {
    let CrashPoints { changes, ends, violations } = crash_points(seed, fault);
    for (at, tail, violation) in &violations {
        println!("behind change {at}, {tail:?}: {violation}");
    }
    println!("seed {seed}: {changes} changes, {ends} ends, {} violations", violations.len());
    if violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The table of all faults, and who has seen them.
fn score(seeds: u64) -> ExitCode {
    let outcomes = karere_sim::mutants(seeds);
    println!("| fault | what it does | seen as | at seed |\n|---|---|---|---|");
    for Outcome { named, caught } in &outcomes {
        let (seen, seed) = match caught {
            Some((kind, seed)) => (format!("{kind:?}"), seed.to_string()),
            None => ("**nothing**".to_owned(), format!("none of {seeds}")),
        };
        println!("| `{}` | {} | {seen} | {seed} |", named.name, named.what);
    }
    let missed = outcomes.iter().filter(|outcome| outcome.caught.is_none()).count();
    println!("{} faults, {missed} not seen", outcomes.len());
    if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn read(arguments: &[String]) -> Result<Task, String> {
    let (mut first, mut seeds, mut fault) = (None, None, None);
    let (mut history, mut mutants, mut crash) = (None, None, None);
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let value = words.next().ok_or_else(|| format!("{word} wants a value, or is not known"))?;
        let number = || value.parse::<u64>().map_err(|_| format!("{word} {value}: not a number"));
        match word.as_str() {
            "--seeds" => seeds = Some(number()?),
            "--seed" => first = Some(number()?),
            "--fault" => fault = Some(value.parse()?),
            "--crash" => crash = Some(number()?),
            "--mutants" => mutants = Some(number()?),
            "--history" => history = Some(number()?),
            _ => return Err(format!("no such option: {word}")),
        }
    }
    let seeds = seeds.unwrap_or(if first.is_some() { 1 } else { 1_000 });
    Ok(Task { first: first.unwrap_or(1), seeds, fault, history, mutants, crash })
}

fn run(task: &Task) -> ExitCode {
    let start = Instant::now();
    let next = AtomicU64::new(0);
    let stop = AtomicBool::new(false);
    let (counts, failed) = (Mutex::new(Counts::default()), Mutex::new(Vec::new()));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                while !stop.load(Relaxed) {
                    let index = next.fetch_add(1, Relaxed);
                    if index >= task.seeds {
                        return;
                    }
                    if index > 0 && index.is_multiple_of(PROGRESS_EVERY) {
                        eprintln!("{index} seeds, {:.0} s", start.elapsed().as_secs_f64());
                    }
                    let verdict = simulate(task.first + index, task.fault);
                    if let Ok(mut counts) = counts.lock() {
                        *counts += verdict.counts;
                    }
                    if let (false, Ok(mut failed)) = (verdict.violations.is_empty(), failed.lock()) {
                        failed.push(verdict);
                        stop.store(failed.len() >= 10 * SHOWN_MAX, Relaxed);
                    }
                }
            });
        }
    });
    let seconds = start.elapsed().as_secs_f64();
    let failed = failed.into_inner().unwrap_or_default();
    for (index, verdict) in failed.iter().enumerate() {
        print!("{verdict}");
        if index < SHOWN_MAX {
            println!("{}", minimal_trace(verdict.seed, task.fault).unwrap_or_default());
        }
    }
    let ran = next.into_inner().min(task.seeds);
    println!("{:?}", counts.into_inner().unwrap_or_default());
    println!(
        "{ran} seeds from {}, {} failed, {seconds:.1} s, {:.0} a second",
        task.first,
        failed.len(),
        ran as f64 / seconds
    );
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
