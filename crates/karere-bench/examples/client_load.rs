//! What a message costs our client: publishes to `mqload sink`, or receives what it fires.
//!
//! `client_load PORT async|blocking publish|receive QOS COUNT SIZE WINDOW` prints one line of JSON: the CPU of this process
//! a message (microseconds, all threads), messages a second and how many were published or received. `cargo xtask
//! bench clients` runs it.

#![allow(clippy::print_stdout, reason = "its output is the measurement")]

use std::collections::VecDeque;
use std::error::Error;
use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use karere::{Client, Options, QoS, blocking};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const TOPIC: &str = "bench/0";
/// A receiver that has got nothing for so long gets no more.
const SILENCE: Duration = Duration::from_secs(5);

#[derive(Clone)]
struct Job {
    port: u16,
    publishes: bool,
    qos: QoS,
    count: u64,
    size: usize, // bytes of payload
    window: u16, // publishes that are not acknowledged
}

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [port, style, direction, qos, count, size, window] = words.as_slice() else {
        return Err("client_load PORT async|blocking publish|receive QOS COUNT SIZE WINDOW".into());
    };
    let job = Job {
        port: port.parse()?,
        publishes: direction == "publish",
        qos: QoS::from_bits(qos.parse()?).ok_or("QoS is 0, 1 or 2")?,
        count: count.parse()?,
        size: size.parse()?,
        window: window.parse()?,
    };
    let used = match (style.as_str(), job.publishes) {
        ("async", true) => on_a_runtime(publish_async(job.clone()))?,
        ("async", false) => on_a_runtime(receive_async(job.clone()))?,
        (_, true) => publish_blocking(&job)?,
        (_, false) => receive_blocking(&job)?,
    };
    println!("{}", used.line());
    Ok(())
}

impl Job {
    fn options(&self) -> Options {
        Options::new("127.0.0.1", self.port).inflight_max(self.window).no_reconnect()
    }

    /// The filter that makes `mqload source` fire.
    fn filter(&self) -> String {
        format!("fire/{}/{}/{}/{}", self.qos as u8, self.count, self.size, self.window)
    }
}

/// As most programs have it: the runtime's own threads, the work in a task.
fn on_a_runtime(work: impl Future<Output = Result<Used>> + Send + 'static) -> Result<Used> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(runtime.spawn(work))?
}

async fn publish_async(job: Job) -> Result<Used> {
    let client = Client::connect(job.options()).await?;
    let payload = vec![b'x'; job.size];
    let start = Start::now()?;
    let mut waiting = VecDeque::with_capacity(usize::from(job.window));
    for _ in 0..job.count {
        if job.qos == QoS::AtMostOnce {
            client.publish((TOPIC, &payload[..])).await?;
            continue;
        }
        if waiting.len() == usize::from(job.window) {
            waiting.pop_front().ok_or("a window of at least 1")?.await?;
        }
        waiting.push_back(client.publish_nowait((TOPIC, &payload[..], job.qos))?);
    }
    for delivery in waiting {
        delivery.await?;
    }
    client.disconnect().await;
    start.end(job.count)
}

fn publish_blocking(job: &Job) -> Result<Used> {
    let client = blocking::Client::new(job.options());
    client.connect()?;
    client.loop_start();
    wait_for(|| client.is_connected())?;
    let payload = vec![b'x'; job.size];
    let start = Start::now()?;
    let mut waiting = VecDeque::with_capacity(usize::from(job.window));
    for _ in 0..job.count {
        if waiting.len() == usize::from(job.window) {
            waiting.pop_front().map(|delivery: karere::Delivery| delivery.wait(None)).transpose()?;
        }
        let delivery = client.publish((TOPIC, &payload[..], job.qos))?;
        if job.qos != QoS::AtMostOnce {
            waiting.push_back(delivery);
        }
    }
    for delivery in waiting {
        delivery.wait(None)?;
    }
    client.disconnect();
    client.loop_stop();
    start.end(job.count)
}

async fn receive_async(job: Job) -> Result<Used> {
    let client = Client::connect(job.options()).await?;
    let start = Start::now()?;
    let mut messages = client.subscribe((job.filter(), job.qos)).await?;
    let mut received = 0;
    while received < job.count {
        // One timer for many messages: what is there already needs none.
        match messages.try_recv() {
            Some(_) => received += 1,
            None => match tokio::time::timeout(SILENCE, messages.recv()).await {
                Ok(Some(_)) => received += 1,
                _ => break,
            },
        }
    }
    let used = start.end(received);
    client.disconnect().await;
    used
}

fn receive_blocking(job: &Job) -> Result<Used> {
    let client = blocking::Client::new(job.options());
    let received = Arc::new(AtomicU64::new(0));
    let done = Arc::new(Mutex::new(None));
    let (counter, end, main, count) = (received.clone(), done.clone(), thread::current(), job.count);
    client.on_message(move |_, _| {
        if counter.fetch_add(1, Ordering::Relaxed) + 1 == count {
            // Here, so that no waiting is measured.
            *end.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(Start::now());
            main.unpark();
        }
    });
    client.connect()?;
    client.loop_start();
    wait_for(|| client.is_connected())?;
    let start = Start::now()?;
    client.subscribe((job.filter(), job.qos))?;
    let mut last = 0;
    loop {
        thread::park_timeout(SILENCE);
        let now = received.load(Ordering::Relaxed);
        if now >= job.count || now == last {
            break;
        }
        last = now;
    }
    let end = done.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
    client.disconnect();
    client.loop_stop();
    start.until(&end.ok_or_else(|| format!("{last} of {} messages came", job.count))??, job.count)
}

fn wait_for(condition: impl Fn() -> bool) -> Result<()> {
    let end = Instant::now() + SILENCE;
    while !condition() {
        if Instant::now() > end {
            return Err("the client does not connect".into());
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// A point in time, and the CPU that this process had used by then.
struct Start {
    at: Instant,
    ticks: u64,
}

struct Used {
    messages: u64,
    ticks: u64,
    wall: Duration,
}

/// Ticks of the kernel's accounting, a second (`USER_HZ`: fixed towards programs).
const TICKS: f64 = 100.0;

impl Start {
    fn now() -> Result<Self> {
        let text = fs::read_to_string("/proc/self/stat")?;
        // Behind the name in brackets, which may hold anything: user and system time are the 12th and 13th.
        let (_, rest) = text.rsplit_once(')').ok_or("no name")?;
        let fields: Vec<u64> = rest
            .split_whitespace()
            .skip(11)
            .take(2)
            .map(str::parse)
            .collect::<std::result::Result<_, _>>()?;
        Ok(Self { at: Instant::now(), ticks: fields.iter().sum() })
    }

    fn end(&self, messages: u64) -> Result<Used> {
        self.until(&Self::now()?, messages)
    }

    fn until(&self, end: &Self, messages: u64) -> Result<Used> {
        Ok(Used { messages, ticks: end.ticks - self.ticks, wall: end.at - self.at })
    }
}

impl Used {
    fn line(&self) -> String {
        let cpu_us = self.ticks as f64 / TICKS * 1e6 / self.messages.max(1) as f64;
        let per_s = self.messages as f64 / self.wall.as_secs_f64();
        format!("{{\"messages\":{},\"cpu_us\":{cpu_us:.3},\"msgs_per_s\":{per_s:.0}}}", self.messages)
    }
}
