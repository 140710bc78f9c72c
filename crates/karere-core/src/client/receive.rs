//! Messages from the server to the application, and their acknowledgements.

use super::{AckToken, Client, Event, Handover, Received, Record};
use crate::Error;
use crate::codec::{Ack, PacketType, Publish, QoS, ReasonCode};
use crate::session::{Answer, Release, Taken};
use crate::time::Instant;

impl Client {
    /// The application is done with a message: what answers it is sent when its turn comes, in the order of
    /// arrival ([MQTT-4.6.0-2], [MQTT-4.6.0-3]).
    ///
    /// `reason` is `Success`, or on version 5 an error, which at QoS 2 also ends the exchange.
    pub fn acknowledge(&mut self, now: Instant, token: AckToken, reason: ReasonCode) {
        // An error ends the exchange: what comes with that identifier next is new.
        if self.gate.is_on() && !reason.is_error() && self.receiver.is_awaited(token) {
            self.record(Record::Taken { packet_id: token.packet_id() });
        }
        self.receiver.acknowledge(token, reason);
        self.answer(now);
    }

    pub(super) fn on_publish(&mut self, now: Instant, mut publish: Publish) -> Result<(), Error> {
        self.link.inbound_aliases.resolve(&mut publish)?;
        let Publish { dup, packet_id, subscription_ids, message, .. } = publish;
        let mut received = Received { message, dup, packet_id, subscription_ids, ack: None };
        match packet_id {
            None => self.events.push_back(Event::Message(received)),
            Some(packet_id) if received.message.qos == QoS::AtLeastOnce => {
                received.ack = Some(self.receiver.take_at_least_once(packet_id)?);
                self.events.push_back(Event::Message(received));
            }
            Some(packet_id) => match self.receiver.take_exactly_once(packet_id)? {
                Taken::First(token) => self.hand_over(now, received, token),
                Taken::Copy => self.answer(now),
                // Through the gate: the first copy's record may still be on its way into the store.
                Taken::AnswerAgain => {
                    let (packet, reason) = (PacketType::PubRec, ReasonCode::Success);
                    self.send_answer(now, Answer { packet, packet_id, reason });
                }
            },
        }
        Ok(())
    }

    /// The first copy of a QoS 2 message: to the application now, or kept for the PUBREL.
    fn hand_over(&mut self, now: Instant, mut received: Received, token: AckToken) {
        if self.options.handover == Handover::OnPublish || self.gate.is_on() {
            received.ack = Some(token);
            self.events.push_back(Event::Message(received));
            return;
        }
        // Copied: it may wait for long, and a slice would pin the read buffer.
        received.message = received.message.compact();
        self.receiver.keep(token, received);
        self.answer(now);
    }

    /// PUBREL: the identifier is free again, and with late handover the message goes to the application.
    pub(super) fn on_pubrel(&mut self, now: Instant, ack: &Ack) -> Result<(), Error> {
        match self.receiver.release(ack.packet_id)? {
            Release::Done => {
                self.record(Record::Released { packet_id: ack.packet_id });
                self.answer(now);
            }
            Release::HandOver(mut received, token) => {
                self.record(Record::Released { packet_id: ack.packet_id });
                received.ack = Some(token);
                self.events.push_back(Event::Message(received));
            }
            Release::Unknown => {
                // Through the gate: it may have been released so lately that the store does not know yet.
                let reason = ReasonCode::PacketIdentifierNotFound;
                self.send_answer(
                    now,
                    Answer { packet: PacketType::PubComp, packet_id: ack.packet_id, reason },
                );
            }
        }
        Ok(())
    }

    /// Sends the answers whose turn has come.
    fn answer(&mut self, now: Instant) {
        if self.link.phase != super::link::Phase::Connected {
            return;
        }
        while let Some(answer) = self.receiver.next_answer() {
            match answer.packet {
                _ if !self.gate.is_on() => {
                    self.send_ack(now, answer.packet, answer.packet_id, answer.reason);
                }
                // It waits for no record, but does not overtake what came before it and does.
                PacketType::PubAck => self.send_behind(now, answer),
                _ => self.send_answer(now, answer),
            }
        }
    }
}
