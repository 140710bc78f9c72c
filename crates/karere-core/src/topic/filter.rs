use core::borrow::Borrow;
use core::fmt;
use core::ops::Deref;

use super::TopicError;
use crate::text::Text;

#[cfg(test)]
mod tests;

const SHARE_PREFIX: &str = "$share/";

/// A Topic Filter: what a subscription names (section 4.7), a shared one as `$share/{ShareName}/{filter}`
/// (section 4.8.2).
///
/// Cloning is cheap.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicFilter(Text);

impl TopicFilter {
    /// Checks `filter` and copies it.
    ///
    /// # Errors
    /// As [`from_text`](Self::from_text), and [`TopicError::Text`] for U+0000 or more than 65,535 bytes
    /// [MQTT-4.7.3-2] [MQTT-4.7.3-3].
    pub fn new(filter: &str) -> Result<Self, TopicError> {
        Self::from_text(Text::new(filter)?)
    }

    /// Checks a string that is already known to be a UTF-8 Encoded String, without copying it.
    ///
    /// # Errors
    /// Each [`TopicError`] but [`TopicError::WildcardInName`] and [`TopicError::Text`].
    pub fn from_text(filter: Text) -> Result<Self, TopicError> {
        check(&filter)?;
        Ok(Self(filter))
    }

    /// The whole filter, `$share/{ShareName}/` and all.
    #[inline]
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The filter as the text that it was made of.
    #[must_use]
    pub const fn as_text(&self) -> &Text {
        &self.0
    }

    /// The ShareName and the filter after it, when this is a Shared Subscription's filter.
    #[must_use]
    pub fn share(&self) -> Option<(&str, &str)> {
        self.0.strip_prefix(SHARE_PREFIX)?.split_once('/')
    }

    /// What topics are matched with: all of it, or what follows the ShareName.
    #[must_use]
    pub fn filter_without_share(&self) -> &str {
        self.share().map_or(self.as_str(), |(_, filter)| filter)
    }

    /// Whether it can match more than one topic.
    #[must_use]
    pub fn is_wildcard(&self) -> bool {
        // A ShareName has none, and anywhere else these two are wildcards or the filter is not valid.
        self.0.contains(['+', '#'])
    }

    /// Whether a message published to `topic` is one for this filter.
    #[must_use]
    pub fn matches(&self, topic: &str) -> bool {
        matches(self.filter_without_share(), topic)
    }
}

/// Whether `filter`, without a `$share/{ShareName}/`, matches `topic` (section 4.7).
///
/// Takes one step a level. Both have to be valid; of an invalid one the answer means nothing.
///
/// ```
/// use karere_core::topic::matches;
///
/// assert!(matches("sport/#", "sport"));
/// assert!(!matches("sport/+", "sport"));
/// assert!(!matches("#", "$SYS/broker/uptime")); // [MQTT-4.7.2-1]
/// ```
#[must_use]
pub fn matches(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut topic = topic.split('/');
    for level in filter.split('/') {
        if level == "#" {
            return true; // asked before the topic's next level: `sport/#` matches `sport`
        }
        match topic.next() {
            Some(name) if level == "+" || level == name => {}
            _ => return false,
        }
    }
    topic.next().is_none()
}

fn check(filter: &str) -> Result<(), TopicError> {
    if filter == "$share" {
        return Err(TopicError::ShareNameMissing);
    }
    let Some(shared) = filter.strip_prefix(SHARE_PREFIX) else {
        return check_levels(filter, 0);
    };
    let (name, levels) = shared.split_once('/').unwrap_or((shared, ""));
    if name.is_empty() {
        return Err(TopicError::ShareNameMissing);
    }
    if let Some(at) = name.find(['+', '#']) {
        return Err(TopicError::WildcardInShareName { at: SHARE_PREFIX.len() + at });
    }
    if levels.is_empty() {
        return Err(TopicError::ShareFilterMissing);
    }
    check_levels(levels, SHARE_PREFIX.len() + name.len() + 1)
}

/// Checks a filter without ShareName that begins `offset` bytes into what the caller wrote.
fn check_levels(filter: &str, offset: usize) -> Result<(), TopicError> {
    if filter.is_empty() {
        return Err(TopicError::Empty);
    }
    let mut start = 0;
    for level in filter.split('/') {
        let end = start + level.len();
        if level == "#" && end != filter.len() {
            return Err(TopicError::MultiLevelNotLast { at: offset + start });
        }
        if level.len() > 1
            && let Some(at) = level.find(['+', '#'])
        {
            return Err(TopicError::WildcardInLevel { at: offset + start + at });
        }
        start = end + 1;
    }
    Ok(())
}

impl Deref for TopicFilter {
    type Target = str;

    #[inline]
    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl Borrow<str> for TopicFilter {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for TopicFilter {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for TopicFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl fmt::Debug for TopicFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}
