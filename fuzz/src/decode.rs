//! Any bytes: nothing panics, and what is accepted is a packet that can be said again.

use bytes::{Bytes, BytesMut};
use karere_core::{
    Text,
    codec::{Connect, FixedHeader, Packet, PacketType, Properties, PropertyOwner, Version, decode_ack},
    topic::{TopicFilter, TopicName},
};

use crate::{packets::VERSIONS, wire::framed};

/// Judges `input` as a frame, as a frame with its length mended, and as what stands inside of frames.
pub fn run(input: &[u8]) {
    let _ = Connect::peek_version(input);
    let Some((&first, rest)) = input.split_first() else { return };
    let body = match FixedHeader::peek(input) {
        Ok(Some(header)) => input.get(header.header_len()..).unwrap_or_default(),
        _ => rest,
    };
    // Mutations seldom keep a length right; what is behind it is what matters.
    let mended = framed(first, body);
    for version in VERSIONS {
        survives(version, Bytes::copy_from_slice(input));
        survives(version, mended.clone());
        for kind in PacketType::ALL {
            let _ = decode_ack(kind, version, body);
        }
    }
    let owners = PacketType::ALL.map(PropertyOwner::Packet);
    for owner in owners.into_iter().chain([PropertyOwner::Will, PropertyOwner::Message]) {
        block_survives(body, owner);
    }
    text_survives(rest);
}

/// Decodes, and if that succeeds encodes and decodes again: the same packet.
fn survives(version: Version, frame: Bytes) {
    let Ok(packet) = Packet::decode(version, frame) else { return };
    let version = if let Packet::Connect(connect) = &packet { connect.version } else { version };
    let mut out = BytesMut::new();
    packet.encode(version, &mut out).expect("what was read can be written");
    assert_eq!(packet.encoded_len(version), Ok(out.len()));
    // 3.1 reads the one bit that it has no room to write; nothing else is lost.
    if version != Version::V31 || !matches!(packet, Packet::ConnAck(_)) {
        assert_eq!(Packet::decode(version, out.freeze()), Ok(packet));
    }
}

fn block_survives(block: &[u8], owner: PropertyOwner) {
    let Ok(properties) = Properties::decode(Bytes::copy_from_slice(block), owner) else { return };
    assert_eq!(properties.check(owner), Ok(()));
    assert_eq!(Properties::from_properties(properties.iter()).as_ref(), Ok(&properties));
    assert_eq!(properties.compact(), properties);
    for property in properties.iter() {
        let without = properties.without(&[property.id()]);
        let expected = properties.iter().filter(|other| other.id() != property.id());
        assert!(without.iter().eq(expected), "only {} is taken out", property.id());
    }
}

fn text_survives(bytes: &[u8]) {
    let text = Text::from_bytes(Bytes::copy_from_slice(bytes));
    let expected = bytes.len() <= 65_535 && !bytes.contains(&0) && std::str::from_utf8(bytes).is_ok();
    assert_eq!(text.is_ok(), expected);
    let Ok(text) = text else { return };
    assert_eq!(text.as_str().as_bytes(), bytes);
    let name = TopicName::from_text(text.clone());
    assert_eq!(name.is_ok(), !text.is_empty() && !text.contains(['+', '#']));
    if let Ok(filter) = TopicFilter::from_text(text) {
        assert_eq!(filter.as_str().as_bytes(), bytes);
        // A name is a filter that matches itself, as long as it is no Shared Subscription's.
        if let (Ok(name), None) = (name, filter.share()) {
            assert!(filter.matches(&name), "{filter} is a name and does not match itself");
        }
    }
}
