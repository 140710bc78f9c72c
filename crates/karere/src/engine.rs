//! What both drivers share: the state machine under its lock, and who waits for what.

mod stored;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use karere_core::Text;
use karere_core::client::{Client, Event, Record};
use karere_core::connection::Outbox;
use karere_core::store::StoreSequence;
use parking_lot::Mutex;

use crate::counters::Counters;
use crate::delivery::{Delivery, Outcome, Slot};
use crate::notice::{DriverEvent, Notice, ended};
use crate::options::Options;
use crate::outgoing::Publish;
use crate::request::{Subscribe, Unsubscribe};
use crate::store::{Opened, SessionStore, StoreError};
use crate::{
    AckToken, Credentials, Disconnect, Disconnection, PacketId, PublishError, QoS, ReasonCode, SubscribeError,
};

/// When the engine's time begins, on the core's timeline.
const EPOCH: karere_core::Instant = karere_core::Instant::from_millis(1);

/// Fewer bytes than this are worth a moment's wait for more, where messages come one on the other's heels.
const GATHER_BYTES: usize = 16 * 1024;

/// The state machine under its lock, with a clock.
///
/// Nothing is written, read, waited for or called back while the lock is held.
#[derive(Debug)]
pub(crate) struct Engine {
    inner: Arc<Inner>,
    /// Its thread has the state too: to say what is stored.
    store: Option<Arc<SessionStore>>,
    /// Why there is none, where one was asked for.
    store_error: Option<StoreError>,
}

#[derive(Debug)]
struct Inner {
    state: Mutex<State>,
    origin: Instant,
}

/// What the lock protects.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) core: Client,
    pub(crate) counters: Counters,
    /// What happened and was not handed out yet.
    notices: VecDeque<Notice>,
    /// What is to be stored and was not given to the store yet.
    records: Vec<(StoreSequence, Record)>,
    /// The Client Identifier in use, where the store has yet to know it.
    identity: Option<Text>,
    /// Who waits for the end of a packet identifier's use.
    waiters: HashMap<PacketId, Arc<Slot>, FixedState>,
    /// Wakes the driver. Only there while it sleeps, so that nobody wakes one that is awake.
    pub(crate) sleeper: Option<Waker>,
    /// Publishers who wait for the outbox to drain.
    room: Vec<Waker>,
    /// Who waits for the connection to come or go.
    watchers: Vec<Waker>,
    watched: bool,
    /// Numbers the connections, so that a thread that still holds an old one does no harm.
    link: u32,
    is_open: bool,
    /// Whether the server has accepted the connection, or the last one if there is none now.
    pub(crate) accepted: bool,
    /// What ended the last connection, if there is none now.
    pub(crate) last_end: Option<Disconnection>,
    /// The connection is over for this reason once the outbox is written.
    pub(crate) ending: Option<Disconnection>,
    /// We said DISCONNECT: the connection is over once it is written.
    pub(crate) leaving: bool,
    /// Somebody writes, and looks into the outbox again before stopping.
    pub(crate) writing: bool,
    /// The socket takes nothing now.
    pub(crate) blocked: bool,
    /// Nothing is taken any more.
    pub(crate) closed: bool,
}

impl Drop for Engine {
    fn drop(&mut self) {
        // Its thread may have it too, for a moment.
        self.close_store();
    }
}

/// For the application.
impl Engine {
    /// Opens the store, if there is to be one; where it cannot be, [`check_store`](Self::check_store) says why.
    pub(crate) fn new(options: &Options) -> Self {
        let origin = Instant::now();
        match options.store.as_ref().map(|store| Opened::open(store, EPOCH, options.core.seed)) {
            None => Self::plain(options, origin, None),
            Some(Err(error)) => Self::plain(options, origin, Some(error)),
            Some(Ok((opened, restored))) => Self::with_store(options, origin, opened, restored),
        }
    }

    pub(crate) fn publish(&self, publish: &Publish<'_>) -> Result<Delivery, PublishError> {
        match self.publish_if(publish, |_| Ok::<_, Infallible>(())) {
            Ok(result) => result,
            Err(never) => match never {},
        }
    }

    /// As [`publish`](Self::publish), unless more than `max` bytes wait to be written.
    pub(crate) fn try_publish(&self, publish: &Publish<'_>, max: usize) -> Result<Delivery, PublishError> {
        self.publish_if(publish, |state| match state.core.outbox_bytes() {
            waiting if waiting > max => Err(PublishError::Busy { waiting }),
            _ => Ok(()),
        })?
    }

    /// As [`publish`](Self::publish), once no more than `max` bytes wait to be written.
    pub(crate) fn poll_publish(
        &self,
        cx: &Context<'_>,
        publish: &Publish<'_>,
        max: usize,
    ) -> Poll<Result<Delivery, PublishError>> {
        let published = self.publish_if(publish, |state| {
            if state.core.outbox_bytes() > max && !state.closed {
                state.room.push(cx.waker().clone());
                return Err(());
            }
            Ok(())
        });
        published.map_or(Poll::Pending, Poll::Ready)
    }

    /// Publishes, if `admit` allows it.
    fn publish_if<E>(
        &self,
        publish: &Publish<'_>,
        admit: impl FnOnce(&mut State) -> Result<(), E>,
    ) -> Result<Result<Delivery, PublishError>, E> {
        if publish.qos > QoS::AtMostOnce && (self.store.is_some() || self.store_error.is_some()) {
            return self.publish_stored(publish, admit);
        }
        self.update(|state, now| {
            admit(state)?;
            Ok(state.publish(now, publish))
        })
    }

    /// Asks for subscriptions; the slot will hold the answer.
    pub(crate) fn subscribe(&self, request: &Subscribe) -> Result<(PacketId, Arc<Slot>), SubscribeError> {
        let filters = request.checked()?;
        self.update(|state, now| {
            if state.closed {
                return Err(SubscribeError::Closed);
            }
            let packet_id =
                state.core.subscribe(now, &filters, request.subscription_id, &request.properties)?;
            Ok((packet_id, state.await_end(packet_id)))
        })
    }

    /// Asks for subscriptions to end; the slot will hold the answer.
    pub(crate) fn unsubscribe(&self, request: &Unsubscribe) -> Result<(PacketId, Arc<Slot>), SubscribeError> {
        let filters = request.checked()?;
        self.update(|state, now| {
            if state.closed {
                return Err(SubscribeError::Closed);
            }
            let packet_id = state.core.unsubscribe(now, &filters, &request.properties)?;
            Ok((packet_id, state.await_end(packet_id)))
        })
    }

    pub(crate) fn acknowledge(&self, tokens: impl IntoIterator<Item = AckToken>, reason: ReasonCode) {
        self.update(|state, now| {
            for token in tokens {
                state.core.acknowledge(now, token, reason);
            }
        });
    }

    /// Says DISCONNECT; false without a connection.
    pub(crate) fn disconnect(&self, disconnect: &Disconnect) -> bool {
        self.update(|state, now| {
            if state.is_open {
                state.core.disconnect(now, disconnect);
                state.leaving = true;
            }
            state.is_open
        })
    }

    /// Wakes everybody who waits for an acknowledgement, with an error.
    pub(crate) fn abandon(&self) {
        let waiters: Vec<_> = self.look(|state| state.waiters.drain().map(|(_, slot)| slot).collect());
        for slot in waiters {
            slot.put(Outcome::Closed);
            slot.show();
        }
    }

    /// Wakes everybody who [watches](Self::watch), to look again.
    #[cfg(feature = "tokio")]
    pub(crate) fn rouse(&self) {
        self.update(|state, _| state.watched = true);
    }

    /// Registers `cx` to be woken when the connection comes, goes, or the client is closed.
    #[cfg(feature = "tokio")]
    pub(crate) fn watch(&self, cx: &Context<'_>) {
        self.update(|state, _| state.watchers.push(cx.waker().clone()));
    }
}

/// For a driver.
impl Engine {
    /// Changes the state and lives by the core's law: what happened is collected, and the driver woken if there
    /// is something for it to do.
    pub(crate) fn update<R>(&self, change: impl FnOnce(&mut State, karere_core::Instant) -> R) -> R {
        let (result, to_store) = self.inner.update(change);
        if to_store {
            self.store_records();
        }
        result
    }

    /// Looks at the state.
    pub(crate) fn look<R>(&self, look: impl FnOnce(&mut State) -> R) -> R {
        look(&mut self.inner.state.lock())
    }

    /// A transport is open. Returns the connection's number.
    pub(crate) fn open(&self, credentials: Credentials) -> u32 {
        self.update(|state, now| {
            if mem::replace(&mut state.is_open, true) {
                state.core.handle_closed(now);
            }
            state.core.handle_open(now, credentials);
            state.link = state.link.wrapping_add(1);
            (state.ending, state.leaving, state.last_end) = (None, false, None);
            state.accepted = false;
            (state.writing, state.blocked) = (false, false);
            if state.closed {
                state.core.disconnect(now, &Disconnect::normal());
                state.leaving = true;
            }
            state.link
        })
    }

    /// The transport of connection `link` has gone. False when it was gone already.
    pub(crate) fn closed(&self, link: u32, why: Disconnection) -> bool {
        self.update(|state, now| {
            if !state.is_at(link) {
                return false;
            }
            state.is_open = false;
            state.blocked = false;
            state.core.handle_closed(now);
            state.collect();
            state.watched = true;
            state.last_end = Some(why.clone());
            state.notices.push_back(Notice::new(DriverEvent::Closed(why)));
            true
        })
    }

    /// `input` has grown by `read` bytes of connection `link`.
    pub(crate) fn input(&self, link: u32, input: &mut BytesMut, read: usize) -> Result<(), Disconnection> {
        self.update(|state, now| {
            if !state.is_at(link) {
                input.clear();
                return Ok(());
            }
            state.counters.reads += 1;
            state.counters.bytes_in += read as u64;
            Ok(state.core.handle_input(now, input)?)
        })
    }

    /// Time has passed.
    pub(crate) fn timeout(&self, link: u32) -> Result<(), Disconnection> {
        self.update(|state, now| match state.core.poll_timeout() {
            Some(due) if state.is_at(link) && due <= now => Ok(state.core.handle_timeout(now)?),
            _ => Ok(()),
        })
    }

    /// `written` bytes of `outgoing` have gone. When that was all, it is exchanged for what has gathered meanwhile.
    ///
    /// False when there is nothing (more) to write, or the connection is no longer `link`.
    pub(crate) fn next_to_write(&self, link: u32, outgoing: &mut Outbox, written: usize) -> bool {
        self.update(|state, now| {
            if !state.is_at(link) {
                outgoing.clear();
                return false;
            }
            if written > 0 {
                state.counters.writes += 1;
                state.counters.bytes_out += written as u64;
                state.core.handle_written(now, written);
            }
            if outgoing.is_empty() {
                state.core.poll_transmit().swap(outgoing);
            }
            state.writing = !outgoing.is_empty();
            state.writing
        })
    }

    /// Claims the right to write to connection `link`; false when somebody writes already (and will look again
    /// before stopping), or the socket takes nothing now.
    pub(crate) fn begin_writing(&self, link: u32) -> bool {
        self.look(|state| {
            let free = state.is_at(link) && !state.writing && !state.blocked;
            state.writing |= free;
            free
        })
    }

    /// The socket of connection `link` takes nothing now (or again).
    pub(crate) fn set_blocked(&self, link: u32, blocked: bool) {
        self.update(|state, _| {
            if state.is_at(link) {
                state.blocked = blocked;
                state.writing = false;
            }
        });
    }

    /// Why connection `link` is over, now that what could be written is.
    pub(crate) fn end(&self, link: u32) -> Option<Disconnection> {
        self.look(|state| {
            if !state.is_at(link) {
                return None;
            }
            let left = (state.leaving && state.core.outbox_bytes() == 0).then_some(Disconnection::Requested);
            state.ending.take().or(left)
        })
    }

    /// Exchanges the empty `batch` for what has happened; false when nothing has.
    pub(crate) fn take_notices(&self, batch: &mut VecDeque<Notice>) -> bool {
        self.look(|state| {
            debug_assert!(batch.is_empty());
            mem::swap(&mut state.notices, batch);
            !batch.is_empty()
        })
    }

    /// Says that an attempt to connect has failed.
    pub(crate) fn tell(&self, event: DriverEvent) {
        self.update(|state, _| state.notices.push_back(Notice::new(event)));
    }

    /// How long the driver may sleep as far as the protocol goes.
    pub(crate) fn patience(&self) -> Option<Duration> {
        self.look(|state| state.core.poll_timeout()).map(|due| due.since(self.now()))
    }

    pub(crate) fn now(&self) -> karere_core::Instant {
        self.inner.now()
    }
}

impl Inner {
    /// What [`Engine::update`] does, and whether there is something to be stored then.
    #[inline]
    fn update<R>(&self, change: impl FnOnce(&mut State, karere_core::Instant) -> R) -> (R, bool) {
        let now = self.now();
        let mut state = self.state.lock();
        let result = change(&mut state, now);
        state.collect();
        let sleeper = if state.has_work() { state.sleeper.take() } else { None };
        let others = state.others_to_wake();
        let to_store = state.has_to_store();
        drop(state);
        sleeper.into_iter().chain(others).for_each(Waker::wake);
        (result, to_store)
    }

    fn now(&self) -> karere_core::Instant {
        EPOCH.plus_millis(self.origin.elapsed().as_millis() as u64)
    }
}

impl State {
    fn new(core: Client, seed: u64) -> Self {
        Self {
            core,
            counters: Counters::default(),
            notices: VecDeque::new(),
            records: Vec::new(),
            identity: None,
            waiters: HashMap::with_hasher(FixedState::with_seed(seed)),
            sleeper: None,
            room: Vec::new(),
            watchers: Vec::new(),
            watched: false,
            link: 0,
            is_open: false,
            accepted: false,
            last_end: None,
            ending: None,
            leaving: false,
            writing: false,
            blocked: false,
            closed: false,
        }
    }

    fn publish(
        &mut self,
        now: karere_core::Instant,
        publish: &Publish<'_>,
    ) -> Result<Delivery, PublishError> {
        if self.closed {
            return Err(PublishError::Closed);
        }
        let packet_id = self.core.publish(now, publish.outgoing())?;
        self.counters.messages_out += 1;
        Ok(match packet_id {
            Some(packet_id) => Delivery::awaited(packet_id, self.await_end(packet_id)),
            None => Delivery::DONE,
        })
    }

    fn await_end(&mut self, packet_id: PacketId) -> Arc<Slot> {
        let slot = Arc::<Slot>::default();
        self.waiters.insert(packet_id, Arc::clone(&slot));
        slot
    }

    /// Takes what happened out of the core, while the packet identifiers in it still mean what they meant.
    fn collect(&mut self) {
        while let Some(event) = self.core.poll_event() {
            match &event {
                Event::Record(number, record) => {
                    self.records.push((*number, *record));
                    continue;
                }
                Event::Message(_) => self.counters.messages_in += 1,
                Event::Connected { client_id, .. } => {
                    self.identity = self.core.options().store.then(|| client_id.clone());
                    self.counters.reconnects += u64::from(self.counters.connects > 0);
                    self.counters.connects += 1;
                    (self.accepted, self.watched) = (true, true);
                }
                Event::Refused(connack) => self.ending = Some(Disconnection::Refused(connack.clone())),
                Event::Disconnected(disconnect) => {
                    self.ending = Some(Disconnection::ByServer(disconnect.clone()));
                }
                _ => {}
            }
            let waiter = ended(&event).and_then(|packet_id| self.waiters.remove(&packet_id));
            self.notices.push_back(match waiter {
                Some(slot) => Notice::completing(event, slot),
                None => Notice::new(DriverEvent::Core(event)),
            });
        }
    }

    /// Few bytes wait to be written, and nothing else is to be done: more may come, and leave with them.
    pub(crate) fn may_gather(&self) -> bool {
        let waiting = self.core.outbox_bytes();
        0 < waiting && waiting < GATHER_BYTES && !self.leaving && !self.blocked && self.notices.is_empty()
    }

    /// Whether a sleeping driver would have something to do.
    pub(crate) fn has_work(&self) -> bool {
        let to_write = self.leaving || self.core.outbox_bytes() > 0;
        let free = self.is_open && !self.blocked && !self.writing;
        let to_stop = self.closed && !self.is_open;
        free && to_write || !self.notices.is_empty() || to_stop
    }

    fn others_to_wake(&mut self) -> Vec<Waker> {
        let mut wakers = Vec::new();
        let mark = self.core.options().outbox_bytes_max / 2;
        // Not at the mark itself: a publisher woken for every few bytes would write every few bytes.
        if !self.room.is_empty() && (self.closed || self.core.outbox_bytes() <= mark) {
            wakers.append(&mut self.room);
        }
        if mem::take(&mut self.watched) {
            wakers.append(&mut self.watchers);
        }
        wakers
    }

    /// Whether the connection numbered `link` is the one there is.
    pub(crate) fn is_at(&self, link: u32) -> bool {
        self.is_open && self.link == link
    }

    pub(crate) fn has_notices(&self) -> bool {
        !self.notices.is_empty()
    }
}
