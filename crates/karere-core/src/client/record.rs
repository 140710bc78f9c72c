//! What a store is told of a client's session, and what it gives back after a restart.

use alloc::vec::Vec;

use crate::codec::{Message, PacketId};
use crate::text::Text;
use crate::time::Instant;

/// A change of a client's session that is to be stored, with [`Options::store`](super::Options::store).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Record {
    /// The message at QoS > 0 that was published with this sequence number. Its PUBLISH waits for it.
    ///
    /// Who cannot store it at all says so with [`Client::withdraw`](super::Client::withdraw).
    Published {
        /// The message's sequence number, of which its packet identifier is a function.
        sequence: u64,
    },
    /// PUBREC came for the message with this sequence number: it is the server's, and must not be sent again. Its
    /// PUBREL waits for it.
    Received {
        /// The message's sequence number.
        sequence: u64,
        /// Numbers the PUBRECs: PUBRELs are sent again in their order.
        order: u64,
    },
    /// The exchange of the message with this sequence number is over, or the message was dropped. No packet waits for it.
    Finished {
        /// The message's sequence number.
        sequence: u64,
        /// [`Received`](Self::Received) was before it.
        received: bool,
    },
    /// The consumer is done with an incoming QoS 2 message: it is not handed over again. Its PUBREC waits for it.
    Taken {
        /// Its identifier.
        packet_id: PacketId,
    },
    /// PUBREL came: the identifier of an incoming QoS 2 message is forgotten. Its PUBCOMP waits for it.
    Released {
        /// Which one.
        packet_id: PacketId,
    },
    /// The server has lost the session: the identifiers of all incoming QoS 2 messages are forgotten. What is asked for with
    /// SUBSCRIBE waits for it.
    Forgotten,
}

/// A session as a store has it, for [`Client::restore`](super::Client::restore).
#[derive(Debug, Clone, Default)]
pub struct Restored {
    /// The Client Identifier that the session is under; none where it is not known to differ from that of the
    /// [options](super::Options::client_id).
    pub client_id: Option<Text>,
    /// Messages that were published at QoS > 0 and whose exchange is not over, by rising sequence number.
    pub messages: Vec<RestoredMessage>,
    /// Incoming QoS 2 messages whose consumers were done and that were not released.
    pub taken: Vec<PacketId>,
}

/// One message of a [`Restored`] session.
#[derive(Debug, Clone)]
pub struct RestoredMessage {
    /// Its sequence number.
    pub sequence: u64,
    /// How far it came.
    pub state: MessageState,
}

/// How far a message of a [`Restored`] session came.
#[derive(Debug, Clone)]
pub enum MessageState {
    /// It may have been sent, and is sent again.
    Published {
        /// The message; what it says of its expiry does not count.
        message: Message,
        /// When it expires.
        expires_at: Option<Instant>,
    },
    /// PUBREC came: only PUBREL is to be sent.
    Received {
        /// What [`Record::Received`] said.
        order: u64,
    },
}
