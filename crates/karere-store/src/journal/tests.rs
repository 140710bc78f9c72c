//! Writing in the caller's thread and syncing beside it.

use std::sync::mpsc::{Receiver, channel};

use super::*;
use crate::batch::Key;
use crate::disk::{Directory, Simulated, Tail};
use crate::log::Options;

const SOON: Duration = Duration::from_secs(20);
const MUCH: u64 = 1 << 30;

fn options() -> Options {
    Options { reserve_bytes: 0, ..Options::default() }
}

fn start(disk: &Simulated, options: Options, bytes_max: u64) -> (Journal, Receiver<Mark>) {
    let (told, marks) = channel();
    let log = Log::open(disk.clone(), options).unwrap().0;
    (Journal::start(log, bytes_max, move |mark| _ = told.send(mark)).unwrap(), marks)
}

fn put(item: u64) -> Batch {
    let mut batch = Batch::new();
    batch.put(Key::new(1, 1, item), &[b"value"]);
    batch
}

fn removal(item: u64) -> Batch {
    let mut batch = Batch::new();
    batch.remove(Key::new(1, 1, item));
    batch
}

fn items(disk: &Simulated, tail: Tail) -> Vec<u64> {
    let log = Log::open(Simulated::after(&disk.history(), tail), options()).unwrap().0;
    log.keys(|_| true).into_iter().map(|key| key.item).collect()
}

fn hear(marks: &Receiver<Mark>, mark: Mark) {
    while marks.recv_timeout(SOON).unwrap() < mark {}
}

#[test]
fn what_is_written_outlives_the_process_at_once_and_the_power_once_it_is_told() {
    let disk = Simulated::new();
    let (journal, marks) = start(&disk, options(), MUCH);
    disk.hold_syncs(true);
    let written = journal.write(&put(1)).unwrap();
    assert!(!written.is_durable);
    assert_eq!(items(&disk, Tail::Kept), [1]);
    assert_eq!(items(&disk, Tail::Lost), []);
    disk.hold_syncs(false);
    hear(&marks, written.mark);
    assert_eq!(items(&disk, Tail::Lost), [1]);
}

/// Waits until the thread is in the midst of a sync that is held.
fn await_sync(disk: &Simulated) {
    while disk.held_syncs() == 0 {
        thread::yield_now();
    }
}

#[test]
fn writing_waits_for_no_sync_and_one_sync_is_for_all_that_was_written_meanwhile() {
    let disk = Simulated::new();
    let (journal, marks) = start(&disk, options(), MUCH);
    disk.hold_syncs(true);
    journal.write(&put(1000)).unwrap();
    await_sync(&disk);
    let last = (0..1000).map(|item| journal.write(&put(item)).unwrap().mark).max().unwrap();
    assert!(!journal.wait(last, Some(Instant::now())));
    assert_eq!(items(&disk, Tail::Kept).len(), 1001);
    disk.hold_syncs(false);
    hear(&marks, last);
    assert_eq!(items(&disk, Tail::Lost).len(), 1001);
    let syncs = disk.history().into_iter().filter(|change| matches!(change, crate::Change::Sync(_))).count();
    assert_eq!(syncs, 3, "of the head, one that ran, and one for all the rest");
}

#[test]
fn what_is_written_while_a_segment_is_synced_that_ends_there_counts() {
    let disk = Simulated::new();
    let (journal, marks) = start(&disk, Options { segment_bytes: 60, ..options() }, MUCH);
    disk.hold_syncs(true);
    journal.write(&put(1)).unwrap();
    await_sync(&disk);
    let last = journal.write(&put(2)).unwrap().mark;
    disk.hold_syncs(false);
    hear(&marks, last);
    assert_eq!(items(&disk, Tail::Lost), [1, 2]);
    assert!(disk.list().unwrap().len() > 1);
}

#[test]
fn what_nobody_waits_for_is_written_at_once_and_synced_with_something_else_or_at_the_end() {
    let disk = Simulated::new();
    let (journal, marks) = start(&disk, options(), MUCH);
    let first = journal.write(&put(1)).unwrap();
    hear(&marks, first.mark);
    let before = disk.history().len();
    journal.write_change(&removal(1), false);
    assert_eq!(disk.history().len(), before + 1, "written");
    assert_eq!(items(&disk, Tail::Kept), []);
    assert_eq!(items(&disk, Tail::Lost), [1]);
    drop(journal);
    assert_eq!(items(&disk, Tail::Lost), []);
    let (journal, marks) = start(&disk, options(), MUCH);
    hear(&marks, journal.write_change(&put(2), true).mark);
    assert_eq!(items(&disk, Tail::Lost), [2]);
}

#[test]
fn a_full_store_refuses_what_is_new_until_something_goes() {
    let disk = Simulated::new();
    let (journal, _marks) = start(&disk, options(), 100);
    let mut item = 0;
    let refused = loop {
        match journal.write(&put(item)) {
            Ok(_) => item += 1,
            Err(refused) => break refused,
        }
    };
    assert!(matches!(refused, NotWritten::Full { needed: 81, max: 100 }), "{refused}");
    journal.write_change(&removal(0), false);
    journal.write(&put(item)).unwrap();
    drop(journal);
    assert_eq!(items(&disk, Tail::Lost), [1, 2, 3]);
}

#[test]
fn what_could_not_be_written_does_not_come_back_and_what_was_written_before_does() {
    let disk = Simulated::new();
    let (journal, marks) = start(&disk, options(), MUCH);
    disk.hold_syncs(true);
    journal.write(&put(1)).unwrap();
    disk.fail_in(0, true);
    let failed = journal.write(&put(2)).unwrap_err();
    assert!(matches!(&failed, NotWritten::Failed(_)), "{failed}");
    assert!(failed.to_string().contains("the simulated disk fails"), "{failed}");
    assert_eq!(journal.write(&put(3)), Err(NotWritten::Failing));
    let removed = journal.write_change(&removal(4), true);
    assert!(!removed.is_durable);
    assert!(marks.try_recv().is_err());
    disk.mend();
    disk.hold_syncs(false);
    hear(&marks, removed.mark);
    assert_eq!(items(&disk, Tail::Lost), [1]);
    assert!(journal.last_error().is_some());
    while journal.is_failing() {
        thread::yield_now();
    }
    // Without a reserve to take again there is no room kept back for long.
    while journal.write(&put(5)).is_err() {
        thread::yield_now();
    }
}

#[test]
fn nothing_is_told_of_a_sync_that_failed_before_all_is_written_anew() {
    let disk = Simulated::new();
    let (journal, marks) = start(&disk, options(), MUCH);
    disk.hold_syncs(true);
    let mark = journal.write(&put(1)).unwrap().mark;
    // The sync, and the first attempts to write it anew.
    disk.fail_in(0, true);
    disk.hold_syncs(false);
    assert!(!journal.wait(mark, Some(Instant::now() + Duration::from_millis(50))));
    assert!(marks.try_recv().is_err());
    disk.mend();
    hear(&marks, mark);
    let history = disk.history();
    let newest = history.iter().rfind(|change| matches!(change, crate::Change::Create(_)));
    assert_ne!(newest, Some(&crate::Change::Create(1)), "in a segment of its own");
    assert_eq!(items(&disk, Tail::Lost), [1]);
}

#[test]
fn with_the_operating_system_is_enough_where_that_was_asked_for() {
    let disk = Simulated::new();
    let options = Options { durability: Durability::Os, segment_bytes: 500, ..options() };
    let (journal, _marks) = start(&disk, options, MUCH);
    disk.hold_syncs(true);
    for item in 0..3 {
        assert!(journal.write(&put(item)).unwrap().is_durable);
    }
    assert_eq!(items(&disk, Tail::Kept), [0, 1, 2]);
    assert_eq!(items(&disk, Tail::Lost), []);
    disk.hold_syncs(false);
}

#[test]
fn with_no_durability_it_is_written_soon_and_at_the_end() {
    let disk = Simulated::new();
    let (journal, _marks) = start(&disk, Options { durability: Durability::None, ..options() }, MUCH);
    let before = disk.history().len();
    assert!(journal.write(&put(1)).unwrap().is_durable);
    assert_eq!(disk.history().len(), before);
    while disk.history().len() == before {
        thread::yield_now();
    }
    journal.write(&put(2)).unwrap();
    drop(journal);
    assert_eq!(items(&disk, Tail::Kept), [1, 2]);
}

#[test]
fn segments_follow_each_other_and_go_while_everybody_writes() {
    let folder = tempfile::tempdir().unwrap();
    let options =
        Options { segment_bytes: 20_000, slack_bytes: 50_000, reserve_bytes: 1000, ..Options::default() };
    let log = Log::open(Directory::open(folder.path()).unwrap(), options.clone()).unwrap().0;
    let journal = Arc::new(Journal::start(log, MUCH, |_| {}).unwrap());
    let writers: Vec<_> = (0..4_u64)
        .map(|writer| {
            let journal = Arc::clone(&journal);
            thread::spawn(move || {
                for round in 0..4_000 {
                    let item = round * 4 + writer;
                    journal.write(&put(item)).unwrap();
                    if item >= 40 {
                        journal.write_change(&removal(item - 40), false);
                    }
                }
            })
        })
        .collect();
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    let last = journal.write_change(&removal(u64::MAX), true);
    assert!(journal.wait(last.mark, Some(Instant::now() + SOON)));
    assert_eq!(journal.bytes().0, 40 * 27);
    // Of 1.5 MB that were written; room is made behind the syncs.
    let until = Instant::now() + SOON;
    while journal.bytes().1 >= 200_000 {
        assert!(Instant::now() < until, "{} bytes for 40 values", journal.bytes().1);
        thread::sleep(Duration::from_millis(5));
    }
    drop(journal);
    let log = Log::open(Directory::open(folder.path()).unwrap(), options).unwrap().0;
    let items: Vec<_> = log.keys(|_| true).into_iter().map(|key| key.item).collect();
    assert_eq!(items, (15_960..16_000).collect::<Vec<_>>());
}

#[test]
fn a_crash_at_any_point_keeps_all_that_was_told_durable() {
    let disk = Simulated::new();
    let (told, marks) = channel();
    let options = Options { segment_bytes: 400, slack_bytes: 400, ..options() };
    let log = Log::open(disk.clone(), options).unwrap().0;
    let at = disk.clone();
    // How much had happened to the disk when it was told.
    let journal = Journal::start(log, MUCH, move |mark| _ = told.send((mark, at.history().len()))).unwrap();
    for item in 1..=60 {
        journal.write(&put(item)).unwrap();
        if item % 7 == 0 {
            thread::yield_now();
        }
    }
    journal.wait(Mark(60), None);
    drop(journal);
    let history = disk.history();
    let told: Vec<_> = marks.try_iter().collect();
    for tail in [Tail::Lost, Tail::Torn(30), Tail::Holes(0b1010)] {
        for crash in 4..history.len() {
            let durable = told.iter().rfind(|(_, len)| *len <= crash).map_or(0, |(mark, _)| mark.0);
            let log = Log::open(Simulated::after(&history[..crash], tail), self::options()).unwrap().0;
            let kept = log.keys(|key| key.item <= durable).len() as u64;
            assert_eq!(kept, durable, "crash after {crash} of {}, {tail:?}", history.len());
        }
    }
}

#[test]
fn a_journal_that_was_closed_goes_on_where_nobody_else_was_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let open = || Log::open(Directory::open(folder.path()).unwrap(), options()).unwrap().0;
    let journal = Journal::start(open(), MUCH, |_| {}).unwrap();
    journal.write(&put(1)).unwrap();
    assert!(journal.close());
    assert_eq!(journal.write(&put(2)), Err(NotWritten::Closed));
    let removed = journal.write_change(&removal(1), true);
    assert!(!removed.is_durable);
    journal.reopen().unwrap();
    assert!(Directory::open(folder.path()).is_err(), "it is ours again");
    assert!(journal.wait(removed.mark, Some(Instant::now() + SOON)));
    journal.write(&put(3)).unwrap();
    journal.close();
    let other = open();
    assert_eq!(other.keys(|_| true), [Key::new(1, 1, 3)]);
    assert!(matches!(journal.reopen(), Err(OpenError::Locked { .. })));
    drop(other);
    assert!(matches!(journal.reopen(), Err(OpenError::Changed)));
    assert!(Directory::open(folder.path()).is_ok(), "and it does not keep it");
}
