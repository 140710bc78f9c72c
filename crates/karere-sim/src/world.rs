//! One run: clients, broker and wires, and an agenda that says whose turn it is.

use std::collections::BTreeSet;

use crate::agenda::{End, Step};
use crate::around::Around;
use crate::crash::Crash;
use crate::fault::{Fault, Faults};
use crate::history::History;
use crate::host::Host;
use crate::peer::Peer;
use crate::plan::Plan;

/// What is run: by default all of what a seed plans.
#[derive(Debug, Clone, Default)]
pub(crate) struct Setting {
    pub(crate) seed: u64,
    pub(crate) fault: Option<Fault>,
    /// Clients that stay away.
    pub(crate) without: BTreeSet<usize>,
    /// Milliseconds of trouble, if not as many as planned.
    pub(crate) trouble_millis: Option<u64>,
    /// The broker is killed there, and only there, on a disk that does not fail.
    pub(crate) crash: Option<Crash>,
    /// How often the broker is killed, if not as often as planned.
    pub(crate) kills_max: Option<usize>,
}

/// How long all may take to become quiet after the trouble, in milliseconds.
const SETTLING_MILLIS: u64 = 40_000;

/// After so many offences a run stops: they would go on for ever.
const OFFENCES_MAX: usize = 20;

/// Runs it all, and says what happened.
pub(crate) fn run(setting: &Setting) -> History {
    World::planned(setting).run().around.history
}

/// Runs it all, and says how many changes the broker's disk has seen.
pub(crate) fn changes(setting: &Setting) -> usize {
    World::planned(setting).run().host.changes()
}

struct World {
    around: Around,
    host: Host,
    peers: Vec<Peer>,
    without: BTreeSet<usize>,
    trouble_millis: u64,
}

impl World {
    fn planned(setting: &Setting) -> Self {
        let mut plan = Plan::new(setting.seed);
        plan.trouble_millis = setting.trouble_millis.unwrap_or(plan.trouble_millis);
        if let Some(crash) = setting.crash {
            plan.crash_on_disk(crash.tail);
        }
        Self::new(setting, plan)
    }

    fn new(setting: &Setting, plan: Plan) -> Self {
        let seed = setting.seed;
        let mut around = Around::new(seed, Faults::new(setting.fault), plan.weather);
        let peers = plan.clients.into_iter().enumerate();
        let peers: Vec<Peer> = peers.map(|(number, client)| Peer::new(seed, number, client)).collect();
        let present = (0..peers.len()).filter(|number| !setting.without.contains(number));
        for number in present {
            around.later(37 * number as u64, Step::Open(number));
            around.later(200 + 41 * number as u64, Step::Act(number));
        }
        if let Some(disk) = &plan.disk {
            for (number, kill) in disk.kills.iter().enumerate().take(setting.kills_max.unwrap_or(usize::MAX))
            {
                around.later(kill.at, Step::Kill(number));
            }
            for (number, trouble) in disk.troubles.iter().enumerate() {
                around.later(trouble.at, Step::Trouble(number));
            }
        }
        let mut host = Host::new(seed, plan.broker, plan.disk);
        if let Some(crash) = setting.crash {
            host.crash_at(crash.changes);
        }
        host.revive(&mut around, 0);
        let (without, trouble_millis) = (setting.without.clone(), plan.trouble_millis);
        Self { around, host, peers, without, trouble_millis }
    }

    fn run(mut self) -> Self {
        while let Some((at, step)) = self.around.agenda.pop() {
            if !self.around.settling && at > self.trouble_millis {
                self.around.now = self.trouble_millis;
                self.settle();
            }
            let enough = self.around.history.offences.len() >= OFFENCES_MAX;
            if at > self.trouble_millis + SETTLING_MILLIS || enough {
                break;
            }
            self.around.now = at;
            self.around.began = self.around.history.entries.len();
            self.step(step);
        }
        self.host.conclude(&mut self.around);
        self
    }

    /// The trouble is over.
    fn settle(&mut self) {
        self.around.settle();
        self.host.settle();
        if self.host.is_down() {
            let life = self.host.life();
            self.around.later(1, Step::Revive(life));
        }
        for (number, peer) in self.peers.iter_mut().enumerate() {
            if !self.without.contains(&number) {
                peer.settle(&mut self.around);
            }
        }
    }

    fn step(&mut self, step: Step) {
        let Self { around, host, peers, .. } = self;
        match step {
            Step::Act(peer) => peers[peer].act(around),
            Step::Acknowledge(peer) => peers[peer].acknowledge(around),
            Step::Open(peer) => peers[peer].open(around),
            Step::PeerStored(peer, sequence) => peers[peer].stored(around, sequence),
            Step::PeerClock(peer) => peers[peer].clock(around),
            Step::Arrive(wire, End::Broker) => {
                host.arrive(around, wire);
                peers[around.wires[wire].peer].writable(around, wire);
            }
            Step::Arrive(wire, End::Client) => {
                peers[around.wires[wire].peer].arrive(around, wire);
                host.writable(around, wire);
            }
            Step::Cut(wire) => around.cut(wire, None),
            Step::Lost(wire, End::Broker) => host.lost(around, wire),
            Step::Lost(wire, End::Client) => peers[around.wires[wire].peer].lost(around, wire),
            Step::Turn(wire) => host.turn(around, wire),
            Step::Greeted(wire) => host.greeted(around, wire),
            Step::SlotStored(session, sequence) => host.stored(around, session, sequence),
            Step::SlotKept(session, sequence) => host.kept_stored(around, session, sequence),
            Step::SlotHeld(session, number) => host.held_stored(around, session, number),
            Step::SlotClock(session) => host.slot_clock(around, session),
            Step::Take(life) => host.take(around, life),
            Step::Synced(life) => host.synced(around, life),
            Step::Go(life) => host.go(around, life),
            Step::Kill(number) if !around.settling => host.kill(around, number),
            Step::Trouble(number) if !around.settling => host.trouble(around, number),
            Step::Kill(_) | Step::Trouble(_) => {}
            Step::Revive(life) => host.revive(around, life),
            Step::Mend => host.mend(),
        }
    }
}
