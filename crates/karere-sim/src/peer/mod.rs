//! One client with its application, and what it does.

mod deeds;

use std::collections::BTreeMap;

use bytes::BytesMut;
use karere_core::Instant;
use karere_core::client::{AckToken, Client, Credentials, Event, Received};
use karere_core::codec::{Message, Properties, QoS, ReasonCode, Will};
use karere_core::store::StoreSequence;
use karere_core::topic::TopicName;

use crate::agenda::{End, Step};
use crate::around::Around;
use crate::check::Kind;
use crate::history::{Letter, Note, number_of, payload};
use crate::plan;
use crate::random::Random;
use crate::tap::Tap;

/// One client with its application.
pub(crate) struct Peer {
    number: usize,
    plan: plan::Client,
    random: Random,
    client: Client,
    wire: Option<usize>,
    input: BytesMut,
    /// Taken from the client and not written.
    leaving: BytesMut,
    tap: Tap,
    /// What it was given and is not done with.
    unacknowledged: Vec<AckToken>,
    /// The messages that it has published and that are not done, by their packet identifiers.
    unanswered: BTreeMap<u16, u64>,
    /// The earliest deadline that the agenda has of it.
    armed: Instant,
    /// It will open a connection by itself.
    returning: bool,
    has_subscribed: bool,
    /// When what it has recorded last will be stored.
    stored_at: u64,
}

const NEVER: Instant = Instant::from_millis(u64::MAX);

impl Peer {
    pub(crate) fn new(seed: u64, number: usize, plan: plan::Client) -> Self {
        Self {
            random: Random::new(seed, 100 + number as u64),
            client: Client::new(plan.options(number)),
            tap: Tap::new(plan.version, plan.inflight_max),
            number,
            plan,
            wire: None,
            input: BytesMut::new(),
            leaving: BytesMut::new(),
            unacknowledged: Vec::new(),
            unanswered: BTreeMap::new(),
            armed: NEVER,
            returning: true,
            has_subscribed: false,
            stored_at: 0,
        }
    }

    /// Opens a connection, if there is none.
    pub(crate) fn open(&mut self, around: &mut Around) {
        self.returning = false;
        if self.wire.is_some() {
            return;
        }
        let mut options = self.plan.options(self.number);
        options.will = self.plan.will.and_then(|delay| self.will(around, delay));
        self.client.set_options(options);
        self.wire = Some(around.open(self.number));
        self.tap = Tap::new(self.plan.version, self.plan.inflight_max);
        self.client.handle_open(around.instant(), Credentials::default());
        if !std::mem::replace(&mut self.has_subscribed, true) {
            self.subscribe(around);
        }
        self.finish(around);
    }

    /// Bytes have come.
    pub(crate) fn arrive(&mut self, around: &mut Around, wire: usize) {
        let arrived = around.arrived(wire, End::Client);
        if self.wire != Some(wire) {
            return;
        }
        self.tap.heard(around, wire, End::Client, &arrived);
        self.input.unsplit(arrived);
        let result = self.client.handle_input(around.instant(), &mut self.input);
        let over = self.take_events(around);
        self.finish(around);
        match result {
            Err(error) => {
                around.history.offence(Kind::Protocol, format!("peer {} cannot go on: {error}", self.number));
                self.leave(around, "it got what it cannot accept");
            }
            Ok(()) if over => self.leave(around, "the broker ended it"),
            Ok(()) => {}
        }
    }

    /// It learns that a connection has gone.
    pub(crate) fn lost(&mut self, around: &mut Around, wire: usize) {
        if self.wire != Some(wire) {
            return;
        }
        around.note(Note::Lost { wire, end: End::Client });
        self.leave(around, "it was lost");
    }

    /// The wire can take more.
    pub(crate) fn writable(&mut self, around: &mut Around, wire: usize) {
        if self.wire == Some(wire) {
            self.finish(around);
        }
    }

    pub(crate) fn clock(&mut self, around: &mut Around) {
        self.armed = NEVER;
        if self.client.handle_timeout(around.instant()).is_err() {
            self.finish(around);
            self.leave(around, "no answer in time");
        }
        self.finish(around);
    }

    /// It is done with one of the messages that it was given, whichever.
    pub(crate) fn acknowledge(&mut self, around: &mut Around) {
        if self.unacknowledged.is_empty() {
            return;
        }
        let index = self.random.below(self.unacknowledged.len() as u64) as usize;
        let token = self.unacknowledged.swap_remove(index);
        self.client.acknowledge(around.instant(), token, ReasonCode::Success);
        self.finish(around);
    }

    pub(crate) fn stored(&mut self, around: &mut Around, sequence: StoreSequence) {
        self.client.handle_stored(around.instant(), sequence);
        self.finish(around);
    }

    /// The trouble is over: it comes back and stays.
    pub(crate) fn settle(&mut self, around: &mut Around) {
        for _ in 0..self.unacknowledged.len() {
            around.later(1, Step::Acknowledge(self.number));
        }
        if self.wire.is_none() {
            around.later(self.random.between(1, 2_000), Step::Open(self.number));
        }
    }

    /// What the law asks for after each mutation.
    fn finish(&mut self, around: &mut Around) {
        let _ = self.take_events(around);
        if let Some(wire) = self.wire {
            loop {
                let outbox = self.client.poll_transmit();
                self.leaving.extend_from_slice(&around.take(wire, End::Broker, outbox, &mut self.tap));
                let count = around.send(wire, End::Broker, &mut self.leaving);
                if count == 0 {
                    break;
                }
                self.client.handle_written(around.instant(), count);
            }
            let _ = self.take_events(around);
        }
        if let Some(at) = self.client.poll_timeout()
            && at < self.armed
        {
            self.armed = at;
            around.at(at, Step::PeerClock(self.number));
        }
    }

    /// Lets its connection go, and comes back some time.
    fn leave(&mut self, around: &mut Around, how: &'static str) {
        let Some(wire) = self.wire.take() else { return };
        around.note(Note::Left { peer: self.number, wire, how });
        around.close(wire, End::Client);
        self.input.clear();
        self.leaving.clear();
        self.client.handle_closed(around.instant());
        let _ = self.take_events(around);
        self.come_back(around);
    }

    fn come_back(&mut self, around: &mut Around) {
        if std::mem::replace(&mut self.returning, true) {
            return;
        }
        let patience = if around.settling { 10 } else { self.random.pick(&[5, 200, 1_000, 6_000]) };
        around.later(self.random.between(0, patience), Step::Open(self.number));
    }

    /// The application takes its events. True: the connection is over.
    fn take_events(&mut self, around: &mut Around) -> bool {
        let mut over = false;
        while let Some(event) = self.client.poll_event() {
            match event {
                Event::Message(received) => self.take(around, received),
                Event::Published { packet_id, reason, .. } => {
                    if let Some(message) = self.unanswered.remove(&packet_id.get()) {
                        around.note(Note::Answered { peer: self.number, message, reason });
                    }
                }
                Event::Dropped { packet_id: Some(packet_id), .. } => {
                    if let Some(message) = self.unanswered.remove(&packet_id.get()) {
                        around.note(Note::GivenUp { peer: self.number, message });
                    }
                }
                Event::Connected { connack, .. } => {
                    if let Some(wire) = self.wire {
                        let session_present = connack.session_present;
                        around.note(Note::Connected { peer: self.number, wire, session_present });
                    }
                }
                Event::Record(sequence, _) => {
                    self.stored_at = self.stored_at.max(around.now + self.random.between(0, 5));
                    around.agenda.push(self.stored_at, Step::PeerStored(self.number, sequence));
                }
                Event::Refused(_) | Event::Disconnected(_) => over = true,
                _ => {}
            }
        }
        over
    }

    fn take(&mut self, around: &mut Around, received: Received) {
        let Received { message, dup, subscription_ids, ack, .. } = received;
        let peer = self.number;
        let Some(wire) = self.wire else { return };
        if let Some(token) = ack {
            self.unacknowledged.push(token);
            let most = if around.settling { 5 } else { self.plan.acknowledge_millis };
            let delay = self.random.between(0, most);
            around.later(delay, Step::Acknowledge(peer));
        }
        if message.payload.is_empty() {
            return; // what removes a retained message says nothing else
        }
        let number = number_of(&message.payload).filter(|number| is_intact(around, *number, &message));
        around.note(match number {
            Some(number) => Note::Got {
                peer,
                wire,
                message: number,
                qos: message.qos,
                dup,
                retain: message.retain,
                ids: subscription_ids.as_slice().to_vec(),
            },
            None => Note::GotOther {
                peer,
                what: format!("{} bytes on {}", message.payload.len(), &*message.topic),
            },
        });
    }

    /// A Will of its own for each connection.
    fn will(&mut self, around: &mut Around, delay: u32) -> Option<Will> {
        const PAYLOAD_BYTES: usize = 12;
        let qos = self.random.pick(&[QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce]);
        let letter = Letter {
            publisher: self.number,
            topic: format!("w/{}", self.number),
            qos,
            retain: self.random.percent(20),
            expiry: None,
            payload_bytes: PAYLOAD_BYTES,
            is_will: true,
        };
        let (topic, retain) = (TopicName::new(&letter.topic).ok()?, letter.retain);
        let payload = payload(around.letter(letter), PAYLOAD_BYTES).into();
        let message = Message { topic, payload, qos, retain, expiry: None, properties: Properties::EMPTY };
        Some(Will { message, delay })
    }
}

/// Whether this is what was published under that number.
fn is_intact(around: &Around, number: u64, message: &Message) -> bool {
    let letter = around.history.messages.get(number as usize);
    letter.is_some_and(|letter| {
        letter.topic == message.topic.as_str() && message.payload == payload(number, letter.payload_bytes)[..]
    })
}
