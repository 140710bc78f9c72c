//! Connections: taking over a socket that Python has connected, and letting it go.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use karere_core::Text;
use karere_core::client::{AckOrder, Credentials, Handover, Options, Resend};
use karere_core::codec::{
    Disconnect, Message, PacketType, Properties, PropertyId, PropertyOwner, QoS, ReasonCode, Version, Will,
};
use karere_core::topic::TopicName;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use super::convert;
use super::fd;
use super::link::Link;
use super::state::Inner;

/// Topic, payload, QoS, retain and properties.
pub(super) type PyWill<'py> = (Vec<u8>, Vec<u8>, u8, bool, Option<Bound<'py, PyAny>>);

/// What CONNECT says, as Python has it.
pub(super) struct Request<'py> {
    pub(super) version: u8,
    pub(super) client_id: Vec<u8>,
    pub(super) clean: bool,
    pub(super) keepalive: u16,
    pub(super) username: Option<Vec<u8>>,
    pub(super) password: Option<Vec<u8>>,
    pub(super) will: Option<PyWill<'py>>,
    pub(super) properties: Option<Bound<'py, PyAny>>,
    pub(super) bridge: bool,
    /// The bytes go in WebSocket's frames; the upgrade is done, and this came behind its answer.
    pub(super) websocket: Option<Vec<u8>>,
}

/// Takes over a connected, non-blocking socket; CONNECT waits to be written then.
pub(super) fn open(
    inner: &Inner,
    socket: &Bound<'_, PyAny>,
    plain: bool,
    request: Request<'_>,
) -> PyResult<()> {
    let version = Version::from_level(request.version)
        .ok_or_else(|| PyValueError::new_err(format!("unknown protocol version {}", request.version)))?;
    let v5 = version.is_v5();
    let properties = request.properties.filter(|_| v5);
    let properties = convert::packed(properties.as_ref(), PropertyOwner::Packet(PacketType::Connect))?;
    let username = request.username.map(|name| text("username", name)).transpose()?;
    let password = request.password.filter(|_| username.is_some()).map(Bytes::from);
    let will = request.will.map(|will| will_of(will, v5)).transpose()?;
    let client_id = text("client id", request.client_id)?;
    let keepalive = request.keepalive;
    let descriptor = fd::duplicate(socket)?;

    let now = inner.now();
    let mut state = inner.state();
    let options = Options {
        version,
        client_id,
        clean_start: request.clean,
        keep_alive: keepalive,
        // What the program announces, this end keeps to; without a word the protocol's own limits hold.
        receive_maximum: properties.receive_maximum().unwrap_or(u16::MAX),
        maximum_packet_size: properties.maximum_packet_size().unwrap_or(u32::MAX),
        topic_alias_maximum: properties.topic_alias_maximum().unwrap_or(0),
        will,
        properties,
        bridge: request.bridge,
        connack_millis_max: if keepalive == 0 { FOR_EVER_MILLIS } else { u64::from(keepalive) * 1000 },
        ..as_paho(state.core.options())
    };
    if state.core.is_open() {
        state.core.handle_closed(now);
    }
    state.core.set_options(options);
    state.core.handle_open(now, Credentials { username, password });
    inner.collect(&mut state);
    if state.core.outbox_bytes() == 0 {
        state.core.handle_closed(now);
        return Err(PyValueError::new_err("these options do not make a CONNECT"));
    }
    state.number += 1;
    (state.blocked, state.leaving, state.over) = (false, false, false);
    state.unacknowledged.clear();
    let link = Arc::new(Link::new(state.number, descriptor, plain, request.websocket.is_some()));
    inner.set_link(Some(Arc::clone(&link)));
    drop(state);
    if let Some(early) = request.websocket.filter(|early| !early.is_empty()) {
        link.take(inner, &mut link.reader.lock(), &early);
    }
    inner.flags.v5.store(v5, Ordering::SeqCst);
    inner.wake();
    Ok(())
}

/// Lets the connection go as it is.
pub(super) fn close(inner: &Inner) {
    let link = inner.set_link(None);
    let mut state = inner.state();
    state.over = true;
    state.leaving = false;
    state.core.handle_closed(inner.now());
    state.unacknowledged.clear();
    inner.collect(&mut state);
    drop(state);
    drop(link);
    inner.wake();
}

/// Queues DISCONNECT. False when there is no connection.
pub(super) fn leave(inner: &Inner, reason: u8, properties: Option<&Bound<'_, PyAny>>) -> PyResult<bool> {
    let properties = convert::packed(properties, PropertyOwner::Packet(PacketType::Disconnect))?;
    let reason = ReasonCode::from_u8(reason)
        .ok_or_else(|| PyValueError::new_err(format!("unknown reason code {reason}")))?;
    let mut state = inner.state();
    if state.over {
        return Ok(false);
    }
    state.core.disconnect(inner.now(), &Disconnect { reason, properties });
    state.leaving = true;
    inner.collect(&mut state);
    let asleep = std::mem::take(&mut state.sleeping);
    drop(state);
    inner.wake_if(asleep);
    Ok(true)
}

/// Longer than anything runs, and far from overflowing.
const FOR_EVER_MILLIS: u64 = 1000 * 60 * 60 * 24 * 365 * 100;

/// What is paho's way, beside what a program has chosen.
fn as_paho(before: &Options) -> Options {
    Options {
        clean_start_each: true,
        properties_verbatim: true,
        eager: true,
        // A server that has lost the session is to have no message twice that it has answered with PUBREC.
        resend: if before.store { Resend::WithSession } else { Resend::Always },
        resume_by_hand: true,
        ack_order: AckOrder::AsAsked,
        handover: Handover::OnRelease,
        queue_count_max: usize::MAX,
        queue_bytes_max: usize::MAX,
        queue_qos0: false,
        resubscribe: false,
        unasked_answers: true,
        outbound_aliases: false,
        ..before.clone()
    }
}

/// The options of a client that has not connected yet.
pub(super) fn options() -> Options {
    Options { inflight_max: 20, version: Version::V311, ..as_paho(&Options::default()) }
}

pub(super) fn text(what: &str, bytes: Vec<u8>) -> PyResult<Text> {
    Text::from_bytes(bytes.into()).map_err(|error| PyValueError::new_err(format!("{what}: {error}")))
}

fn will_of((topic, payload, qos, retain, properties): PyWill<'_>, v5: bool) -> PyResult<Will> {
    let properties = convert::packed(properties.as_ref().filter(|_| v5), PropertyOwner::Will)?;
    let lifted = [PropertyId::WillDelayInterval, PropertyId::MessageExpiryInterval];
    let rest = properties.without(&lifted);
    let topic = TopicName::from_text(text("will topic", topic)?);
    let message = Message {
        topic: topic.map_err(|error| PyValueError::new_err(format!("will topic: {error}")))?,
        payload: payload.into(),
        qos: QoS::from_bits(qos).unwrap_or(QoS::AtMostOnce),
        retain,
        expiry: properties.message_expiry_interval(),
        properties: if rest.is_empty() { Properties::EMPTY } else { rest },
    };
    Ok(Will { message, delay: properties.will_delay_interval().unwrap_or(0) })
}
