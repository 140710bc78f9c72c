//! A naive broker, which goes through what happened and says who was to get what.

use std::collections::{BTreeMap, BTreeSet};

use karere_core::broker::SlotCounters;
use karere_core::codec::{QoS, RetainHandling, SubscribeOptions};

use super::{Kind, Violations};
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
}

pub(super) struct Session {
    pub(super) peer: usize,
    pub(super) wire: Option<usize>,
    pub(super) expiry: u32,
    pub(super) ended: bool,
    /// It began with a CONNACK that was lost, so that its client takes it for the one before.
    pub(super) misled: bool,
    pub(super) counters: SlotCounters,
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
}

/// What a session outside groups was to get of one message.
#[derive(Default)]
pub(super) struct Copies {
    /// So often at QoS > 0, so often at QoS 0, and so many times more if nothing permitted comes between.
    pub(super) must: u32,
    pub(super) must_at_qos0: u32,
    pub(super) may: u32,
    live: u32,
    /// How it may look: QoS, RETAIN, Subscription Identifiers.
    pub(super) forms: BTreeSet<(QoS, bool, BTreeSet<u32>)>,
    /// Some of them because it was retained.
    pub(super) retained: bool,
    /// All of them because it was retained: when the last of its subscriptions was made.
    pub(super) only_retained: Option<usize>,
    /// The QoS at which it was for it the first time that it was routed at all.
    pub(super) first: Option<QoS>,
    /// QoS 0, while it had this connection: to come, if that connection lasted.
    if_it_lasts: Vec<usize>,
}

/// What a group was to get of one message.
#[derive(Default)]
pub(super) struct Share {
    pub(super) count: u32,
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
        match note {
            Note::Attached { session, peer, wire, expiry, .. } => {
                self.wires.insert(*wire, *session);
                let there = self.sessions.entry(*session).or_insert_with(|| Session::new(*peer));
                there.wire = Some(*wire);
                there.expiry = *expiry;
            }
            Note::Detached { session } => self.change(*session, |session| session.wire = None),
            Note::Ended { session, counters } => self.change(*session, |session| {
                session.ended = true;
                session.counters = *counters;
                session.filters.clear();
            }),
            Note::Final { session, counters, pending } => self.change(*session, |session| {
                session.counters = *counters;
                session.pending = *pending;
            }),
            Note::Connected { peer, wire, session_present } => self.believe(*peer, *wire, *session_present),
            Note::Restarted { peer } => _ = self.believed.remove(peer),
            Note::Subscribed { session, filter, options, id } => {
                self.subscribe(history, *session, filter, *options, *id);
            }
            Note::Unsubscribed { session, filter } => {
                self.change(*session, |session| _ = session.filters.remove(filter));
            }
            Note::Routed { message, session, wire } => self.route(history, *message, *session, *wire),
            Note::Cleared { topic } => _ = self.retained.remove(topic),
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
                copies.add(letter, letter.qos.min(options.qos), true, id.into_iter().collect(), wire);
            }
        }
    }

    fn route(&mut self, history: &History, message: u64, publisher: u32, wire: Option<usize>) {
        let letter = &history.messages[message as usize];
        let routes = self.routes.entry(message).or_default();
        let first = routes.is_empty();
        routes.push(Route { session: publisher, wire, at: self.at });
        if letter.retain {
            self.retained.insert(letter.topic.clone(), Kept { message, peer: letter.publisher });
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
            copies.add(letter, letter.qos.min(granted), retain, ids, session.wire);
        }
        self.share(letter, message);
    }

    fn share(&mut self, letter: &Letter, message: u64) {
        for (number, session) in &self.sessions {
            let groups = session.filters.keys().filter(|filter| filter.starts_with("$share/"));
            for group in groups.filter(|group| matches(without_share(group), &letter.topic)) {
                let share = self.shares.entry((group.clone(), message)).or_default();
                if share.at != self.at {
                    share.count += 1;
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
            let wire = self.sessions.get(session).and_then(|session| session.wire);
            for at_the_time in std::mem::take(&mut copies.if_it_lasts) {
                *(if wire == Some(at_the_time) { &mut copies.must_at_qos0 } else { &mut copies.may }) += 1;
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

    fn add(&mut self, letter: &Letter, qos: QoS, retain: bool, ids: BTreeSet<u32>, wire: Option<usize>) {
        self.forms.insert((qos, retain, ids));
        match (letter.expiry, qos, wire) {
            // It may expire on its way.
            (Some(_), ..) => self.may += 1,
            (None, QoS::AtMostOnce, Some(wire)) => self.if_it_lasts.push(wire),
            (None, QoS::AtMostOnce, None) => self.may += 1,
            (None, ..) => self.must += 1,
        }
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
