//! C1 with a real SIGKILL: a process that publishes is killed in the middle of it, again and again.

use std::env;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use karere::{Client, Options, QoS, blocking};
use karere_broker::Broker;

use super::folder;
use crate::peer::{PATIENCE, eventually};

const ROUNDS: u64 = 24;
/// Where a child finds what it is to do: the port, the folder, and the first number to publish.
const TASK: &str = "KARERE_TEST_PUBLISHER";

fn options(port: u16, folder: &str) -> Options {
    Options::new("127.0.0.1", port).client_id("publisher").unwrap().store(folder)
}

fn qos(number: u64) -> QoS {
    if number.is_multiple_of(2) { QoS::ExactlyOnce } else { QoS::AtLeastOnce }
}

/// The child: publishes numbers, and says of each that publishing has returned.
#[test]
fn the_publisher_that_is_killed() {
    let Ok(task) = env::var(TASK) else { return };
    let mut task = task.splitn(3, ' ');
    let port = task.next().unwrap().parse().unwrap();
    let first: u64 = task.next().unwrap().parse().unwrap();
    let client = blocking::Client::new(options(port, task.next().unwrap()));
    client.connect().unwrap();
    client.loop_start();
    let mut told = std::io::stdout();
    for number in first.. {
        // A few at a time, as fast as they go.
        while client.queued() + client.driver().inflight() > 200 {
            std::thread::yield_now();
        }
        client.publish(("numbers", number.to_string(), qos(number))).unwrap();
        told.write_all(format!("\npublished {number}\n").as_bytes()).unwrap();
    }
}

fn child(port: u16, first: u64, folder: &str) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "stored::killed::the_publisher_that_is_killed", "--nocapture"])
        .env(TASK, format!("{port} {first} {folder}"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Kills the child after it has said so many numbers, and returns the last one that it ever said.
fn killed_after(mut child: Child, count: u64) -> Option<u64> {
    let mut said = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok)
        .filter_map(|line| line.strip_prefix("published ")?.parse().ok());
    let before: Vec<u64> = said.by_ref().take(count as usize).collect();
    child.kill().unwrap();
    let last = said.last().or(before.last().copied());
    child.wait().unwrap();
    last
}

#[test]
fn c1_c4_nothing_that_was_published_is_missing_however_often_the_process_is_killed() {
    let folder = folder();
    let path = folder.path().to_str().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let broker = runtime.block_on(Broker::builder().listen("127.0.0.1:0").start()).unwrap();
    let port = broker.local_addrs()[0].port();
    let subscriber = runtime.block_on(Client::connect(Options::new("127.0.0.1", port))).unwrap();
    let mut messages = runtime.block_on(subscriber.subscribe(("numbers", QoS::ExactlyOnce))).unwrap();
    let collector = runtime.spawn(async move {
        let mut numbers = Vec::new();
        while let Some(message) = messages.recv().await {
            let number: u64 = String::from_utf8(message.payload().to_vec()).unwrap().parse().unwrap();
            if number == u64::MAX {
                break;
            }
            numbers.push((number, message.qos()));
        }
        numbers
    });

    let mut next = 0;
    let mut returned = Vec::new();
    for round in 0..ROUNDS {
        // From almost nothing to some thousand.
        let last = killed_after(child(port, next, path), 1 + round * round * 7);
        let last = last.expect("it has published something");
        returned.push((next, last));
        // The one behind it may be there or not.
        next = last + 2;
    }
    let rest = Client::new(options(port, path));
    runtime.block_on(async {
        rest.start().unwrap();
        rest.connected().await.unwrap();
    });
    eventually("all is acknowledged", || rest.queued() + rest.inflight() == 0);
    runtime.block_on(async {
        rest.publish(("numbers", u64::MAX.to_string(), QoS::ExactlyOnce)).await.unwrap();
    });
    let numbers =
        runtime.block_on(async { tokio::time::timeout(PATIENCE, collector).await.unwrap().unwrap() });
    check(&numbers, &returned);
    runtime.block_on(async {
        rest.disconnect().await;
        subscriber.disconnect().await;
        broker.shutdown().await;
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
}

fn check(numbers: &[(u64, QoS)], returned: &[(u64, u64)]) {
    let of = |wanted: QoS| -> Vec<u64> {
        numbers.iter().filter(|(_, qos)| *qos == wanted).map(|(number, _)| *number).collect()
    };
    let mut once = of(QoS::ExactlyOnce);
    assert!(once.is_sorted(), "C4: out of order at QoS 2");
    let all = once.len();
    once.dedup();
    assert_eq!(once.len(), all, "C1: QoS 2 messages came twice in one session of the broker's");
    let mut firsts = of(QoS::AtLeastOnce);
    let mut seen = std::collections::HashSet::new();
    firsts.retain(|number| seen.insert(*number));
    assert!(firsts.is_sorted(), "C4: out of order at QoS 1");
    seen.extend(once);
    for (first, last) in returned {
        for number in *first..=*last {
            assert!(seen.contains(&number), "C1: {number} of {first} to {last} is missing");
        }
    }
}
