//! Variable Byte Integer (section 1.5.5): seven bits a byte, the least significant first, one to four bytes.

use bytes::{BufMut, BytesMut};

use crate::Error;

/// The largest Variable Byte Integer, and so the largest Remaining Length, in bytes.
pub const VARIABLE_BYTE_INTEGER_MAX: u32 = 268_435_455;

/// The value at the start of `input` and how many bytes it takes; `None` when more bytes are needed.
///
/// # Errors
/// [`Error::Malformed`] when a fourth byte says that there is a fifth, or when fewer bytes would have done.
/// [MQTT-1.5.5-1]
#[inline]
pub(super) fn decode(input: &[u8]) -> Result<Option<(u32, usize)>, Error> {
    let mut value = 0;
    for (index, &byte) in input.iter().take(4).enumerate() {
        value |= u32::from(byte & 0x7F) << (7 * index);
        if byte < 0x80 {
            if byte == 0 && index > 0 {
                return Err(Error::Malformed("variable byte integer is longer than it needs to be"));
            }
            return Ok(Some((value, index + 1)));
        }
    }
    if input.len() < 4 { Ok(None) } else { Err(Error::Malformed("variable byte integer is over four bytes")) }
}

/// How many bytes `value` takes, which is at most [`VARIABLE_BYTE_INTEGER_MAX`].
#[inline]
pub(super) const fn len(value: u32) -> usize {
    match value {
        0..=0x7F => 1,
        0x80..=0x3FFF => 2,
        0x4000..=0x1F_FFFF => 3,
        _ => 4,
    }
}

/// Writes `value`, which is at most [`VARIABLE_BYTE_INTEGER_MAX`].
#[inline]
pub(super) fn encode(mut value: u32, out: &mut BytesMut) {
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(value: u32) -> std::vec::Vec<u8> {
        let mut out = BytesMut::new();
        encode(value, &mut out);
        out.to_vec()
    }

    #[test]
    fn the_limits_of_each_length_are_as_table_1_1_has_them() {
        let table: [(u32, &[u8]); 8] = [
            (0, &[0x00]),
            (127, &[0x7F]),
            (128, &[0x80, 0x01]),
            (16_383, &[0xFF, 0x7F]),
            (16_384, &[0x80, 0x80, 0x01]),
            (2_097_151, &[0xFF, 0xFF, 0x7F]),
            (2_097_152, &[0x80, 0x80, 0x80, 0x01]),
            (268_435_455, &[0xFF, 0xFF, 0xFF, 0x7F]),
        ];
        for (value, bytes) in table {
            assert_eq!(encoded(value), bytes, "{value}");
            assert_eq!(len(value), bytes.len(), "{value}");
            assert_eq!(decode(bytes), Ok(Some((value, bytes.len()))), "{value}");
        }
    }

    #[test]
    fn a_fifth_byte_is_refused_before_it_comes() {
        assert_eq!(
            decode(&[0xFF, 0xFF, 0xFF, 0xFF]),
            Err(Error::Malformed("variable byte integer is over four bytes"))
        );
    }

    #[test]
    fn more_bytes_than_needed_are_refused() {
        for bytes in [&[0x80, 0x00][..], &[0x85, 0x80, 0x00], &[0xFF, 0xFF, 0xFF, 0x00]] {
            assert_eq!(
                decode(bytes),
                Err(Error::Malformed("variable byte integer is longer than it needs to be")),
                "{bytes:x?}"
            );
        }
    }

    #[test]
    fn a_cut_integer_asks_for_more() {
        for bytes in [&[][..], &[0x80], &[0xFF, 0xFF], &[0x80, 0x80, 0x80]] {
            assert_eq!(decode(bytes), Ok(None), "{bytes:x?}");
        }
    }

    #[test]
    fn what_follows_is_left_alone() {
        assert_eq!(decode(&[0x05, 0xFF, 0xFF]), Ok(Some((5, 1))));
    }
}
