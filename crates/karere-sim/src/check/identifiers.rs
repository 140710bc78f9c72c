//! The identifiers of incoming QoS 2 messages: kept from PUBREC to PUBREL, and given up with PUBCOMP, over restarts too.

use std::collections::BTreeMap;

use karere_core::codec::QoS;

use super::{Kind, Violations};
use crate::history::{History, Note};

/// How far an exchange has come, as its publisher knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// PUBREC has left.
    Received,
    /// PUBREL has come.
    Releasing,
    /// PUBCOMP has left.
    Completed,
}

pub(super) fn check(history: &History, violations: &mut Violations) {
    let mut stages: BTreeMap<(u32, u16), Stage> = BTreeMap::new();
    let mut wires = BTreeMap::new();
    for (at, entry) in history.entries.iter().enumerate() {
        violations.at = at + 1;
        let (wire, id, stage) = match &entry.note {
            Note::Attached { session, wire, .. } => {
                wires.insert(*wire, *session);
                continue;
            }
            Note::Acked { wire, id, message: Some(message) }
                if history.messages[*message as usize].qos == QoS::ExactlyOnce =>
            {
                (wire, *id, Some(Stage::Received))
            }
            // Of one without a number, or another's exchange under the same identifier.
            Note::Acked { wire, id, .. } => (wire, *id, None),
            Note::Releasing { wire, id } => (wire, *id, Some(Stage::Releasing)),
            Note::Completed { wire, id } => (wire, *id, Some(Stage::Completed)),
            Note::Ended { session, .. } => {
                stages.retain(|(of, _), _| of != session);
                continue;
            }
            Note::Restored(restored) => {
                let session = restored.session;
                for ((_, id), stage) in stages.range((session, 0)..=(session, u16::MAX)) {
                    let there = restored.unreleased.contains(id);
                    let wrong = match stage {
                        Stage::Received => !there,
                        Stage::Completed => there,
                        Stage::Releasing => false,
                    };
                    if wrong {
                        let is = if there { "is" } else { "is not" };
                        let what =
                            format!("identifier {id} of session {session}, {stage:?}, {is} there again");
                        violations.add(Kind::Session, Some(session), &[], what);
                    }
                }
                continue;
            }
            _ => continue,
        };
        let Some(session) = wires.get(wire) else { continue };
        match stage {
            Some(stage) => _ = stages.insert((*session, id), stage),
            None => _ = stages.remove(&(*session, id)),
        }
    }
}
