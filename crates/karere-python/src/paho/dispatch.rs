//! Calling back: one callback at a time, with no lock of ours held, in the order of what happened.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use karere_core::client::{Event, Received};
use karere_core::codec::{ConnAck, PacketId, Properties, QoS, ReasonCode};
use karere_core::connection::{Direction, PacketTrace};
use karere_core::session::AckToken;
use pyo3::exceptions::PyException;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyString;
use rustix::time::{ClockId, clock_gettime};

use super::base::PahoBase;
use super::convert::{self, packet, rc};
use super::message::MQTTMessage;
use super::state::{Inner, Item};

/// After callbacks have taken this long, what they are done with is acknowledged and written before the rest.
const BREATH: Duration = Duration::from_millis(10);
/// How many messages go by between looks at the clock.
const CLOCK_MESSAGES: u32 = 16;

/// Tells Python what has happened. The code of an ended connection, when it has ended here.
///
/// When somebody does so already, he does it for us.
pub(super) fn dispatch(slf: &Bound<'_, PahoBase>, inner: &Inner) -> PyResult<Option<i32>> {
    while inner.has_items() {
        if inner.flags.dispatching.swap(true, Ordering::SeqCst) {
            return Ok(None);
        }
        let told = Desk::new(slf, inner).work();
        inner.flags.dispatching.store(false, Ordering::SeqCst);
        if let Some(rc) = told? {
            return Ok(Some(rc));
        }
    }
    Ok(None)
}

/// Who calls back, for one batch.
struct Desk<'a, 'py> {
    slf: &'a Bound<'py, PahoBase>,
    py: Python<'py>,
    inner: &'a Inner,
    guarded: bool,
    v5: bool,
    /// What the callbacks below were looked up at.
    looked_up: u64,
    on_message: Option<Bound<'py, PyAny>>,
    on_publish: Option<Bound<'py, PyAny>>,
    filtered: bool,
    timestamp: f64,
    /// What callbacks are done with and is not acknowledged yet.
    done: Vec<AckToken>,
    since: Instant,
    unclocked: u32,
}

impl<'a, 'py> Desk<'a, 'py> {
    fn new(slf: &'a Bound<'py, PahoBase>, inner: &'a Inner) -> Self {
        let now = clock_gettime(ClockId::Monotonic);
        Self {
            slf,
            py: slf.py(),
            inner,
            guarded: inner.is(&inner.flags.guarded),
            v5: inner.is(&inner.flags.v5),
            looked_up: u64::MAX,
            on_message: None,
            on_publish: None,
            filtered: false,
            timestamp: now.tv_sec as f64 + now.tv_nsec as f64 * 1e-9,
            done: Vec::new(),
            since: Instant::now(),
            unclocked: 0,
        }
    }

    fn work(&mut self) -> PyResult<Option<i32>> {
        let mut items = VecDeque::new();
        self.inner.take_items(&mut items);
        let mut result = Ok(None);
        while let Some(item) = items.pop_front() {
            result = self.tell(item);
            if !matches!(result, Ok(None)) {
                break;
            }
            self.unclocked += 1;
            if self.unclocked >= CLOCK_MESSAGES || !self.done.is_empty() {
                self.breathe();
            }
        }
        self.settle();
        self.inner.put_back(items);
        result
    }

    fn tell(&mut self, item: Item) -> PyResult<Option<i32>> {
        match item {
            Item::Message(received) => self.on_message(received).map(|()| None),
            Item::Published { packet_id, reason, properties, ticket } => {
                let qos = ticket.as_ref().and_then(|ticket| QoS::from_bits(ticket.qos())).unwrap_or_default();
                let called = self.on_publish(packet_id.get(), qos, reason, &properties);
                if let Some(ticket) = ticket {
                    ticket.settle();
                }
                called.map(|()| None)
            }
            Item::Event(event) => {
                // Anything may change in there, and what is told next may depend on it.
                let told = self.on_event(*event);
                self.looked_up = u64::MAX;
                told
            }
            Item::Lost { number, rc, why } => {
                if self.inner.state().number != number {
                    return Ok(None);
                }
                self.call_handler(intern!(self.py, "_on_lost"), (rc, why))
            }
            Item::Left { number } => {
                if self.inner.state().number != number {
                    return Ok(None);
                }
                self.call_handler(intern!(self.py, "_on_left"), ())
            }
        }
    }

    /// Looks the callbacks up on the client: subclasses have them as methods, and programs exchange them.
    fn look_up(&mut self) -> PyResult<()> {
        let version = self.inner.callbacks.load(Ordering::SeqCst);
        if version != self.looked_up {
            let some = |callback: Bound<'py, PyAny>| (!callback.is_none()).then_some(callback);
            self.on_message = some(self.slf.getattr(intern!(self.py, "on_message"))?);
            self.on_publish = some(self.slf.getattr(intern!(self.py, "on_publish"))?);
            self.filtered = self.inner.is(&self.inner.flags.filtered);
            self.looked_up = version;
        }
        Ok(())
    }

    fn userdata(&self) -> PyResult<Bound<'py, PyAny>> {
        self.slf.getattr(intern!(self.py, "_userdata"))
    }

    fn on_message(&mut self, received: Received) -> PyResult<()> {
        self.look_up()?;
        let token = received.ack;
        let key = received.packet_id.map(|id| (id.get(), received.message.qos.bits()));
        if let (true, Some(token), Some(key)) = (self.inner.is(&self.inner.flags.manual_ack), token, key) {
            self.inner.state().unacknowledged.insert(key, token);
            return self.hand_over(received);
        }
        let handed_over = self.hand_over(received);
        // Only now, and not when the exception goes to the caller: never acknowledge what was not handled.
        if handed_over.is_ok() {
            self.done.extend(token);
        }
        handed_over
    }

    fn hand_over(&mut self, received: Received) -> PyResult<()> {
        let filters = if self.filtered {
            self.inner.filters.lock().matching(received.message.topic.as_str())
        } else {
            Vec::new()
        };
        if filters.is_empty() && self.on_message.is_none() {
            return Ok(());
        }
        let message = Bound::new(self.py, MQTTMessage::received(received, self.v5, self.timestamp))?;
        let result = if filters.is_empty() {
            self.call_on_message(&message)
        } else {
            self.call_filtered(&filters, &message)
        };
        #[allow(deprecated)] // what stands in its place is unsafe
        let is_kept = message.get_refcnt() > 1;
        if is_kept && let Ok(mut message) = message.try_borrow_mut() {
            message.compact();
        }
        result
    }

    fn call_on_message(&self, message: &Bound<'py, MQTTMessage>) -> PyResult<()> {
        let Some(callback) = &self.on_message else { return Ok(()) };
        match callback.call1((self.slf, self.userdata()?, message)) {
            Ok(_) => Ok(()),
            Err(error) => self.raised("Caught exception in on_message: %s", None, error),
        }
    }

    fn call_filtered(&self, filters: &[Box<str>], message: &Bound<'py, MQTTMessage>) -> PyResult<()> {
        let callbacks = self.slf.getattr(intern!(self.py, "_filtered"))?;
        for filter in filters {
            let callback = callbacks.call_method1(intern!(self.py, "get"), (filter.as_ref(),))?;
            if callback.is_none() {
                continue;
            }
            if let Err(error) = callback.call1((self.slf, self.userdata()?, message)) {
                let text = "Caught exception in user defined callback function %s: %s";
                self.raised(text, Some(&callback), error)?;
            }
        }
        Ok(())
    }

    fn on_publish(
        &mut self,
        mid: u16,
        qos: QoS,
        reason: ReasonCode,
        properties: &Properties,
    ) -> PyResult<()> {
        self.look_up()?;
        let Some(callback) = &self.on_publish else { return Ok(()) };
        let called = if self.inner.is(&self.inner.flags.version2) {
            let kind = match qos {
                QoS::ExactlyOnce if reason.is_error() => packet::PUBREC,
                QoS::ExactlyOnce => packet::PUBCOMP,
                _ => packet::PUBACK,
            };
            let reason = convert::reason_code(self.py, kind, reason.as_u8())?;
            let properties = convert::properties(self.py, kind, properties)?;
            callback.call1((self.slf, self.userdata()?, mid, reason, properties))
        } else {
            callback.call1((self.slf, self.userdata()?, mid))
        };
        match called {
            Ok(_) => Ok(()),
            Err(error) => self.raised("Caught exception in on_publish: %s", None, error),
        }
    }

    fn on_event(&self, event: Event) -> PyResult<Option<i32>> {
        let py = self.py;
        match event {
            Event::Connected { connack, .. } => {
                let told = self.on_connack(&connack);
                let mut state = self.inner.state();
                state.core.resume(self.inner.now());
                self.inner.collect(&mut state);
                told
            }
            Event::Refused(connack) => self.on_connack(&connack),
            Event::Subscribed { packet_id, reasons, properties } => {
                let codes = convert::list(py, reasons.iter().map(|reason| self.granted(*reason)))?;
                let block = convert::with_length(py, properties.as_bytes());
                self.call_handler(intern!(py, "_on_suback"), (packet_id.get(), codes, block))
            }
            Event::Unsubscribed { packet_id, reasons, properties } => {
                let codes = convert::list(py, reasons.iter().map(|reason| reason.as_u8()))?;
                let block = convert::with_length(py, properties.as_bytes());
                self.call_handler(intern!(py, "_on_unsuback"), (packet_id.get(), codes, block))
            }
            Event::Disconnected(disconnect) => {
                let block = convert::with_length(py, disconnect.properties.as_bytes());
                let length = self.inner.state().core.disconnect_body_bytes();
                self.call_handler(
                    intern!(py, "_on_disconnect_packet"),
                    (disconnect.reason.as_u8(), block, length),
                )
            }
            Event::Auth(_) => self.call_handler(intern!(py, "_on_lost"), (rc::PROTOCOL, "AUTH came")),
            Event::Trace(trace) => self.on_trace(&trace).map(|()| None),
            _ => Ok(None),
        }
    }

    fn granted(&self, reason: ReasonCode) -> u8 {
        if self.v5 { reason.as_u8() } else { reason.to_v3_suback() }
    }

    fn on_connack(&self, connack: &ConnAck) -> PyResult<Option<i32>> {
        let code = if self.v5 { connack.reason.as_u8() } else { connack.reason.to_connack_return_code() };
        let block = convert::with_length(self.py, connack.properties.as_bytes());
        self.call_handler(intern!(self.py, "_on_connack"), (connack.session_present, code, block))
    }

    fn on_trace(&self, trace: &PacketTrace) -> PyResult<()> {
        let block = self.v5.then(|| convert::with_length(self.py, trace.properties.as_bytes()));
        let arguments = (
            trace.direction == Direction::Sent,
            trace.packet.name(),
            trace.packet_id.map_or(0, PacketId::get),
            (trace.dup, trace.qos.bits(), trace.flag),
            trace.topic.as_deref().unwrap_or_default(),
            trace.size,
            block,
        );
        self.slf.call_method1(intern!(self.py, "_log_packet"), arguments)?;
        Ok(())
    }

    /// Calls a method that calls the program's callback; it returns the code of a connection that is to end.
    fn call_handler<A>(&self, name: &Bound<'py, PyString>, arguments: A) -> PyResult<Option<i32>>
    where
        A: pyo3::call::PyCallArgs<'py>,
    {
        match self.slf.call_method1(name, arguments) {
            Ok(rc) => rc.extract(),
            Err(error) => self.escaped(error).map(|()| None),
        }
    }

    /// A callback has raised: on_log is told, and unless exceptions are suppressed or the loop has a thread of its own,
    /// the caller of the loop.
    fn raised(&self, text: &str, callback: Option<&Bound<'py, PyAny>>, error: PyErr) -> PyResult<()> {
        if !error.is_instance_of::<PyException>(self.py) {
            return Err(error);
        }
        let name = callback.and_then(|callback| callback.getattr(intern!(self.py, "__name__")).ok());
        self.slf.call_method1(intern!(self.py, "_log_raised"), (text, error.value(self.py), name))?;
        if self.slf.getattr(intern!(self.py, "suppress_exceptions"))?.is_truthy()? {
            return Ok(());
        }
        self.escaped(error)
    }

    fn escaped(&self, error: PyErr) -> PyResult<()> {
        if !self.guarded || !error.is_instance_of::<PyException>(self.py) {
            return Err(error);
        }
        self.slf.call_method1(intern!(self.py, "_report"), (error.value(self.py),))?;
        Ok(())
    }

    /// Acknowledges what callbacks are done with.
    fn settle(&mut self) {
        if self.done.is_empty() {
            return;
        }
        let mut state = self.inner.state();
        let now = self.inner.now();
        for token in self.done.drain(..) {
            state.core.acknowledge(now, token, ReasonCode::Success);
        }
        self.inner.collect(&mut state);
    }

    /// Slow callbacks do not hold up acknowledgements, nor Keep Alive.
    fn breathe(&mut self) {
        self.unclocked = 0;
        if self.since.elapsed() < BREATH {
            return;
        }
        self.settle();
        if let Some(link) = self.inner.link().filter(|link| link.plain) {
            self.py.detach(|| {
                super::link::timeout(self.inner, link.number);
                link.write(self.inner);
            });
        }
        self.since = Instant::now();
    }
}
