//! Topic aliases: numbers for topic names, for the life of one connection (§3.3.2.3.4).

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::num::NonZeroU16;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::Error;
use crate::codec::{Publish, ReasonCode};
use crate::topic::TopicName;

/// The aliases that the peer has set towards us.
#[derive(Debug, Default)]
pub(crate) struct InboundAliases {
    names: Vec<TopicName>,
    max: u16,
}

impl InboundAliases {
    /// `max` is the Topic Alias Maximum that we announced. Memory grows with what is used, not with `max`.
    pub(crate) fn new(max: u16) -> Self {
        Self { names: Vec::new(), max }
    }

    /// Puts the topic's name into a PUBLISH that came with an alias ([MQTT-3.3.2-9], [MQTT-3.3.2-10]).
    ///
    /// # Errors
    /// An alias above what we announced, or one that stands for nothing yet.
    pub(crate) fn resolve(&mut self, publish: &mut Publish) -> Result<(), Error> {
        let Some(alias) = publish.topic_alias else { return Ok(()) };
        if alias.get() > self.max {
            let what = "topic alias above our Topic Alias Maximum";
            return Err(Error::ProtocolError { what, reason: ReasonCode::TopicAliasInvalid });
        }
        let topic = &mut publish.message.topic;
        if topic.is_empty() {
            *topic = self.get(alias).ok_or(Error::protocol("a topic alias that stands for nothing"))?.clone();
        } else if let Ok(name) = TopicName::new(topic) {
            // Copied: a slice would pin the read buffer for the life of the connection.
            self.set(alias, name);
        }
        Ok(())
    }

    fn set(&mut self, alias: NonZeroU16, name: TopicName) {
        let index = usize::from(alias.get() - 1);
        if self.names.len() <= index {
            self.names.resize(index + 1, TopicName::EMPTY);
        }
        if let Some(place) = self.names.get_mut(index) {
            *place = name;
        }
    }

    fn get(&self, alias: NonZeroU16) -> Option<&TopicName> {
        self.names.get(usize::from(alias.get() - 1)).filter(|name| !name.is_empty())
    }
}

/// The aliases that we have set towards the peer, the least recently used the first to go.
///
/// Most peers take none: then there is no table, so that a connection is small.
#[derive(Debug, Default)]
pub(crate) struct OutboundAliases(Option<Box<Table>>);

#[derive(Debug)]
struct Table {
    numbers: HashMap<TopicName, u16, FixedState>,
    /// Doubly linked through indices; index + 1 is the alias.
    entries: Vec<Entry>,
    max: u16,
    /// Most and least recently used; meaningless while `entries` is empty.
    newest: u16,
    oldest: u16,
}

#[derive(Debug)]
struct Entry {
    name: TopicName,
    newer: u16,
    older: u16,
}

/// What to write for a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AliasUse {
    pub(crate) alias: NonZeroU16,
    /// The peer knows it: leave the topic name out.
    pub(crate) known: bool,
}

impl OutboundAliases {
    /// `max` is what the peer allows, or our own bound if that is lower; 0 uses none.
    pub(crate) fn new(max: u16, seed: u64) -> Self {
        Self((max > 0).then(|| {
            let numbers = HashMap::with_hasher(FixedState::with_seed(seed));
            Box::new(Table { numbers, entries: Vec::new(), max, newest: 0, oldest: 0 })
        }))
    }

    /// The alias for a topic that is about to be sent; `None` when none may be used.
    pub(crate) fn assign(&mut self, topic: &str) -> Option<AliasUse> {
        self.0.as_mut()?.assign(topic)
    }

    /// Whether any may be used.
    #[inline]
    pub(crate) fn is_used(&self) -> bool {
        self.0.is_some()
    }
}

impl Table {
    fn assign(&mut self, topic: &str) -> Option<AliasUse> {
        if let Some(&index) = self.numbers.get(topic) {
            self.touch(index);
            return Some(AliasUse { alias: NonZeroU16::new(index + 1)?, known: true });
        }
        let name = TopicName::new(topic).ok()?;
        let index =
            if self.entries.len() < usize::from(self.max) { self.grow(&name) } else { self.evict(&name) };
        self.numbers.insert(name, index);
        Some(AliasUse { alias: NonZeroU16::new(index + 1)?, known: false })
    }

    fn grow(&mut self, name: &TopicName) -> u16 {
        let index = self.entries.len() as u16;
        self.entries.push(Entry { name: name.clone(), newer: index, older: self.newest });
        if let Some(entry) = self.entries.get_mut(usize::from(self.newest)) {
            entry.newer = index;
        }
        self.newest = index;
        index
    }

    fn evict(&mut self, name: &TopicName) -> u16 {
        let index = self.oldest;
        self.touch(index);
        if let Some(entry) = self.entries.get_mut(usize::from(index)) {
            let old = core::mem::replace(&mut entry.name, name.clone());
            self.numbers.remove(old.as_str());
        }
        index
    }

    /// Makes `index` the most recently used.
    fn touch(&mut self, index: u16) {
        if index == self.newest {
            return;
        }
        let Some(&Entry { newer, older, .. }) = self.entries.get(usize::from(index)) else { return };
        if index == self.oldest {
            self.oldest = newer;
        } else if let Some(entry) = self.entries.get_mut(usize::from(older)) {
            entry.newer = newer;
        }
        if let Some(entry) = self.entries.get_mut(usize::from(newer)) {
            entry.older = older;
        }
        if let Some(entry) = self.entries.get_mut(usize::from(index)) {
            entry.older = self.newest;
        }
        if let Some(entry) = self.entries.get_mut(usize::from(self.newest)) {
            entry.newer = index;
        }
        self.newest = index;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(aliases: &mut OutboundAliases, topic: &str) -> (u16, bool) {
        let AliasUse { alias, known } = aliases.assign(topic).unwrap();
        (alias.get(), known)
    }

    #[test]
    fn a_topic_is_named_once_and_known_by_its_number_afterwards() {
        let mut aliases = OutboundAliases::new(2, 1);
        assert_eq!(used(&mut aliases, "a"), (1, false));
        assert_eq!(used(&mut aliases, "a"), (1, true));
        assert_eq!(used(&mut aliases, "b"), (2, false));
        assert_eq!(used(&mut aliases, "a"), (1, true));
    }

    #[test]
    fn the_least_recently_used_alias_is_the_first_to_go() {
        let mut aliases = OutboundAliases::new(3, 1);
        for topic in ["a", "b", "c", "a", "b"] {
            used(&mut aliases, topic);
        }
        assert_eq!(used(&mut aliases, "d"), (3, false), "c was used the longest ago");
        assert_eq!(used(&mut aliases, "a"), (1, true));
        assert_eq!(used(&mut aliases, "e"), (2, false), "then b");
        assert_eq!(used(&mut aliases, "c"), (3, false), "then d");
        assert_eq!(used(&mut aliases, "a"), (1, true));
    }

    #[test]
    fn no_alias_is_used_where_the_peer_allows_none() {
        assert_eq!(OutboundAliases::new(0, 1).assign("a"), None);
    }

    #[test]
    fn an_inbound_alias_stands_for_the_last_topic_it_was_set_to() {
        let mut aliases = InboundAliases::new(5);
        let five = NonZeroU16::new(5).unwrap();
        assert_eq!(aliases.get(five), None);
        aliases.set(five, TopicName::new("x").unwrap());
        aliases.set(five, TopicName::new("y").unwrap());
        assert_eq!(aliases.get(five).unwrap().as_str(), "y");
        assert_eq!(aliases.get(NonZeroU16::new(4).unwrap()), None, "in between nothing was set");
    }
}
