//! The receiving side of QoS 1 and QoS 2 (§4.3).

use alloc::boxed::Box;

use super::{Receipt, Unreleased};
use crate::Error;
use crate::codec::{PacketId, PacketType, QoS, ReasonCode};
use crate::connection::{Arrivals, Done};

/// The receiving side: what came and is not answered, in the order of arrival, and the QoS 2 identifiers that
/// are not released.
///
/// `M` is a message that is kept until PUBREL, for whoever hands over as late as that.
#[derive(Debug)]
pub struct Receiver<M> {
    /// PUBLISHes of this connection.
    arrivals: Arrivals,
    /// From the first QoS 2 message on: few peers send any, and a session is to be small.
    exactly_once: Option<Box<ExactlyOnce<M>>>,
    seed: u64,
    /// Numbers the connections, so that a stale token is known.
    connection: u32,
    /// The Receive Maximum that we announced, where it is enforced.
    receive_maximum: Option<u16>,
    /// Answers go as they are asked for, and not in the order of arrival.
    as_asked: bool,
}

/// What only QoS 2 needs.
#[derive(Debug)]
struct ExactlyOnce<M> {
    unreleased: Unreleased<Kept<M>>,
    /// PUBRELs of this connection.
    releases: Arrivals,
}

#[derive(Debug)]
struct Kept<M> {
    message: Option<M>,
    /// The consumer is done with it.
    done: Option<ReasonCode>,
    /// Its place among the arrivals of the connection that first brought it: its token has it too, so that the
    /// token of an earlier message with this identifier is known.
    first: u64,
    /// Its place among this connection's arrivals.
    arrival: u64,
}

/// Which arrival is acknowledged.
///
/// At QoS 1 it is stale after the connection has gone: acknowledging is then a no-op, because the peer sends
/// the message again. At QoS 2 it holds over connections, because the message is handed over only once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AckToken {
    connection: u32,
    arrival: u64,
    packet_id: PacketId,
    point: PacketType,
}

/// What to do with a QoS 2 PUBLISH.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// The first copy: hand it over.
    First(AckToken),
    /// Another copy of what is not answered: nothing.
    Copy,
    /// Another copy of what was answered: PUBREC again [MQTT-4.3.3-10].
    AnswerAgain,
}

/// What a PUBREL means.
#[derive(Debug)]
pub enum Release<M> {
    /// The identifier is free again; PUBCOMP is among the answers.
    Done,
    /// The message that was kept until now: hand it over, PUBCOMP follows its acknowledgement.
    HandOver(M, AckToken),
    /// No such identifier: PUBCOMP with Packet Identifier not found.
    Unknown,
}

/// An answer whose turn has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// PUBACK, PUBREC or PUBCOMP.
    pub packet: PacketType,
    /// For which message.
    pub packet_id: PacketId,
    /// With which reason.
    pub reason: ReasonCode,
}

impl AckToken {
    /// The identifier of what is acknowledged.
    #[must_use]
    pub const fn packet_id(&self) -> PacketId {
        self.packet_id
    }

    /// At which QoS it came; what is acknowledged with PUBCOMP came at QoS 2 too.
    #[must_use]
    pub fn qos(&self) -> QoS {
        if self.point == PacketType::PubAck { QoS::AtLeastOnce } else { QoS::ExactlyOnce }
    }
}

impl<M> ExactlyOnce<M> {
    fn new(seed: u64, as_asked: bool) -> Box<Self> {
        let mut releases = Arrivals::default();
        releases.set_as_asked(as_asked);
        Box::new(Self { unreleased: Unreleased::new(seed), releases })
    }
}

impl<M> Receiver<M> {
    /// Nothing received.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            arrivals: Arrivals::default(),
            exactly_once: None,
            seed,
            connection: 0,
            receive_maximum: None,
            as_asked: false,
        }
    }

    /// A new connection. `receive_maximum` is what we announced, at least 1, where the version has it.
    pub fn open(&mut self, receive_maximum: Option<u16>) {
        self.close();
        self.receive_maximum = receive_maximum.map(|max| max.max(1));
    }

    /// From now on answers go as they are asked for; one that is never asked for holds up none after it.
    pub fn set_as_asked(&mut self, as_asked: bool) {
        self.as_asked = as_asked;
        self.arrivals.set_as_asked(as_asked);
        if let Some(exactly_once) = &mut self.exactly_once {
            exactly_once.releases.set_as_asked(as_asked);
        }
    }

    /// The connection has gone: the peer sends again what was not answered.
    pub fn close(&mut self) {
        self.arrivals.clear();
        if let Some(exactly_once) = &mut self.exactly_once {
            exactly_once.releases.clear();
            exactly_once.unreleased.resume();
        }
        self.connection = self.connection.wrapping_add(1);
    }

    /// The session is new.
    pub fn clear(&mut self) {
        if let Some(exactly_once) = &mut self.exactly_once {
            exactly_once.unreleased.clear();
        }
    }

    /// What a store gives back after a restart: handed over, answered with PUBREC and not released.
    pub fn restore(&mut self, packet_id: PacketId) {
        let (seed, as_asked) = (self.seed, self.as_asked);
        let exactly_once = self.exactly_once.get_or_insert_with(|| ExactlyOnce::new(seed, as_asked));
        let kept =
            Kept { message: None, done: Some(ReasonCode::Success), first: u64::MAX, arrival: u64::MAX };
        exactly_once.unreleased.restore(packet_id, kept);
    }

    /// A QoS 1 PUBLISH came: hand it over.
    ///
    /// # Errors
    /// When there are more unanswered than our Receive Maximum [MQTT-3.3.4-9].
    pub fn take_at_least_once(&mut self, packet_id: PacketId) -> Result<AckToken, Error> {
        self.check_receive_maximum()?;
        let arrival = self.arrivals.push(packet_id, QoS::AtLeastOnce);
        Ok(self.token(PacketType::PubAck, packet_id, arrival))
    }

    /// A QoS 2 PUBLISH came [MQTT-4.3.3-10].
    ///
    /// # Errors
    /// When there are more unanswered than our Receive Maximum [MQTT-3.3.4-9].
    pub fn take_exactly_once(&mut self, packet_id: PacketId) -> Result<Taken, Error> {
        // Before it is written down: what is one too many was never received, and is new when it comes again.
        if !self.unreleased_ids().is_some_and(|ids| ids.is_counted(packet_id)) {
            self.check_receive_maximum()?;
        }
        let fresh = Kept { message: None, done: None, first: u64::MAX, arrival: u64::MAX };
        let (seed, as_asked) = (self.seed, self.as_asked);
        let exactly_once = self.exactly_once.get_or_insert_with(|| ExactlyOnce::new(seed, as_asked));
        let receipt = exactly_once.unreleased.receive(packet_id, || fresh);
        match receipt {
            Receipt::Pending => return Ok(Taken::Copy),
            Receipt::Answered => return Ok(Taken::AnswerAgain),
            Receipt::First | Receipt::Resumed => {}
        }
        let arrival = self.arrivals.push(packet_id, QoS::ExactlyOnce);
        let Some(kept) = exactly_once.unreleased.get_mut(packet_id) else { return Ok(Taken::Copy) };
        kept.arrival = arrival;
        if receipt == Receipt::First {
            kept.first = arrival;
            return Ok(Taken::First(self.token(PacketType::PubRec, packet_id, arrival)));
        }
        if let Some(reason) = kept.done {
            self.arrivals.done(arrival, reason);
        }
        Ok(Taken::Copy)
    }

    /// Keeps the message until PUBREL, instead of handing it over; PUBREC goes without waiting for anyone.
    pub fn keep(&mut self, token: AckToken, message: M) {
        if let Some(kept) = self.kept(token.packet_id) {
            kept.message = Some(message);
        }
        self.acknowledge(token, ReasonCode::Success);
    }

    /// PUBREL came: the identifier is free again.
    ///
    /// # Errors
    /// A Protocol Error when PUBREC has not gone.
    pub fn release(&mut self, packet_id: PacketId) -> Result<Release<M>, Error> {
        let Some(ExactlyOnce { unreleased, releases }) = self.exactly_once.as_deref_mut() else {
            return Ok(Release::Unknown);
        };
        if unreleased.contains(packet_id) && !unreleased.is_answered(packet_id) {
            return Err(Error::protocol("PUBREL before PUBREC"));
        }
        let Some(Kept { message, .. }) = unreleased.release(packet_id) else {
            return Ok(Release::Unknown);
        };
        let arrival = releases.push(packet_id, QoS::ExactlyOnce);
        let token = self.token(PacketType::PubComp, packet_id, arrival);
        Ok(match message {
            Some(message) => Release::HandOver(message, token),
            None => {
                self.acknowledge(token, ReasonCode::Success);
                Release::Done
            }
        })
    }

    /// Whether this is the token of a QoS 2 message that was handed over on PUBLISH and whose consumer is not done.
    #[must_use]
    pub fn is_awaited(&self, token: AckToken) -> bool {
        token.point == PacketType::PubRec
            && self
                .unreleased_ids()
                .and_then(|ids| ids.get(token.packet_id))
                .is_some_and(|kept| kept.first == token.arrival && kept.done.is_none())
    }

    /// A message is forgotten as if it had never come, and not answered: a copy of it is new. For a connection that closes.
    pub fn forget(&mut self, token: AckToken) {
        if self.is_awaited(token)
            && let Some(exactly_once) = &mut self.exactly_once
        {
            exactly_once.unreleased.release(token.packet_id);
        }
    }

    /// The consumer is done with a message, in any order. `reason` as an error ends a QoS 2 exchange; one that
    /// the answer may not carry becomes Success or Unspecified error.
    pub fn acknowledge(&mut self, token: AckToken, reason: ReasonCode) {
        let reason = match reason {
            reason if reason.allowed_in(token.point) => reason,
            reason if reason.is_error() => ReasonCode::UnspecifiedError,
            _ => ReasonCode::Success,
        };
        let current = token.connection == self.connection;
        match token.point {
            PacketType::PubAck if current => {
                self.arrivals.done(token.arrival, reason);
            }
            PacketType::PubComp if current => {
                if let Some(exactly_once) = &mut self.exactly_once {
                    exactly_once.releases.done(token.arrival, reason);
                }
            }
            // Handed over once for all connections, so that the place among this one's arrivals counts.
            PacketType::PubRec => {
                let kept = self.kept(token.packet_id);
                if let Some(kept) = kept.filter(|kept| kept.first == token.arrival && kept.done.is_none()) {
                    kept.done = Some(reason);
                    let arrival = kept.arrival;
                    self.arrivals.done(arrival, reason);
                }
            }
            _ => {}
        }
    }

    /// The next answer whose turn has come, in the order of arrival ([MQTT-4.6.0-2], [MQTT-4.6.0-3]).
    pub fn next_answer(&mut self) -> Option<Answer> {
        if let Some(Done { packet_id, qos, reason }) = self.arrivals.next() {
            if qos == QoS::AtLeastOnce {
                return Some(Answer { packet: PacketType::PubAck, packet_id, reason });
            }
            if let Some(ExactlyOnce { unreleased, .. }) = self.exactly_once.as_deref_mut() {
                if reason.is_error() {
                    unreleased.release(packet_id);
                } else {
                    unreleased.answer(packet_id);
                }
            }
            return Some(Answer { packet: PacketType::PubRec, packet_id, reason });
        }
        let Done { packet_id, .. } = self.exactly_once.as_mut()?.releases.next()?;
        Some(Answer { packet: PacketType::PubComp, packet_id, reason: ReasonCode::Success })
    }

    /// The QoS 2 identifiers that are not released.
    #[must_use]
    pub fn unreleased(&self) -> usize {
        self.unreleased_ids().map_or(0, Unreleased::len)
    }

    /// Those identifiers.
    pub fn packet_ids(&self) -> impl Iterator<Item = PacketId> {
        self.unreleased_ids().into_iter().flat_map(Unreleased::ids)
    }

    fn unreleased_ids(&self) -> Option<&Unreleased<Kept<M>>> {
        self.exactly_once.as_ref().map(|exactly_once| &exactly_once.unreleased)
    }

    fn kept(&mut self, packet_id: PacketId) -> Option<&mut Kept<M>> {
        self.exactly_once.as_mut()?.unreleased.get_mut(packet_id)
    }

    /// Whether one more may come.
    fn check_receive_maximum(&self) -> Result<(), Error> {
        let unanswered = self.arrivals.at_least_once() + self.unreleased_ids().map_or(0, Unreleased::counted);
        if self.receive_maximum.is_some_and(|max| unanswered >= usize::from(max)) {
            let what = "more unacknowledged messages than our Receive Maximum";
            return Err(Error::LimitExceeded { what, reason: ReasonCode::ReceiveMaximumExceeded });
        }
        Ok(())
    }

    fn token(&self, point: PacketType, packet_id: PacketId, arrival: u64) -> AckToken {
        AckToken { connection: self.connection, arrival, packet_id, point }
    }
}
