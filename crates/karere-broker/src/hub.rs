//! What all connections share: the router, and which session a key of it means.

use karere_core::Instant;
use karere_core::broker::{Retained, Router, RouterLimits};
use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::slot::Cell;
use crate::sync::Arc;

/// A session's short name in the router: a place in a table, and how often that place was given away before,
/// so that a name that is out of date never means somebody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SessionKey {
    pub(crate) index: u32,
    /// The lowest bit says that the session is stored.
    generation: u32,
}

const STORED: u32 = 1;

impl SessionKey {
    /// No session: who publishes without ever having subscribed.
    pub(crate) const NOBODY: Self = Self { index: u32::MAX, generation: !STORED };

    /// Whether the session is stored.
    pub(crate) fn is_stored(self) -> bool {
        self.generation & STORED != 0
    }
}

/// The router and the table of sessions behind one lock, which is never held together with a slot's.
pub(crate) struct Hub(RwLock<Inner>);

pub(crate) struct Inner {
    pub(crate) router: Router<SessionKey>,
    places: Vec<Place>,
    free: Vec<u32>,
}

struct Place {
    generation: u32,
    cell: Option<Arc<Cell>>,
}

impl Hub {
    pub(crate) fn new(seed: u64, limits: RouterLimits) -> Self {
        Self(RwLock::new(Inner { router: Router::new(seed, limits), places: Vec::new(), free: Vec::new() }))
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.0.read()
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.0.write()
    }

    /// Removes retained messages that have expired, a bounded number under each lock, and hands each to `expired`.
    pub(crate) fn expire_retained(&self, now: Instant, mut expired: impl FnMut(Retained)) {
        let due = |inner: &Inner| inner.router.next_expiry().is_some_and(|at| at <= now);
        while due(&self.read()) {
            self.write().router.expire_retained(now, &mut expired);
        }
    }
}

impl Inner {
    /// The session that `key` means, if it still is.
    pub(crate) fn cell(&self, key: SessionKey) -> Option<&Arc<Cell>> {
        let place = self.places.get(key.index as usize)?;
        if place.generation == key.generation & !STORED { place.cell.as_ref() } else { None }
    }

    /// The key of `cell`; it gets one when it has none. Only sessions that subscribe have one. `stored`: the session is,
    /// which it is to its end.
    pub(crate) fn key_of(&mut self, cell: &Arc<Cell>, stored: bool) -> SessionKey {
        *cell.label.key.get_or_init(|| self.insert(cell.clone(), u32::from(stored)))
    }

    /// The session behind `key` is over.
    pub(crate) fn release(&mut self, key: SessionKey) {
        if let Some(place) = self.places.get_mut(key.index as usize)
            && place.generation == key.generation & !STORED
            && place.cell.take().is_some()
        {
            place.generation = place.generation.wrapping_add(STORED << 1);
            self.free.push(key.index);
        }
    }

    fn insert(&mut self, cell: Arc<Cell>, stored: u32) -> SessionKey {
        if let Some(index) = self.free.pop()
            && let Some(place) = self.places.get_mut(index as usize)
        {
            place.cell = Some(cell);
            return SessionKey { index, generation: place.generation | stored };
        }
        let index = u32::try_from(self.places.len()).unwrap_or(u32::MAX);
        self.places.push(Place { generation: 0, cell: Some(cell) });
        SessionKey { index, generation: stored }
    }
}
