//! Rows 33 to 36: UTF-8 Encoded Strings.

use super::*;

/// Sends `text`, which is no UTF-8 Encoded String, wherever one belongs, and sees the sender go each time.
async fn is_taken_nowhere(broker: &BrokerHandle, text: &[u8]) {
    let malformed = ReasonCode::MalformedPacket;
    let text = string(text);
    for version in VERSIONS {
        let tail = block(version, b"");
        refused(broker, &connect_frame(version, 2, b"", &text), b"").await;
        refused(broker, &connect_frame(version, 0x82, b"", &[string("c"), text.clone()].concat()), b"").await;
        let with_will = [&string("c")[..], &tail, &text, &string("gone")].concat();
        refused(broker, &connect_frame(version, 0b110, b"", &with_will), b"").await;
        ends(broker, version, &frame(0x30, &[&text[..], &tail].concat()), malformed).await;
        ends(broker, version, &filters_frame(version, 0x82, b"", &[&text[..], &[0]].concat()), malformed)
            .await;
        ends(broker, version, &filters_frame(version, 0xA2, b"", &text), malformed).await;
    }
    let (key, value) =
        ([&[0x26][..], &text, &string("v")].concat(), [&[0x26][..], &string("k"), &text].concat());
    for properties in
        [key.clone(), value.clone(), [&[0x03][..], &text].concat(), [&[0x08][..], &text].concat()]
    {
        ends(broker, Version::V5, &publish_with(&properties), malformed).await;
    }
    for properties in [key, value, [&[0x15][..], &text].concat()] {
        refused(broker, &connect_frame(Version::V5, 2, &properties, &string("c")), b"").await;
    }
    let reason = [&[0x1F][..], &text].concat();
    ends(
        broker,
        Version::V5,
        &frame(0x40, &[&[0, 1, 0][..], &block(Version::V5, &reason)].concat()),
        malformed,
    )
    .await;
    ends(broker, Version::V5, &frame(0xE0, &[&[0][..], &block(Version::V5, &reason)].concat()), malformed)
        .await;
}

#[test]
fn hostile_033_strings_that_are_no_utf_8() {
    hostile(Options::default(), async |broker| {
        let mut witness = witness(broker).await;
        let wrong: [&[u8]; 7] = [
            b"\xFF",
            b"a\xC0\x80",        // overlong
            b"\xE0\x80\xAF",     // overlong
            b"\xED\xA0\x80",     // U+D800
            b"\xED\xBF\xBF",     // U+DFFF
            b"a\xE2\x82",        // cut
            b"\xF4\x90\x80\x80", // above U+10FFFF
        ];
        for text in wrong {
            is_taken_nowhere(broker, text).await;
        }
        witness.expect_nothing().await;
    });
}

#[test]
fn hostile_034_u_0000_in_a_string() {
    hostile(Options::default(), async |broker| {
        let mut witness = witness(broker).await;
        for text in [&b"\0"[..], b"a\0b", b"ab\0"] {
            is_taken_nowhere(broker, text).await;
        }
        witness.expect_nothing().await;
    });
}

#[test]
fn hostile_035_control_characters_are_taken_alike_in_names_and_filters() {
    hostile(Options::default(), async |broker| {
        for topic in ["a/\u{1}", "\u{1F}", "a\u{7F}", "\u{9F}/b", "\u{FFFF}", "\u{1FFFE}"] {
            let mut reader = TestClient::v5(broker, topic).await;
            assert_eq!(reader.subscribe(topic, AtMostOnce).await, ReasonCode::Success);
            let mut writer = TestClient::connect(broker, Version::V311, "writer").await;
            writer.publish_and_wait(topic, topic).await;
            assert_eq!(reader.expect_payload(topic).await.message.topic.as_str(), topic);
        }
    });
}

#[test]
fn hostile_036_a_byte_order_mark_is_a_character_like_others_and_nothing_is_normalised() {
    hostile(Options::default(), async |broker| {
        let mut witness = witness(broker).await;
        let mut plain = TestClient::v5(broker, "plain").await;
        plain.subscribe("caf\u{E9}", AtMostOnce).await;
        let mut writer = TestClient::v5(broker, "writer").await;
        for topic in ["\u{FEFF}caf\u{E9}", "caf\u{E9}\u{FEFF}", "cafe\u{301}"] {
            writer.publish(message(topic, "x", AtMostOnce), 0).await;
            assert_eq!(witness.receive_publish().await.message.topic.as_str(), topic);
        }
        plain.expect_nothing().await;
    });
}
