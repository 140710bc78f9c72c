//! Packets from the client: publishes and what answers them, protocol errors and their reason codes.

use super::*;
use crate::codec::{Ack, Auth, Publish};

/// This packet ends the connection with this reason, and version 5 is told so.
#[track_caller]
fn ends_with(connect: Connect, options: Options, packet: Packet, reason: ReasonCode) {
    let told = connect.version.is_v5();
    let mut bench = Bench::attached_with(options, connect);
    assert_eq!(bench.feed(packet).unwrap_err().reason_code(), reason);
    let expected = [format!("DISCONNECT {:#04X}", reason.as_u8())];
    assert_eq!(bench.lines(), if told { &expected[..] } else { &[] });
    assert!(!bench.slot.is_open());
}

#[test]
fn publishes_are_answered_when_the_host_has_routed_them_and_in_the_order_of_arrival() {
    for version in [Version::V311, Version::V5] {
        let mut bench = Bench::attached(lasting(version));
        for (packet_id, qos) in [(0, QOS0), (1, QOS1), (2, QOS2), (3, QOS1)] {
            bench.feed(publish(packet_id, "t", "x", qos)).unwrap();
        }
        assert!(bench.sent().is_empty());
        let tokens = bench.tokens();
        assert_eq!(tokens.len(), 3, "none at QoS 0");
        bench.routed(tokens[2], ReasonCode::Success);
        bench.routed(tokens[1], ReasonCode::Success);
        assert!(bench.sent().is_empty());
        bench.routed(tokens[0], ReasonCode::Success);
        assert_eq!(bench.lines(), ["PUBACK 1", "PUBREC 2", "PUBACK 3"]);
        bench.feed(pubrel(2)).unwrap();
        assert_eq!(bench.lines(), ["PUBCOMP 2"]);
    }
}

#[test]
fn a_refused_publish_is_told_to_version_5_and_acknowledged_to_version_3() {
    for (version, lines) in
        [(Version::V5, ["PUBACK 1 0x87", "PUBREC 2 0x97"]), (Version::V311, ["PUBACK 1", "PUBREC 2"])]
    {
        let mut bench = Bench::attached(lasting(version));
        bench.feed(publish(1, "t", "x", QOS1)).unwrap();
        bench.feed(publish(2, "t", "x", QOS2)).unwrap();
        let tokens = bench.tokens();
        bench.routed(tokens[0], ReasonCode::NotAuthorized);
        bench.routed(tokens[1], ReasonCode::QuotaExceeded);
        assert_eq!(bench.lines(), lines);
        bench.feed(pubrel(2)).unwrap();
        let pubcomp = if version.is_v5() { "PUBCOMP 2 0x92" } else { "PUBCOMP 2" };
        assert_eq!(bench.lines(), [pubcomp]);
    }
}

#[test]
fn a_refusal_while_the_client_is_away_is_told_when_it_comes_back() {
    let mut bench = Bench::attached(lasting(Version::V5));
    bench.feed(publish(2, "t", "x", QOS2)).unwrap();
    let token = bench.tokens().remove(0);
    bench.slot.handle_closed(bench.now);
    bench.routed(token, ReasonCode::NotAuthorized);
    bench.attach(lasting(Version::V5));
    bench.sent();
    bench.feed(again(publish(2, "t", "x", QOS2))).unwrap();
    assert_eq!(bench.lines(), ["PUBREC 2 0x87"]);
    assert!(bench.happened().is_empty());
}

#[test]
fn a_reason_that_the_packet_may_not_carry_does_not_lose_the_answer() {
    let mut bench = Bench::attached(lasting(Version::V5));
    bench.feed(publish(1, "t", "x", QOS1)).unwrap();
    let token = bench.tokens().remove(0);
    bench.routed(token, ReasonCode::ServerBusy);
    assert_eq!(bench.lines(), ["PUBACK 1 0x80"]);
}

#[test]
fn every_copy_of_a_qos_2_publish_is_answered_and_only_the_first_is_routed() {
    let mut bench = Bench::attached(lasting(Version::V311));
    bench.feed(publish(2, "t", "x", QOS2)).unwrap();
    let token = bench.tokens().remove(0);
    bench.feed(again(publish(2, "t", "x", QOS2))).unwrap();
    assert!(bench.sent().is_empty(), "the first copy's answer will do for both");
    bench.routed(token, ReasonCode::Success);
    assert_eq!(bench.lines(), ["PUBREC 2"]);
    for _ in 0..3 {
        bench.feed(again(publish(2, "t", "x", QOS2))).unwrap();
        assert_eq!(bench.lines(), ["PUBREC 2"]);
    }
    assert!(bench.happened().is_empty());
    bench.feed(pubrel(2)).unwrap();
    bench.feed(publish(2, "t", "new", QOS2)).unwrap();
    assert_eq!(bench.happened(), ["publish t=new"]);
}

#[test]
fn a_copy_that_the_broker_never_saw_before_is_routed_although_it_has_dup() {
    let mut bench = Bench::attached(lasting(Version::V5));
    bench.feed(again(publish(2, "t", "x", QOS2))).unwrap();
    assert_eq!(bench.happened(), ["publish t=x dup"]);
}

#[test]
fn an_unreleased_identifier_lasts_as_long_as_the_session() {
    let mut bench = Bench::attached(lasting(Version::V5));
    bench.feed(publish(2, "t", "x", QOS2)).unwrap();
    let token = bench.tokens().remove(0);
    bench.routed(token, ReasonCode::Success);
    bench.after_seconds(3000).reattach(lasting(Version::V5));
    bench.sent();
    bench.feed(again(publish(2, "t", "x", QOS2))).unwrap();
    assert!(bench.happened().is_empty());
    assert_eq!(bench.lines(), ["PUBREC 2"]);
    bench.reattach(lasting(Version::V5));
    bench.feed(pubrel(2)).unwrap();
    assert_eq!(bench.lines(), ["CONNACK present", "PUBCOMP 2"]);
}

#[test]
fn acknowledgements_that_do_not_fit_what_was_sent_are_protocol_errors() {
    for (qos, wrong) in [(QOS1, pubrec(1)), (QOS1, pubcomp(1)), (QOS2, puback(1)), (QOS2, pubcomp(1))] {
        let mut bench = Bench::attached(lasting(Version::V5));
        bench.give("x", qos);
        bench.sent();
        assert!(bench.feed(wrong).is_err());
        assert_eq!(bench.lines(), ["DISCONNECT 0x82"]);
        bench.reattach(lasting(Version::V5));
        let line = format!("PUBLISH 1 q{} dup t=x", qos.bits());
        assert_eq!(bench.lines()[1], line, "nothing is lost by it");
    }
}

#[test]
fn acknowledgements_for_nothing_are_passed_over_or_told_so() {
    let mut bench = Bench::attached(lasting(Version::V5));
    for packet in [puback(9), pubrec(9), pubcomp(9), pubrel(9)] {
        bench.feed(packet).unwrap();
    }
    assert_eq!(bench.lines(), ["PUBREL 9 0x92", "PUBCOMP 9 0x92"]);
}

#[test]
fn an_error_in_puback_or_pubrec_is_the_end_of_it() {
    let mut bench = Bench::attached(lasting(Version::V5));
    bench.give("1", QOS1);
    bench.give("2", QOS2);
    bench.feed(Packet::PubAck(Ack::new(id(1), ReasonCode::ImplementationSpecificError))).unwrap();
    bench.feed(Packet::PubRec(Ack::new(id(2), ReasonCode::PayloadFormatInvalid))).unwrap();
    bench.sent();
    bench.reattach(lasting(Version::V5));
    assert_eq!(bench.lines(), ["CONNACK present"], "[MQTT-4.4.0-2]");
}

#[test]
fn more_unanswered_than_our_receive_maximum_is_0x93_and_unreleased_qos_2_counts() {
    let options = Options { receive_maximum: 2, ..Options::default() };
    let mut bench = Bench::attached_with(options.clone(), lasting(Version::V5));
    bench.feed(publish(1, "t", "x", QOS2)).unwrap();
    let token = bench.tokens().remove(0);
    bench.routed(token, ReasonCode::Success);
    bench.feed(publish(2, "t", "x", QOS1)).unwrap();
    bench.feed(again(publish(1, "t", "x", QOS2))).unwrap();
    bench.feed(publish(0, "t", "x", QOS0)).unwrap();
    bench.sent();
    assert!(bench.feed(publish(3, "t", "lost?", QOS2)).is_err());
    assert_eq!(bench.lines(), ["DISCONNECT 0x93"], "[MQTT-3.3.4-7]");
    bench.events();
    bench.reattach(lasting(Version::V5));
    bench.feed(again(publish(3, "t", "lost?", QOS2))).unwrap();
    assert_eq!(bench.happened(), ["publish t=lost? dup"], "it was never received");

    let mut bench = Bench::attached_with(options, lasting(Version::V311));
    for packet_id in 1..100 {
        bench.feed(publish(packet_id, "t", "x", QOS2)).unwrap();
    }
}

#[test]
fn a_refused_qos_2_publish_counts_no_more() {
    let options = Options { receive_maximum: 1, ..Options::default() };
    let mut bench = Bench::attached_with(options, lasting(Version::V5));
    for _ in 0..3 {
        bench.feed(publish(1, "t", "x", QOS2)).unwrap();
        let token = bench.tokens().remove(0);
        bench.routed(token, ReasonCode::NotAuthorized);
    }
    assert_eq!(bench.lines(), ["PUBREC 1 0x87"; 3]);
}

#[test]
fn packets_that_only_a_server_sends_and_a_second_connect_are_protocol_errors() {
    for version in [Version::V311, Version::V5] {
        for packet in [
            Packet::Connect(lasting(version).into()),
            Packet::PingResp,
            Packet::SubAck(suback(1, &[ReasonCode::Success])),
        ] {
            ends_with(lasting(version), Options::default(), packet, ReasonCode::ProtocolError);
        }
    }
}

#[test]
fn bytes_that_are_no_packet_are_0x81() {
    let mut bench = Bench::attached(lasting(Version::V5));
    let mut input = BytesMut::from(&[0x36, 3, 0, 1, b't'][..]); // QoS 3
    assert!(bench.slot.handle_input(bench.now, &mut input).is_err());
    assert_eq!(bench.lines(), ["DISCONNECT 0x81"]);
}

#[test]
fn a_packet_larger_than_announced_is_0x95_by_its_header_alone() {
    let options = Options { maximum_packet_size: 100, ..Options::default() };
    let mut bench = Bench::attached_with(options, lasting(Version::V5));
    let mut input = BytesMut::from(&[0x30, 99][..]);
    assert!(bench.slot.handle_input(bench.now, &mut input).is_err());
    assert_eq!(bench.lines(), ["DISCONNECT 0x95"]);
}

#[test]
fn what_the_broker_does_not_take_has_a_reason_of_its_own() {
    let options = Options { maximum_qos: QOS0, retain_available: false, ..Options::default() };
    let packet = publish(1, "t", "x", QOS1);
    ends_with(lasting(Version::V5), options.clone(), packet, ReasonCode::QoSNotSupported);
    let Packet::Publish(mut retained) = publish(0, "t", "x", QOS0) else { panic!() };
    retained.message.retain = true;
    ends_with(lasting(Version::V5), options, Packet::Publish(retained), ReasonCode::RetainNotSupported);
}

#[test]
fn a_subscription_identifier_from_a_client_is_a_protocol_error() {
    let Packet::Publish(publish) = publish(0, "t", "x", QOS0) else { panic!() };
    let packet = Packet::Publish(Publish { subscription_ids: Some(3).into(), ..publish });
    ends_with(lasting(Version::V5), Options::default(), packet, ReasonCode::ProtocolError);
}

#[test]
fn inbound_aliases_stand_for_topics_until_the_connection_goes() {
    let mut bench = Bench::attached(lasting(Version::V5));
    bench.feed(aliased(publish(0, "a", "1", QOS0), 2, false)).unwrap();
    bench.feed(aliased(publish(0, "a", "2", QOS0), 2, true)).unwrap();
    bench.feed(aliased(publish(0, "b", "3", QOS0), 2, false)).unwrap();
    bench.feed(aliased(publish(0, "b", "4", QOS0), 2, true)).unwrap();
    assert_eq!(bench.happened(), ["publish a=1", "publish a=2", "publish b=3", "publish b=4"]);
    bench.reattach(lasting(Version::V5));
    bench.sent();
    assert!(bench.feed(aliased(publish(0, "a", "5", QOS0), 2, true)).is_err());
    assert_eq!(bench.lines(), ["DISCONNECT 0x82"]);
}

#[test]
fn an_alias_above_what_we_announced_is_0x94() {
    let options = Options { topic_alias_maximum: 2, ..Options::default() };
    let packet = aliased(publish(0, "a", "1", QOS0), 3, false);
    ends_with(lasting(Version::V5), options, packet, ReasonCode::TopicAliasInvalid);
}

#[test]
fn a_client_may_authenticate_again_with_the_method_of_its_connect() {
    let method = properties([Property::AuthenticationMethod("SCRAM")]);
    let auth = |reason| Auth { reason, properties: method.clone() };
    let mut bench = Bench::attached(saying([Property::AuthenticationMethod("SCRAM")]));
    bench.feed(Packet::Auth(auth(ReasonCode::ReAuthenticate))).unwrap();
    assert_eq!(bench.happened(), ["auth Re-authenticate (0x19)"]);
    bench.slot.handle_authenticated(bench.now, &auth(ReasonCode::Success));
    assert_eq!(bench.lines(), ["AUTH"]);
    bench.slot.handle_authenticated(bench.now, &auth(ReasonCode::NotAuthorized));
    assert_eq!(bench.lines(), ["DISCONNECT 0x87"]);
    let packet = Packet::Auth(auth(ReasonCode::ReAuthenticate));
    ends_with(lasting(Version::V5), Options::default(), packet, ReasonCode::ProtocolError);
}

#[test]
fn what_comes_behind_disconnect_concerns_nobody_but_what_came_before_is_answered() {
    let mut bench = Bench::attached(lasting(Version::V5));
    let packets = [
        publish(1, "t", "before", QOS1),
        Packet::Disconnect(crate::codec::Disconnect::normal()),
        publish(2, "t", "after", QOS1),
    ];
    bench.slot.handle_input(bench.now, &mut encode(Version::V5, &packets)).unwrap();
    let Some(Event::Publish { token: Some(token), .. }) = bench.slot.poll_event() else { panic!() };
    assert_eq!(bench.happened(), ["disconnected Success (0x00)"]);
    bench.routed(token, ReasonCode::Success);
    assert_eq!(bench.lines(), ["PUBACK 1"]);
}
