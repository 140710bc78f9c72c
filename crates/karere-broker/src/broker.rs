//! What all tasks of a broker share.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use foldhash::fast::FixedState;
use karere_core::broker::{Options, Slot};
use karere_core::{Instant, Text};
use tokio::sync::watch;

use crate::bench;
use crate::builder::Settings;
use crate::clock::Clock;
use crate::commit::Commit;
use crate::connection::{Connections, Link, Signals};
use crate::counters::{Count, Counters, add};
use crate::handle::Shutdown;
use crate::hooks::Hooks;
use crate::hub::Hub;
use crate::late::Leftover;
use crate::slot::{Cell, Effects, Ended, Registry, Seat, State, Ticket};
use crate::store::{Durable, Session, Waiter};
use crate::sync::Arc;
use crate::timer::{Timer, Whose};
use crate::work::{Source, Work};

/// What all tasks of a broker share.
pub(crate) struct Shared {
    pub(crate) options: Arc<Options>,
    pub(crate) settings: Settings,
    pub(crate) hooks: Hooks,
    pub(crate) hub: Hub,
    pub(crate) registry: Registry,
    pub(crate) connections: Connections,
    pub(crate) timer: Timer,
    pub(crate) clock: Clock,
    pub(crate) count: Count,
    pub(crate) commit: Commit,
    closing: watch::Sender<bool>,
    seed: u64,
    /// How many names and seeds have been drawn.
    drawn: AtomicU64,
}

impl Shared {
    /// `durable`: there is a store; the timeline goes on from `before`.
    pub(crate) fn new(
        options: Options,
        settings: Settings,
        hooks: Hooks,
        durable: Option<Arc<Durable>>,
        before: Instant,
    ) -> Self {
        let seed = settings.seed.unwrap_or_else(|| RandomState::new().hash_one(0));
        Self {
            options: Arc::new(options),
            hub: Hub::new(seed, settings.router),
            registry: Registry::new(FixedState::with_seed(seed)),
            settings,
            hooks,
            connections: Connections::default(),
            timer: Timer::default(),
            clock: Clock::continued(before),
            count: Count::default(),
            commit: Commit::new(durable),
            closing: watch::Sender::new(false),
            seed,
            drawn: AtomicU64::new(0),
        }
    }

    /// A new slot for `client_id`, which keeps it: no slice of a larger buffer.
    pub(crate) fn seat(&self, client_id: &Text) -> Seat {
        let slot = Slot::new(client_id.clone(), self.options.clone(), self.draw());
        Seat::new(slot, self.commit.durable())
    }

    /// Has the slot told what of it is stored, once it is.
    pub(crate) fn tell_later(&self, cell: &Arc<Cell>, state: &mut State) {
        if let Some(durable) = self.commit.durable()
            && let Some(untold) = state.place.take_untold()
        {
            durable.wait(self.clock.now(), Waiter::Stored { cell: cell.clone(), untold });
        }
    }

    /// A Client Identifier that no session has [MQTT-3.1.3-7].
    pub(crate) fn assign_client_id(&self) -> Text {
        // The first of the two keys is drawn by the system, so that nobody guesses another client's name.
        loop {
            let name = format!("karere-{:016x}", RandomState::new().hash_one(self.draw()));
            if let Ok(client_id) = Text::new(name)
                && self.registry.get(&client_id).is_none()
            {
                return client_id;
            }
        }
    }

    /// Registers the slot's deadline when it is earlier than what the timer has of it.
    pub(crate) fn arm(&self, cell: &Arc<Cell>, state: &mut State) {
        if let Some(at) = state.place.slot.poll_timeout()
            && at < state.place.armed
        {
            state.place.armed = at;
            self.timer.arm(at, Whose::Slot(Arc::downgrade(cell)));
        }
    }

    /// The timer has come to `at` for this slot.
    pub(crate) fn slot_due(self: &Arc<Self>, cell: &Arc<Cell>, at: Instant) {
        let now = self.clock.now();
        let mut effects = Effects::default();
        {
            let mut state = cell.lock();
            if state.place.armed == at {
                state.place.armed = Seat::NEVER;
            }
            if state.line().is_some_and(|link| link.is_paused()) {
                state.place.slot.handle_unread(now);
            }
        }
        let absent = cell.lock().line().is_none();
        if let Err((Some(link), _)) = cell.timeout(now, self.registry.late(), &mut effects) {
            link.signal(Signals::CLOSE);
        }
        if absent && effects.ending.is_some() {
            add(&self.count.clients_expired, 1);
        }
        {
            let mut state = cell.lock();
            self.arm(cell, &mut state);
            self.tell_later(cell, &mut state);
        }
        self.apply(cell, effects);
        bench::with(|bench| crate::write::write_through(self, &mut bench.pool, cell));
    }

    /// The connection `link` of `cell` has gone, or is to go. Its work is over when what is returned is dropped;
    /// `leaves`: there is some of it.
    pub(crate) fn detach(
        self: &Arc<Self>,
        cell: &Arc<Cell>,
        link: &Arc<Link>,
        leaves: bool,
    ) -> Option<Ticket> {
        let mut effects = Effects::default();
        let ticket = cell.detach(self.clock.now(), link, leaves, self.registry.late(), &mut effects);
        let waiters = {
            let mut state = cell.lock();
            self.arm(cell, &mut state);
            self.tell_later(cell, &mut state);
            // Nobody reads any more: nobody is to wait for it.
            if state.line().is_none() { state.place.take_waiters() } else { Vec::new() }
        };
        waiters.iter().for_each(|publisher| publisher.release());
        self.apply(cell, effects);
        ticket
    }

    /// Does what a slot wants done once its lock is gone: its Will, its end.
    pub(crate) fn apply(self: &Arc<Self>, cell: &Arc<Cell>, effects: Effects) {
        let Effects { events: _, moves, mut wills, ending, ticket } = effects;
        if moves.is_empty() && wills.is_empty() && ending.is_none() {
            return;
        }
        let (mut others, mut own) = (Work::default(), Work::default());
        let ended = ending.map(|Ended { mut ending, mut session }| {
            // First the subscriptions: its own Will is not for a session that is over.
            self.forget(cell, &ending.filters);
            let key = session.as_mut().filter(|_| ending.will.is_some()).and_then(Session::send_will);
            wills.extend(ending.will.take().map(|will| (will, key)));
            (ending, session)
        });
        // What others have published waits for nothing that this client has left to be done, its Will does.
        let source = Source { broker: self, cell: Some(cell), link: None, tells: false };
        bench::with(|bench| others.give_away(moves, &source, &mut bench.pool));
        if let Some(durable) = self.commit.durable()
            && let Some((ending, Some(mut session))) = ended
        {
            // Behind what has moved to others, so that it is always with somebody.
            durable.append(|ledger, batch| session.end(ledger, batch, &ending));
            add(&durable.count.session_ended, (ending.entries.len() + ending.held.len()) as u64);
        }
        if !wills.is_empty() {
            wills.into_iter().for_each(|(will, key)| own.publish_will(will, key));
            let ticket = ticket.unwrap_or_else(|| self.registry.late().ticket(&cell.label.client_id));
            Leftover { asked: None, work: own, tells: false }.finish(self, cell, ticket);
        }
    }

    /// What the counters say, and what is held.
    pub(crate) fn counters(&self) -> Counters {
        let (subscriptions, retained, retained_bytes) = {
            let hub = self.hub.read();
            (hub.router.subscriptions_len(), hub.router.retained_len(), hub.router.retained_bytes())
        };
        Counters {
            clients_total: self.registry.len() as u64,
            subscriptions: subscriptions as u64,
            retained: retained as u64,
            retained_bytes: retained_bytes as u64,
            uptime_seconds: self.clock.up_millis() / 1000,
            ..self.count.snapshot()
        }
    }

    /// Resolves when the broker shuts down.
    pub(crate) async fn closing(&self) {
        // An error would mean that the sender is gone, which is a field of ours.
        let _ = self.closing.subscribe().wait_for(|closing| *closing).await;
    }

    /// Whether the broker shuts down.
    pub(crate) fn is_closing(&self) -> bool {
        *self.closing.borrow()
    }

    /// See [`BrokerHandle::shutdown`](crate::BrokerHandle::shutdown).
    pub(crate) async fn shutdown(&self) -> Shutdown {
        self.closing.send_replace(true);
        let closed = self.connections.close(Signals::SHUTDOWN);
        let deadline = self.settings.shutdown_deadline;
        let cut = match tokio::time::timeout(deadline, self.connections.gone()).await {
            Ok(()) => 0,
            Err(_) => self.connections.close(Signals::CUT),
        };
        self.connections.gone().await;
        if let Some(durable) = self.commit.durable().cloned() {
            let now = self.clock.now();
            // It waits for the disk.
            let _ = tokio::task::spawn_blocking(move || durable.close(now)).await;
        }
        Shutdown { closed, cut }
    }

    /// The last handle has gone.
    pub(crate) fn cut(&self) {
        self.closing.send_replace(true);
        self.connections.close(Signals::CUT);
    }

    fn forget(&self, cell: &Arc<Cell>, filters: &[karere_core::topic::TopicFilter]) {
        if let Some(key) = cell.label.key.get() {
            let mut hub = self.hub.write();
            hub.router.remove_session(*key, filters);
            hub.release(*key);
        }
        self.registry.remove(&cell.label.client_id, cell);
    }

    /// A seed.
    pub(crate) fn draw(&self) -> u64 {
        self.seed.wrapping_add(self.drawn.fetch_add(1, Relaxed).wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }
}
