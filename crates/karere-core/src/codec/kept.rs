//! Copies that are kept: one allocation each, however many slices of it there are.

use alloc::vec::Vec;

use bytes::Bytes;

/// The parts of what is kept, one behind the other in memory of their own.
///
/// `Bytes` made of a vector allocates again when it is first shared. One that is made of an owner has its count
/// beside the owner: where that is an array, everything is one allocation.
#[inline]
pub(crate) fn concatenate(parts: [&[u8]; 3]) -> Bytes {
    match parts.iter().map(|part| part.len()).sum::<usize>() {
        0 => Bytes::new(),
        1..=32 => Inline::<32>::of(parts),
        33..=64 => Inline::<64>::of(parts),
        65..=128 => Inline::<128>::of(parts),
        129..=256 => Inline::<256>::of(parts),
        len => {
            let mut all = Vec::with_capacity(len);
            parts.iter().for_each(|part| all.extend_from_slice(part));
            Bytes::from(all)
        }
    }
}

struct Inline<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Inline<N> {
    /// Of parts that fit.
    fn of(parts: [&[u8]; 3]) -> Bytes {
        let mut all = Self { bytes: [0; N], len: 0 };
        for part in parts {
            let end = all.len + part.len();
            if let Some(place) = all.bytes.get_mut(all.len..end) {
                place.copy_from_slice(part);
                all.len = end;
            }
        }
        Bytes::from_owner(all)
    }
}

impl<const N: usize> AsRef<[u8]> for Inline<N> {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_stand_one_behind_the_other_on_both_sides_of_each_size() {
        let bytes: Vec<u8> = (0..=255).cycle().take(600).collect();
        for len in 0..600 {
            let (first, rest) = bytes[..len].split_at(len / 3);
            let (second, third) = rest.split_at(len / 4);
            assert_eq!(concatenate([first, second, third]), bytes[..len]);
        }
    }
}
