//! `kill9`: the real process, real sockets, SIGKILL at random moments.

use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::broker::{Broker, Kind};
use crate::folder::Folder;
use crate::options::Options;
use crate::random::Random;
use crate::report::{Outcome, stories, table};
use crate::run::Run;
use crate::scene::Scene;
use crate::tamper::Tamper;

/// One in so many cycles looks whether all is there; the others only kill.
const LOOK_EVERY: u64 = 4;

/// All brokers of `options`, one after the other; false if the first one of them, or ours, broke a promise.
pub(crate) fn kill9(options: &Options) -> Result<bool, String> {
    let folder = Folder::new(options.keep.as_deref())?;
    let mut outcomes = Vec::new();
    for kind in &options.brokers {
        let outcome = one(kind, options, &folder.path().join(kind.to_string().replace(' ', "-")))?;
        if !outcome.counts.clean() {
            println!("\n{kind}, seed {}:\n{}", options.seed, stories(&outcome));
        }
        outcomes.push(outcome);
    }
    println!("\n{}", table(&outcomes));
    Ok(outcomes.first().is_none_or(|first| first.counts.clean()))
}

fn one(kind: &Kind, options: &Options, folder: &Path) -> Result<Outcome, String> {
    let mut random = Random::new(options.seed);
    let mut broker = Broker::new(kind.clone(), folder.to_owned(), &mut random)?;
    let mut scene = Scene::new(broker.address(), random.next(), Tamper::new(options.fault, 2));
    scene.promises_late = broker.promises_late();
    let mut run = Run::new(scene, options.rate);
    let start = Instant::now();
    let (mut recoveries, mut told) = (Vec::new(), Instant::now());
    let signal = if options.gentle { Signal::TERM } else { Signal::KILL };
    let mut done = 0;
    if options.calm_seconds > 0 {
        recoveries.push(run.start(&mut broker)?);
        for _ in 0..options.calm_seconds {
            run.load(Duration::from_secs(1));
            run.drain();
        }
        if options.cycles > 0 {
            run.kill(&mut broker, Duration::ZERO, signal)?;
        }
    }
    while done < options.cycles {
        recoveries.push(run.start(&mut broker)?);
        if done % LOOK_EVERY == LOOK_EVERY - 1 {
            run.drain();
            if !options.all && !run.judge().counts.clean() {
                break;
            }
        }
        // Also while it starts anew, with hardly anybody connected.
        let life_us = match random.below(100) {
            0..15 => random.between(0, 40_000),
            _ => random.between(40_000, 900_000),
        };
        run.kill(&mut broker, Duration::from_micros(life_us), signal)?;
        done += 1;
        if told.elapsed() > Duration::from_secs(20) {
            told = Instant::now();
            println!(
                "{kind}: {done} of {} kills, {} acknowledged",
                options.cycles,
                run.judge().counts.acknowledged
            );
        }
    }
    if broker.has_ended() {
        recoveries.push(run.start(&mut broker)?);
        run.drain();
    }
    Ok(Outcome {
        broker: kind.to_string(),
        cycles: done,
        counts: run.into_counts(),
        recoveries,
        took: start.elapsed().as_micros() as u64,
    })
}
