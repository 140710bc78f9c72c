//! What a client tells its driver.

use alloc::vec::Vec;

use super::Record;
use crate::codec::{Auth, ConnAck, Disconnect, Message, PacketId, Properties, ReasonCode, SubscriptionIds};
use crate::connection::PacketTrace;
use crate::session::AckToken;
use crate::store::StoreSequence;
use crate::text::Text;
use crate::topic::TopicFilter;

/// What [`Client::poll_event`](super::Client::poll_event) hands out.
#[derive(Debug, Clone)]
pub enum Event {
    /// CONNACK with success: the connection is up.
    Connected {
        /// The packet.
        connack: ConnAck,
        /// The Client Identifier in use, the server's where it assigned one.
        client_id: Text,
    },
    /// CONNACK with a reason of failure; the connection is over.
    Refused(ConnAck),
    /// A message for the application.
    Message(Received),
    /// A publish has come to its end: PUBACK or PUBCOMP came, or PUBREC with an error; at QoS 0, when asked
    /// for, its bytes were written.
    Published {
        /// What `publish` returned.
        packet_id: PacketId,
        /// What the server made of it; `Success` at QoS 0 and on 3.x.
        reason: ReasonCode,
        /// Properties of the last acknowledgement.
        properties: Properties,
    },
    /// A message that waited was given up: expired, or pushed out by the queue's limit.
    Dropped {
        /// What `publish` returned.
        packet_id: Option<PacketId>,
        /// Why.
        why: DropReason,
    },
    /// SUBACK.
    Subscribed {
        /// What `subscribe` returned.
        packet_id: PacketId,
        /// One for each filter, in order.
        reasons: Vec<ReasonCode>,
        /// Properties of the packet.
        properties: Properties,
    },
    /// UNSUBACK.
    Unsubscribed {
        /// What `unsubscribe` returned.
        packet_id: PacketId,
        /// One for each filter, in order; none on 3.x.
        reasons: Vec<ReasonCode>,
        /// Properties of the packet.
        properties: Properties,
    },
    /// A SUBSCRIBE or UNSUBSCRIBE that will not be answered: the connection went, and it is not kept.
    Unanswered {
        /// What `subscribe` or `unsubscribe` returned.
        packet_id: PacketId,
    },
    /// The server lost the session: what was unacknowledged is sent again as new, and the driver's
    /// subscriptions were made again if [`Options::resubscribe`](super::Options::resubscribe) says so.
    SessionLost,
    /// The subscriptions were made again after the server lost the session.
    Resubscribed {
        /// The filters that the server refused this time.
        refused: Vec<(TopicFilter, ReasonCode)>,
    },
    /// AUTH: answer with [`Client::authenticate`](super::Client::authenticate).
    Auth(Auth),
    /// The server sent DISCONNECT; the connection is over.
    Disconnected(Disconnect),
    /// To be stored; tell [`Client::handle_stored`](super::Client::handle_stored) when it is. Only with
    /// [`Options::store`](super::Options::store).
    Record(StoreSequence, Record),
    /// One packet went out or came in, while [`Options::trace`](super::Options::trace) is on.
    Trace(PacketTrace),
}

impl Event {
    /// The server took responsibility for the message with this number, on an earlier connection.
    pub(super) fn delivered(sequence: u64) -> Self {
        let packet_id = PacketId::from_sequence(sequence);
        Self::Published { packet_id, reason: ReasonCode::Success, properties: Properties::EMPTY }
    }
}

/// A message with what belongs to this connection.
#[derive(Debug, Clone)]
pub struct Received {
    /// The message, its topic resolved from an alias if there was one.
    pub message: Message,
    /// DUP: the server has sent it before.
    pub dup: bool,
    /// Its packet identifier, QoS > 0.
    pub packet_id: Option<PacketId>,
    /// The identifiers of the subscriptions that it matched (§3.8.2.1.2).
    pub subscription_ids: SubscriptionIds,
    /// To be given to [`Client::acknowledge`](super::Client::acknowledge) when the consumer is done; QoS > 0.
    pub ack: Option<AckToken>,
}

/// Why a message that waited was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DropReason {
    /// Its Message Expiry Interval passed.
    Expired,
    /// The queue was full and it was the oldest at QoS 0.
    QueueFull,
    /// It is larger than the server's Maximum Packet Size, or at a QoS or with a RETAIN that the server lacks.
    NotAccepted,
    /// The connection went before a QoS 0 message was written.
    ConnectionLost,
}
