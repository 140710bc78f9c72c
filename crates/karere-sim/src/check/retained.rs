//! What is retained after a restart: the last message that was acknowledged, or one that came behind it.

use std::collections::BTreeMap;

use karere_core::codec::QoS;

use super::{Kind, Stored, Violations};
use crate::history::{History, Note};

/// What is known of a topic.
#[derive(Default)]
struct Topic {
    certain: Option<u64>,
    /// Behind that, in its order.
    changes: Vec<Change>,
}

/// A message is retained, or none is any more.
#[derive(Debug, Clone, Copy)]
struct Change {
    message: Option<u64>,
    /// The packet that brought a removal.
    by: Option<(usize, u16)>,
    /// Where in the history.
    at: usize,
}

pub(super) fn check(history: &History, violations: &mut Violations) {
    let mut topics: BTreeMap<&str, Topic> = BTreeMap::new();
    let mut stored = Stored::default();
    for (at, entry) in history.entries.iter().enumerate() {
        stored.take(&entry.note);
        violations.at = at + 1;
        match &entry.note {
            Note::Routed { message, .. } => {
                let letter = &history.messages[*message as usize];
                if letter.retain {
                    let topic = topics.entry(&letter.topic).or_default();
                    topic.changes.push(Change { message: Some(*message), by: None, at });
                }
            }
            Note::Cleared { topic, by } => {
                let change = Change { message: None, by: *by, at };
                topics.entry(topic).or_default().changes.push(change);
            }
            Note::Acked { message: Some(message), .. } => {
                let letter = &history.messages[*message as usize];
                let topic = topics.entry(&letter.topic).or_default();
                topic.settle(|change| change.message == Some(*message));
            }
            Note::Acked { wire, id, message: None } => {
                for topic in topics.values_mut() {
                    topic.settle(|change| change.message.is_none() && change.by == Some((*wire, *id)));
                }
            }
            Note::Killed { .. } => {
                for topic in topics.values_mut() {
                    // What nobody is told of is written down as long as there is room.
                    topic.settle(|Change { message, by, at }| {
                        let promises = |message: &u64| {
                            let letter = &history.messages[*message as usize];
                            letter.qos > QoS::AtMostOnce && !letter.is_will
                        };
                        stored.has(*at) && (message.as_ref().is_some_and(promises) || by.is_some())
                    });
                }
            }
            Note::RestoredRetained { topic: name, message } => {
                let topic = topics.entry(name).or_default();
                if !topic.may_be(history, *message) {
                    let Topic { certain, changes } = topic;
                    let what =
                        format!("{name} keeps {message:?} again, not {certain:?} or one of {changes:?}");
                    violations.add(Kind::Retained, None, message.as_slice(), what);
                }
                *topic = Topic { certain: *message, changes: Vec::new() };
            }
            _ => {}
        }
    }
}

impl Topic {
    /// The last change that `is` it is certain, and so are those before it.
    fn settle(&mut self, is: impl Fn(&Change) -> bool) {
        if let Some(last) = self.changes.iter().rposition(is) {
            self.certain = self.changes[last].message;
            self.changes.drain(..=last);
        }
    }

    fn may_be(&self, history: &History, found: Option<u64>) -> bool {
        let letter = |message: u64| &history.messages[message as usize];
        let of_changes = self.changes.iter().map(|change| change.message);
        let mut possible = of_changes.chain([self.certain]);
        // What expires may be gone; and what nobody is told of is not written down where there is no room.
        let passes = |message: u64| {
            let letter = letter(message);
            letter.expiry.is_some() || letter.qos == QoS::AtMostOnce || letter.is_will
        };
        possible.any(|message| message == found || (found.is_none() && message.is_some_and(passes)))
    }
}
