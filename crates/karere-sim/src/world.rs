//! One run: clients, broker and wires, and an agenda that says whose turn it is.

use std::collections::BTreeSet;

use crate::agenda::{End, Step};
use crate::around::Around;
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
}

/// How long all may take to become quiet after the trouble, in milliseconds.
const SETTLING_MILLIS: u64 = 40_000;

/// After so many offences a run stops: they would go on for ever.
const OFFENCES_MAX: usize = 20;

/// Runs it all, and says what happened.
pub(crate) fn run(setting: &Setting) -> History {
    let mut plan = Plan::new(setting.seed);
    plan.trouble_millis = setting.trouble_millis.unwrap_or(plan.trouble_millis);
    World::new(setting, plan).run()
}

struct World {
    around: Around,
    host: Host,
    peers: Vec<Peer>,
    without: BTreeSet<usize>,
    trouble_millis: u64,
}

impl World {
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
        let host = Host::new(seed, plan.broker);
        let (without, trouble_millis) = (setting.without.clone(), plan.trouble_millis);
        Self { around, host, peers, without, trouble_millis }
    }

    fn run(mut self) -> History {
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
            self.step(step);
        }
        self.host.conclude(&mut self.around);
        self.around.history
    }

    /// The trouble is over.
    fn settle(&mut self) {
        self.around.settle();
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
            Step::SlotClock(session) => host.slot_clock(around, session),
        }
    }
}
