//! Packets that break the format end the connection.

use karere_core::codec::{Packet, ReasonCode, Version};

use super::*;

/// A CONNECT with these flags and what follows the Client Identifier.
fn connect_frame(version: Version, flags: u8, client_id: &[u8], rest: &[u8]) -> Vec<u8> {
    let properties: &[u8] = if version.is_v5() { &[0] } else { &[] };
    let head = [&string("MQTT")[..], &[version as u8, flags, 0, 0], properties].concat();
    frame(0x10, &[&head, client_id, rest].concat())
}

/// A PUBLISH with this first byte to this topic; `rest` follows it, and on version 5 `properties` does.
fn publish_frame(version: Version, first: u8, topic: &[u8], rest: &[u8], properties: &[u8]) -> Vec<u8> {
    let len = [properties.len() as u8];
    let block = if version.is_v5() { [&len[..], properties].concat() } else { Vec::new() };
    frame(first, &[topic, rest, &block].concat())
}

#[test]
fn a_connect_that_breaks_the_format_is_closed_without_connack() {
    run(async {
        let broker = broker().await;
        let will =
            |version: Version| -> &[u8] { if version.is_v5() { b"\0\0\x01w\0\0" } else { b"\0\x01w\0\0" } };
        for version in VERSIONS {
            let bad_topic: &[u8] = if version.is_v5() { b"\0\0\x01\xFF\0\0" } else { b"\0\x01\xFF\0\0" };
            let wrong = [
                ("the reserved flag", connect_frame(version, 0b11, b"\0\x01c", b"")),
                ("Will QoS without a Will", connect_frame(version, 0b0000_1010, b"\0\x01c", b"")),
                ("Will Retain without a Will", connect_frame(version, 0b0010_0010, b"\0\x01c", b"")),
                ("Will QoS 3", connect_frame(version, 0b0001_1110, b"\0\x01c", will(version))),
                ("a Will Flag without a Will", connect_frame(version, 0b110, b"\0\x01c", b"")),
                ("a Will without its flag", connect_frame(version, 0b10, b"\0\x01c", will(version))),
                ("a Will Topic that is no string", connect_frame(version, 0b110, b"\0\x01c", bad_topic)),
                ("a User Name Flag without a name", connect_frame(version, 0x82, b"\0\x01c", b"")),
                ("a user name without its flag", connect_frame(version, 0x02, b"\0\x01c", b"\0\x01u")),
                ("a Password Flag without a password", connect_frame(version, 0xC2, b"\0\x01c", b"\0\x01u")),
                ("a password without its flag", connect_frame(version, 0x82, b"\0\x01c", b"\0\x01u\0\x01p")),
                ("a user name that is no string", connect_frame(version, 0x82, b"\0\x01c", b"\0\x01\xFF")),
                ("no Client Identifier", connect_frame(version, 0x02, b"", b"")),
                (
                    "a Client Identifier that is no string",
                    connect_frame(version, 0x02, b"\0\x02\xC0\x80", b""),
                ),
                ("U+0000", connect_frame(version, 0x02, b"\0\x03a\0b", b"")),
                ("another protocol name", frame(0x10, b"\0\x04MQTX\x04\x02\0\0\0\x01c")),
                ("flags in the fixed header", frame(0x11, b"\0\x04MQTT\x04\x02\0\0\0\x01c")),
            ];
            for (what, bytes) in wrong {
                let mut client = TestClient::open(&broker, version).await;
                client.send_bytes(&bytes).await;
                let answer = client.try_receive().await;
                assert_eq!(answer, None, "{what} on {version:?}");
            }
        }
        let password_alone = connect_frame(Version::V311, 0x42, b"\0\x01c", b"\0\x01p");
        let mut client = TestClient::open(&broker, Version::V311).await;
        client.send_bytes(&password_alone).await;
        client.expect_closed().await;
        assert_eq!(broker.counters().clients_maximum, 0);
    });
}

#[test]
fn every_field_of_a_connect_is_read_in_its_place() {
    run(async {
        let broker = broker().await;
        for version in VERSIONS {
            let will: &[u8] = if version.is_v5() { b"\0\0\x01w\0\x04gone" } else { b"\0\x01w\0\x04gone" };
            let rest = [will, b"\0\x01u\0\x02p\xFF"].concat();
            let mut client = TestClient::open(&broker, version).await;
            client.send_bytes(&connect_frame(version, 0b1100_0110, b"\0\x05whole", &rest)).await;
            assert!(
                matches!(client.receive().await, Packet::ConnAck(got) if got.reason == ReasonCode::Success)
            );
            let mut heir = TestClient::connect(&broker, version, "heir").await;
            heir.subscribe("w", AtMostOnce).await;
            drop(client);
            heir.expect_payload("gone").await;
        }
    });
}

#[test]
fn another_protocol_level_is_told_and_closed() {
    run(async {
        let broker = broker().await;
        for (level, answer) in [(6, &[0x20, 3, 0, 0x84, 0][..]), (3, &[0x20, 2, 0, 1]), (0, &[0x20, 2, 0, 1])]
        {
            let mut client =
                TestClient::open(&broker, if level > 5 { Version::V5 } else { Version::V311 }).await;
            let name = &string("MQTT")[..];
            client.send_bytes(&frame(0x10, &[name, &[level, 2, 0, 0, 0, 1, b'c']].concat())).await;
            let Packet::ConnAck(connack) = client.receive().await else { panic!("no CONNACK") };
            assert_eq!(connack.reason, ReasonCode::UnsupportedProtocolVersion);
            let mut bytes = bytes::BytesMut::new();
            Packet::ConnAck(connack).encode(client.version, &mut bytes).unwrap();
            assert_eq!(bytes, answer);
            client.expect_closed().await;
        }
    });
}

#[test]
fn a_publish_that_breaks_the_format_ends_the_connection_and_goes_nowhere() {
    run(async {
        let broker = broker().await;
        let mut witness = witness(&broker).await;
        let malformed = ReasonCode::MalformedPacket;
        for version in VERSIONS {
            let frame = |first, topic: &[u8], rest: &[u8]| publish_frame(version, first, topic, rest, &[]);
            let wrong = [
                (frame(0x36, b"\0\x01a", b"\0\x01"), malformed),      // QoS 3
                (frame(0x38, b"\0\x01a", b""), malformed),            // DUP at QoS 0
                (frame(0x30, b"\0\x02\xC0\x80", b""), malformed),     // an overlong form
                (frame(0x30, b"\0\x03\xED\xA0\x80", b""), malformed), // a surrogate
                (frame(0x30, b"\0\x03a\0b", b""), malformed),         // U+0000
                (frame(0x30, b"\0\x03a/#", b""), ReasonCode::TopicNameInvalid),
                (frame(0x30, b"\0\x01+", b""), ReasonCode::TopicNameInvalid),
                (frame(0x30, b"\0\0", b""), ReasonCode::ProtocolError), // no topic, no alias
                (frame(0x32, b"\0\x01a", b"\0\0"), ReasonCode::ProtocolError), // identifier 0
                (frame(0x34, b"\0\x01a", b"\0\0"), ReasonCode::ProtocolError),
            ];
            for (bytes, reason) in wrong {
                ends(&broker, version, &bytes, reason).await;
            }
        }
        let frame = |block: &[u8]| publish_frame(Version::V5, 0x30, b"\0\x01a", b"", block);
        let wrong = [
            (frame(&[0x23, 0, 0]), ReasonCode::TopicAliasInvalid),
            (frame(&[0x23, 0xFF, 0xFF]), ReasonCode::TopicAliasInvalid),
            (frame(&[0x0B, 7]), ReasonCode::ProtocolError), // a Subscription Identifier
            (frame(&[0x03, 0, 1, 0xFF]), malformed),        // Content Type
            (frame(&[0x08, 0, 1, 0xFF]), malformed),        // Response Topic
            (frame(&[0x08, 0, 1, b'#']), ReasonCode::TopicNameInvalid),
            (frame(&[0x26, 0, 1, 0xFF, 0, 0]), malformed), // User Property
            (frame(&[0x26, 0, 1, b'k', 0, 1, 0xFF]), malformed),
        ];
        for (bytes, reason) in wrong {
            ends(&broker, Version::V5, &bytes, reason).await;
        }
        witness.expect_nothing().await;
    });
}

#[test]
fn a_length_in_more_bytes_than_it_needs_ends_the_connection() {
    run(async {
        let broker = broker().await;
        for version in VERSIONS {
            ends(&broker, version, &[0xC0, 0x80, 0x00], ReasonCode::MalformedPacket).await;
        }
        let bytes = frame(0x30, b"\0\x01a\x80\0"); // Property Length 0 in two bytes
        ends(&broker, Version::V5, &bytes, ReasonCode::MalformedPacket).await;
    });
}

#[test]
fn a_subscribe_or_unsubscribe_that_breaks_the_format_ends_the_connection() {
    run(async {
        let broker = broker().await;
        for version in VERSIONS {
            let block: &[u8] = if version.is_v5() { &[0] } else { &[] };
            let frame = |first, rest: &[u8]| frame(first, &[&[0, 10][..], block, rest].concat());
            let mut wrong = vec![
                (frame(0x80, b"\0\x01a\0"), ReasonCode::MalformedPacket),
                (frame(0x83, b"\0\x01a\0"), ReasonCode::MalformedPacket),
                (frame(0x82, b""), ReasonCode::ProtocolError),
                (frame(0x82, b"\0\x01\xFF\0"), ReasonCode::MalformedPacket),
                (frame(0x82, b"\0\x03a\0b\0"), ReasonCode::MalformedPacket),
                (frame(0x82, b"\0\x01a\x40"), ReasonCode::MalformedPacket), // reserved bits
                (frame(0x82, b"\0\x01a\x80"), ReasonCode::MalformedPacket),
                (frame(0xA0, b"\0\x01a"), ReasonCode::MalformedPacket),
                (frame(0xA6, b"\0\x01a"), ReasonCode::MalformedPacket),
                (frame(0xA2, b""), ReasonCode::ProtocolError),
                (frame(0xA2, b"\0\x01\xFF"), ReasonCode::MalformedPacket),
                (frame(0xA2, b"\0\x03a\0b"), ReasonCode::MalformedPacket),
            ];
            let qos_3 = if version.is_v5() { ReasonCode::ProtocolError } else { ReasonCode::MalformedPacket };
            wrong.push((frame(0x82, b"\0\x01a\x03"), qos_3));
            for (bytes, reason) in wrong {
                ends(&broker, version, &bytes, reason).await;
            }
        }
        for (options, reason) in [(0x04, ReasonCode::MalformedPacket), (0x30, ReasonCode::ProtocolError)] {
            // No Local on 3.1.1, where those bits are reserved; Retain Handling 3.
            let version = if options == 0x04 { Version::V311 } else { Version::V5 };
            let block: &[u8] = if version.is_v5() { &[0] } else { &[] };
            let bytes = frame(0x82, &[&[0, 10][..], block, b"\0\x01a", &[options]].concat());
            ends(&broker, version, &bytes, reason).await;
        }
        let shared = frame(0x82, b"\0\x0A\0\0\x0A$share/g/a\x04");
        ends(&broker, Version::V5, &shared, ReasonCode::ProtocolError).await;
    });
}

#[test]
fn reserved_flags_of_the_other_packets_end_the_connection() {
    run(async {
        let broker = broker().await;
        for version in VERSIONS {
            for first in [0x41, 0x58, 0x60, 0x63, 0x6A, 0x71] {
                ends(&broker, version, &[first, 2, 0, 1], ReasonCode::MalformedPacket).await;
            }
            for first in [0xC1, 0xE1, 0xEF] {
                ends(&broker, version, &[first, 0], ReasonCode::MalformedPacket).await;
            }
        }
        ends(&broker, Version::V5, b"\xF1\x06\x18\x04\x15\0\x01M", ReasonCode::MalformedPacket).await;
    });
}

#[test]
fn a_packet_that_only_a_server_sends_ends_the_connection() {
    run(async {
        let broker = broker().await;
        for version in VERSIONS {
            ends(&broker, version, &[0xD0, 0], ReasonCode::ProtocolError).await;
            let suback: &[u8] = if version.is_v5() { &[0x90, 4, 0, 1, 0, 0] } else { &[0x90, 3, 0, 1, 0] };
            ends(&broker, version, suback, ReasonCode::ProtocolError).await;
        }
    });
}
