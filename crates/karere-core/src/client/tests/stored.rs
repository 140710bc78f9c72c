//! With a store: PUBREL and PUBCOMP wait until what they answer is durable, and over connections too.

use super::*;

fn stored() -> Options {
    Options { store: true, ..lasting(Version::V5) }
}

/// The records that have to be stored, with their numbers.
fn records(bench: &mut Bench) -> Vec<StoreSequence> {
    let number = |event| match event {
        Event::Record(number, _) => Some(number),
        _ => None,
    };
    bench.events().into_iter().filter_map(number).collect()
}

#[test]
fn pubrel_waits_until_pubrec_is_stored() {
    let mut bench = Bench::connected(stored());
    bench.send("x", QOS2);
    bench.sent();
    bench.feed(pubrec(1)).unwrap();
    assert!(bench.sent().is_empty());
    let numbers = records(&mut bench);
    assert_eq!(numbers.len(), 1);
    bench.client.handle_stored(bench.now, numbers[0]);
    assert_eq!(bench.lines(), ["PUBREL 1"]);
}

#[test]
fn pubcomp_waits_until_the_release_is_stored_and_others_do_not() {
    let mut bench = Bench::connected(stored());
    bench.feed(publish(1, "t", "x", QOS2)).unwrap();
    let token = bench.tokens().remove(0);
    bench.acknowledge(token);
    assert_eq!(bench.lines(), ["PUBREC 1"]);
    bench.feed(pubrel(1)).unwrap();
    assert!(bench.sent().is_empty());
    bench.send("x", QOS1);
    bench.feed(puback(1)).unwrap();
    assert_eq!(bench.lines(), ["PUBLISH 1 q1 t=x"]);
    let numbers = records(&mut bench);
    assert_eq!(numbers.len(), 2, "released, and finished");
    bench.client.handle_stored(bench.now, numbers[0]);
    assert_eq!(bench.lines(), ["PUBCOMP 1"]);
}

#[test]
fn a_pubrel_sent_again_waits_for_the_store_too() {
    let mut bench = Bench::connected(stored());
    bench.send("x", QOS2);
    bench.sent();
    bench.feed(pubrec(1)).unwrap();
    let numbers = records(&mut bench);
    bench.reconnect(true);
    assert!(bench.sent().is_empty(), "a crash now would send the PUBLISH again");
    bench.client.handle_stored(bench.now, numbers[0]);
    assert_eq!(bench.lines(), ["PUBREL 1"]);
}

#[test]
fn a_pubcomp_for_a_pubrel_sent_again_waits_for_the_store_too() {
    let mut bench = Bench::connected(stored());
    bench.feed(publish(1, "t", "x", QOS2)).unwrap();
    let token = bench.tokens().remove(0);
    bench.acknowledge(token);
    bench.feed(pubrel(1)).unwrap();
    let numbers = records(&mut bench);
    bench.reconnect(true);
    bench.sent();
    bench.feed(pubrel(1)).unwrap();
    assert!(
        bench.sent().is_empty(),
        "a crash now would take the next message with this identifier for a copy"
    );
    bench.client.handle_stored(bench.now, numbers[0]);
    assert_eq!(bench.lines(), ["PUBCOMP 1 0x92"]);
}

#[test]
fn nothing_leaves_behind_disconnect_or_without_a_connection_when_the_store_is_done() {
    for disconnect in [true, false] {
        let mut bench = Bench::connected(stored());
        bench.send("x", QOS2);
        bench.sent();
        bench.feed(pubrec(1)).unwrap();
        let numbers = records(&mut bench);
        if disconnect {
            bench.client.disconnect(bench.now, &Disconnect::normal());
            bench.sent();
        } else {
            bench.client.handle_closed(bench.now);
        }
        bench.client.handle_stored(bench.now, numbers[0]);
        assert!(bench.sent().is_empty());
    }
}

#[test]
fn without_a_store_there_are_no_records_and_nothing_waits() {
    let mut bench = Bench::connected(lasting(Version::V5));
    bench.send("x", QOS2);
    bench.sent();
    bench.feed(pubrec(1)).unwrap();
    assert_eq!(bench.lines(), ["PUBREL 1"]);
    assert!(bench.happened().is_empty());
}

#[test]
fn a_store_that_was_turned_off_holds_nothing_back() {
    let mut bench = Bench::connected(stored());
    bench.send("x", QOS2);
    bench.feed(pubrec(1)).unwrap();
    bench.client.set_options(lasting(Version::V5));
    bench.sent();
    bench.reconnect(true);
    assert_eq!(bench.lines(), ["PUBREL 1"]);
}
