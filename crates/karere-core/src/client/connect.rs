//! Opening and closing a connection: CONNECT, CONNACK, AUTH, DISCONNECT.

use super::link::{Granted, Phase};
use super::{AckOrder, Client, Credentials, DropReason, Event, Options, Resend};
use crate::Error;
use crate::codec::{
    Auth, ConnAck, Connect, Disconnect, Packet, PacketId, PacketType, Properties, PropertiesBuilder,
    Property, PropertyId, ReasonCode, Version,
};
use crate::connection::{KeepAlive, OutboundAliases};
use crate::session::Answer;
use crate::time::Instant;

/// Bytes of an acknowledgement with a reason code: whoever takes less cannot be talked to.
const PACKET_BYTES_MIN: usize = 5;

impl Client {
    /// The transport is open: CONNECT goes into the outbox.
    pub fn handle_open(&mut self, now: Instant, credentials: Credentials) {
        let connect = Connect {
            version: self.options.version,
            clean_start: self.clean_start(),
            keep_alive: self.options.keep_alive,
            client_id: self.client_id().clone(),
            will: self.options.will.clone(),
            username: credentials.username,
            password: credentials.password,
            properties: connect_properties(&self.options),
            bridge: self.options.bridge && !self.options.version.is_v5(),
        };
        let deadline = now.plus_millis(self.options.connack_millis_max);
        self.link.open(deadline, &connect, self.options.topic_alias_maximum);
        self.link.eager = self.options.eager;
        self.receiver.open(connect.version.is_v5().then_some(self.options.receive_maximum));
        self.receiver.set_as_asked(self.options.ack_order == AckOrder::AsAsked);
        self.sender.open(u16::MAX, self.options.inflight_max);
        self.sender.inflight.suspend();
        self.gate.open(self.options.store);
        if !self.options.store {
            self.forgetting = None;
            self.unstored.clear();
        }
        self.send(now, &Packet::Connect(connect.into()));
    }

    /// The transport has gone, however that came. The session stays.
    pub fn handle_closed(&mut self, _now: Instant) {
        self.link.clear();
        self.receiver.close();
        for (_, sequence) in core::mem::take(&mut self.tracked) {
            let packet_id = Some(PacketId::from_sequence(sequence));
            self.events.push_back(Event::Dropped { packet_id, why: DropReason::ConnectionLost });
        }
        self.put_requests_back();
    }

    /// Says goodbye: DISCONNECT goes into the outbox behind what is there. The driver writes it all, closes,
    /// and calls [`handle_closed`](Self::handle_closed).
    ///
    /// On 3.x the packet has no reason and no properties; before CONNACK there is none at all. A Reason String and User
    /// Properties that would make it larger than the server takes are left out ([MQTT-3.14.2-3], [MQTT-3.14.2-4]).
    pub fn disconnect(&mut self, now: Instant, disconnect: &Disconnect) {
        if self.link.is_taking() {
            let bare = Disconnect { reason: ReasonCode::Success, properties: Properties::EMPTY };
            let said = if self.link.version.is_v5() { disconnect } else { &bare };
            self.send_fitting(now, said.clone(), Packet::Disconnect, |said| &mut said.properties);
        }
        if self.link.phase != Phase::Closed {
            self.link.phase = Phase::Closing;
            self.link.deadline = now.plus_millis(self.options.connack_millis_max);
        }
    }

    /// Answers an [`Event::Auth`], or starts to authenticate again with `ReAuthenticate` (§4.12.1).
    ///
    /// The packet names the Authentication Method of CONNECT, whatever `auth` says [MQTT-4.12.1-1]; without one there
    /// nothing is sent [MQTT-4.12.0-7]. Before CONNACK its reason is Continue authentication [MQTT-4.12.0-3]. A Reason
    /// String and User Properties that would make it larger than the server takes are left out ([MQTT-3.15.2-2],
    /// [MQTT-3.15.2-3]).
    pub fn authenticate(&mut self, now: Instant, auth: &Auth) {
        let Some(method) = &self.link.authentication else { return };
        let reason = match self.link.phase {
            Phase::Opening => ReasonCode::ContinueAuthentication,
            Phase::Connected => auth.reason,
            Phase::Closed | Phase::Closing => return,
        };
        let mut builder = PropertiesBuilder::default();
        let _ = builder.push(Property::AuthenticationMethod(method)); // one that CONNECT has carried
        builder.append(&auth.properties.without(&[PropertyId::AuthenticationMethod]));
        let auth = Auth { reason, properties: builder.build() };
        self.send_fitting(now, auth, Packet::Auth, |auth| &mut auth.properties);
    }

    /// Sends a packet with properties of the application's: without those that it can do without when it is larger than
    /// the server takes, and not at all when it is even then [MQTT-3.2.2-15].
    fn send_fitting<T: Clone>(
        &mut self,
        now: Instant,
        mut said: T,
        packet: fn(T) -> Packet,
        properties: fn(&mut T) -> &mut Properties,
    ) {
        // Before CONNACK the server has not said how much it takes.
        let connected = self.link.phase == Phase::Connected;
        let max = if connected { self.link.server.maximum_packet_size } else { usize::MAX };
        let fits = |packet: &Packet| packet.encoded_len(self.link.version).is_ok_and(|len| len <= max);
        let whole = packet(said.clone());
        if fits(&whole) {
            return self.send(now, &whole);
        }
        let properties = properties(&mut said);
        *properties = properties.without(&[PropertyId::ReasonString, PropertyId::UserProperty]);
        let bare = packet(said);
        if fits(&bare) {
            self.send(now, &bare);
        }
    }

    pub(super) fn on_connack(&mut self, now: Instant, connack: ConnAck) -> Result<(), Error> {
        if self.link.phase != Phase::Opening {
            return Err(Error::protocol("a second CONNACK"));
        }
        if connack.reason.is_error() {
            self.link.phase = Phase::Closing;
            self.events.push_back(Event::Refused(connack));
            return Ok(());
        }
        if connack.session_present && self.link.clean_start {
            return Err(Error::protocol("session present, but a clean start was asked for")); // [MQTT-3.2.2-4]
        }
        if Granted::from(&connack).maximum_packet_size < PACKET_BYTES_MIN {
            return Err(Error::protocol("a Maximum Packet Size that no acknowledgement fits into"));
        }
        self.enter(now, &connack);
        // 3.1 has no flag for it: there the server is believed to keep what it was asked to.
        let resumed =
            connack.session_present || (self.link.version == Version::V31 && !self.link.clean_start);
        let lost = !resumed && self.has_session;
        self.has_session = true;
        self.events.push_back(Event::Connected { connack, client_id: self.client_id().clone() });
        self.link.held = Some(alloc::vec::Vec::new());
        if !resumed {
            self.lose_session(lost);
        }
        if resumed || self.options.resend == Resend::Always {
            self.resume_session();
        }
        if !self.options.resume_by_hand {
            self.resume(now);
        }
        Ok(())
    }

    /// Sends what waited for the connection, where [`Options::resume_by_hand`] holds it back after
    /// [`Event::Connected`]; else there is nothing to do.
    pub fn resume(&mut self, now: Instant) {
        let Some(released) = self.link.held.take() else { return };
        for packet_id in released {
            // Through the gate: the PUBREC that it answers may still be on its way into the store.
            let packet = PacketType::PubRel;
            self.send_answer(now, Answer { packet, packet_id, reason: ReasonCode::Success });
        }
        if self.forgetting.is_none() {
            self.send_requests(now);
        }
        self.pump(now);
    }

    pub(super) fn on_auth(&mut self, auth: Auth) -> Result<(), Error> {
        let method = self.link.authentication.as_deref();
        if method.is_none() {
            return Err(Error::protocol("AUTH without an authentication method in CONNECT")); // [MQTT-4.12.0-6]
        }
        if auth.properties.authentication_method() != method {
            return Err(Error::protocol("AUTH with another authentication method than CONNECT")); // [MQTT-4.12.0-5]
        }
        self.events.push_back(Event::Auth(auth));
        Ok(())
    }

    pub(super) fn on_disconnect(&mut self, disconnect: Disconnect) {
        self.link.phase = Phase::Closing;
        self.events.push_back(Event::Disconnected(disconnect));
    }

    /// Only the first connection starts clean where the session may be resumed; a 3.x session cannot end later
    /// than its connection, so that there every connection says what the first one did.
    ///
    /// Without a Client Identifier there is nothing to resume, and 3.1.1 wants that said (its [MQTT-3.1.3-7]).
    fn clean_start(&self) -> bool {
        let v5 = self.options.version.is_v5();
        let nameless = !v5 && self.client_id().is_empty();
        let resumable = v5 && self.has_session && !self.options.clean_start_each;
        nameless || (self.options.clean_start && !resumable)
    }

    fn enter(&mut self, now: Instant, connack: &ConnAck) {
        let granted = Granted::from(connack);
        let options = &self.options;
        let keep_alive = connack.properties.server_keep_alive().unwrap_or(options.keep_alive); // [MQTT-3.1.2-21]
        let aliases = if options.outbound_aliases { granted.topic_alias_maximum } else { 0 };
        self.link.phase = Phase::Connected;
        self.link.server = granted;
        self.link.keep_alive = KeepAlive::new(now, keep_alive);
        self.sender.grant(granted.receive_maximum);
        self.link.outbound_aliases = OutboundAliases::new(aliases, options.seed);
        if let Some(assigned) = connack.properties.assigned_client_identifier() {
            self.assigned_id = crate::Text::new(assigned).ok();
        }
    }

    /// All unacknowledged is sent again with its identifiers, in its order [MQTT-4.4.0-1].
    fn resume_session(&mut self) {
        if let Some(held) = &mut self.link.held {
            self.sender.inflight.release(|packet_id| held.push(packet_id));
        }
    }

    /// The server knows nothing of us [MQTT-3.2.2-5]: what it has not taken responsibility for is new again, what
    /// it has answered with PUBREC counts as delivered.
    fn lose_session(&mut self, lost: bool) {
        self.forget_incoming();
        if self.options.resend == Resend::WithSession {
            self.send_as_new();
        }
        if lost {
            self.events.push_back(Event::SessionLost);
            self.subscribe_again();
        }
    }
}

/// The properties of CONNECT: those with a field in the options from there, the others as they were given.
fn connect_properties(options: &Options) -> Properties {
    if !options.version.is_v5() {
        return Properties::EMPTY;
    }
    if options.properties_verbatim {
        return options.properties.clone();
    }
    let mut builder = PropertiesBuilder::default();
    let mut put = |wanted: bool, property: Property<'_>| {
        // Numbers and flags always fit.
        let _ = wanted.then(|| builder.push(property));
    };
    put(options.session_expiry > 0, Property::SessionExpiryInterval(options.session_expiry));
    put(options.receive_maximum < u16::MAX, Property::ReceiveMaximum(options.receive_maximum.max(1)));
    put(true, Property::MaximumPacketSize(options.maximum_packet_size.max(1)));
    put(options.topic_alias_maximum > 0, Property::TopicAliasMaximum(options.topic_alias_maximum));
    let own = [
        PropertyId::SessionExpiryInterval,
        PropertyId::ReceiveMaximum,
        PropertyId::MaximumPacketSize,
        PropertyId::TopicAliasMaximum,
    ];
    for property in options.properties.iter().filter(|property| !own.contains(&property.id())) {
        put(true, property);
    }
    builder.build()
}
