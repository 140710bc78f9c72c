//! What all actors share: the time, the wires, the history.

use bytes::{Buf, Bytes, BytesMut};
use karere_core::Instant;
use karere_core::connection::Outbox;

use crate::agenda::{Agenda, End, Step};
use crate::fault::{Fault, Faults};
use crate::history::{History, Letter, Note};
use crate::host;
use crate::plan::Weather;
use crate::tap::Tap;
use crate::wire::Wire;

/// What all actors share.
#[derive(Debug)]
pub(crate) struct Around {
    /// Milliseconds since the beginning of the run.
    pub(crate) now: u64,
    pub(crate) seed: u64,
    pub(crate) agenda: Agenda,
    pub(crate) wires: Vec<Wire>,
    pub(crate) history: History,
    pub(crate) faults: Faults,
    /// Where in the history the step began that is done now.
    pub(crate) began: usize,
    /// No more trouble: everything that is on its way is to arrive.
    pub(crate) settling: bool,
    weather: Weather,
}

/// Where the actors' timeline begins, so that nothing depends on its being 0.
const BEGINNING_MILLIS: u64 = 1_000_000;

/// When that was, from 1970.
const WALL_MILLIS: u64 = 1_790_000_000_000;

impl Around {
    pub(crate) fn new(seed: u64, faults: Faults, weather: Weather) -> Self {
        Self {
            now: 0,
            seed,
            agenda: Agenda::new(seed),
            wires: Vec::new(),
            history: History::default(),
            faults,
            began: 0,
            settling: false,
            weather,
        }
    }

    /// What the clock on the wall says, if nobody turns it: milliseconds since 1970.
    pub(crate) fn wall_millis(&self) -> u64 {
        WALL_MILLIS + self.now
    }

    /// Now, as the core knows it.
    pub(crate) fn instant(&self) -> Instant {
        Instant::from_millis(BEGINNING_MILLIS + self.now)
    }

    pub(crate) fn later(&mut self, millis: u64, step: Step) {
        self.agenda.push(self.now + millis, step);
    }

    /// At an instant of the core's; at once if that has passed.
    pub(crate) fn at(&mut self, instant: Instant, step: Step) {
        let at = instant.as_millis().saturating_sub(BEGINNING_MILLIS);
        self.agenda.push(at.max(self.now), step);
    }

    pub(crate) fn note(&mut self, note: Note) {
        self.history.note(self.now, note);
    }

    pub(crate) fn letter(&mut self, letter: Letter) -> u64 {
        self.history.letter(letter)
    }

    /// A new connection of `peer`.
    pub(crate) fn open(&mut self, peer: usize) -> usize {
        let number = self.wires.len();
        let weather = if self.settling { Weather::FINE } else { self.weather };
        self.wires.push(Wire::new(self.seed, number, peer, self.now, weather));
        self.note(Note::Opened { peer, wire: number });
        number
    }

    /// Takes what waits in an outbox, for the driver to write, and shows it to `tap`: it counts as sent from now on.
    pub(crate) fn take(&mut self, wire: usize, to: End, outbox: &mut Outbox, tap: &mut Tap) -> Bytes {
        let mut bytes = outbox.copy_to_bytes(outbox.remaining());
        if to == End::Client && self.faults.is(Fault::ReuseNumber) {
            bytes = host::reuse_number(&mut self.faults, tap.version(), &bytes);
        }
        tap.sent(self, wire, to, &bytes);
        bytes
    }

    /// Moves bytes from a driver's hands to the wire, as far as it takes them. How many.
    pub(crate) fn send(&mut self, wire: usize, to: End, leaving: &mut BytesMut) -> usize {
        let sent = self.wires[wire].send(self.now, &mut self.agenda, to, leaving);
        leaving.advance(sent);
        sent
    }

    /// What has come to `end`.
    pub(crate) fn arrived(&mut self, wire: usize, end: End) -> BytesMut {
        self.wires[wire].arrived(self.now, end)
    }

    pub(crate) fn close(&mut self, wire: usize, end: End) {
        self.wires[wire].close(self.now, &mut self.agenda, end);
    }

    pub(crate) fn cut(&mut self, wire: usize, forgetful: Option<End>) {
        self.note(Note::Cut { wire });
        self.wires[wire].cut(self.now, &mut self.agenda, forgetful);
    }

    /// From now on everything goes well.
    pub(crate) fn settle(&mut self) {
        self.settling = true;
        for wire in &mut self.wires {
            wire.calm(self.now, &mut self.agenda);
        }
    }
}
