//! What outlives a Network Connection: a Session's state as plain values (§4.1), and the two sides of an exchange.
//!
//! [`Sender`] and [`Receiver`] are the QoS 1 and QoS 2 state machines of §4.3; client and broker each have one
//! of both.

mod inflight;
mod queue;
mod quota;
mod receiver;
mod sender;
mod unreleased;

pub use self::inflight::{Awaiting, Inflight, InflightError};
pub use self::queue::{Queue, Waiting};
pub(crate) use self::queue::{is_expired, remaining_seconds};
pub use self::quota::SendQuota;
pub use self::receiver::{AckToken, Answer, Receiver, Release, Taken};
pub use self::sender::{Acked, Next, Sender};
pub use self::unreleased::{Receipt, Unreleased};
