//! The clients over real sockets, against a peer that follows a script.

#[cfg(feature = "tokio")]
mod acknowledging;
#[cfg(feature = "tokio")]
mod asynchronous;
mod blocking;
mod lifecycle;
mod one_shot;
mod peer;
#[cfg(feature = "tokio")]
mod reconnecting;
