//! Attaching and detaching, takeover, Will, expiry.

use alloc::vec::Vec;

use super::Slot;
use super::output::Outbound;
use crate::Error;
use crate::broker::connection::auth_for;
use crate::broker::stored::Kept;
use crate::broker::{Accepted, Ending, Event, SharedDelivery};
use crate::codec::{Auth, ConnAck, Disconnect, Packet, PacketType, QoS, ReasonCode, Version};
use crate::connection::{Direction, Outbox, PacketTrace};
use crate::session::{Answer, Awaiting, Waiting};
use crate::time::Instant;

impl Slot {
    /// A connection takes its place: CONNACK goes into the outbox, then what has to be sent again, then what waits.
    ///
    /// A Will that was still to be sent is not, because the client is back [MQTT-3.1.3-9]. What was attached must have
    /// been [taken over](Self::take_over).
    pub fn attach(&mut self, now: Instant, accepted: Accepted) {
        let Accepted { connection, connack, will, session_expiry } = accepted;
        let session_present = self.epoch > 0;
        self.epoch = self.epoch.wrapping_add(1);
        let enforced = connection.version.is_v5().then_some(self.options.receive_maximum);
        self.receiver.open(enforced);
        self.sender.open(connection.receive_maximum, self.options.inflight_max);
        if Kept::is_for(&self.options, session_expiry) {
            self.kept.get_or_insert_default();
        }
        if let Some(kept) = &mut self.kept {
            kept.moving = 0;
        }
        self.gate.open(self.kept.is_some());
        self.connection = Some(connection);
        self.will = will.map(Into::into);
        self.will_due = None;
        self.session_expiry = session_expiry;
        self.expires_at = None;
        // 3.1 has no flag for it; there the byte is reserved.
        let told = session_present && self.version() != Some(Version::V31);
        let connack = ConnAck { session_present: told, reason: ReasonCode::Success, properties: connack };
        self.send(&Packet::ConnAck(connack.into()));
        self.resume(now);
    }

    /// Another connection of the same client comes: this one's last bytes, with DISCONNECT 0x8E behind them on
    /// version 5 [MQTT-3.1.4-3], for its driver to write before it closes.
    ///
    /// Its Will is sent, unless it has a delay: then the next [`attach`](Self::attach) cancels it.
    pub fn take_over(&mut self, now: Instant) -> Option<Outbox> {
        self.disconnect(now, ReasonCode::SessionTakenOver);
        let mut last = Outbox::default();
        self.connection.as_mut()?.outbox.swap(&mut last);
        self.handle_closed(now);
        self.events.retain(|event| !matches!(event, Event::Expired));
        Some(last)
    }

    /// The broker ends the connection: DISCONNECT with the reason on version 5. The driver writes it and closes.
    pub fn disconnect(&mut self, _now: Instant, reason: ReasonCode) {
        let Some(connection) = &mut self.connection else { return };
        let told = core::mem::replace(&mut connection.closing, true) || !connection.version.is_v5();
        if !told {
            self.send(&Packet::Disconnect(Disconnect::new(reason)));
        }
        if let Some(connection) = &mut self.connection {
            connection.silent = true;
        }
    }

    /// The host's answer to [`Event::Auth`]: AUTH to go on or to confirm; refused with a reason of 0x80 or above,
    /// which ends the connection.
    ///
    /// It goes with the method of CONNECT [MQTT-4.12.0-5], and without a Reason String and User Properties for a client
    /// that does not want them, or cannot take as much.
    pub fn handle_authenticated(&mut self, now: Instant, auth: &Auth) {
        if auth.reason.is_error() {
            return self.disconnect(now, auth.reason);
        }
        let Some(connection) = &self.connection else { return };
        let Some(method) = &connection.authentication else { return };
        let (words, max) = (connection.problem_information, connection.maximum_packet_size);
        let auth = auth_for(method, words, max, auth);
        self.send(&Packet::Auth(auth));
    }

    /// The transport has gone, however that came. The session stays, if it is to outlive its connection.
    pub fn handle_closed(&mut self, now: Instant) {
        if self.connection.take().is_none() {
            return;
        }
        self.receiver.close();
        self.release_held(now);
        self.leave_will(now);
        let shared = self.take_shared();
        self.leave_moving();
        if !shared.is_empty() {
            self.events.push_back(Event::Redistribute(shared));
        }
        match self.session_expiry {
            0 => self.events.push_back(Event::Expired),
            u32::MAX => {}
            seconds => self.expires_at = Some(now.plus_seconds(seconds)),
        }
    }

    /// What the client may have sent was not read until now: its Keep Alive begins anew, because a silence that the
    /// host has made is not the client's [MQTT-3.1.2-22].
    pub fn handle_unread(&mut self, now: Instant) {
        if let Some(connection) = &mut self.connection {
            connection.keep_alive.on_received(now);
        }
    }

    /// Lets time pass: keep alive while attached; the Will's delay and the session's expiry while not.
    ///
    /// # Errors
    /// When the client was silent for one and a half times its Keep Alive [MQTT-3.1.2-22]: write the outbox, close, and
    /// call [`handle_closed`](Self::handle_closed).
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), Error> {
        if let Some(connection) = &self.connection {
            if connection.closing || connection.keep_alive.silence_due().is_none_or(|at| at > now) {
                return Ok(());
            }
            self.disconnect(now, ReasonCode::KeepAliveTimeout);
            let what = "nothing heard for one and a half times the Keep Alive";
            return Err(Error::ProtocolError { what, reason: ReasonCode::KeepAliveTimeout });
        }
        if self.ended {
            return Ok(());
        }
        if self.will_due.is_some_and(|at| at <= now) {
            self.send_will();
        }
        if self.expires_at.is_some_and(|at| at <= now) {
            self.expires_at = None;
            self.send_will(); // [MQTT-3.1.3-9]: the earlier of the two
            self.events.push_back(Event::Expired);
        }
        Ok(())
    }

    /// The session is over: it was discarded by a Clean Start, or has [expired](Event::Expired). What is delivered from
    /// now on is given back.
    pub fn end(&mut self, _now: Instant) -> Ending {
        self.ended = true;
        self.will_due = None;
        self.expires_at = None;
        let mut ending = Ending { filters: self.filters.drain().collect(), ..Ending::default() };
        // Events that nobody has taken are lost with it, but for what belongs to others.
        for event in self.events.drain(..) {
            match event {
                Event::Will(message) => ending.will = Some(message),
                Event::Redistribute(shared) => ending.shared.extend(shared),
                Event::Record(_, record) => ending.records.push(record),
                _ => {}
            }
        }
        if let Some(will) = self.will.take() {
            ending.will = Some(will.message);
        }
        ending.shared.append(&mut self.take_shared());
        if self.is_stored() {
            self.end_stored(&mut ending);
        } else {
            while self.sender.queue.pop().is_some() {}
        }
        self.sender.inflight.drain().for_each(drop);
        self.receiver.clear();
        ending
    }

    /// The Will is sent when the connection ends without a normal DISCONNECT: now, or after its delay, or with the
    /// session, whichever comes first [MQTT-3.1.2-8].
    fn leave_will(&mut self, now: Instant) {
        let Some(will) = &self.will else { return };
        match will.delay.min(self.session_expiry) {
            0 => self.send_will(),
            delay => self.will_due = Some(now.plus_seconds(delay)),
        }
    }

    fn send_will(&mut self) {
        self.will_due = None;
        if let Some(will) = self.will.take() {
            self.events.push_back(Event::Will(will.message));
        }
    }

    /// Sends again what is unacknowledged, with its identifiers and in its order [MQTT-4.4.0-1], then what waits.
    fn resume(&mut self, now: Instant) {
        let mut released = Vec::new();
        self.sender.inflight.resume(|packet_id| released.push(packet_id));
        for packet_id in released {
            // Through the gate: the PUBREC that it answers may still be on its way into the store.
            let packet = PacketType::PubRel;
            self.send_answer(Answer { packet, packet_id, reason: ReasonCode::Success });
        }
        self.pump(now);
    }

    /// Takes out what may go to another member of its group: what was not sent, and what was sent at QoS 1 and
    /// not acknowledged. What was sent at QoS 2 stays with this session [MQTT-4.8.2-4]; what is stored at QoS 2 and not
    /// yet durable is to move when it is.
    fn take_shared(&mut self) -> Vec<SharedDelivery> {
        let mut shared = Vec::new();
        let Self { sender, kept, .. } = self;
        let mut take = |outbound: Outbound| shared.extend(outbound.into_shared(kept.is_some()));
        let unsent = |awaiting: Awaiting, outbound: Option<&Outbound>| {
            awaiting == Awaiting::PubAck && outbound.is_some_and(|outbound| outbound.shared.is_some())
        };
        sender.inflight.extract(unsent, &mut take);
        let waiting = |outbound: &Outbound| {
            outbound.shared.is_some() && outbound.qos() > QoS::AtMostOnce && outbound.may_go(kept.as_deref())
        };
        sender.queue.extract(waiting, &mut take);
        shared
    }

    /// Encodes a packet that is ours to make, and leaves it out when it is larger than the client takes
    /// [MQTT-3.1.2-24].
    pub(super) fn send(&mut self, packet: &Packet) {
        let Some(connection) = self.connection.as_mut().filter(|connection| !connection.silent) else {
            return;
        };
        let version = connection.version;
        if !packet.encoded_len(version).is_ok_and(|len| len <= connection.maximum_packet_size) {
            return;
        }
        let _ = connection.outbox.write(|out| packet.encode(version, out));
        if self.options.trace {
            self.events.push_back(Event::Trace(PacketTrace::of(Direction::Sent, packet)));
        }
    }
}
