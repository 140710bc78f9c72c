//! The ledger on its store.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{SystemTime, UNIX_EPOCH};

use karere_core::Instant;
use karere_core::broker::{DropReason, Retained};
use karere_core::codec::ReasonCode;
use karere_core::store::Record;
use karere_core::topic::TopicName;
use karere_store::{Batch, Group, Refused, Store};
use parking_lot::Mutex;

use super::ledger::Ledger;
use super::records::MessageRef;
use super::waiting::{Waiter, Waiting};
use crate::counters::add;
use crate::sync::Arc;

/// How often the timeline is written, at most, in milliseconds.
const TIMELINE_MILLIS: u64 = 1000;

/// The ledger on its store, and who waits for the disk.
pub(crate) struct Durable {
    ledger: Ledger,
    store: Store,
    waiting: Arc<Waiting>,
    /// Acknowledgements wait for the disk.
    waits: bool,
    /// When the timeline was last written.
    noted: AtomicU64,
    /// Topics whose retained message is in memory only: it came at QoS 0 while the disk took nothing new.
    unstored: Mutex<HashSet<TopicName>>,
    pub(crate) count: Count,
}

/// What has become of what was kept.
#[derive(Debug, Default)]
pub(crate) struct Count {
    pub(crate) kept: AtomicU64,
    pub(crate) finished: AtomicU64,
    pub(crate) expired: AtomicU64,
    pub(crate) queue_full: AtomicU64,
    pub(crate) too_large: AtomicU64,
    pub(crate) refused_by_receiver: AtomicU64,
    pub(crate) session_ended: AtomicU64,
    pub(crate) retained_replaced: AtomicU64,
    /// PUBLISH packets and CONNECTs that the disk did not allow.
    pub(crate) refused: AtomicU64,
}

impl Durable {
    pub(super) fn new(ledger: Ledger, store: Store, waiting: Arc<Waiting>, waits: bool) -> Self {
        let (noted, unstored, count) = (AtomicU64::new(0), Mutex::default(), Count::default());
        Self { ledger, store, waiting, waits, noted, unstored, count }
    }

    /// A message is retained, or with none what was retained is gone; `replaced` was stored before. `promised`: somebody
    /// will be told that it is stored. Whether there is something to wait for. Under the hub's lock.
    pub(crate) fn retain(
        &self,
        topic: &TopicName,
        replaced: Option<u64>,
        new: Option<(u64, &MessageRef<'_>)>,
        promised: bool,
    ) -> bool {
        add(&self.count.retained_replaced, u64::from(replaced.is_some()));
        let mut unstored = self.unstored.lock();
        let replaced = if unstored.remove(topic) { None } else { replaced };
        // What promises nothing is not to pile up in front of a disk that takes nothing new.
        let new = match new {
            Some(_) if !promised && self.store.refuses().is_some() => {
                unstored.insert(topic.clone());
                None
            }
            new => new,
        };
        if replaced.is_none() && new.is_none() {
            return false;
        }
        self.append(|ledger, batch| ledger.retain(batch, replaced, new));
        true
    }

    /// The disk works: what is retained in memory only is written down. `find` finds it.
    pub(crate) fn catch_up(&self, find: impl Fn(&TopicName, &mut dyn FnMut(&Retained))) {
        if self.store.refuses().is_some() {
            return;
        }
        let unstored = std::mem::take(&mut *self.unstored.lock());
        for topic in unstored {
            find(&topic, &mut |retained| {
                let row = MessageRef {
                    message: &retained.message,
                    expires_at: retained.expires_at,
                    publisher: retained.publisher.as_ref(),
                };
                self.append(|ledger, batch| ledger.retain(batch, None, Some((retained.sequence, &row))));
            });
        }
    }

    /// Writes down a change, all of it at once. Under the lock of what it is about.
    pub(crate) fn append<R>(&self, change: impl FnOnce(&Ledger, &mut Batch) -> R) -> R {
        self.store.append(|batch| change(&self.ledger, batch))
    }

    /// What is written down until the end of what is returned is there together or not at all. Not under any lock.
    pub(crate) fn group(&self) -> Group<'_> {
        self.store.group()
    }

    /// Has `waiter` wait until all that was written down until now is durable; or only until somebody comes to it,
    /// where nobody waits for the disk.
    pub(crate) fn wait(&self, now: Instant, waiter: Waiter) {
        self.note_time(now);
        self.waiting.push(self.waits.then_some(&self.store), waiter);
    }

    /// Whether anything waits for the disk.
    pub(crate) fn waits(&self) -> bool {
        self.waits
    }

    /// Whether what is new is refused, and with which reason.
    pub(crate) fn refuses(&self) -> Option<(Refused, ReasonCode)> {
        self.store.refuses().map(|refused| match refused {
            Refused::Full => (refused, ReasonCode::QuotaExceeded),
            Refused::Failing => (refused, ReasonCode::ImplementationSpecificError),
        })
    }

    pub(crate) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    pub(super) fn waiting(&self) -> &Arc<Waiting> {
        &self.waiting
    }

    /// Writes what is left, and lets the disk go.
    pub(crate) fn close(&self, now: Instant) {
        self.noted.store(0, Relaxed);
        self.note_time(now);
        self.store.close();
        self.waiting.close();
    }

    /// Counts what the slot has recorded.
    pub(crate) fn count(&self, record: &Record) {
        let counter = match record {
            Record::Finished { .. } => &self.count.finished,
            Record::Dropped { reason, .. } | Record::HeldDropped { reason, .. } => match reason {
                DropReason::Expired => &self.count.expired,
                DropReason::TooLarge => &self.count.too_large,
                _ => &self.count.queue_full,
            },
            _ => return,
        };
        add(counter, 1);
    }

    fn note_time(&self, now: Instant) {
        let (now_millis, noted) = (now.as_millis(), self.noted.load(Relaxed));
        let due = now_millis.saturating_sub(noted) >= TIMELINE_MILLIS || noted == 0;
        if due && self.noted.compare_exchange(noted, now_millis.max(1), Relaxed, Relaxed).is_ok() {
            self.append(|ledger, batch| ledger.timeline(batch, now, wall_millis()));
        }
    }
}

/// Milliseconds from 1970, as the clock on the wall has it.
pub(super) fn wall_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
