//! Who publishes what where: topics, filters, and what a payload says of itself.

use std::fmt;

use bytes::Bytes;

/// What a topic is there for. Each publisher has a few topics in each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Area {
    /// For subscribers whose subscriptions stay.
    Plain,
    /// For groups that share.
    Shared,
    /// For retained messages.
    Retained,
    /// For subscriptions that are made and removed while it runs.
    Toggled,
    /// For Wills.
    Will,
}

const AREAS: [(Area, char); 5] =
    [(Area::Plain, 'd'), (Area::Shared, 's'), (Area::Retained, 'r'), (Area::Toggled, 'x'), (Area::Will, 'w')];

impl Area {
    fn letter(self) -> char {
        AREAS.iter().find(|(area, _)| *area == self).map_or('?', |(_, letter)| *letter)
    }
}

/// `d/3/1`: area, publisher, number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Topic {
    pub(crate) area: Area,
    pub(crate) publisher: u16,
    pub(crate) number: u8,
}

impl Topic {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('/');
        let letter = parts.next()?;
        let (area, _) = AREAS.iter().find(|(_, l)| letter.chars().eq([*l]))?;
        let topic =
            Self { area: *area, publisher: parts.next()?.parse().ok()?, number: parts.next()?.parse().ok()? };
        parts.next().is_none().then_some(topic)
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.area.letter(), self.publisher, self.number)
    }
}

/// `d/+/+`, `x/+/2`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Filter {
    pub(crate) area: Area,
    pub(crate) number: Option<u8>,
}

impl Filter {
    /// All of an area.
    pub(crate) const fn all(area: Area) -> Self {
        Self { area, number: None }
    }

    pub(crate) fn matches(self, topic: Topic) -> bool {
        self.area == topic.area && self.number.is_none_or(|number| number == topic.number)
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/+/", self.area.letter())?;
        match self.number {
            Some(number) => write!(f, "{number}"),
            None => f.write_str("+"),
        }
    }
}

/// What makes a payload unlike any other of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Stamp {
    pub(crate) publisher: u16,
    pub(crate) counter: u32,
}

impl Stamp {
    /// A payload of `size` bytes, or as many as the stamp takes, that shows when any of it is changed or cut.
    pub(crate) fn payload(self, size: usize) -> Bytes {
        let mut text = format!("{} {} {size} ", self.publisher, self.counter);
        let filler = self.filler();
        text.extend(std::iter::repeat_n(filler, size.saturating_sub(text.len())));
        text.into()
    }

    pub(crate) fn parse(payload: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(payload).ok()?;
        let mut words = text.splitn(4, ' ');
        let stamp = Self { publisher: words.next()?.parse().ok()?, counter: words.next()?.parse().ok()? };
        let size: usize = words.next()?.parse().ok()?;
        let rest = words.next()?;
        let whole = rest.is_empty() || payload.len() == size;
        (whole && rest.chars().all(|c| c == stamp.filler())).then_some(stamp)
    }

    fn filler(self) -> char {
        char::from(b'a' + (self.counter % 26) as u8)
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "message {} of publisher {}", self.counter, self.publisher)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_is_read_as_it_is_written_and_a_filter_matches_its_area() {
        let topic = Topic { area: Area::Toggled, publisher: 12, number: 3 };
        assert_eq!(topic.to_string(), "x/12/3");
        assert_eq!(Topic::parse("x/12/3"), Some(topic));
        assert_eq!(Topic::parse("x/12/3/4"), None);
        assert_eq!(Topic::parse("y/12/3"), None);
        let filter = Filter { area: Area::Toggled, number: Some(3) };
        assert_eq!((filter.to_string().as_str(), filter.matches(topic)), ("x/+/3", true));
        assert!(!filter.matches(Topic { number: 2, ..topic }));
        assert!(!Filter::all(Area::Plain).matches(topic));
        assert_eq!(Filter::all(Area::Plain).to_string(), "d/+/+");
    }

    #[test]
    fn a_payload_that_was_cut_or_changed_is_not_taken_for_itself() {
        let stamp = Stamp { publisher: 3, counter: 77 };
        for size in [0, 9, 10, 300] {
            let payload = stamp.payload(size);
            assert_eq!(Stamp::parse(&payload), Some(stamp), "{size}");
        }
        let payload = stamp.payload(300);
        assert_eq!(Stamp::parse(&payload[..299]), None);
        let mut changed = payload.to_vec();
        changed[200] ^= 1;
        assert_eq!(Stamp::parse(&changed), None);
    }
}
