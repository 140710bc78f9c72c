//! What should be: sessions, subscriptions and retained messages as lists.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use karere_core::{
    Instant, Text,
    broker::{ShareKey, Slot},
    codec::{Message, PacketId, Properties, Publish, QoS, SubscribeOptions, Will},
};

use crate::naive;

/// A session: the real slot, and what should be in it.
pub(super) struct Session {
    pub(super) key: u32,
    pub(super) slot: Slot,
    pub(super) subscriptions: BTreeMap<String, Granted>,
    /// What is to arrive, in order: at QoS 0, and at QoS 1 and 2.
    pub(super) expected: [VecDeque<Expected>; 2],
    /// What came while a SUBSCRIBE was being worked on.
    pub(super) held: Vec<Expected>,
    /// SUBSCRIBEs of this connection that the host works on.
    pub(super) subscribing: usize,
    /// Session Expiry Interval, in seconds.
    pub(super) expiry: u32,
    pub(super) expires_at: Option<Instant>,
    pub(super) will: Option<Will>,
    pub(super) will_at: Option<Instant>,
    /// Wills that the slot has to bring now.
    pub(super) wills_due: usize,
    /// QoS 2 identifiers that the client has not released.
    pub(super) unreleased: std::collections::BTreeSet<PacketId>,
}

/// A subscription.
#[derive(Debug, Clone, Copy)]
pub(super) struct Granted {
    pub(super) options: SubscribeOptions,
    pub(super) subscription_id: Option<u32>,
}

/// A message that a client is to get.
#[derive(Debug, Clone)]
pub(super) struct Expected {
    pub(super) topic: String,
    pub(super) payload: Bytes,
    pub(super) properties: Properties,
    pub(super) qos: QoS,
    pub(super) retain: bool,
    /// Sorted.
    pub(super) subscription_ids: Vec<u32>,
    pub(super) expires_at: Option<Instant>,
    pub(super) shared: Option<ShareKey>,
    /// It must arrive, unless it expires.
    pub(super) required: bool,
}

/// Marks each copy that the host hands to a slot, so that no two look alike: one message comes to a session twice
/// when its publisher sends it again, through a Shared Subscription besides its own, and as a retained one.
#[derive(Default)]
pub(super) struct Copies {
    made: u64,
}

/// A retained message.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) payload: Bytes,
    pub(super) expires_at: Option<Instant>,
    pub(super) publisher: Text,
}

/// What the subscriptions of one session together grant.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Grants {
    pub(super) qos: QoS,
    pub(super) retain_as_published: bool,
    /// Sorted.
    pub(super) subscription_ids: Vec<u32>,
}

impl Session {
    pub(super) fn new(key: u32, slot: Slot) -> Self {
        Self {
            key,
            slot,
            subscriptions: BTreeMap::new(),
            expected: Default::default(),
            held: Vec::new(),
            subscribing: 0,
            expiry: 0,
            expires_at: None,
            will: None,
            will_at: None,
            wills_due: 0,
            unreleased: Default::default(),
        }
    }

    /// What the session's own subscriptions grant to a message; the shared ones are not asked.
    pub(super) fn grants(&self, topic: &str, is_publisher: bool) -> Option<Grants> {
        let mut all: Option<Grants> = None;
        for (filter, granted) in &self.subscriptions {
            let local = is_publisher && granted.options.no_local;
            if filter.starts_with("$share/") || local || !naive::matches(filter, topic) {
                continue;
            }
            let grants = all.get_or_insert_default();
            grants.qos = grants.qos.max(granted.options.qos);
            grants.retain_as_published |= granted.options.retain_as_published;
            grants.subscription_ids.extend(granted.subscription_id);
            grants.subscription_ids.sort_unstable();
        }
        all
    }

    /// The Shared Subscriptions that a message is for.
    pub(super) fn groups(&self, topic: &str) -> impl Iterator<Item = &String> {
        let matches = move |filter: &&String| {
            let levels = filter.strip_prefix("$share/").and_then(|rest| rest.split_once('/'));
            levels.is_some_and(|(_, levels)| naive::matches(levels, topic))
        };
        self.subscriptions.keys().filter(matches)
    }

    /// It was taken by the slot: it is to arrive.
    pub(super) fn expect(&mut self, expected: Expected) {
        if self.subscribing > 0 {
            self.held.push(expected);
        } else {
            self.expect_now(expected);
        }
    }

    /// Before all that is held.
    pub(super) fn expect_now(&mut self, expected: Expected) {
        self.expected[usize::from(expected.qos > QoS::AtMostOnce)].push_back(expected);
    }

    /// What was held is in the queue behind what is expected.
    pub(super) fn release_held(&mut self, queue_qos0: bool) {
        let keeps_qos0 = self.slot.is_open() || queue_qos0;
        for mut expected in std::mem::take(&mut self.held) {
            expected.required &= expected.qos > QoS::AtMostOnce || keeps_qos0;
            self.expect_now(expected);
        }
    }

    /// The connection has gone, and with it what was at QoS 0 and on its way.
    pub(super) fn on_closed(&mut self, now: Instant, queue_qos0: bool) {
        self.subscribing = 0;
        self.release_held(queue_qos0);
        self.expected[0].iter_mut().for_each(|expected| expected.required = false);
        if let Some(will) = &self.will {
            match will.delay.min(self.expiry) {
                0 => self.wills_due += 1,
                delay => self.will_at = Some(now.plus_seconds(delay)),
            }
        }
        self.expires_at = (self.expiry < u32::MAX).then(|| now.plus_seconds(self.expiry));
    }

    /// Time has passed while nobody was there. Returns whether the session is over.
    pub(super) fn on_time(&mut self, now: Instant) -> bool {
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if due(self.will_at) || (due(self.expires_at) && self.will_at.is_some()) {
            self.will_at = None;
            self.wills_due += 1;
        }
        due(self.expires_at)
    }

    /// The slot brings a Will.
    pub(super) fn on_will(&mut self, message: &Message) {
        assert!(self.wills_due > 0, "a Will that was not to be sent");
        self.wills_due -= 1;
        assert_eq!(self.will.take().map(|will| will.message).as_ref(), Some(message));
    }
}

impl Copies {
    const MARK_LEN: usize = 8; // bytes

    /// Makes this message unlike any other.
    pub(super) fn mark(&mut self, message: &mut Message) {
        self.made += 1;
        message.payload = [&message.payload[..], &self.made.to_be_bytes()].concat().into();
    }

    /// The message as it was before it was marked.
    pub(super) fn unmarked(message: &Message) -> Message {
        let len = message.payload.len().checked_sub(Self::MARK_LEN).expect("a marked message");
        Message { payload: message.payload.slice(..len), ..message.clone() }
    }
}

impl Expected {
    /// Whether this is what the packet brings; only version 5 brings identifiers and properties.
    pub(super) fn is_of(&self, publish: &Publish, v5: bool) -> bool {
        let message = &publish.message;
        let plain = self.payload == message.payload
            && self.topic == message.topic.as_str()
            && (self.qos, self.retain) == (message.qos, message.retain);
        let mut ids = publish.subscription_ids.as_slice().to_vec();
        ids.sort_unstable();
        let more = ids == self.subscription_ids
            && self.properties == message.properties
            && self.expires_at.is_some() == message.expiry.is_some();
        plain && (more || !v5)
    }

    pub(super) fn is_expired(&self, now: Instant) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }
}
