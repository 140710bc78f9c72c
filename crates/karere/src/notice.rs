//! What a driver tells those above it.

use std::sync::Arc;
use std::time::Duration;

use karere_core::client;

use crate::delivery::{Outcome, Slot};
use crate::{ConnectError, Disconnection};

/// Something that happened, as a [`Driver`](crate::blocking::Driver) hands it out.
///
/// Whoever waits for the same thing elsewhere (a [`Delivery`](crate::Delivery)) is woken when this is
/// dropped, so that a callback comes first.
#[derive(Debug)]
pub struct Notice {
    /// What happened.
    pub event: DriverEvent,
    _completion: Option<Completion>,
}

/// What happened to a driver.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum DriverEvent {
    /// What the protocol told.
    Core(client::Event),
    /// An attempt to connect has failed.
    ConnectFailed {
        /// Why.
        error: ConnectError,
        /// When the next one will be made; none when there will be none.
        retry_in: Option<Duration>,
    },
    /// The connection is over, and its socket closed.
    Closed(Disconnection),
}

impl Notice {
    pub(crate) fn new(event: DriverEvent) -> Self {
        Self { event, _completion: None }
    }

    pub(crate) fn completing(event: client::Event, slot: Arc<Slot>) -> Self {
        if let Some(outcome) = outcome(&event) {
            slot.put(outcome);
        }
        Self { event: DriverEvent::Core(event), _completion: Some(Completion(slot)) }
    }
}

/// Wakes those who wait when it is dropped.
#[derive(Debug)]
struct Completion(Arc<Slot>);

impl Drop for Completion {
    fn drop(&mut self) {
        self.0.show();
    }
}

/// What an event says about the packet identifier that it names.
fn outcome(event: &client::Event) -> Option<Outcome> {
    match event {
        client::Event::Published { reason, properties, .. } => {
            Some(Outcome::Published { reason: *reason, properties: properties.clone() })
        }
        client::Event::Dropped { why, .. } => Some(Outcome::Dropped(*why)),
        client::Event::Subscribed { reasons, properties, .. }
        | client::Event::Unsubscribed { reasons, properties, .. } => {
            Some(Outcome::Answered { reasons: reasons.clone(), properties: properties.clone() })
        }
        client::Event::Unanswered { .. } => Some(Outcome::Unanswered),
        _ => None,
    }
}

/// The packet identifier that an event brings to its end.
pub(crate) fn ended(event: &client::Event) -> Option<crate::PacketId> {
    match event {
        client::Event::Published { packet_id, .. }
        | client::Event::Subscribed { packet_id, .. }
        | client::Event::Unsubscribed { packet_id, .. }
        | client::Event::Unanswered { packet_id } => Some(*packet_id),
        client::Event::Dropped { packet_id, .. } => *packet_id,
        _ => None,
    }
}
