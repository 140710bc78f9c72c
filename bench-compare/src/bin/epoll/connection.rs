//! One connection with its slot, and the way from its outbox to its socket.

use std::io::{self, IoSlice, Write};

use bytes::Buf;
use karere_core::broker::Slot;
use karere_core::connection::Outbox;
use mio::net::TcpStream;
use parking_lot::Mutex;

use crate::Shared;

/// How often the same thread goes on with what was put into the outbox while it wrote.
const ROUNDS_MAX: usize = 4;

pub(crate) struct Connection {
    pub(crate) key: u32,
    pub(crate) stream: TcpStream,
    pub(crate) state: Mutex<State>,
}

pub(crate) struct State {
    pub(crate) slot: Slot,
    /// The outbox has a buffer from a pool.
    fitted: bool,
    /// Somebody has taken the bytes that waited and writes them.
    writing: bool,
    /// The socket has become writable meanwhile.
    again: bool,
}

/// Outbox buffers that nobody uses at the moment.
#[derive(Default)]
pub(crate) struct Pool(Vec<Outbox>);

impl State {
    pub(crate) fn new(slot: Slot) -> Self {
        Self { slot, fitted: false, writing: false, again: false }
    }

    /// Lends the outbox a buffer: a connection that is idle has none of its own.
    pub(crate) fn fit(&mut self, pool: &mut Pool) {
        if !self.fitted
            && let Some(outbox) = self.slot.poll_transmit()
            && outbox.is_empty()
            && let Some(mut spare) = pool.0.pop()
        {
            outbox.swap(&mut spare);
            self.fitted = true;
        }
    }

    fn take(&mut self) -> Option<Outbox> {
        let outbox = self.slot.poll_transmit().filter(|outbox| !outbox.is_empty())?;
        let mut taken = Outbox::default();
        outbox.swap(&mut taken);
        self.fitted = false;
        self.writing = true;
        Some(taken)
    }

    fn unfit(&mut self, pool: &mut Pool) {
        if self.fitted
            && let Some(outbox) = self.slot.poll_transmit()
            && outbox.is_empty()
        {
            let mut spare = Outbox::default();
            outbox.swap(&mut spare);
            pool.0.push(spare);
            self.fitted = false;
        }
    }
}

impl Connection {
    /// Writes what waits as far as it goes; when the socket is full, its thread goes on once it has room.
    pub(crate) fn flush(&self, shared: &Shared, pool: &mut Pool) {
        let mut state = self.state.lock();
        if state.writing {
            state.again = true;
            return;
        }
        for _ in 0..ROUNDS_MAX {
            let Some(mut bytes) = state.take() else {
                return state.unfit(pool);
            };
            drop(state);
            let (count, full) = self.write(&mut bytes);
            state = self.state.lock();
            state.writing = false;
            if bytes.is_empty() {
                pool.0.push(bytes);
            } else if let Some(outbox) = state.slot.poll_transmit() {
                outbox.put_back(&mut bytes);
                state.fitted = true;
            }
            state.slot.handle_written(shared.now(), count);
            if full && !std::mem::take(&mut state.again) {
                return;
            }
        }
    }

    /// How many bytes went, and whether the socket takes no more.
    fn write(&self, bytes: &mut Outbox) -> (usize, bool) {
        let mut count = 0;
        while !bytes.is_empty() {
            let mut slices: [&[u8]; 64] = [&[]; 64];
            let used = bytes.slices(&mut slices);
            let result = match &slices[..used] {
                [one] => (&self.stream).write(one),
                many => {
                    let vector: Vec<IoSlice<'_>> = many.iter().map(|slice| IoSlice::new(slice)).collect();
                    (&self.stream).write_vectored(&vector)
                }
            };
            match result {
                Ok(more) => {
                    bytes.advance(more);
                    count += more;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return (count, true), // broken: the reader will find out
            }
        }
        (count, false)
    }
}
