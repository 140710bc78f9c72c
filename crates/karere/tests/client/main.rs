//! The clients over real sockets, against a peer that follows a script, and against the broker.

#[cfg(feature = "tokio")]
mod acknowledging;
#[cfg(feature = "tokio")]
mod asynchronous;
mod blocking;
#[cfg(feature = "tokio")]
mod broker;
#[cfg(feature = "tokio")]
mod hostile;
mod lifecycle;
mod one_shot;
mod peer;
#[cfg(feature = "tokio")]
mod reconnecting;
#[cfg(feature = "tokio")]
mod stored;
#[cfg(all(feature = "tls", feature = "tokio", feature = "websocket"))]
mod transports;
