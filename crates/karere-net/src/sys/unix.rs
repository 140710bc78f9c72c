//! Unix: an eventfd on Linux, a pair of sockets elsewhere.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

pub(super) type BorrowedSocket<'a> = BorrowedFd<'a>;

/// What has a socket.
pub trait AsSocket {
    /// Its socket.
    fn as_socket(&self) -> BorrowedFd<'_>;
}

impl<T: AsFd> AsSocket for T {
    fn as_socket(&self) -> BorrowedFd<'_> {
        self.as_fd()
    }
}

#[cfg(target_os = "linux")]
#[derive(Debug)]
pub(super) struct WakeUp(std::os::fd::OwnedFd);

#[cfg(target_os = "linux")]
impl WakeUp {
    pub(super) fn new() -> io::Result<Self> {
        use rustix::event::{EventfdFlags, eventfd};
        Ok(Self(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?))
    }

    pub(super) fn wake_up(&self) {
        // It fails only when the counter is full: then the reader is awake already.
        let _ = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
    }

    pub(super) fn clear(&self) {
        let _ = rustix::io::read(&self.0, &mut [0; 8]);
    }

    pub(super) fn socket(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(not(target_os = "linux"))]
#[derive(Debug)]
pub(super) struct WakeUp {
    near: std::os::unix::net::UnixStream,
    far: std::os::unix::net::UnixStream,
}

#[cfg(not(target_os = "linux"))]
impl WakeUp {
    pub(super) fn new() -> io::Result<Self> {
        let (near, far) = std::os::unix::net::UnixStream::pair()?;
        near.set_nonblocking(true)?;
        far.set_nonblocking(true)?;
        Ok(Self { near, far })
    }

    pub(super) fn wake_up(&self) {
        // It fails only when the pipe is full: then the reader is awake already.
        let _ = io::Write::write(&mut &self.far, &[1]);
    }

    pub(super) fn clear(&self) {
        while matches!(io::Read::read(&mut &self.near, &mut [0; 64]), Ok(64)) {}
    }

    pub(super) fn socket(&self) -> BorrowedFd<'_> {
        self.near.as_fd()
    }
}
