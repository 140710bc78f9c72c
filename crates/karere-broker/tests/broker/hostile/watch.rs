//! What every attack is held to, whatever it does: somebody else is served meanwhile, nothing panics, and all that
//! it took comes back. The client's hostile tests include this file too.

use std::alloc::System;
use std::panic;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Once};
use std::time::{Duration, Instant};

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// How much later than usual the canary may hear itself, besides three times as late.
const LATER_MAX: Duration = Duration::from_millis(50);
/// Round trips that a median is taken of, at least.
const TRIPS_MIN: usize = 20;
/// A round is over after so many attacks, or after so long.
const REPETITIONS_MAX: u32 = 100;
const ROUND_TIME: Duration = Duration::from_millis(250);
/// What a round may leave behind, in bytes: tables that grew, deadlines of what has gone.
const LEFT_BYTES_MAX: usize = 128 * 1024;
/// After so many rounds that all left more, it is a leak: what is kept to be used again has been filled by then.
const ROUNDS_MAX: usize = 10;
/// How long what was taken may take to come back.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long bytes may.
const BYTES_PATIENCE: Duration = Duration::from_millis(300);

/// Somebody who has nothing to do with the attack.
pub(crate) trait Canary: Send + 'static {
    /// One round trip.
    fn sing(&mut self) -> impl Future<Output = ()> + Send;
}

/// One attack of any type: so that what watches it is compiled once.
pub(crate) type Attack<'a> = dyn Fn() -> Pin<Box<dyn Future<Output = ()> + 'a>> + 'a;

/// Attacks again and again while `canary` sings: in a median of 50 ms and three times what it took just before.
/// After each attack the descriptors are as before, and `amiss` names nothing; and a round of up to 100 attacks leaves
/// no memory behind.
pub(crate) async fn under_watch(
    mut canary: impl Canary,
    attack: &Attack<'_>,
    amiss: &dyn Fn() -> Option<String>,
) {
    count_panics();
    let usual = {
        let mut trips = Vec::new();
        while trips.len() < TRIPS_MIN {
            trips.push(trip(&mut canary).await);
        }
        median(trips)
    };
    let stage = Arc::new(Stage::default());
    let singing = tokio::spawn(sing_until_over(canary, Arc::clone(&stage)));
    let watch = Watch { stage: &stage, attack, amiss, descriptors: descriptors() };
    watch.attack_once().await;
    watch.leaves_no_bytes().await;
    stage.over.store(true, SeqCst);
    let heard = singing.await.expect("the canary is dead");
    assert!(heard <= LATER_MAX + 3 * usual, "the canary takes {heard:?}, and took {usual:?} before");
    assert!(!alone() || PANICS.load(SeqCst) == 0, "something panicked");
}

/// Where the canary and the attack meet.
#[derive(Default)]
struct Stage {
    /// An attack is going on.
    attacked: AtomicBool,
    /// Round trips that the canary has made during attacks.
    trips: AtomicUsize,
    over: AtomicBool,
}

struct Watch<'a, 'f> {
    stage: &'a Stage,
    attack: &'a Attack<'f>,
    amiss: &'a dyn Fn() -> Option<String>,
    descriptors: usize,
}

impl Watch<'_, '_> {
    async fn attack_once(&self) {
        self.stage.attacked.store(true, SeqCst);
        (self.attack)().await;
        self.stage.attacked.store(false, SeqCst);
        let deadline = Instant::now() + PATIENCE;
        while let Some(what) = self.missing() {
            assert!(Instant::now() < deadline, "after the attack {what}");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    fn missing(&self) -> Option<String> {
        let (before, now) = (self.descriptors, descriptors());
        let descriptors = (now != before).then(|| format!("there are {now} descriptors, and were {before}"));
        descriptors.or_else(self.amiss)
    }

    async fn round(&self) {
        let end = Instant::now() + ROUND_TIME;
        for repetition in 0..REPETITIONS_MAX {
            let heard = self.stage.trips.load(SeqCst) >= TRIPS_MIN;
            if repetition > 0 && heard && Instant::now() > end {
                break;
            }
            self.attack_once().await;
        }
    }

    async fn leaves_no_bytes(&self) {
        let mut left = Vec::new();
        while left.len() < ROUNDS_MAX {
            let before = live_bytes();
            self.round().await;
            let more = || live_bytes().saturating_sub(before);
            let deadline = Instant::now() + BYTES_PATIENCE;
            while more() > LEFT_BYTES_MAX && Instant::now() < deadline {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            left.push(more());
            let enough = self.stage.trips.load(SeqCst) >= TRIPS_MIN;
            if enough && (!alone() || more() <= LEFT_BYTES_MAX) {
                return;
            }
        }
        panic!("bytes that each round left behind: {left:?}");
    }
}

/// The median of the round trips during attacks.
async fn sing_until_over(mut canary: impl Canary, stage: Arc<Stage>) -> Duration {
    let mut trips = Vec::new();
    while !stage.over.load(SeqCst) {
        let before = stage.attacked.load(SeqCst);
        let took = trip(&mut canary).await;
        if before || stage.attacked.load(SeqCst) {
            trips.push(took);
            stage.trips.store(trips.len(), SeqCst);
        }
    }
    median(trips)
}

async fn trip(canary: &mut impl Canary) -> Duration {
    let start = Instant::now();
    canary.sing().await;
    let took = start.elapsed();
    tokio::time::sleep(Duration::from_millis(1)).await;
    took
}

fn median(mut trips: Vec<Duration>) -> Duration {
    trips.sort();
    trips[trips.len() / 2]
}

/// Whether no other test runs in this process, so that what it holds is this test's.
fn alone() -> bool {
    std::env::var_os("NEXTEST").is_some()
}

/// Bytes that are allocated in the process.
pub(crate) fn live_bytes() -> usize {
    let stats = INSTRUMENTED_SYSTEM.stats();
    stats.bytes_allocated.saturating_sub(stats.bytes_deallocated)
}

/// No more than `max` bytes are allocated beyond `before`.
pub(crate) fn assert_held(before: usize, max: usize) {
    let held = live_bytes().saturating_sub(before);
    assert!(!alone() || held <= max, "{held} bytes are held, of {max}");
}

/// Open descriptors of the process, where that can be told: both ends of each connection.
fn descriptors() -> usize {
    if !alone() {
        return 0;
    }
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

static PANICS: AtomicUsize = AtomicUsize::new(0);

/// A panic in a task of its own ends that task, and nobody is told.
fn count_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            PANICS.fetch_add(1, SeqCst);
            usual(info);
        }));
    });
}
