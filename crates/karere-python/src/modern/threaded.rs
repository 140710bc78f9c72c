//! What `karere.Client` stands on: the blocking client with a thread of its own, which never touches Python.
//!
//! What a call has to wait for, it waits for without the interpreter, a tenth of a second at a time, and then lets
//! Python see to its signals.

mod delivery;
mod stream;

use std::collections::HashMap;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use karere::blocking::{Client, LoopError};
use karere::{
    Answer, ConnectError, CorePublishError, Disconnection, Options, PacketId, PublishError, StoreError,
    SubscribeError,
};
use karere_core::client::AckToken;
use karere_core::codec::ReasonCode;
use parking_lot::{Condvar, Mutex};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

pub(super) use self::delivery::Delivery;
pub(super) use self::stream::ThreadStream;
use super::claim::Acknowledge;
use super::fork::Own;
use super::outcome::Outcome;
use super::properties::{self, Properties};
use super::queue::End;
use super::request::{self, Filters};
use super::streams::Streams;
use super::{config, errors};

/// The longest wait before signals are looked at.
const PASS: Duration = Duration::from_millis(100);
/// The longest pause of who waits for the outbox or the window to empty.
const PAUSE: Duration = Duration::from_millis(2);

/// The native half of `karere.Client`.
#[pyclass(frozen, weakref, module = "karere._karere")]
pub(super) struct ThreadClient(Own<Arc<Shared>>);

struct Shared {
    client: Client,
    options: Options,
    streams: Mutex<Streams>,
    asked: Mutex<Asked>,
    answered: Condvar,
    session_present: AtomicBool,
}

/// SUBSCRIBE and UNSUBSCRIBE that somebody waits for.
#[derive(Default)]
struct Asked {
    /// How many wait: without any, answers are not kept.
    waiting: usize,
    answers: HashMap<PacketId, Outcome>,
    closed: bool,
}

#[pymethods]
impl ThreadClient {
    #[new]
    fn new(py: Python<'_>, host: &str, port: Option<u16>, values: &Bound<'_, PyDict>) -> PyResult<Self> {
        let options = config::options(host, port, values)?;
        let streams = Streams::new(options.core.seed, options.stream_bytes_max, options.manual_ack);
        // By hand towards the Rust client: the streams say when a message is done with.
        let client = py.detach(|| Client::new(options.clone().manual_ack(true)));
        client.driver().check_store().map_err(|error| errors::store(py, &error))?;
        let shared = Arc::new(Shared {
            client,
            options,
            streams: Mutex::new(streams),
            asked: Mutex::default(),
            answered: Condvar::new(),
            session_present: AtomicBool::new(false),
        });
        shared.listen();
        Ok(Self(Own::new(shared)))
    }

    /// Connects, waits for the server's answer, and starts the thread.
    fn connect(&self, py: Python<'_>) -> PyResult<()> {
        let shared = self.0.get()?;
        let client = &shared.client;
        if client.is_connected() {
            return Err(PyRuntimeError::new_err("this client is connected already"));
        }
        py.detach(|| client.driver().reopen_store()).map_err(|error| errors::store(py, &error))?;
        shared.asked.lock().closed = false;
        shared.streams.lock().open();
        py.detach(|| client.connect()).map_err(|error| errors::connect(py, &error))?;
        while !client.is_connected() {
            match py.detach(|| client.loop_once(PASS)) {
                Ok(()) => {}
                Err(LoopError::Lost(why)) => return Err(errors::lost(py, &why)),
                Err(_) => return Err(errors::connect(py, &ConnectError::Closed)),
            }
            if let Err(error) = py.check_signals() {
                client.driver().close(std::io::ErrorKind::Interrupted.into());
                return Err(error);
            }
        }
        client.loop_start();
        Ok(())
    }

    /// Says DISCONNECT, and waits until the thread has.
    fn disconnect(
        &self,
        py: Python<'_>,
        reason: u8,
        properties: Option<&Bound<'_, Properties>>,
    ) -> PyResult<()> {
        let shared = self.0.get()?;
        let disconnect = request::disconnect(reason, properties)?;
        py.detach(|| {
            shared.client.disconnect_with(&disconnect);
            shared.client.loop_stop();
            shared.close(&End::Closed);
            // Another client may have it from here on.
            shared.client.driver().close_store();
        });
        Ok(())
    }

    /// Waits until everything published at QoS 1 and 2 is acknowledged and all is written; False when it was not in time.
    fn drain(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<bool> {
        let shared = self.0.get()?;
        let driver = shared.client.driver();
        let is_busy = || driver.inflight() + driver.queued() + driver.outbox_bytes() > 0;
        shared.pause_while(py, timeout, is_busy)
    }

    /// Publishes. Waits while too much waits to be written, or with a connection too many messages wait for their way to be
    /// free.
    fn publish(
        &self,
        py: Python<'_>,
        topic: &Bound<'_, PyString>,
        payload: Option<&Bound<'_, PyAny>>,
        qos: u8,
        retain: bool,
        properties: Option<&Bound<'_, Properties>>,
    ) -> PyResult<Delivery> {
        let shared = self.0.get()?;
        let driver = shared.client.driver();
        let payload = request::payload(py, payload)?;
        let topic = topic.to_cow()?;
        let publish = request::publish(&topic, payload.as_bytes(), qos, retain, properties)?;
        let (max, has_store) = (shared.options.core.outbox_bytes_max, shared.options.store.is_some());
        if driver.outbox_bytes() > max {
            shared.pause_while(py, None, || driver.is_connected() && driver.outbox_bytes() > max / 2)?;
        }
        if shared.asked.lock().closed {
            return Err(errors::closed(py));
        }
        loop {
            let published = if has_store {
                // It writes to a file, and that can take its time.
                py.detach(|| driver.publish(publish.clone()))
            } else {
                // The interpreter is kept: this encodes and wakes the thread, and waits for nothing.
                driver.publish(publish.clone())
            };
            match published {
                Ok(delivery) => return Ok(delivery.into()),
                Err(
                    PublishError::Refused(
                        CorePublishError::Full { .. } | CorePublishError::PacketIdsExhausted,
                    )
                    | PublishError::Store(StoreError::Full { .. }),
                ) if driver.is_connected() => {
                    let waiting = || driver.queued() + driver.inflight();
                    let enough = waiting() / 4 * 3;
                    shared.pause_while(py, None, || driver.is_connected() && waiting() > enough)?;
                }
                Err(error) => return Err(errors::publish(py, &error)),
            }
        }
    }

    /// Subscribes, and waits for the granted reason codes.
    fn subscribe<'py>(
        &self,
        py: Python<'py>,
        filters: Filters,
        subscription_id: Option<u32>,
        properties: Option<&Bound<'py, Properties>>,
        timeout: Option<f64>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let shared = self.0.get()?;
        let request = request::subscribe(filters, subscription_id, properties)?;
        shared.ask(py, timeout, || shared.client.driver().subscribe(request))
    }

    /// Unsubscribes, and waits for the reason codes.
    fn unsubscribe<'py>(
        &self,
        py: Python<'py>,
        filters: Vec<String>,
        properties: Option<&Bound<'py, Properties>>,
        timeout: Option<f64>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let shared = self.0.get()?;
        let mut request = karere::Unsubscribe::new(filters);
        request.properties = properties::block(properties);
        shared.ask(py, timeout, || shared.client.driver().unsubscribe(request))
    }

    /// The stream of what no other stream is for.
    fn rest(slf: &Bound<'_, Self>) -> PyResult<ThreadStream> {
        let queue = slf.get().0.get()?.streams.lock().rest();
        Ok(ThreadStream::new(slf.clone().unbind(), queue, None))
    }

    /// A stream of what matches one of `filters`.
    fn join(slf: &Bound<'_, Self>, filters: Vec<String>) -> PyResult<ThreadStream> {
        let (key, queue) = slf.get().0.get()?.streams.lock().join(filters)?;
        Ok(ThreadStream::new(slf.clone().unbind(), queue, Some(key)))
    }

    /// Ends a stream. What it keeps is acknowledged: nobody else can do that.
    fn leave(&self, py: Python<'_>, stream: &ThreadStream) -> PyResult<()> {
        let shared = self.0.get()?;
        let held = stream.held.get()?;
        if let Some(key) = held.key {
            shared.streams.lock().leave(key);
        }
        held.queue.close(End::Closed);
        while let Some(message) = held.next(py) {
            message.finish(py);
        }
        Ok(())
    }

    /// The socket; -1 without a connection.
    fn fileno(&self) -> PyResult<i32> {
        Ok(self.0.get()?.client.with_socket(|socket| socket.as_raw_fd()).unwrap_or(-1))
    }

    /// Whether the server has accepted the connection, and nothing has ended it since.
    #[getter]
    fn is_connected(&self) -> PyResult<bool> {
        Ok(self.0.get()?.client.is_connected())
    }

    /// The Client Identifier in use.
    #[getter]
    fn client_id(&self) -> PyResult<String> {
        Ok(self.0.get()?.client.client_id().to_string())
    }

    /// Whether the server had the session when it last accepted a connection.
    #[getter]
    fn session_present(&self) -> PyResult<bool> {
        Ok(self.0.get()?.session_present.load(Ordering::Relaxed))
    }

    /// Messages that wait, offline or for the window.
    #[getter]
    fn queued(&self) -> PyResult<usize> {
        Ok(self.0.get()?.client.queued())
    }

    /// QoS 1 and 2 messages that were sent and are not acknowledged.
    #[getter]
    fn inflight(&self) -> PyResult<usize> {
        Ok(self.0.get()?.client.driver().inflight())
    }

    /// QoS 0 messages that were given up because their consumers were behind.
    #[getter]
    fn dropped(&self) -> PyResult<u64> {
        Ok(self.0.get()?.streams.lock().dropped())
    }
}

impl Shared {
    /// Has the thread bring what happens here. The callbacks do not keep the client alive.
    fn listen(self: &Arc<Self>) {
        let me = Arc::downgrade(self);
        self.client.on_message(move |_, received| {
            if let Some(shared) = me.upgrade() {
                shared.streams.lock().deliver(&me, received.clone());
            }
        });
        let answer = |me: Weak<Self>| {
            move |_: &Client, answer: &Answer| {
                if let Some(shared) = me.upgrade() {
                    shared.answer(answer);
                }
            }
        };
        self.client.on_subscribe(answer(Arc::downgrade(self)));
        self.client.on_unsubscribe(answer(Arc::downgrade(self)));
        let me = Arc::downgrade(self);
        self.client.on_connect(move |_, connack| {
            if let Some(shared) = me.upgrade() {
                shared.session_present.store(connack.session_present, Ordering::Relaxed);
            }
        });
        let me = Arc::downgrade(self);
        self.client.on_disconnect(move |_, why| {
            if let Some(shared) = me.upgrade() {
                shared.lost(why);
            }
        });
    }

    fn answer(&self, answer: &Answer) {
        let mut asked = self.asked.lock();
        if asked.waiting > 0 {
            let outcome = Outcome::Answered(answer.reasons.clone(), answer.properties.clone());
            asked.answers.insert(answer.packet_id, outcome);
            self.answered.notify_all();
        }
    }

    /// The connection is over: without another one to come, so are the streams.
    fn lost(&self, why: &Disconnection) {
        if self.options.reconnect.is_none() && !matches!(why, Disconnection::Requested) {
            self.close(&End::Lost(why.clone()));
        }
    }

    fn close(&self, end: &End) {
        self.asked.lock().closed = true;
        self.answered.notify_all();
        // Threads wait here, no futures.
        drop(self.streams.lock().close(end));
        self.client.driver().abandon();
    }

    /// Sends a request, and waits for its answer.
    fn ask<'py>(
        &self,
        py: Python<'py>,
        timeout: Option<f64>,
        send: impl FnOnce() -> Result<PacketId, SubscribeError>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let deadline = deadline(timeout)?;
        self.asked.lock().waiting += 1;
        let sent = send().map_err(|error| errors::subscribe(py, &error));
        let answer = sent.and_then(|packet_id| self.await_answer(py, packet_id, deadline));
        let mut asked = self.asked.lock();
        asked.waiting -= 1;
        if asked.waiting == 0 {
            asked.answers.clear();
        }
        drop(asked);
        answer?.result(py)
    }

    fn await_answer(
        &self,
        py: Python<'_>,
        packet_id: PacketId,
        deadline: Option<Instant>,
    ) -> PyResult<Outcome> {
        loop {
            let (answer, closed) = py.detach(|| {
                let mut asked = self.asked.lock();
                if !asked.answers.contains_key(&packet_id) && !asked.closed {
                    self.answered.wait_for(&mut asked, pass(deadline));
                }
                (asked.answers.remove(&packet_id), asked.closed)
            });
            match answer {
                Some(answer) => return Ok(answer),
                None if closed => return Err(errors::closed(py)),
                None if !self.options.core.resubscribe && !self.client.is_connected() => {
                    return Ok(Outcome::Unanswered);
                }
                None if is_over(deadline) => {
                    return Err(errors::timed_out(py, "the server has not answered in time"));
                }
                None => py.check_signals()?,
            }
        }
    }

    /// Waits while `is_busy`; false when it still is at the end of the time.
    fn pause_while(
        &self,
        py: Python<'_>,
        timeout: Option<f64>,
        is_busy: impl Fn() -> bool + Sync,
    ) -> PyResult<bool> {
        let deadline = deadline(timeout)?;
        loop {
            let busy = py.detach(|| {
                let until = Instant::now() + pass(deadline);
                let mut pause = Duration::from_micros(20);
                while is_busy() && Instant::now() < until {
                    thread::sleep(pause);
                    pause = (pause * 2).min(PAUSE);
                }
                is_busy()
            });
            if !busy || is_over(deadline) {
                return Ok(!busy);
            }
            py.check_signals()?;
        }
    }
}

impl Acknowledge for Shared {
    fn acknowledge(&self, _py: Python<'_>, token: AckToken) {
        self.client.driver().acknowledge([token], ReasonCode::Success);
    }
}

/// How long to wait before signals are looked at.
fn pass(deadline: Option<Instant>) -> Duration {
    deadline.map_or(PASS, |deadline| deadline.saturating_duration_since(Instant::now()).min(PASS))
}

fn is_over(deadline: Option<Instant>) -> bool {
    deadline.is_some_and(|deadline| deadline <= Instant::now())
}

fn deadline(timeout: Option<f64>) -> PyResult<Option<Instant>> {
    let timeout = timeout.map(request::seconds).transpose()?;
    Ok(timeout.and_then(|timeout| Instant::now().checked_add(timeout)))
}
