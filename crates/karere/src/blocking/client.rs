//! The blocking client.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use karere_net::Transport;
use karere_net::sys::BorrowedSocket;
use parking_lot::Mutex;

use super::callbacks::{Callbacks, Registry, callback};
use super::dispatch::Dispatcher;
use super::driver::{Driver, LoopError};
use super::lifecycle::{Life, Pass};
use super::log::Log;
use crate::counters::Counters;
use crate::delivery::{Answer, Delivery, Published};
use crate::options::Options;
use crate::outgoing::Publish;
use crate::request::{Subscribe, Unsubscribe};
use crate::{
    Auth, ConnAck, ConnectError, Disconnect, Disconnection, PacketId, PublishError, QoS, ReasonCode,
    Received, SubscribeError, Text,
};

/// How long a publisher waits for room before it looks around: the loop that it waits for may have ended.
const PASS: Duration = Duration::from_millis(100);

/// An MQTT client with callbacks and a loop: a handle, cheap to clone.
///
/// Callbacks are called one at a time, with no lock held and the client as first argument: they may call
/// anything, and what they publish is sent when they have returned. A message is acknowledged after its callback has
/// returned (unless [`Options::manual_ack`] is set). When the last handle is dropped (those that callbacks get do not
/// count), the client says DISCONNECT and its thread ends.
///
/// See the [module](super) for an example.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
    /// Counts those who can still use the client.
    guard: Option<Arc<Guard>>,
}

struct Inner {
    driver: Driver,
    registry: Registry,
    dispatcher: Dispatcher,
    life: Mutex<Life>,
    connecting: Mutex<()>,
    /// Loops that run: the thread's, or a `loop_forever`.
    loops: AtomicUsize,
    /// Only the caller's event loop writes.
    external: AtomicBool,
    manual_ack: bool,
    outbox_bytes_max: usize,
    /// Whether somebody wants to know that a QoS 0 message was written.
    tracks: AtomicBool,
}

struct Guard(Arc<Inner>);

macro_rules! callbacks {
    ($($(#[$doc:meta])* $on:ident, $clear:ident: $field:ident($argument:ty);)*) => {
        /// Callbacks. Setting one replaces the one before; each may be set at any time, by a callback too.
        impl Client {
            $(
                $(#[$doc])*
                pub fn $on(&self, f: impl FnMut(&Client, &$argument) + Send + 'static) {
                    let new = callback(f);
                    self.change(|callbacks| callbacks.$field = Some(new));
                }

                #[doc = concat!("Clears [`", stringify!($on), "`](Self::", stringify!($on), ").")]
                pub fn $clear(&self) {
                    self.change(|callbacks| callbacks.$field = None);
                }
            )*
        }
    };
}

callbacks! {
    /// The server has answered CONNECT: see the packet's reason.
    on_connect, clear_on_connect: connect(ConnAck);
    /// An attempt to connect, made by a loop, has failed.
    on_connect_fail, clear_on_connect_fail: connect_fail(ConnectError);
    /// The connection is over.
    on_disconnect, clear_on_disconnect: disconnect(Disconnection);
    /// A message has come that no filter's callback is for.
    on_message, clear_on_message: message(Received);
    /// A message has left: written at QoS 0, acknowledged at QoS 1, complete at QoS 2; or the server refused it.
    on_publish, clear_on_publish: publish(Published);
    /// The server has answered SUBSCRIBE.
    on_subscribe, clear_on_subscribe: subscribe(Answer);
    /// The server has answered UNSUBSCRIBE.
    on_unsubscribe, clear_on_unsubscribe: unsubscribe(Answer);
    /// The server wants to authenticate; answer with [`authenticate`](Self::authenticate).
    on_auth, clear_on_auth: auth(Auth);
    /// A line for the log: each packet with [`Options::trace`], and what goes wrong.
    on_log, clear_on_log: log(Log);
}

/// Per-filter callbacks.
impl Client {
    /// Has `f` called for messages that match `filter`, instead of [`on_message`](Self::on_message); all filters that match are
    /// called. It subscribes to nothing. One filter has one callback: the last wins.
    ///
    /// # Errors
    /// [`SubscribeError`] for what is no topic filter.
    pub fn message_callback_add(
        &self,
        filter: &str,
        f: impl FnMut(&Client, &Received) + Send + 'static,
    ) -> Result<(), SubscribeError> {
        self.inner.registry.add(filter, callback(f))
    }

    /// Takes away a filter's callback; false when it has none.
    pub fn message_callback_remove(&self, filter: &str) -> bool {
        self.inner.registry.remove(filter)
    }
}

/// Connecting.
impl Client {
    /// A client that is not connected.
    ///
    /// # Panics
    /// When the system gives no descriptor for the wake-up.
    #[must_use]
    #[allow(clippy::expect_used)] // as std does where a program cannot go on without descriptors
    pub fn new(options: Options) -> Self {
        let inner = Arc::new(Inner {
            registry: Registry::new(options.core.seed),
            dispatcher: Dispatcher::new(),
            life: Mutex::default(),
            connecting: Mutex::default(),
            loops: AtomicUsize::new(0),
            external: AtomicBool::new(false),
            manual_ack: options.manual_ack,
            outbox_bytes_max: options.core.outbox_bytes_max,
            tracks: AtomicBool::new(false),
            driver: Driver::new(options).expect("a descriptor for the wake-up"),
        });
        let guard = Some(Arc::new(Guard(Arc::clone(&inner))));
        Self { inner, guard }
    }

    /// Connects, blocking, and sends CONNECT. The server's answer comes in the loop, to
    /// [`on_connect`](Self::on_connect). A former connection is closed.
    ///
    /// # Errors
    /// [`ConnectError::Network`], [`ConnectError::Socket`], [`ConnectError::Store`].
    pub fn connect(&self) -> Result<(), ConnectError> {
        let result = self.connect_now(|| self.driver().connect());
        self.settle();
        result
    }

    /// Has the loop connect: [`loop_start`](Self::loop_start)'s at once, [`loop_forever`](Self::loop_forever)'s when it runs.
    pub fn connect_async(&self) {
        self.want();
    }

    /// As [`connect`](Self::connect).
    ///
    /// # Errors
    /// As `connect`.
    pub fn reconnect(&self) -> Result<(), ConnectError> {
        self.connect()
    }

    /// Takes a stream that the caller has connected, non-blocking, and sends CONNECT on it.
    pub fn attach(&self, transport: impl Transport + 'static) {
        let attached = self.connect_now(|| {
            self.driver().attach(transport);
            Ok(())
        });
        debug_assert!(attached.is_ok());
        self.settle();
    }

    /// Says DISCONNECT, behind what the outbox holds, and closes; loops end. False when there is no connection.
    ///
    /// With a loop running it is the loop that does so, and [`on_disconnect`](Self::on_disconnect) is called when it has.
    /// Who waits for an acknowledgement is woken with an error.
    pub fn disconnect(&self) -> bool {
        self.disconnect_with(&Disconnect::normal())
    }

    /// [`disconnect`](Self::disconnect) with a reason and properties (version 5).
    pub fn disconnect_with(&self, disconnect: &Disconnect) -> bool {
        let had = self.leave(disconnect);
        self.settle();
        had
    }
}

/// Messages.
impl Client {
    /// Publishes a message; what becomes of it says the [`Delivery`], and [`on_publish`](Self::on_publish).
    ///
    /// Without a loop it is written before this returns. With a [store](Options::store) it is with the operating system then,
    /// and without a loop on the disk. While the outbox holds more than
    /// [`Options::outbox_bytes_max`], waits for the loop to write it; not in a callback.
    ///
    /// # Errors
    /// [`PublishError::Refused`], [`PublishError::Store`].
    pub fn publish<'a>(&self, message: impl Into<Publish<'a>>) -> Result<Delivery, PublishError> {
        let mut message = message.into();
        message.tracked |= self.inner.tracks.load(Ordering::Relaxed) && message.qos == QoS::AtMostOnce;
        let engine = &self.driver().engine;
        let result = match engine.try_publish(&message, self.inner.outbox_bytes_max) {
            Err(PublishError::Busy { .. }) => self.publish_later(&message),
            result => result,
        };
        self.settle();
        result
    }

    /// Subscribes; the answer comes to [`on_subscribe`](Self::on_subscribe) with the packet identifier returned here.
    ///
    /// # Errors
    /// [`SubscribeError::Refused`]. Offline it waits for the connection, unless [`Options::resubscribe`] is off.
    pub fn subscribe(&self, request: impl Into<Subscribe>) -> Result<PacketId, SubscribeError> {
        let result = self.driver().subscribe(request);
        self.settle();
        result
    }

    /// Unsubscribes; the answer comes to [`on_unsubscribe`](Self::on_unsubscribe) with the packet identifier returned here.
    ///
    /// # Errors
    /// As [`subscribe`](Self::subscribe).
    pub fn unsubscribe(&self, request: impl Into<Unsubscribe>) -> Result<PacketId, SubscribeError> {
        let result = self.driver().unsubscribe(request);
        self.settle();
        result
    }

    /// Acknowledges a message, with [`Options::manual_ack`].
    pub fn ack(&self, received: &Received) {
        self.driver().acknowledge(received.ack, ReasonCode::Success);
        self.settle();
    }

    /// Sends AUTH: the answer to [`on_auth`](Self::on_auth), or `ReAuthenticate` (§4.12.1).
    pub fn authenticate(&self, auth: &Auth) {
        self.driver().authenticate(auth);
        self.settle();
    }

    /// Publishes where the outbox is full: makes room for it first, where that is allowed.
    fn publish_later(&self, message: &Publish<'_>) -> Result<Delivery, PublishError> {
        let engine = &self.driver().engine;
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        loop {
            if self.inner.dispatcher.is_here() || self.is_external() {
                return engine.publish(message);
            }
            let cx = Context::from_waker(&waker);
            if let Poll::Ready(result) = engine.poll_publish(&cx, message, self.inner.outbox_bytes_max) {
                return result;
            }
            if self.is_looping() {
                thread::park_timeout(PASS);
            } else if self.turn(Some(PASS), Pass::Once).is_err() {
                return engine.publish(message);
            }
        }
    }
}

/// The loop.
impl Client {
    /// Runs the loop in a thread of its own, until [`loop_stop`](Self::loop_stop) or [`disconnect`](Self::disconnect). It connects
    /// again when the connection is lost. False when it runs already.
    ///
    /// A panic in a callback is caught there, told to [`on_log`](Self::on_log), and the loop goes on.
    pub fn loop_start(&self) -> bool {
        self.start_thread()
    }

    /// Ends the thread, after it has written what the outbox holds (for at most the connect timeout), and waits for that;
    /// in a callback it does not wait. The connection stays.
    pub fn loop_stop(&self) {
        self.stop_thread();
    }

    /// Runs the loop until [`disconnect`](Self::disconnect), connecting again when the connection is lost.
    ///
    /// # Errors
    /// What kept the first connection from coming about (unless [`Options::retry_first_connection`] is set), or ended
    /// one when [`Options::reconnect`] is none.
    pub fn loop_forever(&self) -> Result<(), ConnectError> {
        self.run_forever()
    }

    /// One pass of the loop: waits for at most `timeout` for something to do, does it, and calls back.
    ///
    /// # Errors
    /// [`LoopError`]; connecting again is the caller's business.
    pub fn loop_once(&self, timeout: Duration) -> Result<(), LoopError> {
        self.turn(Some(timeout), Pass::Once)
    }

    /// For an event loop of the caller's: reads, when the socket is readable, and calls back.
    ///
    /// # Errors
    /// [`LoopError`].
    pub fn loop_read(&self) -> Result<(), LoopError> {
        let result = self.driver().read().map(drop);
        self.settle();
        result
    }

    /// For an event loop of the caller's: writes, when the socket is writable and [`want_write`](Self::want_write) says so.
    ///
    /// # Errors
    /// [`LoopError`].
    pub fn loop_write(&self) -> Result<(), LoopError> {
        self.driver().unblock();
        self.driver().await_store();
        let result = self.driver().write();
        self.settle();
        result
    }

    /// For an event loop of the caller's: lets time pass (Keep Alive), each second or so.
    ///
    /// # Errors
    /// [`LoopError`].
    pub fn loop_misc(&self) -> Result<(), LoopError> {
        let result = self.driver().misc();
        self.settle();
        result
    }

    /// Whether bytes wait for the socket to take them.
    #[must_use]
    pub fn want_write(&self) -> bool {
        self.driver().want_write()
    }

    /// Lends the socket, to wait for; none without a connection.
    pub fn with_socket<R>(&self, f: impl FnOnce(BorrowedSocket<'_>) -> R) -> Option<R> {
        self.driver().with_socket(f)
    }

    /// With `true`, verbs no longer write in the caller's thread when no loop runs: [`loop_write`](Self::loop_write) does.
    pub fn external_loop(&self, on: bool) {
        self.inner.external.store(on, Ordering::Relaxed);
    }
}

/// Looks.
impl Client {
    /// Whether the server has accepted the connection, and nothing has ended it since.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.driver().is_connected()
    }

    /// The Client Identifier in use: ours, or the one that the server assigned.
    #[must_use]
    pub fn client_id(&self) -> Text {
        self.driver().client_id()
    }

    /// What the client has done so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.driver().counters()
    }

    /// Messages that wait, offline or for the window.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.driver().queued()
    }

    /// The driver underneath.
    #[must_use]
    pub fn driver(&self) -> &Driver {
        &self.inner.driver
    }
}

/// For the modules beside.
impl Client {
    fn change(&self, change: impl FnOnce(&mut Callbacks)) {
        self.inner.registry.change(change);
        let tracks = self.inner.registry.look(|callbacks| callbacks.publish.is_some());
        self.inner.tracks.store(tracks, Ordering::Relaxed);
    }

    /// After a verb: without a loop, what it left in the outbox is written, and what happened called back for, here and
    /// now. In a callback, whoever calls back does it afterwards.
    fn settle(&self) {
        if self.is_looping() || self.inner.dispatcher.is_here() {
            return;
        }
        loop {
            if !self.is_external() {
                self.driver().await_store();
            }
            self.write_if_allowed();
            let ours = self.inner.dispatcher.run(self, false);
            let work = self
                .driver()
                .engine
                .look(|state| state.has_notices() || !self.is_external() && state.has_work());
            if !work || !ours || self.is_looping() {
                return;
            }
        }
    }

    pub(super) fn write_if_allowed(&self) {
        if !self.is_external() {
            // What goes wrong is told as an event.
            let _ = self.driver().write();
        }
    }

    pub(super) fn without_guard(&self) -> Self {
        Self { inner: Arc::clone(&self.inner), guard: None }
    }

    pub(super) fn is_manual_ack(&self) -> bool {
        self.inner.manual_ack
    }

    fn is_looping(&self) -> bool {
        self.inner.loops.load(Ordering::Acquire) > 0
    }

    fn is_external(&self) -> bool {
        self.inner.external.load(Ordering::Relaxed)
    }

    pub(super) fn registry(&self) -> &Registry {
        &self.inner.registry
    }

    pub(super) fn dispatcher(&self) -> &Dispatcher {
        &self.inner.dispatcher
    }

    pub(super) fn life(&self) -> &Mutex<Life> {
        &self.inner.life
    }

    pub(super) fn connecting(&self) -> &Mutex<()> {
        &self.inner.connecting
    }

    pub(super) fn loops(&self) -> &AtomicUsize {
        &self.inner.loops
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let client = Client { inner: Arc::clone(&self.0), guard: None };
        client.leave(&Disconnect::normal());
        if !client.is_looping() {
            let _ = client.driver().write();
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("driver", self.driver())
            .field("handle", &self.guard.is_some())
            .finish()
    }
}

/// Wakes a thread that waits for room in the outbox.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
