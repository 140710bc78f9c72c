//! The MQTT protocol, both ends of it, without I/O.
#![no_std]
#![cfg_attr(
    not(test),
    warn(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::unreachable
    )
)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod broker;
pub mod client;
pub mod codec;
pub mod connection;
pub mod error;
pub mod session;
pub mod store;
pub mod text;
pub mod time;
pub mod topic;

pub use error::Error;
pub use text::Text;
pub use time::Instant;
