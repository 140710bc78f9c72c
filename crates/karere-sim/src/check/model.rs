//! A naive broker, which goes through what happened and says who was to get what.

mod restart;

use std::collections::{BTreeMap, BTreeSet};

use karere_core::broker::SlotCounters;
use karere_core::codec::{QoS, RetainHandling, SubscribeOptions};

use super::{Kind, Stored, Violations};
use crate::history::{History, Letter, Note};

/// What was to happen.
#[derive(Default)]
pub(super) struct Ledger {
    pub(super) sessions: BTreeMap<u32, Session>,
    /// By session and message: what those outside groups were to get.
    pub(super) copies: BTreeMap<(u32, u64), Copies>,
    /// By group and message.
    pub(super) shares: BTreeMap<(String, u64), Share>,
    /// By message: which session and wire brought it, and when.
    pub(super) routes: BTreeMap<u64, Vec<Route>>,
    /// By wire: which session it had.
    pub(super) wires: BTreeMap<usize, u32>,
    retained: BTreeMap<String, Kept>,
    /// By peer: the session that its client believes it has.
    believed: BTreeMap<usize, u32>,
    final_retained: Vec<(String, Option<u64>)>,
    at: usize,
    /// How often the broker was started.
    life: u32,
    stored: Stored,
}

pub(super) struct Session {
    pub(super) peer: usize,
    pub(super) wire: Option<usize>,
    pub(super) expiry: u32,
    pub(super) ended: bool,
    /// It began with a CONNACK that was lost, so that its client takes it for the one before.
    pub(super) misled: bool,
    pub(super) counters: SlotCounters,
    /// It ended with the broker.
    pub(super) lost: bool,
    /// The broker has ended, and nobody knows yet whether it is back.
    awaited: bool,
    /// What it had counted when the broker ended.
    before: SlotCounters,
    pub(super) group: Option<String>,
    pending: usize,
    filters: BTreeMap<String, Subscription>,
}

struct Subscription {
    options: SubscribeOptions,
    id: Option<u32>,
    since: usize,
}

/// One time that a message was routed.
pub(super) struct Route {
    pub(super) session: u32,
    pub(super) wire: Option<usize>,
    pub(super) at: usize,
    /// In which life of the broker.
    pub(super) life: u32,
    /// When the publisher was told that the broker has it.
    pub(super) promised: Option<usize>,
}

/// What a session outside groups was to get of one message.
#[derive(Default)]
pub(super) struct Copies {
    /// So often at QoS > 0, so often at QoS 0, and so many times more if nothing permitted comes between.
    pub(super) must: u32,
    pub(super) must_at_qos0: u32,
    pub(super) may: u32,
    claims: Vec<Claim>,
    live: u32,
    /// How it may look: QoS, RETAIN, Subscription Identifiers.
    pub(super) forms: BTreeSet<(QoS, bool, BTreeSet<u32>)>,
    /// Some of them because it was retained.
    pub(super) retained: bool,
    /// All of them because it was retained: when the last of its subscriptions was made.
    pub(super) only_retained: Option<usize>,
    /// A subscription that brought it was not answered.
    pub(super) unanswered: bool,
    /// The QoS at which it was for it the first time that it was routed at all.
    pub(super) first: Option<QoS>,
}

/// One copy of a message that a session was to get.
struct Claim {
    qos: QoS,
    must: bool,
    /// At QoS 0: only if this connection lasted.
    wire: Option<usize>,
    cause: Cause,
    /// Not there after a restart, and then it may not come.
    void: bool,
}

/// What a copy comes from.
#[derive(Clone, Copy)]
enum Cause {
    /// This routing of the message, by its number.
    Route { index: usize, publisher: u32 },
    /// A subscription that this packet made; it was answered then.
    Retained { by: (usize, u16), answered: Option<usize> },
}

/// What a group was to get of one message.
#[derive(Default)]
pub(super) struct Share {
    pub(super) count: u32,
    /// At QoS 2, without those of which nothing was left when they were made again.
    pub(super) once: u32,
    /// One of them was.
    pub(super) again: bool,
    /// The broker has ended since.
    pub(super) shaken: bool,
    /// The routings that count.
    routes: Vec<usize>,
    /// One of them was promised, or has been in doubt in no restart.
    pub(super) owed: bool,
    /// Members when it was routed.
    members: Vec<(u32, Option<usize>)>,
    at: usize,
    pub(super) has_stable_member: bool,
}

struct Kept {
    message: u64,
    peer: usize,
}

impl Ledger {
    pub(super) fn new(history: &History) -> Self {
        let mut ledger = Self::default();
        for (at, entry) in history.entries.iter().enumerate() {
            ledger.at = at;
            ledger.take(history, &entry.note);
        }
        ledger.conclude();
        ledger
    }

    /// Whether a session is there at the end, and its client knows it.
    pub(super) fn is_settled(&self, session: u32) -> bool {
        self.sessions.get(&session).is_some_and(|session| session.wire.is_some() && !session.misled)
    }

    /// What is wrong at the end with what is left.
    pub(super) fn check_end(&self, violations: &mut Violations) {
        for (number, session) in self.sessions.iter().filter(|(_, session)| !session.ended) {
            let Session { peer, pending, wire, .. } = session;
            if session.pending > 0 && wire.is_some() {
                let what = format!("{pending} messages stay in session {number} of peer {peer}");
                violations.add(Kind::Stuck, Some(*number), &[], what);
            }
            if wire.is_none() {
                violations.add(
                    Kind::Stuck,
                    Some(*number),
                    &[],
                    format!("peer {peer} has no connection at the end"),
                );
            }
        }
        for (topic, found) in &self.final_retained {
            let kept = self.retained.get(topic).map(|kept| kept.message);
            if *found != kept && found.is_some() {
                violations.add(
                    Kind::Retained,
                    None,
                    found.as_slice(),
                    format!("{topic} keeps {found:?}, not {kept:?}"),
                );
            }
        }
    }

    fn take(&mut self, history: &History, note: &Note) {
        self.stored.take(note);
        match note {
            Note::Attached { session, peer, wire, expiry, .. } => {
                self.wires.insert(*wire, *session);
                let there = self.sessions.entry(*session).or_insert_with(|| Session::new(*peer));
                there.awaited = false;
                there.wire = Some(*wire);
                there.expiry = *expiry;
            }
            Note::Detached { session } => self.change(*session, |session| session.wire = None),
            Note::Ended { session, counters } => self.change(*session, |session| {
                session.ended = true;
                session.counters = sum(&session.before, counters);
                session.filters.clear();
            }),
            Note::Final { session, counters, pending } => self.change(*session, |session| {
                session.counters = sum(&session.before, counters);
                session.pending = *pending;
            }),
            Note::Connected { peer, wire, session_present } => self.believe(*peer, *wire, *session_present),
            Note::Restarted { peer } => _ = self.believed.remove(peer),
            Note::Subscribed { session, filter, options, id, by } => {
                self.subscribe(history, *session, filter, *options, *id, *by);
            }
            Note::Unsubscribed { session, filter, .. } => {
                self.change(*session, |session| _ = session.filters.remove(filter));
            }
            Note::Routed { message, session, wire } => self.route(history, *message, *session, *wire),
            Note::Cleared { topic, .. } => _ = self.retained.remove(topic),
            Note::Acked { wire, message: Some(message), .. } => self.promise(history, *wire, *message),
            Note::Confirmed { wire, id } => self.confirm((*wire, *id)),
            Note::Halted { session, counters, stored } => self.halt(*session, counters, *stored),
            Note::Killed { .. } => self.weaken(history),
            Note::Restored(restored) => self.restore(restored),
            Note::RestoredRetained { topic, message } => self.restore_retained(history, topic, *message),
            Note::Revived { .. } => self.revive(),
            Note::FinalRetained { topic, message } => self.final_retained.push((topic.clone(), *message)),
            _ => {}
        }
    }

    fn change(&mut self, session: u32, how: impl FnOnce(&mut Session)) {
        if let Some(session) = self.sessions.get_mut(&session) {
            how(session);
        }
    }

    /// A client takes its session for the one that it had, when it is told that there is one.
    fn believe(&mut self, peer: usize, wire: usize, session_present: bool) {
        let Some(session) = self.wires.get(&wire).copied() else { return };
        let before = self.believed.insert(peer, session);
        if session_present && before.is_some_and(|before| before != session) {
            self.change(session, |session| session.misled = true);
        }
    }

    fn subscribe(
        &mut self,
        history: &History,
        number: u32,
        filter: &str,
        options: SubscribeOptions,
        id: Option<u32>,
        by: (usize, u16),
    ) {
        let at = self.at;
        let Some(session) = self.sessions.get_mut(&number) else { return };
        let before = session.filters.get(filter).map(|there| there.since);
        let since = before.unwrap_or(at);
        session.filters.insert(filter.to_owned(), Subscription { options, id, since });
        if filter.starts_with("$share/") {
            session.group = Some(filter.to_owned());
            return;
        }
        let wanted = match options.retain_handling {
            RetainHandling::SendAtSubscribe => true,
            RetainHandling::SendIfNew => before.is_none(),
            RetainHandling::DoNotSend => false,
        };
        let (peer, wire) = (session.peer, session.wire);
        for (topic, kept) in self.retained.iter().filter(|_| wanted) {
            if matches(filter, topic) && !(options.no_local && kept.peer == peer) {
                let letter = &history.messages[kept.message as usize];
                let copies = self.copies.entry((number, kept.message)).or_default();
                copies.retained = true;
                let never_live = copies.live == 0;
                copies.only_retained = never_live.then_some(at);
                let cause = Cause::Retained { by, answered: None };
                copies.add(letter, letter.qos.min(options.qos), true, id.into_iter().collect(), wire, cause);
            }
        }
    }

    fn route(&mut self, history: &History, message: u64, publisher: u32, wire: Option<usize>) {
        let letter = &history.messages[message as usize];
        let routes = self.routes.entry(message).or_default();
        let (first, index) = (routes.is_empty(), routes.len());
        routes.push(Route { session: publisher, wire, at: self.at, life: self.life, promised: None });
        let cause = Cause::Route { index, publisher };
        if letter.retain {
            self.retained.insert(letter.topic.clone(), Kept { message, peer: letter.publisher });
        }
        if letter.qos == QoS::ExactlyOnce {
            self.replace_void(message, publisher);
        }
        for (number, session) in &self.sessions {
            let matching: Vec<&Subscription> = session.matching(&letter.topic, *number == publisher);
            let Some(granted) = matching.iter().map(|there| there.options.qos).max() else { continue };
            let retain = letter.retain && matching.iter().any(|there| there.options.retain_as_published);
            let ids = matching.iter().filter_map(|there| there.id).collect();
            let copies = self.copies.entry((*number, message)).or_default();
            if first {
                copies.first = Some(letter.qos.min(granted));
            }
            copies.live += 1;
            copies.only_retained = None;
            copies.add(letter, letter.qos.min(granted), retain, ids, session.wire, cause);
        }
        self.share(letter, message, index);
    }

    fn share(&mut self, letter: &Letter, message: u64, index: usize) {
        for (number, session) in &self.sessions {
            let groups = session.filters.keys().filter(|filter| filter.starts_with("$share/"));
            for group in groups.filter(|group| matches(without_share(group), &letter.topic)) {
                let share = self.shares.entry((group.clone(), message)).or_default();
                if share.at != self.at {
                    share.count += 1;
                    share.once += 1;
                    share.routes.push(index);
                    share.owed = true;
                    share.at = self.at;
                    share.members.clear();
                }
                share.members.push((*number, session.wire));
            }
        }
    }

    /// What only the end tells.
    fn conclude(&mut self) {
        for ((session, _), copies) in &mut self.copies {
            let last = self.sessions.get(session).and_then(|session| session.wire);
            for Claim { qos, must, wire, cause, .. } in &copies.claims {
                // Without a SUBACK, what was retained and is replaced does not come.
                let unanswered = matches!(cause, Cause::Retained { answered: None, .. });
                copies.unanswered |= unanswered;
                let must = *must && !unanswered;
                let wire = wire.filter(|_| must);
                *(match (*qos, must) {
                    (QoS::AtMostOnce, _) if wire.is_some() && wire == last => &mut copies.must_at_qos0,
                    (QoS::AtMostOnce, _) | (_, false) => &mut copies.may,
                    (_, true) => &mut copies.must,
                }) += 1;
            }
        }
        for ((group, _), share) in &mut self.shares {
            share.has_stable_member = share.members.iter().any(|(number, wire)| {
                let Some(session) = self.sessions.get(number) else { return false };
                let stays = session.filters.get(group).is_some_and(|there| there.since <= share.at);
                let lasts = session.expiry > 0 || (wire.is_some() && session.wire == *wire);
                stays && lasts && session.wire.is_some() && !session.misled
            });
        }
    }
}

impl Session {
    fn new(peer: usize) -> Self {
        Self {
            peer,
            wire: None,
            expiry: 0,
            ended: false,
            misled: false,
            counters: SlotCounters::default(),
            lost: false,
            awaited: false,
            before: SlotCounters::default(),
            group: None,
            pending: 0,
            filters: BTreeMap::new(),
        }
    }

    fn matching(&self, topic: &str, own: bool) -> Vec<&Subscription> {
        let mut matching = Vec::new();
        for (filter, there) in &self.filters {
            if !filter.starts_with("$share/") && matches(filter, topic) && !(own && there.options.no_local) {
                matching.push(there);
            }
        }
        matching
    }
}

impl Copies {
    /// How often it may come, at most.
    pub(super) fn most(&self) -> u32 {
        self.must + self.must_at_qos0 + self.may
    }

    fn add(
        &mut self,
        letter: &Letter,
        qos: QoS,
        retain: bool,
        ids: BTreeSet<u32>,
        wire: Option<usize>,
        cause: Cause,
    ) {
        self.forms.insert((qos, retain, ids));
        // What expires may do so on its way.
        let must = letter.expiry.is_none();
        self.claims.push(Claim { qos, must, wire: wire.filter(|_| must), cause, void: false });
    }
}

/// Both together.
fn sum(one: &SlotCounters, other: &SlotCounters) -> SlotCounters {
    SlotCounters {
        published: one.published + other.published,
        dropped_queue_full: one.dropped_queue_full + other.dropped_queue_full,
        dropped_slow: one.dropped_slow + other.dropped_slow,
        dropped_offline: one.dropped_offline + other.dropped_offline,
        dropped_too_large: one.dropped_too_large + other.dropped_too_large,
        dropped_expired: one.dropped_expired + other.dropped_expired,
        refused: one.refused + other.refused,
    }
}

fn without_share(filter: &str) -> &str {
    filter.splitn(3, '/').last().unwrap_or_default()
}

/// Section 4.7, word for word.
fn matches(filter: &str, topic: &str) -> bool {
    fn levels(filter: &[&str], topic: &[&str]) -> bool {
        match (filter, topic) {
            (["#"], _) | ([], []) => true,
            (["+", filter @ ..], [_, topic @ ..]) => levels(filter, topic),
            ([level, filter @ ..], [name, topic @ ..]) if level == name => levels(filter, topic),
            _ => false,
        }
    }
    let filter: Vec<&str> = filter.split('/').collect();
    let topic: Vec<&str> = topic.split('/').collect();
    levels(&filter, &topic)
}
