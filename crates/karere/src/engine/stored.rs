//! With a store: what is published is kept before it is told, and goes when the disk has it.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, Instant};

use karere_core::client::{Client, Record, Restored};
use karere_core::store::StoreSequence;
use karere_store::Disk;
use parking_lot::Mutex;

use super::{Engine, Inner, State};
use crate::PublishError;
use crate::delivery::Delivery;
use crate::options::Options;
use crate::outgoing::Publish;
use crate::store::{Opened, SessionStore, StoreError, StoreStatus, Turn};

/// How long whoever drives no loop waits for the disk before a write.
const PATIENCE: Duration = Duration::from_secs(1);

/// A message that was published, as it is to be stored.
struct Published {
    number: StoreSequence,
    sequence: u64,
    /// What is to be stored before it.
    before: Vec<(StoreSequence, Record)>,
}

/// Making one.
impl Engine {
    pub(super) fn plain(options: &Options, origin: Instant, store_error: Option<StoreError>) -> Self {
        let core = Client::new(karere_core::client::Options { store: false, ..options.for_core() });
        let state = Mutex::new(State::new(core, options.core.seed));
        Self { inner: Arc::new(Inner { state, origin }), store: None, store_error }
    }

    /// With a store that was opened, and what it has of the session.
    pub(crate) fn with_store<D: Disk>(
        options: &Options,
        origin: Instant,
        opened: Opened<D>,
        restored: Restored,
    ) -> Self {
        let core = karere_core::client::Options { store: true, ..options.for_core() };
        let state = Mutex::new(State::new(Client::restore(core, restored), options.core.seed));
        let inner = Arc::new(Inner { state, origin });
        let theirs = Arc::clone(&inner);
        let started = opened.start(move |store, number| {
            let ((), to_store) = theirs.update(|state, now| state.core.handle_stored(now, number));
            if to_store {
                theirs.store_records(store);
            }
        });
        match started {
            Err(error) => Self::plain(options, origin, Some(error)),
            Ok(store) => {
                let engine = Self { inner, store: Some(store), store_error: None };
                // What a session of another identifier leaves to be stored.
                engine.update(|_, _| {});
                engine
            }
        }
    }
}

impl Engine {
    /// Why there is no store, where one was asked for.
    pub(crate) fn check_store(&self) -> Result<(), StoreError> {
        self.store_error.clone().map_or(Ok(()), Err)
    }

    /// Lets the store go, for another client to have it.
    pub(crate) fn close_store(&self) {
        self.store.iter().for_each(|store| store.close());
    }

    /// Takes it again.
    pub(crate) fn reopen_store(&self) -> Result<(), StoreError> {
        self.store.as_ref().map_or(Ok(()), |store| store.reopen())
    }

    pub(crate) fn has_store(&self) -> bool {
        self.store.is_some()
    }

    pub(crate) fn store_status(&self) -> Option<StoreStatus> {
        self.store.as_ref().map(|store| store.status())
    }

    /// Waits until what is ready to go but for the disk can go: for whoever has no loop that would be woken then.
    pub(crate) fn await_store(&self) {
        let Some(store) = &self.store else { return };
        let is_waiting = |state: &mut State| state.core.is_connected() && state.core.is_waiting_for_store();
        if self.look(is_waiting) {
            let number = store.wait(Instant::now() + PATIENCE);
            self.update(|state, now| state.core.handle_stored(now, number));
        }
    }

    /// Publishes at QoS > 0. Returns when the message is with the operating system.
    pub(super) fn publish_stored<E>(
        &self,
        publish: &Publish<'_>,
        admit: impl FnOnce(&mut State) -> Result<(), E>,
    ) -> Result<Result<Delivery, PublishError>, E> {
        let Some(store) = &self.store else {
            return Ok(self.check_store().map_err(PublishError::Store).map(|()| Delivery::DONE));
        };
        // From its number until it is written it is ours: records are written in their order.
        let mut turn = store.turn();
        let (published, _) = self.inner.update(|state, now| {
            admit(state)?;
            Ok(state.publish(now, publish).map(|delivery| (delivery, state.take_published())))
        });
        let result = match published? {
            Err(error) => Err(error),
            Ok((delivery, Some(published))) => self.keep(&mut turn, publish, delivery, published),
            Ok((delivery, None)) => Ok(delivery),
        };
        drop(turn);
        if self.look(|state| state.has_to_store()) {
            self.store_records();
        }
        Ok(result)
    }

    /// Writes what was published, or takes it back.
    fn keep(
        &self,
        turn: &mut Turn<'_>,
        publish: &Publish<'_>,
        delivery: Delivery,
        Published { number, sequence, before }: Published,
    ) -> Result<Delivery, PublishError> {
        let reached = turn.record(&before);
        let kept = turn.publish(number, sequence, &publish.outgoing());
        if let Some(reached) = kept.clone().unwrap_or_default().or(reached) {
            self.inner.update(|state, now| state.core.handle_stored(now, reached));
        }
        match kept {
            Ok(_) => {
                let watch = self.store.as_ref().map(|store| Arc::clone(store.watch()));
                Ok(match watch {
                    Some(watch) => delivery.stored_by(watch, number),
                    None => delivery,
                })
            }
            Err(error) => {
                self.inner.update(|state, _| {
                    state.core.withdraw(sequence);
                    state.counters.messages_out -= 1;
                    delivery.packet_id().and_then(|packet_id| state.waiters.remove(&packet_id));
                });
                Err(PublishError::Store(error))
            }
        }
    }

    /// Gives the store what is to be stored.
    pub(super) fn store_records(&self) {
        if let Some(store) = &self.store {
            self.inner.store_records(store);
        }
    }
}

impl Inner {
    fn store_records(&self, store: &SessionStore) {
        let mut turn = store.turn();
        let mut batch = Vec::new();
        loop {
            let mut state = self.state.lock();
            std::mem::swap(&mut state.records, &mut batch);
            let identity = state.identity.take();
            drop(state);
            if let Some(client_id) = identity {
                turn.identify(&client_id);
            }
            let reached = turn.record(&batch);
            batch.clear();
            let Some(reached) = reached else { break };
            self.update(|state, now| state.core.handle_stored(now, reached));
        }
        // The memory serves the next ones.
        let mut state = self.state.lock();
        if state.records.is_empty() {
            state.records = batch;
        }
    }
}

impl State {
    /// What was published just now, as it is to be stored.
    fn take_published(&mut self) -> Option<Published> {
        self.collect();
        let (number, Record::Published { sequence }) = *self.records.last()? else { return None };
        self.records.pop();
        let before = std::mem::take(&mut self.records);
        Some(Published { number, sequence, before })
    }

    pub(super) fn has_to_store(&self) -> bool {
        !self.records.is_empty() || self.identity.is_some()
    }
}
