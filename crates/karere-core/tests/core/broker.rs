//! The least that makes a broker of a router and slots: what a host has to do, without threads and sockets.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use karere_core::broker::{
    AckToken, Delivered, Event, Grant, Handshake, NewSubscription, Options, Presence, Publisher, Routed,
    Router, RouterLimits, Scratch, SharedDelivery, SharedTarget, Slot, Target,
};
use karere_core::codec::{Connect, Message, Properties, QoS, ReasonCode, Subscribe, Unsubscribe};
use karere_core::store::{Record, StoreSequence};
use karere_core::topic::TopicFilter;
use karere_core::{Instant, Text};

/// A broker: slots by number, which is also their name in the router.
pub(crate) struct Broker {
    pub(crate) options: Arc<Options>,
    pub(crate) router: Router<u32>,
    pub(crate) slots: Vec<Slot>,
    names: BTreeMap<Text, u32>,
    scratch: Scratch,
    /// The payload of each message that was routed, and whether it came with DUP.
    pub(crate) routed: Vec<(Vec<u8>, bool)>,
    /// Answers to publishers are not given before [`answer_one`](Self::answer_one).
    pub(crate) answers_late: bool,
    unanswered: VecDeque<(u32, AckToken)>,
    /// Records that are not durable yet.
    pub(crate) unstored: VecDeque<(u32, StoreSequence, Record)>,
    /// Messages of sessions that are not durable yet, by their sequence numbers, and those that are held back.
    kept: VecDeque<(u32, u64)>,
    held: VecDeque<(u32, u64)>,
    /// Numbers the messages.
    tag: u64,
    /// Slots whose client has said goodbye.
    pub(crate) goodbyes: Vec<u32>,
}

impl Broker {
    pub(crate) fn new(options: Options) -> Self {
        Self {
            options: Arc::new(options),
            router: Router::new(1, RouterLimits::default()),
            slots: Vec::new(),
            names: BTreeMap::new(),
            scratch: Scratch::default(),
            routed: Vec::new(),
            answers_late: false,
            unanswered: VecDeque::new(),
            unstored: VecDeque::new(),
            kept: VecDeque::new(),
            held: VecDeque::new(),
            tag: 0,
            goodbyes: Vec::new(),
        }
    }

    /// The slot of this client, while its session lives.
    pub(crate) fn slot_of(&self, client_id: &str) -> Option<&Slot> {
        self.names.get(client_id).and_then(|key| self.slots.get(*key as usize))
    }

    /// Accepts a CONNECT; the slot that it is attached to.
    pub(crate) fn accept(&mut self, now: Instant, handshake: Handshake, connect: &Connect) -> u32 {
        let found = self.names.get(&connect.client_id).copied();
        if let Some(key) = found {
            let slot = &mut self.slots[key as usize];
            slot.take_over(now);
            let ends = connect.clean_start || slot.session_expiry() == 0;
            self.work(now, key);
            if ends {
                self.end(now, key);
            }
        }
        let key = self.names.get(&connect.client_id).copied().unwrap_or_else(|| {
            let key = self.slots.len() as u32;
            self.slots.push(Slot::new(connect.client_id.clone(), self.options.clone(), u64::from(key)));
            self.names.insert(connect.client_id.clone(), key);
            key
        });
        let accepted = handshake.accept(now, None, &Properties::EMPTY, 3).expect("CONNECT has come");
        self.slots[key as usize].attach(now, accepted);
        self.work(now, key);
        key
    }

    /// The host's part: takes the events of a slot and answers them.
    pub(crate) fn work(&mut self, now: Instant, key: u32) {
        while let Some(event) = self.slots[key as usize].poll_event() {
            match event {
                Event::Publish { message, token, dup } => self.publish(now, key, &message, token, dup),
                Event::Subscribe(subscribe) => self.subscribe(now, key, &subscribe),
                Event::Unsubscribe(unsubscribe) => self.unsubscribe(key, &unsubscribe),
                Event::Will(message) => self.route(now, key, &message),
                Event::Redistribute(shared) => self.redistribute(now, shared),
                Event::Disconnected(_) => self.goodbyes.push(key),
                Event::Expired => self.end(now, key),
                Event::Record(sequence, record) => {
                    if let Record::Numbered { sequence, .. } = record {
                        self.kept.push_back((key, sequence));
                    }
                    self.unstored.push_back((key, sequence, record));
                }
                Event::Auth(_) | Event::Trace(_) => {}
            }
        }
    }

    /// Gives the next answer that was kept back; false when there is none.
    pub(crate) fn answer_one(&mut self, now: Instant) -> bool {
        let Some((key, token)) = self.unanswered.pop_back() else { return false };
        self.slots[key as usize].handle_routed(now, token, ReasonCode::Success);
        self.work(now, key);
        true
    }

    /// Makes the next record or message durable; false when there is none.
    pub(crate) fn store_one(&mut self, now: Instant) -> bool {
        let key = if let Some((key, sequence, _)) = self.unstored.pop_front() {
            self.slots[key as usize].handle_stored(now, sequence);
            key
        } else if let Some((key, number)) = self.held.pop_front() {
            self.slots[key as usize].handle_held_stored(now, [number]);
            key
        } else if let Some((key, sequence)) = self.kept.pop_front() {
            self.slots[key as usize].handle_kept_stored(now, [sequence]);
            key
        } else {
            return false;
        };
        self.work(now, key);
        true
    }

    fn publish(&mut self, now: Instant, key: u32, message: &Message, token: Option<AckToken>, dup: bool) {
        self.routed.push((message.payload.to_vec(), dup));
        self.route(now, key, message);
        match token {
            Some(token) if self.answers_late => self.unanswered.push_back((key, token)),
            Some(token) => self.slots[key as usize].handle_routed(now, token, ReasonCode::Success),
            None => {}
        }
    }

    fn route(&mut self, now: Instant, key: u32, message: &Message) {
        let client_id = self.slots[key as usize].client_id().clone();
        let publisher = Publisher { session: key, client_id: &client_id };
        let mut targets = Vec::new();
        if message.retain {
            self.router.retain_and_route(now, Some(publisher), message, &mut targets).expect("room for it");
        } else {
            self.router.route(Some(key), &message.topic, &mut targets);
        }
        for target in targets {
            let mut scratch = std::mem::take(&mut self.scratch);
            let mut routed = Routed::new(message, now, &mut scratch);
            match target {
                Target::Session { session, grant } => {
                    self.deliver(now, session, &mut routed, &grant, Presence::Any);
                }
                Target::Shared(shared) => self.deliver_shared(now, &shared, &mut routed),
            }
            self.scratch = scratch;
        }
    }

    fn deliver(
        &mut self,
        now: Instant,
        key: u32,
        routed: &mut Routed<'_>,
        grant: &Grant,
        presence: Presence,
    ) -> Delivered {
        self.tag += 1;
        routed.set_tag(self.tag);
        let delivered = self.slots[key as usize].deliver(now, routed, grant, presence);
        match delivered {
            Delivered::Kept { sequence, .. } => self.kept.push_back((key, sequence)),
            Delivered::Held { number, .. } => self.held.push_back((key, number)),
            _ => {}
        }
        delivered
    }

    fn deliver_shared(&mut self, now: Instant, shared: &SharedTarget<u32>, routed: &mut Routed<'_>) {
        for presence in [Presence::Attached, Presence::Any] {
            for member in shared.in_turn() {
                let delivered = self.deliver(now, member.session, routed, &member.grant, presence);
                if !matches!(delivered, Delivered::Absent | Delivered::Ended) {
                    return;
                }
            }
        }
    }

    fn redistribute(&mut self, now: Instant, shared: Vec<SharedDelivery>) {
        for mut delivery in shared {
            let Some(target) = self.router.next_turn(delivery.key) else { continue };
            delivery.message.qos = delivery.qos;
            let mut scratch = std::mem::take(&mut self.scratch);
            let mut routed = Routed::with_expiry(&delivery.message, delivery.expires_at, &mut scratch);
            self.deliver_shared(now, &target, &mut routed);
            self.scratch = scratch;
        }
    }

    fn subscribe(&mut self, now: Instant, key: u32, subscribe: &Subscribe) {
        let slot = &self.slots[key as usize];
        let (client_id, epoch) = (slot.client_id().clone(), slot.epoch());
        let (mut reasons, mut retained) = (Vec::new(), Vec::new());
        for subscription in &subscribe.subscriptions {
            let Ok(filter) = TopicFilter::from_text(subscription.filter.clone()) else {
                reasons.push(ReasonCode::TopicFilterInvalid);
                continue;
            };
            let qos = subscription.options.qos;
            let new = NewSubscription {
                session: key,
                filter: &filter,
                options: subscription.options,
                subscription_id: subscribe.subscription_id,
            };
            let mut snapshot = Vec::new();
            let result = self.router.subscribe_with_retained(now, &client_id, &new, &mut snapshot);
            reasons.push(result.map_or_else(|reason| reason, |_| ReasonCode::granted(qos)));
            retained.extend(snapshot.into_iter().map(|message| (message, qos)));
        }
        let retained = retained.iter().map(|(message, qos)| (message, *qos));
        let slot = &mut self.slots[key as usize];
        let kept = slot.handle_subscribed(now, epoch, subscribe, &reasons, retained, &mut self.scratch);
        self.kept.extend(kept.iter().map(|kept| (key, kept.sequence)));
    }

    fn unsubscribe(&mut self, key: u32, unsubscribe: &Unsubscribe) {
        let (mut ended, mut reasons) = (Vec::new(), Vec::new());
        for filter in &unsubscribe.filters {
            let Ok(filter) = TopicFilter::from_text(filter.clone()) else {
                reasons.push(ReasonCode::TopicFilterInvalid);
                continue;
            };
            let existed = self.router.unsubscribe(key, &filter);
            reasons.push(if existed { ReasonCode::Success } else { ReasonCode::NoSubscriptionExisted });
            ended.push(filter);
        }
        let slot = &mut self.slots[key as usize];
        slot.handle_unsubscribed(slot.epoch(), unsubscribe.packet_id, &ended, &reasons);
    }

    fn end(&mut self, now: Instant, key: u32) {
        let slot = &mut self.slots[key as usize];
        let client_id = slot.client_id().clone();
        let ending = slot.end(now);
        self.router.remove_session(key, &ending.filters);
        self.names.remove(&client_id);
        self.redistribute(now, ending.shared);
        if let Some(will) = ending.will {
            self.route(now, key, &will);
        }
    }
}

/// How many of a session's QoS > 0 messages are on their way or wait.
pub(crate) fn pending(slot: &Slot) -> usize {
    slot.queued() + slot.inflight()
}

/// The QoS with this number.
pub(crate) fn qos(bits: u8) -> QoS {
    QoS::from_bits(bits).expect("0 to 2")
}
