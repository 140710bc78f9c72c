//! Who gets a message: subscriptions, shared subscriptions and retained messages in one place.

use alloc::vec::Vec;
use core::hash::Hash;
use core::num::NonZeroU32;

use super::retained::{Retained, RetainedLimits, RetainedStore};
use super::share::{Groups, ShareKey, SharedTarget};
use crate::codec::{Message, QoS, ReasonCode, RetainHandling, SubscribeOptions, SubscriptionIds};
use crate::text::Text;
use crate::time::Instant;
use crate::topic::{FilterTree, Limits, TopicFilter, TopicName, TreeError};

#[cfg(test)]
mod tests;

/// Subscriptions and retained messages of all sessions.
///
/// `S` is the host's short name for a session, a number best. It stands for one session for as long as that
/// has a subscription here.
///
/// [`route`](Self::route) needs no more than a read lock around this. What has to happen in one step is one
/// call: with [`subscribe_with_retained`](Self::subscribe_with_retained) and
/// [`retain_and_route`](Self::retain_and_route) a new subscriber gets a retained message either in its
/// snapshot or as it is published, never both and never neither.
pub struct Router<S> {
    subscriptions: FilterTree<Subscriber<S>, Granted>,
    groups: Groups<S>,
    retained: RetainedStore,
    subscriptions_max: usize,
}

/// How much a [`Router`] keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouterLimits {
    /// Depth and nodes of the tree of filters.
    pub filters: Limits,
    /// Subscriptions of all sessions, shared ones too; 10,000,000. Then [`ReasonCode::QuotaExceeded`].
    pub subscriptions_max: usize,
    /// Sessions in one Shared Subscription; 65,536. Then [`ReasonCode::QuotaExceeded`].
    pub share_members_max: usize,
    /// What the retained messages may take.
    pub retained: RetainedLimits,
}

impl Default for RouterLimits {
    fn default() -> Self {
        Self {
            filters: Limits::default(),
            subscriptions_max: 10_000_000,
            share_members_max: 65_536,
            retained: RetainedLimits::default(),
        }
    }
}

/// One subscription as a session makes it.
#[derive(Debug, Clone, Copy)]
pub struct NewSubscription<'a, S> {
    /// Whose it is.
    pub session: S,
    /// What it is to.
    pub filter: &'a TopicFilter,
    /// How; the QoS is the one granted. No Local means nothing for a shared one ([MQTT-3.8.3-4] is for
    /// whoever reads the packet).
    pub options: SubscribeOptions,
    /// The Subscription Identifier, 1 to 268,435,455.
    pub subscription_id: Option<u32>,
}

/// A subscription is in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subscribed {
    /// Whether this session had subscribed to this filter before, and has only new options now
    /// [MQTT-3.8.4-3].
    pub existed: bool,
}

/// Where a message comes from.
#[derive(Debug, Clone, Copy)]
pub struct Publisher<'a, S> {
    /// The publishing session.
    pub session: S,
    /// Its Client Identifier. A retained message keeps a clone: it should hold on to no read buffer.
    pub client_id: &'a Text,
}

/// Where one copy of a message goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target<S> {
    /// To this session.
    Session {
        /// Which one.
        session: S,
        /// On which terms.
        grant: Grant,
    },
    /// To one session of a Shared Subscription (section 4.8.2).
    Shared(SharedTarget<S>),
}

/// The terms on which a session gets a message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Grant {
    /// The QoS granted: the message goes out with this or with its own, whichever is lower.
    pub qos: QoS,
    /// Whether RETAIN stays as the publisher set it; otherwise it is cleared [MQTT-3.3.1-12] [MQTT-3.3.1-13].
    pub retain_as_published: bool,
    /// The identifiers of all subscriptions that matched [MQTT-3.3.4-4].
    pub subscription_ids: SubscriptionIds,
    /// The Shared Subscription that the copy comes from.
    pub shared: Option<ShareKey>,
}

impl<S: Copy + Eq + Ord + Hash> Router<S> {
    /// An empty router. `seed` should be one that clients cannot guess.
    #[must_use]
    pub fn new(seed: u64, limits: RouterLimits) -> Self {
        Self {
            subscriptions: FilterTree::new(seed, limits.filters),
            groups: Groups::new(limits.share_members_max),
            retained: RetainedStore::new(seed, limits.retained),
            subscriptions_max: limits.subscriptions_max,
        }
    }

    /// Makes a subscription, or replaces the options of one that is there [MQTT-3.8.4-3].
    ///
    /// # Errors
    /// [`ReasonCode::TopicFilterInvalid`] for a filter that is too deep, [`ReasonCode::QuotaExceeded`] when a
    /// limit is reached. Nothing has changed then.
    pub fn subscribe(&mut self, new: &NewSubscription<'_, S>) -> Result<Subscribed, ReasonCode> {
        if let Some((_, filter)) = new.filter.share() {
            return self.subscribe_shared(new, filter);
        }
        let subscriber = Subscriber::Session(new.session);
        let full = self.subscriptions_len() >= self.subscriptions_max;
        if full && self.subscriptions.get(new.filter, &subscriber).is_none() {
            return Err(ReasonCode::QuotaExceeded);
        }
        let replaced =
            self.subscriptions.insert(new.filter, subscriber, Granted::new(new)).map_err(filter_reason)?;
        Ok(Subscribed { existed: replaced.is_some() })
    }

    /// As [`subscribe`](Self::subscribe), and appends to `snapshot` the retained messages that are to be sent
    /// for it, in the same step.
    ///
    /// Which those are is what Retain Handling says [MQTT-3.3.1-9] [MQTT-3.3.1-10] [MQTT-3.3.1-11], none for
    /// a Shared Subscription (section 4.8.2), none that has expired, and with No Local none that this Client
    /// Identifier has published [MQTT-3.8.3-3]. They are as published: the QoS is still to be lowered to the
    /// one granted, and each clone shares the memory of the stored one.
    ///
    /// # Errors
    /// As [`subscribe`](Self::subscribe).
    pub fn subscribe_with_retained(
        &mut self,
        now: Instant,
        client_id: &str,
        new: &NewSubscription<'_, S>,
        snapshot: &mut Vec<Retained>,
    ) -> Result<Subscribed, ReasonCode> {
        let subscribed = self.subscribe(new)?;
        let wanted = match new.options.retain_handling {
            RetainHandling::SendAtSubscribe => true,
            RetainHandling::SendIfNew => !subscribed.existed,
            RetainHandling::DoNotSend => false,
        };
        if wanted && new.filter.share().is_none() {
            let no_local = new.options.no_local.then_some(client_id);
            self.retained.matching(now, new.filter, |retained| {
                if no_local.is_none() || retained.publisher.as_deref() != no_local {
                    snapshot.push(retained.clone());
                }
            });
        }
        Ok(subscribed)
    }

    /// Ends a subscription. Returns whether there was one.
    pub fn unsubscribe(&mut self, session: S, filter: &TopicFilter) -> bool {
        let Some((_, levels)) = filter.share() else {
            return self.subscriptions.remove(filter, &Subscriber::Session(session)).is_some();
        };
        let Some(left) = self.groups.leave(filter, session) else { return false };
        if let Some(ended) = left.ended {
            self.subscriptions.remove(levels, &Subscriber::Group(ended));
        }
        true
    }

    /// Ends the subscriptions of a session that ends.
    pub fn remove_session<'a>(&mut self, session: S, filters: impl IntoIterator<Item = &'a TopicFilter>) {
        for filter in filters {
            self.unsubscribe(session, filter);
        }
    }

    /// Stores a message that was published with RETAIN, without routing it: the application's own, or `$SYS`.
    ///
    /// One without payload removes what is stored for its topic, and is not stored [MQTT-3.3.1-6]
    /// [MQTT-3.3.1-7]. Returns the sequence number under which it was done, see [`Retained::sequence`].
    ///
    /// # Errors
    /// [`ReasonCode::TopicNameInvalid`] for a topic that is too deep, [`ReasonCode::QuotaExceeded`] when a
    /// limit is reached. Nothing has changed then.
    pub fn retain(
        &mut self,
        now: Instant,
        publisher: Option<&Text>,
        message: &Message,
    ) -> Result<u64, ReasonCode> {
        self.retained.retain(now, publisher, message)
    }

    /// Stores a message that was published with RETAIN and finds its targets, in one step.
    ///
    /// # Errors
    /// As [`retain`](Self::retain), and there are no targets. A publisher that cannot be told (QoS 0, or
    /// version 3) may be better served by a [`route`](Self::route) then: the message is delivered, but not
    /// kept.
    pub fn retain_and_route(
        &mut self,
        now: Instant,
        publisher: Option<Publisher<'_, S>>,
        message: &Message,
        targets: &mut Vec<Target<S>>,
    ) -> Result<u64, ReasonCode> {
        targets.clear();
        let sequence = self.retain(now, publisher.as_ref().map(|publisher| publisher.client_id), message)?;
        self.route(publisher.map(|publisher| publisher.session), &message.topic, targets);
        Ok(sequence)
    }

    /// Puts a retained message back that was stored before a restart, as it was handed out.
    ///
    /// # Errors
    /// As [`retain`](Self::retain).
    pub fn restore_retained(&mut self, retained: Retained) -> Result<(), ReasonCode> {
        self.retained.restore(retained)
    }

    /// Removes retained messages that have expired, and hands each to `expired`: 10,000 at most, so that the
    /// lock is not held for long. [`next_expiry`](Self::next_expiry) is still past when there are more.
    pub fn expire_retained(&mut self, now: Instant, expired: impl FnMut(Retained)) {
        self.retained.expire(now, expired);
    }

    /// Finds the targets of a message to `topic`. `targets` is emptied first.
    ///
    /// A session with several subscriptions that match is one target: with the highest QoS granted
    /// [MQTT-3.3.4-2], all identifiers [MQTT-3.3.4-4], and RETAIN as published if one of them asks for it.
    /// Those with No Local do not count for the publisher itself [MQTT-3.8.3-3]. Each Shared Subscription
    /// that matches is a target of its own, and its turn goes on.
    ///
    /// Allocates nothing but what `targets` needs to grow, and room for a session's second identifier.
    pub fn route(&self, publisher: Option<S>, topic: &str, targets: &mut Vec<Target<S>>) {
        targets.clear();
        let mut filters = 0;
        self.subscriptions.matching_entries(topic, |entries| {
            filters += 1;
            let entries = entries.as_slice();
            targets.reserve(entries.len());
            for (to, granted) in entries {
                if let Some(target) = self.target(publisher, *to, granted) {
                    targets.push(target);
                }
            }
        });
        // On one filter each session is there once, and nearly always one filter is all that matched.
        if filters > 1 {
            merge_overlapping(targets);
        }
    }

    /// The next turn of a Shared Subscription: for a message that was given to a member whose session has
    /// ended since (section 4.8.2). `None` once nobody subscribes to it any more.
    pub fn next_turn(&self, key: ShareKey) -> Option<SharedTarget<S>> {
        self.groups.turn(key)
    }

    /// The key of the Shared Subscription with this filter (`$share/..`), while somebody subscribes to it.
    #[must_use]
    pub fn share_key(&self, filter: &TopicFilter) -> Option<ShareKey> {
        self.groups.key(filter)
    }

    /// The filter (`$share/..`) of a Shared Subscription, while somebody subscribes to it: what a store knows it by.
    #[must_use]
    pub fn share_filter(&self, key: ShareKey) -> Option<&Text> {
        self.groups.filter(key)
    }

    /// How many subscriptions there are, those of each member of a Shared Subscription too.
    #[must_use]
    pub fn subscriptions_len(&self) -> usize {
        self.subscriptions.len() - self.groups.len() + self.groups.members_len()
    }

    /// The retained message of this topic, even if it has expired and is only not removed yet.
    #[must_use]
    pub fn retained(&self, topic: &TopicName) -> Option<&Retained> {
        self.retained.get(topic)
    }

    /// How many retained messages there are.
    #[must_use]
    pub fn retained_len(&self) -> usize {
        self.retained.len()
    }

    /// What they take: topics, payloads and properties, in bytes.
    #[must_use]
    pub fn retained_bytes(&self) -> usize {
        self.retained.bytes()
    }

    /// When the next retained message expires.
    #[must_use]
    pub fn next_expiry(&self) -> Option<Instant> {
        self.retained.next_expiry()
    }

    /// The memory that the subscriptions take without the Shared ones' members, in bytes, as far as
    /// capacities tell. Looks at every node of the tree.
    #[must_use]
    pub fn subscriptions_memory_bytes(&self) -> usize {
        self.subscriptions.memory_bytes()
    }

    fn subscribe_shared(
        &mut self,
        new: &NewSubscription<'_, S>,
        levels: &str,
    ) -> Result<Subscribed, ReasonCode> {
        let existed = self.groups.is_member(new.filter, new.session);
        if !existed && self.subscriptions_len() >= self.subscriptions_max {
            return Err(ReasonCode::QuotaExceeded);
        }
        let key = self.groups.key_for(new.filter);
        let granted = Granted::new(new);
        // First the tree, which may refuse: the same key for the same group replaces nothing.
        self.subscriptions.insert(levels, Subscriber::Group(key), granted).map_err(filter_reason)?;
        let grant = Grant { shared: Some(key), ..granted.grant() };
        if self.groups.join(key, new.filter, new.session, grant) {
            return Ok(Subscribed { existed });
        }
        if !self.groups.contains(key) {
            self.subscriptions.remove(levels, &Subscriber::Group(key));
        }
        Err(ReasonCode::QuotaExceeded)
    }

    fn target(&self, publisher: Option<S>, to: Subscriber<S>, granted: &Granted) -> Option<Target<S>> {
        match to {
            Subscriber::Session(session) if granted.no_local && publisher == Some(session) => None,
            Subscriber::Session(session) => Some(Target::Session { session, grant: granted.grant() }),
            Subscriber::Group(key) => self.groups.turn(key).map(Target::Shared),
        }
    }
}

/// What hangs on a filter.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Subscriber<S> {
    Session(S),
    Group(ShareKey),
}

/// What is kept of a subscription: 8 bytes, because there are as many as there are subscriptions. Of a
/// group's nothing is read.
#[derive(Clone, Copy)]
struct Granted {
    subscription_id: Option<NonZeroU32>,
    qos: QoS,
    no_local: bool,
    retain_as_published: bool,
}

impl Granted {
    fn new<S>(new: &NewSubscription<'_, S>) -> Self {
        let SubscribeOptions { qos, no_local, retain_as_published, .. } = new.options;
        let subscription_id = new.subscription_id.and_then(NonZeroU32::new);
        Self { subscription_id, qos, no_local, retain_as_published }
    }

    fn grant(&self) -> Grant {
        Grant {
            qos: self.qos,
            retain_as_published: self.retain_as_published,
            subscription_ids: self.subscription_id.map(NonZeroU32::get).into(),
            shared: None,
        }
    }
}

fn merge_overlapping<S: Copy + Ord>(targets: &mut Vec<Target<S>>) {
    targets.sort_unstable_by_key(|target| match target {
        Target::Session { session, .. } => Some(*session),
        Target::Shared(_) => None,
    });
    targets.dedup_by(|later, kept| match (later, kept) {
        (Target::Session { session: a, grant: later }, Target::Session { session: b, grant: kept })
            if a == b =>
        {
            kept.qos = kept.qos.max(later.qos);
            kept.retain_as_published |= later.retain_as_published;
            kept.subscription_ids.extend(later.subscription_ids.as_slice().iter().copied());
            true
        }
        _ => false,
    });
}

fn filter_reason(error: TreeError) -> ReasonCode {
    match error {
        TreeError::TooDeep { .. } => ReasonCode::TopicFilterInvalid,
        TreeError::Full { .. } => ReasonCode::QuotaExceeded,
    }
}
