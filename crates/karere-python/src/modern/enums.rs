//! The members of `karere`'s enums, which are Python's own.

use karere_core::codec::{QoS, ReasonCode};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyTuple;

static MEMBERS: PyOnceLock<Members> = PyOnceLock::new();

struct Members {
    qos: [Py<PyAny>; 3],
    reason_code: Py<PyAny>,
    /// What nearly every acknowledgement says.
    success: Py<PyAny>,
}

impl Members {
    fn get(py: Python<'_>) -> PyResult<&Self> {
        MEMBERS.get_or_try_init(py, || {
            let module = py.import("karere._enums")?;
            let qos = module.getattr("QoS")?;
            let reason_code = module.getattr("ReasonCode")?;
            let level = |level: u8| qos.call1((level,)).map(Bound::unbind);
            Ok(Self {
                qos: [level(0)?, level(1)?, level(2)?],
                success: reason_code.call1((0,))?.unbind(),
                reason_code: reason_code.unbind(),
            })
        })
    }
}

/// `karere.QoS`.
pub(super) fn qos(py: Python<'_>, qos: QoS) -> PyResult<Py<PyAny>> {
    let [zero, one, two] = &Members::get(py)?.qos;
    Ok(match qos {
        QoS::AtMostOnce => zero,
        QoS::AtLeastOnce => one,
        QoS::ExactlyOnce => two,
    }
    .clone_ref(py))
}

/// `karere.ReasonCode`.
pub(super) fn reason<'py>(py: Python<'py>, reason: ReasonCode) -> PyResult<Bound<'py, PyAny>> {
    let members = Members::get(py)?;
    match reason {
        ReasonCode::Success => Ok(members.success.bind(py).clone()),
        other => members.reason_code.bind(py).call1((other.as_u8(),)),
    }
}

/// A tuple of `karere.ReasonCode`s.
pub(super) fn reasons<'py>(py: Python<'py>, reasons: &[ReasonCode]) -> PyResult<Bound<'py, PyTuple>> {
    let all = reasons.iter().map(|code| reason(py, *code)).collect::<PyResult<Vec<_>>>()?;
    PyTuple::new(py, all)
}
