//! What the disk itself can do: how long a sync takes, and what group commit can make of that.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Bytes that a store writes for a message of 256 bytes: keys, lengths, topic, and its removal later.
const RECORD_BYTES: usize = 400;

/// Between two syncs that only measure.
const PAUSE: Duration = Duration::from_millis(20);

/// Times of something that happened often, in microseconds.
#[derive(Debug, Clone, Default)]
pub(crate) struct Times {
    sorted_us: Vec<u32>,
}

impl Times {
    pub(crate) fn new(mut all_us: Vec<u32>) -> Self {
        all_us.sort_unstable();
        Self { sorted_us: all_us }
    }

    /// The one that so many of a hundred are not longer than.
    pub(crate) fn percentile(&self, percent: usize) -> u32 {
        let at = (self.sorted_us.len() * percent / 100).min(self.sorted_us.len().saturating_sub(1));
        self.sorted_us.get(at).copied().unwrap_or(0)
    }
}

/// Syncs a small file beside the broker's, now and then, while the broker works.
pub(crate) struct Beside {
    end: Arc<AtomicBool>,
    thread: JoinHandle<std::io::Result<Vec<u32>>>,
}

impl Beside {
    pub(crate) fn start(folder: &Path) -> Self {
        let (file, end) = (folder.join("beside"), Arc::new(AtomicBool::new(false)));
        let ended = Arc::clone(&end);
        let thread = thread::spawn(move || {
            let mut file = File::create(file)?;
            let mut times = Vec::new();
            while !ended.load(Ordering::Relaxed) {
                times.push(sync(&mut file, &[7; 4096])?);
                thread::sleep(PAUSE);
            }
            Ok(times)
        });
        Self { end, thread }
    }

    pub(crate) fn finish(self) -> Result<Times, String> {
        self.end.store(true, Ordering::Relaxed);
        let times = self.thread.join().map_err(|_| "the thread that syncs has panicked".to_owned())?;
        times.map(Times::new).map_err(|error| format!("syncing beside the broker: {error}"))
    }
}

/// What group commit can do at most with `open` messages that are not acknowledged: of what is open, half is being
/// synced while the other half arrives. Messages a second, with nothing else to do.
pub(crate) fn bound(folder: &Path, open: usize, time: Duration) -> Result<f64, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    let path = folder.join("bound");
    let mut file = File::create(&path).map_err(failed)?;
    let batch = vec![7; open / 2 * RECORD_BYTES];
    let (start, mut batches) = (Instant::now(), 0_u32);
    while start.elapsed() < time {
        sync(&mut file, &batch).map_err(failed)?;
        batches += 1;
    }
    let rate = f64::from(batches) * (open / 2) as f64 / start.elapsed().as_secs_f64();
    std::fs::remove_file(path).map_err(failed)?;
    Ok(rate)
}

fn sync(file: &mut File, bytes: &[u8]) -> std::io::Result<u32> {
    let start = Instant::now();
    file.write_all(bytes)?;
    file.sync_data()?;
    Ok(start.elapsed().as_micros().try_into().unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_what_happened() {
        let times = Times::new((1..=200).rev().collect());
        assert_eq!((times.percentile(50), times.percentile(99)), (101, 199));
        assert_eq!(Times::default().percentile(99), 0);
    }
}
