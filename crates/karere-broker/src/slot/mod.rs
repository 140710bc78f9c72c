//! Session slots: one client's place each, with who is attached to it.

mod booked;
mod cell;
mod late;
mod registry;
mod seat;
#[cfg(test)]
mod tests;

pub(crate) use booked::Keeping;
pub(crate) use cell::{Finished, Line, Place};
pub(crate) use late::Ticket;
pub(crate) use registry::Arrival;
pub(crate) use seat::{Admission, Effects, Ended, Move, Seat};

use crate::connection::Link;

/// A session slot of this broker.
pub(crate) type Cell = cell::SlotCell<Seat, Link>;
/// What its lock protects.
pub(crate) type State = cell::State<Seat, Link>;
/// All of them.
pub(crate) type Registry = registry::Registry<Seat, Link, foldhash::fast::FixedState>;
