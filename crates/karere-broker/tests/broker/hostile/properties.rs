//! Rows 85 to 88: properties that are none, or not there, or not so.

use std::time::{Duration, Instant};

use super::*;

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
    assert_eq!(every_property().len(), 27);
    hostile(Options::default(), async |broker| {
        let reason: &[u8] = &[0x1F, 0x26];
        let packets: [(WithProperties, &[u8]); 9] = [
            (publish_with, &[0x01, 0x02, 0x03, 0x08, 0x09, 0x0B, 0x23, 0x26]),
            (|all| filters_frame(Version::V5, 0x82, all, b"\0\x01a\0"), &[0x0B, 0x26]),
            (|all| filters_frame(Version::V5, 0xA2, all, b"\0\x01a"), &[0x26]),
            (|all| frame(0xE0, &with_reason(&[], all)), &[0x11, 0x1C, 0x1F, 0x26]),
            (|all| frame(0xF0, &with_reason(&[], all)), &[0x15, 0x16, 0x1F, 0x26]),
            (|all| frame(0x40, &with_reason(&[0, 1], all)), reason),
            (|all| frame(0x50, &with_reason(&[0, 1], all)), reason),
            (|all| frame(0x62, &with_reason(&[0, 1], all)), reason),
            (|all| frame(0x70, &with_reason(&[0, 1], all)), reason),
        ];
        for property in every_property() {
            let (id, twice) = (property[0], property.repeat(2));
            for (packet, carries) in packets {
                if !carries.contains(&id) {
                    // The catalogue says 0x82. An Identifier that is not valid for its packet makes that malformed
                    // (§2.2.2.2: "use Reason Code 0x81"), which says what is wrong before what it would mean.
                    ends(broker, Version::V5, &packet(&property), MALFORMED).await;
                } else if id != 0x26 {
                    // Twice is a Protocol Error, as each property says of itself.
                    ends(broker, Version::V5, &packet(&twice), ERROR).await;
                }
            }
            let in_connect = [0x11, 0x15, 0x16, 0x17, 0x19, 0x21, 0x22, 0x26, 0x27].contains(&id);
            let in_will = [0x01, 0x02, 0x03, 0x08, 0x09, 0x18, 0x26].contains(&id);
            if !in_connect {
                refused(broker, &connect_frame(Version::V5, 2, &property, &string("c")), b"").await;
            } else if id != 0x26 {
                refused(broker, &connect_frame(Version::V5, 2, &twice, &string("c")), b"").await;
            }
            if !in_will {
                refused(broker, &with_will(&property), b"").await;
            } else if id != 0x26 {
                refused(broker, &with_will(&twice), b"").await;
            }
        }
    });
}

/// What stands first in a packet, reason code 0 and these properties.
fn with_reason(first: &[u8], properties: &[u8]) -> Vec<u8> {
    [first, &[0], &block(Version::V5, properties)].concat()
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
