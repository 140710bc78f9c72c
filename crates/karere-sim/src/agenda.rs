//! What happens when.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use karere_core::store::StoreSequence;

use crate::random::mix;

/// Which end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum End {
    /// The client's.
    Client,
    /// The broker's.
    Broker,
}

/// One thing that happens at its time. Peers, wires and places are named by their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    /// The application does something.
    Act(usize),
    /// The application is done with one of the messages that it was given.
    Acknowledge(usize),
    /// A client opens a connection.
    Open(usize),
    /// What a client records is stored.
    PeerStored(usize, StoreSequence),
    /// A client's deadline.
    PeerClock(usize),
    /// Bytes have come to an end of a wire.
    Arrive(usize, End),
    /// A wire carries nothing from now on.
    Cut(usize),
    /// An end of a wire learns that it has gone.
    Lost(usize, End),
    /// The broker's task of a wire has its turn.
    Turn(usize),
    /// A connection must have said CONNECT by now.
    Greeted(usize),
    /// What a session records is stored.
    SlotStored(u32, StoreSequence),
    /// What a session keeps is stored; or what it holds back.
    SlotKept(u32, u64),
    SlotHeld(u32, u64),
    /// A session's deadline.
    SlotClock(u32),
    /// The broker's store takes what is to be written, in this life of the broker's.
    Take(u32),
    /// Its sync ends.
    Synced(u32),
    /// Who waited for the disk has their turn.
    Go(u32),
    /// The broker is killed, for the time that the plan numbers so; or is there again.
    Kill(usize),
    Revive(u32),
    /// The disk makes the trouble that the plan numbers so, or no more.
    Trouble(usize),
    Mend,
}

/// Steps in the order of their times; those of one time in an order that the seed decides, step by step, so that
/// leaving some out does not change the order of the others.
#[derive(Debug)]
pub(crate) struct Agenda {
    heap: BinaryHeap<Reverse<(u64, u64, Step)>>,
    seed: u64,
}

impl Agenda {
    pub(crate) fn new(seed: u64) -> Self {
        Self { heap: BinaryHeap::new(), seed }
    }

    pub(crate) fn push(&mut self, at: u64, step: Step) {
        let (kind, number) = match step {
            Step::Act(peer) => (1, peer),
            Step::Acknowledge(peer) => (2, peer),
            Step::Open(peer) => (3, peer),
            Step::PeerStored(peer, _) => (4, peer),
            Step::PeerClock(peer) => (5, peer),
            Step::Arrive(wire, end) => (6 + end as u64, wire),
            Step::Cut(wire) => (8, wire),
            Step::Lost(wire, end) => (9 + end as u64, wire),
            Step::Turn(wire) => (11, wire),
            Step::Greeted(wire) => (12, wire),
            Step::SlotStored(place, _) => (13, place as usize),
            Step::SlotClock(place) => (14, place as usize),
            Step::SlotKept(place, _) => (15, place as usize),
            Step::SlotHeld(place, _) => (16, place as usize),
            Step::Take(life) => (17, life as usize),
            Step::Synced(life) => (18, life as usize),
            Step::Go(life) => (19, life as usize),
            Step::Kill(number) => (20, number),
            Step::Revive(life) => (21, life as usize),
            Step::Trouble(number) => (22, number),
            Step::Mend => (23, 0),
        };
        let tie = mix(self.seed ^ at << 24 ^ kind << 16 ^ number as u64);
        self.heap.push(Reverse((at, tie, step)));
    }

    pub(crate) fn pop(&mut self) -> Option<(u64, Step)> {
        self.heap.pop().map(|Reverse((at, _, step))| (at, step))
    }
}
