//! Shared Subscriptions (section 4.8.2): the sessions of each, and whose turn it is.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering};

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::router::Grant;
use crate::text::Text;
use crate::topic::TopicFilter;

#[cfg(test)]
mod tests;

/// Names one Shared Subscription for as long as somebody subscribes to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShareKey(u32);

/// A session in a Shared Subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member<S> {
    /// Which one.
    pub session: S,
    /// What it has subscribed with [MQTT-4.8.2-3].
    pub grant: Grant,
    /// Rises with each that joins, so that the list is in order of it.
    number: u64,
}

/// A copy of a message for one member of a Shared Subscription, and all who could take it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedTarget<S> {
    members: Arc<Vec<Member<S>>>,
    first: usize,
}

impl<S> SharedTarget<S> {
    /// The members, first the one whose turn it is. The message is for the first that takes it.
    pub fn in_turn(&self) -> impl Iterator<Item = &Member<S>> + Clone {
        let (before, from) = self.members.split_at_checked(self.first).unwrap_or((&[], &self.members));
        from.iter().chain(before)
    }
}

/// All Shared Subscriptions.
///
/// Maps with keys that clients choose are trees, so that nobody can choose them to collide.
pub(super) struct Groups<S> {
    groups: HashMap<ShareKey, Group<S>, FixedState>,
    keys: BTreeMap<Text, ShareKey>,
    /// Where in its group's order a member is.
    numbers: BTreeMap<(ShareKey, S), u64>,
    next_key: u32,
    next_number: u64,
    members_max: usize,
}

/// A session has left a Shared Subscription.
pub(super) struct Left {
    /// The Shared Subscription, if nobody is left in it.
    pub(super) ended: Option<ShareKey>,
}

impl<S: Copy + Ord> Groups<S> {
    pub(super) fn new(members_max: usize) -> Self {
        let groups = HashMap::with_hasher(FixedState::with_seed(0));
        let (keys, numbers) = (BTreeMap::new(), BTreeMap::new());
        Self { groups, keys, numbers, next_key: 0, next_number: 0, members_max }
    }

    /// The key of the group of `filter`, or the one that it will have once somebody joins.
    pub(super) fn key_for(&mut self, filter: &TopicFilter) -> ShareKey {
        if let Some(key) = self.keys.get(filter.as_str()) {
            return *key;
        }
        // A key is used again only after 2^32 others, and then not while it is in use.
        while self.groups.contains_key(&ShareKey(self.next_key)) {
            self.next_key = self.next_key.wrapping_add(1);
        }
        ShareKey(self.next_key)
    }

    /// Adds a member, or replaces its grant. `key` is what [`key_for`](Self::key_for) said. False when the
    /// group is full.
    pub(super) fn join(&mut self, key: ShareKey, filter: &TopicFilter, session: S, grant: Grant) -> bool {
        if let Some(number) = self.numbers.get(&(key, session)) {
            if let Some(group) = self.groups.get_mut(&key) {
                group.replace(*number, grant);
            }
            return true;
        }
        if self.groups.get(&key).map_or(0, |group| group.members.len()) >= self.members_max {
            return false;
        }
        let group = self.groups.entry(key).or_insert_with(|| {
            let filter = filter.as_text().compact();
            self.keys.insert(filter.clone(), key);
            self.next_key = key.0.wrapping_add(1);
            Group { filter, members: Arc::default(), turn: AtomicUsize::new(0) }
        });
        let number = self.next_number;
        self.next_number += 1;
        group.push(Member { session, grant, number });
        self.numbers.insert((key, session), number);
        true
    }

    /// Removes a member; `None` if it is none.
    pub(super) fn leave(&mut self, filter: &TopicFilter, session: S) -> Option<Left> {
        let key = *self.keys.get(filter.as_str())?;
        let number = self.numbers.remove(&(key, session))?;
        let group = self.groups.get_mut(&key)?;
        group.remove(number);
        if !group.members.is_empty() {
            return Some(Left { ended: None });
        }
        self.groups.remove(&key);
        self.keys.remove(filter.as_str());
        Some(Left { ended: Some(key) })
    }

    /// Takes a turn: the next one is the next member's.
    pub(super) fn turn(&self, key: ShareKey) -> Option<SharedTarget<S>> {
        let group = self.groups.get(&key)?;
        let first = group.turn.fetch_add(1, Ordering::Relaxed).checked_rem(group.members.len())?;
        Some(SharedTarget { members: Arc::clone(&group.members), first })
    }

    pub(super) fn is_member(&self, filter: &TopicFilter, session: S) -> bool {
        self.keys.get(filter.as_str()).is_some_and(|key| self.numbers.contains_key(&(*key, session)))
    }

    /// The key of the group of `filter`, if it has members.
    pub(super) fn key(&self, filter: &TopicFilter) -> Option<ShareKey> {
        self.keys.get(filter.as_str()).copied()
    }

    /// The filter of a group.
    pub(super) fn filter(&self, key: ShareKey) -> Option<&Text> {
        self.groups.get(&key).map(|group| &group.filter)
    }

    pub(super) fn contains(&self, key: ShareKey) -> bool {
        self.groups.contains_key(&key)
    }

    pub(super) fn len(&self) -> usize {
        self.groups.len()
    }

    pub(super) fn members_len(&self) -> usize {
        self.numbers.len()
    }
}

struct Group<S> {
    filter: Text,
    // Changed in place, and copied only while a message is on its way to an earlier state of it.
    members: Arc<Vec<Member<S>>>,
    /// Counts turns; atomic because whoever routes has no more than a read lock.
    turn: AtomicUsize,
}

impl<S: Copy> Group<S> {
    fn push(&mut self, member: Member<S>) {
        self.settle_turn();
        Arc::make_mut(&mut self.members).push(member);
    }

    fn replace(&mut self, number: u64, grant: Grant) {
        if let Some(index) = self.index_of(number)
            && let Some(member) = Arc::make_mut(&mut self.members).get_mut(index)
        {
            member.grant = grant;
        }
    }

    fn remove(&mut self, number: u64) {
        let Some(index) = self.index_of(number) else { return };
        let turn = self.settle_turn();
        let members = Arc::make_mut(&mut self.members);
        members.remove(index);
        if members.len() < members.capacity() / 4 {
            members.shrink_to(2 * members.len());
        }
        // Those after it move up by one, and so does the turn: nobody is passed over and nobody comes twice.
        *self.turn.get_mut() = if index < turn { turn - 1 } else { turn };
    }

    /// Makes the count of turns the index of the next member, because only while the list is as long as it is
    /// does the remainder say so.
    fn settle_turn(&mut self) -> usize {
        let turn = self.turn.get_mut();
        *turn = turn.checked_rem(self.members.len()).unwrap_or_default();
        *turn
    }

    fn index_of(&self, number: u64) -> Option<usize> {
        self.members.binary_search_by_key(&number, |member| member.number).ok()
    }
}
