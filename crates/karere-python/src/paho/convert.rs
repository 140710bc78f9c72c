//! Python's objects for what the core says, and back.

use bytes::Bytes;
use karere_core::codec::{Properties, PropertyOwner};
use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyList};

/// `MQTTErrorCode`, as numbers.
pub(super) mod rc {
    pub(in crate::paho) const SUCCESS: i32 = 0;
    pub(in crate::paho) const PROTOCOL: i32 = 2;
    pub(in crate::paho) const INVAL: i32 = 3;
    pub(in crate::paho) const NO_CONN: i32 = 4;
    pub(in crate::paho) const CONN_LOST: i32 = 7;
    pub(in crate::paho) const PAYLOAD_SIZE: i32 = 9;
    pub(in crate::paho) const NOT_SUPPORTED: i32 = 10;
    pub(in crate::paho) const UNKNOWN: i32 = 13;
    pub(in crate::paho) const ERRNO: i32 = 14;
    pub(in crate::paho) const QUEUE_SIZE: i32 = 15;
    pub(in crate::paho) const KEEPALIVE: i32 = 16;
}

/// Packet types as `PacketTypes` numbers them.
pub(super) mod packet {
    pub(in crate::paho) const PUBLISH: u8 = 3;
    pub(in crate::paho) const PUBACK: u8 = 4;
    pub(in crate::paho) const PUBREC: u8 = 5;
    pub(in crate::paho) const PUBCOMP: u8 = 7;
}

/// `AGAIN` is -1: the members stand one behind their number.
const FIRST: i32 = -1;
const LAST: i32 = 16;

/// The member of `MQTTErrorCode` with this number.
pub(super) fn error_code(py: Python<'_>, number: i32) -> PyResult<Py<PyAny>> {
    static MEMBERS: PyOnceLock<Vec<Py<PyAny>>> = PyOnceLock::new();
    let members = MEMBERS.get_or_try_init(py, || {
        let class = enums(py)?.getattr("MQTTErrorCode")?;
        (FIRST..=LAST).map(|number| Ok(class.call1((number,))?.unbind())).collect::<PyResult<_>>()
    })?;
    let known = usize::try_from(number - FIRST).ok().and_then(|index| members.get(index));
    known.map_or_else(|| Ok(number.into_pyobject(py)?.into_any().unbind()), |member| Ok(member.clone_ref(py)))
}

/// The member of `MessageState` with this number.
pub(super) fn message_state(py: Python<'_>, number: u8) -> PyResult<Py<PyAny>> {
    Ok(enums(py)?.getattr("MessageState")?.call1((number,))?.unbind())
}

/// paho's text for a number of `MQTTErrorCode`.
pub(super) fn error_string(py: Python<'_>, number: i32) -> PyResult<String> {
    py.import("karere.paho.client")?.getattr("error_string")?.call1((number,))?.extract()
}

fn enums(py: Python<'_>) -> PyResult<Bound<'_, PyModule>> {
    py.import("karere.paho.enums")
}

/// An object of `ReasonCode` for a packet of this type.
pub(super) fn reason_code(py: Python<'_>, packet_type: u8, value: u8) -> PyResult<Bound<'_, PyAny>> {
    static CLASS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let class = class(py, &CLASS, "karere.paho.reasoncodes", "ReasonCode")?;
    class.call1((packet_type, "Success", value))
}

/// An object of `Properties` for a packet of this type, with what stands in `block`.
pub(super) fn properties<'py>(
    py: Python<'py>,
    packet_type: u8,
    block: &Properties,
) -> PyResult<Bound<'py, PyAny>> {
    static CLASS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let object = class(py, &CLASS, "karere.paho.properties", "Properties")?.call1((packet_type,))?;
    if !block.is_empty() {
        object.call_method1(intern!(py, "unpack"), (with_length(py, block.as_bytes()),))?;
    }
    Ok(object)
}

/// A block behind its length (§2.2.2.1), as `Properties.unpack` takes it.
pub(super) fn with_length<'py>(py: Python<'py>, block: &[u8]) -> Bound<'py, PyBytes> {
    let mut out = Vec::with_capacity(block.len() + 4);
    let mut rest = block.len();
    loop {
        let digit = (rest % 128) as u8;
        rest /= 128;
        out.push(if rest > 0 { digit | 0x80 } else { digit });
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(block);
    PyBytes::new(py, &out)
}

/// What `properties.pack()` gives, without its length and checked for its packet; `None` is none.
pub(super) fn packed(properties: Option<&Bound<'_, PyAny>>, owner: PropertyOwner) -> PyResult<Properties> {
    let Some(object) = properties.filter(|object| !object.is_none()) else { return Ok(Properties::EMPTY) };
    let bytes: Vec<u8> = object.call_method0(intern!(object.py(), "pack"))?.extract()?;
    let length = bytes.iter().position(|byte| byte & 0x80 == 0).map_or(bytes.len(), |last| last + 1);
    let block = Bytes::from(bytes).split_off(length);
    Properties::decode(block, owner).map_err(|error| PyValueError::new_err(error.to_string()))
}

/// A list of numbers.
pub(super) fn list<'py>(py: Python<'py>, numbers: impl Iterator<Item = u8>) -> PyResult<Bound<'py, PyList>> {
    PyList::new(py, numbers.collect::<Vec<u8>>())
}

fn class<'py>(
    py: Python<'py>,
    cell: &'static PyOnceLock<Py<PyAny>>,
    module: &str,
    name: &str,
) -> PyResult<&'py Bound<'py, PyAny>> {
    let class = cell.get_or_try_init(py, || Ok::<_, PyErr>(py.import(module)?.getattr(name)?.unbind()))?;
    Ok(class.bind(py))
}
