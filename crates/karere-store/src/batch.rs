//! What changes together.

use std::fmt;

/// What names a value: a table, whose it is there, and which one of theirs.
///
/// The meaning of the three is the user's; the store keeps them apart and hands the values of a table back in the order
/// of `owner` and `item`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The kind of value.
    pub table: u8,
    /// Whose it is, within the table.
    pub owner: u64,
    /// Which one of theirs.
    pub item: u64,
}

/// Bytes of an operation before its value: what it does, the key, and the value's length.
pub(crate) const OPERATION_LEN: usize = 1 + Key::LEN + 4;

const PUT: u8 = 1;
const REMOVE: u8 = 2;

/// Changes that are on the disk all together or not at all.
///
/// They are encoded as they are added, so that appending a batch copies it once.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    bytes: Vec<u8>,
}

/// One change, as it lies in a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    /// The value stands at this offset of the batch, with this length.
    Put { key: Key, offset: u32, len: u32 },
    /// The key has no value any more.
    Remove { key: Key },
}

impl Key {
    pub(crate) const LEN: usize = 17;

    /// A key from its three parts.
    #[must_use]
    pub const fn new(table: u8, owner: u64, item: u64) -> Self {
        Self { table, owner, item }
    }

    fn encode(self, out: &mut Vec<u8>) {
        out.push(self.table);
        out.extend_from_slice(&self.owner.to_le_bytes());
        out.extend_from_slice(&self.item.to_le_bytes());
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (table, rest) = bytes.split_first()?;
        let (owner, rest) = rest.split_first_chunk()?;
        let (item, _) = rest.split_first_chunk()?;
        Some(Self::new(*table, u64::from_le_bytes(*owner), u64::from_le_bytes(*item)))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}/{}", self.table, self.owner, self.item)
    }
}

impl Batch {
    /// No change yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The value of `key` is to be what `parts` make one after the other, at most 4 GiB of it.
    pub fn put(&mut self, key: Key, parts: &[&[u8]]) {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        self.bytes.reserve(OPERATION_LEN + len);
        self.bytes.push(PUT);
        key.encode(&mut self.bytes);
        // A value of 4 GiB has no frame to go into: `Log::append` refuses it.
        let len = u32::try_from(len).unwrap_or(u32::MAX);
        self.bytes.extend_from_slice(&len.to_le_bytes());
        parts.iter().for_each(|part| self.bytes.extend_from_slice(part));
    }

    /// The value of `key` is to be what `write` appends to the bytes it is given, at most 4 GiB. What is there already is
    /// not `write`'s.
    pub fn put_with(&mut self, key: Key, write: impl FnOnce(&mut Vec<u8>)) {
        self.bytes.push(PUT);
        key.encode(&mut self.bytes);
        let at = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        write(&mut self.bytes);
        let len = u32::try_from(self.bytes.len().saturating_sub(at + 4)).unwrap_or(u32::MAX);
        if let Some(place) = self.bytes.get_mut(at..at + 4) {
            place.copy_from_slice(&len.to_le_bytes());
        }
    }

    /// `key` is to have no value.
    pub fn remove(&mut self, key: Key) {
        self.bytes.push(REMOVE);
        key.encode(&mut self.bytes);
        self.bytes.extend_from_slice(&0u32.to_le_bytes());
    }

    /// The changes of `other` follow.
    pub fn append(&mut self, other: &Self) {
        self.bytes.extend_from_slice(&other.bytes);
    }

    /// Nothing changes any more. The memory stays, `capacity_max` bytes of it at most.
    pub fn clear(&mut self, capacity_max: usize) {
        self.bytes.clear();
        self.bytes.shrink_to(capacity_max);
    }

    /// Whether nothing changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Bytes that it takes on the disk, without the head of its frame.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Reads the operations of a batch. Ends with `None` in place of an operation where the bytes are none.
pub(crate) fn operations(bytes: &[u8]) -> impl Iterator<Item = Option<Operation>> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        if at >= bytes.len() {
            return None;
        }
        let read = operation(bytes, at);
        at = read.map_or(bytes.len(), |(_, next)| next);
        Some(read.map(|(operation, _)| operation))
    })
}

/// The operation at `at`, and where the next one is.
fn operation(bytes: &[u8], at: usize) -> Option<(Operation, usize)> {
    let head = bytes.get(at..at + OPERATION_LEN)?;
    let key = Key::decode(head.get(1..)?)?;
    let len = u32::from_le_bytes(*head.last_chunk()?);
    let offset = at + OPERATION_LEN;
    match *head.first()? {
        PUT => {
            let end = offset.checked_add(len as usize).filter(|end| *end <= bytes.len())?;
            Some((Operation::Put { key, offset: u32::try_from(offset).ok()?, len }, end))
        }
        REMOVE if len == 0 => Some((Operation::Remove { key }, offset)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(batch: &Batch) -> Vec<Option<Operation>> {
        operations(batch.as_bytes()).collect()
    }

    #[test]
    fn the_changes_of_a_batch_come_back_in_their_order() {
        let (a, b) = (Key::new(1, 2, 3), Key::new(255, u64::MAX, 0));
        let mut batch = Batch::new();
        batch.put(a, &[b"va", b"lue"]);
        batch.remove(b);
        batch.put_with(b, |value| assert!(!value.is_empty(), "behind what was there"));
        let offsets: Vec<_> = read(&batch).into_iter().map(Option::unwrap).collect();
        assert!(matches!(offsets[0], Operation::Put { key, len: 5, offset } if key == a
            && &batch.as_bytes()[offset as usize..offset as usize + 5] == b"value"));
        assert_eq!(offsets[1], Operation::Remove { key: b });
        assert!(matches!(offsets[2], Operation::Put { key, len: 0, .. } if key == b));
    }

    #[test]
    fn a_value_that_is_written_in_place_is_one_that_was_put() {
        let (mut put, mut written) = (Batch::new(), Batch::new());
        for batch in [&mut put, &mut written] {
            batch.remove(Key::new(1, 1, 1));
        }
        put.put(Key::new(1, 2, 3), &[b"val", b"ue"]);
        written.put_with(Key::new(1, 2, 3), |value| value.extend_from_slice(b"value"));
        assert_eq!(put.as_bytes(), written.as_bytes());
        let mut both = put.clone();
        both.append(&written);
        assert_eq!(read(&both).len(), 4);
        both.clear(16);
        assert!(both.is_empty());
    }

    #[test]
    fn bytes_that_are_no_operation_end_the_batch_with_none() {
        let mut batch = Batch::new();
        batch.put(Key::new(1, 1, 1), &[b"value"]);
        for cut in 1..batch.len() {
            let cut: Vec<_> = operations(&batch.as_bytes()[..cut]).collect();
            assert_eq!(cut, [None]);
        }
        assert_eq!(operations(&[9; OPERATION_LEN]).collect::<Vec<_>>(), [None], "an unknown operation");
    }
}
