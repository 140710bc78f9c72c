//! Our core under one epoll loop per core, to measure the broker's driver against: `epoll PORT [turn|batch] [THREADS]`.
//!
//! It does what the broker does on the way of a message (slot locks, the router behind a lock, one encoding for
//! many, writing by whoever routed) and leaves out what the measured paths do not need: sessions that outlive
//! connections, retained messages, Shared Subscriptions, Wills, timers, hooks, waiting for slow readers. So it is
//! the most that such a driver could gain. `turn` writes after each read, as our broker does; `batch` after all
//! connections that one wait found ready.

mod connection;
mod route;
mod worker;

use std::collections::VecDeque;
use std::error::Error;
use std::sync::Arc;
use std::thread;
use std::time;

use karere_core::Instant;
use karere_core::broker::{Options, Router, RouterLimits};
use mio::net::TcpListener;
use parking_lot::RwLock;

use connection::Connection;
use worker::{Inbox, Worker};

/// When what was routed is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Writing {
    /// After each read.
    Turn,
    /// After all that one wait found ready.
    Batch,
}

/// What all threads share.
struct Shared {
    hub: RwLock<Hub>,
    options: Arc<Options>,
    origin: time::Instant,
    writing: Writing,
    /// Where each thread's new connections arrive.
    inboxes: Vec<Inbox>,
}

/// The router, and whom its keys mean.
struct Hub {
    router: Router<u32>,
    connections: Vec<Option<Arc<Connection>>>,
    free: VecDeque<u32>,
}

impl Shared {
    fn now(&self) -> Instant {
        Instant::from_millis(u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX))
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let port: u16 = words.first().ok_or("epoll PORT [turn|batch] [THREADS]")?.parse()?;
    let writing =
        if words.get(1).is_some_and(|word| word == "turn") { Writing::Turn } else { Writing::Batch };
    let threads = match words.get(2) {
        Some(word) => word.parse()?,
        None => thread::available_parallelism()?.get(),
    };
    let listener = TcpListener::bind(([127, 0, 0, 1], port).into())?;
    let polls = (0..threads).map(|_| mio::Poll::new()).collect::<Result<Vec<_>, _>>()?;
    let inboxes = polls.iter().map(Inbox::new).collect::<Result<Vec<_>, _>>()?;
    let hub = Hub {
        router: Router::new(1, RouterLimits::default()),
        connections: Vec::new(),
        free: VecDeque::new(),
    };
    let shared = Arc::new(Shared {
        hub: RwLock::new(hub),
        options: Arc::new(Options::default()),
        origin: time::Instant::now(),
        writing,
        inboxes,
    });
    let mut listener = Some(listener);
    let workers: Vec<_> = polls
        .into_iter()
        .enumerate()
        .map(|(index, poll)| {
            let mut worker = Worker::new(shared.clone(), index, poll, listener.take());
            thread::spawn(move || worker.run())
        })
        .collect();
    for worker in workers {
        worker.join().map_err(|_| "a thread has panicked")??;
    }
    Ok(())
}
