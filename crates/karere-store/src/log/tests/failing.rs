//! A disk that fails: nothing in doubt is taken for durable, nothing is lost, and the store goes on.

use super::*;

#[test]
fn what_was_in_doubt_is_written_anew_and_the_failed_tail_is_never_read() {
    let disk = Simulated::new();
    let mut log = open(&disk);
    put(&mut log, 1, b"durable");
    log.sync().unwrap();
    put(&mut log, 1, b"in doubt");
    put(&mut log, 2, b"in doubt too");
    disk.fail_in(1, true); // The write goes through, the sync does not.
    assert!(matches!(log.sync(), Err(Error::Failed(_))));
    assert!(matches!(log.sync(), Err(Error::Failing)), "a failed sync is not tried again");
    remove(&mut log, 1);
    assert!(log.recover().is_err());
    let before = disk.history().len();
    disk.mend();
    log.recover().unwrap();
    let expected = Model::from([(key(2), b"in doubt too".to_vec())]);
    assert_eq!(contents(&log), expected);
    put(&mut log, 3, b"after");
    log.sync().unwrap();
    let expected = Model::from([(key(2), b"in doubt too".to_vec()), (key(3), b"after".to_vec())]);
    for tail in [Tail::Kept, Tail::Lost] {
        assert_eq!(contents(&open(&Simulated::after(&disk.history(), tail))), expected);
    }
    // A crash before anything was written anew finds what was durable, or what was in doubt.
    let crashed = contents(&open(&Simulated::after(&disk.history()[..before], Tail::Lost)));
    assert_eq!(crashed, Model::from([(key(1), b"durable".to_vec())]));
}

#[test]
fn a_failure_of_any_write_or_sync_loses_nothing_that_was_durable() {
    for fails_in in 0..60 {
        for stays in [false, true] {
            let disk = Simulated::new();
            let (mut log, mut model) = (open(&disk), Model::new());
            disk.fail_in(fails_in, stays);
            for round in 0..30_u64 {
                put(&mut log, round % 4, &[round as u8; 50]);
                model.insert(key(round % 4), vec![round as u8; 50]);
                if log.sync().is_ok() && log.wants_compaction() {
                    _ = log.compact(200);
                }
                if round % 5 == 4 {
                    disk.mend();
                    log.recover().unwrap();
                }
                assert_eq!(contents(&log), model, "failing in {fails_in}, round {round}");
            }
            disk.mend();
            log.recover().unwrap();
            log.sync().unwrap();
            let after = Simulated::after(&disk.history(), Tail::Lost);
            assert_eq!(contents(&open(&after)), model, "failing in {fails_in}");
        }
    }
}

#[test]
fn on_a_full_disk_the_reserve_lets_removals_and_compaction_make_room() {
    // With a slack that is larger than the disk, too: there, what is garbage is what is missing.
    for slack_bytes in [small().slack_bytes, 1 << 20] {
        let disk = Simulated::new();
        disk.limit(Some(9_000));
        let options = Options { reserve_bytes: 4_000, slack_bytes, ..small() };
        let mut log = Log::open(disk.clone(), options).unwrap().0;
        let mut item = 0;
        let full = loop {
            item += 1;
            put(&mut log, item, &[7; 200]);
            if let Err(error) = log.sync() {
                break error;
            }
        };
        assert!(matches!(full, Error::Failed(_)), "{full}");
        log.recover().unwrap();
        assert!(log.is_full());
        for item in 1..=item {
            remove(&mut log, item);
            log.sync().unwrap();
            while log.wants_compaction() {
                log.compact(1_000).unwrap();
                log.sync().unwrap();
            }
        }
        log.refill().unwrap();
        assert!(!log.is_full());
        assert!(contents(&log).is_empty());
    }
}

#[test]
fn a_segment_whose_removal_has_failed_goes_before_any_younger_one() {
    for fails_in in 0..200 {
        let disk = Simulated::new();
        let (mut log, mut model) = (open(&disk), Model::new());
        disk.fail_in(fails_in, false);
        for round in 0..60_u64 {
            put(&mut log, round % 4, &[round as u8; 50]);
            model.insert(key(round % 4), vec![round as u8; 50]);
            if log.is_failing() {
                log.recover().unwrap();
            }
            if log.sync().is_ok() && log.wants_compaction() {
                _ = log.compact(200);
            }
        }
        log.recover().unwrap();
        log.sync().unwrap();
        for tail in [Tail::Kept, Tail::Lost] {
            let after = open(&Simulated::after(&disk.history(), tail));
            assert_eq!(contents(&after), model, "failing in {fails_in}, {tail:?}");
        }
    }
}
