//! With a store: what is published is kept before `publish()` returns, and goes when the disk has it.
//!
//! The store has a thread of its own, which syncs and never touches Python. It wakes a loop that sleeps; where none runs,
//! whoever writes waits for the disk.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use karere::store::Opened;
use karere::{StoreError, StoreOptions};
use karere_core::client::{Client, Options, Outgoing, Record};
use karere_core::store::StoreSequence;
use pyo3::prelude::*;

use super::convert::rc;
use super::open;
use super::state::{Inner, State};
use crate::modern::errors;

/// How long who writes waits for the disk.
const PATIENCE: Duration = Duration::from_secs(1);

/// Opens a store, and says whether there is a session in it.
pub(super) fn open(py: Python<'_>, store: &StoreOptions, client_id: Vec<u8>) -> PyResult<(Arc<Inner>, bool)> {
    let options = Options { client_id: open::text("client id", client_id)?, store: true, ..open::options() };
    let opened = py.detach(|| Opened::open(store, karere_core::Instant::ZERO, 0));
    let (opened, restored) = opened.map_err(|error| errors::store(py, &error))?;
    let found = restored.client_id.is_some() || !restored.messages.is_empty() || !restored.taken.is_empty();
    let inner = Arc::new(Inner::with(Client::restore(options, restored))?);
    let weak = Arc::downgrade(&inner);
    let started = opened.start(move |_, number| {
        if let Some(inner) = weak.upgrade() {
            inner.stored(number);
        }
    });
    // It is set once, here.
    _ = inner.store.set(started.map_err(|error| errors::store(py, &error))?);
    inner.collect(&mut inner.state());
    Ok((inner, found))
}

/// A loop runs as long as this lives.
pub(super) struct Looping<'a>(&'a Inner);

impl Drop for Looping<'_> {
    fn drop(&mut self) {
        self.0.loops.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Inner {
    pub(super) fn looping(&self) -> Looping<'_> {
        self.loops.fetch_add(1, Ordering::SeqCst);
        Looping(self)
    }

    /// Closes the store, for another client to have it.
    pub(super) fn let_store_go(&self) {
        if let Some(store) = self.store.get() {
            store.close();
        }
    }

    /// The store has all up to this record.
    fn stored(&self, number: StoreSequence) {
        let mut state = self.state();
        state.core.handle_stored(self.now(), number);
        self.collect(&mut state);
        let asleep = state.has_to_write() && std::mem::take(&mut state.sleeping);
        drop(state);
        self.wake_if(asleep);
    }

    /// Gives the store what it is to have. Under the state's lock, so that it comes in its order; the store is never locked
    /// before that.
    pub(super) fn keep(&self, state: &mut State) {
        let Some(store) = self.store.get() else { return };
        while !state.records.is_empty() || state.identity.is_some() {
            let mut turn = store.turn();
            if let Some(client_id) = state.identity.take() {
                turn.identify(&client_id);
            }
            let reached = turn.record(&std::mem::take(&mut state.records));
            drop(turn);
            if let Some(reached) = reached {
                state.core.handle_stored(self.now(), reached);
                self.gather(state);
            }
        }
    }

    /// Keeps what was published just now.
    ///
    /// # Errors
    /// An `MQTTErrorCode`: it cannot be kept, and is taken back.
    pub(super) fn keep_published(&self, state: &mut State, message: &Outgoing<'_>) -> Result<(), i32> {
        let Some(store) = self.store.get() else { return Ok(()) };
        self.gather(state);
        let published = match state.records.last() {
            Some((number, Record::Published { sequence })) => Some((*number, *sequence)),
            _ => None,
        };
        if published.is_some() {
            state.records.pop();
        }
        self.keep(state);
        let Some((number, sequence)) = published else { return Ok(()) };
        let kept = store.turn().publish(number, sequence, message);
        match kept {
            Ok(reached) => {
                if let Some(reached) = reached {
                    state.core.handle_stored(self.now(), reached);
                    self.collect(state);
                }
                Ok(())
            }
            Err(error) => {
                state.core.withdraw(sequence);
                Err(code_of(&error))
            }
        }
    }

    /// Whether the disk is all that a packet waits for, and no loop is woken when it has it.
    pub(super) fn waits_for_store(&self, state: &State) -> bool {
        self.store.get().is_some()
            && self.loops.load(Ordering::SeqCst) == 0
            && !self.is(&self.flags.threaded)
            && state.core.is_connected()
            && state.core.is_waiting_for_store()
    }

    /// Waits for the disk, where that is to be waited for.
    pub(super) fn await_store(&self) {
        let Some(store) = self.store.get() else { return };
        if self.waits_for_store(&self.state()) {
            let number = store.wait(Instant::now() + PATIENCE);
            self.stored(number);
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Its thread may have it too, for a moment.
        self.let_store_go();
    }
}

fn code_of(error: &StoreError) -> i32 {
    match error {
        StoreError::Full { .. } | StoreError::DiskFull => rc::QUEUE_SIZE,
        _ => rc::ERRNO,
    }
}
