//! Messages and their acknowledgements.

use karere_core::codec::{Message, Packet, Property, Publish, ReasonCode, SubAck, Version, Will};
use karere_core::topic::TopicName;

use super::*;

/// All properties that a broker forwards, in an order that a careless one would change.
const FORWARDED: [Property<'static>; 7] = [
    Property::UserProperty("b", "1"),
    Property::CorrelationData(&[0, 0xFF]),
    Property::UserProperty("a", "2"),
    Property::ContentType("text/plain"),
    Property::PayloadFormatIndicator(true),
    Property::ResponseTopic("answer/here"),
    Property::UserProperty("b", "1"),
];

fn check_forwarded(publish: &Publish) {
    let properties = &publish.message.properties;
    assert_eq!(properties.payload_format_indicator(), Some(true));
    assert_eq!(properties.content_type(), Some("text/plain"));
    assert_eq!(properties.response_topic(), Some("answer/here"));
    assert_eq!(properties.correlation_data(), Some(&[0, 0xFF][..]));
    assert_eq!(properties.user_properties().collect::<Vec<_>>(), [("b", "1"), ("a", "2"), ("b", "1")]);
}

#[test]
fn properties_reach_every_subscriber_unaltered_live_retained_queued_and_as_a_will() {
    run(async {
        let broker = broker().await;
        let (absent, _) = {
            let (mut absent, present) = TestClient::durable(&broker, "absent").await;
            absent.subscribe("a", AtLeastOnce).await;
            (absent, present)
        };
        drop(absent);
        until("it has gone", || broker.counters().clients_connected == 0).await;
        let mut one = TestClient::v5(&broker, "one").await;
        one.subscribe("a", AtMostOnce).await;
        let mut two = TestClient::v5(&broker, "two").await;
        two.subscribe("+", ExactlyOnce).await;
        let mut publisher = TestClient::v5(&broker, "publisher").await;
        let message = Message { properties: properties(&FORWARDED), ..retained("a", "x", AtLeastOnce) };
        publisher.publish(message.clone(), 1).await;
        for client in [&mut one, &mut two] {
            check_forwarded(&client.expect_payload("x").await);
        }
        let mut late = TestClient::v5(&broker, "late").await;
        late.subscribe("a", AtMostOnce).await;
        check_forwarded(&late.expect_payload("x").await);
        let (mut absent, _) = TestClient::durable(&broker, "absent").await;
        check_forwarded(&absent.expect_payload("x").await);

        let last = Will { message, delay: 0 };
        let mortal = karere_core::codec::Connect { will: Some(last), ..connect(Version::V5, "mortal") };
        drop(TestClient::connect_with(&broker, mortal).await);
        check_forwarded(&one.expect_payload("x").await);
    });
}

#[test]
fn dup_is_not_passed_on() {
    run(async {
        let broker = broker().await;
        for version in VERSIONS {
            let mut witness = witness(&broker).await;
            let mut client = TestClient::connect(&broker, version, "again").await;
            for (qos, packet_id) in [(AtLeastOnce, 1), (ExactlyOnce, 2)] {
                let Packet::Publish(publish) = publish(message("a", "x", qos), packet_id) else { panic!() };
                client.send(&Packet::Publish(Publish { dup: true, ..publish })).await;
                let got = witness.expect_payload("x").await;
                assert_eq!((got.dup, got.message.qos), (false, qos));
            }
        }
    });
}

#[test]
fn a_byte_order_mark_stays_where_it_is() {
    run(async {
        let broker = broker().await;
        for version in VERSIONS {
            let mut client = TestClient::connect(&broker, version, "bom").await;
            client.subscribe("\u{FEFF}a", AtMostOnce).await;
            client.publish(message("a", "without", AtMostOnce), 0).await;
            client.publish(message("\u{FEFF}a", "with", AtMostOnce), 0).await;
            assert_eq!(client.expect_payload("with").await.message.topic.as_str(), "\u{FEFF}a");
            client.expect_nothing().await;
        }
    });
}

#[test]
fn topics_are_compared_as_they_are() {
    run(async {
        let broker = broker().await;
        for version in VERSIONS {
            let mut client = TestClient::connect(&broker, version, "exact").await;
            client.subscribe("A/\u{e9}/b", AtMostOnce).await;
            for topic in
                ["a/\u{e9}/b", "A/e\u{301}/b", "A/\u{e9}/b/", "/A/\u{e9}/b", "A//\u{e9}/b", "A/\u{e9}/b"]
            {
                client.publish(message(topic, topic, AtMostOnce), 0).await;
            }
            client.expect_payload("A/\u{e9}/b").await;
            client.expect_nothing().await;
        }
    });
}

#[test]
fn a_message_goes_out_at_the_lower_of_its_own_qos_and_the_granted_one() {
    run(async {
        let broker = broker().await;
        let all = [AtMostOnce, AtLeastOnce, ExactlyOnce];
        for version in VERSIONS {
            for (number, granted) in all.into_iter().enumerate() {
                let mut client = TestClient::connect(&broker, version, &format!("{version:?}{number}")).await;
                assert_eq!(client.subscribe("a", granted).await, ReasonCode::granted(granted));
                let mut publisher = TestClient::v5(&broker, "publisher").await;
                for own in all {
                    publisher.publish(message("a", "x", own), own.bits().into()).await;
                    let got = client.expect_payload("x").await;
                    assert_eq!(got.message.qos, own.min(granted));
                    assert_eq!(got.packet_id.is_some(), own.min(granted) > AtMostOnce);
                    assert!(!got.dup);
                }
                client.expect_nothing().await;
            }
        }
    });
}

#[test]
fn a_qos_1_publish_with_an_identifier_that_was_acknowledged_is_a_new_message() {
    run(async {
        let broker = broker().await;
        for version in VERSIONS {
            let mut witness = witness(&broker).await;
            let mut client = TestClient::connect(&broker, version, "again").await;
            let Packet::Publish(publish) = publish(message("a", "x", AtLeastOnce), 7) else { panic!() };
            for dup in [false, true, true] {
                client.send(&Packet::Publish(Publish { dup, ..publish.clone() })).await;
                assert!(matches!(client.receive().await, Packet::PubAck(got) if got.packet_id.get() == 7));
                witness.expect_payload("x").await;
            }
        }
    });
}

#[test]
fn a_qos_2_publish_with_an_identifier_that_was_released_is_a_new_message() {
    run(async {
        let broker = broker().await;
        for version in VERSIONS {
            let mut witness = witness(&broker).await;
            let mut client = TestClient::connect(&broker, version, "again").await;
            for payload in ["first", "second"] {
                publish_exactly_once(&mut client, "a", payload, 7).await;
                witness.expect_payload(payload).await;
            }
            witness.expect_nothing().await;
        }
    });
}

#[test]
fn a_second_and_a_third_copy_of_a_qos_2_publish_are_answered_and_go_nowhere() {
    run(async {
        let broker = broker().await;
        for version in VERSIONS {
            let mut witness = witness(&broker).await;
            let mut client = TestClient::connect(&broker, version, "copies").await;
            let Packet::Publish(publish) = publish(message("a", "x", ExactlyOnce), 7) else { panic!() };
            for dup in [false, true, true] {
                client.send(&Packet::Publish(Publish { dup, ..publish.clone() })).await;
                assert!(matches!(client.receive().await, Packet::PubRec(got) if got.packet_id.get() == 7));
            }
            client.send(&Packet::PubRel(ack(7))).await;
            assert!(matches!(client.receive().await, Packet::PubComp(got) if got == ack(7)));
            witness.expect_payload("x").await;
            witness.expect_nothing().await;
        }
    });
}

#[test]
fn a_qos_2_exchange_is_completed_though_its_message_has_expired() {
    run(async {
        let broker = broker().await;
        let mut client = TestClient::v5(&broker, "client").await;
        let (mut reader, _) = TestClient::durable(&broker, "reader").await;
        reader.subscribe("a", ExactlyOnce).await;
        client.publish(Message { expiry: Some(1), ..message("a", "x", ExactlyOnce) }, 7).await;
        assert!(matches!(client.receive().await, Packet::PubRec(got) if got == ack(7)));
        reader.expect_payload("x").await;
        tokio::time::sleep(std::time::Duration::from_millis(1_600)).await;
        client.send(&Packet::PubRel(ack(7))).await;
        assert!(matches!(client.receive().await, Packet::PubComp(got) if got == ack(7)));
        // And what was sent on is sent again, expired or not.
        drop(reader);
        until("it has gone", || broker.counters().clients_connected == 1).await;
        let (mut reader, _) = TestClient::durable(&broker, "reader").await;
        assert!(reader.expect_payload("x").await.dup);
    });
}

#[test]
fn a_message_that_expires_before_it_is_sent_is_never_sent_and_others_say_what_is_left() {
    run(async {
        let broker = broker().await;
        let (mut reader, _) = TestClient::durable(&broker, "reader").await;
        reader.subscribe("a", AtLeastOnce).await;
        drop(reader);
        until("it has gone", || broker.counters().clients_connected == 0).await;
        let mut publisher = TestClient::v5(&broker, "publisher").await;
        for (payload, expiry) in [("brief", Some(1)), ("long", Some(100)), ("endless", None)] {
            publisher.publish(Message { expiry, ..message("a", payload, AtLeastOnce) }, 1).await;
            publisher.receive().await;
        }
        tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
        let (mut reader, _) = TestClient::durable(&broker, "reader").await;
        let left = reader.expect_payload("long").await.message.expiry.unwrap();
        assert!((90..=99).contains(&left), "{left} seconds");
        assert_eq!(reader.expect_payload("endless").await.message.expiry, None);
    });
}

#[test]
fn a_window_that_is_closed_delays_nothing_but_publishes() {
    run(async {
        let broker = broker().await;
        let one = karere_core::codec::Connect {
            properties: properties(&[Property::ReceiveMaximum(1)]),
            ..connect(Version::V5, "one")
        };
        let (mut client, _) = TestClient::connect_with(&broker, one).await;
        client.subscribe("a", ExactlyOnce).await;
        let mut publisher = TestClient::v5(&broker, "publisher").await;
        for payload in ["1", "2"] {
            publish_exactly_once(&mut publisher, "a", payload, 1).await;
        }
        let first = client.expect_payload("1").await.packet_id.unwrap().get();
        client.expect_nothing().await; // PINGRESP comes
        assert_eq!(client.subscribe("b", AtLeastOnce).await, ReasonCode::GrantedQoS1);
        assert_eq!(client.unsubscribe("b").await, [ReasonCode::Success]);
        client.publish(message("elsewhere", "x", AtLeastOnce), 9).await;
        assert!(matches!(client.receive().await, Packet::PubAck(_)));
        publish_exactly_once(&mut client, "elsewhere", "x", 10).await;
        client.send(&Packet::PubRec(ack(first))).await;
        assert!(matches!(client.receive().await, Packet::PubRel(got) if got == ack(first)));
        client.expect_nothing().await; // PUBREC opens no window
        client.send(&Packet::PubComp(ack(first))).await;
        client.expect_payload("2").await;
    });
}

#[test]
fn every_alias_up_to_the_maximum_is_accepted_and_none_outlives_its_connection() {
    run(async {
        let broker = broker().await;
        let (mut client, connack) = TestClient::connect_with(&broker, durable("alias", 60)).await;
        let max = connack.properties.topic_alias_maximum().expect("aliases");
        let mut witness = witness(&broker).await;
        let aliased = |topic: &str, alias| {
            let Packet::Publish(publish) = publish(message("a", "x", AtMostOnce), 0) else { panic!() };
            let topic = if topic.is_empty() { TopicName::EMPTY } else { TopicName::new(topic).unwrap() };
            let message = Message { topic, ..publish.message };
            Packet::Publish(Publish { topic_alias: std::num::NonZeroU16::new(alias), message, ..publish })
        };
        for alias in 1..=max {
            client.send(&aliased(&format!("t{alias}"), alias)).await;
            witness.expect_payload("x").await;
        }
        for alias in (1..=max).rev() {
            client.send(&aliased("", alias)).await;
            assert_eq!(witness.expect_payload("x").await.message.topic.as_str(), format!("t{alias}"));
        }
        drop(client);
        until("it has gone", || broker.counters().clients_connected == 1).await;
        let (mut client, connack) = TestClient::connect_with(&broker, durable("alias", 60)).await;
        assert!(connack.session_present);
        client.send(&aliased("", 1)).await;
        client.expect_disconnect(ReasonCode::ProtocolError).await;
        witness.expect_nothing().await;
    });
}

#[test]
fn no_alias_is_used_towards_a_client_that_allows_none_and_none_above_what_it_allows() {
    run(async {
        let broker = broker().await;
        for max in [None, Some(0), Some(2)] {
            let said: Vec<_> = max.map(Property::TopicAliasMaximum).into_iter().collect();
            let allows =
                karere_core::codec::Connect { properties: properties(&said), ..connect(Version::V5, "c") };
            let (mut client, _) = TestClient::connect_with(&broker, allows).await;
            client.subscribe("#", AtMostOnce).await;
            let mut used = 0;
            for round in 0..2 {
                for topic in ["a", "b", "c", "d"] {
                    client.publish(message(topic, topic, AtMostOnce), 0).await;
                    let got = client.expect_payload(topic).await;
                    let alias = got.topic_alias.map_or(0, std::num::NonZeroU16::get);
                    assert!(alias <= max.unwrap_or(0), "round {round}");
                    used = used.max(alias);
                }
            }
            assert_eq!(used, max.unwrap_or(0), "and they are used as far as they are allowed");
        }
    });
}

#[test]
fn identifiers_of_answers_are_those_of_the_questions() {
    run(async {
        let broker = broker().await;
        for version in VERSIONS {
            let mut client = TestClient::connect(&broker, version, "asks").await;
            for packet_id in [1, 2, 0x1234, 0xFFFF] {
                client.publish(message("a", "x", AtLeastOnce), packet_id).await;
                assert!(
                    matches!(client.receive().await, Packet::PubAck(got) if got.packet_id.get() == packet_id)
                );
                publish_exactly_once(&mut client, "a", "x", packet_id).await;
                let Packet::Subscribe(mut packet) = subscribe(vec![subscription("b", AtMostOnce)], None)
                else {
                    panic!()
                };
                packet.packet_id = karere_core::codec::PacketId::new(packet_id).unwrap();
                client.send(&Packet::Subscribe(packet)).await;
                assert!(
                    matches!(client.receive().await, Packet::SubAck(SubAck { packet_id: got, .. }) if got.get() == packet_id)
                );
            }
        }
    });
}
