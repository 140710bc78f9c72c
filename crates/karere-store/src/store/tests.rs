//! Group commit in its thread.

use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use super::*;
use crate::batch::Key;
use crate::disk::Simulated;
use crate::log::Options;

const SOON: Duration = Duration::from_secs(20);

fn start(disk: &Simulated) -> (Store, Receiver<Outcome>) {
    let (told, outcomes) = channel();
    let log = Log::open(disk.clone(), Options { reserve_bytes: 0, ..Options::default() }).unwrap().0;
    (Store::start(log, move |outcome| _ = told.send(outcome)).unwrap(), outcomes)
}

fn batch(item: u64) -> Batch {
    let mut batch = Batch::new();
    batch.put(Key::new(1, 1, item), &[b"value"]);
    batch
}

/// Hears outcomes up to `ticket`, and how many there were.
fn heard(outcomes: &Receiver<Outcome>, ticket: Ticket) -> usize {
    for count in 1.. {
        match outcomes.recv_timeout(SOON).unwrap() {
            Outcome::Durable(up_to) if up_to >= ticket => return count,
            Outcome::Durable(_) => {}
            doubt => panic!("{doubt:?}"),
        }
    }
    unreachable!()
}

fn items(disk: &Simulated) -> usize {
    Log::open(disk.clone(), Options::default()).unwrap().0.len()
}

#[test]
fn what_is_reported_durable_is_there_after_a_crash() {
    let disk = Simulated::new();
    let (store, outcomes) = start(&disk);
    let tickets: Vec<_> = (0..1000).map(|item| store.submit(batch(item)).unwrap()).collect();
    let syncs = heard(&outcomes, *tickets.last().unwrap());
    let crashed = Simulated::after(&disk.history(), crate::disk::Tail::Lost);
    assert_eq!(items(&crashed), 1000);
    assert!(syncs <= 1000, "{syncs} syncs");
    drop(store);
}

#[test]
fn what_was_submitted_is_written_before_the_store_is_gone() {
    let disk = Simulated::new();
    let (store, _outcomes) = start(&disk);
    (0..100).for_each(|item| _ = store.submit(batch(item)).unwrap());
    drop(store);
    assert_eq!(items(&Simulated::after(&disk.history(), crate::disk::Tail::Lost)), 100);
}

#[test]
fn a_failure_is_told_refuses_what_is_new_and_passes() {
    let disk = Simulated::new();
    let (store, outcomes) = start(&disk);
    let first = store.submit(batch(1)).unwrap();
    heard(&outcomes, first);
    disk.fail_in(0, true);
    let second = store.submit(batch(2)).unwrap();
    assert_eq!(outcomes.recv_timeout(SOON).unwrap(), Outcome::InDoubt(second));
    assert_eq!(store.submit(batch(3)), Err(Refused::Failing));
    assert!(store.last_error().unwrap().contains("the simulated disk fails"));
    let mut change = Batch::new();
    change.remove(Key::new(1, 1, 1));
    store.submit_change(change);
    disk.mend();
    // It is tried again by itself.
    while store.is_failing() {
        thread::sleep(Duration::from_millis(5));
    }
    let last = store.submit(batch(4)).unwrap_or_else(|refused| match refused {
        // Without a reserve to give back and take again there is no way to be full for long.
        Refused::Full => loop {
            if let Ok(ticket) = store.submit(batch(4)) {
                break ticket;
            }
        },
        Refused::Failing => panic!("it works again"),
    });
    while !matches!(outcomes.recv_timeout(SOON).unwrap(), Outcome::Durable(up_to) if up_to >= last) {}
    drop(store);
    assert_eq!(
        items(&Simulated::after(&disk.history(), crate::disk::Tail::Lost)),
        2,
        "the second and the fourth"
    );
}
