//! One connection: how its bytes come and go.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};
use karere_core::Error;
use karere_core::codec::ReasonCode;
use karere_core::connection::Outbox;
use karere_net::websocket::Filter;
use parking_lot::Mutex;
use rustix::net::{SendAncillaryBuffer, SendFlags, sendmsg};

use super::convert::rc;
use super::state::{Inner, State};

/// The most that one read brings.
pub(super) const READ_BYTES: usize = 64 * 1024;
/// How many slices one write takes.
const SLICES: usize = 64;
/// Messages closer than this come one on the other's heels.
const HEELS: Duration = Duration::from_micros(200);

/// One connection. It is read and written by whichever thread calls, one at a time each.
pub(super) struct Link {
    pub(super) number: u64,
    pub(super) fd: OwnedFd,
    /// Whether the bytes are read and written on the descriptor; else they go through Python's socket.
    pub(super) plain: bool,
    pub(super) reader: Mutex<Reader>,
    pub(super) writer: Mutex<Writer>,
    /// WebSocket's frames, where the bytes come in them. Never locked while Python code runs.
    frames: Option<Mutex<Filter>>,
    /// When something was written, if nothing was read since.
    wrote: Mutex<Option<Instant>>,
}

pub(super) struct Reader {
    /// Where the system writes to: only what came is copied on.
    scratch: Box<[u8]>,
    /// What came and was not handled: whole packets are slices of it.
    pub(super) input: BytesMut,
    /// What came in frames that are not whole.
    framed: BytesMut,
}

#[derive(Default)]
pub(super) struct Writer {
    /// What was taken to be written.
    outgoing: Outbox,
    /// The same in frames.
    framed: BytesMut,
    /// How much of MQTT's is in `framed`.
    unreported: usize,
}

/// What a round of writing has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    /// There is nothing to write for now.
    All,
    /// The socket takes no more for now.
    Blocked,
    /// It is another connection's turn, or nobody's.
    Over,
}

/// Why a write has not written.
pub(super) enum Halt {
    Blocked,
    Lost(String),
    Raised(pyo3::PyErr),
}

impl From<io::Error> for Halt {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::WouldBlock => Self::Blocked,
            _ => Self::Lost(error.to_string()),
        }
    }
}

impl Link {
    pub(super) fn new(number: u64, fd: OwnedFd, plain: bool, websocket: bool) -> Self {
        let scratch = if plain { vec![0; READ_BYTES].into_boxed_slice() } else { Box::default() };
        Self {
            number,
            fd,
            plain,
            reader: Mutex::new(Reader { scratch, input: BytesMut::new(), framed: BytesMut::new() }),
            writer: Mutex::default(),
            frames: websocket.then(|| Mutex::new(Filter::client_upgraded())),
            wrote: Mutex::default(),
        }
    }

    pub(super) fn borrow(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Whether messages follow each other so closely that it pays to wait a moment for more to write.
    pub(super) fn is_streaming(&self) -> bool {
        self.wrote.lock().is_some_and(|wrote| wrote.elapsed() < HEELS)
    }

    /// Reads once, as much as one read brings. False when nothing was there.
    pub(super) fn read(&self, inner: &Inner) -> bool {
        let mut reader = self.reader.lock();
        let mut scratch = std::mem::take(&mut reader.scratch);
        let found = rustix::io::read(&self.fd, &mut *scratch);
        match found {
            Ok(0) => self.fail(inner, rc::CONN_LOST, None),
            Ok(count) => self.take(inner, &mut reader, scratch.get(..count).unwrap_or_default()),
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
            Err(error) => self.fail(inner, rc::CONN_LOST, Some(io::Error::from(error).to_string())),
        }
        reader.scratch = scratch;
        found.is_ok()
    }

    /// Takes what came from the network.
    pub(super) fn take(&self, inner: &Inner, reader: &mut Reader, bytes: &[u8]) {
        *self.wrote.lock() = None;
        let Some(frames) = &self.frames else {
            reader.input.extend_from_slice(bytes);
            return self.handle(inner, &mut reader.input);
        };
        reader.framed.extend_from_slice(bytes);
        let mut frames = frames.lock();
        let taken = frames.handle_input(&mut reader.framed, &mut reader.input);
        let (closed, answers) = (frames.is_closed(), frames.wants_write());
        drop(frames);
        self.handle(inner, &mut reader.input);
        if answers {
            inner.state().answers = true;
        }
        match taken {
            Err(error) => self.fail(inner, rc::PROTOCOL, Some(error.to_string())),
            Ok(()) if closed => self.fail(inner, rc::CONN_LOST, None),
            Ok(()) => {}
        }
    }

    /// Handles what came.
    fn handle(&self, inner: &Inner, input: &mut BytesMut) {
        let mut state = inner.state();
        if state.number != self.number || state.over {
            return input.clear();
        }
        let result = state.core.handle_input(inner.now(), input);
        inner.collect(&mut state);
        if let Err(error) = result {
            let rc = code_of(&error);
            inner.lost(&mut state, self.number, rc, Some(error.to_string()));
        }
    }

    pub(super) fn fail(&self, inner: &Inner, rc: i32, why: Option<String>) {
        inner.lost(&mut inner.state(), self.number, rc, why);
    }

    /// Writes what waits to the descriptor, without waiting.
    pub(super) fn write(&self, inner: &Inner) -> Written {
        let mut writer = self.writer.lock();
        match self.write_to(inner, &mut writer, |slices| Ok(write_once(&self.fd, slices)?)) {
            Ok(written) => written,
            Err(_) => Written::Over,
        }
    }

    /// Writes what waits, with `sink` for the network.
    ///
    /// # Errors
    /// What the sink has raised.
    pub(super) fn write_to(
        &self,
        inner: &Inner,
        writer: &mut Writer,
        mut sink: impl FnMut(&[IoSlice<'_>]) -> Result<usize, Halt>,
    ) -> Result<Written, pyo3::PyErr> {
        loop {
            let written = match self.write_some(writer, &mut sink) {
                Ok(written) => written,
                Err(Halt::Blocked) => return Ok(self.block(inner)),
                Err(Halt::Lost(why)) => {
                    self.fail(inner, rc::CONN_LOST, Some(why));
                    return Ok(Written::Over);
                }
                Err(Halt::Raised(error)) => return Err(error),
            };
            if let Some(done) = self.next(inner, &mut writer.outgoing, written) {
                return Ok(done);
            }
        }
    }

    /// Writes once, or all of what is in frames; how much of MQTT's has gone.
    fn write_some(
        &self,
        writer: &mut Writer,
        sink: &mut impl FnMut(&[IoSlice<'_>]) -> Result<usize, Halt>,
    ) -> Result<usize, Halt> {
        let Some(frames) = &self.frames else {
            if writer.outgoing.is_empty() {
                return Ok(0);
            }
            let count = with_slices(&writer.outgoing, &mut *sink)?;
            writer.outgoing.advance(count);
            *self.wrote.lock() = Some(Instant::now());
            return Ok(count);
        };
        let mut frames = frames.lock();
        let len = writer.outgoing.len();
        if len > 0 {
            with_slices(&writer.outgoing, |slices| frames.encode_vectored(slices));
            writer.outgoing.advance(len);
            writer.unreported += len;
        }
        if frames.wants_write() {
            writer.framed.unsplit(frames.poll_transmit().split());
        }
        drop(frames);
        while !writer.framed.is_empty() {
            let count = sink(&[IoSlice::new(&writer.framed)])?;
            writer.framed.advance(count);
            *self.wrote.lock() = Some(Instant::now());
        }
        Ok(std::mem::take(&mut writer.unreported))
    }

    fn block(&self, inner: &Inner) -> Written {
        let mut state = inner.state();
        if state.number == self.number {
            state.blocked = true;
        }
        Written::Blocked
    }

    /// Reports what was written and takes what is to be written next; when there is nothing, says why.
    fn next(&self, inner: &Inner, outgoing: &mut Outbox, written: usize) -> Option<Written> {
        let mut guard = inner.state();
        let state: &mut State = &mut guard;
        if state.number != self.number || state.over {
            return Some(Written::Over);
        }
        state.blocked = false;
        if written > 0 {
            state.core.handle_written(inner.now(), written);
            inner.collect(state);
        }
        let answers = std::mem::take(&mut state.answers);
        if outgoing.is_empty() {
            state.core.poll_transmit().swap(outgoing);
        }
        if !outgoing.is_empty() || answers {
            return None;
        }
        if state.leaving {
            inner.left(state);
        }
        Some(Written::All)
    }
}

fn with_slices<R>(outgoing: &Outbox, f: impl FnOnce(&[IoSlice<'_>]) -> R) -> R {
    let mut parts: [&[u8]; SLICES] = [&[]; SLICES];
    let used = outgoing.slices(&mut parts);
    let slices = parts.map(IoSlice::new);
    f(slices.get(..used).unwrap_or(&slices))
}

fn write_once(fd: &OwnedFd, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    loop {
        // Not writev: a connection that was reset must not raise SIGPIPE in somebody's program.
        match sendmsg(fd, slices, &mut SendAncillaryBuffer::default(), SendFlags::NOSIGNAL) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Err(rustix::io::Errno::INTR) => {}
            result => return Ok(result?),
        }
    }
}

fn code_of(error: &Error) -> i32 {
    if error.reason_code() == ReasonCode::KeepAliveTimeout { rc::KEEPALIVE } else { rc::PROTOCOL }
}

/// The same for what time has brought.
pub(super) fn timeout(inner: &Inner, number: u64) {
    let mut state = inner.state();
    if state.number != number || state.over {
        return;
    }
    if let Err(error) = state.core.handle_timeout(inner.now()) {
        let rc = code_of(&error);
        inner.lost(&mut state, number, rc, None);
    }
    inner.collect(&mut state);
}
