//! The broker's disk: the log and the ledger as they ship, and one commit after the other, each of which takes its time.
//!
//! What `karere_store::Store` does in a thread of its own is here done in steps of the agenda: somebody appends to the
//! open batch, it is taken (also in the midst of somebody's appending, unless that is to be one batch), handed to the
//! disk, and synced a while later. What was not synced when the broker is killed is the disk's to lose.

use std::collections::VecDeque;

use karere_broker::store::Ledger;
use karere_store::{Batch, Durability, Log, Options, Simulated};

use super::waiting::Waiter;
use crate::agenda::Step;
use crate::around::Around;
use crate::fault::Fault;
use crate::history::Note;
use crate::plan;
use crate::random::Random;

/// What nobody waits for is written after so long, in milliseconds.
const UNASKED_MILLIS: u64 = 20;
/// How long a disk that has failed is left alone, in milliseconds.
const RETRY_MILLIS: u64 = 500;
/// Bytes kept back for a full disk.
const RESERVE_BYTES: u64 = 3_000;
/// Gone through in the oldest segment, at least, between two syncs.
const COMPACT_BYTES: u64 = 1_000;
/// How often the timeline is written, at most, in milliseconds.
const TIMELINE_MILLIS: u64 = 1_000;

/// The broker's disk, and who waits for it.
pub(super) struct Vault {
    pub(super) disk: Simulated,
    log: Log<Simulated>,
    pub(super) ledger: Ledger,
    open: Batch,
    /// There is something in it, and somebody waits for that.
    begun: bool,
    urgent: bool,
    /// What is appended is to be one batch.
    grouped: bool,
    stage: Stage,
    taken: u64,
    durable: u64,
    doubted: u64,
    /// A fault: a batch that is written behind the next one.
    delayed: Option<Batch>,
    /// When the timeline was last written.
    pub(super) noted: Option<u64>,
    pub(super) line: VecDeque<Entry>,
    /// Their turn is on the agenda.
    pub(super) going: bool,
    pub(super) life: u32,
    sync_millis_max: u64,
    random: Random,
    /// The broker is killed while the disk does what it is asked next.
    pub(super) doomed: bool,
    /// The disk takes nothing in the midst of a step.
    alone: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Idle,
    /// It has been told to write, and is to sync.
    Writing,
    /// It has failed, and is left alone for a while.
    Failing,
}

/// One who waits.
pub(super) struct Entry {
    pub(super) ticket: u64,
    /// It was told that what it waits for is in doubt.
    pub(super) told: bool,
    pub(super) waiter: Waiter,
}

/// Why something new is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    Failing,
    Full,
}

pub(super) fn options(plan: &plan::Disk, seed: u64) -> Options {
    Options {
        durability: Durability::Fsync,
        segment_bytes: plan.segment_bytes,
        slack_bytes: plan.slack_bytes,
        reserve_bytes: RESERVE_BYTES,
        seed,
    }
}

impl Vault {
    pub(super) fn new(
        seed: u64,
        life: u32,
        plan: &plan::Disk,
        disk: Simulated,
        log: Log<Simulated>,
        ledger: Ledger,
        alone: bool,
    ) -> Self {
        Self {
            disk,
            log,
            ledger,
            open: Batch::new(),
            begun: false,
            urgent: false,
            grouped: false,
            stage: Stage::Idle,
            taken: 0,
            durable: 0,
            doubted: 0,
            delayed: None,
            noted: None,
            line: VecDeque::new(),
            going: false,
            life,
            sync_millis_max: plan.sync_millis_max,
            random: Random::new(seed, 3 + u64::from(life)),
            doomed: false,
            alone,
        }
    }

    /// Has `change` add to the open batch.
    pub(super) fn append<R>(
        &mut self,
        around: &mut Around,
        change: impl FnOnce(&Ledger, &mut Batch) -> R,
    ) -> R {
        if self.urgent && !self.grouped && !self.alone && self.random.percent(10) {
            self.take(around);
        }
        let result = change(&self.ledger, &mut self.open);
        if !self.open.is_empty() && !self.begun {
            self.begun = true;
            self.expect(around, UNASKED_MILLIS);
        }
        result
    }

    /// What is appended until the [end](Self::end_group) is one batch.
    pub(super) fn group(&mut self) {
        self.grouped = true;
    }

    pub(super) fn end_group(&mut self) {
        self.grouped = false;
    }

    /// Has all that was appended until now written. The ticket stands for it.
    pub(super) fn commit(&mut self, around: &mut Around) -> u64 {
        if !self.begun {
            return self.taken;
        }
        if !std::mem::replace(&mut self.urgent, true) {
            let delay = self.random.pick(&[0, 0, 1]);
            self.expect(around, delay);
        }
        self.taken + 1
    }

    /// The ticket of all that was appended until now, without hurry.
    pub(super) fn ticket(&self) -> u64 {
        self.taken + u64::from(self.begun)
    }

    /// Whether something new is refused.
    pub(super) fn refuses(&self) -> Option<Refused> {
        match (self.log.is_failing(), self.log.is_full()) {
            (true, _) => Some(Refused::Failing),
            (false, true) => Some(Refused::Full),
            (false, false) => None,
        }
    }

    /// The open batch is handed to the disk.
    pub(super) fn take(&mut self, around: &mut Around) {
        if self.stage != Stage::Idle || self.grouped || !(self.begun || self.has_work()) {
            return;
        }
        self.take_batch(around);
        self.stage = Stage::Writing;
        let late = if self.log.flush().is_err() { 0 } else { self.random.between(0, self.sync_millis_max) };
        around.later(late, Step::Synced(self.life));
    }

    /// The sync ends, or the disk is tried again.
    pub(super) fn synced(&mut self, around: &mut Around) {
        let before = self.stage;
        self.stage = Stage::Idle;
        if before == Stage::Failing {
            self.take_batch(around);
        }
        let written = match () {
            () if self.log.is_failing() && before == Stage::Writing => Err(()),
            () if self.log.is_failing() => self.log.recover().map_err(drop),
            () if around.faults.strikes(Fault::SkipSync) => Ok(()),
            () => self.log.sync().map_err(drop),
        };
        // A fault: an error of the disk is taken for nothing.
        let durable = written.is_ok() || around.faults.is(Fault::AcknowledgeInDoubt);
        if self.delayed.is_none() || written.is_err() {
            self.report(around, durable);
        }
        if written.is_ok() {
            self.tidy();
        }
        if self.log.is_failing() {
            self.stage = Stage::Failing;
            around.later(RETRY_MILLIS, Step::Synced(self.life));
        } else if self.urgent || self.has_work() || self.delayed.is_some() {
            around.later(0, Step::Take(self.life));
        } else if self.begun {
            self.expect(around, UNASKED_MILLIS);
        }
    }

    /// From now on a sync takes no time to speak of.
    pub(super) fn hurry(&mut self) {
        self.sync_millis_max = 2;
    }

    /// So late it is.
    pub(super) fn note_time(&mut self, around: &mut Around, now: karere_core::Instant, wall_millis: u64) {
        if self.noted.is_none_or(|noted| now.as_millis().saturating_sub(noted) >= TIMELINE_MILLIS) {
            self.noted = Some(now.as_millis());
            self.append(around, |ledger, batch| ledger.timeline(batch, now, wall_millis));
        }
    }

    /// Whether all that this ticket stands for is durable, or in doubt.
    pub(super) fn is_durable(&self, ticket: u64) -> bool {
        ticket <= self.durable
    }

    pub(super) fn is_doubted(&self, ticket: u64) -> bool {
        ticket <= self.doubted
    }

    fn take_batch(&mut self, around: &mut Around) {
        if std::mem::take(&mut self.begun) {
            self.taken += 1;
        }
        self.urgent = false;
        around.note(Note::Taken { ticket: self.taken, before: around.began });
        let batch = std::mem::take(&mut self.open);
        let delayed = self.delayed.take();
        if delayed.is_none() && !batch.is_empty() && around.faults.strikes(Fault::CommitOutOfOrder) {
            self.delayed = Some(batch);
            return;
        }
        for batch in [Some(batch), delayed].into_iter().flatten().filter(|batch| !batch.is_empty()) {
            let _ = self.log.append(&batch);
        }
    }

    fn report(&mut self, around: &mut Around, durable: bool) {
        let ticket = self.taken;
        if durable && ticket > self.durable {
            self.durable = ticket;
            around.note(Note::Durable { ticket });
        } else if !durable && ticket > self.durable.max(self.doubted) {
            self.doubted = ticket;
            around.note(Note::InDoubt { ticket });
        } else {
            return;
        }
        self.expect_go(around);
    }

    /// Who waits is to have their turn.
    pub(super) fn expect_go(&mut self, around: &mut Around) {
        if !std::mem::replace(&mut self.going, true) {
            let delay = self.random.pick(&[0, 0, 0, 1]);
            around.later(delay, Step::Go(self.life));
        }
    }

    fn has_work(&self) -> bool {
        self.log.pending_bytes() > 0 || self.log.wants_compaction() || self.delayed.is_some()
    }

    /// Makes room.
    fn tidy(&mut self) {
        if self.log.is_full() {
            let _ = self.log.refill();
        }
        if self.log.wants_compaction() {
            let _ = self.log.compact(COMPACT_BYTES);
        }
    }

    fn expect(&self, around: &mut Around, millis: u64) {
        if self.stage == Stage::Idle {
            around.later(millis, Step::Take(self.life));
        }
    }
}
