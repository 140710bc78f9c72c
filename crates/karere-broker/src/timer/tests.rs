use karere_core::Text;
use karere_core::broker::{Options, Slot};

use super::*;
use crate::slot::Seat;

fn cell() -> Arc<Cell> {
    Arc::new(Cell::new(Seat::new(Slot::new(Text::EMPTY, Arc::new(Options::default()), 0))))
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
