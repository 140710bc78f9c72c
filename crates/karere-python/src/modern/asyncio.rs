//! What `karere.aio.Client` stands on: a driver without a thread, called by Python's event loop when the socket is
//! ready.
//!
//! One call reads a burst, hands all of it to the streams and sets the futures; one call a pass of the loop writes
//! what its tasks have published meanwhile. No other thread is concerned, so nothing is woken for a message but the task
//! that waits for it.

mod stream;

use std::collections::{HashMap, VecDeque};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use karere::blocking::Driver;
use karere::{CoreEvent, Disconnection, DriverEvent, Notice, Options};
use karere_core::client::AckToken;
use karere_core::codec::{PacketId, ReasonCode};
use parking_lot::Mutex;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString};

pub(super) use self::stream::LoopStream;
use super::claim::Acknowledge;
use super::config;
use super::errors;
use super::fork::Own;
use super::outcome::{self, Outcome};
use super::properties::{self, Properties};
use super::queue::End;
use super::request::{self, Filters};
use super::streams::Streams;

/// Above this many bytes a publish writes itself: a task that never waits would else fill the memory.
const WRITE_BYTES: usize = 64 * 1024;

/// How often one call reads before other tasks have their turn.
const READS_MAX: usize = 4;

/// A connection that is made and not yet used.
#[pyclass(frozen, module = "karere._karere")]
pub(super) struct Opened(Mutex<Option<karere::blocking::Opened>>);

/// The native half of `karere.aio.Client`.
#[pyclass(frozen, weakref, module = "karere._karere")]
pub(super) struct LoopClient(Own<Arc<Shared>>);

struct Shared {
    driver: Driver,
    options: Options,
    streams: Mutex<Streams>,
    /// Who waits for the end of a packet identifier's use.
    futures: Mutex<HashMap<u16, Py<PyAny>>>,
    /// To be acknowledged with the next write.
    done: Mutex<Vec<AckToken>>,
    hooks: Mutex<Option<Arc<Hooks>>>,
    /// What ended the last connection.
    last_end: Mutex<Option<Disconnection>>,
    /// Whether the server has accepted this connection.
    accepted: AtomicBool,
    /// A write is due in the loop's next pass.
    scheduled: AtomicBool,
}

/// The event loop, as far as it is needed.
struct Hooks {
    /// Makes a future.
    create_future: Py<PyAny>,
    /// Has [`LoopClient::flush`] called in the loop's next pass.
    schedule: Py<PyAny>,
}

/// What a publish has come to so far.
#[derive(IntoPyObject)]
enum Published {
    /// At QoS 0: it is on its way.
    Nothing(Option<bool>),
    Future(Py<PyAny>),
}

impl Published {
    const SENT: Self = Self::Nothing(None);
    /// On its way, but somebody else should have a turn.
    const YIELD: Self = Self::Nothing(Some(true));
    /// Too much waits to be written: not taken.
    const FULL: Self = Self::Nothing(Some(false));
}

#[pymethods]
impl LoopClient {
    #[new]
    fn new(py: Python<'_>, host: &str, port: Option<u16>, values: &Bound<'_, PyDict>) -> PyResult<Self> {
        let options = config::options(host, port, values)?;
        let streams = Streams::new(options.core.seed, options.stream_bytes_max, options.manual_ack);
        let driver = py.detach(|| Driver::new(options.clone()))?;
        driver.check_store().map_err(|error| errors::store(py, &error))?;
        Ok(Self(Own::new(Arc::new(Shared {
            driver,
            options,
            streams: Mutex::new(streams),
            futures: Mutex::default(),
            done: Mutex::default(),
            hooks: Mutex::default(),
            last_end: Mutex::default(),
            accepted: AtomicBool::new(false),
            scheduled: AtomicBool::new(false),
        }))))
    }

    /// Says which event loop it is. Streams are open from here on, again or for the first time.
    fn bind(&self, py: Python<'_>, create_future: Py<PyAny>, schedule: Py<PyAny>) -> PyResult<()> {
        let shared = self.0.get()?;
        py.detach(|| shared.driver.reopen_store()).map_err(|error| errors::store(py, &error))?;
        let former = shared.hooks.lock().replace(Arc::new(Hooks { create_future, schedule }));
        drop(former);
        shared.streams.lock().open();
        Ok(())
    }

    /// Connects, blocking: for another thread than the loop's.
    fn open(&self, py: Python<'_>) -> PyResult<Opened> {
        let shared = Arc::clone(self.0.get()?);
        let opened = py.detach(|| shared.driver.open());
        opened.map(|opened| Opened(Mutex::new(Some(opened)))).map_err(|error| errors::connect(py, &error))
    }

    /// Uses a connection; CONNECT is written.
    fn attach(&self, py: Python<'_>, opened: &Opened) -> PyResult<Option<Py<PyList>>> {
        let shared = self.0.get()?;
        let Some(opened) = opened.0.lock().take() else {
            return Err(PyRuntimeError::new_err("this connection is used already"));
        };
        shared.accepted.store(false, Ordering::Relaxed);
        shared.driver.attach_opened(opened);
        shared.write();
        shared.turn(py)
    }

    /// The socket, for the event loop; -1 without a connection.
    fn fileno(&self) -> PyResult<i32> {
        Ok(self.0.get()?.driver.with_socket(|socket| socket.as_raw_fd()).unwrap_or(-1))
    }

    /// What becomes readable when the store has something to be written, for the event loop: `flush` is due then. -1 without
    /// a store.
    fn wake_fileno(&self) -> PyResult<i32> {
        let shared = self.0.get()?;
        let stored = shared.options.store.is_some();
        Ok(if stored { shared.driver.wake_socket().as_raw_fd() } else { -1 })
    }

    /// The socket can be read. Returns what the client has to look at itself, if there is something.
    fn read(&self, py: Python<'_>) -> PyResult<Option<Py<PyList>>> {
        let shared = self.0.get()?;
        // Until nothing is there: of a socket that has an error, uvloop tells once. What goes wrong is among what happened.
        let mut reads = (0..READS_MAX).map(|_| shared.driver.read());
        let more = reads.all(|read| matches!(read, Ok(true)));
        let mut rest = shared.turn(py)?;
        if more {
            let list = rest.get_or_insert_with(|| PyList::empty(py).unbind());
            list.bind(py).append(("more",))?;
        }
        if shared.driver.want_write() {
            shared.schedule(py)?;
        }
        Ok(rest)
    }

    /// Writes what was published, and acknowledges what was read, since the last call. Returns as `read` does.
    fn flush(&self, py: Python<'_>) -> PyResult<Option<Py<PyList>>> {
        let shared = self.0.get()?;
        shared.scheduled.store(false, Ordering::Relaxed);
        shared.settle();
        shared.write();
        let rest = shared.turn(py)?;
        if shared.options.store.is_some() && !shared.driver.arm() && !shared.driver.want_write() {
            shared.schedule(py)?;
        }
        Ok(rest)
    }

    /// The socket takes bytes again. Returns as `read` does.
    fn resume(&self, py: Python<'_>) -> PyResult<Option<Py<PyList>>> {
        let shared = self.0.get()?;
        shared.driver.unblock();
        self.flush(py)
    }

    /// Whether bytes wait for the socket to take them.
    fn is_blocked(&self) -> PyResult<bool> {
        Ok(self.0.get()?.driver.want_write())
    }

    /// Lets time pass. Returns as `read` does.
    fn tick(&self, py: Python<'_>) -> PyResult<Option<Py<PyList>>> {
        // What goes wrong is among what happened.
        let _ = self.0.get()?.driver.misc();
        self.flush(py)
    }

    /// Seconds until `tick` is due; None while it is not.
    fn patience(&self) -> PyResult<Option<f64>> {
        Ok(self.0.get()?.driver.patience().map(|patience| patience.as_secs_f64()))
    }

    /// Publishes. A future at QoS 1 and 2; at QoS 0 None, or True when other tasks should have a turn. False when it is
    /// not taken because too much waits to be written.
    fn publish(
        &self,
        py: Python<'_>,
        topic: &Bound<'_, PyString>,
        payload: Option<&Bound<'_, PyAny>>,
        qos: u8,
        retain: bool,
        properties: Option<&Bound<'_, Properties>>,
    ) -> PyResult<Published> {
        let shared = self.0.get()?;
        let hooks = shared.hooks(py)?;
        let payload = request::payload(py, payload)?;
        let topic = topic.to_cow()?;
        let publish = request::publish(&topic, payload.as_bytes(), qos, retain, properties)?;
        let waiting = shared.driver.outbox_bytes();
        if waiting > WRITE_BYTES {
            shared.write();
            if shared.driver.outbox_bytes() > shared.options.core.outbox_bytes_max {
                shared.schedule(py)?;
                return Ok(Published::FULL);
            }
        }
        let delivery = shared.driver.publish(publish).map_err(|error| errors::publish(py, &error))?;
        shared.schedule(py)?;
        match delivery.packet_id() {
            None if waiting > WRITE_BYTES => Ok(Published::YIELD),
            None => Ok(Published::SENT),
            Some(packet_id) => shared.future(py, &hooks, packet_id).map(Published::Future),
        }
    }

    /// Subscribes; a future of the granted reason codes.
    fn subscribe(
        &self,
        py: Python<'_>,
        filters: Filters,
        subscription_id: Option<u32>,
        properties: Option<&Bound<'_, Properties>>,
    ) -> PyResult<Py<PyAny>> {
        let shared = self.0.get()?;
        let hooks = shared.hooks(py)?;
        let request = request::subscribe(filters, subscription_id, properties)?;
        let asked = shared.driver.subscribe(request).map_err(|error| errors::subscribe(py, &error))?;
        shared.schedule(py)?;
        shared.future(py, &hooks, asked)
    }

    /// Unsubscribes; a future of the reason codes.
    fn unsubscribe(
        &self,
        py: Python<'_>,
        filters: Vec<String>,
        properties: Option<&Bound<'_, Properties>>,
    ) -> PyResult<Py<PyAny>> {
        let shared = self.0.get()?;
        let hooks = shared.hooks(py)?;
        let mut request = karere::Unsubscribe::new(filters);
        request.properties = properties::block(properties);
        let asked = shared.driver.unsubscribe(request).map_err(|error| errors::subscribe(py, &error))?;
        shared.schedule(py)?;
        shared.future(py, &hooks, asked)
    }

    /// Says DISCONNECT. Returns as `read` does.
    fn disconnect(
        &self,
        py: Python<'_>,
        reason: u8,
        properties: Option<&Bound<'_, Properties>>,
    ) -> PyResult<Option<Py<PyList>>> {
        let shared = self.0.get()?;
        let disconnect = request::disconnect(reason, properties)?;
        shared.settle();
        shared.driver.disconnect(&disconnect);
        shared.write();
        shared.turn(py)
    }

    /// Takes nothing more: streams end, and who waits is told. With `lost` the connection's end is the reason.
    #[pyo3(signature = (lost=false))]
    fn close(&self, py: Python<'_>, lost: bool) -> PyResult<()> {
        let shared = self.0.get()?;
        let hooks = shared.hooks.lock().take();
        drop(hooks);
        let end = match shared.last_end.lock().clone() {
            Some(why) if lost => End::Lost(why),
            _ => End::Closed,
        };
        let error = outcome::end_error(py, &end);
        let woken = shared.streams.lock().close(&end);
        let futures = std::mem::take(&mut *shared.futures.lock());
        for future in futures.into_values() {
            outcome::fail(py, &future, &error);
        }
        outcome::wake(py, woken);
        // Another client may have it from here on.
        py.detach(|| shared.driver.close_store());
        Ok(())
    }

    /// The stream of what no other stream is for.
    fn rest(&self) -> PyResult<LoopStream> {
        let queue = self.0.get()?.streams.lock().rest();
        Ok(LoopStream::new(queue, None))
    }

    /// A stream of what matches one of `filters`.
    fn join(&self, filters: Vec<String>) -> PyResult<LoopStream> {
        let (key, queue) = self.0.get()?.streams.lock().join(filters)?;
        Ok(LoopStream::new(queue, Some(key)))
    }

    /// Ends a stream. What it keeps is acknowledged: nobody else can do that.
    fn leave(&self, py: Python<'_>, stream: &LoopStream) -> PyResult<()> {
        let shared = self.0.get()?;
        if let Some(key) = stream.key {
            shared.streams.lock().leave(key);
        }
        let woken = stream.queue.close(End::Closed);
        outcome::wake(py, woken);
        while let Some(message) = stream.next(py) {
            message.finish(py);
        }
        Ok(())
    }

    /// Whether the server has accepted the connection, and nothing has ended it since.
    #[getter]
    fn is_connected(&self) -> PyResult<bool> {
        Ok(self.0.get()?.driver.is_connected())
    }

    /// The Client Identifier in use.
    #[getter]
    fn client_id(&self) -> PyResult<String> {
        Ok(self.0.get()?.driver.client_id().to_string())
    }

    /// Messages that wait, offline or for the window.
    #[getter]
    fn queued(&self) -> PyResult<usize> {
        Ok(self.0.get()?.driver.queued())
    }

    /// QoS 1 and 2 messages that were sent and are not acknowledged.
    #[getter]
    fn inflight(&self) -> PyResult<usize> {
        Ok(self.0.get()?.driver.inflight())
    }

    /// QoS 0 messages that were given up because their consumers were behind.
    #[getter]
    fn dropped(&self) -> PyResult<u64> {
        Ok(self.0.get()?.streams.lock().dropped())
    }
}

impl Shared {
    /// Writes as much as the socket takes. What goes wrong is among what happened.
    fn write(&self) {
        let _ = self.driver.write();
    }

    fn settle(&self) {
        let done = std::mem::take(&mut *self.done.lock());
        if !done.is_empty() {
            self.driver.acknowledge(done, ReasonCode::Success);
        }
    }

    /// Sees to it that what waits is written in the loop's next pass.
    fn schedule(&self, py: Python<'_>) -> PyResult<()> {
        if !self.scheduled.swap(true, Ordering::Relaxed)
            && let Err(error) = self.hooks(py).and_then(|hooks| hooks.schedule.call0(py))
        {
            self.scheduled.store(false, Ordering::Relaxed);
            return Err(error);
        }
        Ok(())
    }

    /// A future for the end of this packet identifier's use.
    fn future(&self, py: Python<'_>, hooks: &Hooks, packet_id: PacketId) -> PyResult<Py<PyAny>> {
        let future = hooks.create_future.call0(py)?;
        let former = self.futures.lock().insert(packet_id.get(), future.clone_ref(py));
        drop(former);
        Ok(future)
    }

    fn hooks(&self, py: Python<'_>) -> PyResult<Arc<Hooks>> {
        self.hooks.lock().clone().ok_or_else(|| errors::closed(py))
    }

    /// Hands over what has happened: messages to the streams, outcomes to the futures, the rest to the caller.
    fn turn(self: &Arc<Self>, py: Python<'_>) -> PyResult<Option<Py<PyList>>> {
        let mut batch = VecDeque::new();
        let mut rest = Vec::new();
        while self.driver.take(&mut batch) {
            let mut ended = Vec::new();
            let woken = self.sort(&mut batch, &mut ended, &mut rest);
            // No lock is held from here on: Python may call anything.
            for (future, outcome) in ended {
                outcome.tell(py, &future);
            }
            outcome::wake(py, woken);
            if rest.iter().any(is_farewell) {
                self.write(); // the connection is over once all is written
            }
        }
        if rest.is_empty() {
            return Ok(None);
        }
        let list = PyList::empty(py);
        for event in rest {
            if let Some(event) = self.event(py, event)? {
                list.append(event)?;
            }
        }
        Ok(Some(list.unbind()))
    }

    /// Gives messages to the streams, and finds the futures that something has ended for. Returns whom to wake.
    fn sort(
        self: &Arc<Self>,
        batch: &mut VecDeque<Notice>,
        ended: &mut Vec<(Py<PyAny>, Outcome)>,
        rest: &mut Vec<DriverEvent>,
    ) -> Vec<Py<PyAny>> {
        let me = Arc::downgrade(self);
        let mut streams = self.streams.lock();
        let mut futures = self.futures.lock();
        for notice in batch.drain(..) {
            match notice.event {
                DriverEvent::Core(CoreEvent::Message(received)) => streams.deliver(&me, received),
                DriverEvent::Core(event) => match Outcome::of(event) {
                    Ok((packet_id, outcome)) => {
                        ended.extend(futures.remove(&packet_id.get()).map(|future| (future, outcome)));
                    }
                    Err(event) => rest.push(DriverEvent::Core(event)),
                },
                event => rest.push(event),
            }
        }
        streams.woken()
    }

    /// What the Python half has to look at: a tuple that begins with its name.
    fn event<'py>(&self, py: Python<'py>, event: DriverEvent) -> PyResult<Option<Bound<'py, PyAny>>> {
        Ok(match event {
            DriverEvent::Closed(why) => {
                let accepted = self.accepted.load(Ordering::Relaxed);
                let error = if accepted { errors::disconnected(py, &why) } else { errors::lost(py, &why) };
                let requested = matches!(why, Disconnection::Requested);
                *self.last_end.lock() = Some(why);
                Some(("closed", error.into_value(py), requested).into_pyobject(py)?.into_any())
            }
            DriverEvent::Core(CoreEvent::Connected { connack, .. }) => {
                self.accepted.store(true, Ordering::Relaxed);
                let properties = Properties::from(connack.properties.compact());
                Some(("connected", connack.session_present, properties).into_pyobject(py)?.into_any())
            }
            DriverEvent::Core(CoreEvent::SessionLost) => {
                Some(("session_lost",).into_pyobject(py)?.into_any())
            }
            DriverEvent::Core(CoreEvent::Resubscribed { refused }) if !refused.is_empty() => {
                let refused: Vec<_> = refused
                    .iter()
                    .map(|(filter, why)| (filter.as_str().to_owned(), why.to_string()))
                    .collect();
                Some(("refused", refused).into_pyobject(py)?.into_any())
            }
            _ => None,
        })
    }
}

/// Whether the server has ended the connection with it.
fn is_farewell(event: &DriverEvent) -> bool {
    matches!(event, DriverEvent::Core(CoreEvent::Refused(_) | CoreEvent::Disconnected(_)))
}

impl Acknowledge for Shared {
    fn acknowledge(&self, py: Python<'_>, token: AckToken) {
        self.done.lock().push(token);
        // A client that is closed has nobody to tell.
        let _ = self.schedule(py);
    }
}
