//! The end of the broker, at any moment, and what it finds when it is started again.

use karere_broker::store::{Recovered, RecoveredSession};
use karere_core::broker::{NewSubscription, Router, RouterLimits, ShareKey, Slot};
use karere_core::topic::TopicName;
use karere_store::{Change, Log, Simulated};

use super::booked::Booked;
use super::vault::{Vault, options};
use super::{Host, NEVER, Place, Stage};
use crate::agenda::Step;
use crate::around::Around;
use crate::check::Kind;
use crate::fault::Fault;
use crate::history::{self, Note, number_of};
use crate::plan::{Disk, Kill, PEERS_MAX, TOPICS, Trouble, TroubleKind};

impl Host {
    /// What its disk is asked next takes its end, or it ends now.
    pub(crate) fn kill(&mut self, around: &mut Around, number: usize) {
        let Some(kill) = self.kill_of(number) else { return };
        match &mut self.vault {
            Some(vault) if kill.within && !vault.doomed => {
                vault.doomed = true;
                self.doom = number;
            }
            Some(_) => self.die(around, number, None),
            None => {}
        }
    }

    /// It ends when its disk has seen so many changes.
    pub(crate) fn crash_at(&mut self, changes: usize) {
        self.crash_at = Some(changes);
    }

    /// How many changes its disk has seen since it was last started.
    pub(crate) fn changes(&self) -> usize {
        self.vault.as_ref().map_or(0, |vault| vault.disk.history().len())
    }

    /// What was to be written is taken.
    pub(crate) fn take(&mut self, around: &mut Around, life: u32) {
        self.work(around, life, Vault::take);
    }

    /// A sync ends.
    pub(crate) fn synced(&mut self, around: &mut Around, life: u32) {
        self.work(around, life, Vault::synced);
    }

    /// The disk fails.
    pub(crate) fn trouble(&mut self, around: &mut Around, number: usize) {
        let trouble = self.disk.as_ref().and_then(|disk| disk.troubles.get(number).copied());
        let (Some(vault), Some(Trouble { kind, millis, .. })) = (&self.vault, trouble) else { return };
        match kind {
            TroubleKind::Once(count) => vault.disk.fail_in(count, false),
            TroubleKind::Fails(count) => vault.disk.fail_in(count, true),
            TroubleKind::Full(room) => vault.disk.limit(Some(vault.disk.used() + room)),
        }
        around.later(millis, Step::Mend);
    }

    /// The disk works again.
    pub(crate) fn mend(&mut self) {
        if let Some(vault) = &self.vault {
            vault.disk.mend();
            vault.disk.limit(None);
        }
    }

    /// No more trouble: it works, and is fast.
    pub(crate) fn settle(&mut self) {
        self.mend();
        self.disk.iter_mut().for_each(|disk| disk.sync_millis_max = 2);
        self.vault.iter_mut().for_each(Vault::hurry);
    }

    /// Whether it is to be started.
    pub(crate) fn is_down(&self) -> bool {
        self.down.is_some()
    }

    pub(crate) fn life(&self) -> u32 {
        self.life
    }

    /// Starts, the first time or again.
    pub(crate) fn revive(&mut self, around: &mut Around, life: u32) {
        if life != self.life {
            return;
        }
        let (Some(disk), Some(plan)) = (self.down.take(), self.disk.clone()) else { return };
        self.life += 1;
        let Some((disk, log, recovered)) = self.open(around, disk, &plan) else { return };
        self.ahead = (recovered.now.as_millis() as i64) - (around.instant().as_millis() as i64);
        if self.life == 1 {
            self.ahead = 0; // nothing was there: the timeline begins with the one around
        }
        let Recovered { sessions, retained, wills, ledger, orphans, .. } = recovered;
        let alone = self.crash_at.is_some();
        self.vault = Some(Vault::new(self.seed, self.life, &plan, disk, log, ledger, alone));
        self.append(around, |_, batch| batch.append(&orphans));
        for retained in retained {
            if !around.faults.strikes(Fault::LoseRetained) {
                let _ = self.router.restore_retained(retained);
            }
        }
        for session in sessions {
            self.restore(around, session);
        }
        self.note_retained(around);
        around.note(Note::Revived { ahead: self.ahead, turned: self.turned });
        for (key, row) in wills {
            let session = self.numbers.get(&key.owner).copied().unwrap_or_default();
            self.route_now(around, session, row.will.message, Some(key));
        }
        // What was due meanwhile comes before anybody else does.
        let now = self.now(around);
        for session in 0..self.places.len() as u32 {
            let slot = &mut self.places[session as usize].slot;
            if !slot.is_ended() {
                let _ = slot.handle_timeout(now);
                self.settle_effects(around, session);
            }
        }
    }

    fn append(
        &mut self,
        around: &mut Around,
        change: impl FnOnce(&karere_broker::store::Ledger, &mut karere_store::Batch),
    ) {
        if let Some(vault) = &mut self.vault {
            vault.append(around, change);
        }
    }

    /// Has the disk do something, unless that is from another life; and is killed meanwhile, if it is to be.
    fn work(&mut self, around: &mut Around, life: u32, work: fn(&mut Vault, &mut Around)) {
        let Some(vault) = self.vault.as_mut().filter(|vault| vault.life == life) else { return };
        let crash_at = self.crash_at;
        let before = (vault.doomed || crash_at.is_some()).then(|| vault.disk.history().len());
        let heard = around.history.entries.len();
        work(vault, around);
        let after = crash_at.unwrap_or_else(|| before.map_or(usize::MAX, |before| before + 1));
        if before.is_some() && vault.disk.history().len() >= after {
            // Nobody has heard of the end of what the disk was doing.
            around.history.entries.truncate(heard);
            self.die(around, self.doom, before);
        }
    }

    /// It ends; somewhere in what the disk has done since `from`.
    fn die(&mut self, around: &mut Around, number: usize, from: Option<usize>) {
        let Some(kill) = self.kill_of(number) else { return };
        let Some(vault) = self.vault.take() else { return };
        let history = vault.disk.history();
        let from = from.unwrap_or(history.len());
        let until = match self.crash_at.take() {
            Some(changes) => changes.clamp(from, history.len()),
            None => from + self.random.below((history.len() - from + 1) as u64) as usize,
        };
        let how = format!("{:?}, {} of {} changes, {:?}", kill.tail, until, history.len(), &kill);
        self.end_all(around);
        around.note(Note::Killed { how });
        self.down = Some(Simulated::after(&history[..until], kill.tail));
        self.turned += kill.turned_millis;
        self.stutters = kill.stutters.then_some(kill.tail);
        around.later(kill.away_millis, Step::Revive(self.life));
    }

    /// All that is in memory is gone.
    fn end_all(&mut self, around: &mut Around) {
        for (session, place) in self.places.iter_mut().enumerate() {
            if !place.slot.is_ended() {
                let (session, counters) = (session as u32, place.slot.counters());
                around.note(Note::Halted { session, counters, stored: place.booked.is_some() });
            }
            let _ = place.slot.end(around.instant());
            (place.wire, place.armed, place.quiet, place.booked) = (None, NEVER, false, None);
            place.shared.clear();
        }
        for wire in 0..self.services.len() {
            let service = &mut self.services[wire];
            service.tasks.clear();
            service.leaving.clear();
            service.pressed.clear();
            if !matches!(std::mem::replace(&mut service.stage, Stage::Over), Stage::Over) {
                around.cut(wire, None);
            }
        }
        for (client_id, _) in std::mem::take(&mut self.late) {
            if let Some(peer) = client_id.as_str().strip_prefix("peer-").and_then(|peer| peer.parse().ok()) {
                around.note(Note::Late { peer, late: false });
            }
        }
        self.router = Router::new(self.seed, RouterLimits::default());
        self.names.clear();
    }

    /// Opens the log; with a stutter once more, after the first time was cut off.
    fn open(
        &mut self,
        around: &mut Around,
        mut disk: Simulated,
        plan: &Disk,
    ) -> Option<(Simulated, Log<Simulated>, Recovered)> {
        let wall_millis = self.wall_millis(around);
        let mut opened = open_once(&disk, plan, self.seed, wall_millis);
        if let (Some(tail), Ok((_, first))) = (self.stutters.take(), &opened) {
            let before = format!("{first:?}");
            let history = disk.history();
            let until = self.random.below(history.len() as u64 + 1) as usize;
            disk = Simulated::after(&history[..until.max(synced_once(&history))], tail);
            opened = open_once(&disk, plan, self.seed, wall_millis);
            if opened.as_ref().is_ok_and(|(_, second)| format!("{second:?}") != before) {
                let what = "what a recovery finds is not what the one before it has found".to_owned();
                around.history.offence(Kind::Session, what);
            }
        }
        match opened {
            Ok((log, recovered)) => {
                if recovered.strange > 0 {
                    let what = format!("{} rows that cannot be understood", recovered.strange);
                    around.history.offence(Kind::Session, what);
                }
                Some((disk, log, recovered))
            }
            Err(error) => {
                around.history.offence(Kind::Session, format!("the store cannot be opened: {error}"));
                None
            }
        }
    }

    /// A session is back.
    fn restore(&mut self, around: &mut Around, mut recovered: RecoveredSession) {
        let Some(place) = self.numbers.get(&recovered.number).copied() else {
            let what = format!("session {} of the store was never there", recovered.number);
            return around.history.offence(Kind::Session, what);
        };
        if !recovered.subscriptions.is_empty() && around.faults.strikes(Fault::LoseSubscription) {
            recovered.subscriptions.pop();
        }
        let mut shares: Vec<(u64, ShareKey)> = Vec::new();
        let mut filters = Vec::new();
        for (item, row) in &recovered.subscriptions {
            let (filter, options, subscription_id) = (&row.filter, row.options, row.subscription_id);
            let new = NewSubscription { session: place, filter, options, subscription_id };
            let _ = self.router.subscribe(&new);
            shares.extend(self.router.share_key(filter).map(|share| (*item, share)));
            filters.push((filter.as_str().to_owned(), options, subscription_id));
        }
        let (expiry, was_attached) = (recovered.row.session_expiry, recovered.row.disconnected_at.is_none());
        let row = recovered.row.clone();
        let share = |item: u64| shares.iter().find(|(of, _)| *of == item).map(|(_, share)| *share);
        let now = self.now(around);
        let (session, client_id, mut restored) = recovered.restore(now, share);
        super::spoil::spoil(&mut around.faults, now, &mut restored);
        let unreleased = restored.unreleased.iter().map(|id| id.get()).collect();
        let back = history::Restored { session: place, expiry, filters, unreleased };
        around.note(Note::Restored(Box::new(back)));
        let slot = Slot::restore(client_id.clone(), self.options.clone(), self.random.next(), restored);
        let booked = Some(Booked::new(session));
        let unsent_from = Some(slot.unsent_from());
        self.names.insert(client_id, place);
        self.places[place as usize] = Place {
            slot,
            wire: None,
            armed: NEVER,
            stored_at: 0,
            quiet: false,
            booked,
            shared: Vec::new(),
            will: None,
        };
        if was_attached {
            // From now on it is known when it was left, and what was not sent before.
            let row = karere_broker::store::SessionRow { disconnected_at: Some(now), unsent_from, ..row };
            let place = &mut self.places[place as usize];
            let will = place.slot.will().is_some();
            if let (Some(vault), Some(booked)) = (&mut self.vault, &mut place.booked) {
                vault.append(around, |_, batch| booked.session.detach(batch, &row, will));
            }
        }
    }

    fn note_retained(&self, around: &mut Around) {
        let topics = TOPICS.iter().filter(|topic| topic.starts_with("r/")).map(|topic| (*topic).to_owned());
        // And those of the Wills.
        for topic in topics.chain((0..PEERS_MAX).map(|peer| format!("w/{peer}"))) {
            let Ok(name) = TopicName::new(&topic) else { continue };
            let message = self.router.retained(&name).and_then(|kept| number_of(&kept.message.payload));
            around.note(Note::RestoredRetained { topic, message });
        }
    }

    fn kill_of(&self, number: usize) -> Option<Kill> {
        self.disk.as_ref()?.kills.get(number).copied()
    }
}

fn open_once(
    disk: &Simulated,
    plan: &Disk,
    seed: u64,
    wall_millis: u64,
) -> Result<(Log<Simulated>, Recovered), String> {
    let (log, report) = Log::open(disk.clone(), options(plan, seed)).map_err(|error| error.to_string())?;
    if !report.damages.is_empty() {
        return Err(format!("damaged where nothing was: {:?}", report.damages));
    }
    let recovered = Recovered::read(&log, wall_millis).map_err(|error| error.to_string())?;
    Ok((log, recovered))
}

/// A disk after a crash begins with what was left, and its names.
fn synced_once(history: &[Change]) -> usize {
    history.iter().position(|change| *change == Change::SyncNames).map_or(0, |at| at + 1)
}
