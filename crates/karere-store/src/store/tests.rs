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
    let tickets: Vec<_> = (0..1000).map(|item| store.submit(&batch(item)).unwrap()).collect();
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
    (0..100).for_each(|item| _ = store.submit(&batch(item)).unwrap());
    drop(store);
    assert_eq!(items(&Simulated::after(&disk.history(), crate::disk::Tail::Lost)), 100);
}

#[test]
fn a_failure_is_told_refuses_what_is_new_and_passes() {
    let disk = Simulated::new();
    let (store, outcomes) = start(&disk);
    let first = store.submit(&batch(1)).unwrap();
    heard(&outcomes, first);
    disk.fail_in(0, true);
    let second = store.submit(&batch(2)).unwrap();
    assert_eq!(outcomes.recv_timeout(SOON).unwrap(), Outcome::InDoubt(second));
    assert_eq!(store.submit(&batch(3)), Err(Refused::Failing));
    assert!(store.last_error().unwrap().contains("the simulated disk fails"));
    let mut change = Batch::new();
    change.remove(Key::new(1, 1, 1));
    store.submit_change(&change);
    disk.mend();
    // It is tried again by itself.
    while store.is_failing() {
        thread::sleep(Duration::from_millis(5));
    }
    let last = store.submit(&batch(4)).unwrap_or_else(|refused| match refused {
        // Without a reserve to give back and take again there is no way to be full for long.
        Refused::Full => loop {
            if let Ok(ticket) = store.submit(&batch(4)) {
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

#[test]
fn what_nobody_asks_for_is_written_soon_and_what_somebody_asks_for_at_once_with_it() {
    let disk = Simulated::new();
    let (store, outcomes) = start(&disk);
    assert_eq!(store.commit(), Ticket::default(), "there is nothing to wait for");
    store.append(|open| open.append(&batch(1)));
    heard(&outcomes, Ticket(1));
    store.append(|open| open.append(&batch(2)));
    store.append(|open| open.append(&batch(3)));
    let ticket = store.commit();
    assert_eq!(ticket, store.commit());
    heard(&outcomes, ticket);
    assert_eq!(items(&Simulated::after(&disk.history(), crate::disk::Tail::Lost)), 3);
}

#[test]
fn a_group_is_one_frame_however_long_it_takes() {
    let disk = Simulated::new();
    let (store, outcomes) = start(&disk);
    for round in 0..50 {
        let group = store.group();
        for item in 0..4 {
            store.append(|open| open.append(&batch(round * 4 + item)));
            _ = store.commit();
            thread::yield_now();
        }
        drop(group);
    }
    heard(&outcomes, store.commit());
    // Wherever it ended, of each four there are all or none.
    for end in 0..disk.history().len() {
        let crashed = Simulated::after(&disk.history()[..end], crate::disk::Tail::Kept);
        assert_eq!(items(&crashed) % 4, 0, "after {end} changes");
    }
}

#[test]
fn what_was_in_doubt_is_told_to_be_durable_when_it_has_been_written_anew() {
    let disk = Simulated::new();
    let (store, outcomes) = start(&disk);
    disk.fail_in(0, true);
    let ticket = store.submit(&batch(1)).unwrap();
    assert_eq!(outcomes.recv_timeout(SOON).unwrap(), Outcome::InDoubt(ticket));
    disk.mend();
    assert_eq!(outcomes.recv_timeout(SOON).unwrap(), Outcome::Durable(ticket));
    assert_eq!(items(&Simulated::after(&disk.history(), crate::disk::Tail::Lost)), 1);
}

#[test]
fn on_a_full_disk_what_is_new_is_refused_and_changes_are_written_without_delay() {
    let disk = Simulated::new();
    let (told, outcomes) = channel();
    let options = Options { reserve_bytes: 4096, ..Options::default() };
    let log = Log::open(disk.clone(), options).unwrap().0;
    let store = Store::start(log, move |outcome| _ = told.send(outcome)).unwrap();
    heard(&outcomes, store.submit(&batch(1)).unwrap());
    disk.limit(Some(disk.used() + 4096));
    let ticket = store.submit(&batch(2)).unwrap();
    assert_eq!(outcomes.recv_timeout(SOON).unwrap(), Outcome::InDoubt(ticket));
    assert_eq!(outcomes.recv_timeout(SOON).unwrap(), Outcome::Durable(ticket), "in what was kept back");
    assert_eq!(store.submit(&batch(3)), Err(Refused::Full));
    let before = Instant::now();
    for _ in 0..10 {
        let mut change = Batch::new();
        change.remove(Key::new(1, 1, 1));
        heard(&outcomes, store.submit_change(&change));
    }
    assert!(before.elapsed() < 5 * RETRY, "each is not to wait for the next try");
    disk.limit(None);
    while store.is_full() {
        thread::sleep(Duration::from_millis(5));
    }
    heard(&outcomes, store.submit(&batch(4)).unwrap());
}

#[test]
fn a_store_that_was_closed_has_let_its_disk_go() {
    let folder = tempfile::tempdir().unwrap();
    let open = || Log::open(crate::Directory::open(folder.path()).unwrap(), Options::default()).unwrap().0;
    let store = Store::start(open(), |_| {}).unwrap();
    store.append(|batch| batch.put(Key::new(1, 1, 1), &[b"value"]));
    store.close();
    assert_eq!(open().len(), 1);
}
