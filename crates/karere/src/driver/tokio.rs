//! The task that drives an async client.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io;
use std::mem;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};
use karere_core::client;
use karere_core::connection::Outbox;
use karere_net::stream::Stream;
use tokio::sync::oneshot;
use tokio::time::Sleep;

use super::{Pace, with_slices, write_zero};
use crate::backoff::Backoff;
use crate::client::Shared;
use crate::event::Event;
use crate::notice::{DriverEvent, Notice};
use crate::streams::Leftover;
use crate::{ConnectError, Disconnection, ReasonCode};

/// The most that one read brings.
const READ_BYTES: usize = 64 * 1024;
/// With less room than this in the buffer, a new one is taken.
const READ_BYTES_MIN: usize = 8 * 1024;
/// Writes in a row before something is read again.
const WRITES_MAX: usize = 16;
/// How often other tasks are let go first, where messages come one on the other's heels.
const GATHER_YIELDS: usize = 16;
/// How long we wait for the server to close after our DISCONNECT.
const LINGER: Duration = Duration::from_secs(1);

/// Is told how the first connection went.
pub(crate) type First = oneshot::Sender<Result<(), ConnectError>>;

/// Connects, drives, and connects again, until the client is closed or gives up.
pub(crate) async fn run(shared: Arc<Shared>, first: Option<First>) {
    let _running = Running(&shared);
    let mut task = Task { shared: &shared, first, batch: VecDeque::new(), wakers: Vec::new() };
    let mut backoff = shared.options.reconnect.map(Backoff::new);
    loop {
        let Some(connected) = shared.unless_closed(task.connect()).await else { break };
        let failed = match connected {
            Ok(stream) => {
                let since = Instant::now();
                let failed = task.drive(stream).await;
                if let Some(backoff) = &mut backoff {
                    backoff.ended(since.elapsed());
                }
                failed
            }
            Err(error) => Some(error),
        };
        if let (Some(error), Some(first)) = (&failed, task.first.take()) {
            let _ = first.send(Err(error.clone()));
            break;
        }
        let wait = backoff.as_mut().filter(|_| !shared.is_closed()).map(Backoff::wait);
        if let Some(error) = failed {
            shared.engine.tell(DriverEvent::ConnectFailed { error, retry_in: wait });
        }
        task.dispatch();
        let Some(wait) = wait else { break };
        if shared.unless_closed(tokio::time::sleep(wait)).await.is_none() {
            break;
        }
    }
    task.dispatch();
}

/// The client has a task as long as this lives: also when the runtime drops it.
struct Running<'a>(&'a Shared);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let mut running = self.0.running.lock();
        self.0.engine.look(|state| state.closed = true);
        self.0.ended();
        *running = false;
        drop(running);
        self.0.engine.rouse();
    }
}

impl Shared {
    fn is_closed(&self) -> bool {
        self.engine.look(|state| state.closed)
    }

    /// None once the client is closed.
    async fn unless_closed<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        poll_fn(|cx| {
            let closed = self.engine.look(|state| {
                state.sleeper = Some(cx.waker().clone());
                state.closed
            });
            if closed { Poll::Ready(None) } else { work.as_mut().poll(cx).map(Some) }
        })
        .await
    }
}

/// What lasts over connections.
struct Task<'a> {
    shared: &'a Arc<Shared>,
    first: Option<First>,
    batch: VecDeque<Notice>,
    wakers: Vec<Waker>,
}

impl Task<'_> {
    async fn connect(&self) -> Result<Stream, ConnectError> {
        let options = &self.shared.options;
        Ok(options.connector.connect_async(&options.address, options.connect_timeout).await?)
    }

    /// One connection, from CONNECT to its end. An error when the server never accepted it.
    async fn drive(&mut self, stream: Stream) -> Option<ConnectError> {
        let credentials = self.shared.options.credentials.ask();
        let number = self.shared.engine.open(credentials);
        let mut link = Link::new(self.shared, stream, number);
        let mut accepted = false;
        let why = loop {
            let turn = link.turn().await;
            if self.dispatch() {
                tokio::task::yield_now().await;
            }
            if !accepted && self.shared.engine.look(|state| state.accepted) {
                accepted = true;
                if let Some(first) = self.first.take() {
                    let _ = first.send(Ok(()));
                }
            }
            match turn {
                Ok(()) => {}
                Err(why @ Disconnection::Lost(_)) => break link.last_words().await.unwrap_or(why),
                Err(why) => break why,
            }
        };
        link.farewell(&why).await;
        self.shared.engine.closed(number, why.clone());
        match why {
            _ if accepted => None,
            Disconnection::Refused(connack) => Some(ConnectError::Refused(connack)),
            Disconnection::Requested => Some(ConnectError::Closed),
            other => Some(ConnectError::Lost(other)),
        }
    }

    /// Hands over what has happened; wakes those that it is for when all of it is. True when a stream was given
    /// so much that its consumer should have its turn before more is read.
    fn dispatch(&mut self) -> bool {
        let mut crowded = false;
        while self.shared.engine.take_notices(&mut self.batch) {
            let mut leftover = Leftover::default();
            let mut streams = self.shared.streams.lock();
            for notice in self.batch.drain(..) {
                // What remains of the notice wakes whoever waits for it.
                match notice.event {
                    DriverEvent::Core(client::Event::Message(received)) => {
                        streams.deliver(self.shared, received, &mut leftover);
                    }
                    event => leftover.dropped += self.shared.announce(event),
                }
            }
            crowded |= streams.end_turn(&mut self.wakers);
            drop(streams);
            self.shared.settle(leftover);
            self.wakers.drain(..).for_each(Waker::wake);
        }
        crowded
    }
}

impl Shared {
    /// Tells those who listen; returns how many events that cost them.
    fn announce(&self, event: DriverEvent) -> u64 {
        let listeners = self.listeners.lock();
        if listeners.is_empty() {
            return 0;
        }
        Event::new(event).map_or(0, |event| listeners.tell(&event))
    }

    /// Acknowledges and counts what nobody took.
    fn settle(&self, leftover: Leftover) {
        if leftover.unclaimed + leftover.dropped == 0 {
            return;
        }
        self.engine.update(|state, now| {
            state.counters.unclaimed += leftover.unclaimed;
            state.counters.dropped += leftover.dropped;
            for token in leftover.tokens {
                state.core.acknowledge(now, token, ReasonCode::Success);
            }
        });
    }
}

/// One connection.
struct Link<'a> {
    shared: &'a Shared,
    stream: Stream,
    number: u32,
    input: BytesMut,
    outgoing: Outbox,
    blocked: bool,
    pace: Pace,
    timer: Option<Pin<Box<Sleep>>>,
}

/// What has ended a wait.
#[derive(Debug, Clone, Copy, Default)]
struct Ready {
    readable: bool,
    writable: bool,
    due: bool,
    work: bool,
}

impl<'a> Link<'a> {
    fn new(shared: &'a Shared, stream: Stream, number: u32) -> Self {
        let input = BytesMut::with_capacity(READ_BYTES);
        Self {
            shared,
            stream,
            number,
            input,
            outgoing: Outbox::default(),
            blocked: false,
            pace: Pace::default(),
            timer: None,
        }
    }

    /// Writes, waits, reads: once each.
    async fn turn(&mut self) -> Result<(), Disconnection> {
        self.gather().await;
        self.write()?;
        self.check_end()?;
        let ready = poll_fn(|cx| self.poll_ready(cx)).await?;
        if ready.writable {
            self.set_blocked(false);
        }
        if ready.readable {
            self.read()?;
        }
        if ready.due {
            self.shared.engine.timeout(self.number)?;
        }
        Ok(())
    }

    /// Where messages come one on the other's heels, lets other tasks add some more.
    async fn gather(&self) {
        if !self.pace.is_streaming() {
            return;
        }
        for _ in 0..GATHER_YIELDS {
            if !self.shared.engine.look(|state| state.may_gather()) {
                return;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Writes what waits, a batch a call, without waiting.
    fn write(&mut self) -> Result<(), Disconnection> {
        if self.blocked {
            return Ok(());
        }
        let mut written = 0;
        for _ in 0..WRITES_MAX {
            let more =
                self.shared.engine.next_to_write(self.number, &mut self.outgoing, mem::take(&mut written));
            if !more {
                return Ok(());
            }
            match with_slices(&self.outgoing, |slices| self.stream.try_write_vectored(slices)) {
                Ok(0) => return Err(write_zero().into()),
                Ok(count) => {
                    self.pace.on_written();
                    self.outgoing.advance(count);
                    written = count;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.set_blocked(true);
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.shared.engine.next_to_write(self.number, &mut self.outgoing, written);
        Ok(())
    }

    /// Whether the connection is over, now that what could be written is.
    fn check_end(&self) -> Result<(), Disconnection> {
        self.shared.engine.end(self.number).map_or(Ok(()), Err)
    }

    fn set_blocked(&mut self, blocked: bool) {
        self.blocked = blocked;
        self.shared.engine.set_blocked(self.number, blocked);
    }

    fn read(&mut self) -> Result<(), Disconnection> {
        if self.input.capacity() - self.input.len() < READ_BYTES_MIN {
            self.input.reserve(READ_BYTES);
        }
        match self.stream.try_read_buf(&mut self.input) {
            Ok(0) => Err(Disconnection::end_of_stream()),
            Ok(count) => {
                self.pace.on_read();
                self.shared.engine.input(self.number, &mut self.input, count)
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Ready when there is something to write, to read or to do.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<Ready, Disconnection>> {
        let waits = !self.outgoing.is_empty() && !self.blocked;
        let (work, due) = self.shared.engine.look(|state| {
            let work = waits || state.has_work();
            state.sleeper = (!work).then(|| cx.waker().clone());
            (work, state.core.poll_timeout())
        });
        let mut ready = Ready { work, ..Ready::default() };
        if let Poll::Ready(result) = self.stream.poll_read_ready(cx) {
            result?;
            ready.readable = true;
        }
        if self.blocked
            && let Poll::Ready(result) = self.stream.poll_write_ready(cx)
        {
            result?;
            ready.writable = true;
        }
        ready.due = due.is_some_and(|due| self.poll_timer(due, cx).is_ready());
        if !(ready.work || ready.readable || ready.writable || ready.due) {
            return Poll::Pending;
        }
        // Awake: whoever has something for us need not wake us.
        self.shared.engine.look(|state| state.sleeper = None);
        Poll::Ready(Ok(ready))
    }

    /// Ready at `due`. The timer is not set anew each time that moves on, but left to fire early.
    fn poll_timer(&mut self, due: karere_core::Instant, cx: &mut Context<'_>) -> Poll<()> {
        let now = self.shared.engine.now();
        let at = tokio::time::Instant::now() + due.since(now);
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at)));
        // An early timer is left alone, a late one is not: DISCONNECT and CONNACK have deadlines too.
        if timer.deadline() > at + Duration::from_millis(1) {
            timer.as_mut().reset(at);
        }
        while timer.as_mut().poll(cx).is_ready() {
            if due <= now {
                return Poll::Ready(());
            }
            timer.as_mut().reset(at.max(tokio::time::Instant::now() + Duration::from_millis(1)));
        }
        Poll::Pending
    }

    /// What the server said before the connection was lost: that tells more than the error of a write.
    async fn last_words(&mut self) -> Option<Disconnection> {
        let heard = async {
            loop {
                if let Some(end) = self.shared.engine.end(self.number) {
                    return Some(end);
                }
                poll_fn(|cx| self.stream.poll_read_ready(cx)).await.ok()?;
                self.read().ok()?;
            }
        };
        tokio::time::timeout(LINGER, heard).await.unwrap_or_default()
    }

    /// Closes: with what the outbox still holds, and not before the server has read it.
    async fn farewell(&mut self, why: &Disconnection) {
        if !matches!(why, Disconnection::Lost(_)) {
            let _ = self.write();
        }
        let _ = self.stream.shutdown();
        if matches!(why, Disconnection::Requested) {
            // To close with unread bytes would reset the connection, and what the server has not read with it.
            let drained = poll_fn(|cx| self.poll_drained(cx));
            let _ = tokio::time::timeout(LINGER, drained).await;
        }
    }

    /// Reads and forgets until the server has closed.
    fn poll_drained(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            self.input.clear();
            self.input.reserve(READ_BYTES_MIN);
            match self.stream.try_read_buf(&mut self.input) {
                Ok(1..) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if ready!(self.stream.poll_read_ready(cx)).is_err() {
                        return Poll::Ready(());
                    }
                }
                _ => return Poll::Ready(()),
            }
        }
    }
}
