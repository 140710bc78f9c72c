//! SUBSCRIBE, UNSUBSCRIBE, and subscriptions made again.

use super::*;
use crate::topic::TopicFilter;

const GRANTED: ReasonCode = ReasonCode::GrantedQoS1;

fn granted(packet_id: u16, count: usize) -> Packet {
    Packet::SubAck(suback(packet_id, &std::vec![GRANTED; count]))
}

/// Subscribed to these, one SUBSCRIBE each.
fn subscribed(options: Options, filters: &[&str]) -> Bench {
    let mut bench = Bench::connected(options);
    for filter in filters {
        let packet_id = bench.subscribe(&[filter]).unwrap().get();
        bench.feed(granted(packet_id, 1)).unwrap();
    }
    bench.sent();
    bench.events();
    bench
}

#[test]
fn answers_come_with_the_identifier_of_the_request() {
    let mut bench = Bench::connected(Options::default());
    bench.subscribe(&["a", "b"]).unwrap();
    let filters = [TopicFilter::new("c").unwrap()];
    bench.client.unsubscribe(bench.now, &filters, &Properties::EMPTY).unwrap();
    assert_eq!(bench.lines(), ["SUBSCRIBE 1 a,b", "UNSUBSCRIBE 2 c"]);
    bench.feed(Packet::UnsubAck(suback(2, &[ReasonCode::NoSubscriptionExisted]))).unwrap();
    bench.feed(Packet::SubAck(suback(1, &[GRANTED, ReasonCode::NotAuthorized]))).unwrap();
    assert_eq!(
        bench.happened(),
        ["unsubscribed 2: [NoSubscriptionExisted]", "subscribed 1: [GrantedQoS1, NotAuthorized]"]
    );
}

#[test]
fn an_answer_that_does_not_fit_its_request_is_a_protocol_error() {
    for wrong in [
        Packet::SubAck(suback(1, &[GRANTED])),
        Packet::SubAck(suback(1, &[GRANTED; 3])),
        Packet::UnsubAck(suback(1, &[ReasonCode::Success; 2])),
    ] {
        let mut bench = Bench::connected(Options::default());
        bench.subscribe(&["a", "b"]).unwrap();
        bench.sent();
        assert!(bench.feed(wrong).is_err());
        assert_eq!(bench.lines(), ["DISCONNECT 0x82"]);
    }
}

#[test]
fn a_request_whose_answer_did_not_fit_is_asked_again_on_the_next_connection() {
    let mut bench = Bench::connected(lasting(Version::V5));
    bench.subscribe(&["c"]).unwrap();
    bench.sent();
    assert!(bench.feed(granted(1, 2)).is_err());
    bench.sent();
    bench.reconnect(true);
    assert!(bench.lines().contains(&"SUBSCRIBE 1 c".into()));
}

#[test]
fn an_answer_to_nothing_is_passed_over() {
    let mut bench = Bench::connected(Options::default());
    bench.feed(granted(9, 1)).unwrap();
    bench.feed(Packet::UnsubAck(suback(9, &[ReasonCode::Success]))).unwrap();
    assert!(bench.happened().is_empty());
}

#[test]
fn unsuback_of_version_3_has_no_reasons() {
    let mut bench = Bench::connected(lasting(Version::V311));
    bench.client.unsubscribe(bench.now, &[TopicFilter::new("c").unwrap()], &Properties::EMPTY).unwrap();
    bench.feed(Packet::UnsubAck(suback(1, &[]))).unwrap();
    assert_eq!(bench.happened(), ["unsubscribed 1: []"]);
}

#[test]
fn what_no_server_or_not_this_one_takes_is_refused_at_once() {
    let server = properties([
        Property::WildcardSubscriptionAvailable(false),
        Property::SharedSubscriptionAvailable(false),
        Property::SubscriptionIdentifierAvailable(false),
        Property::MaximumPacketSize(30),
    ]);
    let mut bench = Bench::connected_to(Options::default(), server);
    assert_eq!(bench.subscribe(&[]), Err(SubscribeError::Empty));
    assert!(matches!(bench.subscribe(&["a/#/b"]), Err(SubscribeError::TopicFilter(_))));
    assert!(matches!(bench.subscribe(&["a/#"]), Err(SubscribeError::NotSupported(_))));
    assert!(matches!(bench.subscribe(&["$share/g/a"]), Err(SubscribeError::NotSupported(_))));
    let long = "long".repeat(10);
    assert!(matches!(bench.subscribe(&[&long]), Err(SubscribeError::TooLarge { max: 30, .. })));
    let no_local = codec::SubscribeOptions { no_local: true, ..Default::default() };
    let subscription = codec::Subscription { filter: text("$share/g/a"), options: no_local };
    let result = bench.client.subscribe(bench.now, &[subscription], None, &Properties::EMPTY);
    assert_eq!(result, Err(SubscribeError::NoLocalShared));
    assert!(bench.sent().is_empty());
}

#[test]
fn requests_that_are_not_answered_are_asked_again_on_the_next_connection() {
    let mut bench = Bench::connected(lasting(Version::V5));
    bench.subscribe(&["a"]).unwrap();
    bench.sent();
    bench.client.handle_closed(bench.now);
    bench.client.unsubscribe(bench.now, &[TopicFilter::new("b").unwrap()], &Properties::EMPTY).unwrap();
    bench.open();
    bench.connack(true, Properties::EMPTY).unwrap();
    assert_eq!(bench.lines(), ["SUBSCRIBE 1 a", "UNSUBSCRIBE 2 b"]);
}

#[test]
fn requests_are_not_kept_where_subscriptions_are_the_drivers_business() {
    let mut bench = Bench::connected(Options { resubscribe: false, ..lasting(Version::V5) });
    bench.subscribe(&["a"]).unwrap();
    bench.sent();
    bench.client.handle_closed(bench.now);
    assert_eq!(bench.happened(), ["unanswered 1"]);
    assert_eq!(bench.subscribe(&["a"]), Err(SubscribeError::NotConnected));
    bench.reconnect(false);
    assert!(bench.sent().is_empty());
    assert_eq!(bench.happened()[1..], ["session lost"]);
}

#[test]
fn a_request_that_is_too_large_for_the_new_server_is_not_sent_to_it() {
    let mut bench = Bench::new(lasting(Version::V5));
    bench.subscribe(&["much/too/long/for/this/server"]).unwrap();
    bench.subscribe(&["ok"]).unwrap();
    bench.open();
    bench.connack(false, properties([Property::MaximumPacketSize(20)])).unwrap();
    assert_eq!(bench.lines(), ["SUBSCRIBE 2 ok"]);
    assert_eq!(bench.happened()[1..], ["unanswered 1"]);
}

#[test]
fn a_lost_session_is_subscribed_to_again_and_a_resumed_one_is_not() {
    let mut bench = subscribed(lasting(Version::V5), &["a", "b", "c"]);
    bench.client.unsubscribe(bench.now, &[TopicFilter::new("b").unwrap()], &Properties::EMPTY).unwrap();
    bench.feed(Packet::UnsubAck(suback(4, &[ReasonCode::Success]))).unwrap();
    bench.sent();
    bench.reconnect(true);
    assert!(bench.sent().is_empty());
    bench.events();
    bench.reconnect(false);
    assert_eq!(bench.lines(), ["SUBSCRIBE 5 a,c"]);
    bench.feed(Packet::SubAck(suback(5, &[GRANTED, ReasonCode::NotAuthorized]))).unwrap();
    assert_eq!(bench.happened()[1..], ["session lost", "resubscribed, 1 refused"]);
    bench.reconnect(false);
    assert_eq!(bench.lines(), ["SUBSCRIBE 6 a"], "what was refused is not asked for again");
}

#[test]
fn many_subscriptions_are_made_again_in_packets_that_the_server_takes() {
    let filters: Vec<String> = (0..250).map(|n| format!("f/{n:03}")).collect();
    let filters: Vec<&str> = filters.iter().map(String::as_str).collect();
    let mut bench = subscribed(lasting(Version::V5), &filters);
    bench.reconnect(false);
    let sent = bench.sent();
    let counts: Vec<usize> = sent
        .iter()
        .map(|packet| match packet {
            Packet::Subscribe(subscribe) => subscribe.subscriptions.len(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(counts, [100, 100, 50]);
    bench.client.handle_closed(bench.now);
    bench.open();
    bench.connack(false, properties([Property::MaximumPacketSize(40)])).unwrap();
    let sent = bench.sent();
    assert!(sent.iter().all(|packet| packet.encoded_len(Version::V5).unwrap() <= 40));
    let again: usize = show_all(&sent).iter().map(|line| line.split(',').count()).sum();
    assert_eq!(again, 250);
}

#[test]
fn subscriptions_that_the_server_never_saw_again_are_asked_for_until_it_does() {
    let mut bench = subscribed(lasting(Version::V5), &["a"]);
    bench.reconnect(false);
    assert_eq!(bench.lines(), ["SUBSCRIBE 2 a"]);
    // Cut before it arrived: the server has a session now, but nothing in it.
    bench.reconnect(true);
    assert_eq!(bench.lines(), ["SUBSCRIBE 2 a"]);
    bench.reconnect(false);
    assert_eq!(bench.sent().len(), 1, "once, also when the session is lost again");
}

#[test]
fn an_unsubscribe_that_overtakes_the_answer_to_its_subscribe_wins() {
    let mut bench = Bench::connected(lasting(Version::V5));
    bench.subscribe(&["a"]).unwrap();
    bench.client.unsubscribe(bench.now, &[TopicFilter::new("a").unwrap()], &Properties::EMPTY).unwrap();
    bench.feed(granted(1, 1)).unwrap();
    bench.feed(Packet::UnsubAck(suback(2, &[ReasonCode::Success]))).unwrap();
    bench.sent();
    bench.reconnect(false);
    assert!(bench.sent().is_empty());
}

#[test]
fn what_is_asked_for_anew_is_not_made_again_with_its_old_options() {
    let mut bench = subscribed(lasting(Version::V5), &["a", "b"]);
    bench.client.handle_closed(bench.now);
    bench.subscribe(&["a"]).unwrap();
    bench.open();
    bench.connack(false, Properties::EMPTY).unwrap();
    assert_eq!(bench.lines(), ["SUBSCRIBE 3 a", "SUBSCRIBE 4 b"]);
}
