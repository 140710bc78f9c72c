//! `karere.Message`.

use std::sync::Arc;

use karere_core::codec::{self, QoS};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString, PyTuple};

use super::claim::Claim;
use super::properties::{Properties, level_of};
use super::queue::Incoming;
use super::{enums, request};

/// A message: what it was published to, and what it carries.
///
/// Immutable. Those that a client hands over at QoS 1 and 2 are acknowledged when the next one is asked for, or by
/// `ack()`.
#[pyclass(frozen, freelist = 256, module = "karere")]
pub(super) struct Message {
    /// A `str` of its own: what the network brought would pin its buffer.
    topic: Py<PyString>,
    payload: Py<PyBytes>,
    qos: QoS,
    retain: bool,
    dup: bool,
    /// What few messages have.
    extra: Option<Box<Extra>>,
    claim: Option<Arc<Claim>>,
}

struct Extra {
    properties: codec::Properties,
    subscription_ids: Vec<u32>,
}

impl Message {
    pub(super) fn from_incoming(py: Python<'_>, incoming: Incoming) -> Self {
        let Incoming { received, claim } = incoming;
        let message = &received.message;
        let has_extra = !message.properties.is_empty()
            || message.expiry.is_some()
            || !received.subscription_ids.is_empty();
        let extra = has_extra.then(|| {
            Box::new(Extra {
                properties: Properties::of_message(message).block().compact(),
                subscription_ids: received.subscription_ids.as_slice().to_vec(),
            })
        });
        Self {
            topic: PyString::new(py, &message.topic).unbind(),
            payload: PyBytes::new(py, &message.payload).unbind(),
            qos: message.qos,
            retain: message.retain,
            dup: received.dup,
            extra,
            claim,
        }
    }
}

impl Message {
    /// The consumer is done with it.
    pub(super) fn finish(&self, py: Python<'_>) {
        if let Some(claim) = &self.claim {
            claim.finish(py);
        }
    }
}

#[pymethods]
impl Message {
    #[new]
    #[pyo3(signature = (topic, payload=None, qos=0, retain=false, *, properties=None))]
    fn new(
        topic: Bound<'_, PyString>,
        payload: Option<&Bound<'_, PyAny>>,
        qos: u8,
        retain: bool,
        properties: Option<&Bound<'_, Properties>>,
    ) -> PyResult<Self> {
        let payload = request::payload(topic.py(), payload)?;
        let extra = properties.map(|properties| {
            Box::new(Extra { properties: properties.get().block().clone(), subscription_ids: Vec::new() })
        });
        let (topic, payload) = (topic.unbind(), payload.unbind());
        Ok(Self { topic, payload, qos: level_of(qos)?, retain, dup: false, extra, claim: None })
    }

    /// The topic that it was published to.
    #[getter]
    fn topic(&self, py: Python<'_>) -> Py<PyString> {
        self.topic.clone_ref(py)
    }

    /// What it carries.
    #[getter]
    fn payload(&self, py: Python<'_>) -> Py<PyBytes> {
        self.payload.clone_ref(py)
    }

    /// How it was delivered.
    #[getter]
    fn qos(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        enums::qos(py, self.qos)
    }

    /// Whether the server kept it, rather than that it was just published.
    #[getter]
    fn retain(&self) -> bool {
        self.retain
    }

    /// Whether the server has sent it before.
    #[getter]
    fn dup(&self) -> bool {
        self.dup
    }

    /// Its properties (version 5).
    #[getter]
    fn properties(&self) -> Properties {
        self.extra.as_ref().map_or(codec::Properties::EMPTY, |extra| extra.properties.clone()).into()
    }

    /// The identifiers of the subscriptions that it matched, those that have one (version 5).
    #[getter]
    fn subscription_ids<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(
            py,
            self.extra.iter().flat_map(|extra| extra.subscription_ids.clone()).collect::<Vec<_>>(),
        )
    }

    /// Acknowledges it now; only the first time counts. Nothing at QoS 0.
    fn ack(&self, py: Python<'_>) {
        self.finish(py);
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let (topic, payload) = (self.topic.bind(py).repr()?, self.payload.bind(py).repr()?);
        let retain = if self.retain { ", retain=True" } else { "" };
        Ok(format!("Message({topic}, {payload}, qos={}{retain})", self.qos))
    }
}
