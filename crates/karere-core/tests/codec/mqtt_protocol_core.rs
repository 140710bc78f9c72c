//! Against `mqtt-protocol-core`: it reads from our bytes what we wrote into them, we read what it writes, and
//! of what is no packet both think the same, apart from a list.

use karere_core::{
    Error,
    codec::{FixedHeader, Packet, PacketId, PacketType, Property, PropertyId, ReasonCode, Version},
};
use mqtt_protocol_core::mqtt::packet as theirs;
use proptest::{prelude::*, sample::Index};
use theirs::{v3_1_1, v5_0};

use crate::{
    generate::{config, connect, example, packet, publish},
    normal::normal,
    round_trip::encode,
};

const VERSIONS: [Version; 2] = [Version::V311, Version::V5];

/// The body of a frame.
fn body(frame: &[u8]) -> &[u8] {
    &frame[FixedHeader::peek(frame).unwrap().unwrap().header_len()..]
}

/// The frame as the other codec writes what it has read from it.
fn read_and_written(version: Version, frame: &[u8]) -> Result<Vec<u8>, String> {
    let header = FixedHeader::peek(frame).unwrap().unwrap();
    let (flags, body) = (header.flags(), body(frame));
    macro_rules! read {
        ($packet:ty) => {{
            let (packet, len) = <$packet>::parse(body).map_err(|error| format!("{error:?}"))?;
            if len == body.len() {
                Ok(packet.to_continuous_buffer())
            } else {
                Err(format!("{len} bytes read"))
            }
        }};
        ($packet:ty, $flags:expr) => {{
            let (packet, _) = <$packet>::parse($flags, body.into()).map_err(|error| format!("{error:?}"))?;
            Ok(packet.to_continuous_buffer())
        }};
    }
    macro_rules! read_any {
        ($version:ident) => {
            match header.packet_type() {
                PacketType::Connect => read!($version::Connect),
                PacketType::ConnAck => read!($version::Connack),
                PacketType::Publish => read!($version::Publish, flags),
                PacketType::PubAck => read!($version::Puback),
                PacketType::PubRec => read!($version::Pubrec),
                PacketType::PubRel => read!($version::Pubrel),
                PacketType::PubComp => read!($version::Pubcomp),
                PacketType::Subscribe => read!($version::Subscribe),
                PacketType::SubAck => read!($version::Suback),
                PacketType::Unsubscribe => read!($version::Unsubscribe),
                PacketType::UnsubAck => read!($version::Unsuback),
                PacketType::PingReq => read!($version::Pingreq),
                PacketType::PingResp => read!($version::Pingresp),
                PacketType::Disconnect => read!($version::Disconnect),
                PacketType::Auth => read!(v5_0::Auth),
            }
        };
    }
    match version {
        Version::V5 => read_any!(v5_0),
        _ => read_any!(v3_1_1),
    }
}

/// Whether it knows what the specification knows.
fn knows(packet: &Packet) -> bool {
    // `$share` without a name and a filter behind it: ours to answer in the SUBACK.
    let knows_filter =
        |filter: &str| !filter.starts_with("$share/") || filter.splitn(3, '/').nth(2).is_some();
    match packet {
        // A password alone, which version 5 allows; the bridge bit is mosquitto's.
        Packet::Connect(connect) => {
            !connect.bridge && (connect.username.is_some() || connect.password.is_none())
        }
        // Table 2-6 has 0x8C in a DISCONNECT, table 3-10 has not.
        Packet::Disconnect(disconnect) => disconnect.reason != ReasonCode::BadAuthenticationMethod,
        Packet::Subscribe(subscribe) => subscribe.subscriptions.iter().all(|each| knows_filter(&each.filter)),
        Packet::Unsubscribe(unsubscribe) => unsubscribe.filters.iter().all(|filter| knows_filter(filter)),
        _ => true,
    }
}

/// What we refuse and it lets through, each for a statement of the specification.
const STRICTER: [&str; 15] = [
    "string contains U+0000",                               // [MQTT-1.5.4-2]
    "variable byte integer is longer than it needs to be",  // [MQTT-1.5.5-1]
    "packet identifier 0",                                  // [MQTT-2.2.1-3], in acknowledgements
    "reserved connect flag",                                // [MQTT-3.1.2-3]
    "will QoS or will retain without a will",               // [MQTT-3.1.2-11] [MQTT-3.1.2-13]
    "will with QoS 3",                                      // [MQTT-3.1.2-12]
    "Authentication Data without an Authentication Method", // section 3.1.2.11.10
    "reserved connect acknowledge flags",                   // [MQTT-3.2.2-1]
    "session present in a refusal",                         // [MQTT-3.2.2-6]
    "topic name with a wildcard",                           // [MQTT-3.3.2-2]
    "empty topic name without a topic alias",               // [MQTT-4.7.3-1]
    "response topic with a wildcard",                       // [MQTT-3.3.2-14]
    "No Local on a shared subscription",                    // [MQTT-3.8.3-4]
    "reserved subscription options",                        // [MQTT-3.8.3-5]
    "AUTH without an Authentication Method",                // section 3.15.2.2.2
];

fn what(error: Error) -> &'static str {
    match error {
        Error::Malformed(what) | Error::ProtocolError { what, .. } => what,
        _ => "",
    }
}

/// Both refuse the frame, or both read the same packet from it, or it is on one of the two lists.
fn agree(version: Version, frame: &[u8]) -> Result<(), TestCaseError> {
    let theirs = read_and_written(version, frame);
    match (Packet::decode(version, frame.to_vec().into()), theirs) {
        (Ok(ours), Ok(theirs)) => {
            prop_assert_eq!(Packet::decode(version, theirs.into()).map(normal), Ok(normal(ours)));
        }
        (Ok(ours), Err(error)) => prop_assert!(!knows(&ours), "it refuses {:?}: {}", ours, error),
        (Err(error), Ok(_)) => {
            prop_assert!(STRICTER.contains(&what(error)), "we refuse {:x?}: {}", frame, error);
        }
        (Err(_), Err(_)) => {}
    }
    Ok(())
}

#[test]
fn it_reads_what_we_write_and_we_read_what_it_writes() {
    for version in VERSIONS {
        proptest!(config(), |(packet in packet(version).prop_filter("it does not know this", knows))| {
            let frame = encode(&packet, version);
            let theirs = read_and_written(version, &frame).map_err(TestCaseError::fail)?;
            prop_assert_eq!(Packet::decode(version, theirs.into()).map(normal), Ok(normal(packet)));
        });
    }
}

#[test]
fn it_thinks_of_a_changed_byte_what_we_think() {
    for version in VERSIONS {
        proptest!(config(), |(packet in packet(version), at in any::<Index>(), byte in any::<u8>())| {
            let mut frame = encode(&packet, version).to_vec();
            let header_len = FixedHeader::peek(&frame).unwrap().unwrap().header_len();
            if frame.len() > header_len {
                let at = header_len + at.index(frame.len() - header_len);
                frame[at] = byte;
                agree(version, &frame)?;
            }
        });
    }
}

#[test]
fn it_knows_the_same_reason_codes_in_the_same_packets() {
    for code in 0..=0xFF {
        let frames: [&[u8]; 8] = [
            &[0x20, 3, 0, code, 0],
            &[0x40, 3, 0, 1, code],
            &[0x50, 3, 0, 1, code],
            &[0x62, 3, 0, 1, code],
            &[0x70, 3, 0, 1, code],
            &[0x90, 4, 0, 1, 0, code],
            &[0xB0, 4, 0, 1, 0, code],
            &[0xE0, 1, code],
        ];
        for frame in frames {
            agree(Version::V5, frame).unwrap();
        }
        agree(Version::V5, &[0xF0, 6, code, 4, 0x15, 0, 1, b'm']).unwrap();
        agree(Version::V311, &[0x90, 3, 0, 1, code]).unwrap();
        agree(Version::V311, &[0x20, 2, 0, code]).unwrap();
    }
}

#[test]
fn it_knows_the_same_properties_in_the_same_packets() {
    for &id in PropertyId::ALL {
        let block = example(id);
        for times in 1..=2 {
            let block = block.as_bytes().repeat(times);
            let len = u8::try_from(block.len()).unwrap();
            let frames: [(u8, &[u8], &[u8]); 9] = [
                (0x10, b"\x00\x04MQTT\x05\x02\x00\x00", b"\x00\x00"),
                (0x10, b"\x00\x04MQTT\x05\x06\x00\x00\x00\x00\x00", b"\x00\x01w\x00\x00"), // the will's
                (0x20, &[0, 0], b""),
                (0x30, b"\x00\x01a", b""),
                (0x62, &[0, 1, 0], b""),
                (0x82, &[0, 1], b"\x00\x01a\x00"),
                (0x90, &[0, 1], b"\x00"),
                (0xA2, &[0, 1], b"\x00\x01a"),
                (0xE0, &[0], b""),
            ];
            for (first, before, after) in frames {
                if (id, times, first) == (PropertyId::SubscriptionIdentifier, 2, 0x82) {
                    continue; // it lets two through in a SUBSCRIBE, against section 3.8.2.1.2
                }
                let body = [before, &[len], &block, after].concat();
                let frame = [&[first, u8::try_from(body.len()).unwrap()], &body[..]].concat();
                agree(Version::V5, &frame).unwrap();
            }
        }
    }
}

#[test]
fn it_understands_a_publish_as_we_meant_it() {
    proptest!(config(), |(publish in publish(Version::V5))| {
        let frame = encode(&Packet::Publish(publish.clone()), Version::V5);
        let (read, _) = v5_0::Publish::parse(frame[0] & 0xF, body(&frame).into()).unwrap();
        prop_assert_eq!(read.topic_name(), publish.message.topic.as_str());
        prop_assert_eq!(read.payload().as_slice(), &publish.message.payload[..]);
        prop_assert_eq!(read.packet_id(), publish.packet_id.map(PacketId::get));
        prop_assert_eq!(read.qos() as u8, publish.message.qos.bits());
        prop_assert_eq!((read.dup(), read.retain()), (publish.dup, publish.message.retain));
        let ids = publish.subscription_ids.as_slice().iter().map(|&id| Property::SubscriptionIdentifier(id));
        let lifted = ids
            .chain(publish.topic_alias.map(|alias| Property::TopicAlias(alias.get())))
            .chain(publish.message.expiry.map(Property::MessageExpiryInterval));
        let all = lifted.chain(publish.message.properties.iter());
        prop_assert_eq!(sorted(read.props().iter().map(said)), sorted(all.map(|property| format!("{property:?}"))));
    });
}

#[test]
fn it_understands_a_connect_as_we_meant_it() {
    proptest!(config(), |(connect in connect(Version::V5))| {
        let frame = encode(&Packet::Connect(Box::new(connect.clone())), Version::V5);
        prop_assume!(connect.username.is_some() || connect.password.is_none());
        let (read, _) = v5_0::Connect::parse(body(&frame)).unwrap();
        prop_assert_eq!(read.client_id(), connect.client_id.as_str());
        prop_assert_eq!((read.clean_start(), read.keep_alive()), (connect.clean_start, connect.keep_alive));
        prop_assert_eq!(read.user_name(), connect.username.as_deref());
        prop_assert_eq!(read.password(), connect.password.as_deref());
        let ours = connect.properties.iter().map(|property| format!("{property:?}"));
        prop_assert_eq!(sorted(read.props().iter().map(said)), sorted(ours));
        let message = connect.will.as_ref().map(|will| &will.message);
        prop_assert_eq!(read.will_topic(), message.map(|message| message.topic.as_str()));
        prop_assert_eq!(read.will_payload(), message.map(|message| &message.payload[..]));
        prop_assert_eq!(read.will_retain(), message.is_some_and(|message| message.retain));
        prop_assert_eq!(read.will_qos() as u8, message.map_or(0, |message| message.qos.bits()));
    });
}

#[test]
fn it_understands_subscription_options_as_we_meant_them() {
    proptest!(config(), |(packet in crate::generate::packet_of(PacketType::Subscribe, Version::V5))| {
        let frame = encode(&packet, Version::V5);
        let Packet::Subscribe(subscribe) = packet else { unreachable!() };
        let (read, _) = v5_0::Subscribe::parse(body(&frame)).unwrap();
        prop_assert_eq!(read.packet_id(), subscribe.packet_id.get());
        for (theirs, ours) in read.entries().iter().zip(&subscribe.subscriptions) {
            prop_assert_eq!(theirs.topic_filter(), ours.filter.as_str());
            let options = theirs.sub_opts();
            prop_assert_eq!(options.qos() as u8, ours.options.qos.bits());
            prop_assert_eq!((options.nl(), options.rap()), (ours.options.no_local, ours.options.retain_as_published));
            prop_assert_eq!(options.rh() as u8, ours.options.retain_handling as u8);
        }
        prop_assert_eq!(read.entries().len(), subscribe.subscriptions.len());
    });
}

fn sorted(all: impl Iterator<Item = String>) -> Vec<String> {
    let mut all: Vec<_> = all.collect();
    all.sort();
    all
}

/// Its property in our words; those of PUBLISH and CONNECT.
fn said(property: &theirs::Property) -> String {
    use theirs::Property as Theirs;
    let ours = match property {
        Theirs::PayloadFormatIndicator(value) => Property::PayloadFormatIndicator(value.val() == 1),
        Theirs::MessageExpiryInterval(value) => Property::MessageExpiryInterval(value.val()),
        Theirs::ContentType(value) => Property::ContentType(value.val()),
        Theirs::ResponseTopic(value) => Property::ResponseTopic(value.val()),
        Theirs::CorrelationData(value) => Property::CorrelationData(value.val()),
        Theirs::SubscriptionIdentifier(value) => Property::SubscriptionIdentifier(value.val()),
        Theirs::TopicAlias(value) => Property::TopicAlias(value.val()),
        Theirs::UserProperty(pair) => Property::UserProperty(pair.key(), pair.val()),
        Theirs::SessionExpiryInterval(value) => Property::SessionExpiryInterval(value.val()),
        Theirs::AuthenticationMethod(value) => Property::AuthenticationMethod(value.val()),
        Theirs::AuthenticationData(value) => Property::AuthenticationData(value.val()),
        Theirs::RequestProblemInformation(value) => Property::RequestProblemInformation(value.val() == 1),
        Theirs::RequestResponseInformation(value) => Property::RequestResponseInformation(value.val() == 1),
        Theirs::ReceiveMaximum(value) => Property::ReceiveMaximum(value.val()),
        Theirs::TopicAliasMaximum(value) => Property::TopicAliasMaximum(value.val()),
        Theirs::MaximumPacketSize(value) => Property::MaximumPacketSize(value.val()),
        other => panic!("{other:?} is neither PUBLISH's nor CONNECT's"),
    };
    format!("{ours:?}")
}
