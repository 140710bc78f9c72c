//! The sending side of QoS 1 and QoS 2 (§4.3, §4.9).

use super::{Awaiting, Inflight, InflightError, Queue, SendQuota, Waiting};
use crate::Error;
use crate::codec::{PacketId, PacketType, QoS};
use crate::time::Instant;

/// The sending side: what waits, what was sent and is not acknowledged, and how much may be.
///
/// `T` is a message with what its owner needs to encode it.
#[derive(Debug)]
pub struct Sender<T> {
    /// Sent and unacknowledged.
    pub inflight: Inflight<T>,
    /// What waits.
    pub queue: Queue<T>,
    quota: SendQuota,
    /// Our own bound on `inflight`.
    inflight_max: u16,
}

/// What may be sent next.
#[derive(Debug)]
pub enum Next<T> {
    /// This one of `inflight` again, with DUP and its identifier [MQTT-3.3.1-1].
    Again(PacketId),
    /// This one, taken from the queue; expired or not.
    New(T),
}

/// What an acknowledgement means.
#[derive(Debug, PartialEq, Eq)]
pub enum Acked<T> {
    /// The exchange is over. The message, unless PUBREC had taken it before.
    Finished(Option<T>),
    /// PUBREC: answer with PUBREL. The message, the first time.
    Release(Option<T>),
    /// PUBREC for nothing that is in flight: answer with PUBREL and Packet Identifier not found.
    ReleaseUnknown,
    /// Nothing that is in flight: it was acknowledged before.
    Unknown,
}

impl<T: Waiting> Sender<T> {
    /// Nothing waits, nothing is in flight, and until [`open`](Self::open) nothing may be.
    #[must_use]
    pub fn new(queue: Queue<T>) -> Self {
        Self { inflight: Inflight::default(), queue, quota: SendQuota::new(0), inflight_max: 0 }
    }

    /// A new connection to a peer with this Receive Maximum, and our own bound, both at least 1 [MQTT-4.9.0-1].
    pub fn open(&mut self, receive_maximum: u16, inflight_max: u16) {
        self.inflight_max = inflight_max.max(1);
        self.quota = SendQuota::new(receive_maximum.clamp(1, self.inflight_max));
    }

    /// The peer's Receive Maximum has come; what was sent on this connection before it counts.
    pub fn grant(&mut self, receive_maximum: u16) {
        self.quota = SendQuota::new(receive_maximum.clamp(1, self.inflight_max));
        (0..self.inflight.sent()).for_each(|_| self.quota.take());
    }

    /// Whether a new message at `qos` may go at once: nothing waits before it, and the window is open.
    #[must_use]
    pub fn may_send(&self, qos: QoS) -> bool {
        match qos {
            QoS::AtMostOnce => self.queue.qos0() == 0,
            _ => self.queue.is_empty() && self.window_is_open() && !self.inflight.is_resending(),
        }
    }

    /// Whether the packet identifier of this sequence number is free. It mostly is: only when the oldest in flight
    /// is 65,535 behind can it be taken, and then what comes next has to wait for it.
    #[must_use]
    pub fn is_free(&self, sequence: u64) -> bool {
        self.inflight.first_sequence().is_none_or(|first| sequence - first < 65_535)
            || !self.inflight.contains(PacketId::from_sequence(sequence))
    }

    /// A new message at QoS > 0 was sent.
    pub fn sent(&mut self, sequence: u64, qos: QoS, message: T) {
        self.quota.take();
        self.inflight.push(sequence, qos, message);
    }

    /// What may be sent next: first what has to be sent again, then what waits. A new message that was sent at
    /// QoS > 0 is to be given to [`sent`](Self::sent); one that is sent again counts already.
    pub fn next_to_send(&mut self) -> Option<Next<T>> {
        self.next_to_send_if(|_| true)
    }

    /// The same, of what waits only if `may_go` says so of the first; all others wait behind it.
    pub fn next_to_send_if(&mut self, may_go: impl FnOnce(&T) -> bool) -> Option<Next<T>> {
        if let Some((packet_id, _)) = self.inflight.next_resend() {
            if !self.quota.is_open() {
                return None;
            }
            self.quota.take();
            self.inflight.resent(packet_id);
            return Some(Next::Again(packet_id));
        }
        let front = self.queue.front()?;
        if front.qos() > QoS::AtMostOnce
            && !(self.window_is_open() && front.sequence().is_none_or(|number| self.is_free(number)))
        {
            return None;
        }
        if !may_go(front) {
            return None;
        }
        self.queue.pop().map(Next::New)
    }

    /// Whether [`next_to_send`](Self::next_to_send) may have something.
    #[must_use]
    pub fn has_more(&self) -> bool {
        !self.queue.is_empty() || self.inflight.is_resending()
    }

    /// PUBACK, PUBREC or PUBCOMP came; `refused` when with a reason code of 0x80 or above.
    ///
    /// # Errors
    /// A Protocol Error when the message in flight waits for another packet.
    pub fn on_ack(
        &mut self,
        packet: PacketType,
        packet_id: PacketId,
        refused: bool,
    ) -> Result<Acked<T>, Error> {
        // What took nothing of this connection's quota gives nothing back.
        let charged = self.inflight.is_sent(packet_id);
        let result = match packet {
            PacketType::PubAck => self.inflight.puback(packet_id).map(Acked::Finished),
            PacketType::PubRec if refused => self.inflight.pubrec_failed(packet_id).map(Acked::Finished),
            PacketType::PubRec => self.inflight.pubrec(packet_id).map(Acked::Release),
            _ => self.inflight.pubcomp(packet_id).map(|()| Acked::Finished(None)),
        };
        match result {
            Ok(Acked::Finished(message)) => {
                if charged {
                    self.quota.give();
                }
                Ok(Acked::Finished(message))
            }
            Ok(acked) => Ok(acked),
            Err(InflightError::NotFound) if packet == PacketType::PubRec && !refused => {
                Ok(Acked::ReleaseUnknown)
            }
            Err(InflightError::NotFound) => Ok(Acked::Unknown),
            Err(InflightError::Mismatch(Awaiting::PubAck)) => {
                Err(Error::protocol("a QoS 2 acknowledgement for a QoS 1 message"))
            }
            Err(InflightError::Mismatch(Awaiting::PubRec)) => {
                Err(Error::protocol("an acknowledgement before PUBREC"))
            }
            Err(InflightError::Mismatch(Awaiting::PubComp(_))) => {
                Err(Error::protocol("an acknowledgement after PUBREC"))
            }
        }
    }

    /// Ends the exchange of what may not be sent again on this connection, as if the peer had refused it.
    pub fn give_up(&mut self, packet_id: PacketId) {
        if self.on_ack(PacketType::PubAck, packet_id, true).is_err() {
            let _ = self.on_ack(PacketType::PubRec, packet_id, true);
        }
    }

    /// Drops what has expired.
    pub fn expire(&mut self, now: Instant, mut dropped: impl FnMut(T)) {
        self.queue.expire(now, &mut dropped);
    }

    fn window_is_open(&self) -> bool {
        self.quota.is_open() && self.inflight.len() < usize::from(self.inflight_max)
    }
}
