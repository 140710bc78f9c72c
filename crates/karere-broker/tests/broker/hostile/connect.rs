//! Rows 16 to 24: CONNECT, and what comes before and behind it; and row 31, many of them.

use karere_broker::{Authenticate, ConnectRequest, HookFuture, Verdict};
use karere_core::codec::Property;

use super::*;

#[test]
fn hostile_016_anything_before_connect() {
    hostile(Options::default(), async |broker| {
        let packets: [&[u8]; 14] = [
            &[0x20, 2, 0, 0],
            &[0x30, 3, 0, 1, b'a'],
            &[0x40, 2, 0, 1],
            &[0x50, 2, 0, 1],
            &[0x62, 2, 0, 1],
            &[0x70, 2, 0, 1],
            b"\x82\x06\0\x01\0\x01a\0",
            b"\x90\x03\0\x01\0",
            b"\xA2\x05\0\x01\0\x01a",
            &[0xB0, 2, 0, 1],
            &[0xC0, 0],
            &[0xD0, 0],
            &[0xE0, 0],
            &[0xF0, 0],
        ];
        for bytes in packets {
            refused(broker, bytes, b"").await;
        }
    });
}

#[test]
fn hostile_017_a_second_connect() {
    hostile(Options::default(), async |broker| {
        let mut heir = TestClient::v5(broker, "heir").await;
        heir.subscribe("w", AtMostOnce).await;
        for version in VERSIONS {
            let with_will = Connect { will: will("w", "twice", 0), ..connect(version, "twice") };
            let (mut client, _) = TestClient::connect_with(broker, with_will.clone()).await;
            client.send(&Packet::Connect(Box::new(with_will))).await;
            expect_end(&mut client, ReasonCode::ProtocolError, b"CONNECT").await;
            heir.expect_payload("twice").await;
        }
    });
}

/// Thinks for a while, and says no to one.
struct Doorkeeper;

impl Authenticate for Doorkeeper {
    fn connect<'a>(&'a self, request: ConnectRequest<'a>) -> HookFuture<'a, Verdict> {
        Box::pin(async move {
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
            let unwanted = *request.client_id == *"unwanted";
            if unwanted { Verdict::Reject(ReasonCode::NotAuthorized) } else { Verdict::Accept }
        })
    }
}

#[test]
fn hostile_018_packets_behind_a_connect_that_is_refused() {
    hostile_to(builder().authenticate(Doorkeeper), async |broker| {
        let mut witness = witness(broker).await;
        let mut behind = bytes::BytesMut::new();
        for number in 0..10 {
            publish(message("behind", &number.to_string(), AtMostOnce), 0)
                .encode(Version::V5, &mut behind)
                .unwrap();
        }
        // [MQTT-3.1.4-6], and nothing of it is answered.
        let unwanted = connect_frame(Version::V5, 2, b"", &string("unwanted"));
        let ping = [0xC0, 0];
        refused(broker, &[&unwanted[..], &behind, &ping].concat(), &[0x20, 3, 0, 0x87, 0]).await;
        let unwanted = connect_frame(Version::V311, 2, b"", &string("unwanted"));
        let old = publish_frame(0x30, "behind", b"old");
        refused(broker, &[&unwanted[..], &old, &ping].concat(), &[0x20, 2, 0, 5]).await;
        witness.expect_nothing().await;
        // Accepted, they are taken in their order.
        let accepted = connect_frame(Version::V5, 2, b"", &string("c"));
        let mut client = TestClient::open(broker, Version::V5).await;
        client.send_bytes(&[&accepted[..], &behind].concat()).await;
        for number in 0..10 {
            witness.expect_payload(&number.to_string()).await;
        }
    });
}

#[test]
fn hostile_019_another_protocol_name_or_version() {
    hostile(Options::default(), async |broker| {
        let connect = |name: &[u8], level: u8| {
            frame(0x10, &[&string(name)[..], &[level, 2, 0, 0, 0, 1, b'c']].concat())
        };
        for name in [&b""[..], b"MQTX", b"mqtt", b"MQTTT", &vec![b'M'; 65_535]] {
            refused(broker, &connect(name, 4), b"").await;
        }
        // Return code 1 in the words of 3, the reason code to what comes after 5. [MQTT-3.1.2-2]
        for level in [0, 1, 2, 3] {
            refused(broker, &connect(b"MQTT", level), &[0x20, 2, 0, 1]).await;
        }
        for level in [6, 7, 0x85, 255] {
            refused(broker, &connect(b"MQTT", level), &[0x20, 3, 0, 0x84, 0]).await;
        }
        for level in [2, 4, 5] {
            refused(broker, &connect(b"MQIsdp", level), &[0x20, 2, 0, 1]).await;
        }
    });
}

/// A CONNECT that breaks the format gets no CONNACK. The catalogue expects one with 0x81 on version 5; [MQTT-3.1.4-1]
/// only allows it (MAY), and who cannot say CONNECT may not speak MQTT.
async fn breaks(broker: &BrokerHandle, version: Version, flags: u8, payload: &[u8]) {
    refused(broker, &connect_frame(version, flags, b"", payload), b"").await;
}

fn will_payload(version: Version) -> Vec<u8> {
    [&string("c")[..], &block(version, b""), &string("w"), &string("gone")].concat()
}

#[test]
fn hostile_020_the_reserved_flag_of_connect() {
    hostile(Options::default(), async |broker| {
        for version in VERSIONS {
            breaks(broker, version, 0b0000_0011, &string("c")).await;
            breaks(broker, version, 0b0000_0001, &string("c")).await;
            breaks(broker, version, 0b0000_0111, &will_payload(version)).await;
        }
    });
}

#[test]
fn hostile_021_will_flags_without_a_will_and_will_qos_3() {
    hostile(Options::default(), async |broker| {
        for version in VERSIONS {
            for flags in [0b0000_1010, 0b0001_0010, 0b0001_1010, 0b0010_0010] {
                breaks(broker, version, flags, &string("c")).await;
            }
            breaks(broker, version, 0b0001_1110, &will_payload(version)).await;
        }
    });
}

#[test]
fn hostile_022_flags_and_fields_that_do_not_agree() {
    hostile(Options::default(), async |broker| {
        for version in VERSIONS {
            breaks(broker, version, 0b1000_0010, &string("c")).await;
            breaks(broker, version, 0b1100_0010, &[string("c"), string("u")].concat()).await;
            breaks(broker, version, 0b0000_0010, &[string("c"), string("u")].concat()).await;
            breaks(broker, version, 0b0000_0110, &string("c")).await;
            breaks(broker, version, 0b0000_0010, &[string("c"), vec![0]].concat()).await;
        }
        let password_alone = [string("c"), string("p")].concat();
        breaks(broker, Version::V311, 0b0100_0010, &password_alone).await;
        let mut client = TestClient::open(broker, Version::V5).await;
        client.send_bytes(&connect_frame(Version::V5, 0b0100_0010, b"", &password_alone)).await;
        assert!(matches!(client.receive().await, Packet::ConnAck(got) if got.reason == ReasonCode::Success));
    });
}

#[test]
fn hostile_023_a_connect_cut_at_every_byte() {
    hostile(Options::default(), async |broker| {
        for version in VERSIONS {
            let all = [will_payload(version), string("user"), string("password")].concat();
            let properties = [&[0x21, 0, 9, 0x26][..], &string("k"), &string("v")].concat();
            let whole = connect_frame(version, 0b1100_0110, &properties, &all);
            let body = &whole[2..];
            for end in 0..body.len() {
                // The frame is as long as it says, and its fields are not.
                refused(broker, &frame(0x10, &body[..end]), b"").await;
            }
            for end in 0..whole.len() {
                let mut client = TestClient::open(broker, version).await;
                client.send_bytes(&whole[..end]).await;
            }
            for pointing in [b"\xFF\xFFc", b"\0\x09c"] {
                refused(broker, &connect_frame(version, 2, b"", pointing), b"").await;
            }
        }
        let beyond = [&string("MQTT")[..], b"\x05\x02\0\0\x7F\0\x01c"].concat(); // properties of 127 bytes
        refused(broker, &frame(0x10, &beyond), b"").await;
    });
}

#[test]
fn hostile_024_an_empty_client_id_of_a_session_that_is_to_stay() {
    hostile(Options::default(), async |broker| {
        refused(broker, &connect_frame(Version::V311, 0, b"", &string("")), &[0x20, 2, 0, 2]).await;
        let nameless = Connect { clean_start: false, ..connect(Version::V5, "") };
        let (_client, connack) = TestClient::connect_with(broker, nameless).await;
        assert_eq!(connack.reason, ReasonCode::Success);
        assert!(connack.properties.assigned_client_identifier().is_some_and(|name| !name.is_empty()));
    });
    let options = Options { allow_empty_client_id: false, ..Options::default() };
    hostile(options, async |broker| {
        refused(broker, &connect_frame(Version::V311, 2, b"", &string("")), &[0x20, 2, 0, 2]).await;
        let (_, connack) =
            TestClient::connect_with(broker, announcing("", &[Property::ReceiveMaximum(9)])).await;
        assert_eq!(connack.reason, ReasonCode::ClientIdentifierNotValid);
    });
}

#[test]
fn hostile_031_coming_and_going_with_deadlines_far_away() {
    hostile(Options::default(), async |broker| {
        for _ in 0..50 {
            // A Keep Alive of 18 hours, and a session that is to stay for 31 years and is then begun anew.
            let patient = Connect { keep_alive: u16::MAX, ..connect(Version::V5, "patient") };
            TestClient::connect_with(broker, patient).await.0.disconnect(ReasonCode::Success).await;
            let staying = durable("staying", 1_000_000_000);
            TestClient::connect_with(broker, staying).await.0.disconnect(ReasonCode::Success).await;
            forget(broker, "staying").await;
        }
    });
}
