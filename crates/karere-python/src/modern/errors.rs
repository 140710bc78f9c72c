//! Errors of the Rust client as the exceptions of `karere`, which are Python's own classes.

use std::fmt::Display;

use karere::{
    ConnectError, CorePublishError, CoreSubscribeError, Disconnection, PublishError, ReasonCode, StoreError,
    SubscribeError,
};
use karere_core::codec::Properties;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use super::{enums, properties};

/// `karere.<class>(text, reason, properties)`.
fn exception(
    py: Python<'_>,
    class: &str,
    text: &dyn Display,
    reason: Option<ReasonCode>,
    block: Option<&Properties>,
) -> PyErr {
    let make = || {
        let reason = reason.map(|reason| enums::reason(py, reason)).transpose()?;
        let block = block.filter(|block| !block.is_empty());
        let block = block.map(|block| properties::Properties::from(block.clone()));
        py.import("karere._errors")?.getattr(class)?.call1((text.to_string(), reason, block))
    };
    match make() {
        Ok(value) => PyErr::from_value(value),
        Err(error) => error,
    }
}

/// What ended a client for good.
pub(super) fn closed(py: Python<'_>) -> PyErr {
    exception(py, "ClosedError", &"the client is closed, or was not opened", None, None)
}

/// Something that did not come in time.
pub(super) fn timed_out(py: Python<'_>, what: &str) -> PyErr {
    exception(py, "TimeoutError", &what, None, None)
}

pub(super) fn connect(py: Python<'_>, error: &ConnectError) -> PyErr {
    match error {
        ConnectError::Refused(connack) => {
            exception(py, "RefusedError", error, error.reason(), Some(&connack.properties))
        }
        ConnectError::Lost(why) => lost(py, why),
        ConnectError::Closed => closed(py),
        ConnectError::Store(error) => store(py, error),
        _ => exception(py, "ConnectError", error, None, None),
    }
}

/// A connection that ended before the server had accepted it.
pub(super) fn lost(py: Python<'_>, why: &Disconnection) -> PyErr {
    match why {
        Disconnection::Refused(connack) => {
            exception(py, "RefusedError", why, Some(connack.reason), Some(&connack.properties))
        }
        Disconnection::Requested => closed(py),
        _ => {
            let text = format!("connection lost before the server answered: {why}");
            exception(py, "ConnectError", &text, None, None)
        }
    }
}

/// A connection that is not made again.
pub(super) fn disconnected(py: Python<'_>, why: &Disconnection) -> PyErr {
    match why {
        Disconnection::ByServer(disconnect) => {
            exception(py, "DisconnectedError", why, Some(disconnect.reason), Some(&disconnect.properties))
        }
        Disconnection::Requested => closed(py),
        _ => exception(py, "DisconnectedError", why, Some(why.reason()), None),
    }
}

/// A store that cannot be used.
pub(crate) fn store(py: Python<'_>, error: &StoreError) -> PyErr {
    exception(py, "StoreError", error, None, None)
}

pub(super) fn publish(py: Python<'_>, error: &PublishError) -> PyErr {
    match error {
        PublishError::Refused(
            CorePublishError::TopicName(_)
            | CorePublishError::Encode(_)
            | CorePublishError::TopicAliasInvalid(_)
            | CorePublishError::TooLarge { .. },
        ) => PyValueError::new_err(error.to_string()),
        PublishError::Refused(CorePublishError::Full { .. } | CorePublishError::PacketIdsExhausted)
        | PublishError::Store(StoreError::Full { .. }) => exception(py, "QueueFullError", error, None, None),
        PublishError::Rejected { reason, properties } => {
            exception(py, "PublishError", error, Some(*reason), Some(properties))
        }
        PublishError::Store(error) => store(py, error),
        PublishError::TimedOut => timed_out(py, &error.to_string()),
        PublishError::Closed => closed(py),
        _ => exception(py, "PublishError", error, None, None),
    }
}

pub(super) fn subscribe(py: Python<'_>, error: &SubscribeError) -> PyErr {
    match error {
        SubscribeError::Refused(
            CoreSubscribeError::TopicFilter(_)
            | CoreSubscribeError::Encode(_)
            | CoreSubscribeError::Empty
            | CoreSubscribeError::NoLocalShared
            | CoreSubscribeError::TooLarge { .. },
        )
        | SubscribeError::Filter(_) => PyValueError::new_err(error.to_string()),
        SubscribeError::Rejected { reasons, properties } => {
            exception(py, "SubscribeError", error, reasons.first().copied(), Some(properties))
        }
        SubscribeError::Closed => closed(py),
        _ => exception(py, "SubscribeError", error, None, None),
    }
}
