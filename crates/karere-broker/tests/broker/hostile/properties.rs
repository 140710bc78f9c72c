//! Rows 85 to 93: properties of version 5.

use std::time::{Duration, Instant};

use karere_broker::{Authenticate, ConnectRequest, HookFuture, Verdict};
use karere_core::codec::{Disconnect, Packet, Properties, Property, ReasonCode, Version};

use super::*;

const MALFORMED: ReasonCode = ReasonCode::MalformedPacket;
const ERROR: ReasonCode = ReasonCode::ProtocolError;

fn pairs(count: usize) -> Vec<u8> {
    [&[0x26][..], &string("k"), &string("v")].concat().repeat(count)
}

#[test]
fn hostile_085_sixty_thousand_user_properties() {
    hostile(Options::default(), async |broker| {
        let mut reader = TestClient::v5(broker, "reader").await;
        reader.subscribe("a", AtMostOnce).await;
        let started = Instant::now();
        let mut client = TestClient::open(broker, Version::V5).await;
        client.send_bytes(&connect_frame(Version::V5, 2, &pairs(30_000), &string("c"))).await;
        assert!(matches!(client.receive().await, Packet::ConnAck(got) if got.reason == ReasonCode::Success));
        for _ in 0..5 {
            client.send_bytes(&publish_with(&pairs(60_000))).await;
            assert_eq!(reader.receive_publish().await.message.properties.len(), 7 * 60_000);
        }
        client.send_bytes(&filters_frame(Version::V5, 0x82, &pairs(60_000), b"\0\x01b\0")).await;
        assert_eq!(suback(&mut client).await, [ReasonCode::Success]);
        assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
        // More of them than a CONNECT may take.
        refused(broker, &connect_frame(Version::V5, 2, &pairs(40_000), b"")[..5], b"").await;
    });
}

#[test]
fn hostile_086_properties_that_end_in_the_middle_and_that_there_are_not() {
    hostile(Options::default(), async |broker| {
        let wrong: [&[u8]; 12] = [
            &[0x00],
            &[0x7F],
            &[0x04, 0],
            &[0x80, 0x01, 0], // identifier 128
            &[0x81, 0x00, 0], // identifier 1 in two bytes
            &[0x01],
            &[0x02, 0, 0, 0],
            &[0x03, 0],
            &[0x03, 0, 5, b'a'],
            &[0x09, 0xFF, 0xFF, 0],
            &[0x26, 0, 1, b'k'],
            &[0x26, 0, 1, b'k', 0, 9, b'v'],
        ];
        for properties in wrong {
            ends(broker, Version::V5, &publish_with(properties), MALFORMED).await;
            refused(broker, &connect_frame(Version::V5, 2, properties, &string("c")), b"").await;
        }
        // A Property Length that leads out of the packet.
        ends(broker, Version::V5, &publish_frame(0x30, "a", &[5, 0x01]), MALFORMED).await;
        ends(broker, Version::V5, &publish_frame(0x30, "a", &[0xFF, 0xFF, 0xFF, 0x7F]), MALFORMED).await;
        ends(broker, Version::V5, &frame(0x40, &[0, 1, 0, 9]), MALFORMED).await;
    });
}

/// Every property there is, with a value that is right for it.
fn every_property() -> Vec<Vec<u8>> {
    let (text, pair) = (string("x"), [string("k"), string("v")].concat());
    let (byte, two, four) = (vec![1], vec![0, 1], vec![0, 0, 0, 1]);
    let values = [
        (&byte, &[0x01, 0x0B, 0x17, 0x19, 0x24, 0x25, 0x28, 0x29, 0x2A][..]),
        (&two, &[0x13, 0x21, 0x22, 0x23]),
        (&four, &[0x02, 0x11, 0x18, 0x27]),
        (&text, &[0x03, 0x08, 0x09, 0x12, 0x15, 0x16, 0x1A, 0x1C, 0x1F]),
        (&pair, &[0x26]),
    ];
    values
        .iter()
        .flat_map(|(value, ids)| ids.iter().map(|id| [&[*id][..], value.as_slice()].concat()))
        .collect()
}

/// A packet with these properties where it has room for them, to a connection that is up.
type WithProperties = fn(&[u8]) -> Vec<u8>;

#[test]
fn hostile_087_every_property_in_every_packet_that_may_not_carry_it() {
    let reason = |first: u8, properties: &[u8]| {
        frame(first, &[&[0, 1, 0][..], &block(Version::V5, properties)].concat())
    };
    assert_eq!(every_property().len(), 27);
    hostile(Options::default(), async |broker| {
        let packets: [(WithProperties, &[u8]); 4] = [
            (publish_with, &[0x01, 0x02, 0x03, 0x08, 0x09, 0x0B, 0x23, 0x26]),
            (|all| filters_frame(Version::V5, 0x82, all, b"\0\x01a\0"), &[0x0B, 0x26]),
            (|all| filters_frame(Version::V5, 0xA2, all, b"\0\x01a"), &[0x26]),
            (|all| frame(0xE0, &[&[0][..], &block(Version::V5, all)].concat()), &[0x11, 0x1C, 0x1F, 0x26]),
        ];
        for property in every_property() {
            // A property that a packet may not carry makes it malformed (section 2.2.2.2).
            for (packet, carries) in packets {
                if !carries.contains(&property[0]) {
                    ends(broker, Version::V5, &packet(&property), MALFORMED).await;
                }
            }
            if ![0x1F, 0x26].contains(&property[0]) {
                for first in [0x40, 0x50, 0x62, 0x70] {
                    ends(broker, Version::V5, &reason(first, &property), MALFORMED).await;
                }
            }
            if ![0x11, 0x15, 0x16, 0x17, 0x19, 0x21, 0x22, 0x26, 0x27].contains(&property[0]) {
                refused(broker, &connect_frame(Version::V5, 2, &property, &string("c")), b"").await;
            }
            if ![0x01, 0x02, 0x03, 0x08, 0x09, 0x18, 0x26].contains(&property[0]) {
                refused(broker, &with_will(&property), b"").await;
            }
            if property[0] != 0x26 {
                let twice = property.repeat(2);
                for (packet, carries) in packets {
                    if carries.contains(&property[0]) {
                        ends(broker, Version::V5, &packet(&twice), ERROR).await;
                    }
                }
                refused(broker, &connect_frame(Version::V5, 2, &twice, &string("c")), b"").await;
                refused(broker, &with_will(&twice), b"").await;
            }
        }
    });
}

/// A CONNECT whose Will has these properties.
fn with_will(properties: &[u8]) -> Vec<u8> {
    let payload = [&string("c")[..], &block(Version::V5, properties), &string("w"), &string("gone")].concat();
    connect_frame(Version::V5, 0b110, b"", &payload)
}

#[test]
fn hostile_088_values_out_of_their_range() {
    hostile(Options::default(), async |broker| {
        for properties in [&[0x21, 0, 0][..], &[0x27, 0, 0, 0, 0], &[0x17, 2], &[0x19, 2], &[0x17, 0xFF]] {
            refused(broker, &connect_frame(Version::V5, 2, properties, &string("c")), b"").await;
        }
        refused(broker, &with_will(&[0x01, 2]), b"").await;
        ends(broker, Version::V5, &publish_with(&[0x01, 2]), ERROR).await;
        // A client has no business with this one, whatever its value.
        refused(broker, &connect_frame(Version::V5, 2, &[0x2A, 2], &string("c")), b"").await;
    });
}

#[test]
fn hostile_089_a_client_that_takes_next_to_nothing() {
    hostile(Options::default(), async |broker| {
        let mut writer = TestClient::v5(broker, "writer").await;
        for size in 1..=40_u8 {
            let mut client = TestClient::open(broker, Version::V5).await;
            let announced = [0x27, 0, 0, 0, size];
            client.send_bytes(&connect_frame(Version::V5, 2, &announced, &string("tiny"))).await;
            client.send_bytes(&filters_frame(Version::V5, 0x82, b"", b"\0\x01a\0")).await;
            writer.publish_and_wait("a", "x").await;
            writer.publish_and_wait("a", &"x".repeat(100)).await;
            // A fault of its own, so that it ends in any case, told or untold.
            client.send_bytes(&[0x00]).await;
            while let Some(packet) = client.try_receive().await {
                let len = packet.encoded_len(Version::V5).unwrap();
                assert!(len <= usize::from(size), "{len} bytes to a client that takes {size}: {packet:?}");
            }
        }
    });
}

#[test]
fn hostile_090_wills_with_wrong_properties_again_and_again() {
    hostile(Options::default(), async |broker| {
        // The fault comes last, behind what has been taken apart and kept until then.
        let begun =
            [&[0x18, 0, 0, 0, 9][..], &pairs(100), &[0x08], &string("response"), &[0x03], &string("type")]
                .concat();
        for fault in [&[0x23, 0, 1][..], &[0x0B, 1], &[0x21, 0, 9], &[0x02, 0]] {
            let connect = with_will(&[&begun[..], fault].concat());
            for _ in 0..150 {
                refused(broker, &connect, b"").await;
            }
        }
        assert_eq!(broker.counters().clients_total, 1);
    });
}

#[test]
fn hostile_091_properties_of_a_packet_that_is_too_large() {
    let options = Options { maximum_packet_size: 10_000, connect_size_max: 5_000, ..Options::default() };
    hostile(options, async |broker| {
        // The limit is known from the header: what follows is neither waited for nor looked at.
        let connect = connect_frame(Version::V5, 2, &pairs(1_000), &string("c"));
        refused(broker, &connect[..4], b"").await;
        refused(broker, &connect[..1_000], b"").await;
        for packet in
            [publish_with(&pairs(2_000)), filters_frame(Version::V5, 0x82, &pairs(2_000), b"\0\x01a\0")]
        {
            ends(broker, Version::V5, &packet[..4], ReasonCode::PacketTooLarge).await;
            ends(broker, Version::V5, &packet[..1_000], ReasonCode::PacketTooLarge).await;
            ends(broker, Version::V5, &packet, ReasonCode::PacketTooLarge).await;
        }
    });
}

#[test]
fn hostile_092_a_session_expiry_raised_from_nothing_at_the_end() {
    hostile(Options::default(), async |broker| {
        let raise = |expiry: u32| {
            let properties = properties(&[Property::SessionExpiryInterval(expiry)]);
            Packet::Disconnect(Disconnect { reason: ReasonCode::Success, properties })
        };
        for expiry in [1, 60, u32::MAX] {
            let mut client = TestClient::v5(broker, "immortal").await;
            client.send(&raise(expiry)).await;
            client.expect_disconnect(ReasonCode::ProtocolError).await;
            until("its session is gone", || broker.counters().clients_total == 1).await;
        }
        let mut client = TestClient::v5(broker, "mortal").await;
        client.send(&raise(0)).await;
        client.expect_closed().await;
    });
}

/// Has much to say to everybody.
struct Talker;

impl Authenticate for Talker {
    fn connect<'a>(&'a self, _: ConnectRequest<'a>) -> HookFuture<'a, Verdict> {
        let long = "x".repeat(500);
        let said = [Property::ReasonString(&long), Property::UserProperty("k", &long)];
        let said = Properties::from_properties(said).unwrap();
        Box::pin(async move { Verdict::AcceptWith(said) })
    }
}

#[test]
fn hostile_093_more_to_say_than_the_client_takes() {
    hostile_to(builder().authenticate(Talker), async |broker| {
        let (_large, connack) = TestClient::connect_with(broker, connect(Version::V5, "large")).await;
        assert_eq!(connack.properties.reason_string().map(str::len), Some(500));
        let asks = announcing("small", &[Property::MaximumPacketSize(100)]);
        let (mut client, connack) = TestClient::connect_with(broker, asks).await;
        assert_eq!(connack.reason, ReasonCode::Success);
        assert_eq!(connack.properties.reason_string(), None);
        assert_eq!(connack.properties.user_properties().count(), 0);
        client.expect_nothing().await;
    });
}
