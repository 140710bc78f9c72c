//! What happened, in order: what the checkers look at.

use std::fmt;

use karere_core::broker::{Delivered, SlotCounters};
use karere_core::codec::{QoS, ReasonCode, SubscribeOptions};

use crate::agenda::End;
use crate::check::Kind;

/// All that happened, and all messages that there were.
#[derive(Debug, Default)]
pub(crate) struct History {
    pub(crate) entries: Vec<Entry>,
    pub(crate) messages: Vec<Letter>,
    /// What was seen to be wrong while it happened, and the place in `entries`.
    pub(crate) offences: Vec<(usize, Kind, String)>,
}

/// One thing that happened, and when, in milliseconds.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) at: u64,
    pub(crate) note: Note,
}

/// A message as its publisher means it. Its number is its place, and is in its payload.
#[derive(Debug, Clone)]
pub(crate) struct Letter {
    pub(crate) publisher: usize,
    pub(crate) topic: String,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    /// Message Expiry Interval in seconds.
    pub(crate) expiry: Option<u32>,
    pub(crate) payload_bytes: usize,
    pub(crate) is_will: bool,
}

/// What happened. Messages, peers, wires and sessions are named by their numbers.
#[derive(Debug, Clone)]
#[allow(dead_code, reason = "what no checker looks at, a person reads in the trace")]
pub(crate) enum Note {
    /// An application has published a message.
    Published { peer: usize, message: u64 },
    /// It was told that this is done.
    Answered { peer: usize, message: u64, reason: ReasonCode },
    /// It was told that this will not be done.
    GivenUp { peer: usize, message: u64 },
    /// An application was given a message.
    Got { peer: usize, wire: usize, message: u64, qos: QoS, dup: bool, retain: bool, ids: Vec<u32> },
    /// It was given one that is not what was published.
    GotOther { peer: usize, what: String },
    /// A client has opened a connection.
    Opened { peer: usize, wire: usize },
    /// It was accepted.
    Connected { peer: usize, wire: usize, session_present: bool },
    /// A client is done with a connection.
    Left { peer: usize, wire: usize, how: &'static str },
    /// An application has lost its memory.
    Restarted { peer: usize },
    /// A wire carries nothing from now on.
    Cut { wire: usize },
    /// An end has learnt that the connection is gone.
    Lost { wire: usize, end: End },
    /// A session has a connection.
    Attached { session: u32, peer: usize, wire: usize, expiry: u32, will: Option<(u64, u32)> },
    /// Its client has said DISCONNECT.
    Goodbye { session: u32, with_will: bool, expiry: Option<u32> },
    /// Something that a peer's connections have brought is left to be done when they are let go, or nothing is any more.
    Late { peer: usize, late: bool },
    /// It has no connection any more.
    Detached { session: u32 },
    /// It is over.
    Ended { session: u32, counters: SlotCounters },
    /// A subscription is in force; the packet with this identifier asked for it.
    Subscribed { session: u32, filter: String, options: SubscribeOptions, id: Option<u32>, by: (usize, u16) },
    /// It is no more.
    Unsubscribed { session: u32, filter: String, by: (usize, u16) },
    /// The broker has found the receivers of a message; `wire` brought it, none did a Will.
    Routed { message: u64, session: u32, wire: Option<usize> },
    /// A message without payload has removed what is retained for its topic; the packet with this identifier brought it.
    Cleared { topic: String, by: Option<(usize, u16)> },
    /// A session was given a message; `group` as a member of one.
    Given { session: u32, message: u64, group: bool, how: Delivered },
    /// What a session keeps is written down under this packet identifier.
    Kept { session: u32, id: u16 },
    /// It has lost it to another member of its group.
    Moved { session: u32, message: u64 },
    /// A PUBLISH for a client was written.
    Sent { wire: usize, message: u64, id: Option<u16>, qos: QoS, dup: bool },
    /// CONNACK was written.
    Welcomed { wire: usize },
    /// PUBACK or PUBREC was written: the broker has a message, none one without payload.
    Acked { wire: usize, id: u16, message: Option<u64> },
    /// SUBACK or UNSUBACK was written.
    Confirmed { wire: usize, id: u16 },
    /// PUBREL was written.
    Released { wire: usize, id: u16 },
    /// PUBREC has come for a PUBLISH of the broker's.
    Received { wire: usize, id: u16 },
    /// PUBREL has come.
    Releasing { wire: usize, id: u16 },
    /// PUBCOMP was written.
    Completed { wire: usize, id: u16 },
    /// The broker has heard that a PUBLISH of its has come to its end.
    Finished { wire: usize, id: u16 },
    /// The broker writes what was to be stored: at least all of what happened before this place of the history.
    Taken { ticket: u64, before: usize },
    /// It has heard that this is durable.
    Durable { ticket: u64 },
    /// It has heard that nobody knows whether this is.
    InDoubt { ticket: u64 },
    /// The broker is no more.
    Killed { how: String },
    /// What a session had counted when the broker was killed, and whether it was stored.
    Halted { session: u32, counters: SlotCounters, stored: bool },
    /// A session is back as its store has it.
    Restored(Box<Restored>),
    /// What is retained for a topic again.
    RestoredRetained { topic: String, message: Option<u64> },
    /// The broker is there again, and its timeline so many milliseconds before the one here; the clock on the wall was
    /// turned by `turned`.
    Revived { ahead: i64, turned: i64 },
    /// The end: what a session has counted, and what is left in it.
    Final { session: u32, counters: SlotCounters, pending: usize },
    /// The end: what is retained for a topic.
    FinalRetained { topic: String, message: Option<u64> },
}

/// A session as a store has given it back.
#[derive(Debug, Clone)]
pub(crate) struct Restored {
    pub(crate) session: u32,
    pub(crate) expiry: u32,
    pub(crate) filters: Vec<(String, SubscribeOptions, Option<u32>)>,
    /// Identifiers of incoming QoS 2 messages that are not released.
    pub(crate) unreleased: Vec<u16>,
}

impl History {
    pub(crate) fn note(&mut self, at: u64, note: Note) {
        self.entries.push(Entry { at, note });
    }

    /// Something is wrong now.
    pub(crate) fn offence(&mut self, kind: Kind, what: String) {
        self.offences.push((self.entries.len(), kind, what));
    }

    /// The number of a new message.
    pub(crate) fn letter(&mut self, letter: Letter) -> u64 {
        self.messages.push(letter);
        self.messages.len() as u64 - 1
    }
}

impl Note {
    /// The message that it is about.
    pub(crate) fn message(&self) -> Option<u64> {
        match self {
            Self::Published { message, .. }
            | Self::Answered { message, .. }
            | Self::GivenUp { message, .. }
            | Self::Got { message, .. }
            | Self::Routed { message, .. }
            | Self::Given { message, .. }
            | Self::Moved { message, .. }
            | Self::Sent { message, .. } => Some(*message),
            _ => None,
        }
    }

    /// The session that it is about.
    pub(crate) fn session(&self) -> Option<u32> {
        match self {
            Self::Attached { session, .. }
            | Self::Goodbye { session, .. }
            | Self::Detached { session }
            | Self::Ended { session, .. }
            | Self::Subscribed { session, .. }
            | Self::Unsubscribed { session, .. }
            | Self::Halted { session, .. }
            | Self::Kept { session, .. }
            | Self::Final { session, .. } => Some(*session),
            Self::Restored(restored) => Some(restored.session),
            _ => None,
        }
    }

    /// The wire whose fate it is about.
    pub(crate) fn wire(&self) -> Option<usize> {
        match self {
            Self::Opened { wire, .. }
            | Self::Connected { wire, .. }
            | Self::Left { wire, .. }
            | Self::Cut { wire }
            | Self::Welcomed { wire }
            | Self::Acked { wire, .. }
            | Self::Confirmed { wire, .. }
            | Self::Released { wire, .. }
            | Self::Received { wire, .. }
            | Self::Releasing { wire, .. }
            | Self::Completed { wire, .. }
            | Self::Finished { wire, .. }
            | Self::Lost { wire, .. } => Some(*wire),
            _ => None,
        }
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let note = format!("{:?}", self.note);
        write!(f, "{:>8} ms  {}", self.at, note.replace(['{', '}'], "").replace("  ", " "))
    }
}

const HEAD_BYTES: usize = 8;

/// The payload of a message: its number, then bytes that follow from it.
pub(crate) fn payload(message: u64, bytes: usize) -> Vec<u8> {
    let mut payload = message.to_be_bytes().to_vec();
    payload.extend((HEAD_BYTES..bytes).map(|at| (message as u8).wrapping_add(at as u8)));
    payload
}

/// The number of the message with this payload.
pub(crate) fn number_of(payload: &[u8]) -> Option<u64> {
    payload.first_chunk::<HEAD_BYTES>().map(|head| u64::from_be_bytes(*head))
}
