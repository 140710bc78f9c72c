//! What belongs to one Network Connection and goes with it.

mod alias;
mod arrivals;
mod keep_alive;
mod outbox;
#[cfg(test)]
pub(crate) mod testing;
mod trace;

pub use self::outbox::Outbox;
pub use self::trace::{Direction, PacketTrace};

pub(crate) use self::alias::{InboundAliases, OutboundAliases};
pub(crate) use self::arrivals::{Arrivals, Done};
pub(crate) use self::keep_alive::KeepAlive;
