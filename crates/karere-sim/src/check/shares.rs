//! What groups got: each message one member, and at QoS 2 the one that it was sent to first.

use std::collections::{BTreeMap, BTreeSet};

use karere_core::codec::QoS;

use super::model::{Ledger, Share};
use super::{Kind, Violations};
use crate::history::{History, Note};

/// What a group did with one message.
#[derive(Default)]
struct Work {
    got: u32,
    /// At QoS 2, by session.
    got_once: BTreeMap<u32, u32>,
    /// Without DUP, at QoS 1.
    got_new: u32,
    /// Who was sent it at QoS 2.
    sent: BTreeSet<u32>,
    /// Who was given it, and how often, while that connection lasts.
    holders: BTreeMap<u32, u32>,
    /// How many copies are looking for another member, because a connection was lost.
    homeless: u32,
    /// How many have found one.
    given_over: u32,
    given: BTreeSet<u32>,
}

pub(super) fn check(history: &History, ledger: &Ledger, violations: &mut Violations) {
    let mut works: BTreeMap<(&str, u64), Work> = BTreeMap::new();
    let group_of = |session: u32| ledger.sessions.get(&session).and_then(|there| there.group.as_deref());
    for entry in &history.entries {
        match &entry.note {
            Note::Given { session, message, group: true, how } => {
                let Some(group) = group_of(*session) else { continue };
                use karere_core::broker::Delivered::{Absent, Ended};
                if !matches!(how, Absent | Ended) {
                    let work = works.entry((group, *message)).or_default();
                    if work.homeless > 0 {
                        work.homeless -= 1;
                        work.given_over += 1;
                    }
                    *work.holders.entry(*session).or_default() += 1;
                    work.given.insert(*session);
                }
            }
            Note::Detached { session } | Note::Ended { session, .. } | Note::Halted { session, .. } => {
                for work in works.values_mut() {
                    work.homeless += work.holders.remove(session).unwrap_or_default();
                }
            }
            Note::Sent { wire, message, qos: QoS::ExactlyOnce, .. } => {
                let Some(session) = ledger.wires.get(wire).copied() else { continue };
                let Some(group) = group_of(session) else { continue };
                works.entry((group, *message)).or_default().sent.insert(session);
            }
            Note::Got { wire, message, qos, dup, .. } => {
                let Some(session) = ledger.wires.get(wire).copied() else { continue };
                let Some(group) = group_of(session) else { continue };
                let work = works.entry((group, *message)).or_default();
                work.got += 1;
                if *qos == QoS::ExactlyOnce {
                    *work.got_once.entry(session).or_default() += 1;
                }
                work.got_new += u32::from(*qos == QoS::AtLeastOnce && !dup);
            }
            _ => {}
        }
    }
    for ((group, message), share) in &ledger.shares {
        if let Some(work) = works.get(&(group.as_str(), *message)) {
            too_many(ledger, group, *message, share, work, violations);
        }
    }
    for (group, message) in works.keys() {
        if !ledger.shares.contains_key(&((*group).to_owned(), *message)) {
            let what = format!("{group} got message {message}, which was not for it");
            violations.add(Kind::Shared, None, &[*message], what);
        }
    }
    too_few(history, ledger, &works, violations);
}

fn too_many(
    ledger: &Ledger,
    group: &str,
    message: u64,
    share: &Share,
    work: &Work,
    violations: &mut Violations,
) {
    let misled = work.given.iter().any(|session| ledger.sessions[session].misled);
    let Share { count, once, again, .. } = *share;
    // Where nothing was left of the first time, what went then to a session that was not stored is over with that.
    let counts = |session: &u32| {
        let there = &ledger.sessions[session];
        !(there.lost || (again && there.ended && there.expiry == 0))
    };
    let got = work.got_once.iter().filter(|(session, _)| counts(session)).map(|(_, got)| *got).sum::<u32>();
    let sent = work.sent.iter().filter(|session| counts(session)).count() as u32;
    if (got > once && !misled) || sent > once {
        let who = &work.sent;
        let what = format!("{group}: message {message} was sent to {who:?} and got {got} times, not {once}");
        violations.add(Kind::Shared, None, &[message], what);
    }
    if work.got_new > count + work.given_over {
        let what =
            format!("{group}: message {message} was got {} times without DUP, not {count}", work.got_new);
        violations.add(Kind::Shared, None, &[message], what);
    }
}

fn too_few(
    history: &History,
    ledger: &Ledger,
    works: &BTreeMap<(&str, u64), Work>,
    violations: &mut Violations,
) {
    let mut missing: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for ((group, message), share) in &ledger.shares {
        let letter = &history.messages[*message as usize];
        let unowed = letter.expiry.is_some() || !share.has_stable_member || !share.owed;
        if letter.qos == QoS::AtMostOnce || unowed {
            continue;
        }
        let work = works.get(&(group.as_str(), *message));
        // At QoS 2 it stays with the one that it was sent to, and may end with that session.
        let went_down = |work: &Work| {
            // Or with one that was not stored, though it may have moved on: that was not stored yet.
            let lost = work
                .given
                .iter()
                .map(|session| &ledger.sessions[session])
                .any(|there| there.lost || (share.shaken && there.ended && there.expiry == 0));
            lost || work
                .sent
                .iter()
                .any(|session| ledger.sessions[session].ended || ledger.sessions[session].misled)
        };
        if work.is_none_or(|work| work.got == 0 && !went_down(work)) {
            missing.entry(group).or_default().push(*message);
        }
    }
    for (group, missing) in missing {
        let members = ledger.sessions.values().filter(|session| session.group.as_deref() == Some(group));
        let dropped: u64 = members
            .map(|session| session.counters.dropped_queue_full + session.counters.dropped_too_large)
            .sum();
        if missing.len() as u64 > dropped {
            for message in missing {
                let what = format!("{group}: no member got message {message}");
                violations.add(Kind::Loss, None, &[message], what);
            }
        }
    }
}
