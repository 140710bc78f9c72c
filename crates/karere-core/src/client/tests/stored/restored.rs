//! What an earlier process left in the store.

use super::*;

fn message(payload: &str, qos: QoS) -> Message {
    Message {
        topic: TopicName::new("t").unwrap(),
        payload: payload.as_bytes().to_vec().into(),
        qos,
        retain: false,
        expiry: None,
        properties: Properties::EMPTY,
    }
}

fn published(sequence: u64, payload: &str, qos: QoS) -> RestoredMessage {
    let state = MessageState::Published { message: message(payload, qos), expires_at: None };
    RestoredMessage { sequence, state }
}

fn pubrec_came(sequence: u64, order: u64) -> RestoredMessage {
    RestoredMessage { sequence, state: MessageState::Received { order } }
}

/// Four messages, of two of which PUBREC came, and a fifth that somebody sent us.
fn left() -> Restored {
    let messages =
        [published(4, "4", QOS1), pubrec_came(5, 9), published(6, "6", QOS2), pubrec_came(8, 3)].to_vec();
    Restored { client_id: Some(text("c")), messages, taken: [id(7)].to_vec() }
}

fn restore(options: Options, restored: Restored) -> Bench {
    Bench { client: Client::restore(options, restored), now: Instant::from_millis(1_000_000) }
}

fn connected(restored: Restored, session_present: bool) -> Bench {
    let mut bench = restore(stored(), restored);
    assert!(!bench.open().clean_start);
    bench.connack(session_present, Properties::EMPTY).unwrap();
    bench
}

#[test]
fn c1_what_was_not_acknowledged_goes_again_with_the_same_identifiers() {
    let mut bench = connected(left(), true);
    assert_eq!(bench.lines(), ["PUBREL 9", "PUBREL 6", "PUBLISH 5 q1 dup t=4", "PUBLISH 7 q2 dup t=6"]);
    bench.events();
    bench.send("new", QOS1);
    assert_eq!(bench.store(), ["Published { sequence: 9 }"], "behind all that was there");
    assert_eq!(bench.lines(), ["PUBLISH 10 q1 t=new"]);
    bench.feed(pubrec(7)).unwrap();
    assert_eq!(bench.store(), ["Received { sequence: 6, order: 10 }"], "behind those that came before");
}

#[test]
fn c1_where_the_server_has_lost_the_session_what_it_has_not_answered_is_new_and_the_rest_delivered() {
    let mut bench = connected(left(), false);
    assert_eq!(bench.lines(), ["PUBLISH 5 q1 t=4", "PUBLISH 7 q2 t=6"]);
    let happened: Vec<_> =
        bench.events().iter().filter(|event| !matches!(event, Event::Record(..))).map(show_event).collect();
    assert_eq!(
        happened,
        ["connected as c", "published 6: Success (0x00)", "published 9: Success (0x00)", "session lost"]
    );
    let mut bench = connected(left(), false);
    assert_eq!(
        bench.store(),
        ["Forgotten", "Finished { sequence: 5, received: true }", "Finished { sequence: 8, received: true }"]
    );
}

#[test]
fn c2_what_the_earlier_process_was_done_with_is_answered_and_not_handed_over() {
    let mut bench = connected(left(), true);
    bench.sent();
    bench.events();
    bench.feed(publish(7, "t", "again", QOS2)).unwrap();
    bench.feed(publish(8, "t", "not yet", QOS2)).unwrap();
    assert_eq!(bench.happened(), ["message t=not yet"]);
    assert_eq!(bench.lines(), ["PUBREC 7"]);
    bench.feed(pubrel(7)).unwrap();
    assert_eq!(bench.store(), ["Released { packet_id: PacketId(7) }"]);
    assert_eq!(bench.lines(), ["PUBCOMP 7"]);
    bench.feed(publish(7, "t", "another", QOS2)).unwrap();
    assert_eq!(bench.happened(), ["message t=another"]);
}

#[test]
fn a_session_of_another_client_identifier_is_lost() {
    let mut bench = restore(stored(), Restored { client_id: Some(text("other")), ..left() });
    bench.open();
    bench.connack(true, Properties::EMPTY).unwrap();
    assert_eq!(bench.lines(), ["PUBLISH 5 q1 t=4", "PUBLISH 7 q2 t=6"]);
    assert_eq!(bench.store()[0], "Forgotten");
    bench.feed(publish(7, "t", "another", QOS2)).unwrap();
    assert_eq!(bench.happened(), ["message t=another"]);
}

#[test]
fn the_identifier_that_the_server_assigned_is_used_again() {
    let options = Options { client_id: Text::EMPTY, ..stored() };
    let mut bench = restore(options, Restored { client_id: Some(text("assigned")), ..left() });
    assert_eq!(bench.open().client_id.as_str(), "assigned");
    bench.connack(true, Properties::EMPTY).unwrap();
    assert_eq!(bench.sent().len(), 4);
}

#[test]
fn a_store_with_nothing_in_it_starts_as_the_options_say() {
    let mut bench = restore(Options { clean_start: true, ..stored() }, Restored::default());
    assert!(bench.open().clean_start);
}

#[test]
fn more_than_the_window_goes_as_it_opens_and_what_is_new_behind_it() {
    let messages = (0..5).map(|sequence| published(sequence, "x", QOS1)).collect();
    let mut bench = restore(Options { inflight_max: 2, ..stored() }, Restored { messages, ..left() });
    bench.open();
    bench.connack(true, Properties::EMPTY).unwrap();
    bench.send("new", QOS1);
    bench.store();
    assert_eq!(bench.lines(), ["PUBLISH 1 q1 dup t=x", "PUBLISH 2 q1 dup t=x"]);
    for acknowledged in 1..=5 {
        bench.feed(puback(acknowledged)).unwrap();
    }
    assert_eq!(
        bench.lines(),
        ["PUBLISH 3 q1 dup t=x", "PUBLISH 4 q1 dup t=x", "PUBLISH 5 q1 dup t=x", "PUBLISH 6 q1 t=new"]
    );
}

#[test]
fn a_message_that_expired_meanwhile_is_sent_with_nothing_left() {
    let state = MessageState::Published { message: message("x", QOS1), expires_at: Some(Instant::ZERO) };
    let messages = [RestoredMessage { sequence: 0, state }].to_vec();
    let mut bench = connected(Restored { messages, ..left() }, true);
    let Packet::Publish(publish) = bench.sent().remove(0) else { panic!("no PUBLISH") };
    assert_eq!(publish.message.expiry, Some(0));
}
