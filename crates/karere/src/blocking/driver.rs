//! The blocking driver: moves bytes and time when it is called, and has no thread.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;
use std::thread;
use std::time::Duration;

use karere_net::Transport;
use karere_net::sys::{self, Ready, WakeUp};
use parking_lot::Mutex;

use super::link::{Link, WRITES_MAX};
use crate::counters::Counters;
use crate::delivery::Delivery;
use crate::engine::Engine;
use crate::notice::Notice;
use crate::options::Options;
use crate::outgoing::Publish;
use crate::request::{Subscribe, Unsubscribe};
use crate::{
    AckToken, Auth, ConnectError, Disconnect, Disconnection, PacketId, PublishError, ReasonCode, StoreError,
    StoreStatus, SubscribeError, Text,
};

/// How long we wait for the server to close after our DISCONNECT, where waiting is allowed.
const LINGER: Duration = Duration::from_secs(1);

/// How long a loop waits for more to write.
const GATHER: Duration = Duration::from_micros(50);

/// What [`Client`](super::Client) stands on: moves bytes and time when it is called. For bindings to other languages.
///
/// It starts no thread, calls nothing back and waits only in [`wait`](Self::wait). What happened is taken in batches
/// ([`take`](Self::take)). Every verb may be called from any thread; none is held up by another that reads,
/// writes or waits.
///
/// A program's turn: [`write`](Self::write), [`wait`](Self::wait), [`read`](Self::read) when it is ready,
/// [`misc`](Self::misc), `take` and look at what came, [`acknowledge`](Self::acknowledge).
pub struct Driver {
    pub(crate) engine: Engine,
    options: Mutex<Arc<Options>>,
    link: Mutex<Option<Arc<Link>>>,
    wake_up: Arc<WakeUp>,
    waker: Waker,
    /// Whether closing may wait for the server.
    pub(super) patient: AtomicBool,
}

/// A stream that is connected and not yet used. Dropping it closes it.
pub struct Opened(Box<dyn Transport>);

/// Why a turn of the loop did nothing, or was the last one of a connection.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum LoopError {
    /// There is no connection.
    #[error("not connected")]
    NotConnected,
    /// This turn has ended the connection.
    #[error(transparent)]
    Lost(#[from] Disconnection),
}

/// Connections.
impl Driver {
    /// A driver without a connection.
    ///
    /// # Errors
    /// The system's, when it gives no descriptor for the wake-up.
    pub fn new(options: Options) -> io::Result<Self> {
        Self::on(Engine::new(&options), options)
    }

    pub(crate) fn on(engine: Engine, options: Options) -> io::Result<Self> {
        let wake_up = Arc::new(WakeUp::new()?);
        Ok(Self {
            engine,
            waker: Waker::from(Arc::clone(&wake_up)),
            wake_up,
            options: Mutex::new(Arc::new(options)),
            link: Mutex::new(None),
            patient: AtomicBool::new(false),
        })
    }

    /// Connects to the address of the options, blocking; CONNECT is in the outbox then.
    ///
    /// # Errors
    /// [`ConnectError::Network`], [`ConnectError::Socket`], [`ConnectError::Store`].
    pub fn connect(&self) -> Result<(), ConnectError> {
        self.connect_if(|| true)
    }

    /// [`connect`](Self::connect), unless nobody wants it any more when the stream is there.
    pub(super) fn connect_if(&self, is_wanted: impl FnOnce() -> bool) -> Result<(), ConnectError> {
        let opened = self.open()?;
        if is_wanted() {
            self.attach_opened(opened);
        }
        Ok(())
    }

    /// Connects as [`connect`](Self::connect) does, and leaves it to the caller whether that is still wanted when the
    /// stream is there: [`attach_opened`](Self::attach_opened).
    ///
    /// # Errors
    /// As `connect`.
    pub fn open(&self) -> Result<Opened, ConnectError> {
        self.engine.check_store()?;
        let options = self.options();
        Ok(Opened(options.connector.connect(&options.address, options.connect_timeout)?))
    }

    /// Takes a stream that the caller has connected, non-blocking; CONNECT is in the outbox then. A former connection is
    /// closed without DISCONNECT.
    pub fn attach(&self, transport: impl Transport + 'static) {
        self.attach_opened(Opened(Box::new(transport)));
    }

    /// Takes a stream of [`open`](Self::open)'s, as [`attach`](Self::attach) takes one of the caller's.
    pub fn attach_opened(&self, opened: Opened) {
        let credentials = self.options().credentials.ask();
        let mut slot = self.link.lock();
        if let Some(former) = slot.take() {
            former.shut(None);
            self.engine.closed(former.number, Disconnection::Requested);
        }
        let number = self.engine.open(credentials);
        *slot = Some(Arc::new(Link::new(number, opened.0)));
        drop(slot);
        self.wake_up();
    }

    /// Closes the connection as it is, without DISCONNECT; it ends as [`Disconnection::Lost`]. False when there is none.
    pub fn close(&self, why: io::Error) -> bool {
        let link = self.link.lock().clone();
        link.is_some_and(|link| self.end(&link, why.into()))
    }

    /// Whether there is a stream: from connecting on, accepted or not.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.link.lock().is_some()
    }

    /// Whether the server has accepted the connection, and nothing has ended it since.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.engine.look(|state| state.core.is_connected())
    }

    /// The options in use.
    #[must_use]
    pub fn options(&self) -> Arc<Options> {
        Arc::clone(&self.options.lock())
    }

    /// Changes the options; what concerns CONNECT takes effect at the next one. The store stays what it was.
    pub fn set_options(&self, options: Options) {
        let mut core = options.for_core();
        core.store = self.engine.has_store();
        self.engine.update(|state, _| state.core.set_options(core));
        *self.options.lock() = Arc::new(options);
    }
}

/// The application's verbs. None of them writes: that is [`write`](Self::write)'s business, or a loop's, which is
/// woken when it sleeps.
impl Driver {
    /// Publishes a message; waits for nothing, whatever the outbox holds.
    ///
    /// # Errors
    /// [`PublishError::Refused`].
    pub fn publish<'a>(&self, message: impl Into<Publish<'a>>) -> Result<Delivery, PublishError> {
        self.engine.publish(&message.into())
    }

    /// Sends SUBSCRIBE. The answer is [`Event::Subscribed`](crate::CoreEvent::Subscribed).
    ///
    /// # Errors
    /// [`SubscribeError::Refused`].
    pub fn subscribe(&self, request: impl Into<Subscribe>) -> Result<PacketId, SubscribeError> {
        Ok(self.engine.subscribe(&request.into())?.0)
    }

    /// Sends UNSUBSCRIBE. The answer is [`Event::Unsubscribed`](crate::CoreEvent::Unsubscribed).
    ///
    /// # Errors
    /// [`SubscribeError::Refused`].
    pub fn unsubscribe(&self, request: impl Into<Unsubscribe>) -> Result<PacketId, SubscribeError> {
        Ok(self.engine.unsubscribe(&request.into())?.0)
    }

    /// Acknowledges messages whose consumer is done.
    pub fn acknowledge(&self, tokens: impl IntoIterator<Item = AckToken>, reason: ReasonCode) {
        self.engine.acknowledge(tokens, reason);
    }

    /// Says DISCONNECT, after which [`write`](Self::write) closes. False when there is no connection.
    pub fn disconnect(&self, disconnect: &Disconnect) -> bool {
        self.engine.disconnect(disconnect)
    }

    /// Sends AUTH (§4.12).
    pub fn authenticate(&self, auth: &Auth) {
        self.engine.update(|state, now| state.core.authenticate(now, auth));
    }

    /// Wakes everybody who waits for an acknowledgement, with an error.
    pub fn abandon(&self) {
        self.engine.abandon();
    }
}

/// The loop's verbs.
impl Driver {
    /// Reads once, at most 64 KiB, and handles what came. False when nothing was there.
    ///
    /// # Errors
    /// [`LoopError`].
    pub fn read(&self) -> Result<bool, LoopError> {
        let link = self.link()?;
        link.read(&self.engine).map_err(|why| self.lost(&link, why))
    }

    /// Writes what the outbox holds, as far as the socket takes it. After DISCONNECT, or when the server has ended the
    /// connection, closes it.
    ///
    /// # Errors
    /// [`LoopError`].
    pub fn write(&self) -> Result<(), LoopError> {
        let link = self.link()?;
        link.write(&self.engine, WRITES_MAX).map_err(|why| self.lost(&link, why))
    }

    /// [`write`](Self::write) for a loop: a batch a call, and where messages come one on the other's heels, a moment later.
    pub(super) fn write_gathering(&self) -> Result<(), LoopError> {
        let link = self.link()?;
        if link.is_streaming() && self.engine.look(|state| state.may_gather()) {
            thread::sleep(GATHER);
        }
        link.write(&self.engine, 1).map_err(|why| self.lost(&link, why))
    }

    /// Lets the [`write`](Self::write)s try again: the socket takes bytes.
    pub fn unblock(&self) {
        if let Ok(link) = self.link() {
            if link.transport.wants_write() {
                // What goes wrong here is found again by whoever reads or writes.
                let _ = link.transport.flush();
            }
            self.engine.set_blocked(link.number, false);
        }
    }

    /// Lets time pass: Keep Alive. To be called at least each second, or after [`wait`](Self::wait).
    ///
    /// # Errors
    /// [`LoopError`].
    pub fn misc(&self) -> Result<(), LoopError> {
        let link = self.link()?;
        self.engine.timeout(link.number).map_err(|why| self.lost(&link, why))
    }

    /// How long [`misc`](Self::misc) may wait as far as the protocol goes, for an event loop of the caller's; none
    /// without a connection.
    #[must_use]
    pub fn patience(&self) -> Option<Duration> {
        self.engine.patience()
    }

    /// Whether bytes wait for the socket to take them.
    #[must_use]
    pub fn want_write(&self) -> bool {
        let Ok(link) = self.link() else { return false };
        link.transport.wants_write()
            || self.engine.look(|state| state.blocked || state.core.outbox_bytes() > 0)
    }

    /// Waits until there is something to read, to write or to take, somebody calls [`wake_up`](Self::wake_up), it is time for
    /// [`misc`](Self::misc), or `timeout` has passed; without one, for ever.
    ///
    /// # Errors
    /// [`LoopError::Lost`] when the socket was closed from outside.
    pub fn wait(&self, timeout: Option<Duration>) -> Result<Ready, LoopError> {
        let link = self.link().ok();
        let (work, blocked) = self.engine.look(|state| {
            let work = state.has_work();
            state.sleeper = (!work).then(|| self.waker.clone());
            (work, state.blocked)
        });
        let patience = [timeout, self.engine.patience()].into_iter().flatten().min();
        // With work to do this is a look, no wait: what keeps writing must not keep from reading.
        let patience = if work { Some(Duration::ZERO) } else { patience };
        let transport = link.as_ref().map(|link| &*link.transport);
        let socket = transport.and_then(Transport::socket);
        let owing = transport.is_some_and(Transport::wants_write);
        let ready = sys::wait(socket, blocked || owing, &self.wake_up, patience);
        self.engine.look(|state| state.sleeper = None);
        match (ready, link) {
            (Ok(ready), link) => {
                if ready.writable {
                    if owing && let Some(link) = &link {
                        // What goes wrong here is found again by whoever reads or writes.
                        let _ = link.transport.flush();
                    }
                    self.unblock();
                }
                Ok(ready)
            }
            (Err(error), Some(link)) => Err(self.lost(&link, error.into())),
            (Err(error), None) => Err(Disconnection::from(error).into()),
        }
    }

    /// Ends a [`wait`](Self::wait), or the next one.
    pub fn wake_up(&self) {
        self.wake_up.wake_up();
    }

    /// Lends what is [woken up](Self::wake_up), for an event loop of the caller's. It is readable when there is something to do
    /// that nobody is known to see to; see [`arm`](Self::arm).
    #[must_use]
    pub fn wake_socket(&self) -> sys::BorrowedSocket<'_> {
        self.wake_up.socket()
    }

    /// From now on [`wake_socket`](Self::wake_socket) becomes readable once there is something to write or to take: for
    /// what comes from elsewhere, as from a store. False when there is something already.
    pub fn arm(&self) -> bool {
        self.wake_up.clear();
        self.engine.look(|state| {
            let work = state.has_work();
            state.sleeper = (!work).then(|| self.waker.clone());
            !work
        })
    }

    /// Exchanges `batch`, which must be empty, for what has happened since; false when nothing has.
    pub fn take(&self, batch: &mut VecDeque<Notice>) -> bool {
        self.engine.take_notices(batch)
    }

    /// Lends the socket, for an event loop of the caller's; none without a connection, or when its stream has none.
    pub fn with_socket<R>(&self, f: impl FnOnce(sys::BorrowedSocket<'_>) -> R) -> Option<R> {
        let link = self.link().ok()?;
        link.transport.socket().map(f)
    }
}

/// Looks.
impl Driver {
    /// The Client Identifier in use.
    #[must_use]
    pub fn client_id(&self) -> Text {
        self.engine.look(|state| state.core.client_id().clone())
    }

    /// How the store is doing; none without one.
    #[must_use]
    pub fn store_status(&self) -> Option<StoreStatus> {
        self.engine.store_status()
    }

    /// Whether the store that was asked for can be used.
    ///
    /// # Errors
    /// [`StoreError::Locked`], [`StoreError::Open`].
    pub fn check_store(&self) -> Result<(), StoreError> {
        self.engine.check_store()
    }

    /// Lets the store go, for another client to have it: until it is [taken again](Self::reopen_store), publishing at QoS > 0
    /// fails.
    pub fn close_store(&self) {
        self.engine.close_store();
    }

    /// Takes the store again.
    ///
    /// # Errors
    /// [`StoreError::Locked`] when somebody else has it now, [`StoreError::Open`] when somebody else has used it since.
    pub fn reopen_store(&self) -> Result<(), StoreError> {
        self.engine.reopen_store()
    }

    /// Waits until what is ready to go but for the disk can go, a second at most: for whoever has no loop that is woken then.
    pub fn await_store(&self) {
        self.engine.await_store();
    }

    /// What was done so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.engine.look(|state| state.counters)
    }

    /// Bytes that wait to be written.
    #[must_use]
    pub fn outbox_bytes(&self) -> usize {
        self.engine.look(|state| state.core.outbox_bytes())
    }

    /// Messages that wait, offline or for the window.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.engine.look(|state| state.core.queued())
    }

    /// QoS > 0 messages that were sent and are not acknowledged.
    #[must_use]
    pub fn inflight(&self) -> usize {
        self.engine.look(|state| state.core.inflight())
    }
}

impl Driver {
    /// The number of the connection.
    pub(super) fn number(&self) -> Result<u32, LoopError> {
        Ok(self.link()?.number)
    }

    fn link(&self) -> Result<Arc<Link>, LoopError> {
        self.link.lock().clone().ok_or(LoopError::NotConnected)
    }

    /// The connection is over: what the outbox holds (DISCONNECT with the reason) is tried, then it is closed.
    fn lost(&self, link: &Arc<Link>, why: Disconnection) -> LoopError {
        let why = match why {
            // What the server said before it closed tells more than that it did, or the error of a write.
            Disconnection::Lost(_) => {
                let _ = (0..WRITES_MAX).all(|_| link.read(&self.engine).unwrap_or(false));
                self.engine.end(link.number).unwrap_or(why)
            }
            why => why,
        };
        if matches!(why, Disconnection::Error(_)) {
            let _ = link.write(&self.engine, WRITES_MAX);
        }
        self.end(link, why.clone());
        LoopError::Lost(why)
    }

    fn end(&self, link: &Arc<Link>, why: Disconnection) -> bool {
        let requested = matches!(why, Disconnection::Requested);
        {
            let mut slot = self.link.lock();
            if slot.as_ref().is_some_and(|current| Arc::ptr_eq(current, link)) {
                *slot = None;
            }
        }
        let patient = requested && self.patient.load(Ordering::Relaxed);
        link.shut(patient.then_some(LINGER));
        let ended = self.engine.closed(link.number, why);
        if ended && requested {
            self.engine.abandon();
        }
        ended
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver")
            .field("options", &self.options())
            .field("open", &self.is_open())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
