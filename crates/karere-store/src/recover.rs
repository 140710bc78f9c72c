//! Reading a store back: which segments count, and which of their frames.

use std::collections::VecDeque;
use std::io;

use crate::batch::operations;
use crate::disk::{Disk, SegmentFile};
use crate::error::{Damage, OpenError};
use crate::frame::{FORMAT, FRAME_HEAD_LEN, Frame, SEGMENT_HEAD_LEN, SegmentHead, frame_len};
use crate::index::Index;
use crate::log::{Found, Reader, Segment};

/// What was found when a store was opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Keys that have a value.
    pub values: usize,
    /// Segments that were read.
    pub segments: usize,
    /// Bytes that were read.
    pub bytes: u64,
    /// Bytes behind the last whole frame: what was being written when it ended. None of it was acknowledged.
    pub torn_bytes: u64,
    /// Pieces that were durable once and are damaged now; each is kept aside.
    pub damages: Vec<Damage>,
}

/// One step through a segment: a frame, or a piece that is none.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) at: u64,
    /// Where the next one begins.
    pub(crate) next: u64,
    pub(crate) frame: Option<Whole>,
}

/// A frame with a body of its own.
#[derive(Debug)]
pub(crate) struct Whole {
    pub(crate) sequence: u64,
    pub(crate) durable: u64,
    /// Where the body begins in the segment.
    pub(crate) offset: u64,
    pub(crate) body: Vec<u8>,
}

/// Reads all that counts of the store on `disk`, and removes what was given up.
pub(crate) fn replay<D: Disk>(disk: &mut D, seed: u64) -> Result<Found, OpenError> {
    let mut numbers = disk.list().map_err(|source| failed("the folder cannot be read", source))?;
    numbers.sort_unstable();
    let chain = chain(disk, &numbers)?;
    let mut found = Found {
        store: chain.last().map_or(seed, |(head, _)| head.store),
        index: Index::new(seed),
        segments: VecDeque::new(),
        sequence: 0,
        number: numbers.last().copied().unwrap_or(0),
        report: Report::default(),
    };
    for (head, counts) in &chain {
        read_segment(disk, head.number, *counts, &mut found)
            .map_err(|source| failed(&format!("segment {} cannot be read", head.number), source))?;
    }
    // What is on no chain was begun and given up, or is left from a removal that was not durable.
    for number in numbers.into_iter().filter(|number| chain.iter().all(|(head, _)| head.number != *number)) {
        disk.remove(number)
            .map_err(|source| failed(&format!("segment {number} cannot be removed"), source))?;
    }
    (found.report.values, found.report.segments) = (found.index.len(), found.segments.len());
    Ok(found)
}

/// The segments that count, the oldest first, each with how many of its bytes do: none for all there is.
fn chain<D: Disk>(disk: &D, numbers: &[u32]) -> Result<Vec<(SegmentHead, Option<u64>)>, OpenError> {
    let mut chain: Vec<(SegmentHead, Option<u64>)> = Vec::new();
    for &number in numbers.iter().rev() {
        let next = chain.last().map(|(head, _)| *head);
        let expected = next.map_or(number, |next| next.follows);
        if number > expected && expected > 0 {
            continue; // Given up: the next one follows an older one.
        }
        if number != expected {
            return Err(OpenError::Missing { segment: expected });
        }
        match read_head(disk, number)? {
            Some(head) if next.is_none_or(|next| next.store == head.store) => {
                chain.push((head, next.map(|next| next.counts)));
            }
            // It was being made when it ended: a head is durable before anything follows it.
            None if chain.is_empty() => {}
            _ => return Err(OpenError::Missing { segment: number }),
        }
    }
    chain.reverse();
    Ok(chain)
}

fn read_head<D: Disk>(disk: &D, number: u32) -> Result<Option<SegmentHead>, OpenError> {
    let mut bytes = [0; SEGMENT_HEAD_LEN];
    disk.open(number)
        .and_then(|file| file.read_at(0, &mut bytes))
        .map_err(|source| failed(&format!("segment {number} cannot be read"), source))?;
    match SegmentHead::decode(&bytes) {
        Some((format, _)) if format > FORMAT => Err(OpenError::Newer { segment: number, format }),
        Some((_, head)) if head.number == number => Ok(Some(head)),
        _ => Ok(None),
    }
}

/// Applies the frames of a segment, as far as they count.
fn read_segment<D: Disk>(
    disk: &mut D,
    number: u32,
    counts: Option<u64>,
    found: &mut Found,
) -> io::Result<()> {
    let mut reader = Reader::new(disk.open(number)?)?;
    let end = counts.unwrap_or(u64::MAX).min(reader.len());
    let mut at = SEGMENT_HEAD_LEN as u64;
    // In a segment that nothing follows, what is broken may be what was being written when it ended: that is known
    // when a later frame says up to where all was durable, and what is applied waits for it.
    let mut held: Vec<Step> = Vec::new();
    let mut broken: Option<u64> = None;
    while at < end {
        let step = next_frame(&mut reader, at, end)?;
        at = step.next;
        let durable = step.frame.as_ref().map_or(0, |frame| frame.durable);
        if step.frame.is_none() && broken.is_none() && counts.is_none() {
            broken = Some(step.at);
        }
        if broken.is_none_or(|broken| broken < durable) {
            broken = None;
            for step in held.drain(..).chain([step]) {
                apply(disk, &mut reader, number, &step, found)?;
            }
        } else {
            held.push(step);
        }
    }
    let len = broken.unwrap_or(end);
    found.report.torn_bytes += end - len;
    found.report.bytes += len;
    found.segments.push_back(Segment { number, len });
    Ok(())
}

fn apply<D: Disk>(
    disk: &mut D,
    reader: &mut Reader<D::File>,
    number: u32,
    step: &Step,
    found: &mut Found,
) -> io::Result<()> {
    let Some(frame) = &step.frame else {
        let len = step.next - step.at;
        disk.quarantine(number, step.at, reader.at(step.at, usize::try_from(len).unwrap_or(usize::MAX))?)?;
        found.report.damages.push(Damage { segment: number, offset: step.at, len });
        return Ok(());
    };
    found.sequence = found.sequence.max(frame.sequence);
    for operation in operations(&frame.body).flatten() {
        found.index.apply(operation, number, frame.offset);
    }
    Ok(())
}

/// The frame at `at`; or, where there is none, the piece up to the next one or the end.
pub(crate) fn next_frame<F: SegmentFile>(reader: &mut Reader<F>, at: u64, end: u64) -> io::Result<Step> {
    if let Some(step) = frame_at(reader, at, end)? {
        return Ok(step);
    }
    let mut next = at + 1;
    while next < end && frame_at(reader, next, end)?.is_none() {
        next += 1;
    }
    Ok(Step { at, next, frame: None })
}

fn frame_at<F: SegmentFile>(reader: &mut Reader<F>, at: u64, end: u64) -> io::Result<Option<Step>> {
    let Some(len) = frame_len(reader.at(at, FRAME_HEAD_LEN)?) else { return Ok(None) };
    if at.saturating_add(len as u64) > end {
        return Ok(None);
    }
    let Some((frame, len)) = Frame::decode(reader.at(at, len)?) else { return Ok(None) };
    Ok(Some(Step {
        at,
        next: at + len as u64,
        frame: Some(Whole {
            sequence: frame.head.sequence,
            durable: frame.head.durable,
            offset: at + FRAME_HEAD_LEN as u64,
            body: frame.body.to_vec(),
        }),
    }))
}

fn failed(what: &str, source: io::Error) -> OpenError {
    OpenError::Io { what: what.to_owned(), source }
}
