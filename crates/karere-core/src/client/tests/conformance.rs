//! The statements of the standards that bind a client and that no other test shows. `conformance/statements.toml`
//! says which.

use super::*;

const VERSIONS: [Version; 2] = [Version::V311, Version::V5];
const METHOD: Property<'static> = Property::AuthenticationMethod("SCRAM");

/// A frame of this first byte and body, with an empty block of properties behind the body on version 5.
fn frame(version: Version, first: u8, body: &[u8]) -> Vec<u8> {
    let block: &[u8] = if version.is_v5() { &[0] } else { &[] };
    [&[first, (body.len() + block.len()) as u8][..], body, block].concat()
}

/// These bytes end the connection: told on version 5, without a word on 3, and with no event.
#[track_caller]
fn ends(version: Version, bytes: &[u8], reason: u8) {
    let mut bench = Bench::connected(Options { topic_alias_maximum: 2, ..lasting(version) });
    let error = bench.client.handle_input(bench.now, &mut BytesMut::from(bytes)).unwrap_err();
    assert_eq!(error.reason_code().as_u8(), reason, "{bytes:x?}");
    let told = [format!("DISCONNECT {reason:#04X}")];
    assert_eq!(bench.lines(), if version.is_v5() { &told[..] } else { &[] }, "{bytes:x?}");
    assert!(bench.happened().is_empty(), "{bytes:x?}");
    assert!(!bench.client.is_connected());
}

#[test]
fn a_publish_that_breaks_the_format_ends_the_connection() {
    for version in VERSIONS {
        for (first, body, reason) in [
            (0x36, &b"\0\x01a\0\x01"[..], 0x81), // QoS 3
            (0x38, b"\0\x01a", 0x81),            // DUP at QoS 0
            (0x30, b"\0\x02\xC0\x80", 0x81),     // an overlong form
            (0x30, b"\0\x03\xED\xA0\x80", 0x81), // a surrogate
            (0x30, b"\0\x03a\0b", 0x81),         // U+0000
            (0x30, b"\0\x03a/#", 0x90),
            (0x30, b"\0\x01+", 0x90),
            (0x30, b"\0\0", 0x82),
            (0x32, b"\0\x01a\0\0", 0x82), // identifier 0
            (0x34, b"\0\x01a\0\0", 0x82),
        ] {
            ends(version, &frame(version, first, body), reason);
        }
    }
    let with_block =
        |block: &[u8]| [&[0x30, (block.len() + 4) as u8, 0, 1, b'a', block.len() as u8][..], block].concat();
    for (block, reason) in [
        (&[0x23, 0, 0][..], 0x94), // Topic Alias 0
        (&[0x23, 0, 3], 0x94),     // above our maximum
        (&[0x03, 0, 1, 0xFF], 0x81),
        (&[0x08, 0, 1, 0xFF], 0x81),
        (&[0x08, 0, 1, b'+'], 0x90),
        (&[0x26, 0, 1, 0, 0, 0], 0x81),
    ] {
        ends(Version::V5, &with_block(block), reason);
    }
}

#[test]
fn flags_that_are_reserved_end_the_connection() {
    for version in VERSIONS {
        for first in [0x41, 0x51, 0x60, 0x63, 0x72] {
            ends(version, &[first, 2, 0, 1], 0x81);
        }
        for first in [0x91, 0xB2] {
            ends(version, &[first, 3, 0, 1, 0], 0x81);
        }
        ends(version, &[0xD1, 0], 0x81);
        ends(version, &[0xD0, 0x80, 0], 0x81); // a length in more bytes than it needs
    }
    ends(Version::V5, &[0xE1, 0], 0x81);
    ends(Version::V5, &[0xF1, 0], 0x81);
}

#[test]
fn reserved_flags_in_connack_end_the_connection() {
    for version in VERSIONS {
        let mut bench = Bench::new(lasting(version));
        bench.open();
        let connack: &[u8] = if version.is_v5() { &[0x20, 3, 2, 0, 0] } else { &[0x20, 2, 2, 0] };
        assert!(bench.client.handle_input(bench.now, &mut BytesMut::from(connack)).is_err());
        assert!(bench.happened().is_empty());
        assert!(!bench.client.is_connected());
    }
}

#[test]
fn a_byte_order_mark_stays_where_it_is() {
    for version in VERSIONS {
        let mut bench = Bench::connected(lasting(version));
        bench.feed(publish(0, "\u{FEFF}a", "x", QOS0)).unwrap();
        assert_eq!(bench.happened(), ["message \u{FEFF}a=x"]);
        bench.client.publish(bench.now, Outgoing::new("\u{FEFF}b", b"x")).unwrap();
        assert_eq!(bench.lines(), ["PUBLISH q0 \u{FEFF}b=x"]);
    }
}

#[test]
fn both_ways_of_every_qos_are_the_same_on_either_version() {
    for version in VERSIONS {
        let mut bench = Bench::connected(lasting(version));
        for (payload, qos) in [("1", QOS1), ("2", QOS2), ("3", QOS2)] {
            bench.send(payload, qos);
        }
        bench.publish("0", QOS0).unwrap();
        assert_eq!(
            bench.lines(),
            ["PUBLISH 1 q1 t=1", "PUBLISH 2 q2 t=2", "PUBLISH 3 q2 t=3", "PUBLISH q0 t=0"]
        );
        for packet in [pubrec(3), puback(1), pubrec(2)] {
            bench.feed(packet).unwrap();
        }
        assert_eq!(bench.lines(), ["PUBREL 3", "PUBREL 2"], "in the order of PUBREC");
        for packet in [pubcomp(2), pubcomp(3)] {
            bench.feed(packet).unwrap();
        }
        assert_eq!((bench.client.inflight(), bench.lines().len()), (0, 0));

        for (packet_id, qos) in [(9, QOS2), (8, QOS1), (7, QOS2), (6, QOS1)] {
            bench.feed(publish(packet_id, "t", "x", qos)).unwrap();
        }
        for token in bench.tokens().into_iter().rev() {
            bench.acknowledge(token);
        }
        assert_eq!(bench.lines(), ["PUBREC 9", "PUBACK 8", "PUBREC 7", "PUBACK 6"]);
        bench.feed(pubrel(7)).unwrap();
        bench.feed(pubrel(9)).unwrap();
        assert_eq!(bench.lines(), ["PUBCOMP 7", "PUBCOMP 9"]);
    }
}

#[test]
fn an_identifier_that_was_answered_for_is_free_for_a_new_message() {
    for version in VERSIONS {
        for (qos, answer) in [(QOS1, "PUBACK 5"), (QOS2, "PUBREC 5")] {
            let mut bench = Bench::connected(lasting(version));
            for packet in [publish(5, "t", "x", qos), again(publish(5, "t", "y", qos))] {
                bench.feed(packet).unwrap();
                let tokens = bench.tokens();
                assert_eq!(tokens.len(), 1, "a message of its own");
                bench.acknowledge(tokens[0]);
                assert_eq!(bench.lines(), [answer]);
                if qos == QOS2 {
                    bench.feed(pubrel(5)).unwrap();
                    assert_eq!(bench.lines(), ["PUBCOMP 5"]);
                }
            }
        }
    }
}

#[test]
fn copies_of_a_qos_2_message_are_answered_on_either_version_and_handed_over_once() {
    for version in VERSIONS {
        let mut bench = Bench::connected(lasting(version));
        bench.feed(publish(5, "t", "x", QOS2)).unwrap();
        let token = bench.tokens().remove(0);
        bench.acknowledge(token);
        assert_eq!(bench.lines(), ["PUBREC 5"]);
        for _ in 0..2 {
            bench.feed(again(publish(5, "t", "x", QOS2))).unwrap();
            assert_eq!(bench.lines(), ["PUBREC 5"]);
        }
        assert!(bench.happened().is_empty());
    }
}

#[test]
fn what_was_received_is_forgotten_with_the_session() {
    let clean = Options { clean_start: true, ..lasting(Version::V311) };
    for options in [lasting(Version::V311), lasting(Version::V5), clean] {
        let mut bench = Bench::connected(options);
        bench.feed(publish(5, "t", "x", QOS2)).unwrap();
        let token = bench.tokens().remove(0);
        bench.acknowledge(token);
        bench.reconnect(false);
        bench.events();
        bench.sent();
        bench.feed(publish(5, "t", "another", QOS2)).unwrap();
        assert_eq!(bench.happened(), ["message t=another"]);
    }
}

#[test]
fn a_client_of_3_1_1_without_a_name_asks_for_a_clean_session() {
    let nameless = Options { client_id: Text::EMPTY, ..lasting(Version::V311) };
    assert!(Bench::new(nameless).open().clean_start, "[MQTT-3.1.3-7]");
    assert!(!Bench::new(lasting(Version::V311)).open().clean_start);
}

#[test]
fn a_request_names_at_least_one_filter() {
    let mut bench = Bench::connected(Options::default());
    assert_eq!(bench.subscribe(&[]), Err(SubscribeError::Empty));
    let nothing = bench.client.unsubscribe(bench.now, &[], &Properties::EMPTY);
    assert_eq!(nothing, Err(SubscribeError::Empty));
    assert!(bench.sent().is_empty());
}

#[test]
fn what_expires_after_it_was_sent_is_sent_again_all_the_same() {
    let mut bench = Bench::connected(lasting(Version::V5));
    for qos in [QOS1, QOS2] {
        let outgoing = Outgoing { expiry: Some(5), ..Outgoing::new("t", b"x").qos(qos) };
        bench.client.publish(bench.now, outgoing).unwrap();
    }
    bench.sent();
    bench.after_millis(60_000).reconnect(true);
    let sent = bench.lines();
    assert_eq!(sent.len(), 2, "[MQTT-4.3.3-7]");
    assert!(sent[0].starts_with("PUBLISH 1 q1 dup t=x") && sent[1].starts_with("PUBLISH 2 q2 dup t=x"));
}

#[test]
fn a_window_that_is_closed_delays_nothing_but_publishes() {
    let server = properties([Property::ReceiveMaximum(1), Property::ServerKeepAlive(10)]);
    let mut bench = Bench::connected_to(Options::default(), server);
    bench.send("1", QOS2);
    bench.send("2", QOS2);
    assert_eq!(bench.lines(), ["PUBLISH 1 q2 t=1"]);
    bench.feed(publish(7, "t", "x", QOS1)).unwrap();
    bench.feed(publish(8, "t", "x", QOS2)).unwrap();
    for token in bench.tokens() {
        bench.acknowledge(token);
    }
    bench.feed(pubrel(8)).unwrap();
    bench.subscribe(&["f"]).unwrap();
    bench
        .client
        .unsubscribe(bench.now, &[crate::topic::TopicFilter::new("f").unwrap()], &Properties::EMPTY)
        .unwrap();
    let now = bench.after_millis(10_000).now;
    bench.client.handle_timeout(now).unwrap();
    bench.feed(pubrec(1)).unwrap();
    assert_eq!(
        bench.lines(),
        ["PUBACK 7", "PUBREC 8", "PUBCOMP 8", "SUBSCRIBE 3 f", "UNSUBSCRIBE 4 f", "PINGREQ", "PUBREL 1"]
    );
    bench.feed(pubcomp(1)).unwrap();
    assert_eq!(bench.lines(), ["PUBLISH 2 q2 t=2"]);
}

#[test]
fn every_alias_up_to_our_maximum_is_accepted() {
    let mut bench = Bench::connected(Options { topic_alias_maximum: 300, ..Options::default() });
    for alias in 1..=300 {
        bench.feed(aliased(publish(0, &format!("t{alias}"), "x", QOS0), alias, false)).unwrap();
    }
    bench.events();
    for alias in (1..=300).rev() {
        bench.feed(aliased(publish(0, "t", "x", QOS0), alias, true)).unwrap();
        assert_eq!(bench.happened(), [format!("message t{alias}=x")]);
    }
}

#[test]
fn a_publish_carries_no_subscription_identifier_and_no_alias_0() {
    let mut bench = Bench::connected_to(Options::default(), properties([Property::TopicAliasMaximum(5)]));
    for forbidden in [Property::SubscriptionIdentifier(1), Property::TopicAlias(1)] {
        let properties = properties([forbidden]);
        let outgoing = Outgoing { properties: &properties, ..Outgoing::new("t", b"x") };
        assert!(bench.client.publish(bench.now, outgoing).is_err(), "{forbidden:?}");
    }
    assert!(Properties::from_properties([Property::TopicAlias(0)]).is_err());
    assert!(bench.sent().is_empty());
}

#[test]
fn a_quiet_connection_is_pinged_on_either_version() {
    for version in VERSIONS {
        let mut bench = Bench::connected(Options { keep_alive: 10, ..lasting(version) });
        for _ in 0..2 {
            bench.after_millis(10_000);
            bench.client.handle_timeout(bench.now).unwrap();
            assert_eq!(bench.lines(), ["PINGREQ"]);
            bench.feed(Packet::PingResp).unwrap();
        }
    }
}

fn auth(reason: ReasonCode, method: &str) -> Auth {
    let words = [Property::AuthenticationMethod(method), Property::AuthenticationData(b"!")];
    Auth { reason, properties: properties(words) }
}

#[test]
fn with_a_method_nothing_but_auth_goes_before_connack_and_it_asks_to_continue() {
    let mut bench = Bench::new(Options { properties: properties([METHOD]), ..Options::default() });
    bench.send("offline", QOS1);
    bench.open();
    bench.publish("opening", QOS0).unwrap();
    bench.subscribe(&["f"]).unwrap();
    bench.feed(Packet::Auth(auth(ReasonCode::ContinueAuthentication, "SCRAM"))).unwrap();
    bench.client.authenticate(bench.now, &auth(ReasonCode::ReAuthenticate, "SCRAM"));
    assert_eq!(bench.lines(), ["AUTH 0x18"], "[MQTT-3.1.2-30] [MQTT-4.12.0-3]");
    bench.connack(false, properties([METHOD])).unwrap();
    assert_eq!(bench.lines(), ["SUBSCRIBE 2 f", "PUBLISH 1 q1 t=offline", "PUBLISH q0 t=opening"]);
}

#[test]
fn auth_repeats_the_method_of_connect_and_without_one_there_is_none() {
    let mut bench = Bench::connected(Options { properties: properties([METHOD]), ..Options::default() });
    bench.client.set_options(Options { properties: Properties::EMPTY, ..Options::default() });
    for method in ["SCRAM", "OTHER"] {
        bench.client.authenticate(bench.now, &auth(ReasonCode::ReAuthenticate, method));
        let sent = bench.sent();
        let [Packet::Auth(auth)] = &sent[..] else { panic!("{sent:?}") };
        assert_eq!(auth.reason, ReasonCode::ReAuthenticate);
        assert_eq!(auth.properties.authentication_method(), Some("SCRAM"), "[MQTT-4.12.1-1]");
        assert_eq!(auth.properties.authentication_data(), Some(&b"!"[..]));
    }
    let mut bench = Bench::new(Options::default());
    bench.open();
    for connected in [false, true] {
        bench.client.authenticate(bench.now, &auth(ReasonCode::ReAuthenticate, "SCRAM"));
        assert!(bench.sent().is_empty(), "[MQTT-4.12.0-7]");
        if !connected {
            bench.connack(false, Properties::EMPTY).unwrap();
        }
    }
}

#[test]
fn words_that_do_not_fit_are_left_out_of_disconnect_and_auth() {
    let server = properties([Property::MaximumPacketSize(30)]);
    let options = Options { properties: properties([METHOD]), ..lasting(Version::V5) };
    let mut bench = Bench::connected_to(options, server);
    let long = "because ".repeat(5);
    let words = [Property::ReasonString(&long), Property::UserProperty("k", &long)];
    let asks = Auth { reason: ReasonCode::ReAuthenticate, properties: properties(words) };
    bench.client.authenticate(bench.now, &asks);
    let sent = bench.sent();
    let [Packet::Auth(auth)] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!((auth.properties.reason_string(), auth.properties.user_properties().count()), (None, 0));

    let [reason, user] = words;
    let words = properties([Property::SessionExpiryInterval(7), reason, user]);
    let goodbye = Disconnect { reason: ReasonCode::DisconnectWithWillMessage, properties: words };
    bench.client.disconnect(bench.now, &goodbye);
    let said = Disconnect { properties: properties([Property::SessionExpiryInterval(7)]), ..goodbye };
    assert_eq!(bench.sent(), [Packet::Disconnect(said)]);
}

#[test]
fn words_that_fit_stay() {
    let mut bench = Bench::connected_to(lasting(Version::V5), properties([Property::MaximumPacketSize(30)]));
    let goodbye = Disconnect {
        reason: ReasonCode::Success,
        properties: properties([Property::ReasonString("enough")]),
    };
    bench.client.disconnect(bench.now, &goodbye);
    assert_eq!(bench.sent(), [Packet::Disconnect(goodbye)]);
}

#[test]
fn what_a_broken_rule_of_the_server_ends_stays_ended() {
    for version in VERSIONS {
        let mut bench = Bench::connected(lasting(version));
        bench.feed(Packet::PingReq).unwrap_err();
        bench.sent();
        bench.feed(publish(1, "t", "x", QOS1)).unwrap();
        bench.send("late", QOS1);
        assert!(bench.sent().is_empty() && bench.happened().is_empty());
        assert_eq!(bench.client.poll_timeout(), Some(bench.now), "the driver is to close at once");
    }
}
