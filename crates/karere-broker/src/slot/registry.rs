//! Client Identifier to session slot.

use std::hash::BuildHasher;

use hashbrown::HashTable;
use karere_core::Text;

use super::cell::{Line, Opened, Place, SlotCell};
use super::late::Late;
use crate::sync::{Arc, Mutex};

/// Every session there is, by its Client Identifier.
///
/// Its lock is never held together with a slot's: what happens between the two is found out by asking the
/// slot whether its session is over, and trying again.
pub(crate) struct Registry<P: Place, L: ?Sized, H> {
    /// No map: the key is in the cell already.
    cells: Mutex<HashTable<Arc<SlotCell<P, L>>>>,
    hasher: H,
    late: Late,
}

/// A connection that wants its client's session.
pub(crate) struct Arrival<'a, P: Place, L: ?Sized> {
    /// The Client Identifier.
    pub(crate) id: &'a Text,
    pub(crate) now: P::Instant,
    pub(crate) accepted: P::Accepted,
    /// Clean Start.
    pub(crate) clean: bool,
    pub(crate) line: &'a Arc<L>,
}

impl<P, L, H> Registry<P, L, H>
where
    P: Place,
    L: Line<Bytes = P::Bytes> + ?Sized,
    H: BuildHasher,
{
    pub(crate) fn new(hasher: H) -> Self {
        Self { cells: Mutex::new(HashTable::new()), hasher, late: Late::default() }
    }

    /// Attaches the connection to its client's slot; [MQTT-3.1.4-3] to [MQTT-3.1.4-5].
    ///
    /// A session that is there is resumed, or with `clean` ended; a connection that is there is let go. What
    /// each slot wants done is handed to `apply`, outside of all locks.
    pub(crate) fn open(
        &self,
        arrival: Arrival<'_, P, L>,
        make: impl Fn() -> P,
        mut apply: impl FnMut(&Arc<SlotCell<P, L>>, P::Effects),
    ) -> Arc<SlotCell<P, L>> {
        let Arrival { id, now, mut accepted, clean, line } = arrival;
        loop {
            let cell = self.get_or_insert(id, &make);
            let mut effects = P::Effects::default();
            let opened = cell.open(now, accepted, clean, line, &self.late, &mut effects);
            apply(&cell, effects);
            match opened {
                Opened::Attached => return cell,
                Opened::Ended(back) => {
                    accepted = back;
                    self.remove(id, &cell);
                }
            }
        }
    }

    /// Forgets `cell`, unless another one has taken its place.
    pub(crate) fn remove(&self, id: &Text, cell: &Arc<SlotCell<P, L>>) {
        let mut cells = self.cells.lock();
        if let Ok(there) = cells.find_entry(self.hash(id), |there| Arc::ptr_eq(there, cell)) {
            there.remove();
        }
    }

    /// The slot of `id`.
    pub(crate) fn get(&self, id: &Text) -> Option<Arc<SlotCell<P, L>>> {
        self.cells.lock().find(self.hash(id), |cell| is_of(cell, id)).cloned()
    }

    /// What connections of their clients have left to be done.
    pub(crate) fn late(&self) -> &Late {
        &self.late
    }

    /// The slot of `id`; there is one afterwards.
    pub(crate) fn insert(&self, id: &Text, make: impl Fn() -> P) -> Arc<SlotCell<P, L>> {
        self.get_or_insert(id, &make)
    }

    /// How many sessions there are.
    pub(crate) fn len(&self) -> usize {
        self.cells.lock().len()
    }

    fn get_or_insert(&self, id: &Text, make: &impl Fn() -> P) -> Arc<SlotCell<P, L>> {
        let hash = self.hash(id);
        let mut cells = self.cells.lock();
        if let Some(cell) = cells.find(hash, |cell| is_of(cell, id)) {
            return cell.clone();
        }
        let cell = Arc::new(SlotCell::new(make()));
        cells.insert_unique(hash, cell.clone(), |cell| self.hash(P::client_id(&cell.label)));
        cell
    }

    fn hash(&self, id: &Text) -> u64 {
        self.hasher.hash_one(id.as_str())
    }
}

fn is_of<P: Place, L: ?Sized>(cell: &Arc<SlotCell<P, L>>, id: &Text) -> bool {
    P::client_id(&cell.label) == id
}
