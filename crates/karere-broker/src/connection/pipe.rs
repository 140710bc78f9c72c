//! A connection without a socket: two bounded buffers in memory.

use std::io::{self, IoSlice};
use std::task::{Context, Poll, Waker};

use bytes::BytesMut;

use super::transport::{Reader, Writer};
use crate::sync::{Arc, Mutex};

/// What one direction holds before its writer has to wait, in bytes.
const PIPE_BYTES_MAX: usize = 64 * 1024;

/// Both ends of a new pipe.
pub(crate) fn pair() -> (PipeEnd, PipeEnd) {
    let (there, back) = (Arc::<Direction>::default(), Arc::<Direction>::default());
    let left = PipeEnd { reader: PipeReader(there.clone()), writer: PipeWriter(back.clone()) };
    let right = PipeEnd { reader: PipeReader(back), writer: PipeWriter(there) };
    (left, right)
}

/// One of the two ends.
#[derive(Debug)]
pub(crate) struct PipeEnd {
    pub(crate) reader: PipeReader,
    pub(crate) writer: PipeWriter,
}

/// Reads one direction; gone, its writer gets `BrokenPipe`.
#[derive(Debug)]
pub(crate) struct PipeReader(Arc<Direction>);

/// Writes one direction; gone, its reader gets the end of the stream.
#[derive(Debug)]
pub(crate) struct PipeWriter(Arc<Direction>);

#[derive(Debug, Default)]
struct Direction(Mutex<Flow>);

#[derive(Debug, Default)]
struct Flow {
    bytes: BytesMut,
    closed: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Reader for PipeReader {
    fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut BytesMut) -> Poll<io::Result<usize>> {
        let mut flow = self.0.0.lock();
        if flow.bytes.is_empty() {
            flow.reader = Some(cx.waker().clone());
            return if flow.closed { Poll::Ready(Ok(0)) } else { Poll::Pending };
        }
        let count = flow.bytes.len().min(into.capacity() - into.len()).max(1);
        into.extend_from_slice(&flow.bytes.split_to(count));
        if flow.bytes.is_empty() {
            flow.bytes = BytesMut::new();
        }
        flow.wake_writer();
        Poll::Ready(Ok(count))
    }
}

impl Writer for PipeWriter {
    fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut flow = self.0.0.lock();
        if flow.closed {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let mut written = 0;
        for slice in slices {
            let count = slice.len().min(PIPE_BYTES_MAX - flow.bytes.len());
            flow.bytes.extend_from_slice(&slice[..count]);
            written += count;
        }
        if written == 0 && slices.iter().any(|slice| !slice.is_empty()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        flow.wake_reader();
        Ok(written)
    }

    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut flow = self.0.0.lock();
        if flow.closed || flow.bytes.len() < PIPE_BYTES_MAX {
            return Poll::Ready(Ok(()));
        }
        flow.writer = Some(cx.waker().clone());
        Poll::Pending
    }

    fn shutdown(&self) {
        self.0.close();
    }
}

impl Direction {
    fn close(&self) {
        let mut flow = self.0.lock();
        flow.closed = true;
        flow.wake_reader();
        flow.wake_writer();
    }
}

impl Flow {
    fn wake_reader(&mut self) {
        self.reader.take().into_iter().for_each(Waker::wake);
    }

    fn wake_writer(&mut self) {
        self.writer.take().into_iter().for_each(Waker::wake);
    }
}

impl Drop for PipeReader {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Drop for PipeWriter {
    fn drop(&mut self) {
        self.0.close();
    }
}
