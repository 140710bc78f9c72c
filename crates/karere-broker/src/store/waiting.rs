//! Who waits for the disk, in the order of what they wait for.

use std::collections::VecDeque;

use karere_core::broker::{AckToken, Retained, Scratch};
use karere_core::codec::{PacketId, QoS, ReasonCode, Subscribe};
use karere_core::store::StoreSequence;
use karere_core::topic::TopicFilter;
use karere_store::{Outcome, Store, Ticket};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::Durable;
use super::records::{MessageRef, Terms};
use crate::bench;
use crate::broker::Shared;
use crate::connection::{Link, Signals};
use crate::slot::{Cell, Effects};
use crate::sync::Arc;
use crate::work::forget_subscriptions;
use crate::write::write_through;

/// After how many others get their turn.
const TURN: usize = 64;

/// What is done when all that was written down before is durable.
pub(crate) enum Waiter {
    /// Messages are answered.
    Answers { cell: Arc<Cell>, link: Option<Arc<Link>>, answers: Vec<(AckToken, ReasonCode)> },
    /// A slot is told what of it is stored.
    Stored { cell: Arc<Cell>, untold: Untold },
    /// A SUBSCRIBE is answered.
    Subscribed(Box<SubscribedWaiter>),
    /// An UNSUBSCRIBE is answered.
    Unsubscribed(Box<UnsubscribedWaiter>),
    /// CONNACK may leave.
    Connected { cell: Arc<Cell>, link: Arc<Link> },
}

/// What a slot has not been told to be stored.
#[derive(Debug, Default)]
pub(crate) struct Untold {
    /// Messages at QoS 2, by their sequence numbers.
    pub(crate) kept: Vec<u64>,
    /// Messages at QoS 2 that are held back, by their numbers.
    pub(crate) held: Vec<u64>,
    /// Records up to this one.
    pub(crate) record: Option<StoreSequence>,
}

/// A SUBSCRIBE, and what is to be said to it.
pub(crate) struct SubscribedWaiter {
    pub(crate) cell: Arc<Cell>,
    pub(crate) link: Option<Arc<Link>>,
    pub(crate) epoch: u32,
    pub(crate) packet: Subscribe,
    pub(crate) reasons: Vec<ReasonCode>,
    pub(crate) made: Vec<TopicFilter>,
    pub(crate) retained: Vec<(Retained, QoS)>,
}

/// An UNSUBSCRIBE, and what is to be said to it.
pub(crate) struct UnsubscribedWaiter {
    pub(crate) cell: Arc<Cell>,
    pub(crate) link: Option<Arc<Link>>,
    pub(crate) epoch: u32,
    pub(crate) packet_id: PacketId,
    pub(crate) ended: Vec<TopicFilter>,
    pub(crate) reasons: Vec<ReasonCode>,
}

/// All who wait.
#[derive(Default)]
pub(crate) struct Waiting {
    line: Mutex<Line>,
    due: Notify,
}

#[derive(Default)]
struct Line {
    queue: VecDeque<Entry>,
    durable: Ticket,
    doubted: Ticket,
    closed: bool,
}

struct Entry {
    ticket: Ticket,
    /// It has been told that what it waits for is in doubt, and waits until that has been written anew.
    told: bool,
    waiter: Waiter,
}

/// What is to be done next.
enum Step {
    Go(Vec<Waiter>),
    Doubt(Vec<(Arc<Cell>, Arc<Link>)>),
    Nothing,
}

/// Does what waiters wait for, until the broker shuts down.
pub(crate) async fn run(broker: Arc<Shared>, durable: Arc<Durable>) {
    let waiting = Closing(durable.waiting().clone());
    loop {
        match waiting.0.next() {
            Step::Go(waiters) => {
                waiters.into_iter().for_each(|waiter| waiter.go(&broker));
                tokio::task::yield_now().await;
            }
            Step::Doubt(connections) => {
                connections.iter().for_each(|(cell, link)| close_in_doubt(&broker, cell, link));
            }
            Step::Nothing => tokio::select! {
                () = waiting.0.due.notified() => {}
                () = broker.closing() => return,
            },
        }
    }
}

/// Nobody is kept by who waits once nobody serves them any more.
struct Closing(Arc<Waiting>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Waiting {
    /// The store has something to say.
    pub(super) fn hear(&self, outcome: Outcome) {
        let mut line = self.line.lock();
        match outcome {
            Outcome::Durable(ticket) => line.durable = ticket,
            Outcome::InDoubt(ticket) => line.doubted = ticket,
        }
        drop(line);
        self.due.notify_one();
    }

    /// Has `waiter` wait for all that was appended to `store` until now.
    pub(super) fn push(&self, store: Option<&Store>, waiter: Waiter) {
        let mut line = self.line.lock();
        if line.closed {
            return;
        }
        // Under the lock, so that the tickets stand in their order.
        let ticket = store.map_or_else(Ticket::default, Store::commit);
        let heard = ticket <= line.durable || ticket <= line.doubted;
        line.queue.push_back(Entry { ticket, told: false, waiter });
        drop(line);
        if heard {
            self.due.notify_one();
        }
    }

    pub(super) fn close(&self) {
        let mut line = self.line.lock();
        line.closed = true;
        let queue = std::mem::take(&mut line.queue);
        drop(line);
        drop(queue);
    }

    fn next(&self) -> Step {
        let line = &mut *self.line.lock();
        let due = line.queue.partition_point(|entry| entry.ticket <= line.durable);
        if due > 0 {
            return Step::Go(line.queue.drain(..due.min(TURN)).map(|entry| entry.waiter).collect());
        }
        let doubted = line.queue.iter_mut().take_while(|entry| entry.ticket <= line.doubted);
        let untold =
            doubted.filter_map(|entry| (!std::mem::replace(&mut entry.told, true)).then_some(&entry.waiter));
        let connections: Vec<_> = untold.filter_map(Waiter::connection).collect();
        if connections.is_empty() { Step::Nothing } else { Step::Doubt(connections) }
    }
}

impl Waiter {
    /// It is durable.
    pub(crate) fn go(self, broker: &Arc<Shared>) {
        match self {
            Self::Answers { cell, link, answers } => {
                let now = broker.clock.now();
                link.iter().for_each(|link| link.answered(answers.len()));
                let mut state = cell.lock();
                answers
                    .into_iter()
                    .for_each(|(token, reason)| state.place.slot.handle_routed(now, token, reason));
                drop(state);
                write(broker, &cell);
            }
            Self::Stored { cell, untold } => tell(broker, &cell, untold),
            Self::Subscribed(waiter) => waiter.go(broker),
            Self::Unsubscribed(waiter) => {
                let UnsubscribedWaiter { cell, epoch, packet_id, ended, reasons, .. } = *waiter;
                cell.lock().place.slot.handle_unsubscribed(epoch, packet_id, &ended, &reasons);
                write(broker, &cell);
            }
            Self::Connected { cell, link } => {
                if let Some(mut state) = cell.lock_for(&link) {
                    state.place.set_quiet(false);
                }
                write(broker, &cell);
            }
        }
    }

    /// The connection that is not to hear of what is in doubt.
    fn connection(&self) -> Option<(Arc<Cell>, Arc<Link>)> {
        let (cell, link) = match self {
            Self::Answers { cell, link, .. } => (cell, link.clone()?),
            Self::Subscribed(waiter) => (&waiter.cell, waiter.link.clone()?),
            Self::Unsubscribed(waiter) => (&waiter.cell, waiter.link.clone()?),
            Self::Connected { cell, link } => (cell, link.clone()),
            // What it waits for is a change of what is there: it can wait until the disk works again.
            Self::Stored { .. } => return None,
        };
        Some((cell.clone(), link))
    }
}

impl SubscribedWaiter {
    fn go(self, broker: &Arc<Shared>) {
        let Self { cell, epoch, packet, reasons, made, mut retained, .. } = self;
        let replaced = replaced(broker, &retained);
        let mut state = cell.lock();
        if state.place.is_over() {
            drop(state);
            return forget_subscriptions(broker, &cell, &made);
        }
        if state.place.slot.epoch() != epoch || !state.place.slot.is_attached() {
            // Nothing was held back for them since their connection has gone: what has replaced one of them has been
            // delivered before it.
            let mut replaced = replaced.into_iter();
            retained.retain(|_| replaced.next() != Some(true));
        }
        let now = broker.clock.now();
        let mut scratch = Scratch::default();
        let messages = retained.iter().map(|(retained, qos)| (retained, *qos));
        let kept = state.place.slot.handle_subscribed(now, epoch, &packet, &reasons, messages, &mut scratch);
        for kept in kept {
            let Some((retained, _)) = retained.get(kept.index) else { continue };
            let message = MessageRef {
                message: &retained.message,
                expires_at: retained.expires_at,
                publisher: retained.publisher.as_ref(),
            };
            let subscription_ids = packet.subscription_id.into();
            let terms = Terms { qos: kept.qos, retain: true, subscription_ids, share: 0 };
            state.place.keep(kept.sequence, &terms, 0, &message);
        }
        state.place.book();
        broker.tell_later(&cell, &mut state);
        drop(state);
        write(broker, &cell);
    }
}

/// Which of these are not what is retained any more.
fn replaced(broker: &Shared, retained: &[(Retained, QoS)]) -> Vec<bool> {
    if retained.is_empty() {
        return Vec::new();
    }
    let hub = broker.hub.read();
    let last = |there: &Retained| hub.router.retained(&there.message.topic).map(|last| last.sequence);
    retained.iter().map(|(there, _)| last(there) != Some(there.sequence)).collect()
}

/// Tells a slot what of it is stored, and does what comes of it.
fn tell(broker: &Arc<Shared>, cell: &Arc<Cell>, untold: Untold) {
    let now = broker.clock.now();
    let mut effects = Effects::default();
    {
        let mut state = cell.lock();
        let Untold { kept, held, record } = untold;
        let slot = &mut state.place.slot;
        record.into_iter().for_each(|record| slot.handle_stored(now, record));
        if !held.is_empty() {
            slot.handle_held_stored(now, held);
        }
        if !kept.is_empty() {
            slot.handle_kept_stored(now, kept);
        }
        state.settle(now, &mut effects);
        broker.tell_later(cell, &mut state);
    }
    broker.apply(cell, effects);
    write(broker, cell);
}

/// Closes a connection without an answer to what is in doubt.
fn close_in_doubt(broker: &Arc<Shared>, cell: &Arc<Cell>, link: &Arc<Link>) {
    if let Some(mut state) = cell.lock_for(link) {
        state.place.slot.disconnect(broker.clock.now(), ReasonCode::ImplementationSpecificError);
    }
    link.signal(Signals::CLOSE);
}

fn write(broker: &Arc<Shared>, cell: &Cell) {
    bench::with(|bench| write_through(broker, &mut bench.pool, cell));
}
