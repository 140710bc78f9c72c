//! `PahoBase`: what `karere.paho.client.Client` is made on.

use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use karere::StoreOptions;
use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use super::convert::rc;
use super::info::MQTTMessageInfo;
use super::message::MQTTMessage;
use super::open::{self, PyWill, Request};
use super::publish::{self, Arguments};
use super::state::Inner;
use super::stored;
use super::subscribe::{self, Asked};
use super::turn;

/// The native half of a client: the state machine, its connection's bytes, and calling back.
///
/// Every lock in here is held for an instant, and none while Python code runs.
#[pyclass(subclass, frozen, module = "karere._karere")]
pub(super) struct PahoBase {
    /// Only ever locked by who holds the interpreter's lock, so that nobody has it when that thread forks.
    inner: Mutex<Arc<Inner>>,
}

impl PahoBase {
    pub(super) fn inner(&self) -> Arc<Inner> {
        Arc::clone(&self.inner.lock())
    }
}

#[pymethods]
impl PahoBase {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        Ok(Self { inner: Mutex::new(Arc::new(Inner::new(open::options())?)) })
    }

    /// Forgets everything. With `store` the session is in that folder, and what is there of it comes back; True if there is.
    #[pyo3(signature = (store=None, client_id=Vec::new()))]
    fn _renew(&self, py: Python<'_>, store: Option<PathBuf>, client_id: Vec<u8>) -> PyResult<bool> {
        let former = self.inner();
        py.detach(|| former.let_store_go());
        let (inner, found) = match store {
            None => (Arc::new(Inner::new(open::options())?), false),
            Some(path) => stored::open(py, &StoreOptions::new(path), client_id)?,
        };
        *self.inner.lock() = inner;
        Ok(found)
    }

    /// The child of a fork: nothing of the parent's is touched, and its connection's descriptor is closed here.
    fn _forked(&self, py: Python<'_>) -> PyResult<()> {
        let fresh = Arc::new(Inner::new(open::options())?);
        let former = std::mem::replace(&mut *self.inner.lock(), Arc::clone(&fresh));
        let copy = |from: &std::sync::atomic::AtomicBool, to: &std::sync::atomic::AtomicBool| {
            to.store(from.load(Ordering::SeqCst), Ordering::SeqCst);
        };
        copy(&former.flags.manual_ack, &fresh.flags.manual_ack);
        copy(&former.flags.version2, &fresh.flags.version2);
        copy(&former.flags.external, &fresh.flags.external);
        copy(&former.flags.watched, &fresh.flags.watched);
        copy(&former.flags.on_publish, &fresh.flags.on_publish);
        if let Some(mut filters) = former.filters.try_lock() {
            *fresh.filters.lock() = std::mem::take(&mut filters);
            copy(&former.flags.filtered, &fresh.flags.filtered);
        }
        if let Some(link) = former.try_take_link() {
            let number = link.fd.as_raw_fd();
            match Arc::try_unwrap(link) {
                Ok(link) => drop(link),
                Err(held) => {
                    // A thread that is not here any more holds it for ever.
                    std::mem::forget(held);
                    py.import("os")?.call_method1("close", (number,))?;
                }
            }
        }
        // What a thread of the parent's may have locked is never looked at again.
        std::mem::forget(former);
        Ok(())
    }

    /// Sets what the native half must know. The names are those of the flags.
    #[pyo3(signature = (**flags))]
    fn _tell(&self, flags: Option<&Bound<'_, PyDict>>) -> PyResult<()> {
        let inner = self.inner();
        for (name, value) in flags.into_iter().flatten() {
            let flag = match name.extract::<String>()?.as_str() {
                "threaded" => &inner.flags.threaded,
                "guarded" => &inner.flags.guarded,
                "external" => &inner.flags.external,
                "watched" => &inner.flags.watched,
                "on_publish" => &inner.flags.on_publish,
                "manual_ack" => &inner.flags.manual_ack,
                "version2" => &inner.flags.version2,
                "v5" => &inner.flags.v5,
                "interrupt" => &inner.flags.interrupt,
                _ => continue,
            };
            flag.store(value.is_truthy()?, Ordering::SeqCst);
        }
        inner.callbacks.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    /// Callbacks have changed.
    fn _changed(&self) {
        self.inner().callbacks.fetch_add(1, Ordering::SeqCst);
    }

    /// Ends the sleep of whoever sleeps in a loop.
    fn _wake(&self) {
        self.inner().wake();
    }

    /// Who waits for a message that nobody is going to send learns it.
    fn _abandon(&self) {
        let inner = self.inner();
        inner.state().tickets.values().for_each(|ticket| ticket.fail(rc::NO_CONN));
    }

    /// Whether nothing is left to be written or acknowledged.
    fn _is_drained(&self) -> bool {
        let inner = self.inner();
        let state = inner.state();
        state.core.outbox_bytes() == 0 && state.core.queued() == 0 && state.core.inflight() == 0
    }

    fn _filter_add(&self, filter: &str) {
        let inner = self.inner();
        inner.filters.lock().insert(filter);
        inner.flags.filtered.store(true, Ordering::SeqCst);
    }

    fn _filter_remove(&self, filter: &str) {
        let inner = self.inner();
        let mut filters = inner.filters.lock();
        filters.remove(filter);
        inner.flags.filtered.store(!filters.is_empty(), Ordering::SeqCst);
    }

    /// The limits that may change at any time: messages in flight and in all, 0 for none; and whether packets are told.
    fn _limit(&self, inflight: u64, queued: usize, trace: bool) {
        let inner = self.inner();
        let mut state = inner.state();
        let mut options = state.core.options().clone();
        options.inflight_max = match u16::try_from(inflight) {
            Ok(0) | Err(_) => u16::MAX,
            Ok(max) => max,
        };
        options.trace = trace;
        state.core.set_options(options);
        state.queue_max = queued;
    }

    /// Whether bytes wait to be written.
    pub(super) fn want_write(&self) -> bool {
        let inner = self.inner();
        let state = inner.state();
        !state.over && (state.core.outbox_bytes() > 0 || inner.waits_for_store(&state))
    }

    /// Gives up all messages at QoS 1 and 2 that are not acknowledged, and returns them.
    fn drop_out_messages(&self, py: Python<'_>) -> PyResult<Vec<MQTTMessage>> {
        let inner = self.inner();
        let (messages, tickets) = {
            let mut state = inner.state();
            let messages = state.core.drain();
            inner.collect(&mut state);
            let tickets: Vec<_> = messages.iter().map(|(id, _)| state.tickets.remove(id)).collect();
            (messages, tickets)
        };
        tickets.into_iter().flatten().for_each(|ticket| ticket.fail(rc::UNKNOWN));
        messages.iter().map(|(id, message)| MQTTMessage::sent(py, id.get(), message)).collect()
    }

    /// Acknowledges a message under `manual_ack`.
    fn _acknowledge(&self, mid: u16, qos: u8) -> bool {
        let inner = self.inner();
        let mut state = inner.state();
        let Some(token) = state.unacknowledged.remove(&(mid, qos)) else { return false };
        state.core.acknowledge(inner.now(), token, karere_core::codec::ReasonCode::Success);
        inner.collect(&mut state);
        let asleep = std::mem::take(&mut state.sleeping);
        drop(state);
        inner.wake_if(asleep);
        true
    }

    /// Takes over a connected, non-blocking socket; CONNECT waits to be written then. With `plain` its bytes are the
    /// protocol's, else they go through `_sock_recv` and `_sock_send`.
    #[pyo3(signature = (
        socket, plain, *, version, client_id, clean, keepalive, username, password, will, properties, bridge,
        websocket=None
    ))]
    #[allow(clippy::too_many_arguments)] // one call, from one place, with names
    fn _open(
        &self,
        socket: &Bound<'_, PyAny>,
        plain: bool,
        version: u8,
        client_id: Vec<u8>,
        clean: bool,
        keepalive: u16,
        username: Option<Vec<u8>>,
        password: Option<Vec<u8>>,
        will: Option<PyWill<'_>>,
        properties: Option<Bound<'_, PyAny>>,
        bridge: bool,
        websocket: Option<Vec<u8>>,
    ) -> PyResult<()> {
        let request = Request {
            version,
            client_id,
            clean,
            keepalive,
            username,
            password,
            will,
            properties,
            bridge,
            websocket,
        };
        open::open(&self.inner(), socket, plain, request)
    }

    /// Lets the connection go as it is.
    fn _close(&self) {
        open::close(&self.inner());
    }

    /// Queues DISCONNECT, and writes it where there is no loop to do it.
    #[pyo3(signature = (reason, properties))]
    fn _leave(slf: &Bound<'_, Self>, reason: u8, properties: Option<&Bound<'_, PyAny>>) -> PyResult<i32> {
        let inner = slf.get().inner();
        if !open::leave(&inner, reason, properties)? {
            return Ok(rc::NO_CONN);
        }
        turn::flush(slf, &inner)
    }

    /// Writes what waits, where there is no loop to do it.
    fn _flush(slf: &Bound<'_, Self>) -> PyResult<i32> {
        turn::flush(slf, &slf.get().inner())
    }

    /// Publishes a message and returns its `MQTTMessageInfo`.
    ///
    /// ValueError for a topic that is none (empty, over 65,535 bytes, with a wildcard), a QoS that is none and a payload
    /// that is too large; TypeError for a payload of another type. Offline, QoS 1 and 2 wait for the connection.
    #[pyo3(signature = (topic, payload=None, qos=None, retain=None, properties=None))]
    #[pyo3(text_signature = "($self, topic, payload=None, qos=0, retain=False, properties=None)")]
    fn publish(
        slf: &Bound<'_, Self>,
        topic: &Bound<'_, PyAny>,
        payload: Option<&Bound<'_, PyAny>>,
        qos: Option<&Bound<'_, PyAny>>,
        retain: Option<&Bound<'_, PyAny>>,
        properties: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<MQTTMessageInfo> {
        publish::publish(slf, &Arguments { topic, payload, qos, retain, properties })
    }

    /// Asks for filters with the byte of their options: `(rc, mid)`.
    #[pyo3(signature = (filters, properties))]
    fn _subscribe(
        slf: &Bound<'_, Self>,
        filters: Vec<(Vec<u8>, u8)>,
        properties: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Asked> {
        subscribe::subscribe(slf, filters, properties)
    }

    /// Ends subscriptions: `(rc, mid)`.
    #[pyo3(signature = (filters, properties))]
    fn _unsubscribe(
        slf: &Bound<'_, Self>,
        filters: Vec<Vec<u8>>,
        properties: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Asked> {
        subscribe::unsubscribe(slf, filters, properties)
    }

    /// Waits for the socket at most `timeout` seconds and does what there is to be done; returns an `MQTTErrorCode`.
    ///
    /// With `stay` it goes on until the time is up, the connection has ended, or the flag `interrupt` is set.
    fn _run(slf: &Bound<'_, Self>, timeout: f64, stay: bool) -> PyResult<i32> {
        turn::run(slf, timeout, stay)
    }

    /// Reads what is there and calls back for it.
    fn _read(slf: &Bound<'_, Self>) -> PyResult<i32> {
        turn::read(slf)
    }

    /// Writes what waits.
    fn _write(slf: &Bound<'_, Self>) -> PyResult<i32> {
        turn::write(slf)
    }

    /// Lets time pass.
    fn _misc(slf: &Bound<'_, Self>) -> PyResult<i32> {
        turn::misc(slf)
    }

    /// The number of the descriptor that stands for the socket here; -1 for none.
    fn _descriptor(&self) -> i32 {
        self.inner().link().map_or(-1, |link| link.fd.as_raw_fd())
    }
}
