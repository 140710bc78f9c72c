//! The command line, as typed and as meant.

mod broker;
mod connect;
mod missing;
mod property;
mod publish;
mod subscribe;
#[cfg(test)]
mod tests;
mod transport;

use std::ffi::OsString;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

pub(crate) use broker::{BrokerArgs, BrokerTlsArgs, Data, DemoArgs};
pub(crate) use connect::Connection;
pub(crate) use publish::{PublishArgs, Publishing, Source};
pub(crate) use subscribe::{Output, SubscribeArgs, Subscribing};

use property::PropertyArg;

const EXAMPLES: &str = "\
Examples:
  karere demo                          see a broker, a sensor and a subscriber at work
  karere broker                        a broker on this machine, port 1883
  karere sub -t 'home/#' -v            print what comes in
  karere pub -t home/temp -m 21.5      send a message

karere pub and karere sub take mosquitto_pub's and mosquitto_sub's options.";

/// MQTT in one binary: a broker, a publisher, a subscriber.
#[derive(Debug, Parser)]
#[command(
    name = "karere",
    version,
    propagate_version = true,
    after_help = EXAMPLES,
    disable_help_subcommand = true
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Broker(BrokerArgs),
    Pub(Box<PublishArgs>),
    Sub(Box<SubscribeArgs>),
    Demo(DemoArgs),
}

/// Reads the command line.
///
/// # Errors
/// clap's, which also is how `--help` and `--version` come back.
pub(crate) fn parse(typed: impl IntoIterator<Item = OsString>) -> Result<Command, clap::Error> {
    let mut grammar = Cli::command();
    grammar.build();
    let (typed, properties) =
        property::take(&grammar, typed.into_iter().collect()).map_err(|error| usage(&mut grammar, error))?;
    let matches = grammar.try_get_matches_from_mut(typed).map_err(missing::explain)?;
    let mut command = Cli::from_arg_matches(&matches)?.command;
    command.set_properties(properties);
    Ok(command)
}

impl Command {
    /// Whether errors of the connection are to be kept quiet about.
    pub(crate) fn is_quiet(&self) -> bool {
        match self {
            Self::Pub(args) => args.connect.is_quiet(),
            Self::Sub(args) => args.connect.is_quiet(),
            Self::Broker(_) | Self::Demo(_) => false,
        }
    }

    fn set_properties(&mut self, properties: Vec<PropertyArg>) {
        match self {
            Self::Pub(args) => args.connect.properties = properties,
            Self::Sub(args) => args.connect.properties = properties,
            // clap has refused -D there.
            Self::Broker(_) | Self::Demo(_) => {}
        }
    }
}

fn usage(grammar: &mut clap::Command, message: String) -> clap::Error {
    grammar.error(clap::error::ErrorKind::ValueValidation, message)
}
