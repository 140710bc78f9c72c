//! One Client Identifier: its session in the broker, and the client at the other end of the wire.

use std::collections::VecDeque;

use karere_core::{
    Instant, Text,
    broker::Retained,
    codec::{Publish, QoS, ReasonCode, Subscribe},
    session::AckToken,
    store::StoreSequence,
};

use super::model::Session;
use super::peer::Peer;

pub(super) struct Seat {
    pub(super) client_id: Text,
    pub(super) session: Option<Session>,
    pub(super) peer: Peer,
    /// Routed, and not told to the slot: at QoS 2 that is owed over connections.
    pub(super) tokens: VecDeque<AckToken>,
    /// In the router, and not told to the slot.
    pub(super) asked: VecDeque<Asked>,
    pub(super) stored: Option<StoreSequence>,
    /// Messages that the slot has handed to the host since the last packet was fed.
    pub(super) messages: usize,
}

/// A SUBSCRIBE that the router knows and the slot does not.
pub(super) struct Asked {
    pub(super) epoch: u32,
    pub(super) subscribe: Subscribe,
    pub(super) reasons: Vec<ReasonCode>,
    pub(super) retained: Vec<(Retained, QoS)>,
}

impl Seat {
    pub(super) fn new(client_id: &str) -> Self {
        Self {
            client_id: Text::new(client_id).expect("a text"),
            session: None,
            peer: Peer::default(),
            tokens: VecDeque::new(),
            asked: VecDeque::new(),
            stored: None,
            messages: 0,
        }
    }

    pub(super) fn is_attached(&self) -> bool {
        self.session.as_ref().is_some_and(|session| session.slot.is_attached())
    }

    /// The client reads a message that it did not have.
    pub(super) fn on_message(&mut self, now: Instant, publish: &Publish) {
        let Some(session) = &mut self.session else { panic!("a message without a session") };
        let (message, v5) = (&publish.message, self.peer.version.is_v5());
        let expected = &mut session.expected[usize::from(message.qos > QoS::AtMostOnce)];
        loop {
            let Some(next) = expected.pop_front() else {
                panic!("nobody sent {publish:?}, or it comes again")
            };
            if next.is_of(publish, v5) {
                if let (Some(packet_id), true) = (publish.packet_id, next.shared.is_some()) {
                    self.peer.shared.insert(packet_id);
                }
                return;
            }
            assert!(!next.required || next.is_expired(now), "{publish:?} comes, but {next:?} did not");
        }
    }

    /// Nothing is left of what had to arrive.
    pub(super) fn check_at_rest(&self, now: Instant) {
        let Some(session) = &self.session else { return };
        if !session.slot.is_attached() {
            return;
        }
        let missing = session.expected.iter().flatten().chain(&session.held);
        let missing: Vec<_> = missing.filter(|next| next.required && !next.is_expired(now)).collect();
        assert!(missing.is_empty(), "{} never got {missing:?}", self.client_id);
        assert_eq!((session.slot.queued(), session.slot.inflight()), (0, 0), "waiting, in flight");
        assert_eq!(session.slot.outbox_bytes(), 0, "bytes that wait");
        self.peer.check_at_rest();
    }
}
