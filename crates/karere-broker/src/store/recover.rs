//! What a log holds, as sessions, subscriptions and retained messages.
//!
//! Reading is idempotent: what belongs to nothing any more is removed, and a crash on the way finds the same.

use std::collections::BTreeMap;

use karere_core::broker::{
    EntryState, Restored, RestoredEntry, RestoredHeld, Retained, ShareKey, StoredMessage,
};
use karere_core::codec::PacketId;
use karere_core::{Instant, Text};
use karere_store::{Batch, Disk, Error, Key, Log};

use super::ledger::{Ledger, Session};
use super::records::{
    MessageRow, QueuedRow, SessionRow, SubscriptionRow, Terms, TimelineRow, WillRow, table,
};

/// The wall clock of a machine that was never told the time says less than this: milliseconds from 1970 to 2024.
const WALL_MIN: u64 = 1_704_067_200_000;
/// A broker is not away longer than this: a year, in milliseconds. What the wall clock says beyond it is a mistake.
const AWAY_MAX: u64 = 365 * 24 * 3600 * 1000;

/// What a log holds.
#[derive(Debug)]
pub struct Recovered {
    /// The sessions, in the order of their numbers.
    pub sessions: Vec<RecoveredSession>,
    /// The retained messages.
    pub retained: Vec<Retained>,
    /// Wills of sessions that are over: to be sent now. The key goes when they are.
    pub wills: Vec<(Key, WillRow)>,
    /// The numbers go on here.
    pub ledger: Ledger,
    /// The timeline goes on here.
    pub now: Instant,
    /// What belongs to nothing any more: to be removed.
    pub orphans: Batch,
    /// How many rows that is.
    pub orphans_len: usize,
    /// Rows that cannot be understood; they stay where they are.
    pub strange: usize,
}

/// A session that was stored.
#[derive(Debug)]
pub struct RecoveredSession {
    /// Its number.
    pub number: u64,
    /// What is known of it.
    pub row: SessionRow,
    /// Its subscriptions, each with its item.
    pub subscriptions: Vec<(u64, SubscriptionRow)>,
    /// Its messages.
    queued: Vec<(u64, Queued)>,
    held: Vec<(u64, Terms, u64, MessageRow)>,
    unreleased: Vec<PacketId>,
    will: Option<(u64, WillRow)>,
}

/// A message of a session.
#[derive(Debug)]
enum Queued {
    Kept(Terms, u64, MessageRow),
    Received(u64),
}

/// All rows, by what they are.
#[derive(Default)]
struct Rows {
    sessions: BTreeMap<u64, SessionRow>,
    subscriptions: Vec<(Key, SubscriptionRow)>,
    messages: BTreeMap<u64, MessageRow>,
    queued: Vec<(Key, QueuedRow)>,
    held: Vec<(Key, QueuedRow)>,
    unreleased: Vec<(Key, PacketId)>,
    retained: Vec<(Key, MessageRow)>,
    wills: Vec<(Key, WillRow)>,
    timeline: TimelineRow,
    strange: usize,
}

impl Recovered {
    /// Reads all of `log`. `wall_millis` is what the clock on the wall says, from 1970.
    ///
    /// # Errors
    /// What the disk says.
    pub fn read<D: Disk>(log: &Log<D>, wall_millis: u64) -> Result<Self, Error> {
        let mut rows = Rows::default();
        log.visit(|_| true, |key, value| rows.take(key, value))?;
        let mut sorting = Sorting::new(&mut rows);
        sorting.sort(&mut rows);
        Ok(sorting.finish(rows, wall_millis))
    }
}

impl Rows {
    fn take(&mut self, key: Key, value: &[u8]) {
        let known = match key.table {
            table::SESSION => SessionRow::decode(value).map(|row| _ = self.sessions.insert(key.owner, row)),
            table::SUBSCRIPTION => {
                SubscriptionRow::decode(value).map(|row| self.subscriptions.push((key, row)))
            }
            table::MESSAGE => MessageRow::decode(value).map(|row| _ = self.messages.insert(key.owner, row)),
            table::QUEUED => QueuedRow::decode(value).map(|row| self.queued.push((key, row))),
            table::HELD => QueuedRow::decode(value).map(|row| self.held.push((key, row))),
            table::UNRELEASED => {
                packet_id(key, value).map(|packet_id| self.unreleased.push((key, packet_id)))
            }
            table::RETAINED => MessageRow::decode(value).map(|row| self.retained.push((key, row))),
            table::META => TimelineRow::decode(value).map(|row| self.timeline = row),
            table::WILL => WillRow::decode(value).map(|row| self.wills.push((key, row))),
            _ => None,
        };
        self.strange += usize::from(known.is_none());
    }
}

/// Rows on their way to whom they belong to.
struct Sorting {
    sessions: BTreeMap<u64, RecoveredSession>,
    references: BTreeMap<u64, u32>,
    wills: Vec<(Key, WillRow)>,
    orphans: Batch,
    orphans_len: usize,
    next_session: u64,
    next_message: u64,
}

impl Sorting {
    fn new(rows: &mut Rows) -> Self {
        let sessions: BTreeMap<_, _> = std::mem::take(&mut rows.sessions)
            .into_iter()
            .map(|(number, row)| (number, RecoveredSession::new(number, row)))
            .collect();
        let last = |found: Option<&u64>| found.copied().unwrap_or(0) + 1;
        Self {
            next_session: last(sessions.keys().next_back()),
            next_message: last(rows.messages.keys().next_back()),
            sessions,
            references: BTreeMap::new(),
            wills: Vec::new(),
            orphans: Batch::new(),
            orphans_len: 0,
        }
    }

    fn sort(&mut self, rows: &mut Rows) {
        for (key, row) in rows.subscriptions.drain(..) {
            self.give(key, |session| session.subscriptions.push((key.item, row)));
        }
        for (key, packet_id) in rows.unreleased.drain(..) {
            self.give(key, |session| session.unreleased.push(packet_id));
        }
        for (key, row) in std::mem::take(&mut rows.queued) {
            let queued = match row {
                QueuedRow::Inline(terms, message) => Some(Queued::Kept(terms, 0, message)),
                QueuedRow::Received { order } => Some(Queued::Received(order)),
                QueuedRow::Reference(terms, number) => {
                    self.referred(key, rows, number).map(|message| Queued::Kept(terms, number, message))
                }
            };
            match queued {
                Some(queued) => self.give(key, |session| session.queued.push((key.item, queued))),
                None => self.orphan(key),
            }
        }
        for (key, row) in std::mem::take(&mut rows.held) {
            let held = match row {
                QueuedRow::Reference(terms, number) => {
                    self.referred(key, rows, number).map(|message| (key.item, terms, number, message))
                }
                _ => None,
            };
            match held {
                Some(held) => self.give(key, |session| session.held.push(held)),
                None => self.orphan(key),
            }
        }
        for (key, row) in rows.wills.drain(..) {
            self.next_session = self.next_session.max(key.owner + 1);
            match self.sessions.get_mut(&key.owner) {
                Some(session) => {
                    session.take_will(key, row).into_iter().for_each(|will| self.wills.push(will));
                }
                None => self.wills.push((key, row)),
            }
        }
    }

    fn finish(mut self, rows: Rows, wall_millis: u64) -> Recovered {
        for number in rows.messages.keys().filter(|number| !self.references.contains_key(number)) {
            self.orphans.remove(Key::new(table::MESSAGE, *number, 0));
            self.orphans_len += 1;
        }
        let now = continued(rows.timeline, wall_millis);
        let mut sessions: Vec<_> = self.sessions.into_values().collect();
        sessions.iter_mut().for_each(|session| session.queued.sort_by_key(|(sequence, _)| *sequence));
        sessions.iter_mut().for_each(|session| session.held.sort_by_key(|(number, ..)| *number));
        let retained = rows.retained.into_iter().map(|(key, row)| retained(key.owner, row)).collect();
        Recovered {
            sessions,
            retained,
            wills: self.wills,
            ledger: Ledger::continued(self.next_session, self.next_message, self.references),
            now,
            orphans: self.orphans,
            orphans_len: self.orphans_len,
            strange: rows.strange,
        }
    }

    /// Gives a row to its session; without one it goes.
    fn give(&mut self, key: Key, give: impl FnOnce(&mut RecoveredSession)) {
        self.next_session = self.next_session.max(key.owner + 1);
        match self.sessions.get_mut(&key.owner) {
            Some(session) => give(session),
            None => self.orphan(key),
        }
    }

    fn orphan(&mut self, key: Key) {
        self.orphans.remove(key);
        self.orphans_len += 1;
    }

    /// The message that a row of a session refers to.
    fn referred(&mut self, key: Key, rows: &Rows, number: u64) -> Option<MessageRow> {
        let message = rows.messages.get(&number)?.clone();
        if self.sessions.contains_key(&key.owner) {
            *self.references.entry(number).or_default() += 1;
        }
        Some(message)
    }
}

impl RecoveredSession {
    fn new(number: u64, row: SessionRow) -> Self {
        Self {
            number,
            row,
            subscriptions: Vec::new(),
            queued: Vec::new(),
            held: Vec::new(),
            unreleased: Vec::new(),
            will: None,
        }
    }

    /// How many messages it has.
    pub fn messages(&self) -> usize {
        self.queued.len() + self.held.len()
    }

    /// It in the ledger, and in the core. `share` is the group of a subscription, by its item; a connection that was there
    /// counts as gone since `now`.
    pub fn restore(self, now: Instant, share: impl Fn(u64) -> Option<ShareKey>) -> (Session, Text, Restored) {
        let named = self.queued.iter().filter_map(|(_, queued)| match queued {
            Queued::Kept(terms, ..) => Some(terms.share),
            Queued::Received(_) => None,
        });
        let next_item = self.subscriptions.iter().map(|(item, _)| *item).chain(named).max().unwrap_or(0) + 1;
        let mut session = Session::restored(
            self.number,
            self.row.username,
            next_item,
            self.will.as_ref().map(|(item, _)| *item),
        );
        let stored = |terms: Terms, tag, MessageRow { message, expires_at, .. }| StoredMessage {
            message,
            tag,
            qos: terms.qos,
            retain: terms.retain,
            subscription_ids: terms.subscription_ids,
            expires_at,
            shared: share(terms.share),
        };
        let entries = self.queued.into_iter().map(|(sequence, queued)| RestoredEntry {
            sequence,
            state: match queued {
                Queued::Kept(terms, tag, message) => EntryState::Kept(stored(terms, tag, message)),
                Queued::Received(order) => EntryState::Received { order },
            },
        });
        let mut restored = Restored {
            filters: self.subscriptions.iter().map(|(_, row)| row.filter.clone()).collect(),
            next_sequence: self.row.next_sequence,
            unsent_from: self.row.unsent_from,
            entries: entries.collect(),
            held: Vec::new(),
            unreleased: self.unreleased,
            will: self.will.map(|(_, row)| row.will),
            session_expiry: self.row.session_expiry,
            disconnected_at: self.row.disconnected_at.unwrap_or(now),
        };
        for (number, terms, tag, message) in self.held {
            session.restore_held(number, terms.clone());
            restored.held.push(RestoredHeld { number, message: stored(terms, tag, message) });
        }
        for (item, row) in self.subscriptions {
            session.restore_subscription(row.filter, item, share(item));
        }
        (session, self.row.client_id, restored)
    }

    /// The newest Will is the one that is to be sent some time; an older one was about to be sent when it ended.
    fn take_will(&mut self, key: Key, row: WillRow) -> Option<(Key, WillRow)> {
        let (older, newer) = match self.will.take() {
            None => (None, (key.item, row)),
            Some((item, before)) if item < key.item => (Some((item, before)), (key.item, row)),
            Some(before) => (Some((key.item, row)), before),
        };
        self.will = Some(newer);
        older.map(|(item, row)| (Key::new(key.table, key.owner, item), row))
    }
}

fn retained(sequence: u64, MessageRow { message, expires_at, publisher }: MessageRow) -> Retained {
    Retained { message, expires_at, publisher, sequence }
}

fn packet_id(key: Key, value: &[u8]) -> Option<PacketId> {
    (value == [1]).then_some(key.item).and_then(|item| PacketId::new(u16::try_from(item).ok()?))
}

/// The timeline goes on by what has passed on the wall meanwhile, as far as that can be believed.
fn continued(TimelineRow { at, wall_millis: then }: TimelineRow, now: u64) -> Instant {
    let believable = then >= WALL_MIN;
    at.plus_millis(if believable { now.saturating_sub(then).min(AWAY_MAX) } else { 0 })
}
