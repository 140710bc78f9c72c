//! What a resumed session sends again: what was sent and is not acknowledged, under the same packet identifiers, in the
//! same order, before anything new; and never what PUBREL was sent for.

use std::collections::BTreeMap;

use karere_core::codec::QoS;

use super::{Kind, Stored, Violations};
use crate::history::{History, Note};

/// A PUBLISH that was sent.
struct Flight {
    id: u16,
    message: u64,
    qos: QoS,
    /// PUBREC has come for it, and PUBREL was sent.
    received: bool,
    released: bool,
    /// It has come to its end, at that place of the history.
    finished: Option<usize>,
    /// What the store has of it was written down there.
    kept: Option<usize>,
    /// The broker has ended, and nobody knows whether it was stored.
    doubtful: bool,
    /// The connection that it was sent on last.
    wire: usize,
}

#[derive(Default)]
struct Session {
    flights: Vec<Flight>,
    wire: usize,
    /// The last identifier that was sent on this connection: they rise, as long as a run is too short for the first to
    /// come round again.
    last: Option<u16>,
}

#[derive(Default)]
struct Resume {
    sessions: BTreeMap<u32, Session>,
    wires: BTreeMap<usize, u32>,
    /// When a session has written a packet identifier down.
    kept: BTreeMap<(u32, u16), usize>,
    stored: Stored,
}

pub(super) fn check(history: &History, violations: &mut Violations) {
    let mut resume = Resume::default();
    for (at, entry) in history.entries.iter().enumerate() {
        violations.at = at + 1;
        resume.stored.take(&entry.note);
        resume.take(at, &entry.note, violations);
    }
}

impl Resume {
    fn take(&mut self, at: usize, note: &Note, violations: &mut Violations) {
        match note {
            Note::Attached { session, wire, .. } => {
                self.wires.insert(*wire, *session);
                let there = self.sessions.entry(*session).or_default();
                (there.wire, there.last) = (*wire, None);
            }
            Note::Kept { session, id } => _ = self.kept.insert((*session, *id), at),
            Note::Sent { wire, message, id: Some(id), qos, dup } => {
                let Some(session) = self.wires.get(wire).copied() else { return };
                let flight = Flight {
                    id: *id,
                    message: *message,
                    qos: *qos,
                    received: false,
                    released: false,
                    finished: None,
                    kept: self.kept.get(&(session, *id)).copied(),
                    doubtful: false,
                    wire: *wire,
                };
                let there = self.sessions.entry(session).or_default();
                if let Err((what, other)) = there.send(*wire, flight, *dup) {
                    let what = format!("session {session} {what}");
                    let messages: Vec<u64> = other.into_iter().chain([*message]).collect();
                    violations.add(Kind::Resume, Some(session), &messages, what);
                }
            }
            // Of at most one that was sent, and not acknowledged.
            Note::Moved { session, message } => {
                let there = self.sessions.get_mut(session).into_iter().flat_map(|there| &mut there.flights);
                let mut open = there.filter(|flight| flight.finished.is_none());
                if let Some(flight) =
                    open.find(|flight| flight.message == *message && flight.qos == QoS::AtLeastOnce)
                {
                    flight.finished = Some(at);
                }
            }
            Note::Received { wire, id } => self.flight(*wire, *id, |flight| flight.received = true),
            Note::Released { wire, id } => self.flight(*wire, *id, |flight| flight.released = true),
            Note::Finished { wire, id } => self.flight(*wire, *id, |flight| flight.finished = Some(at)),
            Note::Ended { session, .. } => _ = self.sessions.remove(session),
            Note::Halted { session, stored, .. } => {
                let certain = &self.stored;
                if let Some(there) = self.sessions.get_mut(session) {
                    there
                        .flights
                        .retain(|flight| *stored && !flight.finished.is_some_and(|at| certain.has(at)));
                    for flight in &mut there.flights {
                        // What goes at QoS 1 does not wait for the disk, and ends without waiting for it.
                        let is_kept = flight.kept.is_some_and(|at| certain.has(at));
                        flight.doubtful |=
                            flight.finished.take().is_some() || (flight.qos == QoS::AtLeastOnce && !is_kept);
                    }
                }
            }
            _ => {}
        }
    }

    fn flight(&mut self, wire: usize, id: u16, change: impl FnMut(&mut Flight)) {
        let session = self.wires.get(&wire).and_then(|session| self.sessions.get_mut(session));
        let flights = session.into_iter().flat_map(|session| &mut session.flights);
        flights
            .filter(|flight| flight.finished.is_none())
            .find(|flight| flight.id == id)
            .into_iter()
            .for_each(change);
    }
}

impl Session {
    /// What is wrong with sending this now, if anything is.
    fn send(&mut self, wire: usize, flight: Flight, dup: bool) -> Result<(), (String, Option<u64>)> {
        if self.wire != wire {
            return Ok(()); // of a connection that was taken over
        }
        let Flight { id, message, .. } = flight;
        self.flights.retain(|there| !there.doubtful || there.id != id || there.message == message);
        let open = |there: &&Flight| there.finished.is_none();
        match self.flights.iter_mut().find(|there| there.finished.is_none() && there.id == id) {
            Some(there) if there.message == message && there.released => {
                return Err((format!("sends message {message} again, for which PUBREL was sent"), None));
            }
            Some(there) if there.message == message => there.wire = wire,
            Some(there) => {
                let before = there.message;
                return Err((
                    format!("sends message {message} as {id}, which is message {before}'s"),
                    Some(before),
                ));
            }
            None => {
                // There may be another copy of it, which follows.
                let missing = |there: &&Flight| !there.doubtful && !there.received && there.wire != wire;
                let others = self.flights.iter().filter(open).filter(missing);
                let other = others.into_iter().find(|there| there.message == message);
                if let Some(other) = other.filter(|_| dup) {
                    return Err((
                        format!("sends message {message} again as {id}, not as {}", other.id),
                        None,
                    ));
                }
                self.flights.retain(|there| there.finished.is_none() || there.id != id);
                self.flights.push(flight);
            }
        }
        match self.last.replace(id) {
            Some(last) if last > id => {
                Err((format!("sends message {message} as {id} behind {last}, out of its order"), None))
            }
            _ => Ok(()),
        }
    }
}
