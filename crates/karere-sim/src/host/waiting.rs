//! Who waits for the disk, and what is done when it has done its work.

use karere_core::broker::{AckToken, Retained};
use karere_core::codec::{PacketId, QoS, ReasonCode, Subscribe};
use karere_core::store::StoreSequence;
use karere_core::topic::TopicFilter;

use super::vault::Entry;
use super::{Host, Stage};
use crate::agenda::Step;
use crate::around::Around;

/// What is done when all that was written down before is durable. Sessions and wires by their numbers.
pub(super) enum Waiter {
    /// A message is answered.
    Answer { session: u32, wire: usize, token: AckToken, reason: ReasonCode },
    /// A slot is told what of it is stored.
    Told(u32, Untold),
    /// A SUBSCRIBE is answered.
    Subscribed(Box<SubscribedWaiter>),
    /// An UNSUBSCRIBE is answered.
    Unsubscribed(Box<UnsubscribedWaiter>),
    /// CONNACK may leave.
    Connected { session: u32, wire: usize },
}

/// What a slot has not been told to be stored.
#[derive(Debug, Default)]
pub(super) struct Untold {
    pub(super) kept: Vec<u64>,
    pub(super) held: Vec<u64>,
    pub(super) record: Option<StoreSequence>,
    /// A packet waits for that.
    pub(super) urgent: bool,
}

pub(super) struct SubscribedWaiter {
    pub(super) session: u32,
    pub(super) wire: usize,
    pub(super) epoch: u32,
    pub(super) packet: Subscribe,
    pub(super) reasons: Vec<ReasonCode>,
    pub(super) retained: Vec<(Retained, QoS)>,
}

pub(super) struct UnsubscribedWaiter {
    pub(super) session: u32,
    pub(super) wire: usize,
    pub(super) epoch: u32,
    pub(super) packet_id: PacketId,
    pub(super) ended: Vec<TopicFilter>,
    pub(super) reasons: Vec<ReasonCode>,
}

impl Host {
    /// Has `waiter` wait for all that was appended until now; somebody waits for it, unless it is in no hurry.
    pub(super) fn wait(&mut self, around: &mut Around, waiter: Waiter) {
        let now = self.now(around);
        let wall = self.wall_millis(around);
        let Some(vault) = &mut self.vault else { return };
        vault.note_time(around, now, wall);
        let hurry = !matches!(&waiter, Waiter::Told(_, untold) if !untold.urgent);
        let ticket = if hurry { vault.commit(around) } else { vault.ticket() };
        let heard = vault.is_durable(ticket) || vault.is_doubted(ticket);
        vault.line.push_back(Entry { ticket, told: false, waiter });
        if heard {
            vault.expect_go(around);
        }
    }

    /// Some of those whose wait is over, in their order; then those who have to learn that it is not.
    pub(crate) fn go(&mut self, around: &mut Around, life: u32) {
        let turns = self.random.pick(&[1, 3, 64]);
        let Some(vault) = self.vault.as_mut().filter(|vault| vault.life == life) else { return };
        vault.going = false;
        let mut due = Vec::new();
        while due.len() < turns
            && vault.line.front().is_some_and(|entry| vault.is_durable(entry.ticket))
            && let Some(entry) = vault.line.pop_front()
        {
            due.push(entry.waiter);
        }
        let more = vault.line.front().is_some_and(|entry| vault.is_durable(entry.ticket));
        let mut doubted = Vec::new();
        if !more {
            let mut line = std::mem::take(&mut vault.line);
            for entry in line.iter_mut().filter(|entry| vault.is_doubted(entry.ticket)) {
                if !std::mem::replace(&mut entry.told, true) {
                    doubted.extend(entry.waiter.connection());
                }
            }
            vault.line = line;
        }
        if more {
            vault.going = true;
            around.later(self.random.pick(&[0, 0, 1]), Step::Go(life));
        }
        due.into_iter().for_each(|waiter| self.done(around, waiter));
        for (session, wire) in doubted {
            self.close_in_doubt(around, session, wire);
        }
    }

    fn done(&mut self, around: &mut Around, waiter: Waiter) {
        match waiter {
            Waiter::Answer { session, token, reason, .. } => {
                let now = self.now(around);
                self.places[session as usize].slot.handle_routed(now, token, reason);
                self.flush_of(around, session);
            }
            Waiter::Told(session, untold) => self.tell(around, session, untold),
            Waiter::Subscribed(waiter) => self.subscribed(around, *waiter),
            Waiter::Unsubscribed(waiter) => {
                let UnsubscribedWaiter { session, epoch, packet_id, ended, reasons, .. } = *waiter;
                let slot = &mut self.places[session as usize].slot;
                slot.handle_unsubscribed(epoch, packet_id, &ended, &reasons);
                self.flush_of(around, session);
            }
            Waiter::Connected { session, wire } => {
                let place = &mut self.places[session as usize];
                if place.wire == Some(wire) {
                    place.quiet = false;
                }
                self.flush_of(around, session);
            }
        }
    }

    /// Tells a slot what of it is stored, and does what comes of it.
    fn tell(&mut self, around: &mut Around, session: u32, untold: Untold) {
        let now = self.now(around);
        let slot = &mut self.places[session as usize].slot;
        let Untold { kept, held, record, .. } = untold;
        record.into_iter().for_each(|record| slot.handle_stored(now, record));
        if !held.is_empty() {
            slot.handle_held_stored(now, held);
        }
        if !kept.is_empty() {
            slot.handle_kept_stored(now, kept);
        }
        self.settle_effects(around, session);
        self.flush_of(around, session);
    }

    pub(super) fn flush_of(&mut self, around: &mut Around, session: u32) {
        if let Some(wire) = self.places[session as usize].wire {
            self.flush(around, wire);
        }
    }

    /// Closes a connection without an answer to what is in doubt.
    fn close_in_doubt(&mut self, around: &mut Around, session: u32, wire: usize) {
        let now = self.now(around);
        let place = &mut self.places[session as usize];
        if place.wire == Some(wire) && matches!(self.services[wire].stage, Stage::Talking(_)) {
            place.slot.disconnect(now, ReasonCode::ImplementationSpecificError);
            self.part(around, wire, session);
        }
    }
}

impl Waiter {
    /// The connection that is not to hear of what is in doubt.
    fn connection(&self) -> Option<(u32, usize)> {
        match self {
            Self::Answer { session, wire, .. } | Self::Connected { session, wire } => Some((*session, *wire)),
            Self::Subscribed(waiter) => Some((waiter.session, waiter.wire)),
            Self::Unsubscribed(waiter) => Some((waiter.session, waiter.wire)),
            Self::Told(..) => None,
        }
    }
}
