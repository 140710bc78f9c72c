//! Rows 89 to 93: properties and the Maximum Packet Size of either side.

use karere_broker::{Authenticate, ConnectRequest, HookFuture, Verdict};
use karere_core::codec::{Disconnect, Properties, Property};

use super::*;

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
