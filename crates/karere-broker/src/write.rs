//! From outbox to socket, by whoever comes first: the thread that has filled it, or its own driver.

use std::io::{self, IoSlice};

use bytes::Buf;
use karere_core::connection::Outbox;

use crate::bench::Pool;
use crate::broker::Shared;
use crate::connection::{Link, Signals, Writer};
use crate::slot::{Cell, Finished};
use crate::sync::Arc;

/// How often the same thread goes on with what was put into the outbox while it wrote.
const ROUNDS_MAX: usize = 4;
/// How many pieces one write takes.
const SLICES_MAX: usize = 64;

/// How far writing has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Written {
    /// Nothing waits, or somebody else writes it.
    All,
    /// The socket is full, or it has been enough for one turn: the driver must wait and go on.
    Blocked,
    /// The connection is broken.
    Failed,
}

/// Writes what waits for `cell` as far as it goes without waiting. For the driver of `own`, which goes on with
/// the rest; if another connection has the slot by now, the rest is its driver's business.
pub(crate) fn flush(broker: &Shared, pool: &mut Pool, cell: &Cell, own: &Arc<Link>) -> Written {
    match write_out(broker, pool, cell) {
        Some((written, link)) if Arc::ptr_eq(&link, own) => written,
        other => leave(other),
    }
}

/// The same for another connection's slot: what is left is its own driver's business.
pub(crate) fn write_through(broker: &Shared, pool: &mut Pool, cell: &Cell) {
    leave(write_out(broker, pool, cell));
}

fn leave(unfinished: Option<(Written, Arc<Link>)>) -> Written {
    match unfinished {
        Some((Written::Blocked, link)) => link.signal(Signals::WRITE),
        Some((Written::Failed, link)) => link.signal(Signals::CLOSE),
        _ => {}
    }
    Written::All
}

fn write_out(broker: &Shared, pool: &mut Pool, cell: &Cell) -> Option<(Written, Arc<Link>)> {
    let mut state = cell.lock();
    let Some((link, mut bytes)) = state.begin_write() else {
        state.place.unfit(pool);
        return None;
    };
    drop(state);
    for _ in 0..ROUNDS_MAX {
        let (count, written) = write_now(broker, &link, &mut bytes);
        let unwritten = (!bytes.is_empty()).then(|| std::mem::take(&mut bytes));
        if unwritten.is_none() {
            pool.give(bytes);
        }
        let (finished, mut state) = cell.finish_write(broker.clock.now(), &link, count, unwritten);
        let Finished::Attached { drained } = finished else { return None };
        let waiters = if drained { state.place.take_waiters() } else { Vec::new() };
        let more = if written == Written::All { state.begin_write() } else { None };
        if more.is_none() {
            state.place.unfit(pool);
        }
        drop(state);
        waiters.iter().for_each(|publisher| publisher.release());
        let Some((_, next)) = more else { return Some((written, link)) };
        bytes = next;
    }
    // Enough for one turn: the driver goes on with what is given back.
    drop(cell.finish_write(broker.clock.now(), &link, 0, Some(bytes)));
    Some((Written::Blocked, link))
}

/// Writes `bytes` until they are gone or the socket takes no more. How many went.
pub(crate) fn write_now(broker: &Shared, link: &Link, bytes: &mut Outbox) -> (usize, Written) {
    let (mut count, mut writes) = (0, 0);
    let written = loop {
        if bytes.is_empty() {
            break Written::All;
        }
        writes += 1;
        match write_once(&link.writer, bytes) {
            Ok(0) => break Written::Failed,
            Ok(more) => {
                bytes.advance(more);
                count += more;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break Written::Blocked,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break Written::Failed,
        }
    };
    broker.count.sent(writes, count as u64);
    (count, written)
}

fn write_once(writer: &dyn Writer, bytes: &Outbox) -> io::Result<usize> {
    let mut first: [&[u8]; 1] = [&[]];
    bytes.slices(&mut first);
    if first[0].len() == bytes.len() {
        return writer.try_write(&[IoSlice::new(first[0])]);
    }
    let mut slices: [&[u8]; SLICES_MAX] = [&[]; SLICES_MAX];
    let used = bytes.slices(&mut slices);
    let vector = slices.map(IoSlice::new);
    writer.try_write(&vector[..used])
}
