//! What both ends of karere keep on a disk: a segmented append log with an index in memory.
//!
//! A store is a map from [`Key`] to bytes. It changes by [`Batch`]es, each of which is there whole or not at all after a
//! crash, in the order in which they were appended. Nothing is ever written twice in place: a change is appended to the
//! newest segment, and [`Log::compact`] moves what is still needed out of the oldest one before it is removed.
//!
//! - [`Log`] is the engine: no thread, no clock, every byte through the trait [`Disk`], so that the simulator can tear,
//!   lose or fail any write and any sync.
//! - [`Journal`] is the engine for one process's own use: written by whoever calls, synced by a thread beside.
//! - [`Store`] is the engine in a thread of its own, with one sync for all that arrived while the last one ran.
//!
//! The format is drawn byte by byte in `docs/internals/store.md`.

mod batch;
mod disk;
mod error;
mod frame;
mod index;
mod journal;
mod log;
mod recover;
mod store;

pub use batch::{Batch, Key};
pub use disk::{Change, Directory, Disk, SegmentFile, Simulated, SimulatedFile, Tail};
pub use error::{Damage, Error, OpenError};
pub use journal::{Journal, Mark, NotWritten, Written};
pub use log::{Durability, Log, Options, Syncing};
pub use recover::Report;
pub use store::{Group, Outcome, Refused, Store, Ticket};
