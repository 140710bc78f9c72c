//! The four-way race at a session slot, run by a model checker: deliver x detach x takeover x expiry.
//!
//! `cell.rs` and `registry.rs` are the broker's own source, included with loom's locks in place of the real
//! ones. The core's slot is too large for the checker; a small model of a session stands in its place, which
//! does nothing but keep what it is given and say where it went.

#![allow(dead_code, unreachable_pub, reason = "the files that are included have more than the races need")]

use std::collections::hash_map::RandomState;
use std::sync::Arc as StdArc;
use std::task::{Context, Wake, Waker};

use karere_core::Text;
use loom::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use loom::thread;

use self::slot::{Arrival, Finished, Line, Place, Registry, Ticket};
use self::sync::{Arc, Mutex};

mod sync {
    pub use loom::sync::{Arc, MutexGuard};

    /// loom's, with parking_lot's manners.
    #[derive(Debug, Default)]
    pub struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub fn new(value: T) -> Self {
            Self(loom::sync::Mutex::new(value))
        }

        pub fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().unwrap()
        }
    }
}

#[path = "../src/slot"]
mod slot {
    mod cell;
    mod late;
    mod registry;

    pub(crate) use cell::{Finished, Line, Place, SlotCell};
    pub(crate) use late::Ticket;
    pub(crate) use registry::{Arrival, Registry};
}

/// One message is delivered in each race; this is where it can be.
const MESSAGE: u32 = 7;

/// A session that keeps messages: in the outbox while a connection is attached, else in its queue.
struct Session {
    attached: Option<StdArc<Attachments>>,
    attachments: StdArc<Attachments>,
    kept: bool,
    outbox: Vec<u32>,
    queue: Vec<u32>,
    closed_at: Option<u32>,
    ended: bool,
    expired: bool,
}

/// How many connections believe that they are attached; never more than one.
#[derive(Default)]
struct Attachments(std::sync::atomic::AtomicUsize);

#[derive(Default)]
struct Effects {
    given_back: Vec<u32>,
    ended: bool,
    ticket: Option<Ticket>,
}

impl Session {
    fn new(kept: bool) -> Self {
        Self {
            attached: None,
            attachments: StdArc::default(),
            kept,
            outbox: Vec::new(),
            queue: Vec::new(),
            closed_at: None,
            ended: false,
            expired: false,
        }
    }

    /// What `Slot::deliver` does. The message itself comes back when the session is over or keeps nothing.
    fn deliver(&mut self, message: u32) -> Result<(), u32> {
        if self.ended || (self.attached.is_none() && !self.kept) {
            return Err(message);
        }
        if self.attached.is_some() {
            self.outbox.push(message);
        } else {
            self.queue.push(message);
        }
        Ok(())
    }
}

impl Place for Session {
    type Instant = u32;
    type Accepted = ();
    type Bytes = Vec<u32>;
    type Effects = Effects;
    type Error = ();
    type Label = Text;

    fn label(&self) -> Text {
        client_id()
    }

    fn client_id(label: &Text) -> &Text {
        label
    }

    fn attach(&mut self, _now: u32, (): ()) {
        assert!(!self.ended, "a connection attached to a session that is over");
        let before = self.attachments.0.fetch_add(1, SeqCst);
        assert_eq!(before, 0, "two connections are attached");
        self.attached = Some(self.attachments.clone());
        self.closed_at = None;
        self.expired = false;
        let waiting = std::mem::take(&mut self.queue);
        self.outbox.extend(waiting);
    }

    fn take_over(&mut self, now: u32) -> Vec<u32> {
        let goodbye = std::mem::take(&mut self.outbox);
        self.handle_closed(now);
        self.expired = false;
        goodbye
    }

    fn handle_closed(&mut self, now: u32) {
        assert!(self.attached.take().is_some(), "closed twice");
        self.attachments.0.fetch_sub(1, SeqCst);
        self.closed_at = Some(now);
        self.expired = !self.kept;
    }

    fn handle_timeout(&mut self, now: u32) -> Result<(), ()> {
        if self.closed_at.is_some_and(|at| at < now) {
            self.expired = true;
        }
        Ok(())
    }

    fn handle_written(&mut self, _now: u32, _count: usize) -> bool {
        false
    }

    fn end(&mut self, _now: u32, effects: &mut Effects) {
        assert!(!self.ended, "ended twice");
        assert!(self.attached.is_none(), "ended under a connection");
        self.ended = true;
        effects.ended = true;
        effects.given_back.append(&mut self.queue);
    }

    fn put_in_order(effects: &mut Effects, ticket: impl FnOnce() -> Ticket) {
        if effects.ended {
            effects.ticket.get_or_insert_with(ticket);
        }
    }

    fn drain(&mut self, _effects: &mut Effects) -> bool {
        std::mem::take(&mut self.expired)
    }

    fn take_bytes(&mut self) -> Option<Vec<u32>> {
        (!self.outbox.is_empty()).then(|| std::mem::take(&mut self.outbox))
    }

    fn put_back(&mut self, mut unwritten: Vec<u32>) {
        unwritten.append(&mut self.outbox);
        self.outbox = unwritten;
    }

    fn is_ended(&self) -> bool {
        self.ended
    }

    fn is_kept(&self) -> bool {
        self.kept
    }
}

/// A connection: what was written to it, and what its driver has still to write.
#[derive(Default)]
struct Connection {
    written: Mutex<Vec<u32>>,
    parting: Mutex<Option<(Vec<u32>, bool)>>,
    ticket: Mutex<Option<Ticket>>,
}

impl Line for Connection {
    type Bytes = Vec<u32>;

    fn part(&self, goodbye: Vec<u32>, writing: bool, ticket: Option<Ticket>) {
        *self.ticket.lock() = ticket;
        let before = self.parting.lock().replace((goodbye, writing));
        assert!(before.is_none(), "let go twice");
    }

    fn take_ticket(&self) -> Option<Ticket> {
        self.ticket.lock().take()
    }

    fn give_back(&self, mut unwritten: Vec<u32>) {
        let mut parting = self.parting.lock();
        let (goodbye, writing) = parting.as_mut().expect("given back without having been let go");
        assert!(*writing, "given back without having been taken");
        unwritten.append(goodbye);
        *goodbye = unwritten;
        *writing = false;
    }
}

/// A broker's worth of it.
struct World {
    registry: Registry<Session, Connection, RandomState>,
    id: Text,
    kept: bool,
    given_back: Mutex<Vec<u32>>,
    ended: AtomicUsize,
}

fn client_id() -> Text {
    Text::new("client").expect("an identifier")
}

type Cell = slot::SlotCell<Session, Connection>;

impl World {
    fn new(kept: bool) -> Arc<Self> {
        let id = client_id();
        let registry = Registry::new(RandomState::new());
        Arc::new(Self { registry, id, kept, given_back: Mutex::default(), ended: AtomicUsize::new(0) })
    }

    fn connect(&self, now: u32, clean: bool) -> (Arc<Connection>, Arc<Cell>) {
        let line = Arc::new(Connection::default());
        let make = || Session::new(self.kept);
        let apply = |cell: &Arc<Cell>, effects| self.apply(cell, effects);
        let cell =
            self.registry.open(Arrival { id: &self.id, now, accepted: (), clean, line: &line }, make, apply);
        (line, cell)
    }

    fn apply(&self, cell: &Arc<Cell>, effects: Effects) {
        if effects.ended {
            self.ended.fetch_add(1, SeqCst);
            self.registry.remove(&self.id, cell);
        }
        self.given_back.lock().extend(effects.given_back);
    }

    fn detach(&self, cell: &Arc<Cell>, line: &Arc<Connection>, now: u32) {
        drop(self.leave(cell, line, now, false));
    }

    /// The same; what is left to be done is over when what is returned is dropped.
    fn leave(&self, cell: &Arc<Cell>, line: &Arc<Connection>, now: u32, leaves: bool) -> Option<Ticket> {
        let mut effects = Effects::default();
        let ticket = cell.detach(now, line, leaves, self.registry.late(), &mut effects);
        self.apply(cell, effects);
        ticket
    }

    fn timeout(&self, cell: &Arc<Cell>, now: u32) {
        let mut effects = Effects::default();
        let _ = cell.timeout(now, self.registry.late(), &mut effects);
        self.apply(cell, effects);
    }

    /// A routing thread: delivers, then writes what waits, of which the socket takes nothing or all.
    fn deliver(&self, cell: &Arc<Cell>, socket_takes: bool) {
        let delivered = cell.lock().place.deliver(MESSAGE);
        delivered.unwrap_or_else(|message| self.given_back.lock().push(message));
        let Some((line, bytes)) = cell.lock().begin_write() else { return };
        let (count, unwritten) = if socket_takes { (bytes.len(), None) } else { (0, Some(bytes.clone())) };
        if socket_takes {
            line.written.lock().extend(bytes);
        }
        let (finished, _) = cell.finish_write(0, &line, count, unwritten);
        assert!(finished == Finished::Parted || !cell.lock().place.ended || line.parting.lock().is_some());
    }

    /// Where the message is, of all places that it can be.
    fn places_of_message(&self, cells: &[&Arc<Cell>], lines: &[&Arc<Connection>]) -> usize {
        let is = |messages: &[u32]| messages.iter().filter(|message| **message == MESSAGE).count();
        let mut unique: Vec<&Arc<Cell>> = Vec::new();
        for cell in cells {
            if !unique.iter().any(|there| Arc::ptr_eq(there, cell)) {
                unique.push(cell);
            }
        }
        let in_sessions: usize = unique
            .iter()
            .map(|cell| {
                let state = cell.lock();
                let (queue, outbox) = (is(&state.place.queue), is(&state.place.outbox));
                assert!(!state.place.ended || queue + outbox == 0, "a session that is over has the message");
                queue + outbox
            })
            .sum();
        let on_lines: usize = lines
            .iter()
            .map(|line| {
                let parting = line.parting.lock();
                let goodbye = parting.as_ref().map_or(0, |(goodbye, _)| is(goodbye));
                goodbye + is(&line.written.lock())
            })
            .sum();
        in_sessions + on_lines + is(&self.given_back.lock())
    }
}

fn check(preemptions: usize, race: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(preemptions);
    model.check(race);
}

/// A message is routed while the connection goes, another one comes, and the clock ends the session.
fn four_way(kept: bool, clean: bool, socket_takes: bool) {
    let world = World::new(kept);
    let (first, cell) = world.connect(0, false);

    let deliver = {
        let (world, cell) = (world.clone(), cell.clone());
        thread::spawn(move || world.deliver(&cell, socket_takes))
    };
    let detach = {
        let (world, cell, first) = (world.clone(), cell.clone(), first.clone());
        thread::spawn(move || world.detach(&cell, &first, 1))
    };
    let expire = {
        let (world, cell) = (world.clone(), cell.clone());
        thread::spawn(move || world.timeout(&cell, 2))
    };
    let (second, taken) = world.connect(1, clean);
    deliver.join().unwrap();
    detach.join().unwrap();
    expire.join().unwrap();

    let state = taken.lock();
    assert!(
        !state.place.ended && state.place.attached.is_some(),
        "the connection that came last is attached"
    );
    assert!(state.line().is_some_and(|line| Arc::ptr_eq(line, &second)));
    drop(state);
    assert!(first.parting.lock().as_ref().is_some_and(|(_, writing)| !writing), "the first was let go, once");
    assert!(second.parting.lock().is_none());
    let ended = world.ended.load(SeqCst);
    assert!(ended <= 1, "one session has ended at most");
    assert_eq!(ended == 0, Arc::ptr_eq(&taken, &cell), "a session that has ended is not attached to");
    assert_eq!(
        world.places_of_message(&[&cell, &taken], &[&first, &second]),
        1,
        "the message is in one place"
    );
}

#[test]
fn a_session_that_is_kept_is_resumed_or_expires_and_the_message_is_in_one_place() {
    check(3, || four_way(true, false, true));
}

#[test]
fn what_a_full_socket_leaves_is_given_back_to_whoever_has_the_connection() {
    check(2, || four_way(true, false, false));
}

#[test]
fn a_clean_start_ends_the_session_and_gives_back_what_is_delivered_to_it() {
    check(2, || four_way(true, true, true));
}

#[test]
fn a_session_that_ends_with_its_connection_is_never_resumed() {
    check(2, || four_way(false, false, false));
}

/// Expiry on its own thread: the session ends, or the connection that comes has it, never both.
#[test]
fn expiry_and_takeover_never_both_win() {
    check(4, || {
        let world = World::new(true);
        let (first, cell) = world.connect(0, false);
        world.detach(&cell, &first, 0);
        let expire = {
            let (world, cell) = (world.clone(), cell.clone());
            thread::spawn(move || world.timeout(&cell, 1))
        };
        let (second, taken) = world.connect(1, false);
        expire.join().unwrap();
        let before = world.ended.load(SeqCst);
        assert_eq!(before == 1, !Arc::ptr_eq(&taken, &cell));
        assert!(taken.lock().place.attached.is_some());
        world.detach(&taken, &second, 2);
        world.timeout(&taken, 3);
        assert_eq!(world.ended.load(SeqCst), before + 1, "nobody came back: the session ends");
        assert!(world.registry.get(&world.id).is_none());
    });
}

/// Two connections of one client come at the same moment, to nothing or to a session that both want to end.
#[test]
fn two_connections_at_once_leave_exactly_one_attached() {
    two_at_once(false);
}

#[test]
fn two_clean_starts_at_once_end_the_session_once_and_leave_exactly_one_attached() {
    two_at_once(true);
}

fn two_at_once(before: bool) {
    check(3, move || {
        let world = World::new(true);
        if before {
            let (line, cell) = world.connect(0, false);
            world.detach(&cell, &line, 0);
        }
        let other = {
            let world = world.clone();
            thread::spawn(move || world.connect(0, true))
        };
        let (ours, _) = world.connect(0, true);
        let (theirs, _) = other.join().unwrap();
        let let_go = [&ours, &theirs].iter().filter(|line| line.parting.lock().is_some()).count();
        assert_eq!(let_go, 1);
        let cell = world.registry.get(&world.id).expect("a session");
        assert!(cell.lock().place.attached.is_some());
    });
}

/// What a thread is woken by.
struct Bell(loom::sync::Notify);

impl Wake for Bell {
    fn wake(self: StdArc<Self>) {
        self.0.notify();
    }
}

fn wait_for(ticket: &Ticket) {
    let bell = StdArc::new(Bell(loom::sync::Notify::new()));
    let waker = Waker::from(bell.clone());
    while ticket.poll_due(&Context::from_waker(&waker)).is_pending() {
        bell.0.wait();
    }
}

/// A connection that has work left goes, by itself or because the next one of its client comes meanwhile.
fn work_is_left(kept: bool, clean: bool) {
    let world = World::new(kept);
    let done: Arc<Mutex<Vec<&str>>> = Arc::default();
    let (first, cell) = world.connect(0, false);
    let leaving = {
        let (world, done) = (world.clone(), done.clone());
        thread::spawn(move || {
            let ticket = world.leave(&cell, &first, 1, true);
            assert!(ticket.as_ref().is_some_and(Ticket::is_due), "nothing goes before it");
            done.lock().push("what was left");
            drop(ticket);
        })
    };
    let _second = world.connect(1, clean);
    world.registry.late().behind(&world.id).iter().for_each(wait_for);
    done.lock().push("what comes next");
    leaving.join().unwrap();
    assert_eq!(*done.lock(), ["what was left", "what comes next"]);
    assert!(world.registry.late().behind(&world.id).is_none(), "nobody is remembered for it");
}

#[test]
fn what_a_connection_has_left_is_done_before_what_the_next_one_brings() {
    check(3, || work_is_left(true, false));
}

#[test]
fn a_session_that_ends_takes_no_work_along_that_is_left() {
    check(3, || work_is_left(false, false));
    check(3, || work_is_left(true, true));
}
