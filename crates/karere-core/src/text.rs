//! UTF-8 Encoded String (version 5, section 1.5.4).

use alloc::string::String;
use core::{borrow::Borrow, fmt, ops::Deref};

use bytes::Bytes;
use bytestring::ByteString;

/// The longest UTF-8 Encoded String or Binary Data, in bytes: its length is a Two Byte Integer.
pub const LEN_MAX: usize = u16::MAX as usize;

/// A UTF-8 Encoded String: well-formed, without U+0000, at most 65,535 bytes. [MQTT-1.5.4-1] [MQTT-1.5.4-2]
///
/// Cheap to clone: clones share the bytes. A text that was decoded is a slice of the frame it came in and
/// keeps that frame's buffer alive; whoever keeps it for long keeps a [`compact`](Self::compact) copy.
///
/// Nothing is ever stripped or normalised, a byte order mark neither. [MQTT-1.5.4-3]
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text(ByteString);

impl Text {
    /// The text of zero bytes.
    pub const EMPTY: Self = Self(ByteString::new());

    /// Copies `text`.
    ///
    /// # Errors
    /// [`TextError`] when it is over 65,535 bytes or contains U+0000.
    pub fn new(text: impl AsRef<str>) -> Result<Self, TextError> {
        let text = text.as_ref();
        check_len(text.as_bytes())?;
        check_null(text.as_bytes())?;
        Ok(Self(ByteString::from(text)))
    }

    /// Takes the bytes as they are, without a copy.
    ///
    /// # Errors
    /// [`TextError`] when they are over 65,535 bytes, contain U+0000 or are not UTF-8.
    #[inline]
    pub fn from_bytes(bytes: Bytes) -> Result<Self, TextError> {
        check_len(&bytes)?;
        // Most strings are plain, and `ByteString` looks at those no more than once.
        if !is_plain(&bytes) {
            check_null(&bytes)?;
        }
        ByteString::try_from(bytes).map(Self).map_err(|_| TextError::NotUtf8)
    }

    /// Takes bytes that a text was made of before: only whether they are UTF-8 is looked at again, because without
    /// unsafe code there is no other way. Empty if they are not.
    #[inline]
    pub(crate) fn from_checked(bytes: Bytes) -> Self {
        ByteString::try_from(bytes).map(Self).unwrap_or_default()
    }

    /// Takes a string of the program itself, without a copy.
    ///
    /// # Errors
    /// As [`Text::new`].
    pub fn from_static(text: &'static str) -> Result<Self, TextError> {
        check_len(text.as_bytes())?;
        check_null(text.as_bytes())?;
        Ok(Self(ByteString::from_static(text)))
    }

    /// The text as a string slice.
    #[inline]
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The UTF-8 bytes, shared.
    #[inline]
    #[must_use]
    pub fn as_bytes(&self) -> &Bytes {
        self.0.as_bytes()
    }

    /// A copy in memory of its own, which keeps no frame alive.
    #[must_use]
    pub fn compact(&self) -> Self {
        if self.is_empty() { Self::EMPTY } else { Self(ByteString::from(self.as_str())) }
    }
}

/// The string that `bytes` encode.
///
/// # Errors
/// [`TextError::Null`] or [`TextError::NotUtf8`]. The length is not looked at: it was a Two Byte Integer.
#[inline]
pub(crate) fn decode(bytes: &[u8]) -> Result<&str, TextError> {
    check_null(bytes)?;
    core::str::from_utf8(bytes).map_err(|_| TextError::NotUtf8)
}

/// Whether every byte is ASCII and none is zero: the common case, eight bytes at a time.
#[inline]
fn is_plain(bytes: &[u8]) -> bool {
    is_all(bytes, |word| word | word.wrapping_sub(ONES))
}

/// Whether every byte is ASCII and none is zero, `+` or `#`: nearly every Topic Name, seen in one pass.
#[inline]
pub(crate) fn is_plain_name(bytes: &[u8]) -> bool {
    // The two wildcards differ in one bit. Without it, and with what they have in common taken away, they are zero.
    const BUT_ONE: u64 = u64::from_ne_bytes([!(b'+' ^ b'#'); 8]);
    const WILDCARD: u64 = u64::from_ne_bytes([b'+' & b'#'; 8]);
    is_all(bytes, |word| {
        let wildcard = (word & BUT_ONE) ^ WILDCARD;
        word | word.wrapping_sub(ONES) | wildcard.wrapping_sub(ONES)
    })
}

const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);

/// Whether `odd` sets the high bit of no byte. Below 0x80, subtracting one sets it of a zero byte, and a borrow
/// comes only from one.
#[inline]
fn is_all(bytes: &[u8], odd: impl Fn(u64) -> u64) -> bool {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut seen = words.iter().fold(0, |seen, &word| seen | odd(u64::from_ne_bytes(word)));
    if let Some(last) = bytes.last_chunk::<8>() {
        // Some bytes again, instead of the rest one by one.
        seen |= odd(u64::from_ne_bytes(*last));
    } else {
        let mut last = *b"aaaaaaaa";
        last.iter_mut().zip(rest).for_each(|(place, byte)| *place = *byte);
        seen |= odd(u64::from_ne_bytes(last));
    }
    seen & HIGH == 0
}

#[inline]
const fn check_len(bytes: &[u8]) -> Result<(), TextError> {
    if bytes.len() > LEN_MAX { Err(TextError::TooLong { len: bytes.len() }) } else { Ok(()) }
}

#[inline]
fn check_null(bytes: &[u8]) -> Result<(), TextError> {
    if bytes.contains(&0) { Err(TextError::Null) } else { Ok(()) }
}

/// Why something is not a UTF-8 Encoded String.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// Over 65,535 bytes.
    #[error("a string of {len} bytes does not fit: the most is 65535")]
    TooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// Not well-formed UTF-8; surrogates and overlong forms are not. [MQTT-1.5.4-1]
    #[error("string is not well-formed UTF-8")]
    NotUtf8,
    /// U+0000. [MQTT-1.5.4-2]
    #[error("string contains the null character U+0000")]
    Null,
}

impl From<TextError> for crate::Error {
    fn from(error: TextError) -> Self {
        Self::Malformed(match error {
            TextError::TooLong { .. } => "string is longer than 65535 bytes",
            TextError::NotUtf8 => "string is not well-formed UTF-8",
            TextError::Null => "string contains U+0000",
        })
    }
}

impl Deref for Text {
    type Target = str;

    #[inline]
    fn deref(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Text {
    fn as_ref(&self) -> &str {
        self
    }
}

// `Text` and `str` are equal, ordered and hashed alike: `ByteString` hashes through `str`.
impl Borrow<str> for Text {
    fn borrow(&self) -> &str {
        self
    }
}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl TryFrom<&str> for Text {
    type Error = TextError;

    fn try_from(text: &str) -> Result<Self, TextError> {
        Self::new(text)
    }
}

impl TryFrom<String> for Text {
    type Error = TextError;

    fn try_from(text: String) -> Result<Self, TextError> {
        check_len(text.as_bytes())?;
        check_null(text.as_bytes())?;
        Ok(Self(ByteString::from(text)))
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests;
