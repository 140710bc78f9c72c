//! Rows 1 to 6 and 13 to 15: frames that are none, or come in another shape.

use std::time::{Duration, Instant};

use bytes::BytesMut;
use tokio::io::AsyncWriteExt;

use super::*;

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
        // A Property Length likewise. [MQTT-1.5.5-1]
        let head = [&string("MQTT")[..], b"\x05\x02\0\0"].concat();
        refused(broker, &frame(0x10, &[&head[..], b"\x80\0\0\x01c"].concat()), b"").await;
        refused(broker, &frame(0x10, &[&head[..], b"\x83\0\x21\0\x09\0\x01c"].concat()), b"").await;
        ends(broker, Version::V5, &frame(0x30, b"\0\x01a\x80\0"), MALFORMED).await;
        ends(broker, Version::V5, &frame(0x30, b"\0\x01a\x85\x80\0\x01\x01"), MALFORMED).await;
    });
}

#[test]
fn hostile_003_256_mb_announced_before_anybody_is_known() {
    hostile(Options::default(), async |broker| {
        // Refused by the header alone, long before its time is over.
        for first in [0x10, 0x30, 0x82] {
            refused(broker, &[first, 0xFF, 0xFF, 0xFF, 0x7F], b"").await;
        }
    });
    let options = Options { handshake_millis_max: 300, ..Options::default() };
    hostile(options, async |broker| {
        // As large as a CONNECT may be, and then as slowly as can be: no memory before the bytes are there, and no
        // more time than anybody has.
        let before = live_bytes();
        let mut clients = Vec::new();
        for _ in 0..16 {
            let mut client = TestClient::open(broker, Version::V5).await;
            client.send_bytes(&[0x10, 0xF0, 0xFF, 0x0F]).await;
            clients.push(client);
        }
        let started = Instant::now();
        let mut sent = 0;
        while clients[0].stream.write_all(b"\0").await.is_ok() && started.elapsed() < PATIENCE {
            assert_held(before, 16 * 16 * 1024);
            sent += 1;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(started.elapsed() < PATIENCE / 2, "{sent} bytes, {:?}", started.elapsed());
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

/// What a client may say without waiting for an answer. Not PUBREL: before PUBREC has gone it is an error.
fn conversation(version: Version) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    let mut say = |packet: &Packet| packet.encode(version, &mut bytes).unwrap();
    say(&Packet::Connect(Box::new(connect(version, "slow"))));
    say(&subscribe(vec![subscription("s", AtMostOnce)], None));
    say(&publish(message("s", "heard", AtMostOnce), 0));
    say(&publish(message("n", "", AtLeastOnce), 7));
    say(&publish(message("n", "", ExactlyOnce), 8));
    say(&Packet::PingReq);
    bytes.to_vec()
}

/// The six answers to it. PINGRESP may overtake what waits for the routing of a message.
async fn answers(client: &mut TestClient) -> Vec<Packet> {
    let mut packets = Vec::new();
    for _ in 0..6 {
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
            let mut slow = TestClient::open(broker, version).await;
            for byte in bytes {
                slow.send_bytes(&[byte]).await;
                tokio::task::yield_now().await;
            }
            assert_eq!(answers(&mut slow).await, expected);
            pubrel(&mut slow, 8).await;
            slow.send_bytes(&[0xC0, 0].repeat(10_000)).await;
            for _ in 0..10_000 {
                assert_eq!(slow.receive().await, Packet::PingResp);
            }
            slow.expect_nothing().await;
        }
    });
}

#[test]
fn hostile_013_a_large_packet_in_small_pieces_is_not_read_from_its_start_for_each() {
    hostile(Options::default(), async |broker| {
        let mut slow = TestClient::v5(broker, "pieces").await;
        let packet = publish_with(&pairs(600_000));
        let (packet, started) = (&packet[..], Instant::now());
        let (before, mut sent) = (broker.counters().bytes_received, 0);
        // 8,400 pieces of 4 MB, each read by itself: 17 GB for who begins anew with each.
        for piece in packet.chunks(500) {
            slow.send_bytes(piece).await;
            sent += piece.len() as u64;
            while broker.counters().bytes_received < before + sent {
                tokio::task::yield_now().await;
            }
        }
        slow.expect_nothing().await;
        assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
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
