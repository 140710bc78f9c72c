//! What a message costs rumqttc: `rumqttc PORT publish|receive QOS COUNT SIZE WINDOW`, for `cargo xtask bench clients`.
//!
//! As its examples have it: requests in one task, the event loop in another.
#![allow(clippy::print_stdout, reason = "its output is the measurement")]

use std::error::Error;

use karere_bench::{Job, Mark};
use rumqttc::{AsyncClient, Event, EventLoop, Incoming, MqttOptions, Outgoing, QoS};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Requests that may wait for the event loop: many, so that the two tasks seldom wait for each other.
const REQUESTS_MAX: usize = 1000;

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let job = Job::parse(&words)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    println!("{}", runtime.block_on(runtime.spawn(run(job)))??);
    Ok(())
}

async fn run(job: Job) -> Result<String> {
    let mut options = MqttOptions::new("rumqttc", "127.0.0.1", job.port);
    options.set_inflight(job.window);
    let qos = rumqttc::qos(job.qos)?;
    let (client, mut events) = AsyncClient::new(options, REQUESTS_MAX);
    while !matches!(events.poll().await?, Event::Incoming(Incoming::ConnAck(_))) {}
    if job.publishes {
        publish(job, qos, client, events).await
    } else {
        receive(job, qos, client, events).await
    }
}

async fn publish(job: Job, qos: QoS, client: AsyncClient, events: EventLoop) -> Result<String> {
    let payload = vec![b'x'; job.size];
    let start = Mark::now();
    let published = tokio::spawn(until_published(job.clone(), events));
    for _ in 0..job.count {
        client.publish(Job::TOPIC, qos, false, payload.clone()).await?;
    }
    if qos == QoS::AtMostOnce {
        client.disconnect().await?;
    }
    published.await??;
    Ok(start.line(&Mark::now(), job.count))
}

/// Until the last message is acknowledged or, at QoS 0, written.
async fn until_published(job: Job, mut events: EventLoop) -> Result<()> {
    let mut acknowledged = 0;
    while acknowledged < job.count {
        match events.poll().await? {
            Event::Incoming(Incoming::PubAck(_) | Incoming::PubComp(_)) => acknowledged += 1,
            Event::Outgoing(Outgoing::Disconnect) => break,
            _ => {}
        }
    }
    Ok(())
}

async fn receive(job: Job, qos: QoS, client: AsyncClient, mut events: EventLoop) -> Result<String> {
    let start = Mark::now();
    client.subscribe(job.filter(), qos).await?;
    let mut received = 0;
    while received < job.count {
        received += u64::from(matches!(events.poll().await?, Event::Incoming(Incoming::Publish(_))));
    }
    Ok(start.line(&Mark::now(), received))
}
