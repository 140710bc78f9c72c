//! `cargo xtask bench clients`: CPU a message of our client, against a peer that only counts.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::figures::{median, number};
use super::load::{Load, wait};
use super::server::{Server, free_port};

const PATIENCE: Duration = Duration::from_secs(120);
/// Messages that are not acknowledged.
const WINDOW: u32 = 100;

/// Direction, QoS and how many messages make a run long enough for a clock with 10 ms grain.
const RUNS: [(&str, u8, u64); 6] = [
    ("publish", 0, 3_000_000),
    ("publish", 1, 500_000),
    ("publish", 2, 300_000),
    ("receive", 0, 3_000_000),
    ("receive", 1, 1_000_000),
    ("receive", 2, 500_000),
];
const STYLES: [&str; 2] = ["async", "blocking"];
const SIZES: [u32; 2] = [16, 1024]; // bytes of payload

/// One cell of the table.
struct Cell {
    name: String,
    style: &'static str,
    runs: Vec<String>, // lines of JSON
    short: u64,        // messages that did not arrive
}

/// `cargo xtask bench clients [--rounds N] [--json FILE]`.
///
/// # Errors
/// It cannot be built, or messages did not arrive.
pub(super) fn clients(root: &Path, load: &Load, arguments: &[&str]) -> Result<(), String> {
    let (rounds, file) = parse(arguments)?;
    super::build(root, &["--package", "karere-bench", "--example", "client_load"])?;
    println!("{}", super::machine());
    let mut cells = cells();
    for round in 1..=rounds {
        for cell in &mut cells {
            println!("round {round} of {rounds}: {} {}", cell.name, cell.style);
            cell.measure(root, load)?;
        }
    }
    print!("\n{}", table(&cells));
    if let Some(file) = file {
        fs::write(file, json(&cells)).map_err(|error| format!("{file}: {error}"))?;
    }
    match cells.iter().map(|cell| cell.short).sum() {
        0 => Ok(()),
        short => Err(format!("bench: {short} messages did not arrive")),
    }
}

fn parse<'a>(arguments: &[&'a str]) -> Result<(usize, Option<&'a str>), String> {
    let (mut rounds, mut file) = (3, None);
    for pair in arguments.chunks(2) {
        match pair {
            ["--rounds", value] => {
                rounds = value.parse().map_err(|_| format!("bench: {value} is no number"))?;
            }
            ["--json", value] => file = Some(*value),
            _ => return Err("bench clients takes --rounds N and --json FILE".to_owned()),
        }
    }
    Ok((rounds, file))
}

fn cells() -> Vec<Cell> {
    let mut cells = Vec::new();
    for size in SIZES {
        for (direction, qos, _) in RUNS {
            let name = format!("{direction} q{qos} {size}");
            cells.extend(STYLES.map(|style| Cell { name: name.clone(), style, runs: Vec::new(), short: 0 }));
        }
    }
    cells
}

impl Cell {
    /// One run, against a sink of its own.
    fn measure(&mut self, root: &Path, load: &Load) -> Result<(), String> {
        let words: Vec<&str> = self.name.split(' ').collect();
        let [direction, qos, size] = words[..] else { return Err(format!("no such run: {}", self.name)) };
        let qos = qos.trim_start_matches('q');
        let count = count_of(direction, qos);
        let folder = root.join("target/bench");
        fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let log = folder.join("sink.log");
        let port = free_port()?;
        let sink = Server::spawn(&mut load.serve("sink", port), port, &log)?;
        let mut command = Command::new(root.join("target/release/examples/client_load"));
        command.args([&sink.port().to_string(), self.style, direction, qos]);
        command.args([&count.to_string(), size, &WINDOW.to_string()]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let mut child = child.map_err(|error| format!("client_load: {error}"))?;
        let ended = wait(&mut child, PATIENCE);
        let output = child.wait_with_output().map_err(|error| format!("client_load: {error}"))?;
        let line = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        if !ended {
            return Err(format!("{} {}: client_load failed or took over 2 minutes", self.name, self.style));
        }
        let mine = number(&line, "messages").unwrap_or(0.0) as u64;
        let arrived = if direction == "publish" { taken(&log) } else { mine };
        self.short += count.saturating_sub(arrived);
        self.runs.push(line);
        Ok(())
    }

    fn median(&self, key: &str) -> f64 {
        median(self.runs.iter().filter_map(|line| number(line, key)).collect()).unwrap_or(f64::NAN)
    }
}

fn count_of(direction: &str, qos: &str) -> u64 {
    let run = RUNS.iter().find(|run| run.0 == direction && run.1.to_string() == qos);
    run.map_or(0, |run| run.2)
}

/// How many messages the sink has got: from `"got":[0,500000,0]`, which it prints when a client leaves.
fn taken(log: &Path) -> u64 {
    // The client has gone; the sink may be a moment behind it.
    for _ in 0..100 {
        let text = fs::read_to_string(log).unwrap_or_default();
        let counts = text.lines().filter_map(|line| line.split_once("\"got\":[")?.1.split_once(']'));
        let sum: u64 =
            counts.flat_map(|(list, _)| list.split(',').filter_map(|n| n.trim().parse::<u64>().ok())).sum();
        if sum > 0 {
            return sum;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    0
}

fn table(cells: &[Cell]) -> String {
    let mut text =
        format!("{:<16}{:>12}{:>12}{:>14}{:>14}\n", "CPU us", "async", "blocking", "async/s", "blocking/s");
    for pair in cells.chunks(STYLES.len()) {
        let [first, second] = pair else { continue };
        text += &format!(
            "{:<16}{:>12.2}{:>12.2}{:>14.0}{:>14.0}\n",
            first.name,
            first.median("cpu_us"),
            second.median("cpu_us"),
            first.median("msgs_per_s"),
            second.median("msgs_per_s"),
        );
    }
    text
}

fn json(cells: &[Cell]) -> String {
    let lines: Vec<String> = cells
        .iter()
        .flat_map(|cell| cell.runs.iter().map(move |run| (cell, run)))
        .map(|(cell, run)| {
            format!("{{\"scenario\":\"{}\",\"style\":\"{}\",\"result\":{run}}}", cell.name, cell.style)
        })
        .collect();
    format!("[\n{}\n]\n", lines.join(",\n"))
}
