//! The native half of `karere.paho`: what is hot, and what no Python program should do byte by byte.

mod base;
mod convert;
mod dispatch;
mod fd;
mod filters;
mod info;
mod link;
mod message;
mod open;
mod publish;
mod state;
mod stored;
mod subscribe;
mod turn;

use pyo3::prelude::*;

/// Adds the classes to the extension module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<base::PahoBase>()?;
    module.add_class::<info::MQTTMessageInfo>()?;
    module.add_class::<message::MQTTMessage>()
}
