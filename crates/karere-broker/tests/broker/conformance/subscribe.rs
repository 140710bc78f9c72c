//! SUBSCRIBE, UNSUBSCRIBE and Shared Subscriptions.

use karere_core::Text;
use karere_core::codec::{
    Connect, Packet, PacketId, Properties, ReasonCode, SubscribeOptions, Subscription, Unsubscribe, Version,
};

use super::*;

async fn answer_to(client: &mut TestClient, packet: Packet) -> Vec<ReasonCode> {
    client.send(&packet).await;
    match client.receive().await {
        Packet::SubAck(answer) => {
            assert_eq!(answer.packet_id.get(), 77);
            answer.reasons
        }
        Packet::UnsubAck(answer) => {
            assert_eq!(answer.packet_id.get(), 78);
            answer.reasons
        }
        other => panic!("expected an answer, got {other:?}"),
    }
}

fn unsubscribe(filters: &[&str]) -> Packet {
    let filters = filters.iter().map(|filter| Text::new(filter).unwrap()).collect();
    Packet::Unsubscribe(Unsubscribe {
        packet_id: PacketId::new(78).unwrap(),
        filters,
        properties: Properties::EMPTY,
    })
}

#[test]
fn one_suback_answers_every_filter_in_its_order_and_each_is_in_force() {
    run(async {
        let broker = broker().await;
        for version in VERSIONS {
            let mut client = TestClient::connect(&broker, version, "many").await;
            let filters = [
                ("a", ExactlyOnce),
                ("a/#/b", AtMostOnce),
                ("b", AtMostOnce),
                ("", AtLeastOnce),
                ("c/+", AtLeastOnce),
            ];
            let filters = filters.map(|(filter, qos)| subscription(filter, qos));
            let reasons = answer_to(&mut client, subscribe(filters.into(), None)).await;
            let failure =
                if version.is_v5() { ReasonCode::TopicFilterInvalid } else { ReasonCode::UnspecifiedError };
            let expected =
                [ReasonCode::GrantedQoS2, failure, ReasonCode::Success, failure, ReasonCode::GrantedQoS1];
            assert_eq!(reasons, expected);
            for topic in ["a", "b", "c/x", "d"] {
                client.publish(message(topic, topic, AtMostOnce), 0).await;
            }
            for topic in ["a", "b", "c/x"] {
                client.expect_payload(topic).await;
            }
            client.expect_nothing().await;
        }
    });
}

#[test]
fn one_unsuback_answers_every_filter_in_its_order() {
    run(async {
        let broker = broker().await;
        for version in VERSIONS {
            let mut client = TestClient::connect(&broker, version, "many").await;
            for filter in ["a", "b", "c"] {
                client.subscribe(filter, AtMostOnce).await;
            }
            let reasons = answer_to(&mut client, unsubscribe(&["never", "a", "c"])).await;
            if version.is_v5() {
                let none = ReasonCode::NoSubscriptionExisted;
                assert_eq!(reasons, [none, ReasonCode::Success, ReasonCode::Success]);
            }
            for topic in ["a", "b", "c"] {
                client.publish(message(topic, topic, AtMostOnce), 0).await;
            }
            client.expect_payload("b").await;
            client.expect_nothing().await;
        }
    });
}

#[test]
fn unsubscribing_compares_filters_character_by_character_and_is_always_answered() {
    run(async {
        let broker = broker().await;
        for version in VERSIONS {
            let mut client = TestClient::connect(&broker, version, "exact").await;
            client.subscribe("a/+", AtMostOnce).await;
            let others = unsubscribe(&["a/b", "a/#", "#", "+/+", "A/+", "a/+/", "/a/+"]);
            let reasons = answer_to(&mut client, others).await;
            assert!(reasons.iter().all(|reason| *reason == ReasonCode::NoSubscriptionExisted));
            client.publish(message("a/b", "still", AtMostOnce), 0).await;
            client.expect_payload("still").await;
            answer_to(&mut client, unsubscribe(&["a/+"])).await;
            client.publish(message("a/b", "no more", AtMostOnce), 0).await;
            client.expect_nothing().await;
        }
    });
}

#[test]
fn subscribing_again_replaces_the_subscription() {
    run(async {
        let broker = broker().await;
        for version in VERSIONS {
            let mut client = TestClient::connect(&broker, version, "again").await;
            client.subscribe("a", AtMostOnce).await;
            assert_eq!(client.subscribe("a", ExactlyOnce).await, ReasonCode::GrantedQoS2);
            client.publish(message("a", "x", AtLeastOnce), 1).await;
            let got = client.expect_payload("x").await;
            assert_eq!(got.message.qos, AtLeastOnce);
            client.receive().await; // PUBACK
            assert_eq!(client.subscribe("a", AtMostOnce).await, ReasonCode::Success);
            client.publish(message("a", "y", AtLeastOnce), 2).await;
            assert_eq!(client.expect_payload("y").await.message.qos, AtMostOnce);
            client.receive().await;
            client.expect_nothing().await;
            client.unsubscribe("a").await;
            assert_eq!(broker.counters().subscriptions, 0);
        }
    });
}

#[test]
fn no_message_is_lost_while_a_subscription_is_replaced() {
    run(async {
        let broker = broker().await;
        for version in VERSIONS {
            let mut reader = TestClient::connect(&broker, version, "reader").await;
            reader.subscribe("a", AtMostOnce).await;
            let mut writer = TestClient::v5(&broker, "writer").await;
            let writing = tokio::spawn(async move {
                for number in 0..500 {
                    writer.publish_and_wait("a", &number.to_string()).await;
                }
            });
            let (mut next, mut asked) = (0, 0);
            while next < 500 {
                if asked < next {
                    asked = next + 5;
                    reader.send(&subscribe(vec![subscription("a", AtMostOnce)], None)).await;
                }
                match reader.receive().await {
                    Packet::Publish(publish) => {
                        assert_eq!(publish.message.payload, next.to_string());
                        next += 1;
                    }
                    Packet::SubAck(_) => {}
                    other => panic!("unexpected {other:?}"),
                }
            }
            writing.await.unwrap();
        }
    });
}

#[test]
fn overlapping_subscriptions_deliver_at_the_highest_qos() {
    run(async {
        let broker = broker().await;
        for version in VERSIONS {
            for filters in [["a/b", "a/#"], ["a/#", "a/b"]] {
                let mut client = TestClient::connect(&broker, version, "overlap").await;
                client.subscribe(filters[0], AtMostOnce).await;
                client.subscribe(filters[1], ExactlyOnce).await;
                client.publish(message("a/b", "x", ExactlyOnce), 1).await;
                assert_eq!(client.expect_payload("x").await.message.qos, ExactlyOnce);
                assert!(matches!(client.receive().await, Packet::PubRec(_)));
                client.expect_nothing().await;
            }
        }
    });
}

#[test]
fn identifiers_of_all_overlapping_subscriptions_come_along_and_only_of_those_that_have_one() {
    run(async {
        let broker = broker().await;
        let mut client = TestClient::v5(&broker, "ids").await;
        client.subscribe_with(subscription("a/+", AtMostOnce), Some(5)).await;
        client.subscribe_with(subscription("a/#", AtMostOnce), Some(268_435_455)).await;
        client.subscribe_with(subscription("#", AtMostOnce), None).await;
        client.subscribe_with(subscription("b", AtMostOnce), Some(9)).await;
        for (topic, expected) in [("a/b", &[5, 268_435_455][..]), ("b", &[9]), ("c", &[])] {
            client.publish(message(topic, topic, AtMostOnce), 0).await;
            let mut ids = client.expect_payload(topic).await.subscription_ids.as_slice().to_vec();
            ids.sort_unstable();
            assert_eq!(ids, expected);
        }
        client.expect_nothing().await;
    });
}

#[test]
fn no_local_is_about_the_client_identifier() {
    run(async {
        let broker = broker().await;
        let (mut first, _) = TestClient::durable(&broker, "same").await;
        let options = SubscribeOptions { no_local: true, ..SubscribeOptions::default() };
        first.subscribe_with(Subscription { options, ..subscription("a", AtMostOnce) }, None).await;
        let (mut second, present) = TestClient::durable(&broker, "same").await;
        assert!(present);
        second.publish(message("a", "mine", AtMostOnce), 0).await;
        second.expect_nothing().await;
        let mut other = TestClient::v5(&broker, "other").await;
        other.publish(message("a", "theirs", AtMostOnce), 0).await;
        second.expect_payload("theirs").await;
    });
}

#[test]
fn a_leading_wildcard_sees_no_topic_that_begins_with_a_dollar() {
    run(async {
        let broker = broker().await;
        for version in VERSIONS {
            let mut client = TestClient::connect(&broker, version, "curious").await;
            for filter in ["#", "+/x", "+"] {
                client.subscribe(filter, AtMostOnce).await;
            }
            client.publish(message("$app/x", "hidden", AtMostOnce), 0).await;
            client.publish(message("$app", "hidden", AtMostOnce), 0).await;
            client.expect_nothing().await;
            client.subscribe("$app/#", AtMostOnce).await;
            client.publish(message("$app/x", "asked for", AtMostOnce), 0).await;
            client.expect_payload("asked for").await;
        }
    });
}

#[test]
fn wildcards_stand_for_whole_levels_and_the_multi_level_one_last() {
    run(async {
        let broker = broker().await;
        for version in VERSIONS {
            let mut client = TestClient::connect(&broker, version, "strict").await;
            for filter in ["a#", "a/#/b", "#/a", "a+", "+a/b", "a/b+"] {
                assert!(client.subscribe(filter, AtMostOnce).await.is_error(), "{filter}");
            }
            for filter in ["#", "a/#", "+", "+/b/#", "/+", "a/+/b"] {
                assert!(!client.subscribe(filter, AtMostOnce).await.is_error(), "{filter}");
            }
        }
    });
}

#[test]
fn a_shared_filter_needs_a_name_without_wildcards_and_a_filter() {
    run(async {
        let broker = broker().await;
        let mut client = TestClient::v5(&broker, "strict").await;
        for filter in [
            "$share",
            "$share/",
            "$share//a",
            "$share/g",
            "$share/g/",
            "$share/g+/a",
            "$share/#/a",
            "$share/g/a#",
        ] {
            assert_eq!(
                client.subscribe(filter, AtMostOnce).await,
                ReasonCode::TopicFilterInvalid,
                "{filter}"
            );
        }
        assert_eq!(client.subscribe("$share/g//a", AtMostOnce).await, ReasonCode::Success);
        client.publish(message("/a", "x", AtMostOnce), 0).await;
        client.expect_payload("x").await;
    });
}

#[test]
fn members_of_a_group_get_their_messages_at_their_own_qos() {
    run(async {
        let broker = broker().await;
        let mut zero = TestClient::v5(&broker, "zero").await;
        zero.subscribe("$share/g/a", AtMostOnce).await;
        let mut two = TestClient::v5(&broker, "two").await;
        two.subscribe("$share/g/a", ExactlyOnce).await;
        let mut publisher = TestClient::v5(&broker, "publisher").await;
        for _ in 0..4 {
            publish_exactly_once(&mut publisher, "a", "x", 1).await;
        }
        for (client, qos) in [(&mut zero, AtMostOnce), (&mut two, ExactlyOnce)] {
            for _ in 0..2 {
                assert_eq!(client.expect_payload("x").await.message.qos, qos);
            }
            client.expect_nothing().await;
        }
    });
}

#[test]
fn what_a_member_refuses_goes_to_no_other() {
    run(async {
        let broker = broker().await;
        let mut member = TestClient::v5(&broker, "member").await;
        member.subscribe("$share/g/a", ExactlyOnce).await;
        let mut publisher = TestClient::v5(&broker, "publisher").await;
        for (qos, id) in [(AtLeastOnce, 1), (ExactlyOnce, 2)] {
            publisher.publish(message("a", "x", qos), id).await;
            publisher.receive().await;
            let got = member.expect_payload("x").await.packet_id.unwrap();
            let refusal = karere_core::codec::Ack::new(got, ReasonCode::UnspecifiedError);
            member.send(&if id == 1 { Packet::PubAck(refusal) } else { Packet::PubRec(refusal) }).await;
        }
        member.expect_nothing().await;
        let mut other = TestClient::v5(&broker, "other").await;
        other.subscribe("$share/g/a", ExactlyOnce).await;
        drop(member);
        until("it has gone", || broker.counters().clients_connected == 2).await;
        other.expect_nothing().await;
    });
}

#[test]
fn what_was_sent_to_a_member_at_qos_2_ends_with_its_session() {
    run(async {
        let broker = broker().await;
        let (mut member, _) = TestClient::connect_with(&broker, durable("member", 1)).await;
        member.subscribe("$share/g/a", ExactlyOnce).await;
        let mut publisher = TestClient::v5(&broker, "publisher").await;
        publish_exactly_once(&mut publisher, "a", "x", 1).await;
        member.expect_payload("x").await;
        let mut other = TestClient::v5(&broker, "other").await;
        other.subscribe("$share/g/a", ExactlyOnce).await;
        drop(member);
        until("its session is over", || broker.counters().clients_total == 2).await;
        other.expect_nothing().await;
    });
}

#[test]
fn a_delivery_that_was_begun_is_completed_after_unsubscribing() {
    run(async {
        let broker = broker().await;
        for version in VERSIONS {
            let name = format!("leaver {version:?}");
            let stays = || match version.is_v5() {
                true => durable(&name, 60),
                false => Connect { clean_start: false, ..connect(Version::V311, &name) },
            };
            let (mut client, _) = TestClient::connect_with(&broker, stays()).await;
            client.subscribe("a", ExactlyOnce).await;
            let mut publisher = TestClient::v5(&broker, "publisher").await;
            publish_exactly_once(&mut publisher, "a", "two", 1).await;
            publisher.publish_and_wait("a", "one").await;
            let two = client.expect_payload("two").await.packet_id.unwrap().get();
            let one = client.expect_payload("one").await.packet_id.unwrap().get();
            client.unsubscribe("a").await;
            publisher.publish_and_wait("a", "no more").await;
            client.send(&Packet::PubRec(ack(two))).await;
            assert!(matches!(client.receive().await, Packet::PubRel(got) if got == ack(two)));
            drop(client);
            until("it has gone", || broker.counters().clients_connected == 1).await;
            let (mut client, _) = TestClient::connect_with(&broker, stays()).await;
            assert!(matches!(client.receive().await, Packet::PubRel(got) if got == ack(two)));
            let again = client.expect_payload("one").await;
            assert_eq!((again.dup, again.packet_id.map(PacketId::get)), (true, Some(one)));
            client.expect_nothing().await;
        }
    });
}
