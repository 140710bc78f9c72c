//! Two thousand seeds, the crash points of one run, and every named fault: the first two must show nothing, each of the
//! others must be seen.

use karere_sim::{Counts, Fault, Kind, crash_points, minimal_trace, mutants, simulate};
use karere_store::Tail;

/// What is cut off behind each of its writes and syncs.
const CRASH_SEED: u64 = 1;

/// Runs seeds, and fails with the story of the first that goes wrong.
fn run(seeds: std::ops::RangeInclusive<u64>) -> Counts {
    let mut counts = Counts::default();
    for seed in seeds {
        let verdict = simulate(seed, None);
        counts += verdict.counts;
        let trace = || minimal_trace(seed, None).unwrap_or_default();
        assert!(verdict.violations.is_empty(), "{verdict}\n{}", trace());
    }
    counts
}

/// Runs seeds with a fault until it is seen for what it is.
fn sees(fault: Fault, kinds: &[Kind]) {
    const SEEDS: u64 = 150;
    let is_seen =
        |seed| simulate(seed, Some(fault)).violations.iter().any(|violation| kinds.contains(&violation.kind));
    assert!((1..=SEEDS).any(is_seen), "{fault:?} was not seen as {kinds:?} in {SEEDS} seeds");
}

/// The four quarters of the run, each a test of its own, so that they run side by side.
fn quarter(number: u64) -> Counts {
    run(500 * number + 1..=500 * (number + 1))
}

#[test]
fn the_first_five_hundred_seeds_keep_every_promise() {
    let counts = quarter(0);
    let Counts { published, received, received_again, connected, resumed, cut, .. } = counts;
    let Counts { ended, wills, shared, dropped, restored, commits, misled, .. } = counts;
    let often = [
        published,
        received,
        received_again,
        connected,
        resumed,
        cut,
        ended,
        wills,
        shared,
        dropped,
        restored,
    ];
    assert!(often.iter().all(|count| *count > 1_000) && commits > 10_000, "too little happened: {counts:?}");
    let Counts { on_disk, killed, in_doubt, refused, .. } = counts;
    assert!([on_disk, killed, in_doubt, refused].iter().all(|count| *count > 50), "too little: {counts:?}");
    assert!(misled < ended / 50, "too many sessions could not be judged: {counts:?}");
}

#[test]
fn the_second_five_hundred_seeds_keep_every_promise() {
    quarter(1);
}

#[test]
fn the_third_five_hundred_seeds_keep_every_promise() {
    quarter(2);
}

#[test]
fn the_fourth_five_hundred_seeds_keep_every_promise() {
    quarter(3);
}

#[test]
fn behind_whichever_write_or_sync_the_broker_is_killed_a_restart_keeps_every_promise() {
    let points = crash_points(CRASH_SEED, None);
    assert!(points.changes > 150 && points.ends == 5 * points.changes, "too little happened: {points:?}");
    assert!(points.violations.is_empty(), "{:#?}", points.violations);
}

#[test]
fn what_a_crash_point_loses_is_seen() {
    let lost = crash_points(CRASH_SEED, Some(Fault::AcknowledgeEarly)).violations;
    assert!(lost.iter().any(|(_, tail, violation)| *tail == Tail::Lost && violation.kind == Kind::Loss));
}

#[test]
fn every_named_fault_is_seen() {
    let missed: Vec<&str> = mutants(400)
        .into_iter()
        .filter(|outcome| outcome.caught.is_none())
        .map(|outcome| outcome.named.name)
        .collect();
    assert!(missed.is_empty(), "nobody has seen {missed:?}");
}

#[test]
fn a_seed_decides_everything() {
    for seed in [3, 4_711, u64::MAX] {
        assert_eq!(simulate(seed, None).counts, simulate(seed, None).counts);
    }
}

#[test]
fn a_trace_names_the_seed_and_the_message_and_tells_its_story() {
    let failing = (1..50).find(|seed| !simulate(*seed, Some(Fault::DropAcknowledged)).violations.is_empty());
    let trace = failing.and_then(|seed| minimal_trace(seed, Some(Fault::DropAcknowledged))).unwrap();
    for word in ["seed ", "Loss: session ", "Published peer: ", "Routed message: ", "Attached session: "] {
        assert!(trace.contains(word), "no {word:?} in:\n{trace}");
    }
}

#[test]
fn an_acknowledged_message_that_is_dropped_is_seen() {
    sees(Fault::DropAcknowledged, &[Kind::Loss]);
    sees(Fault::AcknowledgeUnrouted, &[Kind::Loss]);
}

#[test]
fn a_message_that_is_delivered_twice_is_seen() {
    sees(Fault::DeliverTwice, &[Kind::Duplicate]);
}

#[test]
fn messages_in_the_wrong_order_are_seen() {
    sees(Fault::SwapOrder, &[Kind::Order]);
}

#[test]
fn a_retained_message_that_is_forgotten_or_not_replaced_is_seen() {
    sees(Fault::ForgetRetained, &[Kind::Retained]);
    sees(Fault::KeepOldRetained, &[Kind::Retained]);
}

#[test]
fn more_or_larger_packets_than_the_client_takes_are_seen() {
    sees(Fault::ExceedQuota, &[Kind::Quota]);
    sees(Fault::ExceedPacketSize, &[Kind::Quota]);
}

#[test]
fn a_message_that_goes_to_two_members_of_a_group_is_seen() {
    sees(Fault::ShareWithAll, &[Kind::Shared]);
    sees(Fault::MoveQoS2, &[Kind::Shared]);
}

#[test]
fn a_subscription_that_is_lost_is_seen() {
    sees(Fault::ForgetSubscription, &[Kind::Loss]);
}

#[test]
fn a_will_that_is_not_sent_or_sent_after_goodbye_is_seen() {
    sees(Fault::ForgetWill, &[Kind::Will]);
    sees(Fault::WillAfterGoodbye, &[Kind::Will]);
}

#[test]
fn work_that_is_forgotten_or_done_too_late_when_its_connection_goes_is_seen() {
    sees(Fault::ForgetWork, &[Kind::Stuck]);
    sees(Fault::LateWork, &[Kind::Order]);
}
