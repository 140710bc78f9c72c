//! What is put into the store, and what is removed, for each thing that happens.
//!
//! No thread, no clock and no disk: everything is written into a [`Batch`], so that the simulator runs this very code.
//! Whoever calls does so in the order in which things happen: what concerns one session under that session's lock.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use karere_core::broker::{Ending, Grant, ShareKey, StoredEntry};
use karere_core::codec::{PacketId, QoS, SubscribeOptions, Will};
use karere_core::store::Record;
use karere_core::topic::TopicFilter;
use karere_core::{Instant, Text};
use karere_store::{Batch, Key};
use parking_lot::Mutex;

use super::records::{
    MessageRef, QueuedRow, SessionRow, SubscriptionRow, Terms, TimelineRow, WillRow, table,
};

/// The numbers that were given, and how many sessions keep each message that has a number.
#[derive(Debug)]
pub struct Ledger {
    sessions: AtomicU64,
    messages: AtomicU64,
    references: Mutex<HashMap<u64, u32, FixedState>>,
}

/// One session in the store.
#[derive(Debug)]
pub struct Session {
    number: u64,
    username: Option<Text>,
    /// The items of its subscriptions.
    subscriptions: HashMap<TopicFilter, u64, FixedState>,
    /// Those of Shared Subscriptions, which say where a message of the group comes from.
    shares: Vec<(ShareKey, u64)>,
    next_item: u64,
    /// What the rows of what is held back say beside what the slot says when it is held back no longer.
    held: BTreeMap<u64, Terms>,
    /// The item of the Will that is to be sent, if there is one.
    will: Option<u64>,
    next_will: u64,
}

impl Default for Ledger {
    fn default() -> Self {
        Self::continued(1, 1, std::iter::empty())
    }
}

impl Ledger {
    /// A ledger whose next numbers are these, with the messages that are referred to and how often.
    pub fn continued(session: u64, message: u64, references: impl IntoIterator<Item = (u64, u32)>) -> Self {
        let mut map = HashMap::with_hasher(FixedState::default());
        map.extend(references);
        Self {
            sessions: AtomicU64::new(session.max(1)),
            messages: AtomicU64::new(message.max(1)),
            references: Mutex::new(map),
        }
    }

    /// A new session, without anything in it.
    pub fn session(&self) -> Session {
        Session::new(self.sessions.fetch_add(1, Relaxed))
    }

    /// A message that several sessions may keep. Returns its number, which the caller gives
    /// [back](Self::release) when it has been delivered to all.
    pub fn message(&self, batch: &mut Batch, message: &MessageRef<'_>) -> u64 {
        let number = self.messages.fetch_add(1, Relaxed);
        self.references.lock().insert(number, 1);
        message.put(batch, number);
        number
    }

    /// One who kept the message with this number keeps it no longer; 0 is none.
    pub fn release(&self, batch: &mut Batch, number: u64) {
        if number == 0 {
            return;
        }
        let mut references = self.references.lock();
        let Some(count) = references.get_mut(&number) else { return };
        *count -= 1;
        if *count == 0 {
            references.remove(&number);
            batch.remove(Key::new(table::MESSAGE, number, 0));
        }
    }

    /// A message is retained under a sequence number, in place of the one that was stored under `replaced`.
    pub fn retain(&self, batch: &mut Batch, replaced: Option<u64>, new: Option<(u64, &MessageRef<'_>)>) {
        replaced.into_iter().for_each(|replaced| self.forget_retained(batch, replaced));
        new.into_iter().for_each(|(sequence, message)| message.put_retained(batch, sequence));
    }

    /// A message is retained no longer.
    pub fn forget_retained(&self, batch: &mut Batch, sequence: u64) {
        batch.remove(Key::new(table::RETAINED, sequence, 0));
    }

    /// So late it is.
    pub fn timeline(&self, batch: &mut Batch, at: Instant, wall_millis: u64) {
        TimelineRow { at, wall_millis }.put(batch);
    }

    /// How many messages have a number.
    pub fn messages_len(&self) -> usize {
        self.references.lock().len()
    }

    /// A message of the session with this number has moved to another one, or to none.
    pub fn moved(&self, batch: &mut Batch, session: u64, entry: &StoredEntry) {
        batch.remove(Key::new(table::QUEUED, session, entry.sequence));
        self.release(batch, entry.tag);
    }

    fn refer(&self, number: u64) {
        *self.references.lock().entry(number).or_default() += 1;
    }
}

impl Session {
    fn new(number: u64) -> Self {
        Self {
            number,
            username: None,
            subscriptions: HashMap::with_hasher(FixedState::with_seed(number)),
            shares: Vec::new(),
            next_item: 1,
            held: BTreeMap::new(),
            will: None,
            next_will: 1,
        }
    }

    /// As the store has it.
    pub(super) fn restored(number: u64, username: Option<Text>, next_item: u64, will: Option<u64>) -> Self {
        let next_will = will.map_or(1, |item| item + 1);
        Self { username, next_item, will, next_will, ..Self::new(number) }
    }

    /// Moves all that is known of it out: it is over.
    pub fn take(&mut self) -> Self {
        let number = self.number;
        std::mem::replace(self, Self::new(number))
    }

    /// A subscription as the store has it.
    pub fn restore_subscription(&mut self, filter: TopicFilter, item: u64, share: Option<ShareKey>) {
        self.shares.extend(share.map(|share| (share, item)));
        self.subscriptions.insert(filter, item);
    }

    /// What was held back when the broker stopped.
    pub fn restore_held(&mut self, number: u64, terms: Terms) {
        self.held.insert(number, terms);
    }

    /// Its number.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The user name that its owner has connected with.
    pub fn username(&self) -> Option<&Text> {
        self.username.as_ref()
    }

    /// How many subscriptions it has.
    pub fn subscriptions(&self) -> usize {
        self.subscriptions.len()
    }

    /// Whether it has subscribed to this filter.
    pub fn has(&self, filter: &TopicFilter) -> bool {
        self.subscriptions.contains_key(filter)
    }

    /// Its owner has connected, with this user name and this Will. A Will that was to be sent is not.
    pub fn attach(&mut self, batch: &mut Batch, row: &SessionRow, will: Option<&Will>) {
        self.username.clone_from(&row.username);
        self.cancel_will(batch);
        if let Some(will) = will {
            WillRow::put(will, &row.client_id, batch, self.number, self.next_will);
            self.will = Some(self.next_will);
            self.next_will += 1;
        }
        row.put(batch, self.number);
    }

    /// Its connection has ended; `will`: there still is one to be sent. Whether there was one that is not.
    pub fn detach(&mut self, batch: &mut Batch, row: &SessionRow, will: bool) -> bool {
        let cancelled = self.will.is_some() && !will;
        if cancelled {
            self.cancel_will(batch);
        }
        row.put(batch, self.number);
        cancelled
    }

    /// The Will is about to be sent. What is returned is removed when it has been.
    pub fn send_will(&mut self) -> Option<Key> {
        self.will.take().map(|item| Key::new(table::WILL, self.number, item))
    }

    fn cancel_will(&mut self, batch: &mut Batch) {
        self.send_will().into_iter().for_each(|key| batch.remove(key));
    }

    /// It has a subscription, or other options for it.
    pub fn subscribe(
        &mut self,
        batch: &mut Batch,
        filter: &TopicFilter,
        options: SubscribeOptions,
        subscription_id: Option<u32>,
        share: Option<ShareKey>,
    ) {
        let item = self.subscriptions.get(filter).copied().unwrap_or_else(|| {
            let item = self.next_item;
            self.next_item += 1;
            self.subscriptions.insert(filter.clone(), item);
            item
        });
        self.shares.retain(|(_, of)| *of != item);
        self.shares.extend(share.map(|share| (share, item)));
        SubscriptionRow { filter: filter.clone(), options, subscription_id }.put(batch, self.number, item);
    }

    /// It has a subscription no longer.
    pub fn unsubscribe(&mut self, batch: &mut Batch, filter: &TopicFilter) {
        if let Some(item) = self.subscriptions.remove(filter) {
            self.shares.retain(|(_, of)| *of != item);
            batch.remove(Key::new(table::SUBSCRIPTION, self.number, item));
        }
    }

    /// It keeps a message. With a `tag` the message is stored under that, else here.
    pub fn keep(
        &self,
        ledger: &Ledger,
        batch: &mut Batch,
        sequence: u64,
        terms: &Terms,
        (tag, message): (u64, &MessageRef<'_>),
    ) {
        if tag == 0 {
            return message.put_queued(batch, self.number, sequence, terms);
        }
        ledger.refer(tag);
        terms.put_reference(batch, self.number, sequence, tag);
    }

    /// It holds a message back until it has a sequence number.
    pub fn hold(&mut self, ledger: &Ledger, batch: &mut Batch, number: u64, terms: Terms, tag: u64) {
        ledger.refer(tag);
        terms.put_held(batch, self.number, number, tag);
        self.held.insert(number, terms);
    }

    /// On which terms it gets a message.
    pub fn terms(&self, qos: QoS, retain: bool, grant: &Grant) -> Terms {
        let share = grant
            .shared
            .and_then(|key| self.shares.iter().find(|(share, _)| *share == key))
            .map(|(_, of)| *of);
        Terms { qos, retain, subscription_ids: grant.subscription_ids.clone(), share: share.unwrap_or(0) }
    }

    /// What the slot has recorded.
    pub fn record(&mut self, ledger: &Ledger, batch: &mut Batch, record: &Record) {
        match *record {
            Record::Received { sequence, tag, order } => {
                QueuedRow::put_received(batch, self.number, sequence, order);
                ledger.release(batch, tag);
            }
            Record::Finished { sequence, tag, .. } | Record::Dropped { sequence, tag, .. } => {
                self.forget(ledger, batch, sequence, tag);
            }
            Record::Numbered { number, sequence, tag, qos, retain } => {
                let terms = self.held.remove(&number).unwrap_or_default();
                Terms { qos, retain, ..terms }.put_reference(batch, self.number, sequence, tag);
                batch.remove(Key::new(table::HELD, self.number, number));
            }
            Record::HeldDropped { number, tag, .. } => self.forget_held(ledger, batch, number, tag),
            Record::Released { packet_id } => batch.remove(self.unreleased_key(packet_id)),
        }
    }

    /// A message at QoS 2 has come with this identifier, and all that it brings is in the same batch.
    pub fn receive(&self, batch: &mut Batch, packet_id: PacketId) {
        batch.put_with(self.unreleased_key(packet_id), |out| out.push(1));
    }

    /// It is over. A Will that is still to be sent stays until it has been; messages that move to others stay until
    /// they have.
    pub fn end(&mut self, ledger: &Ledger, batch: &mut Batch, ending: &Ending) {
        ending.records.iter().for_each(|record| self.record(ledger, batch, record));
        ending.entries.iter().for_each(|entry| self.forget(ledger, batch, entry.sequence, entry.tag));
        ending.held.iter().for_each(|(number, tag)| self.forget_held(ledger, batch, *number, *tag));
        ending.unreleased.iter().for_each(|packet_id| batch.remove(self.unreleased_key(*packet_id)));
        for (_, item) in self.subscriptions.drain() {
            batch.remove(Key::new(table::SUBSCRIPTION, self.number, item));
        }
        if ending.will.is_none() {
            self.cancel_will(batch);
        }
        batch.remove(Key::new(table::SESSION, self.number, 0));
    }

    fn forget(&self, ledger: &Ledger, batch: &mut Batch, sequence: u64, tag: u64) {
        batch.remove(Key::new(table::QUEUED, self.number, sequence));
        ledger.release(batch, tag);
    }

    fn forget_held(&mut self, ledger: &Ledger, batch: &mut Batch, number: u64, tag: u64) {
        self.held.remove(&number);
        batch.remove(Key::new(table::HELD, self.number, number));
        ledger.release(batch, tag);
    }

    fn unreleased_key(&self, packet_id: PacketId) -> Key {
        Key::new(table::UNRELEASED, self.number, u64::from(packet_id.get()))
    }
}
