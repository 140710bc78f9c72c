//! `publish()`.

use std::num::NonZeroU16;
use std::sync::Arc;

use karere_core::client::{Outgoing, Payload, PublishError};
use karere_core::codec::{PacketId, PacketType, Properties, PropertyId, PropertyOwner, QoS};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyByteArray, PyBytes, PyFloat, PyInt, PyString};

use super::base::PahoBase;
use super::convert::{self, rc};
use super::info::{MQTTMessageInfo, Ticket};
use super::state::Inner;
use super::turn;

/// The most that a packet can carry.
const PAYLOAD_BYTES_MAX: usize = 268_435_455;

/// What `publish()` was called with.
pub(super) struct Arguments<'a, 'py> {
    pub(super) topic: &'a Bound<'py, PyAny>,
    pub(super) payload: Option<&'a Bound<'py, PyAny>>,
    pub(super) qos: Option<&'a Bound<'py, PyAny>>,
    pub(super) retain: Option<&'a Bound<'py, PyAny>>,
    pub(super) properties: Option<&'a Bound<'py, PyAny>>,
}

/// Checks in paho's order, and publishes.
#[inline]
pub(super) fn publish(slf: &Bound<'_, PahoBase>, arguments: &Arguments<'_, '_>) -> PyResult<MQTTMessageInfo> {
    let Arguments { topic, payload, qos, retain, properties } = *arguments;
    let inner = slf.get().inner();
    let v5 = inner.is(&inner.flags.v5);
    let name = match topic.cast::<PyString>() {
        Ok(name) => name.to_cow()?,
        Err(_) => return Err(not_a_topic(topic, v5)),
    };
    check_topic(&name, v5)?;
    let qos = qos_of(qos)?;
    let text;
    let string;
    let owned;
    let bytes = match payload {
        Some(payload) if let Ok(bytes) = payload.cast::<PyBytes>() => bytes.as_bytes(),
        Some(payload) if let Ok(given) = payload.cast::<PyString>() => {
            string = given.to_cow()?;
            string.as_bytes()
        }
        Some(payload) if let Ok(array) = payload.cast::<PyByteArray>() => {
            owned = array.to_vec();
            &owned
        }
        Some(payload) if is_number(payload) => {
            text = payload.str()?;
            string = text.to_cow()?;
            string.as_bytes()
        }
        None => &[],
        Some(payload) if payload.is_none() => &[],
        Some(_) => {
            let text = "payload must be a string, bytearray, int, float or None.";
            return Err(PyTypeError::new_err(text));
        }
    };
    if bytes.len() > PAYLOAD_BYTES_MAX {
        return Err(PyValueError::new_err("Payload too large."));
    }
    let retain = retain.is_some_and(|retain| retain.is_truthy().unwrap_or(false));
    let said = if v5 { said(properties)? } else { Said::default() };
    let message = Outgoing {
        topic: &name,
        payload: Payload::Borrowed(bytes),
        qos,
        retain,
        expiry: said.expiry,
        topic_alias: said.topic_alias,
        properties: &said.properties,
        tracked: true,
    };
    let (mid, ticket) = put(&inner, &message);
    if !inner.is(&inner.flags.threaded) || inner.is(&inner.flags.watched) {
        let before = ticket.peek();
        if before == rc::SUCCESS {
            let written = turn::flush(slf, &inner)?;
            if written != rc::SUCCESS {
                ticket.fail(written);
            }
        }
    }
    Ok(MQTTMessageInfo::with(mid, ticket))
}

/// Hands a message to the core: its number, and what becomes of it. Wakes the loop last.
fn put(inner: &Inner, message: &Outgoing<'_>) -> (u16, Arc<Ticket>) {
    let mut state = inner.state();
    let now = inner.now();
    let unacknowledged = state.core.queued() + state.core.inflight();
    let full = message.qos > QoS::AtMostOnce && state.queue_max > 0 && unacknowledged >= state.queue_max;
    let online = !state.over && !state.leaving;
    let result = if full {
        Err(rc::QUEUE_SIZE)
    } else {
        let published = state.core.publish(now, *message).map_err(|error| code_of(&error, online));
        published.and_then(|id| inner.keep_published(&mut state, message).map(|()| id))
    };
    let (id, ticket) = match result {
        Ok(id) => {
            let ticket = Ticket::new(if online { rc::SUCCESS } else { rc::NO_CONN }, message.qos.bits());
            if let Some(id) = id {
                state.tickets.insert(id, Arc::clone(&ticket));
            }
            (id, ticket)
        }
        // paho counts what it refuses too.
        Err(rc) => (state.core.skip_packet_id(), Ticket::new(rc, message.qos.bits())),
    };
    let asleep = inner.is(&inner.flags.threaded) && std::mem::take(&mut state.sleeping);
    drop(state);
    inner.wake_if(asleep);
    (id.map_or(0, PacketId::get), ticket)
}

fn code_of(error: &PublishError, online: bool) -> i32 {
    match error {
        _ if !online => rc::NO_CONN,
        PublishError::NotConnected => rc::NO_CONN,
        PublishError::TooLarge { .. } => rc::PAYLOAD_SIZE,
        PublishError::QoSNotSupported(_) | PublishError::RetainNotSupported => rc::NOT_SUPPORTED,
        PublishError::Full { .. } | PublishError::PacketIdsExhausted => rc::QUEUE_SIZE,
        PublishError::TopicName(_) | PublishError::TopicAliasInvalid(_) | PublishError::Encode(_) => {
            rc::INVAL
        }
    }
}

/// The error of what is no `str`, in paho's order: that of looking at its length, then that of encoding it.
fn not_a_topic(topic: &Bound<'_, PyAny>, v5: bool) -> PyErr {
    let invalid = || PyValueError::new_err("Invalid topic.");
    if !v5 {
        match topic.len() {
            _ if topic.is_none() => return invalid(),
            Ok(0) => return invalid(),
            Err(error) => return error,
            Ok(_) => {}
        }
    }
    match topic.call_method1(intern!(topic.py(), "encode"), ("utf-8",)) {
        Err(error) => error,
        Ok(_) => PyTypeError::new_err("topic must be a string"),
    }
}

fn check_topic(topic: &str, v5: bool) -> PyResult<()> {
    let why = if topic.is_empty() && !v5 {
        "Invalid topic."
    } else if topic.bytes().any(|byte| byte == b'+' || byte == b'#') {
        "Publish topic cannot contain wildcards."
    } else if topic.len() > usize::from(u16::MAX) {
        "Publish topic is too long."
    } else {
        return Ok(());
    };
    Err(PyValueError::new_err(why))
}

pub(super) fn qos_of(qos: Option<&Bound<'_, PyAny>>) -> PyResult<QoS> {
    let Some(qos) = qos else { return Ok(QoS::AtMostOnce) };
    if let Ok(number) = qos.extract::<u8>()
        && let Some(qos) = QoS::from_bits(number)
    {
        return Ok(qos);
    }
    // Compared as Python compares: what has no order with numbers says so.
    let invalid = || PyValueError::new_err("Invalid QoS level.");
    if qos.lt(0)? || qos.gt(2)? {
        return Err(invalid());
    }
    QoS::from_bits(qos.call_method0("__int__")?.extract()?).ok_or_else(invalid)
}

fn is_number(payload: &Bound<'_, PyAny>) -> bool {
    payload.is_instance_of::<PyInt>()
        || payload.is_instance_of::<PyFloat>()
        || payload.is_instance_of::<PyBool>()
}

/// What the properties of a PUBLISH say.
#[derive(Default)]
struct Said {
    expiry: Option<u32>,
    topic_alias: Option<NonZeroU16>,
    properties: Properties,
}

fn said(properties: Option<&Bound<'_, PyAny>>) -> PyResult<Said> {
    let block = convert::packed(properties, PropertyOwner::Packet(PacketType::Publish))?;
    if block.is_empty() {
        return Ok(Said::default());
    }
    let lifted =
        [PropertyId::MessageExpiryInterval, PropertyId::TopicAlias, PropertyId::SubscriptionIdentifier];
    Ok(Said {
        expiry: block.message_expiry_interval(),
        topic_alias: block.topic_alias().and_then(NonZeroU16::new),
        properties: block.without(&lifted),
    })
}
