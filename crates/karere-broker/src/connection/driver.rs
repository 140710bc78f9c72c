//! A connection that has a session, turn by turn.

use std::pin::Pin;
use std::sync::atomic::Ordering::Acquire;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use karere_core::codec::{Auth, ReasonCode};

use super::greet::Greeted;
use super::link::{Link, Signals};
use super::transport::Reader;
use super::{greet, screen};
use crate::bench::{self, Bench, Pool, READ_BYTES_MAX};
use crate::broker::Shared;
use crate::counters::{Traffic, add};
use crate::hooks::ClientInfo;
use crate::late::{Asked, Leftover};
use crate::slot::{Cell, Ticket};
use crate::sync::Arc;
use crate::work::{DELIVERIES_MAX, Source, Work};
use crate::write::{Written, flush};

/// A partial packet of this many bytes goes on growing where it is; a smaller one goes back to the bench for
/// the next read, and so gives its own buffer up.
const PARTIAL_BYTES_MAX: usize = 16 * 1024;
/// How long a publisher waits for a reader that does not keep up.
const PRESSURE_MAX: Duration = Duration::from_millis(100);
/// After how many turns in a row others get theirs.
const TURNS_MAX: u8 = 4;

/// Why a conversation is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The client has closed, or said that it will.
    Theirs,
    /// We close, and the client may still be sending.
    Ours,
    /// There is nobody to say goodbye to.
    Cut,
}

/// What the task does next.
enum Next {
    /// Another turn.
    Again,
    /// Another turn, after the others have had theirs.
    Yield,
    End(End),
}

/// A connection that has a session.
pub(super) struct Driver<R> {
    broker: Arc<Shared>,
    link: Arc<Link>,
    reader: R,
    cell: Arc<Cell>,
    /// For hooks; only where there are any.
    info: Option<Arc<ClientInfo>>,
    /// The beginning of a packet.
    partial: BytesMut,
    /// What must be over before reading goes on.
    rest: Option<Box<Rest>>,
    /// It is version 5.
    tells: bool,
    /// `partial` may hold whole packets, which came with CONNECT.
    unread: bool,
    /// The socket takes no more, and there is more.
    blocked: bool,
    turns: u8,
}

/// What must be over before reading goes on.
#[derive(Default)]
struct Rest {
    /// What earlier connections of the client have left is done first.
    behind: Option<Ticket>,
    /// A hook's answers are awaited.
    asked: Option<Asked>,
    /// More deliveries than one turn makes.
    work: Option<Work>,
    /// Readers that do not keep up.
    pressed: Vec<Arc<Cell>>,
    patience: Option<Pin<Box<tokio::time::Sleep>>>,
    /// How the conversation ends after that.
    end: Option<End>,
}

impl<R: Reader> Driver<R> {
    pub(super) fn new(broker: Arc<Shared>, link: Arc<Link>, reader: R, greeted: Greeted) -> Self {
        // Its CONNACK is not to wait for that.
        let blocked = greeted.behind.is_some();
        let rest = greeted.behind.map(|behind| Box::new(Rest { behind: Some(behind), ..Rest::default() }));
        link.pause(rest.is_some());
        Self {
            broker,
            link,
            reader,
            cell: greeted.cell,
            info: greeted.info,
            partial: greeted.input,
            rest,
            tells: greeted.tells,
            unread: true,
            blocked,
            turns: 0,
        }
    }

    /// What is needed after the conversation: also what the client had sent and is not done.
    pub(super) fn into_parts(self) -> (R, Arc<Cell>, Option<Leftover>) {
        let left = self.rest.and_then(|rest| {
            let Rest { asked, work, .. } = *rest;
            work.map(|work| Leftover { asked, work, tells: self.tells })
        });
        (self.reader, self.cell, left)
    }

    /// Until the conversation is over.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        loop {
            match ready!(self.poll_turn(cx)) {
                Next::Again => {}
                Next::Yield => {
                    // Woken at once, behind the tasks that wait already.
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Next::End(end) => return Poll::Ready(end),
            }
        }
    }

    /// One turn: what others have signalled, what is left over, what has come in.
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        let signals = self.link.poll_signals(cx);
        if let Some(end) = self.ended_by(signals) {
            return Poll::Ready(Next::End(end));
        }
        self.blocked |= signals.has(Signals::WRITE);
        if self.blocked
            && let Poll::Ready(writable) = self.link.writer.poll_writable(cx)
        {
            let written = writable.map_or(Written::Failed, |()| bench::with(|bench| self.flush(bench)));
            return Poll::Ready(match written {
                Written::All => Next::Again,
                Written::Blocked => self.next_turn(None),
                Written::Failed => Next::End(End::Cut),
            });
        }
        if self.rest.is_some() {
            return self.poll_rest(cx);
        }
        if std::mem::take(&mut self.unread) {
            let mut input = std::mem::take(&mut self.partial);
            let next = bench::with(|bench| self.turn(bench, &mut input));
            self.partial = if input.is_empty() { BytesMut::new() } else { input };
            return Poll::Ready(next);
        }
        bench::with(|bench| self.poll_input(cx, bench))
    }

    fn ended_by(&mut self, signals: Signals) -> Option<End> {
        if signals.has(Signals::CUT) {
            return Some(End::Cut);
        }
        if signals.has(Signals::SHUTDOWN) {
            self.disconnect(ReasonCode::ServerShuttingDown);
            return Some(End::Ours);
        }
        (signals.has(Signals::PART) || signals.has(Signals::CLOSE)).then_some(End::Ours)
    }

    /// DISCONNECT with a reason, as the last packet.
    fn disconnect(&self, reason: ReasonCode) {
        if let Some(mut state) = self.cell.lock_for(&self.link) {
            state.place.slot.disconnect(self.broker.clock.now(), reason);
        }
    }

    /// Reads, and does what was read. What is left of a packet moves into a buffer of the connection's own.
    fn poll_input(&mut self, cx: &mut Context<'_>, bench: &mut Bench) -> Poll<Next> {
        let own = self.partial.len() > PARTIAL_BYTES_MAX;
        let mut input =
            if own { std::mem::take(&mut self.partial) } else { std::mem::take(&mut bench.input) };
        if !own {
            input.clear();
        }
        input.reserve(READ_BYTES_MAX);
        if !own {
            input.extend_from_slice(&self.partial);
        }
        let result = self.reader.poll_read(cx, &mut input);
        if result.is_pending() {
            *(if own { &mut self.partial } else { &mut bench.input }) = input;
            return Poll::Pending;
        }
        let next = match ready!(result) {
            Ok(0) => Next::End(End::Theirs),
            Err(_) => Next::End(End::Cut),
            Ok(count) => {
                add(&self.broker.count.bytes_received, count as u64);
                self.turn(bench, &mut input)
            }
        };
        if own && (input.is_empty() || input.len() > PARTIAL_BYTES_MAX) {
            self.partial = if input.is_empty() { BytesMut::new() } else { input };
        } else {
            self.partial = BytesMut::from(&input[..]);
            if !own {
                bench.input = input;
            }
        }
        Poll::Ready(next)
    }

    /// Does what `input` wants done, as far as it holds whole packets.
    fn turn(&mut self, bench: &mut Bench, input: &mut BytesMut) -> Next {
        let mut ending = None;
        self.broker.count.received(Traffic::of(input));
        {
            let Some(mut state) = self.cell.lock_for(&self.link) else { return Next::End(End::Ours) };
            state.place.fit(&mut bench.pool);
            let now = self.broker.clock.now();
            if bench.work.take_input(&mut state.place, now, input).is_err() {
                ending = Some(End::Ours);
            }
            self.broker.arm(&self.cell, &mut state);
            self.broker.tell_later(&self.cell, &mut state);
        }
        if let Some(info) = &self.info
            && self.broker.hooks.screen()
        {
            let asked = screen::screen(self.broker.hooks.clone(), info.clone(), bench.work.take_events());
            let work = bench.work.successor();
            let rest = self.rest();
            rest.asked = Some(Box::pin(asked));
            (rest.work, rest.end) = (Some(work), ending);
            return Next::Again;
        }
        let Bench { work, pool, .. } = bench;
        self.work(pool, work, ending)
    }

    fn source(&self) -> Source<'_> {
        Source { broker: &self.broker, cell: Some(&self.cell), link: Some(&self.link), tells: self.tells }
    }

    /// Does what `work` holds, a turn's worth of it, and writes; then, if something must be over before the
    /// next packet is read, remembers it.
    fn work(&mut self, pool: &mut Pool, work: &mut Work, ending: Option<End>) -> Next {
        let source = self.source();
        let mut budget = DELIVERIES_MAX;
        let done = work.advance(&source, pool, &mut budget);
        let outcome = work.take_outcome();
        // Taken away even if the connection ends below: the bench is the next connection's.
        let left = (!done).then(|| std::mem::take(work));
        match flush(&self.broker, pool, &self.cell, &self.link) {
            Written::All => {}
            Written::Blocked => self.blocked = true,
            Written::Failed => {
                self.rest().work = left;
                return Next::End(End::Cut);
            }
        }
        let ours = outcome.refused_client || outcome.unstored;
        let ending = ending.or(outcome.goodbye.map(|_| End::Theirs)).or(ours.then_some(End::Ours));
        let asked = outcome.auth.map(|auth| self.ask_again(auth));
        let ahead = self.link.is_ahead_of_disk();
        if done && !ahead && outcome.pressed.is_empty() && asked.is_none() && self.rest.is_none() {
            return self.next_turn(ending);
        }
        let rest = self.rest();
        rest.end = rest.end.or(ending);
        rest.asked = asked;
        rest.pressed.extend(outcome.pressed);
        if done {
            return Next::Again;
        }
        rest.work = left;
        Next::Yield
    }

    fn next_turn(&mut self, ending: Option<End>) -> Next {
        if let Some(end) = ending {
            return Next::End(end);
        }
        self.turns += 1;
        if self.turns < TURNS_MAX {
            return Next::Again;
        }
        self.turns = 0;
        Next::Yield
    }

    /// Answers of hooks, deliveries that were left over, readers that do not keep up; then reading goes on.
    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        let Some(rest) = &mut self.rest else { return Poll::Ready(Next::Again) };
        if let Some(behind) = &rest.behind {
            ready!(behind.poll_due(cx));
            rest.behind = None;
        }
        if let Some(asked) = &mut rest.asked {
            let tasks = ready!(asked.as_mut().poll(cx));
            rest.asked = None;
            let work = rest.work.get_or_insert_default();
            tasks.into_iter().for_each(|task| work.push_task(task));
        }
        if let Some(mut work) = rest.work.take() {
            return Poll::Ready(bench::with(|bench| self.work(&mut bench.pool, &mut work, None)));
        }
        if !rest.pressed.is_empty() && self.link.pressed.load(Acquire) > 0 {
            let patience = rest.patience.get_or_insert_with(|| Box::pin(tokio::time::sleep(PRESSURE_MAX)));
            ready!(patience.as_mut().poll(cx));
            rest.pressed.iter().for_each(|reader| give_up(&self.link, reader));
        }
        if self.link.is_ahead_of_disk() {
            return Poll::Pending;
        }
        let end = rest.end;
        self.rest = None;
        self.resume();
        Poll::Ready(self.next_turn(end))
    }

    /// What must be over before reading goes on: from now on there is something.
    fn rest(&mut self) -> &mut Rest {
        self.link.pause(true);
        self.rest.get_or_insert_default()
    }

    /// Reading goes on. What the client may have sent meanwhile was not read, and its silence was not its own.
    fn resume(&self) {
        if let Some(mut state) = self.cell.lock_for(&self.link) {
            state.place.slot.handle_unread(self.broker.clock.now());
        }
        self.link.pause(false);
    }

    /// The client authenticates again (section 4.12.1).
    fn ask_again(&self, auth: Auth) -> Asked {
        Box::pin(greet::ask_again(self.broker.hooks.clone(), self.info.clone(), auth))
    }

    fn flush(&mut self, bench: &mut Bench) -> Written {
        let written = flush(&self.broker, &mut bench.pool, &self.cell, &self.link);
        self.blocked = written == Written::Blocked;
        written
    }
}

/// The publisher `link` has waited long enough for this reader, which from now on loses QoS 0 until it has
/// drained.
fn give_up(link: &Arc<Link>, reader: &Arc<Cell>) {
    let mut state = reader.lock();
    if state.place.remove_waiter(link) {
        state.place.slot.mark_slow();
        drop(state);
        link.release();
    }
}
