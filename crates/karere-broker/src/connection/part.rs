//! The end of a connection: its last bytes, and no longer than that takes.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use karere_core::connection::Outbox;

use super::link::{Link, Signals};
use super::transport::Reader;
use crate::broker::Shared;
use crate::sync::Arc;
use crate::write::{Written, write_now};

/// How long a client may take to read its last bytes.
const LAST_WORDS_MAX: Duration = Duration::from_secs(5);
/// How long a client may take to close after them.
const LINGER_MAX: Duration = Duration::from_secs(1);

/// Writes what the slot left, and closes. `ours`: we close, and the client may not have noticed yet.
pub(super) async fn part<R: Reader>(broker: Arc<Shared>, link: Arc<Link>, mut reader: R, ours: bool) {
    let mut last = LastWords { broker: &broker, link: &link, bytes: None };
    let written = match last.write() {
        Some(written) => written,
        None => {
            let waiting = tokio::time::timeout(LAST_WORDS_MAX, poll_fn(|cx| last.poll_write(cx)));
            waiting.await.unwrap_or(false)
        }
    };
    if !written {
        return;
    }
    link.writer.shutdown();
    if ours {
        // A socket that is closed while bytes come in takes back what was sent: the client would see a reset
        // in place of the reason.
        let linger = tokio::time::timeout(LINGER_MAX, poll_fn(|cx| poll_linger(cx, &link, &mut reader)));
        let _ = linger.await;
    }
}

struct LastWords<'a> {
    broker: &'a Shared,
    link: &'a Arc<Link>,
    bytes: Option<Outbox>,
}

impl LastWords<'_> {
    /// Writes without waiting. Whether all is written; `None` when it must wait.
    fn write(&mut self) -> Option<bool> {
        if self.bytes.is_none() {
            self.bytes = Some(self.link.take_goodbye()?);
        }
        let bytes = self.bytes.as_mut()?;
        match write_now(self.broker, self.link, bytes).1 {
            Written::All => Some(true),
            Written::Failed => Some(false),
            Written::Blocked => None,
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        loop {
            if self.link.poll_signals(cx).has(Signals::CUT) {
                return Poll::Ready(false);
            }
            if let Some(written) = self.write() {
                return Poll::Ready(written);
            }
            if self.bytes.as_ref().is_none_or(|bytes| !bytes.has_remaining()) {
                // Somebody else still writes what goes before, and will wake us.
                return Poll::Pending;
            }
            if ready!(self.link.writer.poll_writable(cx)).is_err() {
                return Poll::Ready(false);
            }
        }
    }
}

/// Reads and forgets until the client has closed.
fn poll_linger<R: Reader>(cx: &mut Context<'_>, link: &Link, reader: &mut R) -> Poll<()> {
    let mut forgotten = BytesMut::with_capacity(4096);
    loop {
        if link.poll_signals(cx).has(Signals::CUT) {
            return Poll::Ready(());
        }
        forgotten.clear();
        if !matches!(ready!(reader.poll_read(cx, &mut forgotten)), Ok(1..)) {
            return Poll::Ready(());
        }
    }
}
