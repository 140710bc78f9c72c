//! A session whose broker stops at any time and keeps what was durable, against a client that goes on.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::kept::{deliver_tagged, storing};
use super::*;
use crate::broker::{EntryState, Restored, RestoredEntry, RestoredHeld, StoredMessage};
use crate::codec::{PacketId, Publish, Subscribe, SubscriptionIds};
use crate::store::{Record, StoreSequence};

#[derive(Debug, Clone, Copy)]
enum Step {
    /// A message comes for the session.
    Give {
        exactly_once: bool,
    },
    /// As much of what is written becomes durable.
    Sync(usize),
    /// The client reads all, and as many of its answers arrive.
    Answer(usize),
    Connect,
    Lose,
    /// A SUBSCRIBE comes, or the one that is worked on is answered.
    Subscribe,
    /// The broker stops. What is durable is there after it, and as much of what was only written.
    Crash(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => any::<bool>().prop_map(|exactly_once| Step::Give { exactly_once }),
        4 => (0..6_usize).prop_map(Step::Sync),
        4 => (0..4_usize).prop_map(Step::Answer),
        2 => Just(Step::Connect),
        1 => Just(Step::Lose),
        2 => Just(Step::Subscribe),
        1 => (0..4_usize).prop_map(Step::Crash),
    ]
}

/// One write of the host's, whole or not there.
#[derive(Debug, Clone)]
enum Write {
    Put(u64, StoredMessage),
    PutHeld(u64, StoredMessage),
    Change(StoreSequence, Record),
    /// A connection came, or went: then from this number on nothing was sent.
    Connection(Option<u64>),
}

/// What is on the disk.
#[derive(Default)]
struct Disk {
    log: Vec<Write>,
    durable: usize,
}

impl Disk {
    fn restored(&self, now: Instant) -> Restored {
        let (mut entries, mut held, mut unsent_from) = (BTreeMap::new(), BTreeMap::new(), Some(0));
        for write in self.log.iter().cloned() {
            match write {
                Write::Put(sequence, message) => _ = entries.insert(sequence, EntryState::Kept(message)),
                Write::PutHeld(number, message) => _ = held.insert(number, message),
                Write::Connection(unsent) => unsent_from = unsent,
                Write::Change(_, Record::Received { sequence, order, .. }) => {
                    entries.insert(sequence, EntryState::Received { order });
                }
                Write::Change(_, Record::Finished { sequence, .. } | Record::Dropped { sequence, .. }) => {
                    entries.remove(&sequence);
                }
                Write::Change(_, Record::Numbered { number, sequence, .. }) => {
                    entries.insert(sequence, EntryState::Kept(held.remove(&number).unwrap()));
                }
                Write::Change(..) => {}
            }
        }
        Restored {
            entries: entries.into_iter().map(|(sequence, state)| RestoredEntry { sequence, state }).collect(),
            held: held.into_iter().map(|(number, message)| RestoredHeld { number, message }).collect(),
            unsent_from,
            session_expiry: 3600,
            disconnected_at: now,
            ..Restored::default()
        }
    }
}

/// The client, which stops for nothing.
#[derive(Default)]
struct Client {
    /// What the application got, in its order.
    got: [Vec<u64>; 2],
    /// QoS 2 messages that are not released.
    unreleased: BTreeSet<PacketId>,
    /// The identifier that each message came with.
    ids: BTreeMap<u64, PacketId>,
    answers: VecDeque<Packet>,
}

impl Client {
    fn read(&mut self, packet: Packet) {
        let answer = match packet {
            Packet::Publish(publish) => self.on_publish(&publish),
            Packet::PubRel(ack) => {
                self.unreleased.remove(&ack.packet_id);
                pubcomp(ack.packet_id.get())
            }
            _ => return,
        };
        self.answers.push_back(answer);
    }

    fn on_publish(&mut self, publish: &Publish) -> Packet {
        let number: u64 = String::from_utf8_lossy(&publish.message.payload).parse().unwrap();
        let id = publish.packet_id.unwrap();
        let first = self.ids.insert(number, id);
        assert!(first.is_none_or(|first| first == id), "{number} came under another identifier");
        assert!(first.is_none() || publish.dup, "{number} came again without DUP");
        if publish.message.qos == QOS1 {
            self.got[0].push(number);
            return puback(id.get());
        }
        if self.unreleased.insert(id) {
            self.got[1].push(number);
        }
        pubrec(id.get())
    }
}

struct Story {
    bench: Bench,
    disk: Disk,
    client: Client,
    asked: Option<Subscribe>,
    given: u64,
    /// Messages that are durable: what their publishers were told.
    promised: [BTreeSet<u64>; 2],
}

impl Story {
    fn new() -> Self {
        let mut bench = Bench::new(storing());
        bench.attach(lasting(Version::V5));
        let disk = Disk { log: Vec::from([Write::Connection(None)]), durable: 1 };
        Self { bench, disk, client: Client::default(), asked: None, given: 0, promised: Default::default() }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Give { exactly_once } => self.give(if exactly_once { QOS2 } else { QOS1 }),
            Step::Sync(count) => self.sync(count),
            Step::Answer(count) => self.answer(count),
            Step::Connect => self.connect(),
            Step::Lose => self.lose(),
            Step::Subscribe => self.subscribe(),
            Step::Crash(more) => self.crash(more),
        }
        self.settle();
    }

    /// The law: after each mutation drain the events.
    fn settle(&mut self) {
        while let Some(event) = self.bench.slot.poll_event() {
            match event {
                Event::Record(number, record) => self.disk.log.push(Write::Change(number, record)),
                Event::Subscribe(subscribe) => self.asked = Some(subscribe),
                _ => {}
            }
        }
    }

    fn give(&mut self, qos: QoS) {
        self.given += 1;
        let message = message("t", &format!("{}", self.given), qos);
        let grant = Grant { qos: QOS2, ..Grant::default() };
        let stored = StoredMessage {
            message: message.clone(),
            tag: self.given,
            qos,
            retain: false,
            subscription_ids: SubscriptionIds::EMPTY,
            expires_at: None,
            shared: None,
        };
        self.disk.log.push(match deliver_tagged(&mut self.bench, &message, &grant, self.given) {
            Delivered::Kept { sequence, .. } => Write::Put(sequence, stored),
            Delivered::Held { number, .. } => Write::PutHeld(number, stored),
            other => panic!("{other:?}"),
        });
    }

    fn sync(&mut self, count: usize) {
        let end = self.disk.log.len().min(self.disk.durable + count);
        for write in &self.disk.log[self.disk.durable..end] {
            let (slot, now) = (&mut self.bench.slot, self.bench.now);
            match write {
                Write::Put(sequence, message) => {
                    self.promised[usize::from(message.qos == QOS2)].insert(message.tag);
                    slot.handle_kept_stored(now, [*sequence]);
                }
                Write::PutHeld(number, message) => {
                    self.promised[usize::from(message.qos == QOS2)].insert(message.tag);
                    slot.handle_held_stored(now, [*number]);
                }
                Write::Change(number, record) => {
                    slot.handle_stored(now, *number);
                    if let Record::Numbered { sequence, .. } = record {
                        slot.handle_kept_stored(now, [*sequence]);
                    }
                }
                Write::Connection(_) => {}
            }
        }
        self.disk.durable = end;
    }

    fn answer(&mut self, count: usize) {
        self.bench.sent().into_iter().for_each(|packet| self.client.read(packet));
        for _ in 0..count {
            let Some(packet) = self.client.answers.pop_front() else { break };
            self.bench.feed(packet).unwrap();
        }
    }

    fn connect(&mut self) {
        self.lose();
        self.settle();
        self.disk.log.push(Write::Connection(None));
        // What answers CONNECT waits for this.
        self.sync(usize::MAX - self.disk.durable);
        self.settle();
        self.bench.attach(saying([Property::ReceiveMaximum(3)]));
    }

    fn lose(&mut self) {
        if self.bench.slot.is_attached() {
            self.client.answers.clear();
            self.bench.slot.handle_closed(self.bench.now);
            self.settle();
            self.disk.log.push(Write::Connection(Some(self.bench.slot.unsent_from())));
        }
    }

    fn subscribe(&mut self) {
        if let Some(asked) = self.asked.take() {
            let (now, epoch) = (self.bench.now, self.bench.slot.epoch());
            let slot = &mut self.bench.slot;
            slot.handle_subscribed(
                now,
                epoch,
                &asked,
                &[ReasonCode::GrantedQoS2],
                [],
                &mut self.bench.scratch,
            );
        } else if self.bench.slot.is_open() {
            self.bench.feed(subscribe(1, &[("t", QOS2)])).unwrap();
        }
    }

    fn crash(&mut self, more: usize) {
        // What has left the broker may reach the client all the same.
        self.bench.sent().into_iter().for_each(|packet| self.client.read(packet));
        self.client.answers.clear();
        self.asked = None;
        self.disk.log.truncate(self.disk.durable + more);
        self.disk.durable = self.disk.log.len();
        let restored = self.disk.restored(self.bench.now);
        self.bench.slot = Slot::restore(text("c"), self.bench.options.clone(), 7, restored);
    }

    /// Everything is answered and durable; then nothing is left.
    fn come_to_rest(&mut self) {
        self.step(Step::Connect);
        if self.asked.is_some() {
            self.step(Step::Subscribe);
        }
        for _ in 0..1000 {
            self.step(Step::Sync(1000));
            self.step(Step::Answer(1000));
        }
        assert_eq!((self.bench.slot.inflight(), self.bench.slot.queued()), (0, 0));
        let left = self.disk.restored(self.bench.now);
        assert!(left.entries.is_empty() && left.held.is_empty(), "{left:?}");
    }
}

/// What came for the first time, in its order.
fn firsts(got: &[u64]) -> Vec<u64> {
    let mut seen = BTreeSet::new();
    got.iter().copied().filter(|number| seen.insert(*number)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_promised_arrives_in_order_and_at_qos_2_once_whenever_the_broker_stops(
        steps in prop::collection::vec(step(), 1..80),
    ) {
        let mut story = Story::new();
        steps.into_iter().for_each(|step| story.step(step));
        story.come_to_rest();
        for (got, promised) in story.client.got.iter().zip(&story.promised) {
            let first = firsts(got);
            prop_assert!(first.is_sorted(), "{first:?}");
            prop_assert!(promised.iter().all(|number| first.contains(number)), "{first:?} for {promised:?}");
        }
        let exactly_once = &story.client.got[1];
        prop_assert_eq!(exactly_once, &firsts(exactly_once));
    }
}
