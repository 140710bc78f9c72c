//! The Subscription Identifiers of a PUBLISH (section 3.3.2.3.8).

use alloc::{vec, vec::Vec};

/// Subscription Identifiers, 1 to 268,435,455 each, in the order they came.
///
/// A message mostly matches one subscription: none and one need no allocation.
#[derive(Debug, Clone, Default)]
pub struct SubscriptionIds(Ids);

#[derive(Debug, Clone, Default)]
enum Ids {
    #[default]
    None,
    One(u32),
    Many(Vec<u32>),
}

impl SubscriptionIds {
    /// No identifier.
    pub const EMPTY: Self = Self(Ids::None);

    /// Adds one.
    pub fn push(&mut self, id: u32) {
        match &mut self.0 {
            Ids::None => self.0 = Ids::One(id),
            Ids::One(first) => self.0 = Ids::Many(vec![*first, id]),
            Ids::Many(ids) => ids.push(id),
        }
    }

    /// All of them.
    #[inline]
    #[must_use]
    pub fn as_slice(&self) -> &[u32] {
        match &self.0 {
            Ids::None => &[],
            Ids::One(id) => core::slice::from_ref(id),
            Ids::Many(ids) => ids,
        }
    }

    /// Whether there is none.
    #[inline]
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        matches!(self.0, Ids::None)
    }
}

impl PartialEq for SubscriptionIds {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for SubscriptionIds {}

impl From<Option<u32>> for SubscriptionIds {
    fn from(id: Option<u32>) -> Self {
        Self(id.map_or(Ids::None, Ids::One))
    }
}

impl FromIterator<u32> for SubscriptionIds {
    fn from_iter<I: IntoIterator<Item = u32>>(ids: I) -> Self {
        let mut all = Self::EMPTY;
        all.extend(ids);
        all
    }
}

impl Extend<u32> for SubscriptionIds {
    fn extend<I: IntoIterator<Item = u32>>(&mut self, ids: I) {
        for id in ids {
            self.push(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_stay_in_the_order_they_came() {
        let mut ids = SubscriptionIds::EMPTY;
        assert!(ids.is_empty());
        for count in 1..5 {
            ids.push(count);
            assert_eq!(ids.as_slice(), (1..=count).collect::<Vec<_>>());
            assert!(!ids.is_empty());
        }
    }

    #[test]
    fn an_optional_identifier_is_none_or_one() {
        assert!(SubscriptionIds::from(None).is_empty());
        assert_eq!(SubscriptionIds::from(Some(7)).as_slice(), [7]);
    }
}
