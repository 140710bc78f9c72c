//! Bytes from nobody: nothing panics, and what is accepted is a packet that can be said again.

use bytes::{Bytes, BytesMut};
use karere_core::codec::{FixedHeader, Packet, PacketType, Properties, PropertyOwner, Version, decode_ack};
use proptest::{collection::vec, prelude::*, sample::Index};

use crate::{
    generate::{VERSIONS, config, packet, version},
    round_trip::encode,
};

/// Decodes, and if that succeeds encodes and decodes again: the same packet.
fn survives(version: Version, frame: Bytes) -> Result<(), TestCaseError> {
    let Ok(packet) = Packet::decode(version, frame) else { return Ok(()) };
    let version = match &packet {
        Packet::Connect(connect) => connect.version,
        _ => version,
    };
    let mut out = BytesMut::new();
    // 3.1 cannot write the one bit that it was sent; nothing else that is read cannot be written.
    let lossy = version == Version::V31 && matches!(packet, Packet::ConnAck(_));
    packet.encode(version, &mut out).map_err(|error| TestCaseError::fail(format!("{packet:?}: {error}")))?;
    if !lossy {
        prop_assert_eq!(Packet::decode(version, out.freeze()), Ok(packet));
    }
    Ok(())
}

/// A frame of this first byte around this body.
fn framed(first: u8, body: &[u8]) -> Bytes {
    let mut frame = vec![first];
    let mut len = body.len();
    while len >= 0x80 {
        frame.push(len as u8 | 0x80);
        len >>= 7;
    }
    frame.push(len as u8);
    frame.extend_from_slice(body);
    Bytes::from(frame)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, ..config() })]

    #[test]
    fn any_bytes_are_judged_without_a_panic(input in vec(any::<u8>(), 0..64)) {
        let _ = FixedHeader::peek(&input);
        for version in VERSIONS {
            survives(version, Bytes::from(input.clone()))?;
        }
    }

    #[test]
    fn any_body_is_judged_without_a_panic(first in any::<u8>(), body in vec(any::<u8>(), 0..200)) {
        for version in VERSIONS {
            survives(version, framed(first, &body))?;
            for kind in PacketType::ALL {
                let _ = decode_ack(kind, version, &body);
            }
        }
    }

    #[test]
    fn any_block_of_properties_is_judged_without_a_panic(block in vec(any::<u8>(), 0..64)) {
        let owners = PacketType::ALL.map(PropertyOwner::Packet);
        for owner in owners.into_iter().chain([PropertyOwner::Will, PropertyOwner::Message]) {
            if let Ok(properties) = Properties::decode(Bytes::from(block.clone()), owner) {
                prop_assert_eq!(properties.check(owner), Ok(()));
                let again = Properties::from_properties(properties.iter());
                prop_assert_eq!(again.as_ref(), Ok(&properties));
            }
        }
    }

    #[test]
    fn a_packet_with_a_byte_changed_is_judged_without_a_panic(
        (version, packet) in version().prop_flat_map(|version| (Just(version), packet(version))),
        at in any::<Index>(),
        byte in any::<u8>(),
    ) {
        let mut frame = encode(&packet, version).to_vec();
        let at = at.index(frame.len());
        frame[at] = byte;
        survives(version, Bytes::from(frame))?;
    }

    #[test]
    fn a_body_with_a_byte_more_or_less_is_judged_without_a_panic(
        (version, packet) in version().prop_flat_map(|version| (Just(version), packet(version))),
        at in any::<Index>(),
        insert in prop::option::of(any::<u8>()),
    ) {
        let frame = encode(&packet, version);
        let header = FixedHeader::peek(&frame).unwrap().unwrap();
        let mut body = frame[header.header_len()..].to_vec();
        match insert {
            Some(byte) => body.insert(at.index(body.len() + 1), byte),
            None if !body.is_empty() => drop(body.remove(at.index(body.len()))),
            None => {}
        }
        survives(version, framed(frame[0], &body))?;
    }
}
