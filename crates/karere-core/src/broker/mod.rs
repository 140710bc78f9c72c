//! The server's end: state machines without I/O.
//!
//! A connection begins as a [`Handshake`]. When the host has accepted its CONNECT it [attaches](Slot::attach) to a
//! [`Slot`], a client's place with its Session, which outlives connections. What a slot receives it hands to the
//! host as [`Event`]s; the host finds the receivers in a [`Router`] and gives them the message with
//! [`Slot::deliver`].

mod connection;
mod event;
mod handshake;
mod options;
mod retained;
mod routed;
mod router;
mod share;
mod slot;
mod stored;

pub use event::{Delivered, DropReason, Ending, Event, Presence, SharedDelivery, SlotCounters};
pub use handshake::{Accepted, Handshake, HandshakeEvent};
pub use options::Options;
pub use retained::{Retained, RetainedLimits};
pub use routed::{Routed, Scratch};
pub use router::{Grant, NewSubscription, Publisher, Router, RouterLimits, Subscribed, Target};
pub use share::{Member, ShareKey, SharedTarget};
pub use slot::Slot;
pub use stored::{
    EntryState, KeptRetained, Restored, RestoredEntry, RestoredHeld, StoredEntry, StoredMessage,
};

pub use crate::session::AckToken;
