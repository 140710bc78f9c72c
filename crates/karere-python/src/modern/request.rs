//! What Python asks for, as the Rust client takes it.

use std::num::NonZeroU16;
use std::time::Duration;

use karere::{Publish, Subscribe};
use karere_core::codec::{self, ReasonCode, RetainHandling, SubscribeOptions};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyMemoryView, PyString};

use super::properties::{Properties, block, level_of};

/// A payload: bytes as they are, a copy of another buffer, text as UTF-8, None for no byte.
pub(super) fn payload<'py>(
    py: Python<'py>,
    payload: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyBytes>> {
    let Some(payload) = payload else { return Ok(PyBytes::new(py, b"")) };
    if let Ok(bytes) = payload.cast::<PyBytes>() {
        return Ok(bytes.clone());
    }
    if let Ok(text) = payload.cast::<PyString>() {
        return Ok(PyBytes::new(py, text.to_cow()?.as_bytes()));
    }
    if payload.is_instance_of::<PyByteArray>() || payload.is_instance_of::<PyMemoryView>() {
        return Ok(py.get_type::<PyBytes>().call1((payload,))?.cast_into()?);
    }
    let name = payload.get_type().name()?;
    Err(PyTypeError::new_err(format!("a payload is bytes, bytearray, memoryview, str or None, not {name}")))
}

/// A message to be published.
pub(super) fn publish<'a>(
    topic: &'a str,
    payload: &'a [u8],
    qos: u8,
    retain: bool,
    properties: Option<&Bound<'_, Properties>>,
) -> PyResult<Publish<'a>> {
    let mut publish = Publish::new(topic, payload).qos(level_of(qos)?).retain(retain);
    if let Some(properties) = properties {
        let (block, expiry, alias) = properties.get().lifted();
        publish.properties = block;
        publish.expiry = expiry;
        publish.topic_alias = alias.and_then(NonZeroU16::new);
    }
    Ok(publish)
}

/// Filters with QoS, No Local, Retain As Published and Retain Handling, as the Python half puts them together.
pub(super) type Filters = Vec<(String, u8, bool, bool, u8)>;

/// SUBSCRIBE.
pub(super) fn subscribe(
    filters: Filters,
    subscription_id: Option<u32>,
    properties: Option<&Bound<'_, Properties>>,
) -> PyResult<Subscribe> {
    let mut all = Vec::with_capacity(filters.len());
    for (filter, qos, no_local, retain_as_published, retain_handling) in filters {
        let retain_handling = match retain_handling {
            0 => RetainHandling::SendAtSubscribe,
            1 => RetainHandling::SendIfNew,
            2 => RetainHandling::DoNotSend,
            other => {
                return Err(PyValueError::new_err(format!("retain handling {other}: there are 0, 1 and 2")));
            }
        };
        let qos = level_of(qos)?;
        all.push((filter, SubscribeOptions { qos, no_local, retain_as_published, retain_handling }));
    }
    Ok(Subscribe { filters: all, subscription_id, properties: block(properties) })
}

/// DISCONNECT.
pub(super) fn disconnect(
    reason: u8,
    properties: Option<&Bound<'_, Properties>>,
) -> PyResult<codec::Disconnect> {
    let known = ReasonCode::from_u8(reason).filter(|code| code.allowed_in(codec::PacketType::Disconnect));
    let reason = known.ok_or_else(|| {
        PyValueError::new_err(format!("reason 0x{reason:02X} cannot be given for a DISCONNECT"))
    })?;
    Ok(codec::Disconnect { reason, properties: block(properties) })
}

/// Seconds as a number of Python's.
pub(super) fn seconds(seconds: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(seconds)
        .map_err(|_| PyValueError::new_err(format!("{seconds} is no time to wait")))
}
