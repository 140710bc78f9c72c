//! The engine on a simulated disk: what comes back after which end.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::disk::{Simulated, Tail};

mod crash;
mod failing;

type Model = BTreeMap<Key, Vec<u8>>;
use crate::batch::Key;

fn key(item: u64) -> Key {
    Key::new(1, 1, item)
}

fn small() -> Options {
    Options { segment_bytes: 600, slack_bytes: 800, reserve_bytes: 0, ..Options::default() }
}

fn open(disk: &Simulated) -> Log<Simulated> {
    Log::open(disk.clone(), small()).unwrap().0
}

fn put(log: &mut Log<Simulated>, item: u64, value: &[u8]) {
    let mut batch = Batch::new();
    batch.put(key(item), &[value]);
    log.append(&batch).unwrap();
}

fn remove(log: &mut Log<Simulated>, item: u64) {
    let mut batch = Batch::new();
    batch.remove(key(item));
    log.append(&batch).unwrap();
}

/// All that a log has, read in both ways.
fn contents(log: &Log<Simulated>) -> Model {
    let mut visited = Model::new();
    log.visit(|_| true, |key, value| _ = visited.insert(key, value.to_vec())).unwrap();
    for (key, value) in &visited {
        assert_eq!(log.get(*key).unwrap().as_ref(), Some(value));
    }
    assert_eq!(visited.len(), log.len());
    visited
}

#[test]
fn a_value_is_found_before_it_is_durable_and_after_a_restart() {
    let disk = Simulated::new();
    let mut log = open(&disk);
    put(&mut log, 1, b"one");
    assert_eq!(log.get(key(1)).unwrap().unwrap(), b"one");
    log.sync().unwrap();
    put(&mut log, 1, b"another");
    remove(&mut log, 2);
    log.sync().unwrap();
    drop(log);
    let log = open(&disk);
    assert_eq!(contents(&log), Model::from([(key(1), b"another".to_vec())]));
    assert_eq!(log.keys(|key| key.item == 1), [key(1)]);
    assert!(log.keys(|key| key.table == 9).is_empty());
}

#[test]
fn a_removed_value_stays_removed_when_the_oldest_segments_have_gone() {
    let disk = Simulated::new();
    let mut log = open(&disk);
    for round in 0..200 {
        put(&mut log, round % 5, &[round as u8; 40]);
        put(&mut log, 1000 + round, b"short-lived");
        remove(&mut log, 1000 + round);
        log.sync().unwrap();
        if log.wants_compaction() {
            log.compact(500).unwrap();
        }
    }
    assert!(disk.used() < 4000, "{} bytes for 5 values of 40", disk.used());
    let before = contents(&log);
    drop(log);
    assert_eq!(contents(&open(&disk)), before);
    assert_eq!(before.len(), 5);
}

#[test]
fn the_values_of_a_segment_that_is_compacted_can_be_read_all_the_time() {
    let disk = Simulated::new();
    let mut log = open(&disk);
    for item in 0..100 {
        put(&mut log, item, &[item as u8; 30]);
        log.sync().unwrap();
    }
    let expected = contents(&log);
    for _ in 0..50 {
        log.compact(100).unwrap();
        assert_eq!(contents(&log), expected);
        log.sync().unwrap();
        assert_eq!(contents(&log), expected);
    }
}

#[test]
fn a_start_for_each_of_a_hundred_values_does_not_leave_a_hundred_segments() {
    let disk = Simulated::new();
    for item in 0..150 {
        let mut log = open(&disk);
        put(&mut log, item, b"value");
        log.sync().unwrap();
        while log.wants_compaction() {
            log.compact(10_000).unwrap();
            log.sync().unwrap();
        }
    }
    assert!(disk.list().unwrap().len() < 80);
    assert_eq!(open(&disk).len(), 150);
}

#[test]
fn a_batch_that_is_too_large_is_refused_and_leaves_nothing() {
    let disk = Simulated::new();
    let mut log = open(&disk);
    let mut batch = Batch::new();
    batch.put(key(1), &[&vec![0; BODY_LEN_MAX]]);
    assert!(matches!(log.append(&batch), Err(Error::TooLarge(_))));
    assert!(log.is_empty());
}

#[test]
fn a_flipped_bit_in_what_was_durable_costs_its_batch_and_is_reported() {
    let disk = Simulated::new();
    let mut log = open(&disk);
    for item in 0..5 {
        put(&mut log, item, &[item as u8; 20]);
        log.sync().unwrap();
    }
    drop(log);
    // In the value of the third of five frames of 24 + 22 + 20 bytes.
    disk.damage(1, SEGMENT_HEAD_LEN + 2 * 66 + 50, 0x10);
    let (log, report) = Log::open(disk.clone(), small()).unwrap();
    assert_eq!(report.damages.len(), 1, "{report:?}");
    assert_eq!((report.damages[0].offset, report.damages[0].len), (40 + 2 * 66, 66));
    assert_eq!(disk.quarantined().len(), 1);
    let kept: Vec<_> = contents(&log).keys().map(|key| key.item).collect();
    assert_eq!(kept, [0, 1, 3, 4]);
}

#[test]
fn a_segment_of_a_newer_format_is_left_alone() {
    let disk = Simulated::new();
    drop(open(&disk));
    let mut head = disk.bytes(1)[..SEGMENT_HEAD_LEN].to_vec();
    head[8] = 2;
    let checksum = crc32fast::hash(&head[..36]).to_le_bytes();
    head[36..].copy_from_slice(&checksum);
    for (at, (is, was)) in head.iter().zip(disk.bytes(1)).enumerate() {
        disk.damage(1, at, is ^ was);
    }
    let error = Log::open(disk.clone(), small()).unwrap_err();
    assert!(matches!(error, OpenError::Newer { segment: 1, format: 2 }), "{error}");
}

#[test]
fn a_segment_that_is_missing_between_two_others_is_an_error() {
    let mut disk = Simulated::new();
    for _ in 0..3 {
        drop(open(&disk));
    }
    disk.remove(2).unwrap();
    assert!(matches!(Log::open(disk, small()), Err(OpenError::Missing { segment: 2 })));
}

/// What a test does to a log.
#[derive(Debug, Clone)]
enum Step {
    Put(u64, u8, usize),
    Remove(u64),
    Sync,
    Compact,
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..8u64, any::<u8>(), 0..90usize).prop_map(|(item, byte, len)| Step::Put(item, byte, len)),
        2 => (0..8u64).prop_map(Step::Remove),
        3 => Just(Step::Sync),
        2 => Just(Step::Compact),
        1 => Just(Step::Reopen),
    ]
}

proptest! {
    #[test]
    fn a_log_is_a_map_whatever_is_done_to_it(steps in proptest::collection::vec(step(), 1..120)) {
        let disk = Simulated::new();
        let (mut log, mut model) = (open(&disk), Model::new());
        for step in steps {
            match step {
                Step::Put(item, byte, len) => {
                    put(&mut log, item, &vec![byte; len]);
                    model.insert(key(item), vec![byte; len]);
                }
                Step::Remove(item) => {
                    remove(&mut log, item);
                    model.remove(&key(item));
                }
                Step::Sync => log.sync().unwrap(),
                Step::Compact => log.compact(150).unwrap(),
                Step::Reopen => {
                    log.sync().unwrap();
                    drop(log);
                    log = open(&disk);
                }
            }
            prop_assert_eq!(&contents(&log), &model);
        }
        log.sync().unwrap();
        let after = Simulated::after(&disk.history(), Tail::Lost);
        prop_assert_eq!(contents(&open(&after)), model);
    }
}
