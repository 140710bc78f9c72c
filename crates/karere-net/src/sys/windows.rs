//! Windows: its poll takes sockets only, so the wake-up is a datagram over loopback.

use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::windows::io as windows;

pub(super) type BorrowedSocket<'a> = windows::BorrowedSocket<'a>;

/// What has a socket.
pub trait AsSocket {
    /// Its socket.
    fn as_socket(&self) -> windows::BorrowedSocket<'_>;
}

impl<T: windows::AsSocket> AsSocket for T {
    fn as_socket(&self) -> windows::BorrowedSocket<'_> {
        windows::AsSocket::as_socket(self)
    }
}

#[derive(Debug)]
pub(super) struct WakeUp {
    near: UdpSocket,
    far: UdpSocket,
}

impl WakeUp {
    pub(super) fn new() -> io::Result<Self> {
        let near = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        let far = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        far.connect(near.local_addr()?)?;
        // Connected on both sides, so that no other program's datagram wakes us.
        near.connect(far.local_addr()?)?;
        near.set_nonblocking(true)?;
        far.set_nonblocking(true)?;
        Ok(Self { near, far })
    }

    pub(super) fn wake_up(&self) {
        // It fails only when the buffer is full: then the reader is awake already.
        let _ = self.far.send(&[1]);
    }

    pub(super) fn clear(&self) {
        while self.near.recv(&mut [0; 8]).is_ok() {}
    }

    pub(super) fn socket(&self) -> windows::BorrowedSocket<'_> {
        windows::AsSocket::as_socket(&self.near)
    }
}
