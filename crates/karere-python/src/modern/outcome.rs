//! How something that was sent has ended, and how asyncio is told.

use karere::{CoreEvent, PublishError, SubscribeError};
use karere_core::client::DropReason;
use karere_core::codec::{PacketId, Properties, ReasonCode};
use pyo3::intern;
use pyo3::prelude::*;

use super::queue::End;
use super::{enums, errors};

/// How a PUBLISH, SUBSCRIBE or UNSUBSCRIBE has ended.
pub(super) enum Outcome {
    /// The server has taken the message.
    Published(ReasonCode),
    Rejected(ReasonCode, Properties),
    Dropped(DropReason),
    Answered(Vec<ReasonCode>, Properties),
    Unanswered,
}

impl Outcome {
    /// The packet identifier that an event brings to its end, and how; other events are given back.
    #[allow(clippy::result_large_err)] // what is given back goes on at once
    pub(super) fn of(event: CoreEvent) -> Result<(PacketId, Self), CoreEvent> {
        Ok(match event {
            CoreEvent::Published { packet_id, reason, properties } if reason.is_error() => {
                (packet_id, Self::Rejected(reason, properties))
            }
            CoreEvent::Published { packet_id, reason, .. } => (packet_id, Self::Published(reason)),
            CoreEvent::Dropped { packet_id: Some(packet_id), why } => (packet_id, Self::Dropped(why)),
            CoreEvent::Subscribed { packet_id, reasons, properties }
            | CoreEvent::Unsubscribed { packet_id, reasons, properties } => {
                (packet_id, Self::Answered(reasons, properties))
            }
            CoreEvent::Unanswered { packet_id } => (packet_id, Self::Unanswered),
            event => return Err(event),
        })
    }

    /// Sets `future`. One that was cancelled meanwhile stays as it is.
    pub(super) fn tell(self, py: Python<'_>, future: &Py<PyAny>) {
        match self.result(py) {
            Ok(value) => {
                let _ = future.call_method1(py, intern!(py, "set_result"), (value,));
            }
            Err(error) => fail(py, future, &error),
        }
    }

    /// What Python gets for it.
    pub(super) fn result(self, py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
        match self {
            Self::Published(reason) => enums::reason(py, reason),
            Self::Rejected(reason, properties) => {
                Err(errors::publish(py, &PublishError::Rejected { reason, properties }))
            }
            Self::Dropped(why) => Err(errors::publish(py, &PublishError::Dropped(why))),
            Self::Answered(reasons, properties) => {
                if !reasons.is_empty() && reasons.iter().all(|reason| reason.is_error()) {
                    return Err(errors::subscribe(py, &SubscribeError::Rejected { reasons, properties }));
                }
                Ok(enums::reasons(py, &reasons)?.into_any())
            }
            Self::Unanswered => Err(errors::subscribe(py, &SubscribeError::Unanswered)),
        }
    }
}

/// Sets `future` to an exception. One that was cancelled meanwhile stays as it is.
pub(super) fn fail(py: Python<'_>, future: &Py<PyAny>, error: &PyErr) {
    let _ = future.call_method1(py, intern!(py, "set_exception"), (error.value(py),));
}

/// Sets futures that wait for something to look at.
pub(super) fn wake(py: Python<'_>, waiters: impl IntoIterator<Item = Py<PyAny>>) {
    for waiter in waiters {
        let _ = waiter.call_method1(py, intern!(py, "set_result"), (py.None(),));
    }
}

/// The exception for an end.
pub(super) fn end_error(py: Python<'_>, end: &End) -> PyErr {
    match end {
        End::Closed => errors::closed(py),
        End::Lost(why) => errors::disconnected(py, why),
    }
}
