//! Network streams for karere: where a server is, how to reach it, and what is particular to an
//! operating system.
//!
//! * [`Address`] and [`Url`] say where a server is.
//! * [`tcp`] connects to it, blocking or (feature `tokio`) under tokio.
//! * [`Transport`] is what a blocking driver needs from a stream.
//! * [`sys`] waits for a socket and for a wake-up at once; nothing else here knows the system it runs on.

pub mod address;
pub mod sys;
pub mod tcp;
mod transport;

pub use address::{Address, AddressError, Url};
pub use tcp::ConnectError;
pub use transport::Transport;
