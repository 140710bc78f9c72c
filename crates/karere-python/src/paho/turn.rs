//! The loop: waiting, reading, writing, time.

use std::io::IoSlice;
use std::thread;
use std::time::{Duration, Instant};

use karere_net::sys;
use pyo3::exceptions::{PyBlockingIOError, PyOSError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::base::PahoBase;
use super::convert::rc;
use super::dispatch::dispatch;
use super::link::{self, Halt, Link, READ_BYTES, Written};
use super::state::Inner;

/// How long a loop waits for more to write, where one message follows the other.
const GATHER: Duration = Duration::from_micros(50);
/// Above this there is enough to write.
const GATHER_BYTES: usize = 16 * 1024;
/// How many reads from a socket of Python's make one turn.
const READS_MAX: usize = 8;
/// How long a loop sleeps that finds somebody else calling back.
const ASIDE: Duration = Duration::from_millis(1);

/// Waits for the socket at most `timeout` seconds and does what there is to be done; returns an `MQTTErrorCode`.
///
/// With `stay` it goes on until the time is up, the connection has ended, or the flag `interrupt` is set.
pub(super) fn run(slf: &Bound<'_, PahoBase>, timeout: f64, stay: bool) -> PyResult<i32> {
    let inner = slf.get().inner();
    let _looping = inner.looping();
    let patience = Duration::try_from_secs_f64(timeout).unwrap_or(Duration::MAX);
    let deadline = Instant::now().checked_add(patience);
    loop {
        if let Some(rc) = dispatch(slf, &inner)? {
            return Ok(rc);
        }
        if is_closed_outside(slf)? {
            slf.get().inner().set_link(None);
            return slf.call_method0(intern!(slf.py(), "_on_socket_gone"))?.extract();
        }
        let Some(link) = inner.link() else { return Ok(rc::NO_CONN) };
        if link.plain {
            slf.py().detach(|| step(&inner, &link, deadline, stay));
        } else {
            step_in_python(slf, &inner, &link, deadline)?;
        }
        drop(link);
        if let Some(rc) = dispatch(slf, &inner)? {
            return Ok(rc);
        }
        slf.py().check_signals()?;
        if !stay {
            return finish(slf, &inner);
        }
        if inner.link().is_none() {
            return Ok(rc::SUCCESS);
        }
        let is_late = deadline.is_some_and(|deadline| deadline <= Instant::now());
        if is_late || inner.is(&inner.flags.interrupt) {
            return Ok(rc::SUCCESS);
        }
    }
}

/// Reads what is there and calls back for it.
pub(super) fn read(slf: &Bound<'_, PahoBase>) -> PyResult<i32> {
    let inner = slf.get().inner();
    let Some(link) = inner.link() else { return Ok(rc::NO_CONN) };
    if link.plain {
        slf.py().detach(|| link.read(&inner));
    } else {
        read_in_python(slf, &inner, &link)?;
    }
    if let Some(rc) = dispatch(slf, &inner)? {
        return Ok(rc);
    }
    if inner.state().has_to_write() { flush(slf, &inner) } else { Ok(rc::SUCCESS) }
}

/// Writes what waits.
pub(super) fn write(slf: &Bound<'_, PahoBase>) -> PyResult<i32> {
    let inner = slf.get().inner();
    write_now(slf, &inner)
}

/// Lets time pass.
pub(super) fn misc(slf: &Bound<'_, PahoBase>) -> PyResult<i32> {
    let inner = slf.get().inner();
    let Some(link) = inner.link() else { return Ok(rc::NO_CONN) };
    link::timeout(&inner, link.number);
    if let Some(rc) = dispatch(slf, &inner)? {
        return Ok(rc);
    }
    if inner.state().has_to_write() { flush(slf, &inner) } else { Ok(rc::SUCCESS) }
}

/// Writes what waits, where this thread is the one to do it; else sees to it that somebody does.
pub(super) fn flush(slf: &Bound<'_, PahoBase>, inner: &Inner) -> PyResult<i32> {
    if inner.is(&inner.flags.threaded) || inner.is(&inner.flags.external) {
        if inner.is(&inner.flags.watched) {
            slf.call_method0(intern!(slf.py(), "_call_socket_register_write"))?;
        }
        return Ok(rc::SUCCESS);
    }
    // Whoever calls back writes when he has done.
    if inner.is(&inner.flags.dispatching) {
        return Ok(rc::SUCCESS);
    }
    write_now(slf, inner)
}

fn write_now(slf: &Bound<'_, PahoBase>, inner: &Inner) -> PyResult<i32> {
    let Some(link) = inner.link() else { return Ok(rc::NO_CONN) };
    slf.py().detach(|| inner.await_store());
    let written =
        if link.plain { slf.py().detach(|| link.write(inner)) } else { write_in_python(slf, inner, &link)? };
    if written == Written::Blocked {
        // A loop in another thread must wait for the socket to take more.
        let asleep = std::mem::take(&mut inner.state().sleeping);
        inner.wake_if(asleep);
    }
    drop(link);
    let told = dispatch(slf, inner)?;
    if inner.is(&inner.flags.watched) {
        let more = slf.get().want_write();
        let name = if more { "_call_socket_register_write" } else { "_call_socket_unregister_write" };
        slf.call_method0(name)?;
    }
    Ok(told.unwrap_or(rc::SUCCESS))
}

/// The end of one pass: what callbacks and acknowledgements left to be written is written, and time passes.
fn finish(slf: &Bound<'_, PahoBase>, inner: &Inner) -> PyResult<i32> {
    let Some(link) = inner.link() else { return Ok(rc::SUCCESS) };
    link::timeout(inner, link.number);
    let has_more = inner.state().has_to_write();
    if has_more { write_now(slf, inner) } else { Ok(dispatch(slf, inner)?.unwrap_or(rc::SUCCESS)) }
}

/// A loop's work that needs nothing of Python, until there is something to tell or the time is up.
fn step(inner: &Inner, link: &Link, deadline: Option<Instant>, stay: bool) {
    loop {
        if link.is_streaming() && may_gather(inner) {
            thread::sleep(GATHER);
        }
        link.write(inner);
        if inner.has_items() {
            return step_aside(inner);
        }
        let ready = sleep(inner, link, deadline);
        if ready.readable {
            link.read(inner);
        }
        link::timeout(inner, link.number);
        let is_late = deadline.is_some_and(|deadline| deadline <= Instant::now());
        let is_over = inner.state().number != link.number || inner.is(&inner.flags.interrupt);
        if !stay || is_late || is_over || inner.has_items() || ready == sys::Ready::default() {
            return step_aside(inner);
        }
    }
}

/// Somebody else calls back already: that may take its time.
fn step_aside(inner: &Inner) {
    if inner.is(&inner.flags.dispatching) {
        thread::sleep(ASIDE);
    }
}

fn may_gather(inner: &Inner) -> bool {
    let state = inner.state();
    let waiting = state.core.outbox_bytes();
    0 < waiting && waiting < GATHER_BYTES && !state.leaving && !state.blocked
}

/// Sleeps until the socket is ready, somebody wakes us, it is time for Keep Alive, or the deadline.
fn sleep(inner: &Inner, link: &Link, deadline: Option<Instant>) -> sys::Ready {
    let (blocked, patience) = {
        let mut state = inner.state();
        let work = state.has_to_write() && !state.blocked || state.over;
        state.sleeping = !work;
        let timeout = state.core.poll_timeout().map(|at| at.since(inner.now()));
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let patience = [timeout, left].into_iter().flatten().min();
        (state.blocked, if work { Some(Duration::ZERO) } else { patience })
    };
    let patience = if inner.has_items() { Some(Duration::ZERO) } else { patience };
    let found = sys::wait(Some(link.borrow()), blocked, &inner.wake_up, patience);
    let mut state = inner.state();
    state.sleeping = false;
    match found {
        Ok(ready) => {
            state.blocked &= !ready.writable;
            ready
        }
        Err(error) => {
            inner.lost(&mut state, link.number, rc::CONN_LOST, Some(error.to_string()));
            sys::Ready::default()
        }
    }
}

/// The program may close the socket that is its own; ours is a duplicate, which would not notice.
fn is_closed_outside(slf: &Bound<'_, PahoBase>) -> PyResult<bool> {
    let py = slf.py();
    let socket = slf.getattr(intern!(py, "_sock"))?;
    if socket.is_none() {
        return Ok(false);
    }
    Ok(socket.call_method0(intern!(py, "fileno"))?.extract::<i32>().is_ok_and(|number| number < 0))
}

/// One pass over a socket whose bytes only Python can read.
fn step_in_python(
    slf: &Bound<'_, PahoBase>,
    inner: &Inner,
    link: &Link,
    deadline: Option<Instant>,
) -> PyResult<()> {
    let py = slf.py();
    write_in_python(slf, inner, link)?;
    if inner.has_items() {
        return Ok(());
    }
    let socket = slf.getattr(intern!(py, "_sock"))?;
    if socket.is_none() {
        return Ok(());
    }
    let buffered = match socket.getattr_opt(intern!(py, "pending"))? {
        Some(pending) => pending.call0()?.extract::<usize>()? > 0,
        None => false,
    };
    let deadline = if buffered { Some(Instant::now()) } else { deadline };
    let ready = py.detach(|| {
        let ready = sleep(inner, link, deadline);
        link::timeout(inner, link.number);
        ready
    });
    if ready.readable || buffered {
        read_in_python(slf, inner, link)?;
    }
    Ok(())
}

fn read_in_python(slf: &Bound<'_, PahoBase>, inner: &Inner, link: &Link) -> PyResult<()> {
    let py = slf.py();
    // Held while Python reads, and so only ever tried: who holds the interpreter's lock must not wait for it.
    let Some(mut reader) = link.reader.try_lock() else { return Ok(()) };
    for _ in 0..READS_MAX {
        match slf.call_method1(intern!(py, "_sock_recv"), (READ_BYTES,)) {
            Ok(bytes) => {
                let bytes: &[u8] = bytes.extract()?;
                if bytes.is_empty() {
                    link.fail(inner, rc::CONN_LOST, None);
                    break;
                }
                link.take(inner, &mut reader, bytes);
            }
            Err(error) if error.is_instance_of::<PyBlockingIOError>(py) => break,
            Err(error) if error.is_instance_of::<PyOSError>(py) => {
                link.fail(inner, rc::CONN_LOST, Some(error.value(py).to_string()));
                break;
            }
            Err(error) => return Err(error),
        }
        if inner.link().is_none_or(|current| current.number != link.number) {
            break;
        }
    }
    Ok(())
}

fn write_in_python(slf: &Bound<'_, PahoBase>, inner: &Inner, link: &Link) -> PyResult<Written> {
    loop {
        // As with reading: only tried.
        let Some(mut writer) = link.writer.try_lock() else { return Ok(Written::Blocked) };
        let done = link.write_to(inner, &mut writer, |slices| send_in_python(slf, slices))?;
        drop(writer);
        // Somebody may have been turned away between our last look and the lock's release.
        if done != Written::All || !inner.state().has_to_write() {
            return Ok(done);
        }
    }
}

fn send_in_python(slf: &Bound<'_, PahoBase>, slices: &[IoSlice<'_>]) -> Result<usize, Halt> {
    let py = slf.py();
    let first = slices.first().map_or(&[][..], |slice| slice);
    let sent = slf.call_method1(intern!(py, "_sock_send"), (PyBytes::new(py, first),));
    match sent.and_then(|count| count.extract()) {
        Ok(count) => Ok(count),
        Err(error) if error.is_instance_of::<PyBlockingIOError>(py) => Err(Halt::Blocked),
        Err(error) if error.is_instance_of::<PyOSError>(py) => Err(Halt::Lost(error.value(py).to_string())),
        Err(error) => Err(Halt::Raised(error)),
    }
}
