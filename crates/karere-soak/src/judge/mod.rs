//! What was promised and what came of it: the statements B1 to B5, on payloads of which each exists once.
//!
//! The judge sees what the clients see, in one order ([`Step`]): nothing of the broker. What it cannot know (was the
//! message accepted before the connection broke?) is never held against the broker.

mod bits;
mod finding;
mod identifiers;
mod published;
mod received;
mod retained;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};

use bits::Bits;
pub(crate) use finding::{Counts, Finding, Kind};
pub(crate) use identifiers::Identifiers;
use published::{Message, Published};
use received::Received;
use retained::Retained;

use crate::clock::{Step, show};
use crate::topic::{Area, Filter, Stamp, Topic};

/// Lines of the diary that are kept.
const DIARY_MAX: usize = 4000;

/// Lines of the diary that a story ends with.
const STORY_MAX: usize = 24;

/// One copy of a message, as it was handed over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Delivery {
    pub(crate) stamp: Stamp,
    pub(crate) topic: Topic,
    pub(crate) qos: u8,
    /// What was retained when the subscription was made: not counted.
    pub(crate) retained: bool,
}

/// Who receives, by number.
pub(crate) type SessionId = usize;

#[derive(Debug, Default)]
pub(crate) struct Judge {
    pub(crate) counts: Counts,
    publishers: Vec<Published>,
    sessions: Vec<Received>,
    groups: Vec<Group>,
    retained: Retained,
    diary: VecDeque<(Step, String)>,
}

/// The sessions that share.
#[derive(Debug)]
struct Group {
    name: String,
    seen: Bits,
}

impl Judge {
    pub(crate) fn add_publisher(&mut self, name: &str) -> u16 {
        self.publishers.push(Published::new(name.to_owned()));
        (self.publishers.len() - 1) as u16
    }

    pub(crate) fn add_session(&mut self, name: &str, durable: bool, group: Option<usize>) -> SessionId {
        self.sessions.push(Received::new(name.to_owned(), durable, group));
        self.sessions.len() - 1
    }

    pub(crate) fn add_group(&mut self, name: &str) -> usize {
        self.groups.push(Group { name: name.to_owned(), seen: Bits::default() });
        self.groups.len() - 1
    }

    /// Something that a story may need.
    pub(crate) fn note(&mut self, step: Step, line: String) {
        if self.diary.len() == DIARY_MAX {
            self.diary.pop_front();
        }
        self.diary.push_back((step, line));
    }

    /// A new message is about to be written. `clears`: it removes what is retained.
    pub(crate) fn sent(&mut self, topic: Topic, qos: u8, clears: bool, step: Step) -> Stamp {
        self.counts.sent += 1;
        let message = Message {
            topic,
            qos,
            sent: step,
            acknowledged: None,
            fresh: 1,
            again: false,
            over: qos == 0,
            judged: false,
        };
        let counter = self.publishers[usize::from(topic.publisher)].push(message);
        if topic.area == Area::Retained {
            self.retained.sent(topic, counter, clears);
        }
        Stamp { publisher: topic.publisher, counter }
    }

    /// It is sent again, with DUP; or as a new one, because the broker had lost the session.
    pub(crate) fn sent_again(&mut self, stamp: Stamp, anew: bool) {
        if let Some(message) = self.message(stamp) {
            message.again = true;
            message.fresh += u8::from(anew);
        }
    }

    /// PUBACK, or PUBREC with success, was read.
    pub(crate) fn acknowledged(&mut self, stamp: Stamp, step: Step) {
        let Some(message) = self.message(stamp) else { return };
        message.over = true;
        if message.acknowledged.is_some() {
            return;
        }
        message.acknowledged = Some(step);
        let topic = message.topic;
        match topic.area {
            Area::Will => self.counts.wills_due += 1,
            _ => self.counts.acknowledged += 1,
        }
        if topic.area == Area::Retained {
            self.retained.acknowledged(topic, stamp.counter, step);
        }
    }

    /// Its publisher has given it up, or the broker has refused it.
    pub(crate) fn given_up(&mut self, stamp: Stamp, refused: bool) {
        self.counts.refused += u64::from(refused);
        if let Some(message) = self.message(stamp) {
            message.over = true;
        }
    }

    /// Whether the broker has just one copy of it, and that on its disk. Of a Will nobody is told when it is.
    pub(crate) fn is_stored(&self, stamp: Stamp) -> bool {
        let publisher = self.publishers.get(usize::from(stamp.publisher));
        let message = publisher.and_then(|publisher| publisher.get(stamp.counter));
        message.is_some_and(|message| {
            message.acknowledged.is_some() && !message.again && message.topic.area != Area::Will
        })
    }

    pub(crate) fn subscribing(&mut self, session: SessionId, filter: Filter, step: Step) {
        self.sessions[session].subscribing(filter, step);
    }

    pub(crate) fn subscribed(&mut self, session: SessionId, filter: Filter, step: Step) {
        self.sessions[session].subscribed(filter, step);
    }

    pub(crate) fn unsubscribing(&mut self, session: SessionId, filter: Filter, step: Step) {
        self.sessions[session].unsubscribing(filter, step);
    }

    pub(crate) fn unsubscribed(&mut self, session: SessionId, filter: Filter, step: Step) {
        self.sessions[session].unsubscribed(filter, step);
    }

    /// A session has begun anew, as its kind does with each connection, or because the broker has lost it by `lost`.
    pub(crate) fn began(&mut self, session: SessionId, lost: Step, now: Step) {
        self.sessions[session].begin(lost, now);
    }

    /// A copy was handed over.
    pub(crate) fn delivered(&mut self, session: SessionId, delivery: &Delivery, step: Step) {
        if delivery.retained {
            return;
        }
        self.counts.delivered += 1;
        let Delivery { stamp, topic, qos, .. } = *delivery;
        let publisher = &self.publishers[usize::from(topic.publisher)];
        if stamp.publisher != topic.publisher || stamp.counter >= publisher.next() {
            return self.find(Kind::Corrupt, step, format!("{stamp} came on {topic}"), &[]);
        }
        let known = publisher.get(stamp.counter).map(|message| (message.topic, message.qos, message.fresh));
        if known.is_some_and(|(published, ..)| published != topic) {
            return self.find(Kind::Corrupt, step, format!("{stamp} came on {topic}"), &[]);
        }
        let fresh = known.map_or(1, |(_, _, fresh)| fresh);
        let received = &mut self.sessions[session];
        let copies = received.count(stamp.publisher, stamp.counter);
        if copies > 1 {
            match qos {
                2 if copies > fresh => self.tell(Kind::DoubledAtTwo, session, stamp, step),
                _ => self.counts.doubled_at_one += 1,
            }
            return;
        }
        self.first_copy(session, delivery, step);
    }

    fn first_copy(&mut self, session: SessionId, delivery: &Delivery, step: Step) {
        let Delivery { stamp, topic, qos, .. } = *delivery;
        let received = &mut self.sessions[session];
        let publisher = &self.publishers[usize::from(stamp.publisher)];
        let Some(message) = publisher.get(stamp.counter) else {
            // A Will whose client was not heard out may come or not, whenever.
            if topic.area == Area::Will {
                return;
            }
            return self.tell(Kind::Unwanted, session, stamp, step);
        };
        if !received.may(message) {
            return self.tell(Kind::Unwanted, session, stamp, step);
        }
        let fresh = message.fresh;
        if let Some(group) = received.group {
            if !self.groups[group].seen.insert(stamp.publisher, stamp.counter) {
                match qos {
                    2 if fresh == 1 => self.tell(Kind::DoubledInGroup, session, stamp, step),
                    _ => self.counts.doubled_at_one += 1,
                }
            }
            return;
        }
        if fresh > 1 || topic.area == Area::Will || received.may_have_passed(message) {
            return;
        }
        if let Some(last) = received.order(topic, message.qos, stamp.counter) {
            let (name, from) = (received.name.clone(), publisher.name.clone());
            let story = |counter| publisher.get(counter).map(Message::story).unwrap_or_default();
            let what = format!(
                "{name} got {stamp} ({from}) on {topic} for the first time ({}), behind message {last} ({})",
                story(stamp.counter),
                story(last)
            );
            self.find(Kind::OutOfOrder, step, what, &[&name, &from]);
        }
    }

    /// What a new subscriber that asked at `asked` was given as retained: by topic the counter, none of what is not there.
    pub(crate) fn retained_seen(&mut self, values: &BTreeMap<Topic, u32>, asked: Step, step: Step) {
        let topics: Vec<Topic> = self.retained.topics().collect();
        for topic in topics {
            if let Err(what) = self.retained.check(topic, values.get(&topic).copied(), asked) {
                let name = self.publishers[usize::from(topic.publisher)].name.clone();
                self.find(Kind::RetainedLost, step, what, &[&name]);
            }
        }
    }

    /// Whether [`retained_seen`](Self::retained_seen) would find nothing.
    pub(crate) fn retained_fits(&self, values: &BTreeMap<Topic, u32>, asked: Step) -> bool {
        self.retained
            .topics()
            .all(|topic| self.retained.check(topic, values.get(&topic).copied(), asked).is_ok())
    }

    /// How many deliveries are still to come.
    pub(crate) fn outstanding(&self) -> usize {
        self.missing().len()
    }

    /// Nothing more will come: what is missing is missing.
    pub(crate) fn settle(&mut self, step: Step) {
        for (kind, place, stamp) in self.missing() {
            let message = self.publishers[usize::from(stamp.publisher)].get(stamp.counter);
            let Some(message) = message else { continue };
            let from = self.publishers[usize::from(stamp.publisher)].name.clone();
            let what =
                format!("{place} never got {stamp} ({from}) on {}: {}", message.topic, message.story());
            self.find(kind, step, what, &[&place, &from]);
        }
        self.publishers.iter_mut().for_each(Published::settle);
        self.sessions.iter_mut().for_each(Received::settle);
        self.retained.settle();
    }

    /// A broken promise; the diary of `names` goes with it.
    pub(crate) fn find(&mut self, kind: Kind, step: Step, what: String, names: &[&str]) {
        let concerns = |line: &str| {
            line.starts_with("broker") || names.iter().any(|name| line.split(':').next() == Some(*name))
        };
        let lines = self.diary.iter().rev().filter(|(_, line)| concerns(line)).take(STORY_MAX);
        let mut lines: Vec<String> =
            lines.map(|(at, line)| format!("\n      {:>12} {line}", show(*at))).collect();
        lines.reverse();
        self.counts.add(Finding { kind, step, story: what + &lines.concat() });
    }

    fn tell(&mut self, kind: Kind, session: SessionId, stamp: Stamp, step: Step) {
        let name = self.sessions[session].name.clone();
        let from = &self.publishers[usize::from(stamp.publisher)];
        let settled = if from.get(stamp.counter).is_none() { ", settled before" } else { "" };
        let from = from.name.clone();
        self.find(kind, step, format!("{name} got {stamp} ({from}){settled}"), &[&name, &from]);
    }

    /// What was acknowledged, must have matched, and has not come.
    fn missing(&self) -> Vec<(Kind, String, Stamp)> {
        let mut found = Vec::new();
        for (number, publisher) in self.publishers.iter().enumerate() {
            let publisher_number = number as u16;
            for (counter, message) in publisher.unsettled() {
                if message.acknowledged.is_none() || message.judged {
                    continue;
                }
                let stamp = Stamp { publisher: publisher_number, counter };
                self.missing_of(stamp, message, &mut found);
            }
        }
        found
    }

    fn missing_of(&self, stamp: Stamp, message: &Message, found: &mut Vec<(Kind, String, Stamp)>) {
        let durable = self.sessions.iter().filter(|session| session.durable);
        for session in durable.clone().filter(|session| session.group.is_none()) {
            if !session.seen.contains(stamp.publisher, stamp.counter) && session.must(message) {
                let kind = if message.topic.area == Area::Will { Kind::WillMissing } else { Kind::Missing };
                found.push((kind, session.name.clone(), stamp));
            }
        }
        for (number, group) in self.groups.iter().enumerate() {
            let seen = group.seen.contains(stamp.publisher, stamp.counter);
            let mut members = durable.clone().filter(|session| session.group == Some(number));
            if !seen && members.any(|session| session.must(message)) {
                found.push((Kind::MissingInGroup, group.name.clone(), stamp));
            }
        }
    }

    fn message(&mut self, stamp: Stamp) -> Option<&mut Message> {
        self.publishers.get_mut(usize::from(stamp.publisher))?.get_mut(stamp.counter)
    }
}
