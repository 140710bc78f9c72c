//! The broker: the core's router and slots, and a host for them in one thread.
//!
//! What several tasks do at once under locks is here done step by step, in an order that the seed decides: a turn
//! takes in what has come, then routes, delivers and answers a few things at a time, and between them others have
//! their turns. As in the broker itself, nothing is read behind what is not done.
//!
//! A connection that is let go has what it brought done all the same, because the core remembers a QoS 2 message from
//! the moment it comes in: one that was neither routed nor answered would be swallowed when it is sent again. That goes
//! on step by step too, and what the client brings on its next connection waits for it.
//!
//! What is to outlive it goes through the ledger as it ships into the log as it ships, on a disk that forgets what was
//! not synced; in the other half of the plans there is no disk, and the store is nothing but a delay.

mod booked;
mod deliver;
mod late;
mod restart;
mod route;
mod sessions;
mod spoil;
mod subscribe;
mod turn;
mod vault;
mod waiting;

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use bytes::BytesMut;
use karere_core::broker::{
    AckToken, Handshake, Options, Retained, Router, RouterLimits, Scratch, Slot, Target,
};
use karere_core::codec::{Message, PacketId, QoS, ReasonCode, Subscribe, Unsubscribe, Version};
use karere_core::connection::Outbox;
use karere_core::topic::TopicName;
use karere_core::{Instant, Text};
use karere_store::Key;

use self::booked::Booked;
use self::deliver::Parcel;
pub(crate) use self::spoil::reuse_number;
use self::vault::Vault;
use crate::agenda::{End, Step};
use crate::around::Around;
use crate::history::{Note, number_of};
use crate::plan::{self, TOPICS};
use crate::random::Random;
use crate::tap::Tap;

/// The broker.
pub(crate) struct Host {
    options: Arc<Options>,
    router: Router<u32>,
    /// Every session that there ever was; its place is its name in the router.
    places: Vec<Place>,
    names: BTreeMap<Text, u32>,
    /// By wire.
    services: Vec<Service>,
    /// Clients of whom something is left to be done, and the wires that it is from or that wait for it.
    late: BTreeMap<Text, VecDeque<usize>>,
    scratch: Scratch,
    random: Random,
    /// Its disk, if it has one, and how it came by it.
    vault: Option<Vault>,
    disk: Option<plan::Disk>,
    seed: u64,
    /// By their numbers in the store: which session they last named.
    numbers: BTreeMap<u64, u32>,
    /// How often it was started.
    life: u32,
    /// It has been killed, and this is what is left of its disk.
    down: Option<karere_store::Simulated>,
    /// How far its timeline is before the one around it, in milliseconds, and how far the clock on the wall was turned.
    ahead: i64,
    turned: i64,
    /// Which end it comes to while its disk does something, and that its next start is cut off.
    doom: usize,
    crash_at: Option<usize>,
    stutters: Option<karere_store::Tail>,
}

/// A session's place.
struct Place {
    slot: Slot,
    wire: Option<usize>,
    /// The earliest deadline that the agenda has of it.
    armed: Instant,
    /// When what it has recorded last will be stored.
    stored_at: u64,
    /// Nothing leaves: what CONNACK answers for is not durable yet.
    quiet: bool,
    booked: Option<Booked>,
    /// QoS 2 messages of groups that it was given, and its connection's Will: only to commit a fault with.
    shared: Vec<Message>,
    will: Option<Message>,
}

/// What the broker has of a connection.
struct Service {
    stage: Stage,
    /// Bytes that have come since the last turn.
    arrived: BytesMut,
    input: BytesMut,
    /// Taken from the slot and not written.
    leaving: BytesMut,
    tasks: VecDeque<Task>,
    /// Whose tasks these are, and which of that session's connections has brought them.
    session: u32,
    epoch: u32,
    tap: Tap,
    /// The client's last byte has come.
    at_end: bool,
    /// Its turn is on the agenda.
    waiting: bool,
    /// Readers that do not keep up: it waits for them once.
    pressed: Vec<u32>,
}

enum Stage {
    Greeting(Box<Handshake>),
    /// It has this session.
    Talking(u32),
    /// Its last bytes are being written.
    Parting,
    Over,
}

/// One thing that is to be done for a connection.
enum Task {
    Publish(Message, Option<AckToken>),
    /// A message for one of its targets, or for all of them in one step; then it was delivered.
    Deliver(Rc<Parcel>, Target<u32>),
    DeliverAsOne(Rc<Parcel>, Vec<Target<u32>>, PacketId),
    Delivered(Rc<Parcel>),
    /// It is answered, once what it brings is stored, if anything is.
    Answer(AckToken, ReasonCode, Rc<Cell<bool>>),
    /// The disk does not allow it, and its client cannot be told.
    Forget(AckToken),
    Subscribe(Subscribe),
    /// The second half: the router has said this.
    Subscribed(Subscribe, Vec<ReasonCode>, Vec<(Retained, QoS)>),
    Unsubscribe(Unsubscribe),
    /// Behind what its client had sent.
    Will(u32, Message, Option<Key>),
    /// The conversation ends here.
    Part,
}

const NEVER: Instant = Instant::from_millis(u64::MAX);

impl Host {
    pub(crate) fn new(seed: u64, options: Options, disk: Option<plan::Disk>) -> Self {
        Self {
            options: Arc::new(options),
            router: Router::new(seed, RouterLimits::default()),
            places: Vec::new(),
            names: BTreeMap::new(),
            services: Vec::new(),
            late: BTreeMap::new(),
            scratch: Scratch::default(),
            random: Random::new(seed, 1),
            vault: None,
            down: disk.as_ref().map(|_| karere_store::Simulated::new()),
            disk,
            seed,
            numbers: BTreeMap::new(),
            life: 0,
            ahead: 0,
            turned: 0,
            doom: 0,
            crash_at: None,
            stutters: None,
        }
    }

    /// Now, on its own timeline.
    fn now(&self, around: &Around) -> Instant {
        Instant::from_millis(around.instant().as_millis().saturating_add_signed(self.ahead))
    }

    /// What the clock on its wall says.
    fn wall_millis(&self, around: &Around) -> u64 {
        around.wall_millis().saturating_add_signed(self.turned)
    }

    /// Bytes have come.
    pub(crate) fn arrive(&mut self, around: &mut Around, wire: usize) {
        self.serve_up_to(around, wire);
        let arrived = around.arrived(wire, End::Broker);
        if self.down.is_some() {
            return around.close(wire, End::Broker);
        }
        self.services[wire].arrived.unsplit(arrived);
        self.expect_turn(around, wire);
    }

    /// The broker learns that a connection has gone. What came before is done first.
    pub(crate) fn lost(&mut self, around: &mut Around, wire: usize) {
        self.serve_up_to(around, wire);
        if matches!(self.services[wire].stage, Stage::Over) {
            return;
        }
        around.note(Note::Lost { wire, end: End::Broker });
        self.services[wire].at_end = true;
        self.expect_turn(around, wire);
    }

    /// The wire can take more.
    pub(crate) fn writable(&mut self, around: &mut Around, wire: usize) {
        if wire < self.services.len() {
            self.flush(around, wire);
        }
    }

    /// A connection must have said CONNECT by now.
    pub(crate) fn greeted(&mut self, around: &mut Around, wire: usize) {
        let now = self.now(around);
        if let Stage::Greeting(handshake) = &mut self.services[wire].stage
            && handshake.handle_timeout(now).is_err()
        {
            self.services[wire].stage = Stage::Over;
            around.close(wire, End::Broker);
        }
    }

    /// Notes what is left at the end.
    pub(crate) fn conclude(&self, around: &mut Around) {
        for (session, place) in self.places.iter().enumerate().filter(|(_, place)| !place.slot.is_ended()) {
            let pending = place.slot.queued() + place.slot.inflight();
            around.note(Note::Final { session: session as u32, counters: place.slot.counters(), pending });
        }
        for topic in TOPICS.iter().filter(|topic| topic.starts_with("r/")) {
            let Ok(name) = TopicName::new(topic) else { continue };
            let retained = self.router.retained(&name);
            let retained = retained.filter(|kept| kept.expires_at.is_none_or(|at| at > self.now(around)));
            let message = retained.and_then(|kept| number_of(&kept.message.payload));
            around.note(Note::FinalRetained { topic: (*topic).to_owned(), message });
        }
    }

    /// Makes services for wires that are new.
    fn serve_up_to(&mut self, around: &mut Around, wire: usize) {
        while self.services.len() <= wire {
            let number = self.services.len();
            let handshake = Handshake::new(self.now(around), self.options.clone());
            around.later(self.options.handshake_millis_max, Step::Greeted(number));
            let down = self.down.is_some();
            self.services.push(Service {
                stage: if down { Stage::Over } else { Stage::Greeting(Box::new(handshake)) },
                arrived: BytesMut::new(),
                input: BytesMut::new(),
                leaving: BytesMut::new(),
                tasks: VecDeque::new(),
                session: 0,
                epoch: 0,
                tap: Tap::new(Version::V5, self.options.inflight_max),
                at_end: false,
                waiting: false,
                pressed: Vec::new(),
            });
        }
    }

    fn expect_turn(&mut self, around: &mut Around, wire: usize) {
        if !std::mem::replace(&mut self.services[wire].waiting, true) {
            let delay = self.random.pick(&[0, 0, 0, 1, 3]);
            around.later(delay, Step::Turn(wire));
        }
    }

    /// Writes what waits for a connection, as far as the wire takes it.
    fn flush(&mut self, around: &mut Around, wire: usize) {
        let now = self.now(around);
        let Service { stage, tap, leaving, .. } = &mut self.services[wire];
        match stage {
            Stage::Greeting(_) | Stage::Over => {}
            Stage::Talking(session) => {
                let place = &mut self.places[*session as usize];
                while place.wire == Some(wire)
                    && !place.quiet
                    && let Some(outbox) = place.slot.poll_transmit()
                {
                    leaving.extend_from_slice(&around.take(wire, End::Client, outbox, tap));
                    let count = around.send(wire, End::Client, leaving);
                    if count == 0 {
                        break;
                    }
                    place.slot.handle_written(now, count);
                }
            }
            Stage::Parting => {
                around.send(wire, End::Client, leaving);
                if leaving.is_empty() {
                    *stage = Stage::Over;
                    around.close(wire, End::Broker);
                }
            }
        }
    }

    /// The last bytes of a connection go behind what is on its way, and then it is closed.
    fn say_last(&mut self, around: &mut Around, wire: usize, mut last: Outbox) {
        let Service { stage, tap, leaving, .. } = &mut self.services[wire];
        leaving.extend_from_slice(&around.take(wire, End::Client, &mut last, tap));
        *stage = Stage::Parting;
        self.flush(around, wire);
    }

    /// Puts a session's deadline on the agenda, when it is earlier than what is there.
    fn arm(&mut self, around: &mut Around, session: u32) {
        let place = &mut self.places[session as usize];
        if let Some(at) = place.slot.poll_timeout()
            && at < place.armed
        {
            place.armed = at;
            let at = Instant::from_millis(at.as_millis().saturating_add_signed(-self.ahead));
            around.at(at, Step::SlotClock(session));
        }
    }
}
