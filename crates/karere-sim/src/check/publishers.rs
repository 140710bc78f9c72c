//! What became of what was published, as its publisher sees it.

use std::collections::{BTreeMap, BTreeSet};

use karere_core::codec::QoS;

use super::model::{Ledger, Route};
use super::{Kind, Violations};
use crate::history::{History, Note};

pub(super) fn check(history: &History, ledger: &Ledger, violations: &mut Violations) {
    routes(history, ledger, violations);
    let mut waiting: BTreeMap<usize, BTreeSet<u64>> = BTreeMap::new();
    for entry in &history.entries {
        match &entry.note {
            Note::Published { peer, message }
                if history.messages[*message as usize].qos > QoS::AtMostOnce =>
            {
                waiting.entry(*peer).or_default().insert(*message);
            }
            Note::Answered { peer, message, reason } => {
                waiting.entry(*peer).or_default().remove(message);
                let has_number = history.messages[*message as usize].payload_bytes > 0;
                if has_number && !reason.is_error() && !ledger.routes.contains_key(message) {
                    let what = format!("message {message} was acknowledged to peer {peer} and never routed");
                    violations.add(Kind::Loss, None, &[*message], what);
                }
            }
            Note::GivenUp { peer, message } => {
                waiting.entry(*peer).or_default().remove(message);
                if history.messages[*message as usize].expiry.is_none() {
                    let what = format!("peer {peer} has given message {message} up, which does not expire");
                    violations.add(Kind::Loss, None, &[*message], what);
                }
            }
            Note::Restarted { peer } => _ = waiting.remove(peer),
            _ => {}
        }
    }
    for (peer, messages) in waiting {
        for message in messages {
            let what = format!("peer {peer} never hears what became of message {message}");
            violations.add(Kind::Stuck, None, &[message], what);
        }
    }
}

/// At QoS 0 a message is routed once, at QoS 1 once a connection, at QoS 2 once a session of its publisher; once more
/// if the broker has ended before it has said that it has the message.
fn routes(history: &History, ledger: &Ledger, violations: &mut Violations) {
    for (message, routes) in &ledger.routes {
        let letter = &history.messages[*message as usize];
        let mut seen = BTreeSet::new();
        for Route { session, wire, life, at, .. } in routes {
            let had = |route: &Route| {
                let before = route.session == *session && route.life < *life;
                before && route.promised.is_some_and(|promised| promised < *at)
            };
            let new = match letter.qos {
                // A Will is sent again, when nobody knows whether it was.
                _ if letter.is_will => seen.insert((*session, None, *life)),
                QoS::AtMostOnce => seen.insert((0, None, 0)),
                QoS::AtLeastOnce => seen.insert((*session, *wire, 0)),
                QoS::ExactlyOnce => seen.insert((*session, None, *life)) && !routes.iter().any(had),
            };
            if !new {
                let what = format!("message {message} was routed twice for session {session}, wire {wire:?}");
                violations.add(Kind::Duplicate, None, &[*message], what);
            }
        }
    }
}
