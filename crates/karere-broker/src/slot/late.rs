//! What a client's connections leave to be done, and who comes behind it.
//!
//! A connection that is let go may be in the middle of its turn, and its Will comes behind that. What the client
//! brings on its next connection comes behind both, whether or not the session is the same one: a client's messages
//! are routed in its order.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::task::{Context, Poll, Waker};

use karere_core::Text;

use crate::sync::{Arc, Mutex};

/// The clients that something is left to be done for. Its lock is taken under a slot's, and none is taken under it.
#[derive(Clone, Default)]
pub(crate) struct Late(Arc<Mutex<Lines>>);

#[derive(Default)]
struct Lines {
    by_client: HashMap<Text, Line>,
    drawn: u64,
}

/// One client's.
#[derive(Default)]
struct Line {
    /// In their order.
    tickets: Vec<u64>,
    waiting: Vec<Waker>,
}

/// A place in the order in which a client's work is done; dropped when it has been, or never will be.
pub(crate) struct Ticket {
    late: Late,
    client_id: Text,
    number: u64,
}

impl Late {
    /// The next place.
    pub(crate) fn ticket(&self, client_id: &Text) -> Ticket {
        let mut lines = self.0.lock();
        lines.drawn += 1;
        let number = lines.drawn;
        lines.by_client.entry(client_id.clone()).or_default().tickets.push(number);
        drop(lines);
        Ticket { late: self.clone(), client_id: client_id.clone(), number }
    }

    /// A place behind what is left to be done; `None` when nothing is.
    pub(crate) fn behind(&self, client_id: &Text) -> Option<Ticket> {
        let late = self.0.lock().by_client.contains_key(client_id);
        late.then(|| self.ticket(client_id))
    }
}

impl Ticket {
    /// Whether nothing goes before.
    pub(crate) fn is_due(&self) -> bool {
        let lines = self.late.0.lock();
        lines.by_client.get(&self.client_id).is_none_or(|line| line.is_first(self.number))
    }

    /// Waits for what goes before.
    pub(crate) fn poll_due(&self, cx: &Context<'_>) -> Poll<()> {
        let mut lines = self.late.0.lock();
        let Some(line) = lines.by_client.get_mut(&self.client_id) else { return Poll::Ready(()) };
        if line.is_first(self.number) {
            return Poll::Ready(());
        }
        if !line.waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            line.waiting.push(cx.waker().clone());
        }
        Poll::Pending
    }
}

impl Line {
    fn is_first(&self, number: u64) -> bool {
        self.tickets.first() == Some(&number)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let waiting = {
            let mut lines = self.late.0.lock();
            let Entry::Occupied(mut entry) = lines.by_client.entry(self.client_id.clone()) else { return };
            let line = entry.get_mut();
            line.tickets.retain(|number| *number != self.number);
            let waiting = std::mem::take(&mut line.waiting);
            if line.tickets.is_empty() {
                entry.remove();
            }
            waiting
        };
        waiting.into_iter().for_each(Waker::wake);
    }
}
