use core::borrow::Borrow;
use core::fmt;
use core::ops::Deref;

use bytes::Bytes;

use crate::text::{LEN_MAX, Text, TextError, is_plain_name};

/// A Topic Name: what a message is published to (section 4.7).
///
/// One character at least, no wildcard, compared byte for byte: nothing is normalised [MQTT-4.7.3-4].
/// Cloning is cheap.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicName(Text);

impl TopicName {
    /// The zero-length name: only ever in a PUBLISH whose Topic Alias names the topic (section 3.3.2.3.4).
    pub const EMPTY: Self = Self(Text::EMPTY);

    /// Checks `name` and copies it.
    ///
    /// # Errors
    /// As [`from_text`](Self::from_text), and [`TopicError::Text`] for U+0000 or more than 65,535 bytes
    /// [MQTT-4.7.3-2] [MQTT-4.7.3-3].
    pub fn new(name: &str) -> Result<Self, TopicError> {
        Self::from_text(Text::new(name)?)
    }

    /// Checks a string that is already known to be a UTF-8 Encoded String, without copying it.
    ///
    /// # Errors
    /// [`TopicError::Empty`] [MQTT-4.7.3-1], [`TopicError::WildcardInName`] [MQTT-4.7.0-1].
    pub fn from_text(name: Text) -> Result<Self, TopicError> {
        Self::check(&name)?;
        Ok(Self(name))
    }

    /// Takes a name from the network without copying it: [`EMPTY`](Self::EMPTY) too, which an alias may stand for.
    ///
    /// # Errors
    /// As [`from_text`](Self::from_text) but [`TopicError::Empty`], and [`TopicError::Text`].
    #[inline]
    pub(crate) fn decode(name: Bytes) -> Result<Self, TopicError> {
        if name.len() <= LEN_MAX && is_plain_name(&name) {
            return Ok(Self::from_checked(name));
        }
        Self::from_text(Text::from_bytes(name)?)
    }

    /// Takes what a name was made of before, or no bytes at all.
    #[inline]
    pub(crate) fn from_checked(name: Bytes) -> Self {
        Self(Text::from_checked(name))
    }

    /// Whether `name` would do, of which the length and the absence of U+0000 are known.
    ///
    /// # Errors
    /// As [`from_text`](Self::from_text).
    pub fn check(name: &str) -> Result<(), TopicError> {
        if name.is_empty() {
            return Err(TopicError::Empty);
        }
        if is_plain_name(name.as_bytes()) {
            return Ok(());
        }
        name.find(['+', '#']).map_or(Ok(()), |at| Err(TopicError::WildcardInName { at }))
    }

    /// The name as a string slice.
    #[inline]
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as the text that it was made of.
    #[must_use]
    pub const fn as_text(&self) -> &Text {
        &self.0
    }
}

impl Deref for TopicName {
    type Target = str;

    #[inline]
    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl Borrow<str> for TopicName {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for TopicName {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl fmt::Debug for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// Why a string is no Topic Name or no Topic Filter. Positions are byte offsets into the string.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TopicError {
    /// [MQTT-4.7.3-1]
    #[error("a topic has at least one character")]
    Empty,
    /// [MQTT-4.7.0-1]
    #[error("a topic name has no wildcard, but there is one at byte {at}: `+` and `#` are for filters")]
    WildcardInName {
        /// Where the first wildcard is.
        at: usize,
    },
    /// [MQTT-4.7.1-1]
    #[error("the `#` at byte {at} is not the last level of the filter")]
    MultiLevelNotLast {
        /// Where the `#` is.
        at: usize,
    },
    /// [MQTT-4.7.1-1], [MQTT-4.7.1-2]
    #[error("the wildcard at byte {at} does not have its level to itself: put a `/` around it")]
    WildcardInLevel {
        /// Where the wildcard is.
        at: usize,
    },
    /// [MQTT-4.8.2-1]
    #[error("a shared subscription is `$share/name/filter`, but there is no name")]
    ShareNameMissing,
    /// [MQTT-4.8.2-2]
    #[error("the name of a shared subscription has no `+` and no `#`, but there is one at byte {at}")]
    WildcardInShareName {
        /// Where the wildcard is.
        at: usize,
    },
    /// [MQTT-4.8.2-2]
    #[error("a shared subscription is `$share/name/filter`, but there is no filter")]
    ShareFilterMissing,
    /// Not a UTF-8 Encoded String (section 1.5.4).
    #[error(transparent)]
    Text(#[from] TextError),
}
