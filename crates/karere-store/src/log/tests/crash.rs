//! Every prefix of what is done to the disk, with every kind of tail: what was durable is there, and what was not is
//! there whole or not at all.

use super::*;
use crate::disk::Change;

/// What a log had at its syncs, by how much had been done to the disk by then.
struct Run {
    history: Vec<Change>,
    /// After so many changes to the disk, this much was durable.
    durable: Vec<(usize, Model)>,
    /// All that it ever was, after each batch.
    states: Vec<Model>,
}

fn run() -> Run {
    let disk = Simulated::new();
    let (mut log, mut model) = (open(&disk), Model::new());
    let mut run = Run { history: Vec::new(), durable: vec![(0, Model::new())], states: vec![Model::new()] };
    for round in 0..40_u64 {
        let mut batch = Batch::new();
        batch.put(key(round % 7), &[&[round as u8; 30]]);
        batch.put(key(100 + round), &[b"one batch"]);
        batch.remove(key(100 + round.wrapping_sub(3)));
        log.append(&batch).unwrap();
        model.insert(key(round % 7), vec![round as u8; 30]);
        model.insert(key(100 + round), b"one batch".to_vec());
        model.remove(&key(100 + round.wrapping_sub(3)));
        run.states.push(model.clone());
        if round % 2 == 1 {
            log.sync().unwrap();
            run.durable.push((disk.history().len(), model.clone()));
            log.compact(300).unwrap();
        } else {
            log.flush().unwrap();
        }
        if round == 20 {
            log.sync().unwrap();
            run.durable.push((disk.history().len(), model.clone()));
            drop(log);
            log = open(&disk);
        }
    }
    run.history = disk.history();
    run
}

/// The disk after `done` changes of the run and a crash; checked, and opened twice.
fn check(run: &Run, done: usize, tail: Tail) {
    let disk = Simulated::after(&run.history[..done], tail);
    let left = disk.history().len();
    let (log, report) = Log::open(disk.clone(), small()).unwrap();
    let found = contents(&log);
    let (_, durable) = run.durable.iter().rev().find(|(at, _)| *at <= done).unwrap();
    let since = run.states.iter().position(|state| state == durable).unwrap();
    assert!(
        run.states[since..].contains(&found),
        "after {done} changes with {tail:?}: {found:?}\nis no state since {durable:?}"
    );
    assert!(report.damages.is_empty(), "after {done} changes with {tail:?}: {report:?}");
    drop(log);
    assert_eq!(contents(&open(&disk)), found, "opened a second time, after {done} changes with {tail:?}");
    // And when it ends again while it is being opened, at any point.
    let history = disk.history();
    for opening in left..=history.len() {
        let again = Simulated::after(&history[..opening], Tail::Lost);
        let changes = opening - left;
        assert_eq!(
            contents(&open(&again)),
            found,
            "after {done} changes with {tail:?} and {changes} of opening"
        );
    }
}

#[test]
fn what_was_durable_is_there_after_a_crash_at_any_point_with_any_tail() {
    let run = run();
    assert!(run.history.iter().any(|change| matches!(change, Change::Remove(_))), "something is compacted");
    for done in 0..=run.history.len() {
        check(&run, done, Tail::Kept);
        check(&run, done, Tail::Lost);
        for bytes in [1, 7, 23, 24, 60, 100] {
            check(&run, done, Tail::Torn(bytes));
        }
        for bits in [0, 0x5555_5555_5555_5555, u64::MAX << 1, 0x1234_5678_9abc_def0] {
            check(&run, done, Tail::Holes(bits));
        }
    }
}
