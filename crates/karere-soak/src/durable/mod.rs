//! `durable`: how fast a broker is that keeps what it acknowledges.

mod disk;
mod load;
mod process;

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::broker::{Broker, Kind};
use crate::folder::Folder;
use crate::options::mosquitto;
use crate::random::Random;
use disk::{Beside, Times, bound};
use load::{Figures, Until, collect, greet, make_sessions, publish};

const PAIRS: usize = 50;
const WINDOW: u16 = 100;

/// How long a broker may take until it lets connect, with a million messages to read first.
const START: Duration = Duration::from_secs(120);

/// What a run of `durable` is told.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    program: PathBuf,
    folder: Option<PathBuf>,
    seconds: f64,
    messages: u64,
    rounds: usize,
    only: Option<String>,
}

/// One broker, one round.
#[derive(Debug)]
struct Round {
    broker: String,
    online: Online,
    offline: Offline,
}

/// Subscribers there: what was acknowledged, and what it took.
#[derive(Debug)]
struct Online {
    per_second: f64,
    cpu_us: f64,
    acknowledgement: Times,
    sync: Times,
    bound: f64,
    lost: u64,
}

/// Subscribers away: the same, and what it takes to have it again.
#[derive(Debug)]
struct Offline {
    per_second: f64,
    cpu_us: f64,
    recovery_seconds: f64,
    memory_mib: (u64, u64),
    collected_per_second: f64,
    lost: u64,
}

/// All brokers, taking turns.
pub(crate) fn durable(options: &Options) -> Result<bool, String> {
    let folder = Folder::new(options.folder.as_deref())?;
    let mut kinds: Vec<Kind> = ["fsync", "os"]
        .map(|level| Kind::Karere { program: options.program.clone(), durability: level.to_owned() })
        .into();
    match mosquitto() {
        Ok(program) => kinds.push(Kind::Mosquitto { program }),
        Err(missing) => println!("{missing}: left out"),
    }
    kinds.retain(|kind| options.only.as_ref().is_none_or(|only| kind.to_string().contains(only)));
    println!("data in {} ({})", folder.path().display(), filesystem(folder.path()));
    println!("rumqttd is not here: it has no store");
    let mut rounds = Vec::new();
    for number in 1..=options.rounds {
        for kind in &kinds {
            let folder = folder.path().join(format!("{number}-{kind}").replace(' ', "-"));
            let round = Round::run(kind, &folder, options).map_err(|error| format!("{kind}: {error}"))?;
            println!("round {number}: {}", round.line());
            rounds.push(round);
            let _ = fs::remove_dir_all(&folder);
        }
    }
    println!("\n{}", table(&rounds, options));
    let ours = rounds.iter().filter(|round| round.broker.starts_with("karere"));
    Ok(ours.map(|round| round.online.lost + round.offline.lost).sum::<u64>() == 0)
}

impl Round {
    fn run(kind: &Kind, folder: &Path, options: &Options) -> Result<Self, String> {
        let mut random = Random::new(u64::from(std::process::id()));
        let mut broker = Broker::new(kind.clone(), folder.to_owned(), &mut random)?;
        broker.start()?;
        greet(broker.address(), START)?;
        let online = Online::run(&broker, folder, options)?;
        let offline = Offline::run(&mut broker, options)?;
        Ok(Self { broker: kind.to_string(), online, offline })
    }

    fn line(&self) -> String {
        format!(
            "{}: online {:.0}/s, {:.2} us; offline {:.0}/s, recovery {:.2} s",
            self.broker,
            self.online.per_second,
            self.online.cpu_us,
            self.offline.per_second,
            self.offline.recovery_seconds
        )
    }
}

impl Online {
    fn run(broker: &Broker, folder: &Path, options: &Options) -> Result<Self, String> {
        let time = Duration::from_secs_f64(options.seconds);
        let open = PAIRS * usize::from(WINDOW);
        let before = bound(folder, open, time / 4)?;
        let beside = Beside::start(folder);
        let cpu = Cpu::start(broker);
        let figures = publish(broker.address(), PAIRS, WINDOW, Until::Time(time), true)?;
        let cpu_us = cpu.us_each(broker, figures.acknowledged);
        let sync = beside.finish()?;
        let after = bound(folder, open, time / 4)?;
        Ok(Self {
            per_second: figures.acknowledged as f64 / figures.seconds,
            cpu_us,
            lost: figures.acknowledged - figures.delivered.min(figures.acknowledged) + figures.gaps,
            acknowledgement: Times::new(figures.latencies_us),
            sync,
            bound: f64::midpoint(before, after),
        })
    }
}

impl Offline {
    fn run(broker: &mut Broker, options: &Options) -> Result<Self, String> {
        let each = options.messages / PAIRS as u64;
        make_sessions(broker.address(), PAIRS)?;
        let cpu = Cpu::start(broker);
        let figures = publish(broker.address(), PAIRS, WINDOW, Until::Count(each), false)?;
        let cpu_us = cpu.us_each(broker, figures.acknowledged);
        broker.kill_now(Signal::KILL);
        let start = Instant::now();
        broker.start()?;
        greet(broker.address(), START)?;
        let recovery_seconds = start.elapsed().as_secs_f64();
        let memory_mib = broker.process_number().map(process::memory_mib).unwrap_or_default();
        let Figures { delivered, seconds, gaps, .. } =
            collect(broker.address(), PAIRS, figures.acknowledged, Duration::from_secs(3))?;
        Ok(Self {
            per_second: figures.acknowledged as f64 / figures.seconds,
            cpu_us,
            recovery_seconds,
            memory_mib,
            collected_per_second: delivered as f64 / seconds,
            lost: figures.acknowledged - delivered.min(figures.acknowledged) + gaps,
        })
    }
}

/// CPU of the broker from here on.
struct Cpu(Duration);

impl Cpu {
    fn start(broker: &Broker) -> Self {
        Self(Self::now(broker))
    }

    fn us_each(&self, broker: &Broker, messages: u64) -> f64 {
        (Self::now(broker) - self.0).as_secs_f64() * 1e6 / messages.max(1) as f64
    }

    fn now(broker: &Broker) -> Duration {
        broker.process_number().map(process::cpu).unwrap_or_default()
    }
}

/// The best round of each broker by what it costs, as times go; of the losses all.
fn table(rounds: &[Round], options: &Options) -> String {
    let mut names: Vec<&str> = rounds.iter().map(|round| round.broker.as_str()).collect();
    names.dedup();
    names.sort_unstable();
    names.dedup();
    let best = |name: &str| {
        let of = rounds.iter().filter(|round| round.broker == name);
        of.max_by(|a, b| a.online.per_second.total_cmp(&b.online.per_second))
    };
    let best: Vec<&Round> = names.iter().filter_map(|name| best(name)).collect();
    let mut text = String::new();
    let mut line = |name: &str, of: &dyn Fn(&Round) -> String| {
        let cells: String = best.iter().map(|round| format!("{:>20}", of(round))).collect();
        let _ = writeln!(text, "{name:<46}{cells}");
    };
    let ms = |us: u32| f64::from(us) / 1000.0;
    line("", &|round| round.broker.clone());
    line("online: acknowledged messages/s", &|round| format!("{:.0}", round.online.per_second));
    line("  bound of the disk with group commit, /s", &|round| format!("{:.0}", round.online.bound));
    line("  broker CPU, us a message", &|round| format!("{:.2}", round.online.cpu_us));
    line("  acknowledgement p50 / p99, ms", &|round| {
        let times = &round.online.acknowledgement;
        format!("{:.1} / {:.1}", ms(times.percentile(50)), ms(times.percentile(99)))
    });
    line("  sync beside it p50 / p99, ms", &|round| {
        let times = &round.online.sync;
        format!("{:.1} / {:.1}", ms(times.percentile(50)), ms(times.percentile(99)))
    });
    line("  lost or out of order", &|round| round.online.lost.to_string());
    line(&format!("offline, {} messages: acknowledged/s", options.messages), &|round| {
        format!("{:.0}", round.offline.per_second)
    });
    line("  broker CPU, us a message", &|round| format!("{:.2}", round.offline.cpu_us));
    line("  kill -9, then up again after, s", &|round| format!("{:.2}", round.offline.recovery_seconds));
    line("  memory then, and the most, MiB", &|round| {
        format!("{} / {}", round.offline.memory_mib.0, round.offline.memory_mib.1)
    });
    line("  collected/s", &|round| format!("{:.0}", round.offline.collected_per_second));
    line("  lost or out of order", &|round| round.offline.lost.to_string());
    text
}

/// What kind of file system `folder` is on.
fn filesystem(folder: &Path) -> String {
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let folder = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_path_buf());
    let fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let holding = fields.filter(|fields| fields.len() > 2 && folder.starts_with(fields[1]));
    holding.max_by_key(|fields| fields[1].len()).map_or_else(|| "?".to_owned(), |fields| fields[2].to_owned())
}

impl Options {
    pub(crate) const USAGE: &str = "\
Usage: karere-soak durable [options]

  --karere PROGRAM      our broker, by default target/release/karere
  --data DIR            on the disk that is to be measured (the system's temporary folder)
  --secs S              of publishing to subscribers that are there (5)
  --messages N          to subscribers that are away (1000000)
  --rounds N            3
  --only NAME           brokers with this in their names
  --quick               one second, 20000 messages, one round: whether anything is lost";

    pub(crate) fn parse(words: &[String]) -> Result<Self, String> {
        let mut options = Self {
            program: "target/release/karere".into(),
            folder: None,
            seconds: 5.0,
            messages: 1_000_000,
            rounds: 3,
            only: None,
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            if word == "--quick" {
                options = Self { seconds: 1.0, messages: 20_000, rounds: 1, ..options };
                continue;
            }
            let value = words.next().ok_or_else(|| format!("{word} needs a value\n\n{}", Self::USAGE))?;
            let bad = || format!("{word} {value}: not a number");
            match word.as_str() {
                "--karere" => options.program = value.into(),
                "--data" => options.folder = Some(value.into()),
                "--secs" => options.seconds = value.parse().map_err(|_| bad())?,
                "--messages" => options.messages = value.parse().map_err(|_| bad())?,
                "--rounds" => options.rounds = value.parse().map_err(|_| bad())?,
                "--only" => options.only = Some(value.clone()),
                _ => return Err(format!("no such option: {word}\n\n{}", Self::USAGE)),
            }
        }
        Ok(options)
    }
}
