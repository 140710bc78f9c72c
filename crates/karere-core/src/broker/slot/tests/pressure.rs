//! Readers that do not read: marks, pressure, slow.

use super::*;
use crate::broker::DropReason;

const HIGH: usize = 400;
const LOW: usize = 100;

fn bench() -> Bench {
    let options = Options {
        outbox_high_bytes: HIGH,
        outbox_low_bytes: LOW,
        outbox_bytes_max: 2 * HIGH,
        ..Options::default()
    };
    Bench::attached_with(options, lasting(Version::V5))
}

fn fifty() -> String {
    "x".repeat(44) // 50 bytes with the header
}

/// Delivers QoS 0 until it says something else than that it was taken.
fn fill(bench: &mut Bench) -> Delivered {
    loop {
        match bench.give(&fifty(), QOS0) {
            Delivered::Taken => {}
            other => return other,
        }
    }
}

/// The driver writes until this many bytes are left.
fn write_down_to(bench: &mut Bench, left: usize) -> bool {
    let outbox = bench.slot.poll_transmit().unwrap();
    let bytes = drain(outbox);
    let mut rest = Outbox::default();
    rest.push_slice(&bytes[bytes.len() - left..]);
    bench.slot.poll_transmit().unwrap().put_back(&mut rest);
    bench.slot.handle_written(bench.now, bytes.len() - left)
}

#[test]
fn at_the_high_mark_the_publisher_is_to_wait_and_the_message_went_all_the_same() {
    let mut bench = bench();
    assert_eq!(fill(&mut bench), Delivered::Pressure);
    assert!((HIGH..HIGH + 50).contains(&bench.slot.outbox_bytes()));
    assert!(!write_down_to(&mut bench, LOW + 1), "not yet");
    assert!(write_down_to(&mut bench, LOW), "now they may go on");
    assert!(!write_down_to(&mut bench, 0), "told once");
    assert_eq!(bench.give("x", QOS0), Delivered::Taken);
}

#[test]
fn bytes_that_the_driver_has_taken_and_not_written_count() {
    let mut bench = bench();
    fill(&mut bench);
    let taken = drain(bench.slot.poll_transmit().unwrap()).len();
    assert_eq!(bench.give("x", QOS0), Delivered::Pressure);
    assert!(bench.slot.handle_written(bench.now, taken));
}

#[test]
fn a_slow_reader_loses_qos_0_without_anybody_waiting_until_it_has_drained() {
    let mut bench = bench();
    fill(&mut bench);
    bench.slot.mark_slow();
    assert_eq!(bench.give("x", QOS0), Delivered::Dropped(DropReason::Slow));
    write_down_to(&mut bench, LOW + 50);
    assert_eq!(bench.give("x", QOS0), Delivered::Dropped(DropReason::Slow), "not drained yet");
    write_down_to(&mut bench, LOW);
    assert_eq!(bench.give("x", QOS0), Delivered::Taken);
    assert_eq!(bench.slot.counters().dropped_slow, 2);
}

#[test]
fn one_that_nobody_waits_for_is_not_slow() {
    let mut bench = bench();
    bench.slot.mark_slow();
    assert_eq!(bench.give("x", QOS0), Delivered::Taken);
}

#[test]
fn the_outboxs_own_limit_holds_whether_publishers_wait_or_not() {
    let mut bench = bench();
    let mut taken = 0;
    while bench.give(&fifty(), QOS0) != Delivered::Dropped(DropReason::Slow) {
        taken += 1;
        assert!(taken < 100);
    }
    assert!(bench.slot.outbox_bytes() < 2 * HIGH + 50);
}

#[test]
fn qos_1_stays_in_the_queue_above_the_high_mark_and_goes_in_its_order_below_the_low_one() {
    let mut bench = bench();
    for n in 0..20 {
        assert_eq!(bench.give(&format!("{n:044}"), QOS1), Delivered::Taken);
    }
    let queued = bench.slot.queued();
    assert!(queued > 5, "{queued}");
    let mut numbers = Vec::<i32>::new();
    loop {
        let sent = bench.sent();
        if sent.is_empty() {
            break;
        }
        assert!(
            sent.iter().map(|packet| packet.encoded_len(Version::V5).unwrap()).sum::<usize>() < HIGH + 60
        );
        numbers.extend(sent.iter().map(|packet| match packet {
            Packet::Publish(publish) => {
                String::from_utf8_lossy(&publish.message.payload).parse::<i32>().unwrap()
            }
            other => panic!("{other:?}"),
        }));
    }
    assert_eq!(numbers, (0..20).collect::<Vec<i32>>());
}

#[test]
fn qos_0_passes_a_window_that_is_closed_for_qos_1() {
    let mut bench = Bench::attached(saying([Property::ReceiveMaximum(1)]));
    bench.give("1", QOS1);
    bench.give("2", QOS1);
    bench.give("zero", QOS0);
    assert_eq!(bench.lines(), ["PUBLISH 1 q1 t=1", "PUBLISH q0 t=zero"]);
}
