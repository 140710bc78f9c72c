//! The bytes of a segment: its head, and the frames behind it.
//!
//! A number is little-endian. A checksum is CRC-32 (ISO-HDLC) of what it covers.

/// What a segment begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentHead {
    /// The store that it is part of, so that a file of another one is not taken for ours.
    pub(crate) store: u64,
    /// Its number, which is also its name.
    pub(crate) number: u32,
    /// The segment that it follows; 0 for none. Those between the two were given up.
    pub(crate) follows: u32,
    /// How many bytes of that one count. What stands behind them was never known to be durable.
    pub(crate) counts: u64,
}

/// What a frame begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameHead {
    /// Numbers the frames of a store, over all its segments.
    pub(crate) sequence: u64,
    /// How many bytes of this segment were known to be durable when the frame was made: what is broken before that
    /// has been damaged, what is broken behind it was never finished.
    pub(crate) durable: u64,
}

/// A frame as it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    pub(crate) head: FrameHead,
    pub(crate) body: &'a [u8],
}

pub(crate) const FORMAT: u16 = 1;
pub(crate) const SEGMENT_HEAD_LEN: usize = 40;
pub(crate) const FRAME_HEAD_LEN: usize = 24;
/// The longest body: more is not one commit but a mistake, and a damaged length is not to make us read for ever.
pub(crate) const BODY_LEN_MAX: usize = 1 << 30;

const MAGIC: [u8; 8] = *b"karere\0\x1a";

impl SegmentHead {
    pub(crate) fn encode(self) -> [u8; SEGMENT_HEAD_LEN] {
        let mut bytes = [0; SEGMENT_HEAD_LEN];
        let mut out = bytes.as_mut_slice();
        write(&mut out, &MAGIC);
        write(&mut out, &FORMAT.to_le_bytes());
        write(&mut out, &[0, 0]);
        write(&mut out, &self.number.to_le_bytes());
        write(&mut out, &self.store.to_le_bytes());
        write(&mut out, &self.follows.to_le_bytes());
        write(&mut out, &self.counts.to_le_bytes());
        let (covered, checksum) = bytes.split_at_mut(SEGMENT_HEAD_LEN - 4);
        checksum.copy_from_slice(&crc32fast::hash(covered).to_le_bytes());
        bytes
    }

    /// The head that `bytes` begin with, and its format; none where there is none.
    pub(crate) fn decode(bytes: &[u8]) -> Option<(u16, Self)> {
        let (covered, checksum) = bytes
            .first_chunk::<SEGMENT_HEAD_LEN>()?
            .split_last_chunk::<4>()
            .map(|(head, crc)| (head, *crc))?;
        if crc32fast::hash(covered) != u32::from_le_bytes(checksum) {
            return None;
        }
        let mut covered = covered.strip_prefix(&MAGIC)?;
        let format = u16::from_le_bytes(take(&mut covered)?);
        let _: [u8; 2] = take(&mut covered)?;
        let number = u32::from_le_bytes(take(&mut covered)?);
        let store = u64::from_le_bytes(take(&mut covered)?);
        let follows = u32::from_le_bytes(take(&mut covered)?);
        let counts = u64::from_le_bytes(take(&mut covered)?);
        Some((format, Self { store, number, follows, counts }))
    }
}

impl FrameHead {
    /// Appends the frame with `body` to `out`.
    pub(crate) fn encode(self, body: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        out.reserve(FRAME_HEAD_LEN + body.len());
        // A body is at most `BODY_LEN_MAX`: `Log::append` sees to it.
        out.extend_from_slice(&u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&self.sequence.to_le_bytes());
        out.extend_from_slice(&self.durable.to_le_bytes());
        out.extend_from_slice(body);
        let frame = out.get_mut(start..).unwrap_or_default();
        let checksum = checksum(frame);
        if let Some(place) = frame.get_mut(4..8) {
            place.copy_from_slice(&checksum.to_le_bytes());
        }
    }
}

impl<'a> Frame<'a> {
    /// The frame that `bytes` begin with, and its length.
    pub(crate) fn decode(bytes: &'a [u8]) -> Option<(Self, usize)> {
        let len = frame_len(bytes)?;
        let frame = bytes.get(..len)?;
        let mut rest = frame.get(4..)?;
        if u32::from_le_bytes(take(&mut rest)?) != checksum(frame) {
            return None;
        }
        let sequence = u64::from_le_bytes(take(&mut rest)?);
        let durable = u64::from_le_bytes(take(&mut rest)?);
        Some((Self { head: FrameHead { sequence, durable }, body: rest }, len))
    }
}

/// How long the frame is that `bytes` begin with, if its length is one.
pub(crate) fn frame_len(bytes: &[u8]) -> Option<usize> {
    let body = u32::from_le_bytes(*bytes.first_chunk()?) as usize;
    (body <= BODY_LEN_MAX).then_some(FRAME_HEAD_LEN + body)
}

/// Of all but the place where it stands.
fn checksum(frame: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(frame.get(..4).unwrap_or_default());
    hasher.update(frame.get(8..).unwrap_or_default());
    hasher.finalize()
}

fn write(out: &mut &mut [u8], bytes: &[u8]) {
    let place = std::mem::take(out);
    if let Some((here, rest)) = place.split_at_mut_checked(bytes.len()) {
        here.copy_from_slice(bytes);
        *out = rest;
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*first)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: SegmentHead = SegmentHead { store: 7, number: 3, follows: 1, counts: 4096 };

    #[test]
    fn a_segment_head_is_read_as_it_was_written_and_not_with_any_bit_turned() {
        let bytes = HEAD.encode();
        assert_eq!(SegmentHead::decode(&bytes), Some((FORMAT, HEAD)));
        for bit in 0..bytes.len() * 8 {
            let mut bytes = bytes;
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(SegmentHead::decode(&bytes), None, "bit {bit}");
        }
    }

    #[test]
    fn a_frame_is_read_as_it_was_written_and_not_cut_short_nor_with_any_bit_turned() {
        let head = FrameHead { sequence: 9, durable: 40 };
        let mut bytes = b"before".to_vec();
        head.encode(b"body", &mut bytes);
        let bytes = bytes.split_off(6);
        assert_eq!(Frame::decode(&bytes), Some((Frame { head, body: b"body" }, bytes.len())));
        for len in 0..bytes.len() {
            assert_eq!(Frame::decode(&bytes[..len]), None, "{len} bytes of it");
        }
        for bit in 0..bytes.len() * 8 {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Frame::decode(&bytes), None, "bit {bit}");
        }
    }

    #[test]
    fn a_length_beyond_the_longest_is_no_frame() {
        assert_eq!(frame_len(&u32::MAX.to_le_bytes()), None);
    }
}
