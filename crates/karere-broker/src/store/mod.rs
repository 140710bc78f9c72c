//! What outlives the broker: sessions, subscriptions, messages and retained messages on a disk.
//!
//! - `records` is what stands in the values, `ledger` what is put and removed for each happening, `recover` reads it
//!   all back: none of them knows a thread, a clock or a disk, and the simulator runs them as they are.
//! - `durable` is the ledger on a [`karere_store::Store`], `waiting` those who wait for it, `open` the start.
//!
//! Rows of a session are put and removed while its slot's lock is held, so that a removal never comes before what it
//! removes; the store's open batch is a leaf lock and memory only. Nobody waits for the disk with a lock held.

mod durable;
mod ledger;
mod open;
mod records;
mod recover;
mod waiting;

#[cfg(test)]
mod tests;

pub(crate) use durable::Durable;
pub use ledger::{Ledger, Session};
pub use open::{Durability, StoreOptions};
pub(crate) use open::{Opening, restore};
pub use records::{
    MessageRef, MessageRow, QueuedRow, SessionRow, SubscriptionRow, Terms, TimelineRow, WillRow, table,
};
pub use recover::{Recovered, RecoveredSession};
pub(crate) use waiting::{SubscribedWaiter, UnsubscribedWaiter, Untold, Waiter, run};
