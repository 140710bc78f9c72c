use alloc::boxed::Box;

/// So many that a level takes three words, as the boxed slice and its tag would anyway.
const INLINE_BYTES: usize = 22;

/// The text of one topic level, or of a whole filter.
///
/// As bytes, because they are only ever compared.
pub(super) enum Level {
    Inline { len: u8, bytes: [u8; INLINE_BYTES] },
    Heap(Box<[u8]>),
}

impl Level {
    pub(super) const EMPTY: Self = Self::Inline { len: 0, bytes: [0; INLINE_BYTES] };

    pub(super) fn new(text: &[u8]) -> Self {
        let mut bytes = [0; INLINE_BYTES];
        match (u8::try_from(text.len()), bytes.get_mut(..text.len())) {
            (Ok(len), Some(room)) => {
                room.copy_from_slice(text);
                Self::Inline { len, bytes }
            }
            _ => Self::Heap(text.into()),
        }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Inline { len, bytes } => bytes.get(..usize::from(*len)).unwrap_or_default(),
            Self::Heap(text) => text,
        }
    }

    pub(super) fn heap_bytes(&self) -> usize {
        match self {
            Self::Inline { .. } => 0,
            Self::Heap(text) => text.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;

    #[test]
    fn a_level_gives_back_its_text_on_both_sides_of_the_inline_size() {
        for len in 0..=2 * INLINE_BYTES {
            let text = String::from("ā").repeat(len).into_bytes();
            let text = text.get(..len).unwrap();
            assert_eq!(Level::new(text).as_bytes(), text);
        }
    }

    #[test]
    fn a_level_takes_three_words_and_a_short_one_nothing_more() {
        assert_eq!(size_of::<Level>(), 24);
        assert_eq!(Level::new(&[b'x'; INLINE_BYTES]).heap_bytes(), 0);
        assert_eq!(Level::new(&[b'x'; INLINE_BYTES + 1]).heap_bytes(), INLINE_BYTES + 1);
    }
}
