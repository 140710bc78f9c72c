use karere_core::Text;
use karere_core::broker::{Options, Slot};

use super::*;
use crate::slot::Seat;

fn cell() -> Arc<Cell> {
    Arc::new(Cell::new(Seat::new(Slot::new(Text::EMPTY, Arc::new(Options::default()), 0), None)))
}

fn at(seconds: u64) -> Instant {
    Instant::from_millis(seconds * 1000)
}

#[test]
fn far_deadlines_of_those_who_have_gone_do_not_pile_up() {
    let timer = Timer::default();
    let there: Vec<_> = (0..1_000).map(|_| cell()).collect();
    for (index, one) in there.iter().enumerate() {
        timer.arm(at(2 + index as u64), Whose::Slot(Arc::downgrade(one)));
    }
    for _ in 0..100_000 {
        timer.arm(at(1_000_000), Whose::Slot(Weak::new()));
    }
    assert!(timer.deadlines.lock().heap.len() <= 2 * there.len() + 1);
    // Those who are there are woken, in their order.
    let mut due = Vec::new();
    timer.take_due(at(1_500), &mut due);
    let woken: Vec<_> = due.iter().filter_map(|(at, _)| at.as_millis().checked_div(1000)).collect();
    assert_eq!(woken, (2..1_002).collect::<Vec<u64>>());
}

#[test]
fn the_earlier_and_earlier_deadlines_of_one_who_stays_do_not_pile_up() {
    let timer = Timer::default();
    let (one, other) = (cell(), cell());
    timer.arm(at(3_000_000), Whose::Slot(Arc::downgrade(&other)));
    for seconds in (2_000_000..2_100_000).rev() {
        timer.arm(at(seconds), Whose::Slot(Arc::downgrade(&one)));
    }
    assert!(timer.deadlines.lock().heap.len() <= SWEEP_MIN);
    let mut due = Vec::new();
    timer.take_due(at(2_000_000), &mut due);
    assert_eq!(due.len(), 1);
    timer.take_due(at(4_000_000), &mut due);
    let last = due.last().map(|(at, _)| at.as_millis() / 1000);
    assert_eq!(last, Some(3_000_000));
}

#[test]
fn of_a_sessions_deadlines_the_last_that_came_stays_also_when_it_is_the_latest() {
    let timer = Timer::default();
    let one = cell();
    for seconds in 0..=2 * SWEEP_MIN as u64 {
        timer.arm(at(seconds), Whose::Slot(Arc::downgrade(&one)));
    }
    timer.deadlines.lock().sweep();
    let mut due = Vec::new();
    timer.take_due(at(1_000_000), &mut due);
    let left: Vec<u64> = due.iter().map(|(at, _)| at.as_millis() / 1000).collect();
    assert_eq!(left, [2 * SWEEP_MIN as u64]);
    assert_eq!(size_of::<Entry>(), 24);
}
