//! Connections: a task each, small while nothing happens.

mod driver;
mod filtered;
mod greet;
mod link;
mod part;
mod pipe;
mod screen;
mod table;
mod task;
mod transport;

pub(crate) use filtered::filtered;
pub(crate) use link::{Link, Signals};
pub(crate) use pipe::{PipeEnd, pair};
pub(crate) use table::Connections;
pub(crate) use task::start;
#[cfg(unix)]
pub(crate) use transport::unix;
pub(crate) use transport::{Reader, Writer, tcp};
