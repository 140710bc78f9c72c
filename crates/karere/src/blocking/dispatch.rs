//! Calling back: one callback at a time, with no lock of ours held, in the order of what happened.

use std::cell::Cell;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use karere_core::client::Event;
use parking_lot::Mutex;

use super::callbacks::{Callback, Registry, View};
use super::client::Client;
use super::log::{Level, Log};
use crate::delivery::{Answer, Published};
use crate::notice::{DriverEvent, Notice};
use crate::{AckToken, PacketId, ReasonCode};

/// After callbacks have taken this long, what they are done with is acknowledged and time let pass, before the
/// rest of the batch.
const BREATH: Duration = Duration::from_millis(10);
/// How many QoS 0 messages go by between looks at the clock.
const CLOCK_MESSAGES: u32 = 16;

/// Who calls back: whoever holds the lock.
pub(super) struct Dispatcher {
    desk: Mutex<Desk>,
    /// The [thread](thread_number) that calls back now; 0 for none.
    thread: AtomicU64,
}

/// What is called back for, and what is reused from batch to batch.
struct Desk {
    batch: VecDeque<Notice>,
    view: View,
    done: Vec<AckToken>,
    unclaimed: u64,
}

impl Dispatcher {
    pub(super) fn new() -> Self {
        let desk = Desk { batch: VecDeque::new(), view: View::default(), done: Vec::new(), unclaimed: 0 };
        Self { desk: Mutex::new(desk), thread: AtomicU64::new(0) }
    }

    /// Whether the calling thread is in a callback of this client.
    pub(super) fn is_here(&self) -> bool {
        self.thread.load(Ordering::Relaxed) == thread_number()
    }

    /// Calls back for all that has happened. False when somebody else does already, who then does it for us.
    ///
    /// With `catch`, a panic of a callback goes no further than the log.
    pub(super) fn run(&self, client: &Client, catch: bool) -> bool {
        loop {
            let Some(mut desk) = self.desk.try_lock() else { return false };
            let _here = Here::new(&self.thread);
            while !desk.batch.is_empty() || client.driver().take(&mut desk.batch) {
                desk.work_off(client, catch);
            }
            drop(desk);
            // Somebody may have left us something between our last look and the lock's release.
            if !client.driver().engine.look(|state| state.has_notices()) {
                return true;
            }
        }
    }
}

impl Desk {
    fn work_off(&mut self, client: &Client, catch: bool) {
        let mut since = Instant::now();
        let mut unclocked = 0;
        while let Some(notice) = self.batch.pop_front() {
            let token = match &notice.event {
                DriverEvent::Core(Event::Message(received)) => received.ack,
                _ => None,
            };
            if catch {
                let called = catch_unwind(AssertUnwindSafe(|| self.call(client, notice)));
                if called.is_err() {
                    self.log(client, || Log::new(Level::Error, "a callback panicked; the loop goes on"));
                }
            } else {
                self.call(client, notice);
            }
            // Only now: never acknowledge what was not handled.
            let by_hand = client.is_manual_ack();
            self.done.extend(token.filter(|_| !by_hand));
            unclocked += 1;
            if (token.is_some() || unclocked >= CLOCK_MESSAGES) && !self.batch.is_empty() {
                unclocked = 0;
                if since.elapsed() > BREATH {
                    self.breathe(client);
                    since = Instant::now();
                }
            }
        }
        self.settle(client);
    }

    fn breathe(&mut self, client: &Client) {
        self.settle(client);
        // What goes wrong here is told as an event.
        let _ = client.driver().misc();
        client.write_if_allowed();
    }

    fn settle(&mut self, client: &Client) {
        if self.done.is_empty() && self.unclaimed == 0 {
            return;
        }
        client.driver().engine.update(|state, now| {
            state.counters.unclaimed += std::mem::take(&mut self.unclaimed);
            for token in self.done.drain(..) {
                state.core.acknowledge(now, token, ReasonCode::Success);
            }
        });
    }

    /// Calls the callback that a notice is for.
    fn call(&mut self, client: &Client, notice: Notice) {
        let registry = client.registry();
        // What remains of the notice wakes whoever waits for the same, after the callback.
        match notice.event {
            DriverEvent::Core(Event::Message(received)) => {
                if !self.view.on_message(registry, client, &received) {
                    self.unclaimed += 1;
                    let by_hand = client.is_manual_ack();
                    self.done.extend(received.ack.filter(|_| by_hand));
                }
            }
            DriverEvent::Core(event) => self.call_for(registry, client, event),
            DriverEvent::ConnectFailed { error, .. } => {
                self.log(client, || Log::new(Level::Warning, &error));
                invoke(&self.view.of(registry).connect_fail, client, &error);
            }
            DriverEvent::Closed(why) => {
                self.log(client, || Log::new(Level::Info, &why));
                invoke(&self.view.of(registry).disconnect, client, &why);
            }
        }
    }

    fn call_for(&mut self, registry: &Registry, client: &Client, event: Event) {
        let callbacks = self.view.of(registry);
        match event {
            Event::Connected { connack, .. } | Event::Refused(connack) => {
                invoke(&callbacks.connect, client, &connack);
            }
            Event::Published { packet_id, reason, properties } => {
                let published = Published { packet_id: Some(packet_id), reason, properties };
                invoke(&callbacks.publish, client, &published);
            }
            Event::Subscribed { packet_id, reasons, properties } => {
                invoke(&callbacks.subscribe, client, &Answer { packet_id, reasons, properties });
            }
            Event::Unsubscribed { packet_id, reasons, properties } => {
                invoke(&callbacks.unsubscribe, client, &Answer { packet_id, reasons, properties });
            }
            Event::Auth(auth) => invoke(&callbacks.auth, client, &auth),
            Event::Trace(trace) => self.log(client, || Log::of_packet(&trace)),
            Event::Dropped { packet_id, why } => self.log(client, || {
                let id = packet_id.map_or(0, PacketId::get);
                Log::new(Level::Warning, format_args!("message m{id} was dropped: {why:?}"))
            }),
            Event::SessionLost => {
                self.log(client, || Log::new(Level::Info, "the server had lost the session"));
            }
            _ => {}
        }
    }

    fn log(&mut self, client: &Client, line: impl FnOnce() -> Log) {
        let callbacks = self.view.of(client.registry());
        if callbacks.log.is_some() {
            invoke(&callbacks.log, client, &line());
        }
    }
}

fn invoke<T>(callback: &Option<Callback<T>>, client: &Client, argument: &T) {
    // Cloned by nobody: the view keeps it alive, and changes only between callbacks.
    if let Some(callback) = callback {
        callback.lock()(client, argument);
    }
}

/// The calling thread is in a callback as long as this lives.
struct Here<'a>(&'a AtomicU64);

impl<'a> Here<'a> {
    fn new(thread: &'a AtomicU64) -> Self {
        thread.store(thread_number(), Ordering::Relaxed);
        Self(thread)
    }
}

impl Drop for Here<'_> {
    fn drop(&mut self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

/// A number that only the calling thread has; never 0.
fn thread_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    thread_local! {
        static NUMBER: Cell<u64> = const { Cell::new(0) };
    }
    NUMBER.with(|number| {
        if number.get() == 0 {
            number.set(NEXT.fetch_add(1, Ordering::Relaxed));
        }
        number.get()
    })
}
