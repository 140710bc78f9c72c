//! Messages from the server, and what answers them.

use super::*;

fn late() -> Options {
    Options { handover: Handover::OnRelease, ..lasting(Version::V5) }
}

#[test]
fn nothing_is_acknowledged_before_the_application_is_done_with_it() {
    let mut bench = Bench::connected(Options::default());
    bench.feed(publish(1, "t", "one", QOS1)).unwrap();
    bench.feed(publish(2, "t", "two", QOS2)).unwrap();
    bench.feed(publish(0, "t", "zero", QOS0)).unwrap();
    assert!(bench.sent().is_empty());
    for token in bench.tokens() {
        bench.acknowledge(token);
    }
    assert_eq!(bench.lines(), ["PUBACK 1", "PUBREC 2"]);
    bench.feed(pubrel(2)).unwrap();
    assert_eq!(bench.lines(), ["PUBCOMP 2"]);
}

#[test]
fn acknowledgements_leave_in_the_order_of_arrival() {
    let mut bench = Bench::connected(Options::default());
    for (packet_id, qos) in [(1, QOS1), (2, QOS2), (3, QOS1)] {
        bench.feed(publish(packet_id, "t", "x", qos)).unwrap();
    }
    let tokens = bench.tokens();
    bench.acknowledge(tokens[2]);
    bench.acknowledge(tokens[1]);
    assert!(bench.sent().is_empty());
    bench.acknowledge(tokens[0]);
    assert_eq!(bench.lines(), ["PUBACK 1", "PUBREC 2", "PUBACK 3"]);
    bench.acknowledge(tokens[0]);
    assert!(bench.sent().is_empty(), "twice is once");
}

#[test]
fn an_error_is_told_to_the_server_and_ends_a_qos_2_exchange() {
    let mut bench = Bench::connected(Options::default());
    bench.feed(publish(2, "t", "x", QOS2)).unwrap();
    let token = bench.tokens().remove(0);
    bench.client.acknowledge(bench.now, token, ReasonCode::ImplementationSpecificError);
    assert_eq!(bench.lines(), ["PUBREC 2 0x83"]);
    bench.feed(publish(2, "t", "another", QOS2)).unwrap();
    assert_eq!(bench.happened(), ["message t=another"], "the identifier was free");
}

#[test]
fn a_reason_that_the_packet_may_not_carry_becomes_the_nearest_one_that_it_may() {
    let mut bench = Bench::connected(Options::default());
    bench.feed(publish(1, "t", "x", QOS1)).unwrap();
    bench.feed(publish(2, "t", "x", QOS1)).unwrap();
    let tokens = bench.tokens();
    bench.client.acknowledge(bench.now, tokens[0], ReasonCode::ServerBusy);
    bench.client.acknowledge(bench.now, tokens[1], ReasonCode::GrantedQoS2);
    assert_eq!(bench.lines(), ["PUBACK 1 0x80", "PUBACK 2"]);
}

#[test]
fn a_second_copy_of_a_qos_2_publish_is_acknowledged_but_not_delivered() {
    let mut bench = Bench::connected(Options::default());
    let packet = publish(2, "t", "x", QOS2);
    bench.feed(packet.clone()).unwrap();
    bench.feed(again(packet.clone())).unwrap();
    assert!(bench.sent().is_empty());
    let tokens = bench.tokens();
    assert_eq!(tokens.len(), 1);
    bench.acknowledge(tokens[0]);
    assert_eq!(bench.lines(), ["PUBREC 2"]);
    for _ in 0..3 {
        bench.feed(again(packet.clone())).unwrap();
        assert_eq!(bench.lines(), ["PUBREC 2"]);
    }
    assert!(bench.happened().is_empty());
}

#[test]
fn a_qos_2_message_that_was_handed_over_is_not_handed_over_again_on_the_next_connection() {
    for acknowledged_between in [false, true] {
        let mut bench = Bench::connected(lasting(Version::V5));
        bench.feed(publish(2, "t", "x", QOS2)).unwrap();
        let token = bench.tokens().remove(0);
        bench.client.handle_closed(bench.now);
        if acknowledged_between {
            bench.acknowledge(token);
        }
        bench.open();
        bench.connack(true, Properties::EMPTY).unwrap();
        bench.events();
        bench.feed(again(publish(2, "t", "x", QOS2))).unwrap();
        if !acknowledged_between {
            assert!(bench.sent().is_empty());
            bench.acknowledge(token);
        }
        assert_eq!(bench.lines(), ["PUBREC 2"]);
        assert!(bench.happened().is_empty());
    }
}

#[test]
fn a_qos_1_token_of_a_connection_that_has_gone_acknowledges_nothing() {
    let mut bench = Bench::connected(lasting(Version::V5));
    bench.feed(publish(1, "t", "x", QOS1)).unwrap();
    let stale = bench.tokens().remove(0);
    bench.reconnect(true);
    bench.events();
    bench.feed(again(publish(1, "t", "x", QOS1))).unwrap();
    bench.acknowledge(stale);
    assert!(bench.sent().is_empty());
    assert_eq!(bench.happened(), ["message t=x dup"]);
}

#[test]
fn a_qos_2_token_does_not_answer_for_a_later_message_with_its_identifier() {
    let mut bench = Bench::connected(lasting(Version::V5));
    bench.feed(publish(2, "t", "first", QOS2)).unwrap();
    let first = bench.tokens().remove(0);
    bench.acknowledge(first);
    bench.feed(pubrel(2)).unwrap();
    bench.sent();
    bench.feed(publish(2, "t", "second", QOS2)).unwrap();
    bench.acknowledge(first);
    assert!(bench.sent().is_empty(), "nobody is done with the second");
    bench.reconnect(false);
    bench.feed(publish(2, "t", "third", QOS2)).unwrap();
    bench.sent();
    bench.acknowledge(first);
    assert!(bench.sent().is_empty(), "the session in which it was is lost");
}

#[test]
fn a_pubrel_before_our_pubrec_is_a_protocol_error() {
    let mut bench = Bench::connected(Options::default());
    bench.feed(publish(2, "t", "x", QOS2)).unwrap();
    assert!(bench.feed(pubrel(2)).is_err());
    let mut bench = Bench::connected(Options::default());
    bench.feed(publish(1, "t", "x", QOS1)).unwrap();
    bench.feed(publish(2, "t", "x", QOS2)).unwrap();
    let tokens = bench.tokens();
    bench.acknowledge(tokens[1]);
    assert!(bench.feed(pubrel(2)).is_err(), "done, but its PUBREC waits for the PUBACK before it");
}

#[test]
fn pubrel_for_nothing_is_answered_with_packet_identifier_not_found() {
    let mut bench = Bench::connected(Options::default());
    bench.feed(pubrel(9)).unwrap();
    assert_eq!(bench.lines(), ["PUBCOMP 9 0x92"]);
}

#[test]
fn late_handover_answers_pubrec_at_once_and_pubcomp_when_the_application_is_done() {
    let mut bench = Bench::connected(late());
    bench.feed(publish(2, "t", "x", QOS2)).unwrap();
    assert!(bench.happened().is_empty());
    assert_eq!(bench.lines(), ["PUBREC 2"]);
    bench.feed(pubrel(2)).unwrap();
    assert!(bench.sent().is_empty());
    let token = bench.tokens().remove(0);
    bench.acknowledge(token);
    assert_eq!(bench.lines(), ["PUBCOMP 2"]);
}

#[test]
fn late_handover_keeps_the_message_over_connections() {
    let mut bench = Bench::connected(late());
    bench.feed(publish(2, "t", "x", QOS2)).unwrap();
    bench.reconnect(true);
    bench.events();
    bench.sent();
    bench.feed(again(publish(2, "t", "x", QOS2))).unwrap();
    assert_eq!(bench.lines(), ["PUBREC 2"]);
    bench.feed(pubrel(2)).unwrap();
    assert_eq!(bench.happened(), ["message t=x"]);
}

#[test]
fn late_handover_sends_pubcomp_in_the_order_of_pubrel() {
    let mut bench = Bench::connected(late());
    for packet_id in [1, 2] {
        bench.feed(publish(packet_id, "t", "x", QOS2)).unwrap();
    }
    bench.sent();
    bench.feed(pubrel(2)).unwrap();
    bench.feed(pubrel(1)).unwrap();
    let tokens = bench.tokens();
    bench.acknowledge(tokens[1]);
    assert!(bench.sent().is_empty());
    bench.acknowledge(tokens[0]);
    assert_eq!(bench.lines(), ["PUBCOMP 2", "PUBCOMP 1"]);
}

#[test]
fn more_unacknowledged_than_our_receive_maximum_is_0x93_and_unreleased_qos_2_counts() {
    let options = Options { receive_maximum: 2, ..lasting(Version::V5) };
    let mut bench = Bench::connected(options);
    bench.feed(publish(1, "t", "x", QOS2)).unwrap();
    let token = bench.tokens().remove(0);
    bench.acknowledge(token);
    bench.feed(publish(2, "t", "x", QOS1)).unwrap();
    bench.feed(publish(0, "t", "x", QOS0)).unwrap();
    bench.sent();
    let error = bench.feed(publish(3, "t", "x", QOS1)).unwrap_err();
    assert_eq!(error.reason_code(), ReasonCode::ReceiveMaximumExceeded);
    assert_eq!(bench.lines(), ["DISCONNECT 0x93"]);
}

#[test]
fn what_exceeded_the_receive_maximum_is_new_when_it_comes_again() {
    let options = Options { receive_maximum: 1, ..lasting(Version::V5) };
    let mut bench = Bench::connected(options);
    bench.feed(publish(1, "t", "x", QOS1)).unwrap();
    assert!(bench.feed(publish(2, "t", "lost?", QOS2)).is_err());
    bench.reconnect(true);
    bench.events();
    bench.feed(again(publish(2, "t", "lost?", QOS2))).unwrap();
    assert_eq!(bench.happened(), ["message t=lost? dup"]);
}

#[test]
fn the_receive_maximum_counts_what_this_connection_brought() {
    let options = Options { receive_maximum: 2, ..lasting(Version::V5) };
    let mut bench = Bench::connected(options);
    for packet_id in [1, 2] {
        bench.feed(publish(packet_id, "t", "x", QOS2)).unwrap();
    }
    for token in bench.tokens() {
        bench.acknowledge(token);
    }
    bench.reconnect(true);
    // The server has both PUBRECs: it sends PUBREL, and two others.
    bench.feed(pubrel(1)).unwrap();
    for packet_id in [3, 4] {
        bench.feed(publish(packet_id, "t", "x", QOS2)).unwrap();
    }
    assert!(bench.feed(publish(5, "t", "x", QOS1)).is_err());
}

#[test]
fn inbound_aliases_stand_for_topics_until_the_connection_goes() {
    let mut bench = Bench::connected(Options { topic_alias_maximum: 2, ..lasting(Version::V5) });
    bench.feed(aliased(publish(0, "a", "1", QOS0), 2, false)).unwrap();
    bench.feed(aliased(publish(0, "a", "2", QOS0), 2, true)).unwrap();
    assert_eq!(bench.happened(), ["message a=1", "message a=2"]);
    bench.reconnect(true);
    assert!(bench.feed(aliased(publish(0, "a", "3", QOS0), 2, true)).is_err());
    assert_eq!(bench.lines(), ["DISCONNECT 0x82"]);
}

#[test]
fn an_alias_above_what_we_announced_is_0x94() {
    let mut bench = Bench::connected(Options { topic_alias_maximum: 2, ..Options::default() });
    assert!(bench.feed(aliased(publish(0, "a", "1", QOS0), 3, false)).is_err());
    assert_eq!(bench.lines(), ["DISCONNECT 0x94"]);
}
