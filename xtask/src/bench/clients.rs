//! `cargo xtask bench clients`: CPU a message of our client and of others', against a peer that only counts.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::figures::{median, number};
use super::load::{Load, wait};
use super::peers;
use super::server::{Server, free_port};

const PATIENCE: Duration = Duration::from_secs(120);
/// Messages that are not acknowledged.
const WINDOW: u32 = 100;

/// Direction, QoS and how many messages make a run long enough for starting not to show.
const RUNS: [(&str, u8, u64); 6] = [
    ("publish", 0, 1_000_000),
    ("publish", 1, 200_000),
    ("publish", 2, 150_000),
    ("receive", 0, 1_000_000),
    ("receive", 1, 500_000),
    ("receive", 2, 250_000),
];
const CLIENTS: [Client; 4] = [Client::Async, Client::Blocking, Client::Rumqttc, Client::Libmosquitto];
const SIZES: [u32; 2] = [16, 1024]; // bytes of payload

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Client {
    /// Ours, under tokio.
    Async,
    /// Ours, with a thread of its own.
    Blocking,
    Rumqttc,
    Libmosquitto,
}

/// One cell of the table.
struct Cell {
    name: String,
    client: Client,
    runs: Vec<String>, // lines of JSON
    short: u64,        // messages that did not arrive
}

struct Settings<'a> {
    rounds: usize,
    only: Option<&'a str>, // a part of the runs' names
    json: Option<&'a str>,
}

/// `cargo xtask bench clients [--rounds N] [--only NAME] [--json FILE]`.
///
/// # Errors
/// It cannot be built, or messages of our client did not arrive.
pub(super) fn clients(root: &Path, load: &Load, arguments: &[&str]) -> Result<(), String> {
    let settings = Settings::parse(arguments)?;
    super::build(root, &["--package", "karere-bench", "--example", "client_load"])?;
    let clients: Vec<Client> = CLIENTS.into_iter().filter(|client| client.is_there(root)).collect();
    let mut cells = cells(&clients, settings.only);
    if cells.is_empty() {
        return Err("bench: no run has such a name".to_owned());
    }
    println!("{}", super::machine());
    for round in 1..=settings.rounds {
        for cell in &mut cells {
            println!("round {round} of {}: {} {}", settings.rounds, cell.name, cell.client.name());
            cell.measure(root, load)?;
        }
    }
    print!("\n{}", table(&cells, &clients));
    if let Some(file) = settings.json {
        fs::write(file, json(&cells)).map_err(|error| format!("{file}: {error}"))?;
    }
    verdict(&cells)
}

impl<'a> Settings<'a> {
    fn parse(arguments: &[&'a str]) -> Result<Self, String> {
        let mut settings = Self { rounds: 3, only: None, json: None };
        for pair in arguments.chunks(2) {
            match pair {
                ["--rounds", value] => {
                    settings.rounds = value.parse().map_err(|_| format!("bench: {value} is no number"))?;
                }
                ["--only", value] => settings.only = Some(*value),
                ["--json", value] => settings.json = Some(*value),
                _ => return Err("bench clients takes --rounds N, --only NAME and --json FILE".to_owned()),
            }
        }
        Ok(settings)
    }
}

/// All clients take turns at each of the runs.
fn cells(clients: &[Client], only: Option<&str>) -> Vec<Cell> {
    let mut cells = Vec::new();
    for size in SIZES {
        for (direction, qos, _) in RUNS {
            let name = format!("{direction} q{qos} {size}");
            if only.is_none_or(|part| name.contains(part)) {
                let cell = |&client| Cell { name: name.clone(), client, runs: Vec::new(), short: 0 };
                cells.extend(clients.iter().map(cell));
            }
        }
    }
    cells
}

impl Client {
    fn name(self) -> &'static str {
        match self {
            Client::Async => "async",
            Client::Blocking => "blocking",
            Client::Rumqttc => "rumqttc",
            Client::Libmosquitto => "libmosquitto",
        }
    }

    fn is_ours(self) -> bool {
        matches!(self, Client::Async | Client::Blocking)
    }

    fn is_there(self, root: &Path) -> bool {
        self.is_ours() || peers::is_there(root, self.name())
    }

    fn command(self, root: &Path) -> Command {
        if !self.is_ours() {
            return peers::command(root, self.name(), &[]);
        }
        let mut command = Command::new(root.join("target/release/examples/client_load"));
        command.arg(self.name());
        command
    }
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
        let mut command = self.client.command(root);
        command.args([
            &sink.port().to_string(),
            direction,
            qos,
            &count.to_string(),
            size,
            &WINDOW.to_string(),
        ]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let mut child = child.map_err(|error| format!("{}: {error}", self.client.name()))?;
        let ended = wait(&mut child, PATIENCE);
        let output = child.wait_with_output().map_err(|error| format!("{}: {error}", self.client.name()))?;
        let line = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        if !ended {
            // A peer that gives up has no figure; that is no error of ours.
            self.short += count;
            return if self.client.is_ours() {
                Err(format!("{} {}: it failed or took over 2 minutes", self.name, self.client.name()))
            } else {
                Ok(())
            };
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

fn verdict(cells: &[Cell]) -> Result<(), String> {
    match cells.iter().filter(|cell| cell.client.is_ours()).map(|cell| cell.short).sum::<u64>() {
        0 => Ok(()),
        short => Err(format!("bench: {short} messages of our client did not arrive")),
    }
}

/// How many messages the sink has got: from `"got":[0,500000,0]`, which it prints when a client leaves.
pub(super) fn taken(log: &Path) -> u64 {
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

/// CPU a message of each client, how many times theirs our async one's is, and messages a second.
fn table(cells: &[Cell], clients: &[Client]) -> String {
    let names = |suffix: &str| -> String {
        clients.iter().map(|client| format!("{:>15}", format!("{}{suffix}", client.name()))).collect()
    };
    let mut text = format!("{:<16}{}", "CPU us", names(""));
    for peer in clients.iter().filter(|client| !client.is_ours()) {
        text += &format!("{:>15}", format!("x {}", &peer.name()[..7]));
    }
    text += &format!("{}\n", names("/s"));
    for row in cells.chunks(clients.len()) {
        let Some(first) = row.first() else { continue };
        let ours = first.median("cpu_us");
        text += &format!("{:<16}", first.name);
        row.iter().for_each(|cell| text += &format!("{:>15.2}", cell.median("cpu_us")));
        let peers = row.iter().filter(|cell| !cell.client.is_ours());
        peers.for_each(|cell| text += &format!("{:>15.2}", ours / cell.median("cpu_us")));
        row.iter().for_each(|cell| text += &format!("{:>15.0}", cell.median("msgs_per_s")));
        text += "\n";
    }
    for cell in cells.iter().filter(|cell| cell.short > 0) {
        text += &format!("{} {}: {} messages did not arrive\n", cell.name, cell.client.name(), cell.short);
    }
    text + "x: our async client's CPU against that of the other.\n"
}

fn json(cells: &[Cell]) -> String {
    let lines: Vec<String> = cells
        .iter()
        .flat_map(|cell| cell.runs.iter().map(move |run| (cell, run)))
        .map(|(cell, run)| {
            format!(
                "{{\"scenario\":\"{}\",\"client\":\"{}\",\"result\":{run}}}",
                cell.name,
                cell.client.name()
            )
        })
        .collect();
    format!("[\n{}\n]\n", lines.join(",\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(client: Client, cpu_us: &str, short: u64) -> Cell {
        let run = format!("{{\"messages\":1,\"cpu_us\":{cpu_us},\"msgs_per_s\":10}}");
        Cell { name: "publish q1 16".to_owned(), client, runs: vec![run], short }
    }

    #[test]
    fn the_ratio_is_of_our_async_client_to_each_other() {
        let clients = [Client::Async, Client::Blocking, Client::Rumqttc];
        let cells = [
            cell(Client::Async, "0.5", 0),
            cell(Client::Blocking, "0.7", 0),
            cell(Client::Rumqttc, "2.0", 3),
        ];
        let text = table(&cells, &clients);
        let words: Vec<&str> = text.lines().nth(1).expect("a row").split_whitespace().collect();
        assert_eq!(words, ["publish", "q1", "16", "0.50", "0.70", "2.00", "0.25", "10", "10", "10"]);
        assert!(text.contains("rumqttc: 3 messages did not arrive"));
    }

    #[test]
    fn a_loss_of_ours_is_an_error_and_a_loss_of_theirs_is_not() {
        assert_eq!(verdict(&[cell(Client::Async, "1", 0), cell(Client::Rumqttc, "1", 2)]), Ok(()));
        assert!(verdict(&[cell(Client::Blocking, "1", 1)]).is_err());
    }

    #[test]
    fn runs_are_chosen_by_a_part_of_their_names() {
        let settings = Settings::parse(&["--only", "receive q2"]).expect("settings");
        let names: Vec<String> =
            cells(&CLIENTS[..1], settings.only).into_iter().map(|cell| cell.name).collect();
        assert_eq!(names, ["receive q2 16", "receive q2 1024"]);
        assert!(Settings::parse(&["--fast"]).is_err());
    }
}
