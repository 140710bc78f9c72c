//! A descriptor of Python's, duplicated.
//!
//! A number is no proof that a descriptor is open, so to own one made from a number takes `unsafe`. A descriptor that
//! comes over a Unix socket is owned by whoever received it: Python sends, we receive.

use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{IntoRawFd, OwnedFd};
use std::os::unix::net::UnixStream;

use pyo3::prelude::*;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

/// Duplicates the descriptor of `socket`, which stays Python's.
pub(super) fn duplicate(socket: &Bound<'_, PyAny>) -> PyResult<OwnedFd> {
    let py = socket.py();
    let number: i32 = socket.call_method0("fileno")?.extract()?;
    let (ours, theirs) = UnixStream::pair()?;
    let module = py.import("socket")?;
    let messenger = module.getattr("socket")?.call1((-1, -1, -1, theirs.into_raw_fd()))?;
    let sent = module.getattr("send_fds")?.call1((&messenger, (&b"f"[..],), (number,)));
    messenger.call_method0("close")?;
    sent?;
    Ok(receive(&ours)?)
}

fn receive(from: &UnixStream) -> io::Result<OwnedFd> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    recvmsg(from, &mut [IoSliceMut::new(&mut byte)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let mut descriptors = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    descriptors.next().ok_or_else(|| io::Error::other("no descriptor came"))
}
