//! What other threads hold of a connection: its sending end, and the means to wake its driver.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
use std::task::{Context, Waker};

use karere_core::connection::Outbox;

use super::transport::Writer;
use crate::slot::{Line, Ticket};
use crate::sync::Mutex;

/// How many messages of one connection may wait for the disk before it is read no further.
const UNANSWERED_MAX: u32 = 4096;

/// Why a driver is woken; a set of bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Signals(u8);

impl Signals {
    /// Bytes wait that whoever put them there could not write.
    pub(crate) const WRITE: Self = Self(1);
    /// The session slot has let this connection go: write the last bytes and close.
    pub(crate) const PART: Self = Self(2);
    /// The broker shuts down.
    pub(crate) const SHUTDOWN: Self = Self(4);
    /// A reader that this publisher waited for has drained.
    pub(crate) const DRAINED: Self = Self(8);
    /// The timer has something for a connection that has no slot yet.
    pub(crate) const TIMEOUT: Self = Self(16);
    /// Writing failed, or the core asked for the end: close.
    pub(crate) const CLOSE: Self = Self(32);
    /// Do not say goodbye.
    pub(crate) const CUT: Self = Self(64);

    pub(crate) fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// One connection, as all threads see it.
pub(crate) struct Link<W: ?Sized = dyn Writer> {
    signals: AtomicU8,
    /// Its driver reads nothing until something is over.
    paused: AtomicBool,
    /// How many pressed readers its publisher waits for.
    pub(crate) pressed: AtomicU32,
    /// How many of its messages wait for the disk before they are answered.
    unanswered: AtomicU32,
    /// Its place in the table of connections.
    pub(crate) index: u32,
    driver: Mutex<Option<Waker>>,
    parting: Mutex<Option<Box<Parting>>>,
    pub(crate) writer: W,
}

/// The last bytes of a connection whose slot has let it go.
#[derive(Default)]
struct Parting {
    goodbye: Outbox,
    /// Somebody still writes what goes before them.
    writing: bool,
    /// What it has left to be done comes before what the next connection brings.
    ticket: Option<Ticket>,
}

impl<W> Link<W> {
    pub(crate) fn new(index: u32, writer: W) -> Self {
        Self {
            signals: AtomicU8::new(0),
            paused: AtomicBool::new(false),
            pressed: AtomicU32::new(0),
            unanswered: AtomicU32::new(0),
            index,
            driver: Mutex::new(None),
            parting: Mutex::new(None),
            writer,
        }
    }
}

impl<W: ?Sized> Link<W> {
    /// Wakes the driver and tells it why.
    pub(crate) fn signal(&self, signals: Signals) {
        self.signals.fetch_or(signals.0, Ordering::AcqRel);
        if let Some(driver) = &*self.driver.lock() {
            driver.wake_by_ref();
        }
    }

    /// For the driver: from now on it reads nothing, or reads again.
    pub(crate) fn pause(&self, paused: bool) {
        self.paused.store(paused, Ordering::Release);
    }

    /// Whether what the client sends is not read for the moment.
    pub(crate) fn is_paused(&self) -> bool {
        self.paused.load(Ordering::Acquire)
    }

    /// For the driver: takes what there is, and is woken for what comes later.
    pub(crate) fn poll_signals(&self, cx: &Context<'_>) -> Signals {
        let mut driver = self.driver.lock();
        if !driver.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *driver = Some(cx.waker().clone());
        }
        drop(driver);
        // After the waker stands: a signal set in between is either seen here or wakes us.
        Signals(match self.signals.load(Ordering::Acquire) {
            0 => 0,
            _ => self.signals.swap(0, Ordering::AcqRel),
        })
    }

    /// One of the readers that this publisher waits for has drained, or need not be waited for any more.
    pub(crate) fn release(&self) {
        if self.pressed.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.signal(Signals::DRAINED);
        }
    }

    /// So many more of its messages wait for the disk.
    pub(crate) fn wait_for_disk(&self, count: usize) {
        self.unanswered.fetch_add(u32::try_from(count).unwrap_or(u32::MAX), Ordering::AcqRel);
    }

    /// So many of them wait no longer.
    pub(crate) fn answered(&self, count: usize) {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let before = self.unanswered.fetch_sub(count, Ordering::AcqRel);
        if before > UNANSWERED_MAX && before - count <= UNANSWERED_MAX {
            self.signal(Signals::DRAINED);
        }
    }

    /// For the driver: whether so much waits for the disk that nothing more is to be read. Version 3 has no Receive
    /// Maximum that would bound it.
    pub(crate) fn is_ahead_of_disk(&self) -> bool {
        self.unanswered.load(Ordering::Acquire) > UNANSWERED_MAX
    }

    /// For the driver: the bytes that are still to be written, once nobody else writes.
    pub(crate) fn take_goodbye(&self) -> Option<Outbox> {
        let mut parting = self.parting.lock();
        match &*parting {
            Some(last) if !last.writing => parting.take().map(|last| last.goodbye),
            _ => None,
        }
    }

    /// The task has ended: nothing is to keep it.
    pub(crate) fn forget_driver(&self) {
        *self.driver.lock() = None;
    }
}

impl<W: ?Sized> Line for Link<W> {
    type Bytes = Outbox;

    fn part(&self, goodbye: Outbox, writing: bool, ticket: Option<Ticket>) {
        *self.parting.lock() = Some(Box::new(Parting { goodbye, writing, ticket }));
        self.signal(Signals::PART);
    }

    fn take_ticket(&self) -> Option<Ticket> {
        self.parting.lock().as_mut()?.ticket.take()
    }

    fn give_back(&self, mut unwritten: Outbox) {
        if let Some(parting) = &mut *self.parting.lock() {
            parting.goodbye.put_back(&mut unwritten);
            parting.writing = false;
        }
        self.signal(Signals::PART);
    }
}
