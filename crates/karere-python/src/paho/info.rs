//! `MQTTMessageInfo`: what `publish()` returns.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicI64, AtomicU8, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use pyo3::exceptions::{
    PyAttributeError, PyIndexError, PyRuntimeError, PyStopIteration, PyTypeError, PyValueError,
};
use pyo3::prelude::*;

use super::convert::{self, rc};

/// How long a waiter sleeps before it looks whether a signal has come.
const SLICE: Duration = Duration::from_millis(50);

/// What becomes of one published message; known to the client and to who published it.
#[derive(Debug, Default)]
pub(super) struct Ticket {
    rc: AtomicI32,
    qos: u8,
    published: AtomicBool,
}

static WAITERS: AtomicUsize = AtomicUsize::new(0);
static GATE: Mutex<()> = Mutex::new(());
static SETTLED: Condvar = Condvar::new();

impl Ticket {
    pub(super) fn new(rc: i32, qos: u8) -> Arc<Self> {
        Arc::new(Self { rc: AtomicI32::new(rc), qos, published: AtomicBool::new(false) })
    }

    /// It has been published.
    pub(super) fn settle(&self) {
        self.published.store(true, Ordering::SeqCst);
        Self::wake_all();
    }

    /// It waits for the connection, or will never be sent; who waits is told so.
    pub(super) fn fail(&self, rc: i32) {
        self.rc.store(rc, Ordering::SeqCst);
        Self::wake_all();
    }

    /// What had to wait is on its way.
    pub(super) fn go(&self) {
        self.rc.store(rc::SUCCESS, Ordering::SeqCst);
    }

    fn wake_all() {
        if WAITERS.load(Ordering::SeqCst) > 0 {
            let _gate = GATE.lock();
            SETTLED.notify_all();
        }
    }

    pub(super) fn qos(&self) -> u8 {
        self.qos
    }

    pub(super) fn peek(&self) -> i32 {
        self.rc()
    }

    fn rc(&self) -> i32 {
        self.rc.load(Ordering::SeqCst)
    }

    fn is_published(&self) -> bool {
        self.published.load(Ordering::SeqCst)
    }

    fn is_open(&self) -> bool {
        !self.is_published() && self.rc() <= 0
    }

    /// Sleeps until something is settled, or for `patience`.
    fn sleep(&self, patience: Duration) {
        let mut gate = GATE.lock();
        WAITERS.fetch_add(1, Ordering::SeqCst);
        if self.is_open() {
            SETTLED.wait_for(&mut gate, patience);
        }
        WAITERS.fetch_sub(1, Ordering::SeqCst);
    }
}

/// What `Client.publish()` returns: the number of the message, and what becomes of it. Unpacks as `(rc, mid)`.
#[pyclass(frozen, freelist = 1024, module = "paho.mqtt.client")]
#[derive(Debug)]
pub(super) struct MQTTMessageInfo {
    mid: AtomicI64,
    ticket: Arc<Ticket>,
    position: AtomicU8,
}

impl MQTTMessageInfo {
    pub(super) fn with(mid: u16, ticket: Arc<Ticket>) -> Self {
        Self { mid: AtomicI64::new(mid.into()), ticket, position: AtomicU8::new(0) }
    }

    fn check(&self, py: Python<'_>) -> PyResult<()> {
        match self.ticket.rc() {
            rc::QUEUE_SIZE => Err(PyValueError::new_err("Message is not queued due to ERR_QUEUE_SIZE")),
            rc if rc > 0 => {
                let why = convert::error_string(py, rc)?;
                Err(PyRuntimeError::new_err(format!("Message publish failed: {why}")))
            }
            _ => Ok(()),
        }
    }

    fn item(&self, py: Python<'_>, index: isize) -> PyResult<Py<PyAny>> {
        match index {
            0 => self.rc(py),
            1 => Ok(self.mid().into_pyobject(py)?.into_any().unbind()),
            _ => Err(PyIndexError::new_err("index out of range")),
        }
    }
}

#[pymethods]
impl MQTTMessageInfo {
    #[new]
    fn new(mid: i64) -> Self {
        Self { mid: AtomicI64::new(mid), ticket: Ticket::new(rc::SUCCESS, 0), position: AtomicU8::new(0) }
    }

    /// The message's number.
    #[getter]
    fn mid(&self) -> i64 {
        self.mid.load(Ordering::Relaxed)
    }

    /// The `MQTTErrorCode` of the message; may change until it is published.
    #[getter]
    fn rc(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        convert::error_code(py, self.ticket.rc())
    }

    /// Waits until the message is published, at most `timeout` seconds; returns None either way.
    ///
    /// ValueError when the queue was full, RuntimeError when it was not sent for another reason.
    #[pyo3(signature = (timeout=None))]
    fn wait_for_publish(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<()> {
        self.check(py)?;
        let start = Instant::now();
        while self.ticket.is_open() {
            let left = timeout.map_or(f64::INFINITY, |timeout| timeout - start.elapsed().as_secs_f64());
            if left <= 0.0 {
                break;
            }
            let slice = SLICE.min(Duration::try_from_secs_f64(left).unwrap_or(SLICE));
            py.detach(|| self.ticket.sleep(slice));
            py.check_signals()?;
        }
        self.check(py)
    }

    /// Whether the message is published. ValueError and RuntimeError as `wait_for_publish`.
    fn is_published(&self, py: Python<'_>) -> PyResult<bool> {
        self.check(py)?;
        Ok(self.ticket.is_published())
    }

    fn _set_as_published(&self) {
        self.ticket.settle();
    }

    fn next(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.__next__(py)
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let position = self.position.fetch_add(1, Ordering::Relaxed);
        if position > 1 {
            self.position.store(2, Ordering::Relaxed);
            return Err(PyStopIteration::new_err(()));
        }
        self.item(py, position.into())
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf.get().position.store(0, Ordering::Relaxed);
        slf
    }

    fn __getitem__(&self, py: Python<'_>, index: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        // By comparison, as in Python: what is no number is out of range too.
        let place = [0isize, 1].into_iter().find(|place| index.eq(place).unwrap_or(false));
        self.item(py, place.unwrap_or(-1))
    }

    fn __bool__(&self) -> bool {
        true
    }

    fn __len__(&self) -> PyResult<usize> {
        Err(PyTypeError::new_err("object of type 'MQTTMessageInfo' has no len()"))
    }

    fn __str__(&self, py: Python<'_>) -> PyResult<String> {
        let rc = self.rc(py)?;
        Ok(format!("({}, {})", rc.bind(py).repr()?, self.mid()))
    }

    fn __setattr__(&self, name: &str, value: &Bound<'_, PyAny>) -> PyResult<()> {
        match name {
            "rc" => self.ticket.rc.store(value.extract()?, Ordering::SeqCst),
            "mid" => self.mid.store(value.extract()?, Ordering::Relaxed),
            _ => {
                let text = format!("'MQTTMessageInfo' object has no attribute '{name}'");
                return Err(PyAttributeError::new_err(text));
            }
        }
        Ok(())
    }
}
