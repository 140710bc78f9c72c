//! What `karere.Client` and `karere.aio.Client` stand on: the Rust client's driver, given to a thread of its own or
//! to Python's event loop.

mod asyncio;
mod claim;
mod config;
mod enums;
pub(crate) mod errors;
mod fork;
mod message;
mod outcome;
mod properties;
mod queue;
mod request;
mod streams;
mod threaded;

use pyo3::prelude::*;

/// Adds the classes to the extension module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<properties::Properties>()?;
    module.add_class::<message::Message>()?;
    module.add_class::<config::Tls>()?;
    module.add_class::<config::Will>()?;
    module.add_class::<asyncio::LoopClient>()?;
    module.add_class::<asyncio::LoopStream>()?;
    module.add_class::<asyncio::Opened>()?;
    module.add_class::<threaded::ThreadClient>()?;
    module.add_class::<threaded::ThreadStream>()?;
    module.add_class::<threaded::Delivery>()?;
    module.add_function(wrap_pyfunction!(fork::after_fork_in_child, module)?)
}
