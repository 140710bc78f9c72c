//! What happens to an async client beside messages.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_core::Stream;
use karere_core::client;
use parking_lot::Mutex;

use crate::client::Client;
use crate::notice::DriverEvent;
use crate::{Auth, ConnAck, ConnectError, Disconnection, DropReason, PacketId, PacketTrace, Text};

/// Events that one [`Events`] keeps for a consumer that is behind; beyond it the oldest go first.
const EVENTS_MAX: usize = 4096;

/// Something that happened to a [`Client`], beside messages.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// The server accepted the connection.
    Connected {
        /// Its CONNACK.
        connack: ConnAck,
        /// The Client Identifier in use.
        client_id: Text,
    },
    /// An attempt to connect has failed. When the server said no, this follows its
    /// [`Disconnected`](Self::Disconnected).
    ConnectFailed {
        /// Why.
        error: ConnectError,
        /// When the next one will be made; none when there will be none.
        retry_in: Option<Duration>,
    },
    /// The connection is over.
    Disconnected(Disconnection),
    /// The server had lost the session: subscriptions were made again (unless that is turned off), what was
    /// unacknowledged is sent as new.
    SessionLost,
    /// A message that waited was given up.
    Dropped {
        /// Its packet identifier.
        packet_id: Option<PacketId>,
        /// Why.
        why: DropReason,
    },
    /// The server wants to authenticate; answer with [`Client::authenticate`].
    Auth(Auth),
    /// A packet went out or came in, with [`Options::trace`](crate::Options::trace).
    Trace(PacketTrace),
}

impl Event {
    /// None for what is told elsewhere: by a [`Delivery`](crate::Delivery), by the end of the connection.
    pub(crate) fn new(event: DriverEvent) -> Option<Self> {
        Some(match event {
            DriverEvent::ConnectFailed { error, retry_in } => Self::ConnectFailed { error, retry_in },
            DriverEvent::Closed(why) => Self::Disconnected(why),
            DriverEvent::Core(event) => match event {
                client::Event::Connected { connack, client_id } => Self::Connected { connack, client_id },
                client::Event::SessionLost => Self::SessionLost,
                client::Event::Dropped { packet_id, why } => Self::Dropped { packet_id, why },
                client::Event::Auth(auth) => Self::Auth(auth),
                client::Event::Trace(trace) => Self::Trace(trace),
                _ => return None,
            },
        })
    }
}

/// A stream of [`Event`]s, from [`Client::events`]. It ends when the client is closed.
#[derive(Debug)]
pub struct Events {
    client: Client,
    mailbox: Arc<Mailbox>,
}

impl Events {
    pub(crate) fn new(client: Client) -> Self {
        let mailbox = client.shared().listeners.lock().join();
        Self { client, mailbox }
    }

    /// The next event; none once the client is closed.
    pub async fn recv(&mut self) -> Option<Event> {
        std::future::poll_fn(|cx| self.mailbox.poll(cx)).await
    }
}

impl Stream for Events {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        self.mailbox.poll(cx)
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.client.shared().listeners.lock().leave(&self.mailbox);
    }
}

/// Who listens.
#[derive(Debug, Default)]
pub(crate) struct Listeners(Vec<Arc<Mailbox>>);

impl Listeners {
    fn join(&mut self) -> Arc<Mailbox> {
        let mailbox = Arc::<Mailbox>::default();
        self.0.push(Arc::clone(&mailbox));
        mailbox
    }

    fn leave(&mut self, mailbox: &Arc<Mailbox>) {
        self.0.retain(|other| !Arc::ptr_eq(other, mailbox));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns how many events were given up for it.
    pub(crate) fn tell(&self, event: &Event) -> u64 {
        self.0.iter().map(|mailbox| mailbox.push(event.clone())).sum()
    }

    pub(crate) fn close(&mut self) {
        for mailbox in self.0.drain(..) {
            mailbox.close();
        }
    }
}

#[derive(Debug, Default)]
struct Mailbox(Mutex<Mail>);

#[derive(Debug, Default)]
struct Mail {
    events: VecDeque<Event>,
    waker: Option<Waker>,
    closed: bool,
}

impl Mailbox {
    fn push(&self, event: Event) -> u64 {
        let mut mail = self.0.lock();
        let dropped = mail.events.len() >= EVENTS_MAX;
        if dropped {
            mail.events.pop_front();
        }
        mail.events.push_back(event);
        Self::wake(mail);
        u64::from(dropped)
    }

    fn close(&self) {
        let mut mail = self.0.lock();
        mail.closed = true;
        Self::wake(mail);
    }

    fn wake(mut mail: parking_lot::MutexGuard<'_, Mail>) {
        let waker = mail.waker.take();
        drop(mail);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn poll(&self, cx: &Context<'_>) -> Poll<Option<Event>> {
        let mut mail = self.0.lock();
        match mail.events.pop_front() {
            Some(event) => Poll::Ready(Some(event)),
            None if mail.closed => Poll::Ready(None),
            None => {
                mail.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}
