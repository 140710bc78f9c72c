//! The broker over real sockets, spoken to packet by packet.

mod client;
mod conformance;
mod connect;
#[cfg(unix)]
mod descriptors;
mod durable;
mod embedding;
mod hooks;
mod hostile;
mod late;
mod pressure;
mod qos;
mod retained;
mod session;
mod shared;
mod shutdown;
mod subscribe;
mod transports;
mod will;
