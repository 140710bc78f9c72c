//! `karere.Delivery`.

use std::time::Duration;

use karere::{PacketId, PublishError};
use pyo3::prelude::*;

use super::{deadline, is_over, pass};
use crate::modern::fork::Own;
use crate::modern::{enums, errors};

/// What becomes of a message that was published.
///
/// Forgetting it withdraws nothing. It survives the loss of the connection: the message is kept and sent again.
#[pyclass(frozen, module = "karere")]
pub(in crate::modern) struct Delivery(Own<karere::Delivery>);

impl From<karere::Delivery> for Delivery {
    fn from(delivery: karere::Delivery) -> Self {
        Self(Own::new(delivery))
    }
}

#[pymethods]
impl Delivery {
    /// Blocks until the server has taken the message (at QoS 0: not at all), and returns its reason code. After
    /// `timeout` seconds TimeoutError; PublishError when the server refuses it or it is given up.
    #[pyo3(signature = (timeout=None))]
    fn wait<'py>(&self, py: Python<'py>, timeout: Option<f64>) -> PyResult<Bound<'py, PyAny>> {
        let delivery = self.0.get()?;
        let deadline = deadline(timeout)?;
        if !delivery.is_done() {
            loop {
                let waited = py.detach(|| delivery.wait(Some(pass(deadline))));
                if !matches!(waited, Err(PublishError::TimedOut)) || is_over(deadline) {
                    break;
                }
                py.check_signals()?;
            }
        }
        match delivery.wait(Some(Duration::ZERO)) {
            Ok(published) => enums::reason(py, published.reason),
            Err(error) => Err(errors::publish(py, &error)),
        }
    }

    /// Blocks until the message is in the client's store, as its `durability` says, and returns True; False without a store
    /// and at QoS 0. After `timeout` seconds TimeoutError.
    #[pyo3(signature = (timeout=None))]
    fn wait_stored(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<bool> {
        let delivery = self.0.get()?;
        let deadline = deadline(timeout)?;
        loop {
            match py.detach(|| delivery.wait_stored(Some(pass(deadline)))) {
                Ok(stored) => return Ok(stored),
                Err(error) if is_over(deadline) => return Err(errors::publish(py, &error)),
                Err(_) => py.check_signals()?,
            }
        }
    }

    /// Whether the message is in the client's store: only from then on it may be on its way.
    #[getter]
    fn stored(&self) -> PyResult<bool> {
        Ok(self.0.get()?.is_stored())
    }

    /// Whether it has come to an end, good or bad.
    #[getter]
    fn done(&self) -> PyResult<bool> {
        Ok(self.0.get()?.is_done())
    }

    /// The message's packet identifier; None at QoS 0.
    #[getter]
    fn packet_id(&self) -> PyResult<Option<u16>> {
        Ok(self.0.get()?.packet_id().map(PacketId::get))
    }

    fn __repr__(&self) -> PyResult<String> {
        let delivery = self.0.get()?;
        let id = delivery.packet_id().map_or_else(|| "None".to_owned(), |id| id.to_string());
        let done = if delivery.is_done() { "True" } else { "False" };
        Ok(format!("Delivery(packet_id={id}, done={done})"))
    }
}
