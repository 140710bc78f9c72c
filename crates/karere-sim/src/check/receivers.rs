//! What sessions outside groups got: nothing lost, nothing twice, in order, as published.

use std::collections::BTreeMap;

use karere_core::broker::SlotCounters;
use karere_core::codec::QoS;

use super::model::{Copies, Ledger};
use super::{Kind, Violations};
use crate::history::{History, Note};

/// How often a session got a message.
#[derive(Default)]
struct Got {
    all: u32,
    at_qos0: u32,
    /// Those that may not come twice: at QoS 0 and 2.
    once: u32,
    /// Those without DUP.
    new: u32,
}

/// Payloads of at least this many bytes may be too large for some clients.
const LARGE_BYTES: usize = 300;

pub(super) fn check(history: &History, ledger: &Ledger, violations: &mut Violations) {
    let mut got: BTreeMap<(u32, u64), Got> = BTreeMap::new();
    let mut last = BTreeMap::new();
    let mut newest = BTreeMap::new();
    for entry in &history.entries {
        let Note::Got { wire, message, qos, dup, retain, ids, .. } = &entry.note else { continue };
        let Some(session) = ledger.wires.get(wire).copied() else { continue };
        let there = &ledger.sessions[&session];
        if there.misled || there.group.is_some() {
            continue;
        }
        let Some(copies) = ledger.copies.get(&(session, *message)) else {
            let kind = if *retain { Kind::Retained } else { Kind::Duplicate };
            let what = format!("session {session} got message {message}, which was not for it");
            violations.add(kind, Some(session), &[*message], what);
            continue;
        };
        let got = got.entry((session, *message)).or_default();
        got.all += 1;
        got.at_qos0 += u32::from(*qos == QoS::AtMostOnce);
        got.once += u32::from(*qos != QoS::AtLeastOnce);
        got.new += u32::from(!dup);
        let form = (*qos, *retain, ids.iter().copied().collect());
        if !copies.forms.contains(&form) {
            let what = format!("session {session} got message {message} as {form:?}, not {:?}", copies.forms);
            violations.add(Kind::Content, Some(session), &[*message], what);
        }
        let letter = &history.messages[*message as usize];
        // The newest of all, and of those that were retained after it.
        let newest = newest.entry((session, &letter.topic, *qos)).or_insert([0, 0]);
        match copies.only_retained {
            // Where the connection went before SUBACK, nothing else was held back behind it.
            Some(subscribed) if got.all == 1 && newest[usize::from(copies.unanswered)] > subscribed => {
                let what = format!("session {session} got {message}, retained before, after what came since");
                violations.add(Kind::Retained, Some(session), &[*message], what);
            }
            None if copies.first.is_some() => {
                let routed = ledger.routes[message][0].at;
                let since = if letter.retain { &mut newest[..] } else { &mut newest[..1] };
                since.iter_mut().for_each(|newest| *newest = (*newest).max(routed));
            }
            _ => {}
        }
        if got.all == 1 && is_in_order(history, ledger, session, *message, *qos, copies) {
            let stream = (session, letter.publisher, &letter.topic, letter.qos, *qos);
            let before = last.entry(stream).or_insert(*message);
            if *before > *message {
                let what = format!("session {session} got message {message} after {before}");
                violations.add(Kind::Order, Some(session), &[*message, *before], what);
            }
            *before = (*before).max(*message);
        }
    }
    too_many(ledger, &got, violations);
    too_few(history, ledger, &got, violations);
}

/// Whether a message has a place in the order of its publisher: not as a retained one, not when the session did not
/// get it the first time that it was routed, and no Will.
fn is_in_order(
    history: &History,
    ledger: &Ledger,
    session: u32,
    message: u64,
    qos: QoS,
    copies: &Copies,
) -> bool {
    let routed_again = ledger.routes.get(&message).is_some_and(|routes| routes.len() > 1);
    let may_have_lost = qos == QoS::AtMostOnce || super::dropped(&ledger.sessions[&session].counters) > 0;
    let letter = &history.messages[message as usize];
    let has_a_place = copies.first == Some(qos) && !copies.retained && !letter.is_will;
    has_a_place && (!routed_again || !may_have_lost)
}

fn too_many(ledger: &Ledger, got: &BTreeMap<(u32, u64), Got>, violations: &mut Violations) {
    for ((session, message), got) in got {
        let Some(copies) = ledger.copies.get(&(*session, *message)) else { continue };
        let most = copies.most();
        if got.once > most || got.new > most {
            let kind = if copies.retained { Kind::Retained } else { Kind::Duplicate };
            let times = got.once.max(got.new);
            let what = format!("session {session} got message {message} {times} times, not {most}");
            violations.add(kind, Some(*session), &[*message], what);
        }
    }
}

/// What is missing must be among what its session has counted as dropped.
fn too_few(history: &History, ledger: &Ledger, got: &BTreeMap<(u32, u64), Got>, violations: &mut Violations) {
    let mut sessions: BTreeMap<u32, Missing> = BTreeMap::new();
    for ((session, message), copies) in &ledger.copies {
        if !ledger.is_settled(*session) {
            continue;
        }
        let got = got.get(&(*session, *message));
        let at_qos0 = got.map_or(0, |got| got.at_qos0);
        let numbered = copies.must.saturating_sub(got.map_or(0, |got| got.all - got.at_qos0));
        let unnumbered = copies.must_at_qos0.saturating_sub(at_qos0);
        if numbered + unnumbered > 0 {
            let missing = sessions.entry(*session).or_default();
            let large = history.messages[*message as usize].payload_bytes >= LARGE_BYTES;
            *(if large { &mut missing.large } else { &mut missing.small }) += u64::from(numbered);
            missing.at_qos0 += u64::from(unnumbered);
            missing.messages.push(*message);
        }
    }
    for (session, missing) in sessions {
        if missing.is_explained(&ledger.sessions[&session].counters) {
            continue;
        }
        for message in missing.messages {
            let copies = &ledger.copies[&(session, message)];
            let kind = if copies.retained { Kind::Retained } else { Kind::Loss };
            let what =
                format!("session {session} lacks message {message}, of which it was to get {}", copies.must);
            violations.add(kind, Some(session), &[message], what);
        }
    }
}

/// What a session lacks.
#[derive(Default)]
struct Missing {
    /// Copies at QoS > 0 that no client finds too large.
    small: u64,
    /// Copies at QoS > 0 that some do.
    large: u64,
    at_qos0: u64,
    messages: Vec<u64>,
}

impl Missing {
    /// Each has its permitted end, and its count.
    fn is_explained(&self, counters: &SlotCounters) -> bool {
        let SlotCounters { dropped_queue_full: full, dropped_too_large: large, .. } = *counters;
        let unsent = counters.dropped_slow + counters.dropped_offline;
        let numbered = self.small + self.large;
        self.small <= full && numbered <= full + large && numbered + self.at_qos0 <= full + large + unsent
    }
}
