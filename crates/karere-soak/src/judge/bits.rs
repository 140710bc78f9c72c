//! A set of counters for each publisher.

/// Which messages of which publisher: a bit for each.
#[derive(Debug, Default)]
pub(crate) struct Bits {
    publishers: Vec<Vec<u64>>,
}

impl Bits {
    /// Adds one; true if it was not there.
    pub(crate) fn insert(&mut self, publisher: u16, counter: u32) -> bool {
        let publisher = usize::from(publisher);
        if self.publishers.len() <= publisher {
            self.publishers.resize_with(publisher + 1, Vec::new);
        }
        let words = &mut self.publishers[publisher];
        let (word, bit) = (counter as usize / 64, 1 << (counter % 64));
        if words.len() <= word {
            words.resize(word + 1, 0);
        }
        let new = words[word] & bit == 0;
        words[word] |= bit;
        new
    }

    pub(crate) fn contains(&self, publisher: u16, counter: u32) -> bool {
        let words = self.publishers.get(usize::from(publisher));
        words
            .and_then(|words| words.get(counter as usize / 64))
            .is_some_and(|word| word & (1 << (counter % 64)) != 0)
    }

    pub(crate) fn clear(&mut self) {
        self.publishers.clear();
    }
}
