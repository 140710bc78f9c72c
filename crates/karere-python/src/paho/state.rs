//! What a client is apart from Python: the state machine, what `publish()` has returned, and what is to be told.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use karere::store::SessionStore;
use karere_core::client::{Client, DropReason, Event, Options, Received, Record};
use karere_core::codec::{PacketId, Properties, ReasonCode};
use karere_core::session::AckToken;
use karere_core::store::StoreSequence;
use karere_core::{Instant, Text};
use karere_net::sys::WakeUp;
use parking_lot::{Mutex, MutexGuard};

use super::convert::rc;
use super::filters::Filters;
use super::info::Ticket;
use super::link::Link;

/// What native threads and Python's share.
pub(super) struct Inner {
    state: Mutex<State>,
    batch: Mutex<VecDeque<Item>>,
    link: Mutex<Option<Arc<Link>>>,
    pub(super) filters: Mutex<Filters>,
    pub(super) wake_up: WakeUp,
    pub(super) flags: Flags,
    pub(super) store: OnceLock<Arc<SessionStore>>,
    /// Loops that run, and are woken when there is something to write.
    pub(super) loops: AtomicUsize,
    /// Counts what callbacks are looked up anew for.
    pub(super) callbacks: AtomicU64,
    start: std::time::Instant,
}

/// What Python has decided, for those who do not hold its lock.
#[derive(Default)]
pub(super) struct Flags {
    /// `loop_start` has started a thread: it alone writes.
    pub(super) threaded: AtomicBool,
    /// The running loop is that thread's: what callbacks raise ends nothing.
    pub(super) guarded: AtomicBool,
    /// Somebody else's event loop writes (`on_socket_register_write`).
    pub(super) external: AtomicBool,
    /// Somebody wants to know when there is something to write, or no more.
    pub(super) watched: AtomicBool,
    /// There is an `on_publish`.
    pub(super) on_publish: AtomicBool,
    /// There are filtered callbacks.
    pub(super) filtered: AtomicBool,
    pub(super) manual_ack: AtomicBool,
    /// Callbacks have the arguments of VERSION2.
    pub(super) version2: AtomicBool,
    pub(super) v5: AtomicBool,
    /// Somebody is calling back.
    pub(super) dispatching: AtomicBool,
    /// The loop is to return to Python.
    pub(super) interrupt: AtomicBool,
}

/// The state machine, and what belongs to it.
pub(super) struct State {
    pub(super) core: Client,
    /// What `publish()` has returned and is not settled.
    pub(super) tickets: HashMap<PacketId, Arc<Ticket>, FixedState>,
    /// Under manual acknowledgement: what was handed over, by identifier and QoS.
    pub(super) unacknowledged: HashMap<(u16, u8), AckToken, FixedState>,
    /// The number of the connection.
    pub(super) number: u64,
    /// A loop sleeps, and wants to be woken when there is something to write.
    pub(super) sleeping: bool,
    /// A layer below MQTT has something to answer.
    pub(super) answers: bool,
    /// The socket takes no more for now.
    pub(super) blocked: bool,
    /// DISCONNECT has been asked for: after it is written the connection ends.
    pub(super) leaving: bool,
    /// The end of this connection has been told.
    pub(super) over: bool,
    /// `max_queued_messages`; 0 is none.
    pub(super) queue_max: usize,
    /// What is to be stored and was not given to the store yet, and the Client Identifier where it does not know it.
    pub(super) records: Vec<(StoreSequence, Record)>,
    pub(super) identity: Option<Text>,
}

/// What is to be told to Python, in order.
pub(super) enum Item {
    Message(Received),
    Published {
        packet_id: PacketId,
        reason: ReasonCode,
        properties: Properties,
        ticket: Option<Arc<Ticket>>,
    },
    Event(Box<Event>),
    /// The connection with this number is lost: for which reason, and what the system said.
    Lost {
        number: u64,
        rc: i32,
        why: Option<String>,
    },
    /// Our DISCONNECT is written.
    Left {
        number: u64,
    },
}

impl Inner {
    pub(super) fn new(options: Options) -> io::Result<Self> {
        Self::with(Client::new(options))
    }

    pub(super) fn with(core: Client) -> io::Result<Self> {
        let state = State {
            core,
            tickets: HashMap::default(),
            unacknowledged: HashMap::default(),
            number: 0,
            sleeping: false,
            answers: false,
            blocked: false,
            leaving: false,
            over: true,
            queue_max: 0,
            records: Vec::new(),
            identity: None,
        };
        Ok(Self {
            state: Mutex::new(state),
            batch: Mutex::default(),
            link: Mutex::new(None),
            filters: Mutex::default(),
            wake_up: WakeUp::new()?,
            flags: Flags::default(),
            store: OnceLock::new(),
            loops: AtomicUsize::new(0),
            callbacks: AtomicU64::new(0),
            start: std::time::Instant::now(),
        })
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    pub(super) fn now(&self) -> Instant {
        Instant::from_millis(u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    pub(super) fn link(&self) -> Option<Arc<Link>> {
        self.link.lock().clone()
    }

    pub(super) fn set_link(&self, link: Option<Arc<Link>>) -> Option<Arc<Link>> {
        std::mem::replace(&mut *self.link.lock(), link)
    }

    /// Without waiting: for the child of a fork, where nobody may be there to unlock it.
    pub(super) fn try_take_link(&self) -> Option<Arc<Link>> {
        self.link.try_lock().and_then(|mut link| link.take())
    }

    pub(super) fn has_items(&self) -> bool {
        !self.batch.lock().is_empty()
    }

    /// Exchanges `batch`, which must be empty, for what is to be told.
    pub(super) fn take_items(&self, batch: &mut VecDeque<Item>) {
        std::mem::swap(&mut *self.batch.lock(), batch);
    }

    /// What could not be told is told next.
    pub(super) fn put_back(&self, items: VecDeque<Item>) {
        let mut batch = self.batch.lock();
        for item in items.into_iter().rev() {
            batch.push_front(item);
        }
    }

    pub(super) fn wake(&self) {
        self.wake_up.wake_up();
    }

    /// Ends a sleeping loop's sleep; only for whoever has taken the sleeper's mark off the state.
    pub(super) fn wake_if(&self, was_sleeping: bool) {
        if was_sleeping {
            self.wake();
        }
    }

    pub(super) fn is(&self, flag: &AtomicBool) -> bool {
        flag.load(Ordering::SeqCst)
    }

    /// Takes what has happened from the core, and settles what nobody wants to be called for.
    pub(super) fn collect(&self, state: &mut State) {
        self.gather(state);
        self.keep(state);
    }

    /// The same, without giving the store what it is to have.
    pub(super) fn gather(&self, state: &mut State) {
        let wanted = self.is(&self.flags.on_publish);
        let mut batch = None;
        while let Some(event) = state.core.poll_event() {
            let Some(item) = state.item(event, wanted) else { continue };
            batch.get_or_insert_with(|| self.batch.lock()).push_back(item);
        }
    }

    /// The connection is over; told once.
    pub(super) fn lost(&self, state: &mut State, number: u64, rc: i32, why: Option<String>) {
        if state.number == number && !std::mem::replace(&mut state.over, true) {
            self.batch.lock().push_back(Item::Lost { number, rc, why });
        }
    }

    pub(super) fn left(&self, state: &mut State) {
        if !std::mem::replace(&mut state.over, true) {
            self.batch.lock().push_back(Item::Left { number: state.number });
        }
    }
}

impl State {
    fn item(&mut self, event: Event, on_publish: bool) -> Option<Item> {
        Some(match event {
            Event::Record(number, record) => {
                self.records.push((number, record));
                return None;
            }
            Event::Message(received) => Item::Message(received),
            Event::Published { packet_id, reason, properties } => {
                let ticket = self.tickets.remove(&packet_id);
                if !on_publish {
                    ticket?.settle();
                    return None;
                }
                Item::Published { packet_id, reason, properties, ticket }
            }
            Event::Dropped { packet_id, why } => {
                let ticket = packet_id.and_then(|packet_id| self.tickets.remove(&packet_id))?;
                ticket.fail(match why {
                    DropReason::ConnectionLost => rc::CONN_LOST,
                    DropReason::QueueFull => rc::QUEUE_SIZE,
                    DropReason::NotAccepted => rc::NOT_SUPPORTED,
                    DropReason::Expired => rc::UNKNOWN,
                });
                ticket.settle();
                return None;
            }
            Event::Connected { ref client_id, .. } => {
                self.identity = self.core.options().store.then(|| client_id.clone());
                // What waited offline is on its way.
                self.tickets.values().for_each(|ticket| ticket.go());
                Item::Event(Box::new(event))
            }
            Event::Unanswered { .. } | Event::SessionLost | Event::Resubscribed { .. } => {
                return None;
            }
            event => Item::Event(Box::new(event)),
        })
    }

    /// Whether a loop would have something to write.
    pub(super) fn has_to_write(&self) -> bool {
        !self.over && (self.core.outbox_bytes() > 0 || self.leaving || self.answers)
    }
}
