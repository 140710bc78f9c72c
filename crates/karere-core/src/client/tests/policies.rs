//! What the options choose otherwise: the ways of clients that programs were written for before there was this one.

use super::*;
use crate::codec::Subscription;

fn eager(version: Version) -> Options {
    Options {
        version,
        eager: true,
        resend: Resend::Always,
        queue_qos0: false,
        resubscribe: false,
        ..Options::default()
    }
}

#[test]
fn an_eager_client_sends_behind_connect_what_is_asked_for_before_connack() {
    let mut bench = Bench::new(eager(Version::V311));
    bench.client.handle_open(bench.now, Credentials::default());
    bench.publish("0", QOS0).unwrap();
    bench.send("1", QOS1);
    bench.subscribe(&["s"]).unwrap();
    bench.client.disconnect(bench.now, &Disconnect::normal());
    let kinds: Vec<_> = bench.sent().iter().map(Packet::packet_type).collect();
    use PacketType::{Connect, Publish, Subscribe};
    assert_eq!(kinds, [Connect, Publish, Publish, Subscribe, PacketType::Disconnect]);
}

#[test]
fn what_went_before_connack_is_not_sent_again_after_it_and_counts_against_the_receive_maximum() {
    let mut bench = Bench::new(eager(Version::V5));
    bench.open();
    bench.send("1", QOS1);
    bench.send("2", QOS1);
    assert_eq!(bench.lines(), ["PUBLISH 1 q1 t=1", "PUBLISH 2 q1 t=2"]);
    bench.connack(false, properties([Property::ReceiveMaximum(3)])).unwrap();
    bench.send("3", QOS1);
    bench.send("4", QOS1);
    assert_eq!(bench.lines(), ["PUBLISH 3 q1 t=3"]);
    bench.feed(puback(1)).unwrap();
    assert_eq!(bench.lines(), ["PUBLISH 4 q1 t=4"]);
}

#[test]
fn what_waited_goes_before_what_an_eager_client_is_given_before_connack() {
    let mut bench = Bench::new(eager(Version::V5));
    bench.send("1", QOS1);
    bench.open();
    bench.send("2", QOS1);
    assert!(bench.sent().is_empty());
    bench.connack(false, Properties::EMPTY).unwrap();
    assert_eq!(bench.lines(), ["PUBLISH 1 q1 t=1", "PUBLISH 2 q1 t=2"]);
}

#[test]
fn resending_always_keeps_identifier_and_dup_though_the_session_is_lost() {
    for version in [Version::V311, Version::V5] {
        let mut bench = Bench::connected(Options { resend: Resend::Always, ..lasting(version) });
        bench.send("1", QOS1);
        bench.send("2", QOS2);
        bench.send("3", QOS2);
        bench.feed(pubrec(3)).unwrap();
        bench.sent();
        bench.reconnect(false);
        assert_eq!(bench.lines(), ["PUBREL 3", "PUBLISH 1 q1 dup t=1", "PUBLISH 2 q2 dup t=2"]);
    }
}

#[test]
fn resumed_by_hand_the_application_has_its_word_first() {
    let mut bench = Bench::connected(Options { resume_by_hand: true, ..lasting(Version::V5) });
    bench.client.resume(bench.now);
    bench.send("1", QOS2);
    bench.feed(pubrec(1)).unwrap();
    bench.send("2", QOS1);
    bench.sent();
    bench.reconnect(true);
    assert!(bench.sent().is_empty());
    bench.subscribe(&["s"]).unwrap();
    bench.send("3", QOS1);
    let first: Vec<_> = bench.sent().iter().map(Packet::packet_type).collect();
    assert_eq!(first, [PacketType::Subscribe]);
    bench.client.resume(bench.now);
    assert_eq!(bench.lines(), ["PUBREL 1", "PUBLISH 2 q1 dup t=2", "PUBLISH 4 q1 t=3"]);
    bench.client.resume(bench.now);
    assert!(bench.sent().is_empty());
}

#[test]
fn acknowledged_as_asked_one_that_is_not_holds_up_none() {
    let mut bench = Bench::connected(Options { ack_order: AckOrder::AsAsked, ..Options::default() });
    for id in 1..=3 {
        bench.feed(publish(id, "t", "x", QOS1)).unwrap();
    }
    let tokens = bench.tokens();
    bench.acknowledge(tokens[2]);
    bench.acknowledge(tokens[1]);
    assert_eq!(bench.lines(), ["PUBACK 3", "PUBACK 2"]);
}

#[test]
fn clean_start_each_says_in_every_connect_what_the_option_says() {
    let options =
        Options { clean_start: true, clean_start_each: true, client_id: text("c"), ..Options::default() };
    let mut bench = Bench::connected(options.clone());
    bench.client.handle_closed(bench.now);
    assert!(bench.open().clean_start);
    bench.client.handle_closed(bench.now);
    bench.client.set_options(Options { clean_start: false, ..options });
    assert!(!bench.open().clean_start);
}

#[test]
fn verbatim_properties_are_all_that_connect_carries() {
    let own = properties([Property::UserProperty("a", "b"), Property::ReceiveMaximum(7)]);
    let options = Options {
        properties: own.clone(),
        properties_verbatim: true,
        session_expiry: 10,
        bridge: true,
        ..Options::default()
    };
    let connect = Bench::new(options.clone()).open();
    assert_eq!((connect.properties, connect.bridge), (own, false));
    assert!(
        Bench::new(Options { version: Version::V311, properties: Properties::EMPTY, ..options })
            .open()
            .bridge
    );
}

#[test]
fn an_answer_to_nothing_is_told_where_it_is_wanted() {
    for wanted in [false, true] {
        let mut bench = Bench::connected(Options {
            unasked_answers: wanted,
            version: Version::V311,
            ..Options::default()
        });
        let answer = codec::SubAck {
            packet_id: PacketId::from_sequence(8),
            reasons: alloc::vec![ReasonCode::granted(QOS1)],
            properties: Properties::EMPTY,
        };
        bench.feed(Packet::SubAck(answer.clone())).unwrap();
        bench.feed(Packet::UnsubAck(codec::SubAck { reasons: Vec::new(), ..answer })).unwrap();
        assert_eq!(bench.happened().len(), if wanted { 2 } else { 0 });
    }
}

#[test]
fn a_skipped_identifier_is_counted() {
    let mut bench = Bench::connected(Options::default());
    assert_eq!(bench.send("1", QOS1), 1);
    assert_eq!(bench.client.skip_packet_id().map(PacketId::get), Some(2));
    assert_eq!(bench.send("3", QOS1), 3);
}

#[test]
fn drained_messages_are_handed_out_and_a_late_acknowledgement_is_for_nobody() {
    let mut bench = Bench::connected(Options { inflight_max: 1, ..Options::default() });
    bench.send("1", QOS1);
    bench.send("2", QOS1);
    let drained = bench.client.drain();
    let ids: Vec<u16> = drained.iter().map(|(id, _)| id.get()).collect();
    assert_eq!(ids, [1, 2]);
    assert_eq!((bench.client.queued(), bench.client.inflight()), (0, 0));
    bench.feed(puback(1)).unwrap();
    assert!(bench.happened().is_empty());
}

#[test]
fn a_packet_that_keeps_coming_shows_that_the_server_is_there() {
    let mut bench = Bench::connected(Options { keep_alive: 1, ..Options::default() });
    let mut input = BytesMut::from(&[0x30, 100, 0, 1, b't', 0][..]);
    let mut pings = 0;
    for _ in 0..40 {
        bench.after_millis(100);
        input.extend_from_slice(b"x");
        bench.client.handle_input(bench.now, &mut input).unwrap();
        bench.client.handle_timeout(bench.now).unwrap();
        pings += bench.sent().len();
    }
    assert!(pings >= 3, "and it is asked all the same: {pings}");
    let silent = (0..30).any(|_| {
        let bench = bench.after_millis(100);
        bench.client.handle_timeout(bench.now).is_err()
    });
    assert!(silent, "and once nothing comes any more, it is gone");
}

#[test]
fn the_length_of_the_servers_disconnect_is_known() {
    for (body, length) in [(&[][..], 0), (&[0][..], 1), (&[0x87, 0][..], 2)] {
        let mut bench = Bench::connected(Options::default());
        let mut input = BytesMut::from(&[0xE0, body.len() as u8][..]);
        input.extend_from_slice(body);
        bench.client.handle_input(bench.now, &mut input).unwrap();
        assert_eq!(bench.client.disconnect_body_bytes(), length);
    }
}

#[test]
fn an_eager_subscription_is_answered_as_any_other() {
    let mut bench = Bench::new(eager(Version::V5));
    bench.open();
    let subscription = Subscription { filter: text("s"), options: codec::SubscribeOptions::new(QOS1) };
    let id = bench.client.subscribe(bench.now, &[subscription], None, &Properties::EMPTY).unwrap();
    bench.connack(false, Properties::EMPTY).unwrap();
    assert_eq!(bench.sent().len(), 1, "sent once");
    bench.events();
    bench.feed(Packet::SubAck(suback(id.get(), &[ReasonCode::GrantedQoS1]))).unwrap();
    assert_eq!(bench.happened().len(), 1);
}
