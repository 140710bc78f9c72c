//! The sessions that a turn has to do with, each found once.

use crate::bench::Pool;
use crate::broker::Shared;
use crate::hub::SessionKey;
use crate::slot::Cell;
use crate::sync::Arc;
use crate::write::write_through;

/// Sessions by their keys, in the order in which they came up.
#[derive(Default)]
pub(crate) struct Table {
    entries: Vec<Entry>,
    /// Where in `entries` the session of a key's index may be. Never cleared: what it says is believed only
    /// if that entry has the same key.
    hints: Vec<u32>,
}

struct Entry {
    key: SessionKey,
    cell: Arc<Cell>,
    /// It was given something since it was last written to.
    filled: std::cell::Cell<bool>,
    /// It is to be told when what it was given is durable.
    untold: std::cell::Cell<bool>,
}

impl Table {
    /// The place of `key`'s session in this table, which `find` finds when it is not in there yet.
    pub(crate) fn place(&mut self, key: SessionKey, find: impl FnOnce() -> Option<Arc<Cell>>) -> Option<u32> {
        let index = key.index as usize;
        if let Some(hint) = self.hints.get(index)
            && self.entries.get(*hint as usize).is_some_and(|entry| entry.key == key)
        {
            return Some(*hint);
        }
        let cell = find()?;
        let place = u32::try_from(self.entries.len()).ok()?;
        self.entries.push(Entry { key, cell, filled: false.into(), untold: false.into() });
        if self.hints.len() <= index {
            self.hints.resize(index + 1, u32::MAX);
        }
        self.hints[index] = place;
        Some(place)
    }

    /// The session at a place that [`place`](Self::place) said.
    pub(crate) fn cell(&self, place: u32) -> &Arc<Cell> {
        &self.entries[place as usize].cell
    }

    /// Whether the session at a place is stored.
    pub(crate) fn is_stored(&self, place: u32) -> bool {
        self.entries[place as usize].key.is_stored()
    }

    /// It is to be told when what it was given is durable.
    pub(crate) fn note(&self, place: u32) {
        self.entries[place as usize].untold.set(true);
    }

    /// It was given something to write.
    pub(crate) fn fill(&self, place: u32) {
        self.entries[place as usize].filled.set(true);
    }

    /// Has all that are to be told when something is durable wait for that.
    pub(crate) fn tell_later(&self, broker: &Shared) {
        for entry in self.entries.iter().filter(|entry| entry.untold.take()) {
            broker.tell_later(&entry.cell, &mut entry.cell.lock());
        }
    }

    /// Writes to all that were given something, as far as it goes without waiting.
    pub(crate) fn write(&self, broker: &Shared, pool: &mut Pool) {
        for entry in self.entries.iter().filter(|entry| entry.filled.take()) {
            write_through(broker, pool, &entry.cell);
        }
    }

    /// Lets go of all sessions.
    pub(crate) fn clear(&mut self) {
        self.entries.clear();
    }
}
