//! Against `mqute-codec`: what we write it reads, and what it writes of it we read as what we wrote.

use bytes::BytesMut;
use karere_core::codec::{Packet, ReasonCode, Version};
use mqute_codec::{
    codec::PacketCodec,
    protocol::{v3, v4, v5},
};
use proptest::prelude::*;

use crate::{
    generate::{VERSIONS, config, packet},
    normal::normal,
    round_trip::encode,
};

/// The frame as the other codec writes what it has read from it.
fn read_and_written(version: Version, frame: &[u8]) -> Result<Vec<u8>, String> {
    let raw = PacketCodec::new(None, None)
        .try_decode(&mut BytesMut::from(frame))
        .map_err(|error| error.to_string())?;
    let mut out = BytesMut::new();
    match version {
        Version::V31 => v3::Packet::decode(raw).and_then(|packet| packet.encode(&mut out)),
        Version::V311 => v4::Packet::decode(raw).and_then(|packet| packet.encode(&mut out)),
        Version::V5 => v5::Packet::decode(raw).and_then(|packet| packet.encode(&mut out)),
    }
    .map_err(|error| error.to_string())?;
    Ok(out.to_vec())
}

/// Whether it knows what the specification knows.
fn knows(version: Version, packet: &Packet) -> bool {
    match packet {
        // It takes a password for a string, and for one that comes with a user name; the bridge bit is
        // mosquitto's.
        Packet::Connect(connect) => match &connect.password {
            Some(password) => {
                connect.username.is_some() && std::str::from_utf8(password).is_ok() && !connect.bridge
            }
            None => !connect.bridge,
        },
        Packet::SubAck(suback) if version == Version::V31 => {
            suback.reasons.iter().all(|reason| !reason.is_error())
        }
        // A topic that an alias stands for.
        Packet::Publish(publish) => !publish.message.topic.is_empty(),
        // A reason code without a Property Length, and table 2-6's 0x8C in a DISCONNECT.
        Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubRel(ack) | Packet::PubComp(ack) => {
            ack.reason == ReasonCode::Success || !ack.properties.is_empty()
        }
        Packet::Disconnect(disconnect) => match disconnect.reason {
            ReasonCode::Success => true,
            ReasonCode::BadAuthenticationMethod => false,
            _ => !disconnect.properties.is_empty(),
        },
        _ => true,
    }
}

#[test]
fn it_reads_what_we_write_and_we_read_what_it_writes() {
    for version in VERSIONS {
        let known =
            packet(version).prop_filter("it does not know this", move |packet| knows(version, packet));
        proptest!(config(), |(packet in known)| {
            let frame = encode(&packet, version);
            let theirs = read_and_written(version, &frame).map_err(TestCaseError::fail)?;
            let ours = Packet::decode(version, theirs.clone().into())
                .map_err(|error| TestCaseError::fail(format!("{error}: {theirs:x?}")))?;
            prop_assert_eq!(normal(ours), normal(packet));
        });
    }
}
