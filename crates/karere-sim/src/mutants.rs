//! Every named fault, until a checker sees it: how much the simulator is worth.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::check::Kind;
use crate::fault::{FAULTS, Named};
use crate::simulate;

/// What became of a fault.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Which one.
    pub named: Named,
    /// Who has seen it, and at which seed; nobody, in as many seeds as there were.
    pub caught: Option<(Kind, u64)>,
}

/// Runs each fault with seeds from 1 on until it is seen, `seeds` of them at most, and on all cores. In the order of
/// [`FAULTS`].
#[must_use]
pub fn mutants(seeds: u64) -> Vec<Outcome> {
    let next = AtomicUsize::new(0);
    let outcomes = Mutex::new(vec![None; FAULTS.len()]);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                while let Some(index) = Some(next.fetch_add(1, Relaxed)).filter(|index| *index < FAULTS.len())
                {
                    let outcome = run(FAULTS[index], seeds);
                    if let Ok(mut outcomes) = outcomes.lock() {
                        outcomes[index] = Some(outcome);
                    }
                }
            });
        }
    });
    outcomes.into_inner().unwrap_or_default().into_iter().flatten().collect()
}

fn run(named: Named, seeds: u64) -> Outcome {
    let caught = (1..=seeds).find_map(|seed| {
        let violations = simulate(seed, Some(named.fault)).violations;
        violations.first().map(|violation| (violation.kind, seed))
    });
    Outcome { named, caught }
}
