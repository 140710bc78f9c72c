//! CONNECT and CONNACK.

use bytes::BytesMut;
use karere_broker::{Authenticate, ConnectRequest, HookFuture, Options, Verdict};
use karere_core::codec::{Connect, Message, Packet, Property, ReasonCode, Version, Will};

use super::*;

#[test]
fn anything_before_connect_is_closed_without_a_word_and_does_nothing() {
    run(async {
        let broker = broker().await;
        let mut witness = witness(&broker).await;
        for version in VERSIONS {
            for packet in [
                Packet::PingReq,
                publish(message("a", "early", AtMostOnce), 0),
                subscribe(vec![subscription("a", AtMostOnce)], None),
            ] {
                let mut client = TestClient::open(&broker, version).await;
                let mut bytes = BytesMut::new();
                packet.encode(version, &mut bytes).unwrap();
                Packet::Connect(Box::new(connect(version, "late"))).encode(version, &mut bytes).unwrap();
                client.send_bytes(&bytes).await;
                client.expect_closed().await;
            }
        }
        witness.expect_nothing().await;
    });
}

#[test]
fn a_second_connect_ends_the_connection_and_gets_no_connack() {
    run(async {
        let broker = broker().await;
        for version in VERSIONS {
            let mut client = TestClient::connect(&broker, version, "twice").await;
            client.send(&Packet::Connect(Box::new(connect(version, "twice")))).await;
            expect_end(&mut client, ReasonCode::ProtocolError).await;
        }
    });
}

/// Nobody may connect.
struct Closed;

impl Authenticate for Closed {
    fn connect<'a>(&'a self, request: ConnectRequest<'a>) -> HookFuture<'a, Verdict> {
        let verdict = match request.client_id {
            "witness" => Verdict::Accept,
            _ => Verdict::Reject(ReasonCode::NotAuthorized),
        };
        Box::pin(async { verdict })
    }
}

#[test]
fn what_comes_behind_a_connect_that_is_refused_is_not_processed() {
    run(async {
        let broker = builder().authenticate(Closed).start().await.unwrap();
        let mut witness = witness(&broker).await;
        for version in VERSIONS {
            let mut bytes = BytesMut::new();
            let refused = Connect { will: will("a", "and gone", 0), ..connect(version, "refused") };
            for packet in [Packet::Connect(Box::new(refused)), publish(message("a", "x", AtLeastOnce), 1)] {
                packet.encode(version, &mut bytes).unwrap();
            }
            let mut client = TestClient::open(&broker, version).await;
            client.send_bytes(&bytes).await;
            let Packet::ConnAck(connack) = client.receive().await else { panic!("no CONNACK") };
            assert_eq!((connack.reason, connack.session_present), (ReasonCode::NotAuthorized, false));
            client.expect_closed().await;
        }
        witness.expect_nothing().await;
    });
}

#[test]
fn a_refused_connect_says_that_there_is_no_session_though_there_is() {
    run(async {
        let broker = broker_with(Options { maximum_qos: AtMostOnce, ..Options::default() }).await;
        let (client, _) = TestClient::durable(&broker, "stays").await;
        drop(client);
        until("it has gone", || broker.counters().clients_connected == 0).await;
        let message = message("w", "x", AtLeastOnce);
        let with_will = Connect { will: Some(Will { message, delay: 0 }), ..durable("stays", 60) };
        let (mut client, connack) = TestClient::connect_with(&broker, with_will).await;
        assert_eq!((connack.reason, connack.session_present), (ReasonCode::QoSNotSupported, false));
        client.expect_closed().await;
    });
}

#[test]
fn identifiers_of_1_to_23_letters_and_digits_are_taken() {
    run(async {
        let broker = broker().await;
        let all = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
        for version in VERSIONS {
            for name in ["a", "0", &all[..23], &all[23..46], &all[39..]] {
                let (mut client, connack) = TestClient::connect_with(&broker, connect(version, name)).await;
                assert_eq!(connack.reason, ReasonCode::Success, "{name}");
                assert_eq!(connack.properties.assigned_client_identifier(), None);
                client.expect_nothing().await;
            }
        }
    });
}

#[test]
fn a_client_of_3_1_1_without_a_name_needs_clean_session() {
    run(async {
        let broker = broker().await;
        let (mut one, connack) = TestClient::connect_with(&broker, connect(Version::V311, "")).await;
        assert_eq!((connack.reason, connack.session_present), (ReasonCode::Success, false));
        let mut other = TestClient::connect(&broker, Version::V311, "").await;
        one.expect_nothing().await; // two names: nobody was taken over
        other.expect_nothing().await;

        let mut client = TestClient::open(&broker, Version::V311).await;
        client.send_bytes(&frame(0x10, b"\0\x04MQTT\x04\0\0\0\0\0")).await;
        let Packet::ConnAck(connack) = client.receive().await else { panic!("no CONNACK") };
        assert_eq!(connack.reason.to_connack_return_code(), 2);
        client.expect_closed().await;
    });
}

#[test]
fn an_identifier_that_is_refused_is_told_and_closed() {
    run(async {
        let broker = broker_with(Options { client_id_bytes_max: 30, ..Options::default() }).await;
        for version in VERSIONS {
            let (mut client, connack) =
                TestClient::connect_with(&broker, connect(version, &"x".repeat(31))).await;
            assert_eq!(connack.reason, ReasonCode::ClientIdentifierNotValid);
            assert_eq!(connack.reason.to_connack_return_code(), 2);
            client.expect_closed().await;
        }
    });
}

#[test]
fn an_assigned_name_is_the_sessions() {
    run(async {
        let broker = broker().await;
        let (client, connack) = TestClient::connect_with(&broker, durable("", 60)).await;
        let name = connack.properties.assigned_client_identifier().expect("a name").to_owned();
        drop(client);
        until("it has gone", || broker.counters().clients_connected == 0).await;
        let (_client, connack) = TestClient::connect_with(&broker, durable(&name, 60)).await;
        assert!(connack.session_present);
        assert_eq!(connack.properties.assigned_client_identifier(), None);
    });
}

#[test]
fn a_broker_of_qos_0_says_so_and_grants_it_to_those_who_ask_for_more() {
    run(async {
        let broker = broker_with(Options { maximum_qos: AtMostOnce, ..Options::default() }).await;
        let (mut client, connack) = TestClient::connect_with(&broker, connect(Version::V5, "c")).await;
        assert_eq!(connack.properties.maximum_qos(), Some(AtMostOnce));
        for qos in [AtMostOnce, AtLeastOnce, ExactlyOnce] {
            assert_eq!(client.subscribe("a", qos).await, ReasonCode::Success);
        }
        client.publish(message("a", "x", AtLeastOnce), 1).await;
        client.expect_disconnect(ReasonCode::QoSNotSupported).await;
    });
}

#[test]
fn a_will_that_the_broker_cannot_serve_is_refused_and_closed() {
    run(async {
        let options = Options { maximum_qos: AtMostOnce, retain_available: false, ..Options::default() };
        let broker = broker_with(options).await;
        let plain = message("w", "x", AtMostOnce);
        for (message, reason) in [
            (Message { qos: AtLeastOnce, ..plain.clone() }, ReasonCode::QoSNotSupported),
            (Message { retain: true, ..plain }, ReasonCode::RetainNotSupported),
        ] {
            let with_will = Connect { will: Some(Will { message, delay: 0 }), ..connect(Version::V5, "c") };
            let (mut client, connack) = TestClient::connect_with(&broker, with_will).await;
            assert_eq!(connack.reason, reason);
            client.expect_closed().await;
        }
    });
}

#[test]
fn the_keep_alive_of_the_broker_is_told_and_held_and_else_the_clients() {
    run(async {
        let broker = broker_with(Options { keep_alive_max: 1, ..Options::default() }).await;
        for (asked, told) in [(60, Some(1)), (1, None)] {
            let asks = Connect { keep_alive: asked, ..connect(Version::V5, "silent") };
            let started = std::time::Instant::now();
            let (mut client, connack) = TestClient::connect_with(&broker, asks).await;
            assert_eq!(connack.properties.server_keep_alive(), told);
            client.expect_disconnect(ReasonCode::KeepAliveTimeout).await;
            assert!(started.elapsed().as_millis() >= 1490, "{:?}", started.elapsed());
        }
        let asks = Connect { keep_alive: 1, ..connect(Version::V311, "silent") };
        let (mut client, _) = TestClient::connect_with(&broker, asks).await;
        client.expect_closed().await;
    });
}

#[test]
fn nothing_larger_than_the_client_takes_is_sent_and_what_is_too_large_counts_as_sent() {
    run(async {
        let broker = broker().await;
        let small = [Property::MaximumPacketSize(40), Property::ReceiveMaximum(1)];
        let small = Connect { properties: properties(&small), ..connect(Version::V5, "small") };
        let (mut client, _) = TestClient::connect_with(&broker, small).await;
        client.subscribe("a", ExactlyOnce).await;
        let mut publisher = TestClient::v5(&broker, "publisher").await;
        let large = "x".repeat(40);
        publisher.publish(message("a", &large, AtMostOnce), 0).await;
        for payload in [&large, "one", &large, "two"] {
            publish_exactly_once(&mut publisher, "a", payload, 1).await;
        }
        let first = client.expect_payload("one").await.packet_id.unwrap().get();
        client.send(&Packet::PubRec(ack(first))).await;
        assert!(matches!(client.receive().await, Packet::PubRel(_)));
        client.send(&Packet::PubComp(ack(first))).await;
        client.expect_payload("two").await;
    });
}

#[test]
fn a_client_that_cannot_take_its_connack_is_closed_before_anything_else_is_sent() {
    run(async {
        let broker = broker().await;
        for size in 1..40 {
            let tiny = Connect {
                properties: properties(&[Property::MaximumPacketSize(size)]),
                ..connect(Version::V5, "tiny")
            };
            let mut client = TestClient::open(&broker, Version::V5).await;
            let mut bytes = BytesMut::new();
            Packet::Connect(Box::new(tiny)).encode(Version::V5, &mut bytes).unwrap();
            Packet::PingReq.encode(Version::V5, &mut bytes).unwrap();
            client.send_bytes(&bytes).await;
            match client.try_receive().await {
                None => {}
                Some(packet @ Packet::ConnAck(_)) => {
                    assert!(packet.encoded_len(Version::V5).unwrap() <= size as usize);
                }
                other => panic!("[MQTT-3.2.0-1] with Maximum Packet Size {size}: {other:?}"),
            }
        }
    });
}

/// Says more in CONNACK than every client asks for.
struct Talkative;

impl Authenticate for Talkative {
    fn connect<'a>(&'a self, _request: ConnectRequest<'a>) -> HookFuture<'a, Verdict> {
        let more = [
            Property::ResponseInformation("answers/here"),
            Property::AuthenticationMethod("of the hook"),
            Property::ReceiveMaximum(7),
            Property::UserProperty("k", "v"),
            Property::ReasonString("welcome"),
        ];
        Box::pin(async move { Verdict::AcceptWith(properties(&more)) })
    }
}

#[test]
fn response_information_is_for_those_who_ask_for_it() {
    run(async {
        let broker = builder().authenticate(Talkative).start().await.unwrap();
        for (asks, told) in [(Some(true), true), (Some(false), false), (None, false)] {
            let asks: Vec<_> = asks.map(Property::RequestResponseInformation).into_iter().collect();
            let asks = Connect { properties: properties(&asks), ..connect(Version::V5, "c") };
            let (_client, connack) = TestClient::connect_with(&broker, asks).await;
            let said = connack.properties.response_information();
            assert_eq!(said, told.then_some("answers/here"));
            assert_eq!(connack.properties.user_properties().count(), 1);
        }
    });
}

#[test]
fn a_hooks_words_do_not_break_connack() {
    run(async {
        let broker = builder().authenticate(Talkative).start().await.unwrap();
        for method in [None, Some("mine")] {
            let asks: Vec<_> = method.map(Property::AuthenticationMethod).into_iter().collect();
            let asks = Connect { properties: properties(&asks), ..connect(Version::V5, "c") };
            let (_client, connack) = TestClient::connect_with(&broker, asks).await;
            assert_eq!(connack.properties.authentication_method(), method);
            assert_eq!(connack.properties.receive_maximum(), Some(1024), "what the broker enforces");
        }
    });
}

#[test]
fn a_reason_string_and_user_properties_that_do_not_fit_are_left_out_of_connack() {
    run(async {
        let broker = builder().authenticate(Talkative).start().await.unwrap();
        let small = Connect {
            properties: properties(&[Property::MaximumPacketSize(30)]),
            ..connect(Version::V5, "c")
        };
        let (_client, connack) = TestClient::connect_with(&broker, small).await;
        assert_eq!(connack.properties.reason_string(), None);
        assert_eq!(connack.properties.user_properties().count(), 0);
    });
}
