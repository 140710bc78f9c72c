//! What a broker that ends leaves of what was to happen: what it has promised, and of the rest nobody knows.

use karere_core::broker::SlotCounters;
use karere_core::codec::QoS;

use super::{Cause, Claim, Kept, Ledger, Subscription, sum};
use crate::history::{History, Restored};

impl Ledger {
    /// The publisher is told that the broker has a message.
    pub(super) fn promise(&mut self, history: &History, wire: usize, message: u64) {
        let session = self.wires.get(&wire).copied();
        let (at, exactly_once) = (self.at, history.messages[message as usize].qos == QoS::ExactlyOnce);
        for route in self.routes.get_mut(&message).into_iter().flatten() {
            let same = if exactly_once { Some(route.session) == session } else { route.wire == Some(wire) };
            route.promised = route.promised.or(same.then_some(at));
        }
    }

    /// A SUBSCRIBE is answered: what was retained is written down behind that.
    pub(super) fn confirm(&mut self, packet: (usize, u16)) {
        let Some(session) = self.wires.get(&packet.0).copied() else { return };
        let at = self.at;
        let of_session = self.copies.range_mut((session, 0)..=(session, u64::MAX));
        for claim in of_session.flat_map(|(_, copies)| &mut copies.claims) {
            if let Cause::Retained { by, answered } = &mut claim.cause
                && *by == packet
            {
                answered.get_or_insert(at);
            }
        }
    }

    /// The broker has ended: what it has promised nobody may be gone.
    pub(super) fn weaken(&mut self, history: &History) {
        self.life += 1;
        let Self { copies, shares, routes, stored, sessions, .. } = self;
        let is_certain = |message: u64, index: usize| {
            let route = &routes[&message][index];
            route.promised.is_some() || (history.messages[message as usize].is_will && stored.has(route.at))
        };
        for ((session, message), copies) in copies {
            // What a session that was not stored has got, it has got.
            let is_stored = sessions.get(session).is_some_and(|session| session.awaited);
            let exactly_once = history.messages[*message as usize].qos == QoS::ExactlyOnce;
            for claim in copies.claims.iter_mut().filter(|claim| claim.must && claim.qos > QoS::AtMostOnce) {
                claim.must = match claim.cause {
                    Cause::Route { index, .. } => is_certain(*message, index),
                    Cause::Retained { answered, .. } => answered.is_some_and(|at| stored.has(at)),
                };
            }
            for claim in &mut copies.claims {
                if let Cause::Route { index, .. } = claim.cause {
                    claim.void |= is_stored
                        && exactly_once
                        && claim.qos == QoS::ExactlyOnce
                        && !is_certain(*message, index);
                }
            }
        }
        for ((_, message), share) in shares {
            share.shaken = true;
            share.owed &= share.routes.iter().any(|index| is_certain(*message, *index));
        }
    }

    /// A QoS 2 message is routed again that its publisher's session has brought before a restart: then nothing was left
    /// of the first time, and nobody has got it.
    pub(super) fn replace_void(&mut self, message: u64, publisher: u32) {
        for ((_, of), copies) in &mut self.copies {
            let is_void = |claim: &Claim| match claim.cause {
                Cause::Route { publisher: by, .. } => claim.void && by == publisher,
                Cause::Retained { .. } => false,
            };
            if *of == message {
                copies.claims.retain(|claim| !is_void(claim));
            }
        }
        let life = self.life;
        for ((_, of), share) in &mut self.shares {
            let routes = self.routes.get(of).map(Vec::as_slice).unwrap_or_default();
            let is_void = |index: &usize| {
                let route = &routes[*index];
                route.life < life && route.promised.is_none() && route.session == publisher
            };
            if *of == message {
                let before = share.routes.len();
                share.routes.retain(|index| !is_void(index));
                share.once -= (before - share.routes.len()) as u32;
                share.again |= before > share.routes.len();
            }
        }
    }

    pub(super) fn halt(&mut self, session: u32, counters: &SlotCounters, stored: bool) {
        self.change(session, |session| {
            session.before = sum(&session.before, counters);
            session.counters = session.before;
            session.wire = None;
            session.awaited = stored;
            session.ended = !stored;
            session.lost = !stored;
        });
    }

    pub(super) fn restore(&mut self, restored: &Restored) {
        let at = self.at;
        self.change(restored.session, |session| {
            // Its end was not stored: what came of it meanwhile, nobody can say.
            session.misled |= session.ended;
            (session.ended, session.awaited) = (false, false);
            session.expiry = restored.expiry;
            let before = std::mem::take(&mut session.filters);
            for (filter, options, id) in &restored.filters {
                let since = before.get(filter).map_or(at, |there| there.since);
                session.filters.insert(filter.clone(), Subscription { options: *options, id: *id, since });
            }
        });
    }

    pub(super) fn restore_retained(&mut self, history: &History, topic: &str, message: Option<u64>) {
        match message {
            Some(message) => {
                let peer = history.messages[message as usize].publisher;
                self.retained.insert(topic.to_owned(), Kept { message, peer });
            }
            None => _ = self.retained.remove(topic),
        }
    }

    /// Who is not back now never will be.
    pub(super) fn revive(&mut self) {
        for session in self.sessions.values_mut().filter(|session| session.awaited) {
            (session.awaited, session.ended, session.lost) = (false, true, true);
            session.filters.clear();
        }
    }
}
