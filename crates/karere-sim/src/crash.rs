//! Crash points: one run, and its disk cut off behind each of its writes and syncs.

use karere_store::Tail;

use crate::check::Violation;
use crate::fault::Fault;
use crate::verdict::judge;
use crate::world::{self, Setting};

/// The end of a broker: when its disk has seen so many changes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Crash {
    pub(crate) changes: usize,
    pub(crate) tail: Tail,
}

/// What came of it.
#[derive(Debug)]
pub struct CrashPoints {
    /// Writes, syncs and changes of names of the run.
    pub changes: usize,
    /// Ends that were tried: behind each of them, with each fate of what was not synced.
    pub ends: usize,
    /// What was wrong: behind which change, with which fate.
    pub violations: Vec<(usize, Tail, Violation)>,
}

/// What becomes of what was not synced.
const TAILS: [Tail; 5] =
    [Tail::Kept, Tail::Lost, Tail::Torn(1), Tail::Torn(300), Tail::Holes(0x5A5A_3C3C_0F0F_9669)];

/// Milliseconds of the run.
const RUN_MILLIS: u64 = 1_500;

/// Runs what `seed` plans for the clients on a disk that does not fail, again and again; each time the broker is killed
/// behind another change of its disk, and what was not synced is lost, torn, kept or full of holes. Then its recovery is
/// killed as well, and begun again, and must find the same; and all promises are held against what comes after.
#[must_use]
pub fn crash_points(seed: u64, fault: Option<Fault>) -> CrashPoints {
    let setting = |changes, tail| Setting {
        seed,
        fault,
        trouble_millis: Some(RUN_MILLIS),
        crash: Some(Crash { changes, tail }),
        ..Setting::default()
    };
    let changes = world::changes(&setting(usize::MAX, Tail::Kept));
    let ends = (1..=changes).flat_map(|at| TAILS.map(|tail| (at, tail)));
    let mut points = CrashPoints { changes, ends: 0, violations: Vec::new() };
    for (at, tail) in ends {
        points.ends += 1;
        let violations = judge(&setting(at, tail)).violations;
        points.violations.extend(violations.into_iter().map(|violation| (at, tail, violation)));
    }
    points
}
