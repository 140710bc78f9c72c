//! The words of the command line.

use std::path::PathBuf;

use crate::broker::Kind;
use crate::tamper::Fault;

/// What a run of `kill9` is told.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) cycles: u64,
    pub(crate) seed: u64,
    /// Messages a second, of all publishers together.
    pub(crate) rate: u64,
    /// The brokers, each with its own run.
    pub(crate) brokers: Vec<Kind>,
    /// No kill at all: so many seconds of load. What is found then is not the disk's.
    pub(crate) calm_seconds: u64,
    /// SIGTERM in the place of SIGKILL: what a broker may save then, it saves.
    pub(crate) gentle: bool,
    /// Put in on purpose: the run must fail.
    pub(crate) fault: Option<Fault>,
    /// Goes on after something was lost.
    pub(crate) all: bool,
    /// Where data and logs are kept; else in a temporary folder that is removed.
    pub(crate) keep: Option<PathBuf>,
}

impl Options {
    pub(crate) const USAGE: &str = "\
Usage: karere-soak kill9 [options]

  --karere PROGRAM      our broker, by default target/release/karere
  --broker NAME         karere (default), mosquitto, mosquitto-autosave, or all
  --durability LEVEL    of ours: fsync (default), os
  --cycles N            kills (50)
  --seed S              of all that chance decides (1)
  --rate N              messages a second (3000)
  --calm SECONDS        load without a kill, before the cycles
  --gentle              SIGTERM in the place of SIGKILL
  --fault NAME          puts a fault of the broker's in on purpose: the run must fail
  --all                 goes on after something was lost
  --keep DIR            keeps data and logs there";

    pub(crate) fn parse(words: &[String]) -> Result<Self, String> {
        let (mut program, mut durability) = (PathBuf::from("target/release/karere"), "fsync".to_owned());
        let mut names = vec!["karere"];
        let mut options = Self {
            cycles: 50,
            seed: 1,
            rate: 3000,
            brokers: Vec::new(),
            calm_seconds: 0,
            gentle: false,
            fault: None,
            all: false,
            keep: None,
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            if word == "--all" {
                options.all = true;
                continue;
            }
            if word == "--gentle" {
                options.gentle = true;
                continue;
            }
            let value = words.next().ok_or_else(|| format!("{word} needs a value\n\n{}", Self::USAGE))?;
            let number = || value.parse::<u64>().map_err(|_| format!("{word} {value}: not a number"));
            match word.as_str() {
                "--karere" => program = value.into(),
                "--durability" => durability.clone_from(value),
                "--cycles" => options.cycles = number()?,
                "--calm" => options.calm_seconds = number()?,
                "--seed" => options.seed = number()?,
                "--rate" => options.rate = number()?.max(6),
                "--fault" => options.fault = Some(fault(value)?),
                "--keep" => options.keep = Some(value.into()),
                "--broker" => {
                    names = match value.as_str() {
                        "all" => vec!["karere", "mosquitto", "mosquitto-autosave"],
                        one => vec![one],
                    }
                }
                _ => return Err(format!("no such option: {word}\n\n{}", Self::USAGE)),
            }
        }
        for name in names {
            let kind = match name {
                "karere" => Kind::Karere { program: program.clone(), durability: durability.clone() },
                "mosquitto" => Kind::Mosquitto { program: mosquitto()? },
                "mosquitto-autosave" => Kind::MosquittoAutosave { program: mosquitto()? },
                _ => return Err(format!("no such broker: {name}\n\n{}", Self::USAGE)),
            };
            options.brokers.push(kind);
        }
        Ok(options)
    }
}

fn fault(name: &str) -> Result<Fault, String> {
    let names: Vec<&str> = Fault::ALL.iter().map(|(_, name)| *name).collect();
    Fault::named(name).ok_or_else(|| format!("no such fault: {name}; there are {}", names.join(", ")))
}

/// Debian keeps it where a user's `PATH` does not reach.
pub(crate) fn mosquitto() -> Result<PathBuf, String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    folders
        .map(|folder: PathBuf| folder.join("mosquitto"))
        .find(|file| file.is_file())
        .ok_or_else(|| "mosquitto is not installed (cargo xtask setup)".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect()
    }

    #[test]
    fn a_run_is_fifty_kills_of_our_broker_unless_told_otherwise() {
        let options = Options::parse(&[]).expect("options");
        assert_eq!((options.cycles, options.brokers.len()), (50, 1));
        assert!(matches!(&options.brokers[0], Kind::Karere { durability, .. } if durability == "fsync"));
        let told = Options::parse(&words("--cycles 7 --seed 9 --durability os --all")).expect("options");
        assert_eq!((told.cycles, told.seed, told.all), (7, 9, true));
        assert_eq!(told.brokers[0].to_string(), "karere os");
    }

    #[test]
    fn what_is_not_an_option_is_named() {
        for line in ["--cycle 7", "--cycles", "--cycles x", "--broker nobody"] {
            assert!(Options::parse(&words(line)).is_err(), "{line}");
        }
    }
}
