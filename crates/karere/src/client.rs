//! The async client.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::counters::Counters;
use crate::delivery::{Answer, Delivery, Published, answered};
use crate::driver::tokio as driver;
use crate::engine::Engine;
use crate::event::{Events, Listeners};
use crate::options::Options;
use crate::outgoing::Publish;
use crate::request::{Subscribe, Unsubscribe};
use crate::streams::Streams;
use crate::subscription::{Messages, Subscription};
use crate::{Auth, ConnectError, Disconnect, PublishError, StoreStatus, SubscribeError, Text};

/// An MQTT client for tokio: a handle, cheap to clone, to a connection that a task of its own drives.
///
/// There is no event loop to poll. The connection is made again when it is lost, with what is unacknowledged and
/// subscribed to. When the last handle is dropped (clones, [`Subscription`]s, [`Messages`] and [`Events`] count),
/// the client says DISCONNECT and goes.
///
/// ```no_run
/// use karere::{Client, Options, QoS};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), karere::Error> {
/// let client = Client::connect(Options::new("localhost", 1883)).await?;
/// let mut messages = client.subscribe(("iot/#", QoS::AtLeastOnce)).await?;
/// client.publish(("iot/home", "25.3", QoS::AtLeastOnce)).await?;
/// while let Some(message) = messages.recv().await {
///     println!("{}: {:?}", message.topic(), message.payload());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Client {
    handle: Arc<Handle>,
}

/// Counts those who can still use the client.
#[derive(Debug)]
struct Handle(Arc<Shared>);

/// What the handles and the task share.
pub(crate) struct Shared {
    pub(crate) engine: Engine,
    pub(crate) options: Options,
    pub(crate) streams: Mutex<Streams>,
    pub(crate) listeners: Mutex<Listeners>,
    /// Whether there is a task.
    pub(crate) running: Mutex<bool>,
}

/// Life and death.
impl Client {
    /// Connects, and resolves once the server has accepted.
    ///
    /// The first connection must succeed; later ones are made by themselves ([`Options::reconnect`]).
    ///
    /// # Errors
    /// Each [`ConnectError`] but `Running`.
    pub async fn connect(options: Options) -> Result<Self, ConnectError> {
        let client = Self::new(options);
        let (sender, first) = oneshot::channel();
        client.spawn(Some(sender))?;
        first.await.unwrap_or(Err(ConnectError::Closed))?;
        Ok(client)
    }

    /// A client that is not connected. What is published and subscribed to waits for [`start`](Self::start).
    #[must_use]
    pub fn new(options: Options) -> Self {
        let shared = Shared {
            engine: Engine::new(&options),
            streams: Mutex::new(Streams::new(options.core.seed, options.stream_bytes_max)),
            listeners: Mutex::default(),
            running: Mutex::new(false),
            options,
        };
        Self { handle: Arc::new(Handle(Arc::new(shared))) }
    }

    /// Starts connecting, and goes on until it succeeds. Also after [`disconnect`](Self::disconnect).
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    ///
    /// # Errors
    /// [`ConnectError::Running`], [`ConnectError::Store`].
    pub fn start(&self) -> Result<(), ConnectError> {
        self.spawn(None)
    }

    /// Waits until the client is connected.
    ///
    /// # Errors
    /// [`ConnectError::Closed`] when it is not started, or was closed.
    pub async fn connected(&self) -> Result<(), ConnectError> {
        poll_fn(|cx| {
            // First registered, then looked: what comes between wakes us.
            self.shared().engine.watch(cx);
            if self.is_connected() {
                return Poll::Ready(Ok(()));
            }
            if *self.shared().running.lock() { Poll::Pending } else { Poll::Ready(Err(ConnectError::Closed)) }
        })
        .await
    }

    /// Writes what is in the outbox, says DISCONNECT, closes, and resolves when that is done.
    ///
    /// Who waits for an acknowledgement is woken with an error, and streams end. What was not acknowledged is kept, should
    /// the client be [started](Self::start) again.
    pub async fn disconnect(&self) {
        self.disconnect_with(&Disconnect::normal()).await;
    }

    /// [`disconnect`](Self::disconnect) with a reason and properties (version 5): `DisconnectWithWillMessage`, a
    /// Session Expiry Interval.
    pub async fn disconnect_with(&self, disconnect: &Disconnect) {
        self.shared().close(disconnect);
        poll_fn(|cx| {
            self.shared().engine.watch(cx);
            if *self.shared().running.lock() { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
    }

    fn spawn(&self, first: Option<driver::First>) -> Result<(), ConnectError> {
        let shared = Arc::clone(self.shared());
        shared.engine.check_store()?;
        let mut running = shared.running.lock();
        if *running {
            return Err(ConnectError::Running);
        }
        *running = true;
        shared.engine.look(|state| state.closed = false);
        drop(running);
        tokio::spawn(driver::run(shared, first));
        Ok(())
    }
}

/// Messages.
impl Client {
    /// Publishes a message, and resolves once the server has taken responsibility for it: on PUBACK at QoS 1, on
    /// PUBCOMP at QoS 2; at QoS 0 once it is in the outbox.
    ///
    /// Waits while the outbox holds more than [`Options::outbox_bytes_max`]. Once taken, the message is sent even if
    /// the future is dropped, and survives the loss of the connection.
    ///
    /// # Errors
    /// [`PublishError::Refused`] when it is not taken (a topic with a wildcard, a full queue, beyond the server's limits),
    /// [`Store`](PublishError::Store) when the store does not take it,
    /// [`Rejected`](PublishError::Rejected) when the server says no, [`Dropped`](PublishError::Dropped) when it waited and was
    /// given up, [`Closed`](PublishError::Closed).
    pub async fn publish(&self, message: impl Into<Publish<'_>>) -> Result<Published, PublishError> {
        let message = message.into();
        let shared = self.shared();
        let max = shared.options.core.outbox_bytes_max;
        poll_fn(|cx| shared.engine.poll_publish(cx, &message, max)).await?.await
    }

    /// Publishes a message without waiting for anything; what becomes of it says the [`Delivery`]. With a
    /// [store](Options::store) it is with the operating system when this returns.
    ///
    /// # Errors
    /// [`PublishError::Refused`], [`Store`](PublishError::Store) and [`Closed`](PublishError::Closed).
    pub fn publish_nowait<'a>(&self, message: impl Into<Publish<'a>>) -> Result<Delivery, PublishError> {
        self.shared().engine.publish(&message.into())
    }

    /// [`publish_nowait`](Self::publish_nowait), unless the outbox holds more than [`Options::outbox_bytes_max`].
    ///
    /// # Errors
    /// [`PublishError::Busy`], and as `publish_nowait`.
    pub fn try_publish<'a>(&self, message: impl Into<Publish<'a>>) -> Result<Delivery, PublishError> {
        self.shared().engine.try_publish(&message.into(), self.shared().options.core.outbox_bytes_max)
    }

    /// Subscribes, and resolves with a stream of the messages once the server has granted it.
    ///
    /// Of several filters some may be refused: see [`Subscription::reasons`]. Offline it waits for the connection, unless
    /// [`Options::resubscribe`] is off.
    ///
    /// # Errors
    /// [`SubscribeError::Refused`] when it is not asked for (no topic filter, not supported by the server),
    /// [`Rejected`](SubscribeError::Rejected) when the server refuses every filter, [`Unanswered`](SubscribeError::Unanswered),
    /// [`Closed`](SubscribeError::Closed).
    pub async fn subscribe(&self, request: impl Into<Subscribe>) -> Result<Subscription, SubscribeError> {
        let request = request.into();
        let mut matching = Vec::new();
        for filter in request.checked()? {
            let filter = karere_core::topic::TopicFilter::from_text(filter.filter)?;
            matching.push(filter.filter_without_share().to_owned());
        }
        if matching.is_empty() {
            return Err(SubscribeError::Refused(karere_core::client::SubscribeError::Empty));
        }
        // Before the server is asked: retained messages come right behind its answer.
        let messages = self.join(matching)?;
        let answer = self.subscribe_only(request.clone()).await?;
        let filters = request.filters.into_iter().map(|(filter, _)| filter).collect();
        Ok(Subscription::new(messages, filters, answer))
    }

    /// Subscribes without a stream of its own, for use with [`messages`](Self::messages).
    ///
    /// # Errors
    /// As [`subscribe`](Self::subscribe).
    pub async fn subscribe_only(&self, request: impl Into<Subscribe>) -> Result<Answer, SubscribeError> {
        let (packet_id, slot) = self.shared().engine.subscribe(&request.into())?;
        answered(packet_id, poll_fn(|cx| slot.poll(cx)).await)
    }

    /// Unsubscribes, and resolves once the server has confirmed.
    ///
    /// # Errors
    /// As [`subscribe`](Self::subscribe).
    pub async fn unsubscribe(&self, request: impl Into<Unsubscribe>) -> Result<Answer, SubscribeError> {
        let (packet_id, slot) = self.shared().engine.unsubscribe(&request.into())?;
        answered(packet_id, poll_fn(|cx| slot.poll(cx)).await)
    }

    /// A stream of every message, from now on. A message that other streams get too is acknowledged when all are
    /// done with it.
    #[must_use]
    pub fn messages(&self) -> Messages {
        match self.join(Vec::new()) {
            Ok(messages) => messages,
            Err(_) => unreachable!("without a filter there is nothing to refuse"),
        }
    }

    fn join(&self, filters: Vec<String>) -> Result<Messages, SubscribeError> {
        let (key, queue) = self.shared().streams.lock().join(filters)?;
        Ok(Messages::new(self.clone(), key, queue))
    }
}

/// Everything else.
impl Client {
    /// A stream of what happens beside messages, from now on.
    #[must_use]
    pub fn events(&self) -> Events {
        Events::new(self.clone())
    }

    /// Sends AUTH: the answer to [`Event::Auth`](crate::Event::Auth), or `ReAuthenticate` (§4.12.1).
    pub fn authenticate(&self, auth: &Auth) {
        self.shared().engine.update(|state, now| state.core.authenticate(now, auth));
    }

    /// Whether the server has accepted the connection, and nothing has ended it since.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.shared().engine.look(|state| state.core.is_connected())
    }

    /// The Client Identifier in use: ours, or the one that the server assigned.
    #[must_use]
    pub fn client_id(&self) -> Text {
        self.shared().engine.look(|state| state.core.client_id().clone())
    }

    /// Messages that wait, offline or for the window.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.shared().engine.look(|state| state.core.queued())
    }

    /// QoS > 0 messages that were sent and are not acknowledged.
    #[must_use]
    pub fn inflight(&self) -> usize {
        self.shared().engine.look(|state| state.core.inflight())
    }

    /// How the store is doing; none without one.
    #[must_use]
    pub fn store_status(&self) -> Option<StoreStatus> {
        self.shared().engine.store_status()
    }

    /// What the client has done so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.shared().engine.look(|state| state.counters)
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.handle.0
    }
}

impl Shared {
    /// Takes nothing more, and has the task say DISCONNECT and end.
    fn close(&self, disconnect: &Disconnect) {
        self.engine.update(|state, _| state.closed = true);
        self.engine.disconnect(disconnect);
        if !*self.running.lock() {
            self.ended();
        }
    }

    /// There is no task any more.
    pub(crate) fn ended(&self) {
        self.engine.abandon();
        self.streams.lock().close();
        self.listeners.lock().close();
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.close(&Disconnect::normal());
        if !*self.0.running.lock() {
            self.0.engine.close_store();
        }
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("options", &self.options).finish_non_exhaustive()
    }
}
