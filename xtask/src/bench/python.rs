//! `cargo xtask bench python`: CPU a message of our Python faces and of others', against a peer that only counts.
//!
//! The programs are `crates/karere-bench/python`, one for each client, with the same work to do.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::clients::taken;
use super::figures::{median, number};
use super::load::{Load, wait};
use super::server::{Server, free_port};
use crate::process::{find, logged};
use crate::python::{Build, install};

const PATIENCE: Duration = Duration::from_secs(120);
const PROGRAMS: &str = "crates/karere-bench/python";
/// Bytes of payload.
const SIZE: &str = "16";
/// By how much a quick run is shorter.
const QUICK: u64 = 20;

/// Direction, QoS, and how many messages: of ours, and of those that take ten times as long. Fewer than there are packet
/// identifiers, where all of them may wait at once.
const RUNS: [(&str, u8, u64, u64); 7] = [
    ("publish", 0, 400_000, 50_000),
    ("publish", 1, 60_000, 20_000),
    ("publish", 2, 60_000, 20_000),
    ("receive", 0, 400_000, 50_000),
    ("receive", 1, 200_000, 30_000),
    ("receive", 2, 100_000, 20_000),
    ("latency", 1, 5_000, 2_000),
];

/// One client: its name here, the program's name for it, and whose Python has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Client {
    name: &'static str,
    program: &'static str,
    home: Home,
}

/// The environment that a client is installed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Home {
    /// That of our packages' tests.
    Ours,
    /// Genuine paho-mqtt of a version, from `cargo xtask setup`.
    Paho(&'static str),
    /// The other asyncio clients.
    Others,
}

const CLIENTS: [Client; 8] = [
    Client { name: "karere.paho", program: "karere-paho", home: Home::Ours },
    Client { name: "karere", program: "karere", home: Home::Ours },
    Client { name: "karere.aio", program: "karere-aio", home: Home::Ours },
    Client { name: "aio+uvloop", program: "karere-aio+uvloop", home: Home::Ours },
    Client { name: "paho 2.2.0", program: "paho", home: Home::Paho("2.2.0") },
    Client { name: "paho 1.6.1", program: "paho", home: Home::Paho("1.6.1") },
    Client { name: "gmqtt", program: "gmqtt", home: Home::Others },
    Client { name: "aiomqtt", program: "aiomqtt", home: Home::Others },
];

/// One cell of the table.
struct Cell {
    run: &'static str,
    qos: u8,
    count: u64,
    client: Client,
    lines: Vec<String>, // of JSON
    short: u64,         // messages that did not arrive
    failed: usize,
}

#[derive(Default)]
struct Settings<'a> {
    rounds: Option<usize>,
    only: Option<&'a str>, // a part of the runs' or the clients' names
    json: Option<&'a str>,
    quick: bool,
}

/// `cargo xtask bench python [--quick] [--rounds N] [--only NAME] [--json FILE]`; quick is ours alone, once and
/// shorter, to see that nothing is lost.
///
/// # Errors
/// It cannot be built or installed, or messages of ours did not arrive.
pub(super) fn python(root: &Path, load: &Load, arguments: &[&str]) -> Result<(), String> {
    let settings = Settings::parse(arguments)?;
    install(root, Build::Native)?;
    if !settings.quick {
        others(root)?;
    }
    let mut cells = cells(root, &settings);
    if cells.is_empty() {
        return Err("bench: no run and no client has such a name".to_owned());
    }
    println!("{}", super::machine());
    let rounds = settings.rounds.unwrap_or(if settings.quick { 1 } else { 3 });
    for round in 1..=rounds {
        for cell in &mut cells {
            println!("round {round} of {rounds}: {} {}", cell.name(), cell.client.name);
            cell.measure(root, load)?;
        }
    }
    print!("\n{}", table(&cells));
    if let Some(file) = settings.json {
        fs::write(file, json(&cells)).map_err(|error| format!("{file}: {error}"))?;
    }
    verdict(&cells)
}

impl<'a> Settings<'a> {
    fn parse(arguments: &[&'a str]) -> Result<Self, String> {
        let mut settings = Self::default();
        let mut words = arguments.iter();
        while let Some(&word) = words.next() {
            if word == "--quick" {
                settings.quick = true;
                continue;
            }
            let value = words.next().copied();
            match (word, value) {
                ("--rounds", Some(value)) => {
                    let rounds = value.parse().map_err(|_| format!("bench: {value} is no number"))?;
                    settings.rounds = Some(rounds);
                }
                ("--only", Some(_)) => settings.only = value,
                ("--json", Some(_)) => settings.json = value,
                _ => {
                    return Err(
                        "bench python takes --quick, --rounds N, --only NAME and --json FILE".to_owned()
                    );
                }
            }
        }
        Ok(settings)
    }
}

/// Makes the environment of the other asyncio clients, unless it is as it must be.
fn others(root: &Path) -> Result<(), String> {
    let folder = Home::Others.folder(root);
    let requirements = root.join(PROGRAMS).join("requirements.txt");
    let text =
        fs::read_to_string(&requirements).map_err(|error| format!("{}: {error}", requirements.display()))?;
    let stamp = folder.join("stamp");
    if fs::read_to_string(&stamp).is_ok_and(|old| old == text) {
        return Ok(());
    }
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let log = folder.with_extension("log");
    let python = find("python3").ok_or("there is no python3 here: please install it, then run this again")?;
    logged(Command::new(python).args(["-m", "venv"]).arg(&folder), &log)?;
    let mut pip = Command::new(Home::Others.python(root));
    pip.args(["-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--requirement"]);
    logged(pip.arg(&requirements), &log)?;
    fs::write(&stamp, text).map_err(|error| format!("{}: {error}", stamp.display()))
}

/// All clients take turns at each of the runs.
fn cells(root: &Path, settings: &Settings<'_>) -> Vec<Cell> {
    let mut clients = CLIENTS.to_vec();
    clients.retain(|client| client.is_ours() || !settings.quick);
    clients.retain(|client| {
        // Ours and the others are installed by now.
        let there = !matches!(client.home, Home::Paho(_)) || client.home.python(root).is_file();
        if !there {
            println!("bench: {} is not installed (cargo xtask setup): left out", client.name);
        }
        there
    });
    let mut cells = Vec::new();
    for (run, qos, ours, theirs) in RUNS {
        for &client in &clients {
            let count = if client.is_ours() { ours } else { theirs } / if settings.quick { QUICK } else { 1 };
            let cell = Cell { run, qos, count, client, lines: Vec::new(), short: 0, failed: 0 };
            let is_wanted = |part| cell.name().contains(part) || client.name == part;
            if settings.only.is_none_or(is_wanted) {
                cells.push(cell);
            }
        }
    }
    cells
}

impl Home {
    fn folder(self, root: &Path) -> PathBuf {
        match self {
            Home::Ours => root.join("target/python-venv/test"),
            Home::Paho(version) => root.join(format!("target/peers/paho-{version}")),
            Home::Others => root.join("target/python-venv/bench"),
        }
    }

    fn python(self, root: &Path) -> PathBuf {
        self.folder(root).join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" })
    }
}

impl Client {
    fn is_ours(self) -> bool {
        self.home == Home::Ours
    }
}

impl Cell {
    fn name(&self) -> String {
        format!("{} q{}", self.run, self.qos)
    }

    /// One run, against a sink of its own.
    fn measure(&mut self, root: &Path, load: &Load) -> Result<(), String> {
        let folder = root.join("target/bench");
        fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let log = folder.join("sink.log");
        let port = free_port()?;
        let sink = Server::spawn(&mut load.serve("sink", port), port, &log)?;
        let name = self.client.name;
        let mut command = Command::new(self.client.home.python(root));
        command.current_dir(root.join(PROGRAMS)).args(["load.py", self.client.program]);
        command.args([
            &sink.port().to_string(),
            self.run,
            &self.qos.to_string(),
            &self.count.to_string(),
            SIZE,
        ]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let mut child = child.map_err(|error| format!("{name}: {error}"))?;
        let ended = wait(&mut child, PATIENCE);
        let output = child.wait_with_output().map_err(|error| format!("{name}: {error}"))?;
        if !ended {
            // A peer that gives up has no figure; that is no error of ours.
            self.failed += 1;
            self.short += self.count;
            return Ok(());
        }
        let line = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let arrived = match self.run {
            "receive" => number(&line, "messages").unwrap_or(0.0) as u64,
            _ => taken(&log),
        };
        self.short += self.count.saturating_sub(arrived);
        self.lines.push(line);
        Ok(())
    }

    fn median(&self, key: &str) -> Option<f64> {
        median(self.lines.iter().filter_map(|line| number(line, key)).collect())
    }

    /// What the row is about: CPU of a message, or how long one takes.
    fn figure(&self) -> Option<f64> {
        self.median(if self.run == "latency" { "p50_us" } else { "cpu_us" })
    }
}

fn verdict(cells: &[Cell]) -> Result<(), String> {
    match cells.iter().filter(|cell| cell.client.is_ours()).map(|cell| cell.short).sum::<u64>() {
        0 => Ok(()),
        short => Err(format!("bench: {short} messages of ours did not arrive")),
    }
}

/// A row for each run, a column for each client.
fn table(cells: &[Cell]) -> String {
    let mut clients: Vec<Client> = Vec::new();
    let mut runs: Vec<String> = Vec::new();
    for cell in cells {
        if !clients.contains(&cell.client) {
            clients.push(cell.client);
        }
        if !runs.contains(&cell.name()) {
            runs.push(cell.name());
        }
    }
    let mut text = format!("{:<12}", "us");
    clients.iter().for_each(|client| text += &format!("{:>12}", client.name));
    text += "\n";
    for run in &runs {
        text += &format!("{run:<12}");
        for client in &clients {
            let cell = cells.iter().find(|cell| cell.name() == *run && cell.client == *client);
            let figure = cell.and_then(Cell::figure);
            text += &figure.map_or_else(|| format!("{:>12}", "-"), |figure| format!("{figure:>12.2}"));
        }
        text += "\n";
    }
    for cell in cells.iter().filter(|cell| cell.short > 0) {
        let (name, client) = (cell.name(), cell.client.name);
        text += &format!(
            "{name} {client}: {} messages did not arrive, {} runs failed\n",
            cell.short, cell.failed
        );
    }
    text + "CPU of the client's process a message; latency: p50 of one QoS 1 publish until its acknowledgement is told.\n"
}

fn json(cells: &[Cell]) -> String {
    let lines = cells.iter().flat_map(|cell| cell.lines.iter().map(move |line| (cell, line)));
    let lines: Vec<String> = lines
        .map(|(cell, line)| {
            let (name, client) = (cell.name(), cell.client.name);
            format!("{{\"scenario\":\"{name}\",\"client\":\"{client}\",\"result\":{line}}}")
        })
        .collect();
    format!("[\n{}\n]\n", lines.join(",\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(client: usize, line: &str, short: u64) -> Cell {
        let client = CLIENTS[client];
        Cell { run: "publish", qos: 1, count: 10, client, lines: vec![line.to_owned()], short, failed: 0 }
    }

    #[test]
    fn a_row_has_a_column_for_each_client() {
        let cells = [cell(0, "{\"cpu_us\":1.5}", 0), cell(6, "{\"cpu_us\":14.25}", 2)];
        let text = table(&cells);
        let words: Vec<&str> = text.lines().nth(1).expect("a row").split_whitespace().collect();
        assert_eq!(words, ["publish", "q1", "1.50", "14.25"]);
        assert!(text.contains("gmqtt: 2 messages did not arrive"));
    }

    #[test]
    fn a_loss_of_ours_is_an_error_and_a_loss_of_theirs_is_not() {
        assert_eq!(verdict(&[cell(0, "{}", 0), cell(7, "{}", 2)]), Ok(()));
        assert!(verdict(&[cell(2, "{}", 1)]).is_err());
    }

    #[test]
    fn a_quick_run_is_ours_alone() {
        let settings = Settings::parse(&["--quick", "--only", "receive q0"]).expect("settings");
        let cells = cells(Path::new("."), &settings);
        assert!(
            cells.iter().all(|cell| cell.client.is_ours() && cell.count == 20_000 && cell.run == "receive")
        );
        assert!(Settings::parse(&["--fast"]).is_err());
    }
}
