//! `MQTTMessage`: a message as callbacks get it.

use karere_core::client::Received;
use karere_core::codec::{Message, PacketId, QoS};
use pyo3::class::basic::CompareOp;
use pyo3::exceptions::{PyAttributeError, PyTypeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyFloat, PyString};

use super::convert::{self, packet};
use super::info::MQTTMessageInfo;

/// `mqtt_ms_wait_for_pubrel`: what the state of a QoS 2 message is when it is handed over.
const WAIT_FOR_PUBREL: u8 = 5;

/// A message that came in. What it is made of becomes Python's objects when it is asked for.
#[pyclass(freelist = 1024, module = "paho.mqtt.client")]
#[derive(Debug)]
pub(super) struct MQTTMessage {
    wire: Option<Wire>,
    /// What a program has set, or was made already.
    fields: Option<Box<Fields>>,
}

#[derive(Debug)]
struct Wire {
    received: Received,
    v5: bool,
    timestamp: f64,
}

#[derive(Debug, Default)]
struct Fields {
    topic: Option<Py<PyAny>>,
    payload: Option<Py<PyAny>>,
    mid: Option<Py<PyAny>>,
    qos: Option<Py<PyAny>>,
    retain: Option<Py<PyAny>>,
    dup: Option<Py<PyAny>>,
    state: Option<Py<PyAny>>,
    timestamp: Option<Py<PyAny>>,
    info: Option<Py<PyAny>>,
    properties: Option<Py<PyAny>>,
}

impl MQTTMessage {
    pub(super) fn received(received: Received, v5: bool, timestamp: f64) -> Self {
        Self { wire: Some(Wire { received, v5, timestamp }), fields: None }
    }

    /// One that was never received: as `drop_out_messages` returns them.
    pub(super) fn sent(py: Python<'_>, mid: u16, message: &Message) -> PyResult<Self> {
        let topic = PyBytes::new(py, message.topic.as_str().as_bytes());
        let mut made = Self::new(mid.into_pyobject(py)?.into_any().unbind(), topic.into_any().unbind());
        let fields = made.fields();
        fields.payload = Some(PyBytes::new(py, &message.payload).into_any().unbind());
        fields.qos = Some(message.qos.bits().into_pyobject(py)?.into_any().unbind());
        fields.retain = Some(message.retain.into_pyobject(py)?.to_owned().into_any().unbind());
        Ok(made)
    }

    /// The program has kept it: a slice would pin the read buffer.
    pub(super) fn compact(&mut self) {
        if let Some(wire) = &mut self.wire {
            wire.received.message = wire.received.message.compact();
        }
    }

    fn fields(&mut self) -> &mut Fields {
        self.fields.get_or_insert_default()
    }

    fn set_field(&self, py: Python<'_>, field: fn(&Fields) -> &Option<Py<PyAny>>) -> Option<Py<PyAny>> {
        self.fields.as_deref().and_then(|fields| field(fields).as_ref()).map(|value| value.clone_ref(py))
    }

    fn message(&self) -> Option<&Message> {
        self.wire.as_ref().map(|wire| &wire.received.message)
    }

    fn make_properties(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let Some(Wire { received, v5: true, .. }) = &self.wire else { return Ok(py.None()) };
        let object = convert::properties(py, packet::PUBLISH, &received.message.properties)?;
        if let Some(seconds) = received.message.expiry {
            object.setattr("MessageExpiryInterval", seconds)?;
        }
        for id in received.subscription_ids.as_slice() {
            object.setattr("SubscriptionIdentifier", *id)?;
        }
        Ok(object.unbind())
    }
}

fn number(py: Python<'_>, number: u16) -> PyResult<Py<PyAny>> {
    Ok(number.into_pyobject(py)?.into_any().unbind())
}

fn flag(py: Python<'_>, flag: bool) -> PyResult<Py<PyAny>> {
    Ok(flag.into_pyobject(py)?.to_owned().into_any().unbind())
}

#[pymethods]
impl MQTTMessage {
    #[new]
    #[pyo3(signature = (mid=None, topic=None))]
    fn create(py: Python<'_>, mid: Option<Py<PyAny>>, topic: Option<Py<PyAny>>) -> PyResult<Self> {
        let mid = mid.map_or_else(|| number(py, 0), Ok)?;
        Ok(Self::new(mid, topic.unwrap_or_else(|| PyBytes::new(py, b"").into_any().unbind())))
    }

    /// The topic; UnicodeDecodeError when it is no UTF-8.
    #[getter]
    fn topic(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        match (self.set_field(py, |fields| &fields.topic), self.message()) {
            (None, Some(message)) => Ok(PyString::new(py, message.topic.as_str()).into_any().unbind()),
            (topic, _) => {
                let topic = topic.unwrap_or_else(|| PyBytes::new(py, b"").into_any().unbind());
                topic.call_method1(py, intern!(py, "decode"), (intern!(py, "utf-8"),))
            }
        }
    }

    #[getter(_topic)]
    fn raw_topic(&self, py: Python<'_>) -> Py<PyAny> {
        self.set_field(py, |fields| &fields.topic).unwrap_or_else(|| {
            let topic = self.message().map_or("", |message| message.topic.as_str());
            PyBytes::new(py, topic.as_bytes()).into_any().unbind()
        })
    }

    /// The payload, as bytes.
    #[getter]
    fn payload(&self, py: Python<'_>) -> Py<PyAny> {
        if let Some(payload) = self.set_field(py, |fields| &fields.payload) {
            return payload;
        }
        let payload = self.message().map_or(&[][..], |message| &message.payload);
        PyBytes::new(py, payload).into_any().unbind()
    }

    #[getter]
    fn mid(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let id = self.wire.as_ref().and_then(|wire| wire.received.packet_id).map_or(0, PacketId::get);
        self.set_field(py, |fields| &fields.mid).map_or_else(|| number(py, id), Ok)
    }

    #[getter]
    fn qos(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let qos = self.message().map_or(0, |message| message.qos.bits());
        self.set_field(py, |fields| &fields.qos).map_or_else(|| number(py, qos.into()), Ok)
    }

    #[getter]
    fn retain(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let retain = self.message().is_some_and(|message| message.retain);
        self.set_field(py, |fields| &fields.retain).map_or_else(|| flag(py, retain), Ok)
    }

    #[getter]
    fn dup(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let dup = self.wire.as_ref().is_some_and(|wire| wire.received.dup);
        self.set_field(py, |fields| &fields.dup).map_or_else(|| flag(py, dup), Ok)
    }

    #[getter]
    fn state(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let twice = self.message().is_some_and(|message| message.qos == QoS::ExactlyOnce);
        let state = if twice { WAIT_FOR_PUBREL } else { 0 };
        self.set_field(py, |fields| &fields.state).map_or_else(|| convert::message_state(py, state), Ok)
    }

    #[getter]
    fn timestamp(&self, py: Python<'_>) -> Py<PyAny> {
        let timestamp = self.wire.as_ref().map_or(0.0, |wire| wire.timestamp);
        let made = || PyFloat::new(py, timestamp).into_any().unbind();
        self.set_field(py, |fields| &fields.timestamp).unwrap_or_else(made)
    }

    #[getter]
    fn info(&mut self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        if let Some(info) = self.set_field(py, |fields| &fields.info) {
            return Ok(info);
        }
        let mid = self.mid(py)?;
        let info = py.get_type::<MQTTMessageInfo>().call1((mid,))?.unbind();
        self.fields().info = Some(info.clone_ref(py));
        Ok(info)
    }

    /// The properties in MQTT 5.0, else None.
    #[getter]
    fn properties(&mut self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        if let Some(properties) = self.set_field(py, |fields| &fields.properties) {
            return Ok(properties);
        }
        let properties = self.make_properties(py)?;
        self.fields().properties = Some(properties.clone_ref(py));
        Ok(properties)
    }

    fn __setattr__(&mut self, name: &str, value: Py<PyAny>) -> PyResult<()> {
        let fields = self.fields();
        let field = match name {
            "topic" | "_topic" => &mut fields.topic,
            "payload" => &mut fields.payload,
            "mid" => &mut fields.mid,
            "qos" => &mut fields.qos,
            "retain" => &mut fields.retain,
            "dup" => &mut fields.dup,
            "state" => &mut fields.state,
            "timestamp" => &mut fields.timestamp,
            "info" => &mut fields.info,
            "properties" => &mut fields.properties,
            _ => {
                let text = format!("'MQTTMessage' object has no attribute '{name}'");
                return Err(PyAttributeError::new_err(text));
            }
        };
        *field = Some(value);
        Ok(())
    }

    fn __richcmp__(&self, py: Python<'_>, other: &Bound<'_, PyAny>, op: CompareOp) -> PyResult<Py<PyAny>> {
        if !matches!(op, CompareOp::Eq | CompareOp::Ne) {
            return Ok(py.NotImplemented());
        }
        let same = match other.cast::<Self>() {
            Ok(other) => self.mid(py)?.bind(py).eq(other.getattr(intern!(py, "mid"))?)?,
            Err(_) => false,
        };
        flag(py, same == matches!(op, CompareOp::Eq))
    }

    fn __hash__(&self) -> PyResult<isize> {
        Err(PyTypeError::new_err("unhashable type: 'MQTTMessage'"))
    }
}

impl MQTTMessage {
    fn new(mid: Py<PyAny>, topic: Py<PyAny>) -> Self {
        let fields = Fields { mid: Some(mid), topic: Some(topic), ..Fields::default() };
        Self { wire: None, fields: Some(Box::new(fields)) }
    }
}
