//! Connections: a task each, small while nothing happens.

mod driver;
mod greet;
mod link;
mod part;
mod pipe;
mod screen;
mod table;
mod task;
mod transport;

pub(crate) use link::{Link, Signals};
pub(crate) use pipe::{PipeEnd, pair};
pub(crate) use table::Connections;
pub(crate) use task::start;
pub(crate) use transport::{Reader, Writer, tcp};
