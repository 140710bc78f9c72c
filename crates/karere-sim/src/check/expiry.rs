//! No message is sent for the first time after its expiry.

use std::collections::BTreeMap;

use super::{Kind, Violations};
use crate::history::{History, Note};

/// How late one may go, in milliseconds: it may wait for CONNACK, which waits for the disk.
const LATE_MILLIS_MAX: i64 = 1_500;

pub(super) fn check(history: &History, violations: &mut Violations) {
    let mut routed: BTreeMap<u64, i64> = BTreeMap::new();
    let mut ahead = 0;
    for (at, entry) in history.entries.iter().enumerate() {
        violations.at = at + 1;
        let now = entry.at as i64 + ahead;
        match &entry.note {
            Note::Revived { ahead: now_ahead, .. } => ahead = *now_ahead,
            Note::Routed { message, .. } => _ = routed.insert(*message, now),
            Note::Sent { message, dup: false, .. } => {
                let (Some(expiry), Some(since)) =
                    (history.messages[*message as usize].expiry, routed.get(message))
                else {
                    continue;
                };
                if now > since + 1_000 * i64::from(expiry) + LATE_MILLIS_MAX {
                    let what = format!(
                        "message {message} of {since} ms is sent at {now} ms, and expires after {expiry} s"
                    );
                    violations.add(Kind::Expiry, None, &[*message], what);
                }
            }
            _ => {}
        }
    }
}
