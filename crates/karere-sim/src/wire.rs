//! One Network Connection: bytes that take their time, in any chunks, until it is lost.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use crate::agenda::{Agenda, End, Step};
use crate::plan::Weather;
use crate::random::Random;

/// A connection between a client and the broker, numbered in the order in which they were opened.
#[derive(Debug)]
pub(crate) struct Wire {
    number: usize,
    pub(crate) peer: usize,
    random: Random,
    weather: Weather,
    to_broker: Pipe,
    to_client: Pipe,
    /// It carries nothing any more, whether the ends know that or not.
    lost: bool,
    /// The client has closed its end, or the broker has.
    closed: [bool; 2],
}

/// One direction.
#[derive(Debug, Default)]
struct Pipe {
    flying: VecDeque<(u64, Bytes)>,
    /// Bytes sent and not arrived.
    pending: usize,
    /// When the last of them arrives.
    last_at: u64,
    carried: usize,
    /// After so many bytes the wire is lost.
    cut_after: Option<usize>,
    /// It has come to that, and nothing more goes this way.
    dry: bool,
}

impl Wire {
    pub(crate) fn new(seed: u64, number: usize, peer: usize, opened: u64, weather: Weather) -> Self {
        let mut random = Random::new(seed ^ opened << 8, 1_000 + peer as u64);
        let mut wire = Self {
            number,
            peer,
            weather,
            to_broker: Pipe::default(),
            to_client: Pipe::default(),
            lost: false,
            closed: [false; 2],
            random: random.clone(),
        };
        if random.percent(weather.cut) {
            let after = random.pick(&[20, 200, 2_000, 8_000]);
            let end = random.pick(&[End::Client, End::Broker]);
            wire.pipe(end).cut_after = Some(random.below(after) as usize);
        }
        wire.random = random;
        wire
    }

    /// Takes bytes on their way to `end`, as far as there is room. How many.
    pub(crate) fn send(&mut self, now: u64, agenda: &mut Agenda, end: End, bytes: &[u8]) -> usize {
        let room = self.room(end);
        let mut rest = &bytes[..bytes.len().min(room)];
        let sent = rest.len();
        while !rest.is_empty() {
            let most = self.weather.chunk_bytes_max.min(rest.len() as u64);
            let (chunk, behind) = rest.split_at(self.random.between(1, most) as usize);
            rest = behind;
            self.launch(now, agenda, end, chunk);
        }
        sent
    }

    /// Bytes that it takes on their way to `end`.
    pub(crate) fn room(&mut self, end: End) -> usize {
        self.weather.room_bytes.saturating_sub(self.pipe(end).pending)
    }

    /// What has come to `end` by now.
    pub(crate) fn arrived(&mut self, now: u64, end: End) -> BytesMut {
        let pipe = self.pipe(end);
        let mut arrived = BytesMut::new();
        while let Some((_, bytes)) = pipe.flying.pop_front_if(|(at, _)| *at <= now) {
            pipe.pending -= bytes.len();
            arrived.extend_from_slice(&bytes);
        }
        arrived
    }

    /// `end` closes: the other learns it behind the last byte. Does nothing the second time.
    pub(crate) fn close(&mut self, now: u64, agenda: &mut Agenda, end: End) {
        if std::mem::replace(&mut self.closed[end as usize], true) || self.lost {
            return;
        }
        let other = end.other();
        let delay = self.delay();
        let pipe = self.pipe(other);
        pipe.last_at = pipe.last_at.max(now + delay);
        agenda.push(pipe.last_at, Step::Lost(self.number, other));
    }

    /// It carries nothing from now on. Each end learns it in its own time; `forgetful` names one that does not for long.
    pub(crate) fn cut(&mut self, now: u64, agenda: &mut Agenda, forgetful: Option<End>) {
        if std::mem::replace(&mut self.lost, true) {
            return;
        }
        let half_open = self.random.percent(self.weather.half_open);
        let chosen = self.random.pick(&[End::Client, End::Broker]);
        let forgetful = forgetful.or(half_open.then_some(chosen));
        for end in [End::Client, End::Broker] {
            self.pipe(end).flying.clear();
            let most = if forgetful == Some(end) { 60_000 } else { self.weather.delay_millis_max };
            agenda.push(now + self.random.between(0, most), Step::Lost(self.number, end));
        }
    }

    /// No more trouble: it stays and is fast, and where it is lost both ends learn so soon.
    pub(crate) fn calm(&mut self, now: u64, agenda: &mut Agenda) {
        self.weather = Weather::FINE;
        for end in [End::Client, End::Broker] {
            self.pipe(end).cut_after = None;
            if self.lost {
                agenda.push(now + 1, Step::Lost(self.number, end));
            }
        }
    }

    fn launch(&mut self, now: u64, agenda: &mut Agenda, end: End, chunk: &[u8]) {
        let (number, lost, delay) = (self.number, self.lost, self.delay());
        let pipe = self.pipe(end);
        pipe.pending += chunk.len();
        if lost || pipe.dry {
            return; // it fills up
        }
        pipe.last_at = pipe.last_at.max(now + delay);
        let left = pipe.cut_after.map_or(usize::MAX, |after| after.saturating_sub(pipe.carried));
        pipe.carried += chunk.len();
        if left > 0 {
            let chunk = Bytes::copy_from_slice(&chunk[..chunk.len().min(left)]);
            pipe.flying.push_back((pipe.last_at, chunk));
            agenda.push(pipe.last_at, Step::Arrive(number, end));
        }
        if left < chunk.len() {
            pipe.dry = true;
            agenda.push(pipe.last_at + 1, Step::Cut(number));
        }
    }

    fn delay(&mut self) -> u64 {
        let most = self.weather.delay_millis_max;
        // Now and then something is held up.
        if self.random.percent(2) { self.random.between(0, 20 * most) } else { self.random.between(0, most) }
    }

    /// The direction that leads to `end`.
    fn pipe(&mut self, end: End) -> &mut Pipe {
        match end {
            End::Client => &mut self.to_client,
            End::Broker => &mut self.to_broker,
        }
    }
}

impl End {
    pub(crate) const fn other(self) -> Self {
        match self {
            Self::Client => Self::Broker,
            Self::Broker => Self::Client,
        }
    }
}
