//! What the lock around the filter tree costs a publisher: `locks [SECONDS]`.
//!
//! One thread and then two look up topics in a tree of 1,000 filters, under each kind of lock, with one and with 16
//! messages for each time that it is taken: CPU nanoseconds a message (the median of the rounds), which a busy machine
//! does not change, and millions of messages a second (the best round), which show who waits for whom. Then what a subscription costs under a lock, and where readers have a snapshot, which is made anew.
#![allow(clippy::print_stdout, reason = "its output is the measurement")]

use std::error::Error;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use crossbeam_utils::sync::ShardedLock;
use karere_bench::Mark;
use karere_core::broker::{NewSubscription, Router, RouterLimits, Target};
use karere_core::codec::SubscribeOptions;
use karere_core::topic::TopicFilter;

const FILTERS: u32 = 1_000;
const ROUNDS: usize = 5;

/// Something that lends the tree to a reader.
trait Lend: Sync {
    fn lend(&self, read: &mut dyn FnMut(&Router<u32>));
}

struct Bare(Router<u32>);
struct Snapshot(ArcSwap<Router<u32>>);

impl Lend for Bare {
    fn lend(&self, read: &mut dyn FnMut(&Router<u32>)) {
        read(&self.0);
    }
}

impl Lend for parking_lot::RwLock<Router<u32>> {
    fn lend(&self, read: &mut dyn FnMut(&Router<u32>)) {
        read(&self.read());
    }
}

impl Lend for parking_lot::Mutex<Router<u32>> {
    fn lend(&self, read: &mut dyn FnMut(&Router<u32>)) {
        read(&self.lock());
    }
}

impl Lend for std::sync::RwLock<Router<u32>> {
    fn lend(&self, read: &mut dyn FnMut(&Router<u32>)) {
        read(&self.read().unwrap_or_else(std::sync::PoisonError::into_inner));
    }
}

impl Lend for ShardedLock<Router<u32>> {
    fn lend(&self, read: &mut dyn FnMut(&Router<u32>)) {
        read(&self.read().unwrap_or_else(std::sync::PoisonError::into_inner));
    }
}

impl Lend for Snapshot {
    fn lend(&self, read: &mut dyn FnMut(&Router<u32>)) {
        read(&self.0.load());
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let seconds = std::env::args().nth(1).map_or(Ok(0.3), |word| word.parse())?;
    let time = Duration::from_secs_f64(seconds);
    let tree = || router(FILTERS);
    let locks: [(&str, Box<dyn Lend>); 6] = [
        ("none", Box::new(Bare(tree()?))),
        ("parking_lot RwLock", Box::new(parking_lot::RwLock::new(tree()?))),
        ("std RwLock", Box::new(std::sync::RwLock::new(tree()?))),
        ("parking_lot Mutex", Box::new(parking_lot::Mutex::new(tree()?))),
        ("sharded", Box::new(ShardedLock::new(tree()?))),
        ("arc-swap", Box::new(Snapshot(ArcSwap::from_pointee(tree()?)))),
    ];
    println!("{:<20}{:>16}{:>16}{:>16}{:>16}", "CPU ns; M/s", "1 thread", "2", "1, by 16", "2, by 16");
    let cases = [(1, 1), (2, 1), (1, 16), (2, 16)];
    let mut found = vec![[const { Vec::new() }; 4]; locks.len()];
    for _ in 0..ROUNDS {
        for (row, (_, lock)) in locks.iter().enumerate() {
            for (column, (threads, run)) in cases.into_iter().enumerate() {
                found[row][column].push(measure(&**lock, threads, run, time));
            }
        }
    }
    for ((name, _), row) in locks.iter().zip(&mut found) {
        let cells: String = row.iter_mut().map(|all| cell(all)).collect();
        println!("{name:<20}{cells}");
    }
    for filters in [FILTERS, 100 * FILTERS] {
        let start = Instant::now();
        let mut router = router(filters)?;
        let whole = start.elapsed();
        let start = Instant::now();
        subscribe(&mut router, filters)?;
        println!("a subscription beside {filters}: {:?}; a new snapshot: {whole:?}", start.elapsed());
    }
    Ok(())
}

fn router(filters: u32) -> Result<Router<u32>, Box<dyn Error>> {
    let mut router = Router::new(1, RouterLimits::default());
    (0..filters).try_for_each(|index| subscribe(&mut router, index))?;
    Ok(router)
}

fn subscribe(router: &mut Router<u32>, index: u32) -> Result<(), Box<dyn Error>> {
    let filter = TopicFilter::new(&format!("site/{}/device/{index}/state", index % 100))?;
    let options = SubscribeOptions::default();
    let new = NewSubscription { session: index, filter: &filter, options, subscription_id: None };
    router.subscribe(&new).map_err(|reason| reason.to_string())?;
    Ok(())
}

/// CPU nanoseconds of a look-up in `threads` threads, each of which takes the lock for `run` of them, and millions
/// of look-ups a second.
fn measure(lock: &dyn Lend, threads: u32, run: usize, time: Duration) -> (f64, f64) {
    let stop = &AtomicBool::new(false);
    let (start, began) = (Mark::now(), Instant::now());
    let count: u64 = thread::scope(|scope| {
        let readers: Vec<_> =
            (0..threads).map(|index| scope.spawn(move || look_up(lock, index, run, stop))).collect();
        thread::sleep(time);
        stop.store(true, Ordering::Relaxed);
        readers.into_iter().map(|reader| reader.join().unwrap_or(0)).sum()
    });
    (start.cpu_us(&Mark::now(), count) * 1e3, count as f64 / began.elapsed().as_secs_f64() / 1e6)
}

fn look_up(lock: &dyn Lend, index: u32, run: usize, stop: &AtomicBool) -> u64 {
    let topics: Vec<String> = (0..64)
        .map(|one| one * 7 + index)
        .map(|one| format!("site/{}/device/{one}/state", one % 100))
        .collect();
    let (mut targets, mut count): (Vec<Target<u32>>, u64) = (Vec::new(), 0);
    while !stop.load(Ordering::Relaxed) {
        for topics in topics.chunks(run) {
            lock.lend(&mut |router| {
                for topic in topics {
                    targets.clear();
                    router.route(None, topic, &mut targets);
                    black_box(&targets);
                }
            });
        }
        count += topics.len() as u64;
    }
    count
}

fn cell(all: &mut [(f64, f64)]) -> String {
    all.sort_by(|one, other| one.0.total_cmp(&other.0));
    let best = all.iter().map(|(_, rate)| *rate).fold(0.0, f64::max);
    format!("{:>8.0};{best:>7.1}", all[all.len() / 2].0)
}
