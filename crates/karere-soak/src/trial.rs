//! The judge on trial: a real broker without a fault, and every fault on purpose put between it and the judge.

use std::time::Duration;

use karere_broker::{Broker, BrokerHandle};
use tokio::runtime::Runtime;

use crate::clock::MS;
use crate::judge::Kind;
use crate::run::Run;
use crate::scene::Scene;
use crate::tamper::{Fault, Tamper};

/// A broker in this process, in memory.
struct Stage {
    runtime: Runtime,
    broker: BrokerHandle,
}

impl Stage {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let broker = runtime
            .block_on(Broker::builder().listen("127.0.0.1:0").start())
            .expect("a broker on a free port");
        Self { runtime, broker }
    }

    fn run(&self, fault: Option<Fault>) -> Run {
        let scene = Scene::new(self.broker.local_addrs()[0], 11, Tamper::new(fault, 2));
        Run::new(scene, 6000)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = self.runtime.block_on(self.broker.shutdown());
    }
}

/// What the judge must say of `fault`.
fn kinds(fault: Fault) -> &'static [Kind] {
    match fault {
        Fault::Lose => &[Kind::Missing],
        Fault::LoseShared => &[Kind::MissingInGroup],
        Fault::LoseWill => &[Kind::WillMissing],
        Fault::Double => &[Kind::DoubledAtTwo],
        Fault::Swap => &[Kind::OutOfOrder],
        Fault::Misdirect => &[Kind::Unwanted],
        Fault::Cut => &[Kind::Corrupt],
        Fault::ForgetSession => &[Kind::SessionLost],
        Fault::Renumber => &[Kind::Identifier],
        Fault::NotAgain => &[Kind::NotResent],
        Fault::OldRetained => &[Kind::RetainedLost],
    }
}

#[test]
fn a_broker_without_a_fault_is_found_without_one() {
    let stage = Stage::new();
    let mut run = stage.run(None);
    for _ in 0..3 {
        run.load(Duration::from_millis(300));
        run.drain();
    }
    let counts = run.into_counts();
    assert!(counts.clean(), "{:?}", counts.findings());
    assert!(counts.acknowledged > 500 && counts.delivered > counts.acknowledged, "{counts:?}");
}

#[test]
fn every_fault_on_purpose_is_told_for_what_it_is() {
    for (fault, name) in Fault::ALL {
        let stage = Stage::new();
        let mut run = stage.run(Some(fault));
        let end = run.scene.clock.now() + 20_000 * MS;
        while !run.scene.tamper.is_done() {
            assert!(run.scene.clock.now() < end, "{name}: no place for it");
            run.load(Duration::from_millis(50));
            run.ask_retained();
        }
        run.set_patience(300 * MS);
        run.drain();
        let counts = run.into_counts();
        for kind in kinds(fault) {
            assert!(counts.of(*kind) > 0, "{name}: {:?}", counts.findings());
        }
    }
}
