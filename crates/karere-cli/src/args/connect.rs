//! What `karere pub` and `karere sub` share: where to connect, and as whom.

use clap::{ArgAction, Args};
use karere::{Options, Properties, QoS, TopicName, Url, Version};
use karere_core::codec::{Disconnect, Message, PacketType, PropertyId, PropertyOwner, ReasonCode, Will};

use super::property::{self, PropertyArg};
use super::transport::TransportArgs;
use crate::exit::Failure;

/// A Session Expiry Interval that never comes.
const NEVER: u32 = u32::MAX;
/// The largest packet that there can be: no limit, as in mosquitto's tools.
const PACKET_BYTES_MAX: u32 = 1 + 4 + 268_435_455;

#[derive(Debug, Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct ConnectArgs {
    /// Broker's host [default: localhost]
    #[arg(short = 'h', long)]
    host: Option<String>,

    /// Broker's port [default: 1883, with TLS 8883]
    #[arg(short, long, value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,

    /// Host, port, credentials and topic in one: mqtt://[user[:password]@]host[:port]/topic, or mqtts, ws, wss;
    /// unix:/path
    #[arg(short = 'L', long)]
    url: Option<Url>,

    #[command(flatten)]
    transport: TransportArgs,

    /// MQTT version: 5, 311 or 31 [default: 311, or 5 where -D or -x needs it]
    #[arg(short = 'V', long = "protocol-version", value_name = "VERSION", value_parser = parse_version)]
    version: Option<Version>,

    /// Keep alive in seconds, 5 to 65535
    #[arg(
        short,
        long = "keepalive",
        value_name = "SECONDS",
        default_value_t = 60,
        value_parser = clap::value_parser!(u16).range(5..)
    )]
    keep_alive: u16,

    /// Client id [default: one that the broker assigns]
    #[arg(short, long, conflicts_with = "id_prefix", allow_hyphen_values = true)]
    id: Option<String>,

    /// Client id made of this and the process id
    #[arg(short = 'I', long, value_name = "PREFIX", allow_hyphen_values = true)]
    id_prefix: Option<String>,

    /// User name
    #[arg(short, long, allow_hyphen_values = true)]
    username: Option<String>,

    /// Password
    #[arg(short = 'P', long = "pw", value_name = "PASSWORD", allow_hyphen_values = true)]
    password: Option<String>,

    /// Keep the session after the end: subscriptions, and messages that come meanwhile (needs -i)
    #[arg(short = 'c', long)]
    disable_clean_session: bool,

    /// Session expiry in seconds, -1 for never; MQTT 5 [default: 0, or never with -c]
    #[arg(short = 'x', value_name = "SECONDS", value_parser = parse_expiry, allow_hyphen_values = true)]
    session_expiry: Option<u32>,

    /// Send small packets at once; karere always does
    #[arg(long)]
    nodelay: bool,

    /// MQTT 5 property, as `publish content-type text/plain` or `connect user-property NAME VALUE`;
    /// COMMAND is connect, publish, subscribe, unsubscribe, disconnect or will
    #[arg(
        short = 'D',
        long = "property",
        num_args = 3..=4,
        value_names = ["COMMAND", "PROPERTY", "VALUE"]
    )]
    help_for_property: Vec<String>,

    #[arg(skip)]
    pub properties: Vec<PropertyArg>,

    /// Topic of the will, which the broker publishes when this client is lost
    #[arg(long, value_name = "TOPIC", allow_hyphen_values = true, help_heading = "Will")]
    will_topic: Option<String>,

    /// Payload of the will [default: none]
    #[arg(
        long,
        value_name = "PAYLOAD",
        requires = "will_topic",
        allow_hyphen_values = true,
        help_heading = "Will"
    )]
    will_payload: Option<String>,

    /// QoS of the will [default: 0]
    #[arg(long, value_name = "QOS", requires = "will_topic", value_parser = parse_qos, help_heading = "Will")]
    will_qos: Option<QoS>,

    /// Make the will a retained message
    #[arg(long, requires = "will_topic", help_heading = "Will")]
    will_retain: bool,

    /// Print each packet that is sent or received
    #[arg(short, long, help_heading = "Other")]
    debug: bool,

    /// Print no errors of the connection
    #[arg(long, help_heading = "Other")]
    quiet: bool,

    /// Print help
    #[arg(long, action = ArgAction::Help, help_heading = "Other")]
    help: Option<bool>,

    /// Print version
    #[arg(long = "version", action = ArgAction::Version, help_heading = "Other")]
    print_version: Option<bool>,
}

/// A connection as meant.
#[derive(Debug)]
pub(crate) struct Connection {
    pub options: Options,
    pub disconnect: Disconnect,
    pub debug: bool,
    pub quiet: bool,
    /// What the URL said.
    pub topic: Option<String>,
    properties: Vec<PropertyArg>,
}

impl ConnectArgs {
    /// `needs_v5` names the option beside -x and -D that only version 5 has.
    ///
    /// # Errors
    /// A usage error where options do not fit together.
    pub(super) fn resolve(self, needs_v5: Option<&str>) -> Result<Connection, Failure> {
        let version = self.resolve_version(needs_v5)?;
        let client_id = self.resolve_client_id()?;
        let address = self.transport.address(self.url.as_ref(), self.host.as_deref(), self.port)?;
        let mut options = Options::from_address(address)
            .version(version)
            .keep_alive(self.keep_alive)
            .clean_start(!self.disable_clean_session)
            .trace(self.debug)
            .client_id(&client_id)
            .map_err(|error| Failure::usage(format!("client id: {error}")))?;
        options = self.transport.apply(options, self.quiet)?;
        options = self.set_properties(options)?;
        options = self.set_credentials(options)?;
        if let Some(will) = self.will()? {
            options = options.will(will);
        }
        Ok(Connection {
            options,
            disconnect: self.disconnect()?,
            debug: self.debug,
            quiet: self.quiet,
            topic: self.url.and_then(|url| url.topic),
            properties: self.properties,
        })
    }

    pub(super) const fn is_quiet(&self) -> bool {
        self.quiet
    }

    fn resolve_version(&self, needs_v5: Option<&str>) -> Result<Version, Failure> {
        let needs_v5 =
            needs_v5.or(self.session_expiry.map(|_| "-x")).or((!self.properties.is_empty()).then_some("-D"));
        match (self.version, needs_v5) {
            (Some(version), Some(option)) if version != Version::V5 => Err(Failure::usage(format!(
                "{option} needs MQTT 5, and -V asks for {version}: leave -V away, or {option}"
            ))),
            (Some(version), _) => Ok(version),
            (None, Some(_)) => Ok(Version::V5),
            (None, None) => Ok(Version::V311),
        }
    }

    fn resolve_client_id(&self) -> Result<String, Failure> {
        match (&self.id, &self.id_prefix) {
            (Some(id), _) => Ok(id.clone()),
            (None, Some(prefix)) => Ok(format!("{prefix}{}", std::process::id())),
            (None, None) if self.disable_clean_session => {
                Err(Failure::usage("-c keeps the session of a client id: give one with -i"))
            }
            (None, None) => Ok(String::new()),
        }
    }

    fn set_properties(&self, options: Options) -> Result<Options, Failure> {
        let properties = self.block(PropertyOwner::Packet(PacketType::Connect))?;
        let kept_for = if self.disable_clean_session { NEVER } else { 0 };
        let expiry = self.session_expiry.or(properties.session_expiry_interval()).unwrap_or(kept_for);
        let mut options = options.session_expiry(expiry);
        if let Some(count) = properties.receive_maximum() {
            options = options.receive_maximum(count);
        }
        options = options.maximum_packet_size(properties.maximum_packet_size().unwrap_or(PACKET_BYTES_MAX));
        if let Some(count) = properties.topic_alias_maximum() {
            options = options.topic_alias_maximum(count);
        }
        Ok(options.properties(properties.without(&[
            PropertyId::SessionExpiryInterval,
            PropertyId::ReceiveMaximum,
            PropertyId::MaximumPacketSize,
            PropertyId::TopicAliasMaximum,
        ])))
    }

    fn will(&self) -> Result<Option<Will>, Failure> {
        let Some(topic) = &self.will_topic else { return Ok(None) };
        let properties = self.block(PropertyOwner::Will)?;
        let topic = TopicName::new(topic)
            .map_err(|error| Failure::usage(format!("--will-topic {topic}: {error}")))?;
        let message = Message {
            topic,
            payload: self.will_payload.clone().unwrap_or_default().into(),
            qos: self.will_qos.unwrap_or_default(),
            retain: self.will_retain,
            expiry: properties.message_expiry_interval(),
            properties: properties
                .without(&[PropertyId::MessageExpiryInterval, PropertyId::WillDelayInterval]),
        };
        Ok(Some(Will { message, delay: properties.will_delay_interval().unwrap_or(0) }))
    }

    fn set_credentials(&self, options: Options) -> Result<Options, Failure> {
        let url = self.url.as_ref();
        let username = self.username.as_deref().or(url.and_then(|url| url.username.as_deref()));
        let password = self.password.as_ref().or(url.and_then(|url| url.password.as_ref()));
        if username.is_none() && password.is_some() && !options.core.version.is_v5() {
            return Err(Failure::usage("-P without -u needs MQTT 5: add -u USER, or -V 5"));
        }
        let password = password.map(|password| password.clone().into());
        options.username(username, password).map_err(|error| Failure::usage(format!("user name: {error}")))
    }

    /// As mosquitto's tools say goodbye; what a signal ends says it otherwise.
    fn disconnect(&self) -> Result<Disconnect, Failure> {
        let properties = self.block(PropertyOwner::Packet(PacketType::Disconnect))?;
        Ok(Disconnect { reason: ReasonCode::NORMAL_DISCONNECTION, properties })
    }

    fn block(&self, owner: PropertyOwner) -> Result<Properties, Failure> {
        property::collect(&self.properties, owner).map_err(Failure::usage)
    }
}

impl Connection {
    pub(super) fn block(&self, packet: PacketType) -> Result<Properties, Failure> {
        property::collect(&self.properties, PropertyOwner::Packet(packet)).map_err(Failure::usage)
    }
}

pub(super) fn parse_qos(text: &str) -> Result<QoS, String> {
    text.parse().ok().and_then(QoS::from_bits).ok_or_else(|| "it is 0, 1 or 2".into())
}

fn parse_version(text: &str) -> Result<Version, String> {
    match text {
        "5" | "mqttv5" => Ok(Version::V5),
        "311" | "mqttv311" => Ok(Version::V311),
        "31" | "mqttv31" => Ok(Version::V31),
        _ => Err("it is 5, 311 or 31".into()),
    }
}

fn parse_expiry(text: &str) -> Result<u32, String> {
    match text {
        "-1" | "∞" => Ok(NEVER),
        _ => {
            text.parse().map_err(|_| "it is a number of seconds from 0 to 4294967294, or -1 for never".into())
        }
    }
}
