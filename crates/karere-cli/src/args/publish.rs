//! `karere pub`.

use std::ffi::OsString;
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use karere::{Properties, QoS, TopicName};
use karere_core::codec::{PacketType, PropertyId};

use super::connect::{ConnectArgs, Connection, parse_qos};
use crate::exit::Failure;

const EXAMPLES: &str = "\
Examples:
  karere pub -t home/temp -m 21.5                     send one message
  karere pub -t home/temp -m 21.5 -q 1 -r             acknowledged, and kept for who subscribes later
  tail -f app.log | karere pub -t logs/app -l         one message a line
  karere pub -L mqtt://ana:secret@broker/photo -f cat.jpg
  karere pub -t orders -m '{}' -D publish content-type application/json";

/// Publish messages, with mosquitto_pub's options
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, disable_help_flag = true, disable_version_flag = true, args_override_self = true)]
pub(crate) struct PublishArgs {
    /// Topic to publish to
    #[arg(short, long, allow_hyphen_values = true)]
    topic: Option<String>,

    /// 0: at most once; 1: at least once; 2: exactly once
    #[arg(short, long, default_value = "0", value_parser = parse_qos)]
    qos: QoS,

    /// Let the broker keep it, for who subscribes later
    #[arg(short, long)]
    retain: bool,

    /// Publish it this many times
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1,
        conflicts_with = "stdin_line",
        value_parser = clap::value_parser!(u64).range(1..)
    )]
    repeat: u64,

    /// Seconds between repeats, as 0.5
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds, allow_hyphen_values = true)]
    repeat_delay: Option<Duration>,

    /// Messages at QoS 1 and 2 that may be on their way at once
    #[arg(
        short = 'M',
        value_name = "COUNT",
        default_value_t = 20,
        value_parser = clap::value_parser!(u16).range(1..)
    )]
    inflight: u16,

    #[command(flatten)]
    source: SourceArgs,

    #[command(flatten)]
    pub connect: ConnectArgs,
}

/// Exactly one of them.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
#[command(next_help_heading = "Payload, one of")]
struct SourceArgs {
    /// This text
    #[arg(short, long, value_name = "TEXT", allow_hyphen_values = true)]
    message: Option<OsString>,

    /// What a file holds
    #[arg(short, long, allow_hyphen_values = true)]
    file: Option<PathBuf>,

    /// All of standard input
    #[arg(short, long)]
    stdin_file: bool,

    /// Each line of standard input, a message each
    #[arg(short = 'l', long)]
    stdin_line: bool,

    /// Nothing: a message of zero bytes
    #[arg(short, long)]
    null_message: bool,
}

/// Where payloads come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    Bytes(Vec<u8>),
    File(PathBuf),
    Stdin,
    StdinLines,
}

/// What to publish, as meant.
#[derive(Debug)]
pub(crate) struct Publishing {
    pub connection: Connection,
    pub topic: String,
    pub source: Source,
    pub qos: QoS,
    pub retain: bool,
    pub repeat: u64,
    pub repeat_delay: Duration,
    pub expiry: Option<u32>,
    pub topic_alias: Option<NonZeroU16>,
    pub properties: Properties,
}

impl PublishArgs {
    /// # Errors
    /// A usage error where options do not fit together.
    pub(crate) fn resolve(self) -> Result<Publishing, Failure> {
        let mut connection = self.connect.resolve(None)?;
        connection.options = connection.options.inflight_max(self.inflight);
        let topic = self
            .topic
            .or(connection.topic.take())
            .ok_or_else(|| Failure::usage("no topic: give one with -t, or in the URL of -L"))?;
        if let Err(error) = TopicName::new(&topic) {
            return Err(Failure::usage(format!("-t {topic}: {error}")));
        }
        let properties = connection.block(PacketType::Publish)?;
        Ok(Publishing {
            topic,
            source: self.source.resolve(),
            qos: self.qos,
            retain: self.retain,
            repeat: self.repeat,
            repeat_delay: self.repeat_delay.unwrap_or_default(),
            expiry: properties.message_expiry_interval(),
            topic_alias: properties.topic_alias().and_then(NonZeroU16::new),
            properties: properties.without(&[PropertyId::MessageExpiryInterval, PropertyId::TopicAlias]),
            connection,
        })
    }
}

impl SourceArgs {
    fn resolve(self) -> Source {
        match (self.message, self.file) {
            (Some(text), _) => Source::Bytes(text.into_encoded_bytes()),
            (None, Some(path)) => Source::File(path),
            (None, None) if self.stdin_file => Source::Stdin,
            (None, None) if self.stdin_line => Source::StdinLines,
            (None, None) => Source::Bytes(Vec::new()),
        }
    }
}

fn parse_seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.ok_or_else(|| "it is a number of seconds, as 0.5".into())
}
