//! What a client is given to do when its CPU is measured, and the measurement: the same for ours and for others'.

use std::io;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// What a client is to publish or to receive.
#[derive(Debug, Clone)]
pub struct Job {
    /// Where the other end listens on loopback.
    pub port: u16,
    /// It publishes; otherwise it receives.
    pub publishes: bool,
    /// 0, 1 or 2.
    pub qos: u8,
    /// How many messages.
    pub count: u64,
    /// Bytes of payload.
    pub size: usize,
    /// Publishes that are not acknowledged, at most.
    pub window: u16,
}

impl Job {
    /// What the words of a command line ask for.
    pub const USAGE: &str = "PORT publish|receive QOS COUNT SIZE WINDOW";
    /// Where a publisher publishes to.
    pub const TOPIC: &str = "bench/0";

    /// From the words that [`USAGE`](Self::USAGE) names.
    ///
    /// # Errors
    /// Other words.
    pub fn parse(words: &[String]) -> io::Result<Self> {
        let [port, direction, qos, count, size, window] = words else { return Err(bad(Self::USAGE)) };
        let number = |word: &str| word.parse().map_err(|_| bad(word));
        let small = |word: &str| word.parse().map_err(|_| bad(word));
        Ok(Self {
            port: small(port)?,
            publishes: direction == "publish",
            qos: qos.parse().ok().filter(|qos| *qos <= 2).ok_or_else(|| bad(qos))?,
            count: number(count)?,
            size: usize::from(small(size)?),
            window: small(window)?,
        })
    }

    /// The filter that makes `mqload source` fire.
    #[must_use]
    pub fn filter(&self) -> String {
        format!("fire/{}/{}/{}/{}", self.qos, self.count, self.size, self.window)
    }
}

fn bad(word: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("not understood: {word}"))
}

/// A point in time, and the CPU that this process, with all its threads, had used by then.
#[derive(Debug, Clone, Copy)]
pub struct Mark {
    at: Instant,
    cpu: Duration,
}

impl Mark {
    /// This moment.
    #[must_use]
    pub fn now() -> Self {
        let used = clock_gettime(ClockId::ProcessCPUTime);
        let nanos = u128::try_from(used.tv_sec).unwrap_or(0) * 1_000_000_000
            + u128::try_from(used.tv_nsec).unwrap_or(0);
        Self { at: Instant::now(), cpu: Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)) }
    }

    /// CPU for each of `messages` until `end`, in microseconds.
    #[must_use]
    pub fn cpu_us(&self, end: &Self, messages: u64) -> f64 {
        (end.cpu - self.cpu).as_secs_f64() * 1e6 / messages.max(1) as f64
    }

    /// What `messages` have cost until `end`: one line of JSON, as `cargo xtask bench clients` reads it.
    #[must_use]
    pub fn line(&self, end: &Self, messages: u64) -> String {
        let cpu_us = self.cpu_us(end, messages);
        let per_s = messages as f64 / (end.at - self.at).as_secs_f64();
        format!("{{\"messages\":{messages},\"cpu_us\":{cpu_us:.3},\"msgs_per_s\":{per_s:.0}}}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_read_from_its_words() {
        let words = ["1883", "receive", "1", "70000", "16", "100"].map(str::to_owned);
        let job = Job::parse(&words).expect("a job");
        assert_eq!((job.port, job.publishes, job.window), (1883, false, 100));
        assert_eq!(job.filter(), "fire/1/70000/16/100");
        assert!(Job::parse(&words[1..]).is_err());
        let third = ["1883", "receive", "3", "1", "16", "100"].map(str::to_owned);
        assert!(Job::parse(&third).is_err_and(|error| error.to_string().contains('3')));
    }

    #[test]
    fn what_a_thread_computes_counts_and_what_it_waits_does_not() {
        let start = Mark::now();
        let cpu_ms = || start.cpu_us(&Mark::now(), 1) / 1e3;
        while cpu_ms() < 10.0 {}
        std::thread::park_timeout(Duration::from_millis(300));
        let used = cpu_ms();
        assert!((10.0..200.0).contains(&used), "{used} ms");
        assert!(start.line(&Mark::now(), 10).starts_with("{\"messages\":10,\"cpu_us\":"));
    }
}
