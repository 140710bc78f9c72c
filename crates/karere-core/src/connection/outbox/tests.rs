use super::*;
use std::vec;
use std::vec::Vec;

fn drain(outbox: &mut Outbox, step: usize) -> Vec<u8> {
    let mut out = Vec::new();
    while outbox.has_remaining() {
        let chunk = outbox.chunk();
        assert!(!chunk.is_empty(), "a chunk is never empty while something remains");
        let take = chunk.len().min(step);
        out.extend_from_slice(&chunk[..take]);
        outbox.advance(take);
    }
    out
}

fn mixed() -> (Outbox, Vec<u8>) {
    let mut outbox = Outbox::default();
    let mut expected = Vec::new();
    for round in 0..5u8 {
        outbox.push_slice(&[round; 3]);
        expected.extend_from_slice(&[round; 3]);
        let len = if round % 2 == 0 { 5000 } else { 10 };
        let payload = Bytes::from(vec![round + 100; len]);
        outbox.push_shared(&payload);
        expected.extend_from_slice(&payload);
    }
    (outbox, expected)
}

#[test]
fn flat_bytes_and_large_payloads_leave_in_the_order_they_came() {
    for step in [1, 7, 4096, usize::MAX] {
        let (mut outbox, expected) = mixed();
        assert_eq!(outbox.len(), expected.len());
        assert_eq!(outbox.pushed(), expected.len() as u64);
        assert_eq!(drain(&mut outbox, step), expected);
        assert!(outbox.is_empty());
    }
}

#[test]
fn slices_show_the_same_bytes_as_reading_does() {
    let (outbox, expected) = mixed();
    let mut slices = [&[][..]; 16];
    let used = outbox.slices(&mut slices);
    assert_eq!(slices[..used].concat(), expected);
    let mut few = [&[][..]; 2];
    assert_eq!(outbox.slices(&mut few), 2);
    assert_eq!(few.concat(), expected[..5003]);
}

#[test]
fn one_advance_may_cross_several_payloads() {
    let (mut outbox, expected) = mixed();
    outbox.advance(5003 + 13 + 100);
    assert_eq!(drain(&mut outbox, usize::MAX), expected[5003 + 13 + 100..]);
}

#[test]
fn what_could_not_be_written_goes_back_before_what_came_since() {
    let (mut outbox, expected) = mixed();
    let mut taken = Outbox::default();
    outbox.swap(&mut taken);
    assert!(outbox.is_empty());
    outbox.push_slice(b"later");
    outbox.push_shared(&Bytes::from(vec![7; 5000]));
    outbox.push_slice(b"!");
    let pushed = outbox.pushed();
    taken.advance(4000);
    outbox.put_back(&mut taken);
    assert!(taken.is_empty());
    assert_eq!(outbox.pushed(), pushed, "nothing new was put in");
    let mut all = expected[4000..].to_vec();
    all.extend_from_slice(b"later");
    all.extend_from_slice(&[7; 5000]);
    all.push(b'!');
    assert_eq!(drain(&mut outbox, 999), all);
}

#[test]
fn a_failed_encoding_leaves_nothing_behind() {
    let mut outbox = Outbox::default();
    let result = outbox.write(|out| {
        out.extend_from_slice(b"half");
        Err(())
    });
    assert_eq!(result, Err(()));
    assert!(outbox.is_empty());
    assert_eq!(outbox.pushed(), 0);
}

#[test]
fn a_written_buffer_keeps_its_memory() {
    let mut outbox = Outbox::default();
    outbox.push_slice(&[1; 1000]);
    outbox.advance(10);
    outbox.advance(990);
    let before = outbox.flat.capacity();
    assert!(before >= 1000, "{before}");
    outbox.push_slice(&[1; 1000]);
    assert_eq!(outbox.flat.capacity(), before);
}
