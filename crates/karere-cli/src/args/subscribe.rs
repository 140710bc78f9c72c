//! `karere sub`.

use std::num::NonZeroU64;
use std::time::Duration;

use clap::Args;
use karere::{Properties, QoS, SubscribeOptions, TopicFilter};
use karere_core::codec::{PacketType, PropertyId};

use super::connect::{ConnectArgs, Connection, parse_qos};
use crate::exit::Failure;
use crate::format::{Style, Template};

const EXAMPLES: &str = "\
Examples:
  karere sub -t 'home/#' -v                           topic and payload of each message
  karere sub -t home/temp -C 1 -W 10                  one message, or exit code 27 after 10 seconds
  karere sub -t 'home/#' -F '%I %t %p'                time, topic, payload
  karere sub -t 'home/#' -F %j                        each message as a line of JSON
  karere sub -i archive -c -q 1 -t 'home/#'           miss nothing between two runs

Letters of -F:
  %t topic   %p payload   %x %X payload in hex   %l length   %q QoS   %r retained   %m packet id
  %C content type   %D correlation data   %E expiry   %F payload format   %P user properties
  %R response topic   %S subscription id   %A topic alias   %j %J JSON (%J: the payload is JSON)
  %I ISO 8601 time   %U Unix time   @X strftime's %X   @N nanoseconds   %% @@ \\\\ \\n \\t \\0 \\e ...
  Widths as in printf: %-20t, %05l, %.10t";

/// Subscribe to topics and print what comes, with mosquitto_sub's options
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, disable_help_flag = true, disable_version_flag = true, args_override_self = true)]
pub(crate) struct SubscribeArgs {
    /// Topic filter to subscribe to. May be given several times
    #[arg(short, long = "topic", value_name = "FILTER", allow_hyphen_values = true)]
    topics: Vec<String>,

    /// Topic filter to unsubscribe from, after subscribing. May be given several times
    #[arg(short = 'U', long, value_name = "FILTER", allow_hyphen_values = true)]
    unsubscribe: Vec<String>,

    /// The highest QoS to receive with: 0, 1 or 2
    #[arg(short, long, default_value = "0", value_parser = parse_qos)]
    qos: QoS,

    /// Exit after this many messages
    #[arg(short = 'C', value_name = "COUNT")]
    count: Option<NonZeroU64>,

    /// Exit after this many seconds, with exit code 27
    #[arg(short = 'W', value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    timeout: Option<u32>,

    /// Exit once the broker has answered all subscriptions
    #[arg(short = 'E')]
    exit_after_subscribing: bool,

    /// Keep the retained flag as it was published; MQTT 5
    #[arg(long)]
    retain_as_published: bool,

    #[command(flatten)]
    output: OutputArgs,

    #[command(flatten)]
    pub connect: ConnectArgs,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
struct OutputArgs {
    /// Print the topic before the payload
    #[arg(short, long)]
    verbose: bool,

    /// Print each message in this format; see below
    #[arg(short = 'F', value_name = "FORMAT", allow_hyphen_values = true)]
    format: Option<String>,

    /// Indent the JSON of %j and %J
    #[arg(long)]
    pretty: bool,

    /// No newline after each message
    #[arg(short = 'N')]
    no_newline: bool,

    /// Print nothing whose topic matches. May be given several times
    #[arg(short = 'T', long, value_name = "FILTER", allow_hyphen_values = true)]
    filter_out: Vec<String>,

    /// Print no retained messages
    #[arg(short = 'R', conflicts_with = "retained_only")]
    no_retained: bool,

    /// Print retained messages only, and exit at the first other one
    #[arg(long)]
    retained_only: bool,

    /// Clear each retained message that comes, but those of -T
    #[arg(long)]
    remove_retained: bool,
}

/// What to subscribe to, as meant.
#[derive(Debug)]
pub(crate) struct Subscribing {
    pub connection: Connection,
    pub filters: Vec<String>,
    pub options: SubscribeOptions,
    pub subscription_id: Option<u32>,
    pub properties: Properties,
    pub unsubscribe: Vec<String>,
    pub unsubscribe_properties: Properties,
    pub count: Option<NonZeroU64>,
    pub timeout: Option<Duration>,
    pub exit_after_subscribing: bool,
    pub output: Output,
}

/// Which messages are shown, and how.
#[derive(Debug)]
pub(crate) struct Output {
    pub style: Style,
    pub newline: bool,
    pub filter_out: Vec<TopicFilter>,
    pub no_retained: bool,
    pub retained_only: bool,
    pub remove_retained: bool,
}

impl SubscribeArgs {
    /// # Errors
    /// A usage error where options do not fit together.
    pub(crate) fn resolve(self) -> Result<Subscribing, Failure> {
        let needs_v5 = self.retain_as_published.then_some("--retain-as-published");
        let mut connection = self.connect.resolve(needs_v5)?;
        let filters: Vec<String> = connection.topic.take().into_iter().chain(self.topics).collect();
        if filters.is_empty() {
            return Err(Failure::usage("no topic: give one with -t, or in the URL of -L"));
        }
        check_filters("-t", &filters)?;
        check_filters("-U", &self.unsubscribe)?;
        let properties = connection.block(PacketType::Subscribe)?;
        Ok(Subscribing {
            filters,
            options: SubscribeOptions {
                qos: self.qos,
                retain_as_published: self.retain_as_published,
                ..SubscribeOptions::default()
            },
            subscription_id: properties.subscription_identifier(),
            properties: properties.without(&[PropertyId::SubscriptionIdentifier]),
            unsubscribe_properties: connection.block(PacketType::Unsubscribe)?,
            unsubscribe: self.unsubscribe,
            count: self.count,
            timeout: self.timeout.map(|seconds| Duration::from_secs(seconds.into())),
            exit_after_subscribing: self.exit_after_subscribing,
            output: self.output.resolve()?,
            connection,
        })
    }
}

impl OutputArgs {
    fn resolve(self) -> Result<Output, Failure> {
        Ok(Output {
            style: match self.format {
                Some(format) => Style::Template {
                    template: Template::parse(&format)
                        .map_err(|error| Failure::usage(format!("-F '{format}': {error}")))?,
                    pretty: self.pretty,
                },
                None if self.verbose => Style::Verbose,
                None => Style::Payload,
            },
            newline: !self.no_newline,
            filter_out: check_filters("-T", &self.filter_out)?,
            no_retained: self.no_retained,
            retained_only: self.retained_only,
            remove_retained: self.remove_retained,
        })
    }
}

fn check_filters(option: &str, filters: &[String]) -> Result<Vec<TopicFilter>, Failure> {
    let check = |filter: &String| {
        TopicFilter::new(filter).map_err(|error| Failure::usage(format!("{option} {filter}: {error}")))
    };
    filters.iter().map(check).collect()
}
