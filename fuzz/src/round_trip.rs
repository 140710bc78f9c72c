//! Any packet: what is encoded is decoded to the same, and is as long as was said.

use arbitrary::{Result, Unstructured};
use bytes::BytesMut;
use karere_core::codec::{FixedHeader, Packet, QoS, Version};

use crate::{packets, wire};

/// Some packets of one version, alone and behind each other.
pub fn run(input: &[u8]) {
    let _ = packets_come_back(&mut Unstructured::new(input));
}

fn packets_come_back(u: &mut Unstructured<'_>) -> Result<()> {
    let version = packets::version(u)?;
    let mut stream = BytesMut::new();
    let mut sent = Vec::new();
    while !u.is_empty() && sent.len() < 16 {
        let packet = packets::packet(u, version)?;
        comes_back(version, &packet);
        said_otherwise(version, &packet);
        packet.encode(version, &mut stream).expect("it was encoded before");
        sent.push(packet);
    }
    let received = wire::decode(version, stream.freeze());
    assert!(received.iter().map(|(packet, _)| packet).eq(&sent));
    Ok(())
}

fn comes_back(version: Version, packet: &Packet) {
    let frame = wire::encode(version, packet).freeze();
    assert_eq!(packet.encoded_len(version), Ok(frame.len()));
    let header = FixedHeader::peek(&frame).expect("a fixed header").expect("a whole one");
    assert_eq!(header.frame_len(), frame.len());
    assert_eq!(header.packet_type(), packet.packet_type());
    assert_eq!(Packet::decode(version, frame).as_ref(), Ok(packet));
    if let Packet::Publish(publish) = packet {
        assert_eq!(publish.message.compact(), publish.message);
        let mut head = BytesMut::new();
        publish.header().encode(version, &mut head).expect("it was encoded before");
        assert_eq!(publish.header().encoded_len(version), Ok(head.len() + publish.message.payload.len()));
    }
}

/// What a version cannot say it refuses or leaves out; it never writes what is no packet of it.
fn said_otherwise(version: Version, packet: &Packet) {
    for other in packets::VERSIONS {
        // A CONNECT says its own version. A PUBLISH goes to older clients without what they do not know.
        if other == version || matches!(packet, Packet::Connect(_)) {
            continue;
        }
        let mut out = BytesMut::from(&b"before"[..]);
        match packet.encode(other, &mut out) {
            Err(error) => {
                assert_eq!(out, b"before"[..], "written in spite of {error}");
                assert_eq!(packet.encoded_len(other), Err(error));
            }
            Ok(()) => {
                let frame = out.split_off(b"before".len()).freeze();
                assert_eq!(packet.encoded_len(other), Ok(frame.len()));
                let decoded = Packet::decode(other, frame);
                let decoded = decoded.unwrap_or_else(|error| panic!("{packet:?} as {other}: {error}"));
                assert_eq!(decoded.packet_type(), packet.packet_type());
                if let (Packet::Publish(sent), Packet::Publish(read)) = (packet, &decoded) {
                    assert_eq!(read.message.payload, sent.message.payload);
                    assert_eq!(read.packet_id.is_some(), sent.message.qos > QoS::AtMostOnce);
                }
            }
        }
    }
}
