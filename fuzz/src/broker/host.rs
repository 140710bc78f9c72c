//! The host of the slots, as a broker does it: events, routing, deliveries.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use karere_core::{
    Instant,
    broker::{
        Delivered, DropReason, Event, Grant, NewSubscription, Presence, Publisher, Routed, SharedDelivery,
        SharedTarget, Target,
    },
    codec::{Message, QoS, ReasonCode, RetainHandling, Subscribe, SubscribeOptions, Unsubscribe},
    store::Record,
    topic::TopicFilter,
};

use super::World;
use super::model::{Copies, Expected, Granted, Kept};
use super::seat::Asked;
use crate::{naive, show::show, wire};

impl World {
    /// The law: after each mutation drain the events.
    pub(super) fn settle(&mut self, at: usize) {
        let mut over = false;
        while let Some(session) = &mut self.seats[at].session
            && let Some(event) = session.slot.poll_event()
        {
            show(format_args!("  event of {at}: {event:?}"));
            match event {
                Event::Publish { message, token, .. } => {
                    self.seats[at].messages += 1;
                    self.route(at, &message);
                    self.seats[at].tokens.extend(token);
                }
                Event::Subscribe(subscribe) => self.on_subscribe(at, subscribe),
                Event::Unsubscribe(unsubscribe) => {
                    // What was asked before is answered before.
                    while !self.seats[at].asked.is_empty() {
                        self.answer_subscribe(at);
                    }
                    self.on_unsubscribe(at, &unsubscribe);
                }
                Event::Will(message) => {
                    session.on_will(&message);
                    self.route(at, &message);
                }
                Event::Redistribute(shared) => self.redistribute(at, &shared),
                Event::Disconnected(_) => over = true,
                Event::Expired => {
                    assert_eq!(
                        session.expires_at.map(|due| due <= self.now),
                        Some(true),
                        "expired too early"
                    );
                    self.end(at);
                }
                Event::Record(number, record) => {
                    if let Record::Numbered { sequence, .. } = record {
                        session.slot.handle_kept_stored(self.now, [sequence]);
                    }
                    self.seats[at].stored = Some(number);
                }
                Event::Auth(_) => panic!("AUTH without a method"),
                Event::Trace(_) => {}
            }
        }
        if over {
            self.close(at);
        }
    }

    /// The transport goes.
    pub(super) fn close(&mut self, at: usize) {
        let Some(session) = &mut self.seats[at].session else { return };
        if !session.slot.is_attached() {
            return;
        }
        show(format_args!("closed {at}"));
        session.slot.handle_closed(self.now);
        session.on_closed(self.now, self.options.queue_qos0);
        self.settle(at);
    }

    /// The session is over.
    pub(super) fn end(&mut self, at: usize) {
        let Some(mut session) = self.seats[at].session.take() else { return };
        show(format_args!("ended {at}"));
        let ending = session.slot.end(self.now);
        self.router.remove_session(session.key, &ending.filters);
        // Whoever ends a session knows nothing of what it was not told yet.
        let made = session.subscriptions.keys().map(|filter| TopicFilter::new(filter).expect("a filter"));
        self.router.remove_session(session.key, &made.collect::<Vec<_>>());
        let told: BTreeSet<String> = ending.filters.iter().map(ToString::to_string).collect();
        let untold = self.seats[at].asked.drain(..).flat_map(|asked| asked.subscribe.subscriptions);
        let untold: BTreeSet<String> = untold.map(|each| each.filter.to_string()).collect();
        let all: BTreeSet<String> = session.subscriptions.keys().cloned().collect();
        assert!(told.is_subset(&all), "filters that are not subscribed to: {told:?}");
        assert!(all.difference(&told).all(|filter| untold.contains(filter)), "forgotten: {all:?} {told:?}");
        self.seats[at].tokens.clear();
        self.seats[at].stored = None;
        let will = session.will.filter(|_| session.wills_due == 0).map(|will| will.message);
        assert_eq!(ending.will, will, "the Will goes with the session");
        if let Some(will) = will {
            self.route(at, &will);
        }
        for each in ending.shared {
            self.next_member(&each);
        }
    }

    fn on_subscribe(&mut self, at: usize, subscribe: Subscribe) {
        let mut asked = Asked { epoch: 0, subscribe, reasons: Vec::new(), retained: Vec::new() };
        for subscription in asked.subscribe.subscriptions.clone() {
            let filter = TopicFilter::from_text(subscription.filter.clone());
            assert_eq!(filter.is_ok(), naive::is_filter(&subscription.filter));
            let Ok(filter) = filter else {
                asked.reasons.push(ReasonCode::TopicFilterInvalid);
                continue;
            };
            let qos = subscription.options.qos.min(self.options.maximum_qos);
            let options = SubscribeOptions { qos, ..subscription.options };
            self.subscribe_one(at, &filter, options, &mut asked);
            asked.reasons.push(ReasonCode::granted(qos));
        }
        let Some(session) = &mut self.seats[at].session else { return };
        asked.epoch = session.slot.epoch();
        session.subscribing += 1;
        self.seats[at].asked.push_back(asked);
    }

    fn subscribe_one(
        &mut self,
        at: usize,
        filter: &TopicFilter,
        options: SubscribeOptions,
        asked: &mut Asked,
    ) {
        let (now, subscription_id) = (self.now, asked.subscribe.subscription_id);
        let client_id = self.seats[at].client_id.clone();
        let Some(session) = &mut self.seats[at].session else { return };
        let new = NewSubscription { session: session.key, filter, options, subscription_id };
        let mut snapshot = Vec::new();
        let subscribed = self.router.subscribe_with_retained(now, &client_id, &new, &mut snapshot);
        let subscribed = subscribed.expect("no limit is that low");
        let granted = Granted { options, subscription_id };
        let existed = session.subscriptions.insert(filter.to_string(), granted).is_some();
        assert_eq!(subscribed.existed, existed, "whether {filter} was subscribed to");
        let wanted = match options.retain_handling {
            RetainHandling::SendAtSubscribe => true,
            RetainHandling::SendIfNew => !existed,
            RetainHandling::DoNotSend => false,
        };
        let expected = self.retained.iter().filter(|(topic, kept)| {
            wanted
                && filter.share().is_none()
                && naive::matches(filter, topic)
                && kept.expires_at.is_none_or(|due| due > now)
                && !(options.no_local && kept.publisher == client_id)
        });
        let expected: Vec<(&str, &Bytes)> =
            expected.map(|(topic, kept)| (topic.as_str(), &kept.payload)).collect();
        let mut found: Vec<(&str, &Bytes)> =
            snapshot.iter().map(|it| (it.message.topic.as_str(), &it.message.payload)).collect();
        found.sort_unstable();
        assert_eq!(found, expected, "retained messages for {filter}");
        asked.retained.extend(snapshot.into_iter().map(|retained| (retained, options.qos)));
    }

    /// The host tells the slot of a subscription that the router knows.
    pub(super) fn answer_subscribe(&mut self, at: usize) {
        let (now, queue_qos0, tight) = (self.now, self.options.queue_qos0, self.tight);
        let seat = &mut self.seats[at];
        let Some(mut asked) = seat.asked.pop_front() else { return };
        let Some(session) = &mut seat.session else { return };
        let limited = tight || seat.peer.has_limits();
        asked.retained.iter_mut().for_each(|(retained, _)| self.copies.mark(&mut retained.message));
        let retained = asked.retained.iter().map(|(retained, qos)| (retained, *qos));
        let Asked { epoch, subscribe, reasons, .. } = &asked;
        let slot = &mut session.slot;
        let kept = slot.handle_subscribed(now, *epoch, subscribe, reasons, retained, &mut self.scratch);
        slot.handle_kept_stored(now, kept.iter().map(|kept| kept.sequence));
        for (retained, qos) in &asked.retained {
            let qos = retained.message.qos.min(*qos);
            let kept =
                session.slot.is_open() || (session.expiry > 0 && (qos > QoS::AtMostOnce || queue_qos0));
            session.expect_now(Expected {
                retain: true,
                qos,
                subscription_ids: subscribe.subscription_id.into_iter().collect(),
                required: kept && !limited,
                ..expected(&retained.message, retained.expires_at)
            });
        }
        if *epoch == session.slot.epoch() && session.slot.is_attached() {
            session.subscribing = session.subscribing.saturating_sub(1);
        }
        if session.subscribing == 0 {
            session.release_held(queue_qos0);
        }
        self.settle(at);
    }

    fn on_unsubscribe(&mut self, at: usize, unsubscribe: &Unsubscribe) {
        let Some(session) = &mut self.seats[at].session else { return };
        let (mut ended, mut reasons) = (Vec::new(), Vec::new());
        for text in &unsubscribe.filters {
            let Ok(filter) = TopicFilter::from_text(text.clone()) else {
                reasons.push(ReasonCode::TopicFilterInvalid);
                continue;
            };
            let existed = session.subscriptions.remove(text.as_str()).is_some();
            assert_eq!(
                self.router.unsubscribe(session.key, &filter),
                existed,
                "whether {text} was subscribed to"
            );
            reasons.push(if existed { ReasonCode::Success } else { ReasonCode::NoSubscriptionExisted });
            if existed {
                ended.push(filter);
            }
        }
        let epoch = session.slot.epoch();
        session.slot.handle_unsubscribed(epoch, unsubscribe.packet_id, &ended, &reasons);
    }

    /// A message of `at`'s to all who are to get it.
    fn route(&mut self, at: usize, message: &Message) {
        let now = self.now;
        let publisher = self.seats[at].session.as_ref().map(|session| session.key);
        let client_id = self.seats[at].client_id.clone();
        let mut targets = Vec::new();
        if message.retain {
            let publisher = publisher.map(|session| Publisher { session, client_id: &client_id });
            let kept = self.router.retain_and_route(now, publisher, message, &mut targets);
            kept.expect("no limit is that low");
            self.retain(message, publisher.is_some().then_some(&client_id));
        } else {
            self.router.route(publisher, &message.topic, &mut targets);
        }
        let mut wanted: BTreeMap<u32, super::model::Grants> = BTreeMap::new();
        for session in self.seats.iter().filter_map(|seat| seat.session.as_ref()) {
            let grants = session.grants(&message.topic, Some(session.key) == publisher);
            wanted.extend(grants.map(|grants| (session.key, grants)));
        }
        let mut groups = self.groups(&message.topic);
        let expires_at = message.expiry.map(|seconds| now.plus_seconds(seconds));
        for target in targets {
            match target {
                Target::Session { session, grant } => {
                    let wanted = wanted.remove(&session).expect("a target that nobody wants");
                    assert_eq!(
                        (grant.qos, grant.retain_as_published),
                        (wanted.qos, wanted.retain_as_published)
                    );
                    assert_eq!(sorted(&grant), wanted.subscription_ids);
                    self.deliver(session, message, expires_at, &grant, Presence::Any);
                }
                Target::Shared(target) => {
                    let members: BTreeSet<u32> = target.in_turn().map(|member| member.session).collect();
                    let group =
                        groups.iter().position(|group| *group == members).expect("a group that matches");
                    groups.remove(group);
                    self.deliver_shared(message, expires_at, &target);
                }
            }
        }
        assert!(wanted.is_empty() && groups.is_empty(), "not routed to {wanted:?} and {groups:?}");
    }

    /// The sessions of each Shared Subscription that matches.
    fn groups(&self, topic: &str) -> Vec<BTreeSet<u32>> {
        let mut groups: BTreeMap<&String, BTreeSet<u32>> = BTreeMap::new();
        for session in self.seats.iter().filter_map(|seat| seat.session.as_ref()) {
            for filter in session.groups(topic) {
                groups.entry(filter).or_default().insert(session.key);
            }
        }
        groups.into_values().collect()
    }

    fn retain(&mut self, message: &Message, publisher: Option<&karere_core::Text>) {
        if message.payload.is_empty() {
            self.retained.remove(message.topic.as_str());
            return;
        }
        let kept = Kept {
            payload: message.payload.clone(),
            expires_at: message.expiry.map(|seconds| self.now.plus_seconds(seconds)),
            publisher: publisher.cloned().unwrap_or_default(),
        };
        self.retained.insert(message.topic.to_string(), kept);
    }

    /// To one member: first those who are there are asked, then those who are not.
    fn deliver_shared(&mut self, message: &Message, expires_at: Option<Instant>, target: &SharedTarget<u32>) {
        for presence in [Presence::Attached, Presence::Any] {
            for member in target.in_turn() {
                let delivered = self.deliver(member.session, message, expires_at, &member.grant, presence);
                if delivered != Delivered::Absent {
                    return;
                }
            }
        }
    }

    fn redistribute(&mut self, at: usize, shared: &[SharedDelivery]) {
        let seat = &mut self.seats[at];
        let session = seat.session.as_mut().expect("a session that gives back");
        for each in shared {
            let expected = &mut session.expected[1];
            let index = expected.iter().position(|next| next.payload == each.message.payload);
            match index.and_then(|index| expected.remove(index)) {
                Some(next) => {
                    assert_eq!((next.shared, next.expires_at), (Some(each.key), each.expires_at));
                }
                None => {
                    assert!(seat.peer.taken_back(&each.message.payload), "{each:?} was not to be given back");
                }
            }
        }
        for each in shared {
            self.next_member(each);
        }
    }

    fn next_member(&mut self, each: &SharedDelivery) {
        if let Some(target) = self.router.next_turn(each.key) {
            self.deliver_shared(&Copies::unmarked(&each.message), each.expires_at, &target);
        }
    }

    fn deliver(
        &mut self,
        key: u32,
        message: &Message,
        expires_at: Option<Instant>,
        grant: &Grant,
        presence: Presence,
    ) -> Delivered {
        let (now, tight, queue_qos0) = (self.now, self.tight, self.options.queue_qos0);
        let is_it = |seat: &&mut super::Seat| seat.session.as_ref().is_some_and(|session| session.key == key);
        let seat = self.seats.iter_mut().find(is_it).expect("a target with a session");
        let limited = tight || seat.peer.has_limits();
        let session = seat.session.as_mut().expect("it has one");
        let qos = message.qos.min(grant.qos);
        let open = session.slot.is_open();
        let mut message = message.clone();
        self.copies.mark(&mut message);
        let mut routed = Routed::with_expiry(&message, expires_at, &mut self.scratch);
        routed.set_tag(1);
        let delivered = session.slot.deliver(now, &mut routed, grant, presence);
        // As if it were durable at once.
        match delivered {
            Delivered::Kept { sequence, .. } => session.slot.handle_kept_stored(now, [sequence]),
            Delivered::Held { number, .. } => session.slot.handle_held_stored(now, [number]),
            _ => {}
        }
        show(format_args!("  deliver to {}: {delivered:?} {message:?}", seat.client_id));
        match delivered {
            Delivered::Taken | Delivered::Pressure | Delivered::Kept { .. } | Delivered::Held { .. } => {
                assert!(open || session.expiry > 0, "taken for nobody");
                session.expect(Expected {
                    qos,
                    retain: message.retain && grant.retain_as_published,
                    subscription_ids: sorted(grant),
                    shared: grant.shared,
                    required: !limited,
                    ..expected(&message, expires_at)
                });
            }
            Delivered::Dropped(DropReason::Offline) => {
                assert!(!open && qos == QoS::AtMostOnce && !queue_qos0 && session.expiry > 0);
            }
            Delivered::Dropped(DropReason::TooLarge) => assert!(open && seat.peer.has_limits()),
            Delivered::Dropped(DropReason::QueueFull) => assert!(tight),
            Delivered::Dropped(DropReason::Expired) => assert!(expires_at.is_some_and(|due| due <= now)),
            Delivered::Dropped(DropReason::Slow) => panic!("nobody is slow here"),
            Delivered::Absent => assert!(!open && (session.expiry == 0 || presence == Presence::Attached)),
            Delivered::Ended => panic!("the session is not over"),
            Delivered::NeedsTag => panic!("it has one"),
        }
        delivered
    }

    /// The client reads all that waits for it.
    pub(super) fn flush(&mut self, at: usize) -> bool {
        let Some(session) = &mut self.seats[at].session else { return false };
        let Some(outbox) = session.slot.poll_transmit() else { return false };
        let bytes = wire::drain(outbox);
        let len = bytes.len();
        session.slot.handle_written(self.now, len);
        self.read(at, bytes);
        self.settle(at);
        if std::mem::take(&mut self.seats[at].peer.again) {
            self.send_again(at);
        }
        len > 0
    }

    /// The client reads these bytes.
    pub(super) fn read(&mut self, at: usize, bytes: Bytes) {
        let seat = &mut self.seats[at];
        for (packet, len) in wire::decode(seat.peer.version, bytes) {
            show(format_args!("  {at} reads {packet:?}"));
            if let Some(publish) = seat.peer.read(&packet, len) {
                seat.on_message(self.now, &publish);
            }
        }
    }
}

fn sorted(grant: &Grant) -> Vec<u32> {
    let mut ids = grant.subscription_ids.as_slice().to_vec();
    ids.sort_unstable();
    ids
}

/// What a message brings of its own.
fn expected(message: &Message, expires_at: Option<Instant>) -> Expected {
    Expected {
        topic: message.topic.to_string(),
        payload: message.payload.clone(),
        properties: message.properties.clone(),
        qos: message.qos,
        retain: message.retain,
        subscription_ids: Vec::new(),
        expires_at,
        shared: None,
        required: true,
    }
}
