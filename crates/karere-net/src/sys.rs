//! What is particular to an operating system: waiting for a socket and for a wake-up at once.

use std::io;
use std::task::Wake;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
use unix as system;
#[cfg(windows)]
use windows as system;

/// A socket that somebody else owns: a file descriptor on Unix.
pub type BorrowedSocket<'a> = system::BorrowedSocket<'a>;
pub use system::AsSocket;

/// Ends a [`wait`] from another thread, or the next one when nobody waits.
///
/// As a [`Wake`] it makes a [`std::task::Waker`], so that whoever has something for a driver need not know
/// whether that is a task or a thread.
#[derive(Debug)]
pub struct WakeUp(system::WakeUp);

/// What [`wait`] has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ready {
    /// The socket has something to read, was closed by the peer, or has an error that a read will tell.
    pub readable: bool,
    /// The socket takes bytes again.
    pub writable: bool,
    /// Somebody called [`WakeUp::wake_up`].
    pub woken: bool,
}

impl WakeUp {
    /// A wake-up that nobody has asked for yet.
    ///
    /// # Errors
    /// The system's, when it gives no descriptor.
    pub fn new() -> io::Result<Self> {
        system::WakeUp::new().map(Self)
    }

    /// Ends the running or the next [`wait`]. Several before that count as one.
    pub fn wake_up(&self) {
        self.0.wake_up();
    }

    /// Readable after [`wake_up`](Self::wake_up), until [`clear`](Self::clear): for an event loop of somebody else's.
    #[must_use]
    pub fn socket(&self) -> BorrowedSocket<'_> {
        self.0.socket()
    }

    /// Forgets that somebody asked for it.
    pub fn clear(&self) {
        self.0.clear();
    }
}

impl Wake for WakeUp {
    fn wake(self: std::sync::Arc<Self>) {
        self.wake_up();
    }

    fn wake_by_ref(self: &std::sync::Arc<Self>) {
        self.wake_up();
    }
}

/// Waits until `socket` can be read (with `write`: or written), somebody wakes us up, or `timeout` has passed;
/// none waits for ever. A signal ends it early with nothing ready.
///
/// # Errors
/// The system's; a closed descriptor is among them.
pub fn wait(
    socket: Option<BorrowedSocket<'_>>,
    write: bool,
    wake_up: &WakeUp,
    timeout: Option<Duration>,
) -> io::Result<Ready> {
    let timeout = timeout.map(|timeout| Timespec {
        tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    });
    let wanted = if write { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN };
    let wake = PollFd::from_borrowed_fd(wake_up.0.socket(), PollFlags::IN);
    let found = match socket {
        Some(socket) => poll_of([wake, PollFd::from_borrowed_fd(socket, wanted)], timeout.as_ref())?,
        None => poll_of([wake], timeout.as_ref()).map(|[wake]| [wake, PollFlags::empty()])?,
    };
    let [wake, socket] = found;
    if socket.contains(PollFlags::NVAL) {
        return Err(io::Error::new(io::ErrorKind::NotConnected, "the socket was closed from outside"));
    }
    let woken = !wake.is_empty();
    if woken {
        wake_up.0.clear();
    }
    Ok(Ready {
        readable: socket.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR),
        writable: socket.intersects(PollFlags::OUT),
        woken,
    })
}

/// poll(2) over all of `sockets`: what was found for each.
fn poll_of<const N: usize>(
    mut sockets: [PollFd<'_>; N],
    timeout: Option<&Timespec>,
) -> io::Result<[PollFlags; N]> {
    match poll(&mut sockets, timeout) {
        Ok(0) | Err(rustix::io::Errno::INTR) => Ok([PollFlags::empty(); N]),
        Ok(_) => Ok(sockets.map(|socket| socket.revents())),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests;
