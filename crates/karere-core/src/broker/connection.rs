//! What belongs to one connection of a client of the broker and goes with it.

use super::Options;
use crate::codec::{Auth, Connect, Packet, Properties, PropertiesBuilder, Property, PropertyId, Version};
use crate::connection::{InboundAliases, KeepAlive, OutboundAliases, Outbox};
use crate::time::Instant;

/// What belongs to one connection and goes with it.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) version: Version,
    pub(super) outbox: Outbox,
    /// Bytes written of all that were ever put into the outbox.
    pub(super) written: u64,
    pub(super) keep_alive: KeepAlive,
    /// The client's Maximum Packet Size in bytes.
    pub(super) maximum_packet_size: usize,
    /// The client's Receive Maximum.
    pub(super) receive_maximum: u16,
    pub(super) inbound_aliases: InboundAliases,
    pub(super) outbound_aliases: OutboundAliases,
    /// The authentication method of CONNECT, which AUTH must repeat.
    pub(super) authentication: Option<crate::Text>,
    /// Whether the client wants Reason Strings and User Properties in AUTH.
    pub(super) problem_information: bool,
    /// The Session Expiry Interval that CONNECT asked for: 0 cannot be raised later (section 3.14.2.2.2).
    pub(super) session_expiry_asked: u32,
    /// More waits than the high mark, and publishers wait for it.
    pub(super) pressed: bool,
    /// Publishers have waited in vain: QoS 0 is dropped until it has drained.
    pub(super) slow: bool,
    /// Nothing more is taken: the driver closes.
    pub(super) closing: bool,
    /// We have ended it: nothing goes behind our DISCONNECT [MQTT-3.14.4-1].
    pub(super) silent: bool,
}

impl Connection {
    pub(super) fn new(now: Instant, options: &Options, connect: &Connect, outbox: Outbox, seed: u64) -> Self {
        let properties = &connect.properties;
        let v5 = connect.version.is_v5();
        let aliases = properties.topic_alias_maximum().unwrap_or(0).min(options.outbound_aliases_max);
        Self {
            version: connect.version,
            // What authentication has sent was written before.
            written: outbox.pushed() - outbox.len() as u64,
            outbox,
            keep_alive: KeepAlive::new(now, keep_alive(options, connect)),
            maximum_packet_size: properties.maximum_packet_size().map_or(usize::MAX, |size| size as usize),
            receive_maximum: properties.receive_maximum().unwrap_or(u16::MAX),
            inbound_aliases: InboundAliases::new(if v5 { options.topic_alias_maximum } else { 0 }),
            outbound_aliases: OutboundAliases::new(aliases, seed),
            authentication: properties
                .authentication_method()
                .and_then(|method| crate::Text::new(method).ok()),
            problem_information: problem_information(properties),
            session_expiry_asked: properties.session_expiry_interval().unwrap_or(0),
            pressed: false,
            slow: false,
            closing: false,
            silent: false,
        }
    }

    /// The driver has written this much more; a late report of an earlier connection's bytes counts for nothing.
    pub(super) fn written(&mut self, bytes: usize) {
        self.written = self.outbox.pushed().min(self.written + bytes as u64);
    }

    /// Bytes that are not written, in the outbox or in the driver's hands.
    pub(super) fn pending(&self) -> usize {
        (self.outbox.pushed() - self.written) as usize
    }
}

/// The Keep Alive in force, in seconds: the client's, or ours where that is shorter and the client can be told.
pub(super) fn keep_alive(options: &Options, connect: &Connect) -> u16 {
    match (connect.keep_alive, options.keep_alive_max) {
        (asked, 0) => asked,
        (asked, _) if !connect.version.is_v5() => asked,
        (0, max) => max,
        (asked, max) => asked.min(max),
    }
}

/// The Session Expiry Interval in force, in seconds. A 3.x session ends with its connection or stays (§3.1.2.4 there).
pub(super) fn session_expiry(options: &Options, connect: &Connect) -> u32 {
    let asked = match connect.version.is_v5() {
        true => connect.properties.session_expiry_interval().unwrap_or(0),
        false if connect.clean_start => 0,
        false => options.session_expiry_v3,
    };
    asked.min(options.session_expiry_max)
}

/// Whether a client that says this in CONNECT wants Reason Strings and User Properties in more than CONNACK, DISCONNECT
/// and PUBLISH [MQTT-3.1.2-29].
pub(super) fn problem_information(connect: &Properties) -> bool {
    connect.request_problem_information().unwrap_or(true)
}

/// A host's AUTH as a client takes it that named `method` and takes packets up to `max` bytes: with that method
/// [MQTT-4.12.0-5], and without words that it does not want or that do not fit ([MQTT-3.15.2-2], [MQTT-3.15.2-3]).
pub(super) fn auth_for(method: &str, words: bool, max: usize, auth: &Auth) -> Auth {
    let with = |words: bool| {
        let mut builder = PropertiesBuilder::default();
        // One that CONNECT has carried.
        let _ = builder.push(Property::AuthenticationMethod(method));
        let spare: &[PropertyId] = if words { &[] } else { &SPARE };
        builder.append(&auth.properties.without(&[PropertyId::AuthenticationMethod]).without(spare));
        Auth { reason: auth.reason, properties: builder.build() }
    };
    let whole = with(words);
    if fits(&Packet::Auth(whole.clone()), Version::V5, max) { whole } else { with(false) }
}

/// The properties that a packet can do without.
pub(super) const SPARE: [PropertyId; 2] = [PropertyId::ReasonString, PropertyId::UserProperty];

/// Whether a packet can be encoded, and is no larger than the client takes [MQTT-3.1.2-24].
pub(super) fn fits(packet: &Packet, version: Version, max: usize) -> bool {
    packet.encoded_len(version).is_ok_and(|len| len <= max)
}
