//! Rows 1 to 15: frames that are none.

use std::time::{Duration, Instant};

use bytes::BytesMut;
use karere_core::codec::{Packet, ReasonCode, Version};
use tokio::io::AsyncWriteExt;

use super::*;

/// MalformedPacket, as every test here needs it.
const MALFORMED: ReasonCode = ReasonCode::MalformedPacket;

#[test]
fn hostile_001_a_remaining_length_of_five_bytes() {
    hostile(Options::default(), async |broker| {
        // Four bytes that all say "more" are enough: nobody waits for a fifth.
        refused(broker, &[0x10, 0xFF, 0xFF, 0xFF, 0xFF], b"").await;
        for version in VERSIONS {
            ends(broker, version, &[0x30, 0xFF, 0xFF, 0xFF, 0xFF], MALFORMED).await;
            ends(broker, version, &[0x30, 0x80, 0x80, 0x80, 0x80, 0x01], MALFORMED).await;
        }
    });
}

#[test]
fn hostile_002_a_length_in_more_bytes_than_it_needs() {
    hostile(Options::default(), async |broker| {
        refused(broker, &[0x10, 0x85, 0x80, 0x00], b"").await;
        for version in VERSIONS {
            ends(broker, version, &[0xC0, 0x80, 0x00], MALFORMED).await;
            ends(broker, version, &[0x30, 0x85, 0x80, 0x00], MALFORMED).await;
        }
        ends(broker, Version::V5, &frame(0x30, b"\0\x01a\x80\0"), MALFORMED).await;
        ends(broker, Version::V5, &frame(0x30, b"\0\x01a\x85\x80\0\x01\x01"), MALFORMED).await;
    });
}

#[test]
fn hostile_003_256_mb_announced_before_anybody_is_known() {
    let options = Options { handshake_millis_max: 300, ..Options::default() };
    hostile(options, async |broker| {
        // Refused by the header alone.
        for first in [0x10, 0x30, 0x82] {
            refused(broker, &[first, 0xFF, 0xFF, 0xFF, 0x7F], b"").await;
        }
        // Just below what a CONNECT may take, and then as slowly as can be.
        let mut client = TestClient::open(broker, Version::V5).await;
        let started = Instant::now();
        client.send_bytes(&[0x10, 0xF0, 0xFF, 0x0F]).await;
        let mut sent = 0;
        while client.stream.write_all(b"\0").await.is_ok() && sent < 1_000 {
            sent += 1;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(started.elapsed() < Duration::from_secs(4), "{sent} bytes, {:?}", started.elapsed());
    });
}

#[test]
fn hostile_004_more_announced_than_the_maximum_packet_size() {
    let options = Options { maximum_packet_size: 1_000, ..Options::default() };
    hostile(options, async |broker| {
        for version in VERSIONS {
            for first in [0x30, 0x32, 0x82] {
                ends(broker, version, &[first, 0xE6, 0x07], ReasonCode::PacketTooLarge).await; // 998 + 3
                ends(broker, version, &[first, 0xFF, 0xFF, 0xFF, 0x7F], ReasonCode::PacketTooLarge).await;
            }
            let mut client = TestClient::connect(broker, version, "small").await;
            let properties = block(version, b"");
            let payload = vec![b'x'; 997 - 3 - properties.len()];
            client.send_bytes(&publish_frame(0x30, "a", &[properties, payload].concat())).await;
            client.expect_nothing().await;
        }
    });
}

#[test]
fn hostile_005_a_packet_that_never_comes_to_its_end() {
    hostile(Options::default(), async |broker| {
        let mut heir = TestClient::v5(broker, "heir").await;
        heir.subscribe("w", AtMostOnce).await;
        for version in VERSIONS {
            for reset in [false, true] {
                let with_will = Connect { will: will("w", "gone", 0), ..connect(version, "cut") };
                let (mut client, _) = TestClient::connect_with(broker, with_will).await;
                client.send_bytes(&[0x30, 0xFF, 0x7F, 0, 1, b'a']).await;
                client.send_bytes(&vec![b'x'; 10_000]).await;
                if reset {
                    client.stream.set_zero_linger().unwrap();
                }
                drop(client);
                heir.expect_payload("gone").await;
            }
        }
    });
}

#[test]
fn hostile_006_a_remaining_length_too_short_for_what_it_holds() {
    hostile(Options::default(), async |broker| {
        for version in VERSIONS {
            let wrong: [&[u8]; 10] = [
                &[0x30, 0],
                &[0x30, 1, 0],
                &[0x30, 3, 0, 5, b'a'],
                &[0x30, 3, 0xFF, 0xFF, b'a'],
                &[0x32, 4, 0, 1, b'a', 0],
                &[0x40, 0],
                &[0x40, 1, 0],
                &[0x82, 1, 0],
                &[0xA2, 1, 0],
                &[0x62, 1, 0],
            ];
            for bytes in wrong {
                ends(broker, version, bytes, MALFORMED).await;
            }
        }
    });
}

#[test]
fn hostile_007_packet_type_0() {
    hostile(Options::default(), async |broker| {
        for flags in 0..16 {
            refused(broker, &[flags, 0], b"").await;
        }
        for version in VERSIONS {
            ends(broker, version, &[0x00], MALFORMED).await;
            ends(broker, version, &[0x0F, 0x00], MALFORMED).await;
        }
    });
}

#[test]
fn hostile_008_packet_type_15_on_version_3() {
    hostile(Options::default(), async |broker| {
        for bytes in [&[0xF0, 0][..], &[0xF0, 2, 0x18, 0], &[0xFF, 0]] {
            refused(broker, bytes, b"").await;
            ends(broker, Version::V311, bytes, MALFORMED).await;
            ends(broker, Version::V31, bytes, MALFORMED).await;
        }
    });
}

#[test]
fn hostile_009_reserved_flags() {
    hostile(Options::default(), async |broker| {
        let body = connect_frame(Version::V5, 2, b"", &string("c"))[2..].to_vec();
        for first in 0x11..=0x1F {
            refused(broker, &frame(first, &body), b"").await;
        }
        for version in VERSIONS {
            for first in [0x41, 0x51, 0x60, 0x6F, 0x71] {
                ends(broker, version, &[first, 2, 0, 1], MALFORMED).await;
            }
            for first in [0x80, 0x83, 0x8F] {
                ends(broker, version, &filters_frame(version, first, b"", b"\0\x01a\0"), MALFORMED).await;
            }
            for first in [0xA0, 0xA3, 0xAF] {
                ends(broker, version, &filters_frame(version, first, b"", b"\0\x01a"), MALFORMED).await;
            }
            for first in [0xC1, 0xCF, 0xE1, 0xEF] {
                ends(broker, version, &[first, 0], MALFORMED).await;
            }
        }
        ends(broker, Version::V5, b"\xF1\x06\x18\x04\x15\0\x01M", MALFORMED).await;
    });
}

#[test]
fn hostile_010_a_body_where_there_is_none() {
    hostile(Options::default(), async |broker| {
        for version in VERSIONS {
            ends(broker, version, &[0xC0, 1, 0], MALFORMED).await;
            ends(broker, version, &[0xD0, 1, 0], MALFORMED).await;
        }
        ends(broker, Version::V311, &[0xE0, 1, 0], MALFORMED).await;
    });
}

#[test]
fn hostile_011_bytes_behind_an_acknowledgement_of_version_3() {
    hostile(Options::default(), async |broker| {
        for first in [0x40, 0x50, 0x62, 0x70] {
            for version in [Version::V31, Version::V311] {
                ends(broker, version, &[first, 3, 0, 1, 0], MALFORMED).await;
                ends(broker, version, &[first, 4, 0, 1, 0, 0], MALFORMED).await;
            }
            // Version 5 has a reason code and properties there, and nothing behind them.
            ends(broker, Version::V5, &[first, 5, 0, 1, 0, 0, 0], MALFORMED).await;
        }
    });
}

#[test]
fn hostile_012_packets_that_only_a_server_sends() {
    hostile(Options::default(), async |broker| {
        let error = ReasonCode::ProtocolError;
        for version in VERSIONS {
            let tail = block(version, b"");
            ends(broker, version, &frame(0x20, &[&[0, 0][..], &tail].concat()), error).await;
            ends(broker, version, &frame(0x90, &[&[0, 1][..], &tail, &[0]].concat()), error).await;
            let unsuback = if version.is_v5() { frame(0xB0, &[0, 1, 0, 0]) } else { frame(0xB0, &[0, 1]) };
            ends(broker, version, &unsuback, error).await;
            ends(broker, version, &[0xD0, 0], error).await;
        }
    });
}

/// A conversation of every packet that a client sends.
fn conversation(version: Version) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    let mut say = |packet: &Packet| packet.encode(version, &mut bytes).unwrap();
    say(&Packet::Connect(Box::new(connect(version, "slow"))));
    say(&subscribe(vec![subscription("s", AtMostOnce)], None));
    say(&publish(message("s", "heard", AtMostOnce), 0));
    say(&publish(message("n", "", AtLeastOnce), 7));
    say(&publish(message("n", "", ExactlyOnce), 8));
    say(&Packet::PubRel(ack(8)));
    say(&Packet::PingReq);
    bytes.to_vec()
}

async fn answers(client: &mut TestClient) -> Vec<Packet> {
    let mut packets = Vec::new();
    while packets.last() != Some(&Packet::PingResp) {
        packets.push(client.receive().await);
    }
    packets.sort_by_key(Packet::packet_type);
    packets
}

#[test]
fn hostile_013_one_byte_at_a_time_and_ten_thousand_packets_at_once() {
    hostile(Options::default(), async |broker| {
        for version in VERSIONS {
            let bytes = conversation(version);
            let mut at_once = TestClient::open(broker, version).await;
            at_once.send_bytes(&bytes).await;
            let expected = answers(&mut at_once).await;
            assert_eq!(expected.len(), 7);
            let mut slow = TestClient::open(broker, version).await;
            for byte in bytes {
                slow.send_bytes(&[byte]).await;
                tokio::task::yield_now().await;
            }
            assert_eq!(answers(&mut slow).await, expected);
            let started = Instant::now();
            slow.send_bytes(&[0xC0, 0].repeat(10_000)).await;
            for _ in 0..10_000 {
                assert_eq!(slow.receive().await, Packet::PingResp);
            }
            assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
        }
        // One large packet in small pieces is not read again from its start for each.
        let mut slow = TestClient::v5(broker, "pieces").await;
        let pairs = [&[0x26][..], &string("k"), &string("v")].concat().repeat(60_000);
        let started = Instant::now();
        for piece in publish_with(&pairs).chunks(500) {
            slow.send_bytes(piece).await;
        }
        slow.expect_nothing().await;
        assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
    });
}

#[test]
fn hostile_014_half_a_packet_and_half_a_connection() {
    hostile(Options::default(), async |broker| {
        for bytes in [&b""[..], &[0x10], &[0x10, 0x20, 0, 4]] {
            let mut client = TestClient::open(broker, Version::V5).await;
            client.send_bytes(bytes).await;
            client.stream.shutdown().await.unwrap();
            client.expect_closed().await;
        }
        for version in VERSIONS {
            for bytes in [&b""[..], &[0x30], &[0x30, 0x20, 0, 1]] {
                let mut client = TestClient::connect(broker, version, "half").await;
                client.send_bytes(bytes).await;
                client.stream.shutdown().await.unwrap();
                client.expect_closed().await;
            }
        }
    });
}

#[test]
fn hostile_015_other_protocols() {
    hostile(Options::default(), async |broker| {
        let hello: &[u8] = b"\x16\x03\x01\x00\xC8\x01\x00\x00\xC4\x03\x03";
        let others = [
            b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            hello,
            b"SSH-2.0-OpenSSH_9.6\r\n",
            b"PROXY TCP4 ",
            b"\r\n\r\n",
        ];
        for bytes in others {
            refused(broker, bytes, b"").await;
        }
    });
}
