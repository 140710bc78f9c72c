//! `karere broker` and `karere demo`.

use std::convert::Infallible;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use karere::Address;
use karere_broker::Durability;

const BROKER_EXAMPLES: &str = "\
Examples:
  karere broker                                  on this machine only, port 1883
  karere broker -p 0                             on a free port, which it prints
  karere broker --bind 0.0.0.0 --allow-anonymous for everyone who can reach this machine
  karere broker --cert c.pem --key k.pem         with TLS too: 8883, and 8084 for WebSocket
  karere broker --listen ws://127.0.0.1:9001 --listen unix:/run/karere.sock
  karere broker --data none                      nothing on disk: what is acknowledged ends with the broker
  karere broker --mosquitto-conf mosquitto.conf  as this file of mosquitto's says

Port 8083 is opened too, for WebSocket, and with a certificate 8883 and 8084, unless --port, --listen or a file says
where to listen. Where one of these three is taken, the broker does without. SIGHUP reads certificate, key and
authorities anew.

Sessions that outlive their connection, their messages and retained messages are kept in the folder of --data:
$XDG_DATA_HOME/karere or ~/.local/share/karere, and /var/lib/karere for root. An acknowledgement is sent when what it
answers for is there.

A mosquitto.conf means here what it means to mosquitto, with mosquitto's defaults; --port, --bind, --data and
--allow-anonymous override it. What karere does not have yet (TLS in such a file, user names and passwords, access
lists, bridges) is named, with its line, and the broker does not start. With a listener and without `allow_anonymous
true` clients are refused; without a listener there are only 127.0.0.1 and ::1. `persistence true` keeps what there is
in the folder karere of persistence_location.";

const DEMO_EXAMPLES: &str = "\
Examples:
  karere demo                  until Ctrl-C
  karere demo --count 3        three readings, then stop";

/// Run a broker
#[derive(Debug, Args)]
#[command(after_help = BROKER_EXAMPLES)]
pub(crate) struct BrokerArgs {
    /// Port to listen on; 0 takes a free one [default: 1883]
    #[arg(short, long)]
    pub port: Option<u16>,

    /// Address to listen on [default: loopback, 127.0.0.1 and ::1]
    #[arg(short, long, value_name = "ADDRESS")]
    pub bind: Option<IpAddr>,

    /// Where to listen, and what is spoken there: mqtt://ADDRESS[:PORT], mqtts://, ws://ADDRESS[:PORT][/PATH], wss://,
    /// unix:PATH; may be given several times
    #[arg(
        long,
        value_name = "URL",
        value_parser = Address::to_listen_on,
        conflicts_with_all = ["port", "bind", "mosquitto_conf"]
    )]
    pub listen: Vec<Address>,

    /// Folder to keep sessions and retained messages in, or `none` to keep them in memory [default: the data folder of
    /// whoever starts it]
    #[arg(long, value_name = "DIR|none")]
    pub data: Option<Data>,

    /// What an acknowledgement outlives: fsync, the loss of power; os, the end of the broker in any way; none, its
    /// orderly end
    #[arg(long, value_name = "fsync|os|none", default_value = "fsync", value_parser = durability)]
    pub durability: Durability,

    /// Set the broker up as a mosquitto.conf says
    #[arg(long, value_name = "FILE")]
    pub mosquitto_conf: Option<String>,

    /// Let everyone in who can reach a listener beyond this machine: no user name, no password
    #[arg(long)]
    pub allow_anonymous: bool,

    #[command(flatten)]
    pub tls: BrokerTlsArgs,

    /// Print each connection, subscription and message
    #[arg(short, long)]
    pub verbose: bool,
}

/// As whom a broker shows itself, and whose certificates it wants.
#[derive(Debug, Args)]
pub(crate) struct BrokerTlsArgs {
    /// PEM file of the broker's certificate, with those that vouch for it
    #[arg(
        long,
        value_name = "FILE",
        requires = "key",
        conflicts_with = "mosquitto_conf",
        help_heading = "TLS"
    )]
    pub cert: Option<PathBuf>,

    /// PEM file of its key
    #[arg(long, value_name = "FILE", requires = "cert", help_heading = "TLS")]
    pub key: Option<PathBuf>,

    /// PEM file of the authorities that clients' certificates must be of, where they bring one
    #[arg(long, value_name = "FILE", requires = "cert", help_heading = "TLS")]
    pub cafile: Option<PathBuf>,

    /// Refuse clients without a certificate
    #[arg(long, requires = "cafile", help_heading = "TLS")]
    pub require_certificate: bool,
}

/// See it work: a broker, a sensor and a subscriber in one process
#[derive(Debug, Args)]
#[command(after_help = DEMO_EXAMPLES)]
pub(crate) struct DemoArgs {
    /// Port for the broker; without it 1883, or a free one where 1883 is taken
    #[arg(short, long)]
    pub port: Option<u16>,

    /// Stop after this many readings
    #[arg(short, long, value_name = "N")]
    pub count: Option<u64>,
}

/// Where a broker keeps what is to outlive it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Data {
    Memory,
    Folder(String),
}

fn durability(text: &str) -> Result<Durability, String> {
    match text {
        "fsync" => Ok(Durability::Fsync),
        "os" => Ok(Durability::Os),
        "none" => Ok(Durability::None),
        _ => Err("it is one of fsync, os and none".into()),
    }
}

impl FromStr for Data {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(if text == "none" { Self::Memory } else { Self::Folder(text.into()) })
    }
}
