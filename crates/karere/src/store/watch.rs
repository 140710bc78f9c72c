//! Who waits for something to be stored.

use std::task::{Context, Poll, Waker};
use std::time::Instant;

use karere_core::store::StoreSequence;
use parking_lot::{Condvar, Mutex};

/// Up to where all is stored, and who waits for more. It outlives the store.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    state: Mutex<State>,
    moved: Condvar,
}

#[derive(Debug, Default)]
struct State {
    reached: StoreSequence,
    /// The store is closed: whether all was durable then.
    closed: Option<bool>,
    waiting: usize,
    wakers: Vec<Waker>,
}

impl Watch {
    pub(super) fn reach(&self, sequence: StoreSequence) {
        let mut state = self.state.lock();
        state.reached = state.reached.max(sequence);
        self.wake(state);
    }

    pub(super) fn close(&self, is_durable: bool) {
        let mut state = self.state.lock();
        state.closed.get_or_insert(is_durable);
        self.wake(state);
    }

    pub(super) fn reopen(&self) {
        self.state.lock().closed = None;
    }

    fn wake(&self, mut state: parking_lot::MutexGuard<'_, State>) {
        if state.waiting > 0 {
            self.moved.notify_all();
        }
        let wakers = std::mem::take(&mut state.wakers);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    pub(crate) fn is_stored(&self, sequence: StoreSequence) -> bool {
        self.state.lock().of(sequence) == Some(true)
    }

    /// Whether it is stored, once that is known; none when it was not known in time.
    pub(crate) fn wait(&self, sequence: StoreSequence, until: Option<Instant>) -> Option<bool> {
        let mut state = self.state.lock();
        state.waiting += 1;
        while state.of(sequence).is_none() {
            match until {
                None => self.moved.wait(&mut state),
                Some(until) if self.moved.wait_until(&mut state, until).timed_out() => break,
                Some(_) => {}
            }
        }
        state.waiting -= 1;
        state.of(sequence)
    }

    pub(crate) fn poll(&self, sequence: StoreSequence, cx: &Context<'_>) -> Poll<bool> {
        let mut state = self.state.lock();
        match state.of(sequence) {
            Some(stored) => Poll::Ready(stored),
            None => {
                state.wakers.push(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl State {
    fn of(&self, sequence: StoreSequence) -> Option<bool> {
        if sequence <= self.reached { Some(true) } else { self.closed }
    }
}
