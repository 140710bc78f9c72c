//! A connection before its CONNECT is accepted.

use alloc::boxed::Box;
use alloc::sync::Arc;

use bytes::BytesMut;

use super::Options;
use super::connection::{Connection, SPARE, auth_for, fits, keep_alive, problem_information, session_expiry};
use crate::Error;
use crate::codec::{
    Auth, ConnAck, Connect, FixedHeader, Packet, PacketType, Properties, PropertiesBuilder, Property,
    PropertyId, PropertyOwner, QoS, ReasonCode, Version, Will,
};
use crate::connection::Outbox;
use crate::text::Text;
use crate::time::Instant;

/// A connection before its CONNECT is accepted.
///
/// It reads CONNECT, and what enhanced authentication exchanges (§4.12), and nothing behind them: what a client
/// sends without waiting for CONNACK stays in the buffer for the [`Slot`](super::Slot).
#[derive(Debug)]
pub struct Handshake {
    options: Arc<Options>,
    outbox: Outbox,
    deadline: Instant,
    connect: Option<Box<Connect>>,
}

/// What a handshake asks its host.
#[derive(Debug)]
pub enum HandshakeEvent {
    /// May this client connect? [Accept](Handshake::accept), [reject](Handshake::reject) or
    /// [ask for more](Handshake::request_auth).
    Connect(Box<Connect>),
    /// What it answered to AUTH; the same three again.
    Auth(Auth),
}

/// A connection whose CONNECT was accepted, to be [attached](super::Slot::attach).
#[derive(Debug)]
pub struct Accepted {
    pub(super) connection: Box<Connection>,
    pub(super) connack: Properties,
    pub(super) will: Option<Will>,
    pub(super) session_expiry: u32,
}

impl Accepted {
    /// The Session Expiry Interval that will be in force, in seconds.
    #[must_use]
    pub fn session_expiry(&self) -> u32 {
        self.session_expiry
    }

    /// The Will that it brings.
    #[must_use]
    pub fn will(&self) -> Option<&Will> {
        self.will.as_ref()
    }
}

impl Handshake {
    /// A connection has come in.
    #[must_use]
    pub fn new(now: Instant, options: Arc<Options>) -> Self {
        let deadline = now.plus_millis(options.handshake_millis_max);
        Self { options, outbox: Outbox::default(), deadline, connect: None }
    }

    /// Takes in what the network brought: one packet at most, which the host then answers.
    ///
    /// # Errors
    /// When the connection must end. The outbox may then hold a CONNACK with the reason: write it, and close.
    pub fn handle_input(
        &mut self,
        now: Instant,
        input: &mut BytesMut,
    ) -> Result<Option<HandshakeEvent>, Error> {
        self.next_packet(now, input).inspect_err(|error| self.say_why(error))
    }

    /// Lets time pass.
    ///
    /// # Errors
    /// When the client has not said CONNECT in time.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), Error> {
        if now < self.deadline {
            return Ok(());
        }
        Err(Error::ProtocolError { what: "no CONNECT in time", reason: ReasonCode::MaximumConnectTime })
    }

    /// When to call [`handle_timeout`](Self::handle_timeout).
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        Some(self.deadline)
    }

    /// What waits to be written.
    pub fn poll_transmit(&mut self) -> &mut Outbox {
        &mut self.outbox
    }

    /// Continues enhanced authentication: AUTH goes to the client, with the method of its CONNECT [MQTT-4.12.0-5] and
    /// the reason Continue authentication [MQTT-4.12.0-2], whatever `auth` says of both. A Reason String and User
    /// Properties are left out for a client that does not want them, or cannot take as much.
    ///
    /// False: nothing was sent, because the client named no method [MQTT-4.12.0-6] or cannot take as much.
    /// [Reject](Self::reject) it.
    #[must_use]
    pub fn request_auth(&mut self, now: Instant, auth: &Auth) -> bool {
        let Some(connect) = &self.connect else { return false };
        let said = &connect.properties;
        let Some(method) = said.authentication_method() else { return false };
        let max = said.maximum_packet_size().map_or(usize::MAX, |size| size as usize);
        let auth = auth_for(method, problem_information(said), max, auth);
        let packet = Packet::Auth(Auth { reason: ReasonCode::ContinueAuthentication, ..auth });
        self.deadline = now.plus_millis(self.options.handshake_millis_max);
        fits(&packet, Version::V5, max) && self.outbox.write(|out| packet.encode(Version::V5, out)).is_ok()
    }

    /// Says no: CONNACK with `reason`, in 3.x's words where that is spoken. Write it, and close.
    pub fn reject(&mut self, reason: ReasonCode, properties: &Properties) {
        let version = self.connect.as_ref().map_or(Version::V311, |connect| connect.version);
        let max = self.connect.as_ref().and_then(|connect| connect.properties.maximum_packet_size());
        let max = max.map_or(usize::MAX, |size| size as usize);
        let properties = if version.is_v5() { properties.clone() } else { Properties::EMPTY };
        let connack = Packet::ConnAck(ConnAck { session_present: false, reason, properties }.into());
        if fits(&connack, version, max) {
            let _ = self.outbox.write(|out| connack.encode(version, out));
        }
    }

    /// Says yes. `assigned` is the Client Identifier for a client that brought none; `extra` goes into CONNACK beside
    /// what the options and CONNECT make the broker say, as far as the client is to see it: Response Information if it
    /// has asked for it [MQTT-3.1.2-28], a Reason String and User Properties if it can take as much ([MQTT-3.2.2-19],
    /// [MQTT-3.2.2-20]). `seed` decides the connection's hash tables.
    ///
    /// `None` before CONNECT has come, and for a client that cannot take even the shortest CONNACK: close.
    #[must_use]
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a host that has made an identifier has no other use for it"
    )]
    pub fn accept(
        self,
        now: Instant,
        assigned: Option<Text>,
        extra: &Properties,
        seed: u64,
    ) -> Option<Accepted> {
        let connect = self.connect?;
        let connack = connack_properties(&self.options, &connect, assigned.as_ref(), extra);
        let connack = fitting(&connect, connack)?;
        let session_expiry = session_expiry(&self.options, &connect);
        let connection = Connection::new(now, &self.options, &connect, self.outbox, seed).into();
        // Copied: it is kept for long, and a slice would pin the read buffer.
        let will = connect.will.map(|will| Will { message: will.message.compact(), ..will });
        Some(Accepted { connection, connack, will, session_expiry })
    }

    fn next_packet(&mut self, now: Instant, input: &mut BytesMut) -> Result<Option<HandshakeEvent>, Error> {
        let Some(header) = FixedHeader::peek(input)? else { return Ok(None) };
        if header.packet_type() != PacketType::Connect && self.connect.is_none() {
            return Err(Error::protocol("a packet before CONNECT")); // [MQTT-3.1.0-1]
        }
        if header.frame_len() > self.options.connect_size_max as usize {
            let what = "CONNECT larger than the broker takes";
            return Err(Error::LimitExceeded { what, reason: ReasonCode::PacketTooLarge });
        }
        if input.len() < header.frame_len() {
            return Ok(None);
        }
        let version = self.connect.as_ref().map_or(Version::V5, |connect| connect.version);
        let packet = Packet::decode(version, input.split_to(header.frame_len()).freeze())?;
        match (packet, &self.connect) {
            (Packet::Connect(connect), None) => {
                let kept = self.connect.insert(connect);
                check_connect(&self.options, kept)?;
                self.deadline = now.plus_millis(self.options.handshake_millis_max);
                Ok(Some(HandshakeEvent::Connect(kept.clone())))
            }
            (Packet::Auth(auth), Some(connect)) => {
                let method = connect.properties.authentication_method();
                if method.is_none() || auth.properties.authentication_method() != method {
                    return Err(Error::protocol("AUTH with another authentication method than CONNECT"));
                }
                Ok(Some(HandshakeEvent::Auth(auth)))
            }
            _ => Err(Error::protocol("a packet before CONNACK that is not AUTH")),
        }
    }

    /// CONNACK with the reason where the client will understand it. To what is not MQTT nothing is said, and to a
    /// 3.x client only what its return codes can say.
    fn say_why(&mut self, error: &Error) {
        match (error, &self.connect) {
            (Error::UnsupportedVersion(level), None) => {
                // [MQTT-3.1.2-2]: version 5's code to later versions, return code 1 to all others.
                let version = if *level > Version::V5 as u8 { Version::V5 } else { Version::V311 };
                let connack = ConnAck {
                    session_present: false,
                    reason: ReasonCode::UnsupportedProtocolVersion,
                    properties: Properties::EMPTY,
                };
                let _ = self.outbox.write(|out| Packet::ConnAck(connack.into()).encode(version, out));
            }
            (_, Some(connect)) if connect.version.is_v5() || matches!(error, Error::Refused(_)) => {
                self.reject(error.reason_code(), &Properties::EMPTY);
            }
            _ => {}
        }
    }
}

/// What the options do not allow in a CONNECT.
fn check_connect(options: &Options, connect: &Connect) -> Result<(), Error> {
    if connect.client_id.len() > options.client_id_bytes_max {
        return Err(Error::Refused(ReasonCode::ClientIdentifierNotValid));
    }
    if connect.client_id.is_empty() {
        // 3.1 wants 1 to 23 characters; 3.1.1 takes none with Clean Session only (its [MQTT-3.1.3-8]).
        let allowed = match connect.version {
            Version::V31 => false,
            Version::V311 => connect.clean_start && options.allow_empty_client_id,
            Version::V5 => options.allow_empty_client_id,
        };
        if !allowed {
            return Err(Error::Refused(ReasonCode::ClientIdentifierNotValid));
        }
    }
    let Some(will) = &connect.will else { return Ok(()) };
    if will.message.qos > options.maximum_qos {
        return Err(Error::Refused(ReasonCode::QoSNotSupported)); // [MQTT-3.2.2-12]
    }
    if will.message.retain && !options.retain_available {
        return Err(Error::Refused(ReasonCode::RetainNotSupported)); // [MQTT-3.2.2-13]
    }
    Ok(())
}

/// What CONNACK says on version 5: only what differs from what the client assumes without it (§3.2.2.3).
fn connack_properties(
    options: &Options,
    connect: &Connect,
    assigned: Option<&Text>,
    extra: &Properties,
) -> Properties {
    if !connect.version.is_v5() {
        return Properties::EMPTY;
    }
    let mut builder = PropertiesBuilder::default();
    let mut put = |wanted: bool, property: Property<'_>| {
        // Numbers, flags and a checked identifier always fit.
        let _ = wanted.then(|| builder.push(property));
    };
    let expiry = session_expiry(options, connect);
    let keep_alive = keep_alive(options, connect);
    put(
        expiry != connect.properties.session_expiry_interval().unwrap_or(0),
        Property::SessionExpiryInterval(expiry),
    );
    put(options.receive_maximum < u16::MAX, Property::ReceiveMaximum(options.receive_maximum.max(1)));
    put(options.maximum_qos < QoS::ExactlyOnce, Property::MaximumQoS(options.maximum_qos));
    put(!options.retain_available, Property::RetainAvailable(false));
    put(
        options.maximum_packet_size < u32::MAX,
        Property::MaximumPacketSize(options.maximum_packet_size.max(1)),
    );
    put(options.topic_alias_maximum > 0, Property::TopicAliasMaximum(options.topic_alias_maximum));
    put(keep_alive != connect.keep_alive, Property::ServerKeepAlive(keep_alive));
    if let Some(assigned) = assigned {
        put(true, Property::AssignedClientIdentifier(assigned));
    }
    if let Some(method) = connect.properties.authentication_method() {
        put(true, Property::AuthenticationMethod(method)); // [MQTT-4.12.0-5]
    }
    let asked = connect.properties.request_response_information() == Some(true);
    for property in extra.iter() {
        put(is_extra(property.id()) && (asked || property.id() != PropertyId::ResponseInformation), property);
    }
    builder.build()
}

/// What a host may add to CONNACK: not what the options and CONNECT decide.
fn is_extra(id: PropertyId) -> bool {
    const DECIDED: [PropertyId; 9] = [
        PropertyId::SessionExpiryInterval,
        PropertyId::ReceiveMaximum,
        PropertyId::MaximumQoS,
        PropertyId::RetainAvailable,
        PropertyId::MaximumPacketSize,
        PropertyId::TopicAliasMaximum,
        PropertyId::ServerKeepAlive,
        PropertyId::AssignedClientIdentifier,
        PropertyId::AuthenticationMethod,
    ];
    id.allowed_in(PropertyOwner::Packet(PacketType::ConnAck)) && !DECIDED.contains(&id)
}

/// CONNACK's properties, without what it can do without when it is larger than the client takes.
fn fitting(connect: &Connect, properties: Properties) -> Option<Properties> {
    let max = connect.properties.maximum_packet_size().map_or(usize::MAX, |size| size as usize);
    let fits = |properties: &Properties| {
        let (session_present, reason) = (false, ReasonCode::Success);
        let connack = ConnAck { session_present, reason, properties: properties.clone() };
        fits(&Packet::ConnAck(connack.into()), connect.version, max)
    };
    if fits(&properties) {
        return Some(properties);
    }
    Some(properties.without(&SPARE)).filter(fits)
}
