//! Rows 50 to 52: topic aliases.

use super::*;

/// The property Topic Alias.
fn alias(number: u16) -> Vec<u8> {
    [&[0x23][..], &number.to_be_bytes()].concat()
}

fn with_alias(topic: &str, number: u16) -> Vec<u8> {
    publish_frame(
        0x30,
        topic,
        &[&block(Version::V5, &alias(number))[..], topic.as_bytes().get(..8).unwrap_or(b"x")].concat(),
    )
}

#[test]
fn hostile_050_aliases_that_there_are_not() {
    hostile(Options { topic_alias_maximum: 4, ..Options::default() }, async |broker| {
        for number in [0, 5, 65_535] {
            ends(broker, Version::V5, &with_alias("a", number), ReasonCode::TopicAliasInvalid).await;
            ends(broker, Version::V5, &with_alias("", number), ReasonCode::TopicAliasInvalid).await;
        }
        ends(broker, Version::V5, &with_alias("", 4), ReasonCode::ProtocolError).await;
        let gap = [with_alias("a", 3), with_alias("", 2)].concat();
        ends(broker, Version::V5, &gap, ReasonCode::ProtocolError).await;
    });
    hostile(Options { topic_alias_maximum: 0, ..Options::default() }, async |broker| {
        ends(broker, Version::V5, &with_alias("a", 1), ReasonCode::TopicAliasInvalid).await;
    });
}

#[test]
fn hostile_051_aliases_set_anew_all_the_time() {
    hostile(Options::default(), async |broker| {
        let mut client = TestClient::v5(broker, "mapper").await;
        client.expect_nothing().await;
        let before = live_bytes();
        for number in 0..640_u16 {
            let topic = format!("{number:04}{}", "t".repeat(60_000));
            client.send_bytes(&with_alias(&topic, number % 32 + 1)).await;
        }
        client.expect_nothing().await;
        assert_held(before, 32 * 60_000 + 1024 * 1024);
        client.send_bytes(&with_alias("a", 33)).await;
        client.expect_disconnect(ReasonCode::TopicAliasInvalid).await;
    });
}

#[test]
fn hostile_052_an_alias_of_an_earlier_connection() {
    hostile(Options::default(), async |broker| {
        let (mut client, _) = TestClient::durable(broker, "back").await;
        client.send_bytes(&[with_alias("a", 1), with_alias("", 1)].concat()).await;
        client.expect_nothing().await;
        drop(client);
        let (mut client, _) = TestClient::durable(broker, "back").await;
        client.send_bytes(&with_alias("", 1)).await;
        client.expect_disconnect(ReasonCode::ProtocolError).await;
        forget(broker, "back").await;
    });
}
