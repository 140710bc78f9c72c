//! What the clients, the network and the clock do.

use arbitrary::{Result, Unstructured};
use bytes::{Bytes, BytesMut};
use karere_core::{
    broker::{Handshake, HandshakeEvent, Slot},
    codec::{
        Ack, Connect, Disconnect, Message, Packet, PacketId, PacketType, Properties, Property, Publish, QoS,
        ReasonCode, SubscriptionIds, Version, Will,
    },
    topic::TopicName,
};

use super::World;
use super::model::Session;
use crate::{packets, show::show, wire};

impl World {
    pub(super) fn step(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let at = u.choose_index(self.seats.len())?;
        match u.int_in_range(0..=27)? {
            0 | 1 => self.connect_any(u, at)?,
            2..=6 => self.publish(u, at)?,
            7..=9 => self.subscribe(u, at)?,
            10 => self.feed_kind(u, at, PacketType::Unsubscribe)?,
            11..=14 => self.answer(u, at)?,
            15..=18 => _ = self.flush(at),
            19 => self.answer_routed(u, at)?,
            20 => self.answer_subscribe(at),
            21 => self.close(at),
            22 => self.say_goodbye(u, at)?,
            23 => self.time_passes(u)?,
            24 => {
                let kind = *u.choose(&PacketType::ALL)?;
                self.feed_kind(u, at, kind)?;
            }
            25 => self.feed_raw(u, at)?,
            26 => self.store(at),
            _ => self.disconnect(u, at)?,
        }
        Ok(())
    }

    fn connect_any(&mut self, u: &mut Unstructured<'_>, at: usize) -> Result<()> {
        let version = packets::version(u)?;
        let clean_start = u.ratio(1, 4)?;
        let mut properties = Properties::builder();
        if version.is_v5() {
            let numbers: [u32; 4] = [
                *u.choose(&[0, 5, u32::MAX])?,
                *u.choose(&[65_535, 1, 2])?,
                *u.choose(&[0, 2])?,
                *u.choose(&[0, 60, 300])?,
            ];
            let all = [
                Property::SessionExpiryInterval(numbers[0]),
                Property::ReceiveMaximum(numbers[1] as u16),
                Property::TopicAliasMaximum(numbers[2] as u16),
                Property::MaximumPacketSize(numbers[3].max(1)),
            ];
            let count = if numbers[3] == 0 { 3 } else { 4 };
            all.into_iter().take(count).for_each(|each| properties.push(each).expect("a number"));
        }
        let will = if u.ratio(1, 4)? { Some(self.will(u, version)?) } else { None };
        let connect = Connect {
            version,
            bridge: false,
            clean_start,
            keep_alive: *u.choose(&[0, 0, 4])?,
            client_id: self.seats[at].client_id.clone(),
            will,
            username: None,
            password: None,
            properties: properties.build(),
        };
        self.connect(at, &connect);
        Ok(())
    }

    fn will(&mut self, u: &mut Unstructured<'_>, version: Version) -> Result<Will> {
        let qos = packets::qos(u)?.min(self.options.maximum_qos);
        let message = Message { qos, ..self.message(u, version)? };
        let delay = if version.is_v5() { *u.choose(&[0, 2, 10])? } else { 0 };
        Ok(Will { message: Message { payload: message.payload.slice(..8), ..message }, delay })
    }

    /// A connection comes; one that has the place goes.
    fn connect(&mut self, at: usize, connect: &Connect) {
        show(format_args!("seat {at}: {connect:?}"));
        let now = self.now;
        let mut handshake = Handshake::new(now, self.options.clone());
        let mut input = wire::encode(connect.version, &Packet::Connect(connect.clone().into()));
        let event = handshake.handle_input(now, &mut input);
        assert!(matches!(event, Ok(Some(HandshakeEvent::Connect(_)))), "{connect:?}: {event:?}");
        let accepted = handshake.accept(now, None, &Properties::EMPTY, 3).expect("CONNECT has come");
        self.take_over(at);
        let over =
            self.seats[at].session.as_ref().is_some_and(|session| connect.clean_start || session.expiry == 0);
        if over {
            self.end(at);
        }
        let session_present = self.seats[at].session.is_some();
        let key = self.next_key;
        let seat = &mut self.seats[at];
        let session = seat.session.get_or_insert_with(|| {
            Session::new(key, Slot::new(connect.client_id.clone(), self.options.clone(), 9))
        });
        self.next_key += 1;
        session.expiry = match connect.version.is_v5() {
            true => connect.properties.session_expiry_interval().unwrap_or(0),
            false if connect.clean_start => 0,
            false => u32::MAX,
        };
        session.expiry = session.expiry.min(self.options.session_expiry_max);
        (session.will, session.will_at, session.expires_at) = (connect.will.clone(), None, None);
        seat.peer.open(connect, session_present);
        if seat.peer.has_limits() {
            // What waits may be larger than is taken now.
            session.expected.iter_mut().flatten().for_each(|expected| expected.required = false);
        }
        session.slot.attach(now, accepted);
        self.settle(at);
    }

    fn take_over(&mut self, at: usize) {
        let Some(session) = &mut self.seats[at].session else { return };
        let Some(mut last) = session.slot.take_over(self.now) else { return };
        session.on_closed(self.now, self.options.queue_qos0);
        self.read(at, wire::drain(&mut last));
        self.settle(at);
    }

    /// Feeds a packet that a client with manners sends: the broker must take it.
    fn feed(&mut self, at: usize, packet: &Packet) {
        let rude = self.seats[at].peer.rude;
        assert!(self.feed_unknown(at, packet) || rude, "refused: {packet:?}");
    }

    /// Feeds any packet. Returns whether it was taken, or nobody was there to take it.
    fn feed_unknown(&mut self, at: usize, packet: &Packet) -> bool {
        let version = self.seats[at].peer.version;
        let mut input = wire::encode(version, packet);
        let Some(session) = self.seats[at].session.as_mut().filter(|session| session.slot.is_open()) else {
            return true;
        };
        show(format_args!("fed {at} {packet:?}"));
        if session.slot.handle_input(self.now, &mut input).is_err() {
            self.part(at);
            return false;
        }
        assert!(input.is_empty(), "a whole packet is taken whole");
        let messages = self.on_taken(at, packet);
        self.seats[at].messages = 0;
        self.settle(at);
        assert_eq!(self.seats[at].messages, messages, "messages handed to the host");
        true
    }

    /// The broker has taken a packet without an error. Returns how many messages it has to route for it.
    fn on_taken(&mut self, at: usize, packet: &Packet) -> usize {
        let seat = &mut self.seats[at];
        if seat.peer.acknowledges_unread(packet)
            && let Some(session) = &mut seat.session
        {
            session.expected[1].iter_mut().for_each(|expected| expected.required = false);
        }
        seat.peer.on_sent(packet);
        let Some(session) = &mut seat.session else { return 0 };
        match packet {
            Packet::Publish(Publish { packet_id: Some(id), message, .. })
                if message.qos == QoS::ExactlyOnce =>
            {
                return usize::from(session.unreleased.insert(*id));
            }
            Packet::Publish(_) => return 1,
            Packet::PubRel(ack) => _ = session.unreleased.remove(&ack.packet_id),
            Packet::Disconnect(disconnect) => {
                if disconnect.reason == ReasonCode::NORMAL_DISCONNECTION {
                    session.will = None;
                }
                if let Some(expiry) = disconnect.properties.session_expiry_interval() {
                    session.expiry = expiry.min(self.options.session_expiry_max);
                }
            }
            _ => {}
        }
        0
    }

    /// The broker wants to part: the last bytes are written, then it closes.
    fn part(&mut self, at: usize) {
        self.settle(at);
        self.flush(at);
        self.close(at);
    }

    fn message(&mut self, u: &mut Unstructured<'_>, version: Version) -> Result<Message> {
        self.published += 1;
        let mut payload = self.published.to_be_bytes().to_vec();
        if u.ratio(1, 8)? {
            payload.extend_from_slice(&packets::bytes(u)?);
        }
        let mut message = Message { payload: payload.into(), ..packets::message(u, version)? };
        message.retain &= u.arbitrary::<bool>()?;
        message.qos = message.qos.min(self.options.maximum_qos);
        message.expiry = if version.is_v5() && u.ratio(1, 4)? { Some(u.int_in_range(0..=5)?) } else { None };
        Ok(message)
    }

    fn publish(&mut self, u: &mut Unstructured<'_>, at: usize) -> Result<()> {
        let version = self.seats[at].peer.version;
        let mut message = self.message(u, version)?;
        if message.retain && u.ratio(1, 4)? {
            message.payload = Bytes::new();
        }
        let alias = u.int_in_range(1..=self.options.topic_alias_maximum.clamp(1, 4))?;
        let aliased = version.is_v5() && self.options.topic_alias_maximum > 0 && u.ratio(1, 4)?;
        let known = u.arbitrary()?;
        if !self.seats[at].is_attached() || !self.seats[at].peer.is_connected() {
            return Ok(());
        }
        let peer = &mut self.seats[at].peer;
        let acknowledged = message.qos > QoS::AtMostOnce;
        if acknowledged && peer.sent.len() >= usize::from(self.options.receive_maximum) {
            return Ok(());
        }
        let free = (1..).filter_map(PacketId::new).find(|id| peer.sent.iter().all(|(used, _)| used != id));
        let packet_id = free.filter(|_| acknowledged);
        let full = Publish {
            dup: false,
            packet_id,
            topic_alias: None,
            subscription_ids: SubscriptionIds::EMPTY,
            message,
        };
        peer.sent.extend(packet_id.map(|id| (id, Some(full.clone()))));
        let mut publish = full;
        if aliased {
            publish.topic_alias = std::num::NonZeroU16::new(alias);
            match peer.own_aliases.get(&alias) {
                Some(topic) if known && *topic == publish.message.topic => {
                    publish.message.topic = TopicName::EMPTY;
                }
                _ => _ = peer.own_aliases.insert(alias, publish.message.topic.clone()),
            }
        }
        // An identifier that is free for us may be one that was used in our name.
        let session = self.seats[at].session.as_mut().expect("it is attached");
        if publish.message.qos == QoS::ExactlyOnce
            && packet_id.is_some_and(|id| session.unreleased.contains(&id))
        {
            self.feed_unknown(at, &Packet::Publish(publish));
        } else {
            self.feed(at, &Packet::Publish(publish));
        }
        Ok(())
    }

    fn subscribe(&mut self, u: &mut Unstructured<'_>, at: usize) -> Result<()> {
        let subscribe = packets::subscribe(u, self.seats[at].peer.version)?;
        if self.seats[at].peer.is_connected() {
            self.feed(at, &Packet::Subscribe(subscribe));
        }
        Ok(())
    }

    fn feed_kind(&mut self, u: &mut Unstructured<'_>, at: usize, kind: PacketType) -> Result<()> {
        let packet = packets::packet_of(u, kind, self.seats[at].peer.version)?;
        self.be_rude(at);
        self.feed_unknown(at, &packet);
        Ok(())
    }

    /// What follows a client with manners does not send. It has read everything: what its acknowledgement is for is
    /// known then.
    fn be_rude(&mut self, at: usize) {
        while self.flush(at) {}
        (self.seats[at].peer.rude, self.seats[at].peer.tainted) = (true, true);
    }

    fn feed_raw(&mut self, u: &mut Unstructured<'_>, at: usize) -> Result<()> {
        let len = u.int_in_range(0..=40)?;
        let mut bytes = BytesMut::from(u.bytes(len.min(u.len()))?);
        self.be_rude(at);
        while let Some(frame) = wire::take_frame(&mut bytes) {
            match Packet::decode(self.seats[at].peer.version, frame.clone()) {
                Ok(packet) => _ = self.feed_unknown(at, &packet),
                Err(_) => self.feed_garbage(at, frame),
            }
        }
        Ok(())
    }

    fn feed_garbage(&mut self, at: usize, frame: Bytes) {
        let session = self.seats[at].session.as_mut().filter(|session| session.slot.is_open());
        let Some(session) = session else { return };
        show(format_args!("fed {at} {frame:?}"));
        let result = session.slot.handle_input(self.now, &mut BytesMut::from(frame));
        assert!(result.is_err(), "no packet was taken for one");
        self.part(at);
    }

    fn answer(&mut self, u: &mut Unstructured<'_>, at: usize) -> Result<()> {
        let index = usize::from(u.arbitrary::<u8>()?);
        self.answer_at(at, index);
        Ok(())
    }

    /// The client answers what waits at `index`.
    fn answer_at(&mut self, at: usize, index: usize) -> bool {
        let open = self.seats[at].session.as_ref().is_some_and(|session| session.slot.is_open());
        if !open || !self.seats[at].peer.is_connected() {
            return false;
        }
        let Some(packet) = self.seats[at].peer.answer(index) else { return false };
        self.feed(at, &packet);
        true
    }

    /// The client is back in its session: it sends again what was not acknowledged [MQTT-4.4.0-1].
    pub(super) fn send_again(&mut self, at: usize) {
        for (packet_id, publish) in self.seats[at].peer.sent.clone() {
            let packet = match publish {
                Some(publish) => Packet::Publish(Publish { dup: true, ..publish }),
                None => Packet::PubRel(Ack::success(packet_id)),
            };
            let taken = self.feed_unknown(at, &packet);
            assert!(taken || self.seats[at].peer.tainted, "refused: {packet:?}");
        }
    }

    fn answer_routed(&mut self, u: &mut Unstructured<'_>, at: usize) -> Result<()> {
        let seat = &mut self.seats[at];
        if seat.tokens.is_empty() {
            return Ok(());
        }
        let index = u.choose_index(seat.tokens.len())?;
        if let (Some(token), Some(session)) = (seat.tokens.remove(index), &mut seat.session) {
            session.slot.handle_routed(self.now, token, ReasonCode::Success);
        }
        self.settle(at);
        Ok(())
    }

    fn say_goodbye(&mut self, u: &mut Unstructured<'_>, at: usize) -> Result<()> {
        let v5 = self.seats[at].peer.version.is_v5();
        let reason =
            if v5 && u.arbitrary()? { ReasonCode::DisconnectWithWillMessage } else { ReasonCode::Success };
        self.feed_unknown(at, &Packet::Disconnect(Disconnect::new(reason)));
        Ok(())
    }

    /// The broker itself ends a connection; what was on its way in is still answered by the host, in vain.
    fn disconnect(&mut self, u: &mut Unstructured<'_>, at: usize) -> Result<()> {
        let Some(session) = &mut self.seats[at].session else { return Ok(()) };
        show(format_args!("seat {at}: ended by the broker"));
        session.slot.disconnect(self.now, ReasonCode::ServerShuttingDown);
        self.settle(at);
        if u.arbitrary()? {
            self.part(at);
        }
        Ok(())
    }

    fn time_passes(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        self.now = self.now.plus_millis(u.int_in_range(0..=7000)?);
        show(format_args!("seat -: now {:?}", self.now));
        let now = self.now;
        for at in 0..self.seats.len() {
            let Some(session) = &mut self.seats[at].session else { continue };
            let attached = session.slot.is_attached();
            let over = !attached && session.on_time(now);
            if session.slot.handle_timeout(now).is_err() {
                assert!(attached, "Keep Alive without a connection");
                self.part(at);
            }
            self.settle(at);
            assert!(!over || self.seats[at].session.is_none(), "a session that has not expired");
        }
        self.router.expire_retained(now, |_| {});
        self.retained.retain(|_, kept| kept.expires_at.is_none_or(|due| due > now));
        Ok(())
    }

    fn store(&mut self, at: usize) {
        let seat = &mut self.seats[at];
        if let (Some(sequence), Some(session)) = (seat.stored.take(), &mut seat.session) {
            session.slot.handle_stored(self.now, sequence);
        }
        self.settle(at);
    }

    /// At the end: a client that was away, or told to go, is there without limits, if its session is.
    pub(super) fn come_back(&mut self, at: usize) {
        let Some(session) = &self.seats[at].session else { return };
        if session.slot.is_open() {
            return;
        }
        self.part(at);
        let expiry = Property::SessionExpiryInterval(u32::MAX);
        self.connect(
            at,
            &Connect {
                version: Version::V5,
                bridge: false,
                clean_start: false,
                keep_alive: 0,
                client_id: self.seats[at].client_id.clone(),
                will: None,
                username: None,
                password: None,
                properties: Properties::from_properties([expiry]).expect("a number"),
            },
        );
    }

    /// Everything that can be done for one seat without anything new. Returns whether there was anything.
    pub(super) fn move_on(&mut self, at: usize) -> bool {
        let mut moved = self.flush(at);
        while !self.seats[at].asked.is_empty() {
            self.answer_subscribe(at);
            moved = true;
        }
        while let Some(token) = self.seats[at].tokens.pop_front() {
            let session = self.seats[at].session.as_mut().expect("a token has a session");
            session.slot.handle_routed(self.now, token, ReasonCode::Success);
            moved = true;
        }
        moved |= self.seats[at].stored.is_some();
        self.store(at);
        while self.answer_at(at, 0) {
            moved = true;
        }
        moved
    }
}
