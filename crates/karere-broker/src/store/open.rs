//! The start: a disk is opened, and what it holds is put back.

use std::io;
use std::path::PathBuf;

use karere_core::Text;
use karere_core::broker::{NewSubscription, ShareKey, Slot};
use karere_store::{Directory, Disk, Log, OpenError, Options as LogOptions, Outcome, Report, Store};

use super::durable::{Durable, wall_millis};
use super::recover::{Recovered, RecoveredSession};
use super::waiting::Waiting;
use crate::broker::Shared;
use crate::slot::{Cell, Seat};
use crate::sync::Arc;
use crate::work::{Source, Work};

/// Where a broker keeps what outlives it, and what that outlives; for [`Builder::store`](crate::Builder::store).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreOptions {
    /// A folder for the broker alone; it is made if there is none.
    pub path: PathBuf,
    /// What an acknowledgement promises.
    pub durability: Durability,
}

impl StoreOptions {
    /// In this folder, with [`Durability::Fsync`].
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), durability: Durability::default() }
    }
}

/// What something that was acknowledged outlives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// The loss of power: it has been synced to the disk.
    #[default]
    Fsync,
    /// The end of the process, however that comes: it is with the operating system.
    Os,
    /// An orderly end of the broker: acknowledgements wait for nothing.
    None,
}

/// A disk that is to be opened.
pub(crate) struct Opening {
    open: Box<dyn FnOnce(u64) -> Result<Opened, OpenError> + Send>,
    waits: bool,
}

/// What was found, and how the store is started.
struct Opened {
    recovered: Recovered,
    report: Report,
    start: Box<dyn FnOnce(Notify) -> io::Result<Store> + Send>,
}

type Notify = Box<dyn FnMut(Outcome) + Send>;

/// A store that is open, and what is to be put back.
pub(crate) struct Found {
    pub(crate) durable: Arc<Durable>,
    pub(crate) recovered: Recovered,
    pub(crate) report: Report,
}

impl Opening {
    pub(crate) fn folder(options: StoreOptions) -> Self {
        let StoreOptions { path, durability } = options;
        let level = match durability {
            Durability::Fsync => karere_store::Durability::Fsync,
            Durability::Os | Durability::None => karere_store::Durability::Os,
        };
        let options = LogOptions { durability: level, ..LogOptions::default() };
        let open = move |seed| open(Directory::open(&path)?, LogOptions { seed, ..options });
        Self { open: Box::new(open), waits: durability != Durability::None }
    }

    pub(crate) fn disk(disk: impl Disk, options: LogOptions) -> Self {
        Self { open: Box::new(move |_| open(disk, options)), waits: true }
    }

    /// Reads what there is, and starts to write.
    pub(crate) fn open(self, seed: u64) -> Result<Found, OpenError> {
        let Opened { mut recovered, report, start } = (self.open)(seed)?;
        let waiting = Arc::new(Waiting::default());
        let notified = waiting.clone();
        let store = start(Box::new(move |outcome| notified.hear(outcome)))
            .map_err(|source| OpenError::Io { what: "no thread for the store".into(), source })?;
        store.append(|batch| batch.append(&recovered.orphans));
        let ledger = std::mem::take(&mut recovered.ledger);
        let durable = Arc::new(Durable::new(ledger, store, waiting, self.waits));
        Ok(Found { durable, recovered, report })
    }
}

fn open<D: Disk>(disk: D, options: LogOptions) -> Result<Opened, OpenError> {
    let (log, report) = Log::open(disk, options)?;
    let recovered = Recovered::read(&log, wall_millis()).map_err(|error| OpenError::Io {
        what: "the store cannot be read".into(),
        source: io::Error::other(error),
    })?;
    Ok(Opened { recovered, report, start: Box::new(move |notify| Store::start(log, notify)) })
}

/// Puts everything back where it was.
pub(crate) fn restore(broker: &Arc<Shared>, durable: &Arc<Durable>, recovered: Recovered) {
    {
        let mut hub = broker.hub.write();
        for retained in recovered.retained {
            let sequence = retained.sequence;
            if hub.router.restore_retained(retained).is_err() {
                // The limits are lower than they were.
                durable.append(|ledger, batch| ledger.forget_retained(batch, sequence));
            }
        }
    }
    let sessions = recovered.sessions.into_iter();
    let cells: Vec<_> = sessions.map(|session| restore_session(broker, durable, session)).collect();
    for (key, row) in recovered.wills {
        let mut work = Work::default();
        work.publish_will(row.will.message, Some(key));
        let source = Source { broker, cell: None, link: None, tells: false };
        crate::bench::with(|bench| work.finish(&source, &mut bench.pool));
    }
    // What was due while the broker was away comes before who may connect: a Will that nobody can cancel any more, a
    // session that is over.
    let now = broker.clock.now();
    cells.iter().for_each(|cell| broker.slot_due(cell, now));
}

fn restore_session(broker: &Arc<Shared>, durable: &Arc<Durable>, session: RecoveredSession) -> Arc<Cell> {
    let client_id: Text = session.row.client_id.clone();
    let cell = broker.registry.insert(&client_id, || broker.seat(&client_id));
    let mut shares: Vec<(u64, ShareKey)> = Vec::new();
    {
        let mut hub = broker.hub.write();
        for (item, row) in &session.subscriptions {
            let key = hub.key_of(&cell, true);
            let new = NewSubscription {
                session: key,
                filter: &row.filter,
                options: row.options,
                subscription_id: row.subscription_id,
            };
            // An error means that the limits are lower than they were: the session has one the less.
            _ = hub.router.subscribe(&new);
            shares.extend(hub.router.share_key(&row.filter).map(|share| (*item, share)));
        }
    }
    let was_connected = session.row.disconnected_at.is_none();
    let share = |item: u64| shares.iter().find(|(of, _)| *of == item).map(|(_, share)| *share);
    let (session, client_id, restored) = session.restore(broker.clock.now(), share);
    let slot = Slot::restore(client_id, broker.options.clone(), broker.draw(), restored);
    let mut state = cell.lock();
    state.restore(Seat::restored(slot, durable.clone(), session));
    if was_connected {
        // Else what is delivered from now on would count as possibly sent after the next restart.
        state.place.book_restored(broker.clock.now());
    }
    state.place.book();
    broker.tell_later(&cell, &mut state);
    broker.arm(&cell, &mut state);
    drop(state);
    cell
}
