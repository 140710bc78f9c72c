//! What stands retained on a topic, and what may.

use std::collections::{BTreeMap, VecDeque};

use crate::clock::Step;
use crate::topic::Topic;

/// One publish with RETAIN, in the order of its publisher.
#[derive(Debug)]
struct Change {
    counter: u32,
    clears: bool,
    acknowledged: Option<Step>,
}

/// The changes of each topic, from the last one that was acknowledged on.
#[derive(Debug, Default)]
pub(crate) struct Retained {
    topics: BTreeMap<Topic, VecDeque<Change>>,
}

impl Retained {
    pub(crate) fn sent(&mut self, topic: Topic, counter: u32, clears: bool) {
        self.topics.entry(topic).or_default().push_back(Change { counter, clears, acknowledged: None });
    }

    pub(crate) fn acknowledged(&mut self, topic: Topic, counter: u32, step: Step) {
        let changes = self.topics.entry(topic).or_default();
        if let Some(change) = changes.iter_mut().find(|change| change.counter == counter) {
            change.acknowledged = Some(step);
        }
    }

    pub(crate) fn topics(&self) -> impl Iterator<Item = Topic> {
        self.topics.keys().copied()
    }

    /// Whether `found` may stand on `topic` for who asked at `asked`; else what should.
    pub(crate) fn check(&self, topic: Topic, found: Option<u32>, asked: Step) -> Result<(), String> {
        let Some(changes) = self.topics.get(&topic) else { return Ok(()) };
        let known = |change: &&Change| change.acknowledged.is_some_and(|step| step < asked);
        let Some(last) = changes.iter().rev().find(known) else { return Ok(()) };
        let mut later = changes.iter().filter(|change| change.counter >= last.counter);
        let fits = later.any(|change| match found {
            Some(counter) => !change.clears && change.counter == counter,
            None => change.clears,
        });
        if fits {
            return Ok(());
        }
        let is = found.map_or_else(|| "nothing".to_owned(), |counter| format!("message {counter}"));
        let what = if last.clears { "that it is cleared" } else { "the value" };
        Err(format!(
            "{topic} holds {is}; {what} of message {} was acknowledged at {} us, {} changes are younger",
            last.counter,
            last.acknowledged.unwrap_or_default(),
            changes.iter().filter(|change| change.counter > last.counter).count()
        ))
    }

    /// Forgets what can stand nowhere any more.
    pub(crate) fn settle(&mut self) {
        for changes in self.topics.values_mut() {
            let last = changes.iter().rposition(|change| change.acknowledged.is_some());
            changes.drain(..last.unwrap_or(0));
        }
    }
}
