//! What a message costs our client: publishes to `mqload sink`, or receives what it fires.
//!
//! `client_load async|blocking PORT publish|receive QOS COUNT SIZE WINDOW` prints one line of JSON: the CPU of this
//! process a message (microseconds, all threads), messages a second and how many were published or received. `cargo
//! xtask bench clients` runs it.

#![allow(clippy::print_stdout, reason = "its output is the measurement")]

use std::collections::VecDeque;
use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use karere::{Client, Options, QoS, blocking};
use karere_bench::{Job, Mark};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// A receiver that has got nothing for so long gets no more.
const SILENCE: Duration = Duration::from_secs(5);

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [style, job @ ..] = words.as_slice() else {
        return Err(format!("client_load async|blocking {}", Job::USAGE).into());
    };
    let job = Job::parse(job)?;
    let line = match (style.as_str(), job.publishes) {
        ("async", true) => on_a_runtime(publish_async(job))?,
        ("async", false) => on_a_runtime(receive_async(job))?,
        (_, true) => publish_blocking(&job)?,
        (_, false) => receive_blocking(&job)?,
    };
    println!("{line}");
    Ok(())
}

fn options(job: &Job) -> Options {
    Options::new("127.0.0.1", job.port).inflight_max(job.window).no_reconnect()
}

fn qos(job: &Job) -> Result<QoS> {
    Ok(QoS::from_bits(job.qos).ok_or("QoS is 0, 1 or 2")?)
}

/// As most programs have it: the runtime's own threads, the work in a task.
fn on_a_runtime(work: impl Future<Output = Result<String>> + Send + 'static) -> Result<String> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(runtime.spawn(work))?
}

async fn publish_async(job: Job) -> Result<String> {
    let client = Client::connect(options(&job)).await?;
    let (qos, payload) = (qos(&job)?, vec![b'x'; job.size]);
    let start = Mark::now();
    let mut waiting = VecDeque::with_capacity(usize::from(job.window));
    for _ in 0..job.count {
        if qos == QoS::AtMostOnce {
            client.publish((Job::TOPIC, &payload[..])).await?;
            continue;
        }
        if waiting.len() == usize::from(job.window) {
            waiting.pop_front().ok_or("a window of at least 1")?.await?;
        }
        waiting.push_back(client.publish_nowait((Job::TOPIC, &payload[..], qos))?);
    }
    for delivery in waiting {
        delivery.await?;
    }
    client.disconnect().await;
    Ok(start.line(&Mark::now(), job.count))
}

fn publish_blocking(job: &Job) -> Result<String> {
    let client = blocking::Client::new(options(job));
    client.connect()?;
    client.loop_start();
    wait_for(|| client.is_connected())?;
    let (qos, payload) = (qos(job)?, vec![b'x'; job.size]);
    let start = Mark::now();
    let mut waiting = VecDeque::with_capacity(usize::from(job.window));
    for _ in 0..job.count {
        if waiting.len() == usize::from(job.window) {
            waiting.pop_front().map(|delivery: karere::Delivery| delivery.wait(None)).transpose()?;
        }
        let delivery = client.publish((Job::TOPIC, &payload[..], qos))?;
        if qos != QoS::AtMostOnce {
            waiting.push_back(delivery);
        }
    }
    for delivery in waiting {
        delivery.wait(None)?;
    }
    client.disconnect();
    client.loop_stop();
    Ok(start.line(&Mark::now(), job.count))
}

async fn receive_async(job: Job) -> Result<String> {
    let client = Client::connect(options(&job)).await?;
    let start = Mark::now();
    let mut messages = client.subscribe((job.filter(), qos(&job)?)).await?;
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
    let end = Mark::now();
    client.disconnect().await;
    Ok(start.line(&end, received))
}

fn receive_blocking(job: &Job) -> Result<String> {
    let client = blocking::Client::new(options(job));
    let received = Arc::new(AtomicU64::new(0));
    let done = Arc::new(Mutex::new(None));
    let (counter, end, main, count) = (received.clone(), done.clone(), thread::current(), job.count);
    client.on_message(move |_, _| {
        if counter.fetch_add(1, Ordering::Relaxed) + 1 == count {
            // Here, so that no waiting is measured.
            *end.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(Mark::now());
            main.unpark();
        }
    });
    client.connect()?;
    client.loop_start();
    wait_for(|| client.is_connected())?;
    let start = Mark::now();
    client.subscribe((job.filter(), qos(job)?))?;
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
    let end = end.ok_or_else(|| format!("{last} of {} messages came", job.count))?;
    Ok(start.line(&end, job.count))
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
