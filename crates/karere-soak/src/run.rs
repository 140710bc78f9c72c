//! A run: load, kill, start again, look.

use std::time::Duration;

use rustix::process::Signal;

use crate::broker::Broker;
use crate::cast::Cast;
use crate::clock::{MS, Step};
use crate::judge::{Counts, Judge, Kind};
use crate::line::{Line, wait};
use crate::probe::Probe;
use crate::publisher::Publisher;
use crate::scene::Scene;
use crate::subscriber::Subscriber;

/// Without progress for so long, nothing more will come.
const PATIENCE: Step = 5000 * MS;

/// How long a broker may take until it lets connect.
const START: Step = 60_000 * MS;

/// How long it takes to go, once killed.
const END: Step = 10_000 * MS;

#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) scene: Scene,
    cast: Cast,
    probe: Option<Probe>,
    probes: u64,
    patience: Step,
}

impl Run {
    pub(crate) fn new(mut scene: Scene, rate: u64) -> Self {
        let cast = Cast::new(&mut scene, rate);
        Self { scene, cast, probe: None, probes: 0, patience: PATIENCE }
    }

    /// From the start of the broker until somebody is let in: how long that took.
    pub(crate) fn start(&mut self, broker: &mut Broker) -> Result<Step, String> {
        self.scene.killed.store(false, std::sync::atomic::Ordering::SeqCst);
        let start = self.scene.clock.now();
        broker.start()?;
        self.scene.note("broker", "started");
        while !self.cast.lines().any(Line::is_up) {
            self.turn();
            if broker.has_ended() {
                return Err(format!("the broker does not start:\n{}", broker.last_words()));
            }
            if self.scene.clock.now() > start + START {
                return Err(format!("the broker lets nobody in:\n{}", broker.last_words()));
            }
        }
        let took = self.scene.clock.now() - start;
        self.scene.note("broker", "is up");
        self.ask_retained();
        Ok(took)
    }

    /// Load until `wait` has passed, with a kill behind it, and until everybody has noticed.
    pub(crate) fn kill(&mut self, broker: &mut Broker, wait: Duration, signal: Signal) -> Result<(), String> {
        broker.kill_in(wait, signal, &self.scene.killed);
        let end = self.scene.clock.now() + wait.as_micros() as Step + END;
        while !broker.has_ended() {
            self.turn();
            if self.scene.clock.now() > end {
                return Err("the broker does not end".to_owned());
            }
        }
        if !self.scene.killed.load(std::sync::atomic::Ordering::SeqCst) {
            self.scene.find(Kind::Died, "broker", &broker.last_words());
            self.scene.killed.store(true, std::sync::atomic::Ordering::SeqCst);
        }
        self.scene.note("broker", "killed");
        // What it had written before is read to the end.
        while self.cast.lines().any(Line::is_up) {
            self.turn();
            if self.scene.clock.now() > end {
                return Err("connections outlive the broker".to_owned());
            }
        }
        self.scene.lost_at = self.scene.clock.step();
        if let Some(panic) = broker.panics() {
            self.scene.find(Kind::Died, "broker", &panic);
        }
        Ok(())
    }

    /// Load for so long.
    pub(crate) fn load(&mut self, wait: Duration) {
        let end = self.scene.clock.now() + wait.as_micros() as Step;
        while self.scene.clock.now() < end {
            self.turn();
        }
    }

    /// Nothing new, everybody there, until all has come or nothing comes any more; then what is missing is missing.
    pub(crate) fn drain(&mut self) {
        self.scene.busy = false;
        self.cast.wills.finish();
        self.ask_retained();
        let (mut progress, mut since, mut looked) = (self.progress(), self.scene.clock.now(), 0);
        loop {
            self.turn();
            let now = self.scene.clock.now();
            let latest = self.progress();
            if latest != progress {
                (progress, since) = (latest, now);
            }
            // Looking costs more than a turn.
            if now > looked + 10 * MS {
                looked = now;
                if self.is_quiet() && self.scene.judge.outstanding() == 0 {
                    break;
                }
            }
            if now > since + self.patience {
                self.tell_what_stands_still();
                break;
            }
        }
        self.barrier();
        let step = self.scene.clock.step();
        self.scene.judge.settle(step);
        self.scene.busy = true;
    }

    /// Waits less for what never comes.
    #[cfg(test)]
    pub(crate) fn set_patience(&mut self, patience: Step) {
        self.patience = patience;
    }

    pub(crate) fn judge(&self) -> &Judge {
        &self.scene.judge
    }

    pub(crate) fn into_counts(self) -> Counts {
        self.scene.judge.counts
    }

    /// A round of reading and writing, after at most a millisecond of waiting.
    pub(crate) fn turn(&mut self) {
        wait(self.cast.lines().chain(self.probe.iter().map(Probe::line)));
        self.cast.turn(&mut self.scene);
        if let Some(probe) = &mut self.probe {
            probe.turn(&mut self.scene);
        }
        self.probe.take_if(|probe| probe.is_over());
    }

    /// What is retained is looked at; also while it changes.
    pub(crate) fn ask_retained(&mut self) {
        self.probes += 1;
        self.probe = Some(Probe::new(self.probes));
    }

    fn progress(&self) -> (u64, u64) {
        let counts = &self.scene.judge.counts;
        (counts.acknowledged + counts.wills_due, counts.delivered)
    }

    fn is_quiet(&self) -> bool {
        let cast = &self.cast;
        cast.publishers.iter().all(Publisher::is_idle)
            && cast.subscribers.iter().all(Subscriber::is_idle)
            && cast.wills.is_idle()
            && self.probe.is_none()
    }

    fn tell_what_stands_still(&mut self) {
        let publishers = self.cast.publishers.iter().filter(|publisher| !publisher.is_idle());
        let subscribers = self.cast.subscribers.iter().filter(|subscriber| !subscriber.is_idle());
        let states = publishers.map(Publisher::state).chain(subscribers.map(Subscriber::state));
        let states: Vec<(String, String)> = states.map(|(name, state)| (name.to_owned(), state)).collect();
        for (name, state) in states {
            self.scene.find(Kind::Stuck, &name, &state);
        }
    }

    /// All that the broker had to say to its subscribers before now has been read.
    fn barrier(&mut self) {
        self.cast.subscribers.iter_mut().filter(|s| s.line().is_up()).for_each(Subscriber::ping);
        let end = self.scene.clock.now() + PATIENCE;
        while self.cast.subscribers.iter().any(Subscriber::is_pinged) && self.scene.clock.now() < end {
            self.turn();
        }
    }
}
