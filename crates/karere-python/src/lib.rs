//! `karere._karere`: what `karere` and `karere.paho` stand on.
//!
//! No rule of the protocol is here: the state machines are karere-core's. Here is how Python's threads, sockets and
//! event loops drive them.

mod modern;
mod paho;

use pyo3::prelude::*;

/// The native half of the package `karere`.
#[pymodule]
fn _karere(module: &Bound<'_, PyModule>) -> PyResult<()> {
    modern::register(module)?;
    paho::register(module)?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))
}
