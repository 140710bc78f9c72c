//! Connecting, the loops, and their end.

use std::mem;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::client::Client;
use super::driver::LoopError;
use crate::backoff::Backoff;
use crate::notice::DriverEvent;
use crate::{ConnectError, Disconnect, Disconnection};

/// What the application has asked for.
#[derive(Default)]
pub(super) struct Life {
    /// A connection: it is made again when it is lost.
    wanted: bool,
    /// An end: `disconnect` was called after the last `connect`. Loops return.
    left: bool,
    /// The loop's thread with its number; threads up to number `stopped` are to end, whatever the connection does.
    thread: Option<(u64, JoinHandle<()>)>,
    threads: u64,
    stopped: u64,
    /// Connections asked for, so that a loop can tell a new one from the one it has lost.
    asked: u64,
}

/// Whose loop it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// The one of `loop_start`, by its number.
    Thread(u64),
    Forever,
}

impl Role {
    fn is_thread(self) -> bool {
        matches!(self, Self::Thread(_))
    }
}

impl Life {
    fn is_stopped(&self, role: Role) -> bool {
        matches!(role, Role::Thread(number) if number <= self.stopped)
    }
}

/// What kind of loop a pass is one of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pass {
    /// None: all is written before it returns.
    Once,
    /// The caller's: a callback's panic is the caller's too.
    Forever,
    /// Our own thread's.
    Thread,
}

/// What a loop does next.
enum Next {
    Turn,
    Connect,
    Wait,
    Return,
}

impl Client {
    pub(super) fn want(&self) {
        let mut life = self.life().lock();
        life.asked += 1;
        (life.wanted, life.left) = (true, false);
        drop(life);
        self.driver().wake_up();
    }

    /// Connects in the caller's thread. Callers and loops take turns, so that none connects twice.
    pub(super) fn connect_now(
        &self,
        connect: impl FnOnce() -> Result<(), ConnectError>,
    ) -> Result<(), ConnectError> {
        let connecting = self.connecting().lock();
        let before = self.life().lock().wanted;
        self.want();
        let result = connect();
        if result.is_err() {
            self.life().lock().wanted = before;
        }
        drop(connecting);
        result
    }

    pub(super) fn leave(&self, disconnect: &Disconnect) -> bool {
        let mut life = self.life().lock();
        (life.wanted, life.left) = (false, true);
        drop(life);
        let had = self.driver().disconnect(disconnect);
        if !had {
            self.driver().abandon();
        }
        self.driver().wake_up();
        had
    }

    /// One pass: writes, waits, reads, lets time pass, and calls back. An error says what ended the connection in it,
    /// wherever that was.
    pub(super) fn turn(&self, timeout: Option<Duration>, pass: Pass) -> Result<(), LoopError> {
        let driver = self.driver();
        let number = driver.number()?;
        // What goes wrong is found again below.
        let _ = self.turn_of_driver(timeout, pass);
        loop {
            let ours = self.dispatcher().run(self, pass == Pass::Thread);
            if pass == Pass::Once {
                self.write_if_allowed();
            }
            if !ours || !driver.engine.look(|state| state.has_notices()) {
                break;
            }
        }
        let ended =
            driver.engine.look(|state| if state.is_at(number) { None } else { state.last_end.clone() });
        ended.map_or(Ok(()), |why| Err(LoopError::Lost(why)))
    }

    fn turn_of_driver(&self, timeout: Option<Duration>, pass: Pass) -> Result<(), LoopError> {
        let driver = self.driver();
        if pass == Pass::Once {
            driver.write()?;
        } else {
            driver.write_gathering()?;
        }
        let ready = driver.wait(timeout)?;
        if ready.readable {
            driver.read()?;
        }
        driver.misc()
    }

    pub(super) fn start_thread(&self) -> bool {
        let mut life = self.life().lock();
        if let Some((number, _)) = life.thread {
            // One that is about to end is asked to stay instead.
            let stopping = life.stopped == number;
            life.stopped = number - 1;
            let ending = mem::take(&mut life.left) || stopping;
            drop(life);
            self.driver().wake_up();
            return ending;
        }
        life.left = false;
        life.threads += 1;
        let number = life.threads;
        let client = self.without_guard();
        let thread = thread::Builder::new().name("karere-client".into());
        life.thread = thread.spawn(move || client.run_thread(number)).ok().map(|thread| (number, thread));
        life.thread.is_some()
    }

    pub(super) fn stop_thread(&self) {
        let mut life = self.life().lock();
        let Some((number, thread)) = life.thread.take() else { return };
        life.stopped = number;
        if thread.thread().id() == thread::current().id() {
            // It cannot wait for itself: it ends after the callback that called us.
            life.thread = Some((number, thread));
            return;
        }
        drop(life);
        self.driver().wake_up();
        let _ = thread.join();
    }

    fn run_thread(&self, number: u64) {
        let _ = self.run(Role::Thread(number));
        self.flush(self.driver().options().connect_timeout);
    }

    pub(super) fn run_forever(&self) -> Result<(), ConnectError> {
        self.run(Role::Forever)
    }

    fn run(&self, role: Role) -> Result<(), ConnectError> {
        let _looping = Looping::new(self);
        let options = self.driver().options();
        let mut backoff = options.reconnect.map(Backoff::new);
        let mut forgiving = role.is_thread() || options.retry_first_connection;
        loop {
            match self.next(role) {
                Next::Return => return Ok(()),
                Next::Wait => {
                    let _ = self.driver().wait(None);
                    self.dispatcher().run(self, role.is_thread());
                    continue;
                }
                Next::Turn => {}
                Next::Connect => {
                    if let Err(error) = self.connect_if_wanted() {
                        let wait = backoff.as_mut().filter(|_| forgiving).map(Backoff::wait);
                        self.failed(role, error, wait)?;
                        continue;
                    }
                }
            }
            let asked = self.life().lock().asked;
            let since = Instant::now();
            let Some((why, accepted)) = self.stay(role) else { continue };
            forgiving |= accepted;
            if let Some(backoff) = &mut backoff {
                backoff.ended(since.elapsed());
            }
            let is_over = {
                let life = self.life().lock();
                !life.wanted || life.asked != asked
            };
            if is_over {
                continue;
            }
            let error = match why {
                Disconnection::Refused(connack) => ConnectError::Refused(connack),
                why => ConnectError::Lost(why),
            };
            match backoff.as_mut().filter(|_| forgiving).map(Backoff::wait) {
                Some(wait) => self.rest(role, wait),
                None => return Err(error),
            }
        }
    }

    fn next(&self, role: Role) -> Next {
        let mut life = self.life().lock();
        let open = self.driver().is_open();
        let over = life.left && !open;
        if life.is_stopped(role) || role.is_thread() && over {
            // In the same breath as the decision, so that loop_start knows which it is.
            if matches!((role, &life.thread), (Role::Thread(own), Some((number, _))) if own == *number) {
                life.thread = None;
            }
            return Next::Return;
        }
        match (open, life.wanted) {
            (true, _) => Next::Turn,
            (false, true) => Next::Connect,
            (false, false) if role.is_thread() => Next::Wait,
            (false, false) => Next::Return,
        }
    }

    /// Runs one connection to its end: why, and whether the server had accepted it. None when the loop was asked to stop.
    fn stay(&self, role: Role) -> Option<(Disconnection, bool)> {
        let engine = &self.driver().engine;
        let pass = if role.is_thread() { Pass::Thread } else { Pass::Forever };
        loop {
            let why = match self.turn(None, pass) {
                Err(LoopError::Lost(why)) => Some(why),
                Err(LoopError::NotConnected) => engine.look(|state| state.last_end.clone()),
                Ok(()) if self.life().lock().is_stopped(role) => return None,
                Ok(()) => continue,
            };
            let accepted = engine.look(|state| state.accepted);
            return why.map(|why| (why, accepted));
        }
    }

    fn connect_if_wanted(&self) -> Result<(), ConnectError> {
        let _connecting = self.connecting().lock();
        let is_wanted = || self.life().lock().wanted && !self.driver().is_open();
        if is_wanted() { self.driver().connect_if(is_wanted) } else { Ok(()) }
    }

    /// An attempt to connect has failed: it is told, and the next one waited for if there is one.
    fn failed(&self, role: Role, error: ConnectError, wait: Option<Duration>) -> Result<(), ConnectError> {
        self.driver().engine.tell(DriverEvent::ConnectFailed { error: error.clone(), retry_in: wait });
        self.dispatcher().run(self, role.is_thread());
        let Some(wait) = wait else {
            self.life().lock().wanted = false;
            return Err(error);
        };
        self.rest(role, wait);
        Ok(())
    }

    /// Waits, unless the application wants something else meanwhile.
    fn rest(&self, role: Role, wait: Duration) {
        let until = Instant::now() + wait;
        let asked = self.life().lock().asked;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let unchanged = {
                let life = self.life().lock();
                life.wanted && life.asked == asked && !life.is_stopped(role)
            };
            if left.is_zero() || !unchanged || self.driver().is_open() {
                return;
            }
            let _ = self.driver().wait(Some(left));
            self.dispatcher().run(self, role.is_thread());
        }
    }

    /// Writes what waits, for at most `limit`.
    fn flush(&self, limit: Duration) {
        let until = Instant::now() + limit;
        while self.driver().is_open() && self.driver().outbox_bytes() > 0 {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || self.driver().write().is_err() || self.driver().outbox_bytes() == 0 {
                break;
            }
            let _ = self.driver().wait(Some(left));
        }
        self.dispatcher().run(self, true);
    }
}

/// A loop runs as long as this lives: nobody else needs to write.
struct Looping<'a>(&'a Client);

impl<'a> Looping<'a> {
    fn new(client: &'a Client) -> Self {
        client.loops().fetch_add(1, Ordering::AcqRel);
        client.driver().patient.store(true, Ordering::Relaxed);
        Self(client)
    }
}

impl Drop for Looping<'_> {
    fn drop(&mut self) {
        if self.0.loops().fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.driver().patient.store(false, Ordering::Relaxed);
        }
    }
}
