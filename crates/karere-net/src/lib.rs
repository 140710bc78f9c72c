//! Network streams for karere: where a server is, how to reach it, what is spoken beneath MQTT, and what is particular to
//! an operating system.
//!
//! * [`Address`] and [`Url`] say where a server is, and over what it is reached.
//! * [`Connector`] reaches it, blocking or (feature `tokio`) under tokio, with all that is spoken before MQTT.
//! * `tls` and `websocket` (features of these names) turn MQTT's bytes into those of the network and back, without I/O;
//!   [`filter`] puts them on each other, [`Filtered`] puts them on a stream.
//! * [`Transport`] is what a blocking driver needs from a stream; `stream` has what an async one needs.
//! * [`sys`] waits for a socket and for a wake-up at once; nothing else here knows the system it runs on.

pub mod address;
pub mod connect;
pub mod filter;
pub mod filtered;
#[cfg(feature = "tokio")]
pub mod stream;
pub mod sys;
pub mod tcp;
#[cfg(feature = "tls")]
pub mod tls;
mod transport;
#[cfg(feature = "websocket")]
pub mod websocket;

pub use address::{Address, AddressError, Url};
pub use connect::{ConnectError, Connector};
pub use filtered::Filtered;
pub use transport::Transport;
