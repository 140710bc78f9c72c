//! All connections, so that a shutdown finds them.

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::link::{Link, Signals};
use crate::sync::Arc;

/// All connections there are, also those whose CONNECT has not come.
#[derive(Default)]
pub(crate) struct Connections {
    table: Mutex<Table>,
    empty: Notify,
}

#[derive(Default)]
struct Table {
    links: Vec<Option<Arc<Link>>>,
    free: Vec<u32>,
    count: usize,
    closed: bool,
}

impl Connections {
    /// Adds one, made by `make` from its place in the table; `None` when there are `max` or it is too late.
    pub(crate) fn add(&self, max: usize, make: impl FnOnce(u32) -> Arc<Link>) -> Option<Arc<Link>> {
        let mut table = self.table.lock();
        if table.closed || table.count >= max {
            return None;
        }
        let index = match table.free.pop() {
            Some(index) => index,
            None => {
                table.links.push(None);
                u32::try_from(table.links.len() - 1).ok()?
            }
        };
        let link = make(index);
        table.links[index as usize] = Some(link.clone());
        table.count += 1;
        Some(link)
    }

    /// One has gone, its task too.
    pub(crate) fn remove(&self, index: u32) {
        let mut table = self.table.lock();
        table.links[index as usize] = None;
        table.free.push(index);
        table.count -= 1;
        if table.count == 0 {
            drop(table);
            self.empty.notify_waiters();
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.table.lock().count
    }

    /// Lets nobody in any more, and signals all who are there.
    pub(crate) fn close(&self, signals: Signals) -> usize {
        let mut table = self.table.lock();
        table.closed = true;
        table.links.iter().flatten().for_each(|link| link.signal(signals));
        table.count
    }

    /// Waits until the last one has gone.
    pub(crate) async fn gone(&self) {
        loop {
            let empty = self.empty.notified();
            if self.count() == 0 {
                return;
            }
            empty.await;
        }
    }
}
