//! From a failing seed to the least that still fails, and the events around it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use crate::check::Violation;
use crate::fault::Fault;
use crate::history::{Entry, History, Note};
use crate::plan::Plan;
use crate::verdict::judge;
use crate::world::{self, Setting};

/// Lines of a trace, at most.
const LINES_MAX: usize = 160;

/// The events around the first violation of a seed, in the smallest run that can be found in which the same goes wrong:
/// with fewer clients and less time. `None` when nothing goes wrong.
#[must_use]
pub fn minimal_trace(seed: u64, fault: Option<Fault>) -> Option<String> {
    let mut setting = Setting { seed, fault, ..Setting::default() };
    let mut violation = first(&setting, None)?;
    let kind = violation.kind;
    let plan = Plan::new(seed);
    for number in 0..plan.clients.len() {
        let mut smaller = setting.clone();
        smaller.without.insert(number);
        keep(&mut setting, &mut violation, smaller, kind);
    }
    let mut millis = plan.trouble_millis;
    while millis > 100 {
        millis = millis * 3 / 4;
        let smaller = Setting { trouble_millis: Some(millis), ..setting.clone() };
        keep(&mut setting, &mut violation, smaller, kind);
    }
    let kills = plan.disk.as_ref().map_or(0, |disk| disk.kills.len());
    for kills in (0..kills).rev() {
        let smaller = Setting { kills_max: Some(kills), ..setting.clone() };
        keep(&mut setting, &mut violation, smaller, kind);
    }
    Some(trace(&setting, &plan, &violation))
}

/// What only tells of the order of a connection's packets.
fn is_detail(note: &Note) -> bool {
    use Note::{Completed, Durable, Finished, Kept, Received, Released, Releasing, Taken};
    matches!(
        note,
        Finished { .. }
            | Released { .. }
            | Releasing { .. }
            | Completed { .. }
            | Taken { .. }
            | Durable { .. }
            | Kept { .. }
            | Received { .. }
    )
}

/// All that happens in the run of a seed.
#[must_use]
pub fn whole_history(seed: u64, fault: Option<Fault>) -> String {
    let history = world::run(&Setting { seed, fault, ..Setting::default() });
    history.entries.iter().map(|entry| format!("{entry}\n")).collect()
}

fn keep(setting: &mut Setting, violation: &mut Violation, smaller: Setting, kind: crate::Kind) {
    if let Some(found) = first(&smaller, Some(kind)) {
        *setting = smaller;
        *violation = found;
    }
}

fn first(setting: &Setting, kind: Option<crate::Kind>) -> Option<Violation> {
    let violations = judge(setting).violations;
    violations.into_iter().find(|violation| kind.is_none_or(|kind| violation.kind == kind))
}

fn trace(setting: &Setting, plan: &Plan, violation: &Violation) -> String {
    let history = world::run(setting);
    let mut text = format!("seed {}: {violation}\n", setting.seed);
    for (number, client) in plan.clients.iter().enumerate() {
        if !setting.without.contains(&number) {
            let _ = writeln!(text, "peer {number}: {client:?}");
        }
    }
    let _ = writeln!(text, "broker: {:?}", plan.broker);
    if let Some(disk) = &plan.disk {
        let _ = writeln!(text, "disk: {disk:?}, at most {:?} of its kills", setting.kills_max);
    }
    for message in &violation.messages {
        let _ = writeln!(text, "message {message}: {:?}", history.messages[*message as usize]);
    }
    let lines: Vec<String> = concerned(&history, violation).iter().map(ToString::to_string).collect();
    let start = lines.len().saturating_sub(LINES_MAX);
    lines[start..].iter().for_each(|line| _ = writeln!(text, "{line}"));
    text
}

/// What is about the messages, and about the connections and sessions of who has to do with them: their publishers,
/// and the receiver where there is one.
fn concerned<'a>(history: &'a History, violation: &Violation) -> Vec<&'a Entry> {
    let Violation { session, messages, at, .. } = violation;
    let (mut wires, mut sessions, mut owners) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for entry in &history.entries {
        if let Note::Opened { peer, wire } = entry.note {
            wires.insert(wire, peer);
        }
        if let Note::Attached { session, wire, peer, .. } = entry.note {
            sessions.insert(wire, session);
            owners.insert(session, peer);
        }
    }
    let receiver = session.and_then(|session| owners.get(&session).copied());
    let publishers = messages.iter().map(|message| history.messages[*message as usize].publisher);
    let peers: BTreeSet<usize> = publishers.chain(receiver).collect();
    let is_theirs = |session: Option<u32>| {
        session.is_none_or(|one| owners.get(&one).is_some_and(|peer| peers.contains(peer)))
    };
    let is_receiver = |one: Option<u32>| session.is_none() || one == *session || one.is_none();
    let shows = |entry: &&Entry| match &entry.note {
        note if note.wire().is_some_and(|wire| wires.get(&wire).is_none_or(|peer| !peers.contains(peer))) => {
            false
        }
        // Of what is sent again, all of it counts.
        Note::Sent { wire, .. } if violation.kind == crate::Kind::Resume => {
            is_receiver(sessions.get(wire).copied())
        }
        note if violation.kind != crate::Kind::Resume && is_detail(note) => false,
        Note::Got { wire, message, .. } | Note::Sent { wire, message, .. } => {
            messages.contains(message) && is_receiver(sessions.get(wire).copied())
        }
        Note::Given { session, message, .. } => messages.contains(message) && is_receiver(Some(*session)),
        note => match note.message() {
            Some(message) => messages.contains(&message),
            None => is_theirs(note.session()),
        },
    };
    history.entries[..*at].iter().filter(shows).collect()
}
