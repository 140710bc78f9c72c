//! What a turn's packets want done, in their order.

mod deliver;
mod letter;
mod run;
mod subscribe;
mod table;

use std::collections::VecDeque;

use bytes::BytesMut;
use karere_core::broker::{AckToken, Event};
use karere_core::codec::{Auth, Disconnect, Message, QoS, ReasonCode, Subscribe};
use karere_core::{Error, Instant};
use karere_store::Key;

use self::run::Run;
use self::table::Table;
use crate::bench::Pool;
use crate::broker::Shared;
use crate::connection::Link;
use crate::counters::add;
use crate::slot::{Cell, Seat, State};
use crate::sync::{Arc, MutexGuard};

pub(crate) use subscribe::forget as forget_subscriptions;

/// How many deliveries one turn makes. A larger fan-out goes on in the next.
pub(crate) const DELIVERIES_MAX: usize = 10_000;

/// Whose turn it is.
pub(crate) struct Source<'a> {
    pub(crate) broker: &'a Arc<Shared>,
    pub(crate) cell: Option<&'a Arc<Cell>>,
    /// Its connection; `None` for a Will and for the broker's own messages.
    pub(crate) link: Option<&'a Arc<Link>>,
    /// It can be told that a message was refused: version 5.
    pub(crate) tells: bool,
}

impl Source<'_> {
    /// Its slot, while it has it.
    fn lock(&self) -> Option<MutexGuard<'_, State>> {
        self.cell?.lock_for(self.link?)
    }
}

/// One thing to do.
pub(crate) enum Task {
    /// As it came, with nothing against it.
    Event(Event),
    /// A message that was refused, or dropped with a friendly face.
    Answer(Option<AckToken>, ReasonCode),
    /// A SUBSCRIBE with what the hook says about each filter.
    Subscribe(Subscribe, Vec<Result<QoS, ReasonCode>>),
    /// What the hook says to a client that authenticates again.
    Authenticated(Auth),
}

/// What a turn's packets want done. Reused: its lists keep their memory.
#[derive(Default)]
pub(crate) struct Work {
    /// Messages that come one after the other, with nothing in between.
    run: Run,
    /// What comes behind them.
    tasks: VecDeque<Task>,
    /// Lent to the slot, which has none of its own.
    events: VecDeque<Event>,
    /// Which of the slot's connections all this is from.
    epoch: u32,
    table: Table,
    outcome: Outcome,
}

/// What concerns the connection itself.
#[derive(Default)]
pub(crate) struct Outcome {
    /// The client has said goodbye.
    pub(crate) goodbye: Option<Disconnect>,
    /// It authenticates again.
    pub(crate) auth: Option<Auth>,
    /// It did so in vain: it is to go.
    pub(crate) refused_client: bool,
    /// A message of its cannot be stored, and it cannot be told: it is to go.
    pub(crate) unstored: bool,
    /// Readers that this publisher must wait for.
    pub(crate) pressed: Vec<Arc<Cell>>,
    /// Messages that were not delivered, and that were refused.
    pub(crate) dropped: u64,
    pub(crate) refused: u64,
    pub(crate) delivered: u64,
}

impl Outcome {
    fn count(&mut self, broker: &Shared) {
        let count = &broker.count;
        add(&count.publish_dropped, std::mem::take(&mut self.dropped));
        add(&count.publish_refused, std::mem::take(&mut self.refused));
        add(&count.publish_sent, self.delivered);
        add(&count.messages_sent, std::mem::take(&mut self.delivered));
    }
}

impl Work {
    /// Has `seat` take in `input`, and notes what is to be done for it. What came before an offence counts.
    ///
    /// # Errors
    /// When the connection must end.
    pub(crate) fn take_input(
        &mut self,
        seat: &mut Seat,
        now: Instant,
        input: &mut BytesMut,
    ) -> Result<(), Error> {
        let slot = &mut seat.slot;
        slot.swap_events(&mut self.events);
        let result = slot.handle_input(now, input);
        slot.swap_events(&mut self.events);
        self.epoch = slot.epoch();
        let mut events = std::mem::take(&mut self.events);
        for event in events.drain(..) {
            match event {
                Event::Record(sequence, record) => seat.record(sequence, &record),
                other => self.push(other),
            }
        }
        self.events = events;
        result
    }

    /// The next message, or whatever else has come.
    fn push(&mut self, event: Event) {
        match event {
            Event::Publish { message, token, .. } if self.tasks.is_empty() => self.run.push(message, token),
            other => self.tasks.push_back(Task::Event(other)),
        }
    }

    /// What has been asked about.
    pub(crate) fn push_task(&mut self, task: Task) {
        match task {
            Task::Event(event) => self.push(event),
            other => self.tasks.push_back(other),
        }
    }

    /// A message of the broker's own.
    pub(crate) fn publish(&mut self, message: Message) {
        self.run.push(message, None);
    }

    /// A Will, and what is to be removed from the store when it has been sent.
    pub(crate) fn publish_will(&mut self, message: Message, key: Option<Key>) {
        self.run.push_will(message, key);
    }

    /// Work for the same connection, without anything to do yet.
    pub(crate) fn successor(&self) -> Self {
        Self { epoch: self.epoch, ..Self::default() }
    }

    /// Takes out what has to be asked about before anything is done.
    pub(crate) fn take_events(&mut self) -> Vec<Event> {
        let publishes = self.run.take_events();
        let others = self.tasks.drain(..).filter_map(|task| match task {
            Task::Event(event) => Some(event),
            _ => None,
        });
        publishes.chain(others).collect()
    }

    /// Does what there is to do, up to `budget` deliveries, then writes to all who were given something.
    /// False: there is more to do, in the next turn.
    pub(crate) fn advance(&mut self, source: &Source<'_>, pool: &mut Pool, budget: &mut usize) -> bool {
        let done = self.advance_without_writing(source, pool, budget);
        // Before anybody can have read what is counted.
        self.outcome.count(source.broker);
        self.table.tell_later(source.broker);
        self.table.write(source.broker, pool);
        if done {
            self.table.clear();
        }
        done
    }

    /// Does all of it, without a pause: for a Will and the like.
    pub(crate) fn finish(&mut self, source: &Source<'_>, pool: &mut Pool) {
        self.advance(source, pool, &mut usize::MAX.clone());
        self.outcome = Outcome::default();
    }

    /// What has come of it for the connection.
    pub(crate) fn take_outcome(&mut self) -> Outcome {
        std::mem::take(&mut self.outcome)
    }

    fn advance_without_writing(&mut self, source: &Source<'_>, pool: &mut Pool, budget: &mut usize) -> bool {
        loop {
            if !self.run.advance(source, &mut self.table, pool, &mut self.outcome, budget) {
                return false;
            }
            let Some(task) = self.tasks.pop_front() else { return true };
            self.perform(source, task);
        }
    }

    fn perform(&mut self, source: &Source<'_>, task: Task) {
        match task {
            Task::Event(Event::Publish { message, token, .. }) => {
                self.run.push(message, token);
                while let Some(Task::Event(Event::Publish { .. })) = self.tasks.front() {
                    if let Some(Task::Event(Event::Publish { message, token, .. })) = self.tasks.pop_front() {
                        self.run.push(message, token);
                    }
                }
            }
            Task::Answer(token, reason) => {
                self.outcome.refused += 1;
                let answer = token.map(|token| (token, reason)).into_iter();
                source.broker.commit.acknowledge(source, false, answer);
            }
            Task::Event(Event::Subscribe(packet)) => {
                let granted: Vec<_> = packet.subscriptions.iter().map(|one| Ok(one.options.qos)).collect();
                subscribe::subscribe(source, self.epoch, &packet, &granted, &mut self.run.scratch);
            }
            Task::Subscribe(packet, granted) => {
                subscribe::subscribe(source, self.epoch, &packet, &granted, &mut self.run.scratch);
            }
            Task::Event(Event::Unsubscribe(packet)) => subscribe::unsubscribe(source, self.epoch, &packet),
            Task::Authenticated(auth) => {
                let now = source.broker.clock.now();
                source.lock().iter_mut().for_each(|state| state.place.slot.handle_authenticated(now, &auth));
                self.outcome.refused_client |= auth.reason.is_error();
            }
            Task::Event(Event::Disconnected(disconnect)) => self.outcome.goodbye = Some(disconnect),
            Task::Event(Event::Auth(auth)) => self.outcome.auth = Some(auth),
            // A Will or an end comes from the clock or from a detached slot, see `Shared::apply`.
            Task::Event(_) => {}
        }
    }
}
