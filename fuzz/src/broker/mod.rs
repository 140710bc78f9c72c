//! The broker's end: two clients, any interleaving of what they send, cuts and reconnects, against a naive model.
//!
//! The model knows sessions, subscriptions, retained messages and Wills as lists. What must arrive arrives, in the
//! order in which it was routed, with the QoS, RETAIN and identifiers that the subscriptions say; at QoS 2 nothing
//! comes twice; the clients' limits hold.

mod host;
mod model;
mod peer;
mod seat;
mod steps;

use std::collections::BTreeMap;
use std::sync::Arc;

use arbitrary::{Result, Unstructured};
use karere_core::{
    Instant,
    broker::{Options, Router, RouterLimits, Scratch},
    codec::QoS,
};

use self::model::{Copies, Kept};
use self::seat::Seat;
use crate::show::show;

/// How many steps one input makes at most.
const STEPS_MAX: usize = 300;
/// How many rounds it may take to come to rest: with one message in flight at a time there are some for each.
const ROUNDS_MAX: usize = 1_000_000;

/// Two clients and a host.
pub fn run(input: &[u8]) {
    let u = &mut Unstructured::new(input);
    let Ok(mut world) = World::new(u) else { return };
    for _ in 0..STEPS_MAX {
        if u.is_empty() || world.step(u).is_err() {
            break;
        }
        world.check();
    }
    world.come_to_rest();
}

/// The host with its router, and a seat for each Client Identifier.
struct World {
    now: Instant,
    options: Arc<Options>,
    /// Queues are so small that messages may be dropped.
    tight: bool,
    router: Router<u32>,
    scratch: Scratch,
    seats: Vec<Seat>,
    retained: BTreeMap<String, Kept>,
    copies: Copies,
    next_key: u32,
    published: u64,
}

impl World {
    fn new(u: &mut Unstructured<'_>) -> Result<Self> {
        let tight = u.ratio(1, 8)?;
        let options = options(u, tight)?;
        show(format_args!("{options:?}"));
        Ok(Self {
            now: Instant::from_millis(1_000_000),
            options: Arc::new(options),
            tight,
            router: Router::new(7, RouterLimits::default()),
            scratch: Scratch::default(),
            seats: vec![Seat::new("one"), Seat::new("two")],
            retained: BTreeMap::new(),
            copies: Copies::default(),
            next_key: 1,
            published: 0,
        })
    }

    /// What holds after each step.
    fn check(&self) {
        let subscriptions = self.seats.iter().filter_map(|seat| seat.session.as_ref());
        let subscriptions: usize = subscriptions.map(|session| session.subscriptions.len()).sum();
        assert_eq!(self.router.subscriptions_len(), subscriptions, "subscriptions");
        for session in self.seats.iter().filter_map(|seat| seat.session.as_ref()) {
            assert_eq!(session.wills_due, 0, "a Will that was to be sent");
            assert!(!session.slot.is_ended());
        }
    }

    /// Everybody comes back, takes everything and answers everything; then nothing may be left.
    fn come_to_rest(&mut self) {
        show(format_args!("coming to rest"));
        for at in 0..self.seats.len() {
            self.come_back(at);
        }
        let at_rest = (0..ROUNDS_MAX).any(|_| {
            let moved: Vec<bool> = (0..self.seats.len()).map(|at| self.move_on(at)).collect();
            !moved.contains(&true)
        });
        assert!(at_rest, "it does not come to rest");
        self.check();
        for seat in &self.seats {
            seat.check_at_rest(self.now);
        }
        for (topic, kept) in &self.retained {
            let topic = karere_core::topic::TopicName::new(topic).expect("a name");
            let retained = self.router.retained(&topic).expect("a retained message");
            assert_eq!(retained.message.payload, kept.payload);
        }
        assert_eq!(self.router.retained_len(), self.retained.len(), "retained messages");
    }
}

fn options(u: &mut Unstructured<'_>, tight: bool) -> Result<Options> {
    Ok(Options {
        receive_maximum: *u.choose(&[1024, 1, 3])?,
        topic_alias_maximum: *u.choose(&[32, 0, 2])?,
        outbound_aliases_max: *u.choose(&[32, 0, 2])?,
        inflight_max: *u.choose(&[1024, 1, 3])?,
        maximum_qos: *u.choose(&[QoS::ExactlyOnce, QoS::ExactlyOnce, QoS::AtLeastOnce])?,
        queue_qos0: u.arbitrary()?,
        queue_count_max: if tight { 2 } else { 100_000 },
        outbox_high_bytes: *u.choose(&[1 << 18, 1, 100])?,
        outbox_low_bytes: *u.choose(&[1 << 16, 0, 50])?,
        session_expiry_max: *u.choose(&[u32::MAX, 3])?,
        store: u.arbitrary()?,
        trace: u.arbitrary()?,
        ..Options::default()
    })
}
