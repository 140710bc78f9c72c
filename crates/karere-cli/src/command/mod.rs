//! What each command does.

mod broker;
mod data;
mod demo;
mod hooks;
mod link;
mod listen;
mod publish;
mod secured;
mod subscribe;

use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use crate::exit::{Failure, Outcome};

pub(crate) use broker::broker;
pub(crate) use demo::demo;
pub(crate) use listen::{Endpoint, Family, Listen};
pub(crate) use publish::publish;
pub(crate) use subscribe::subscribe;

/// Runs a command to its end.
///
/// The command itself runs on this thread, which standard input and output may block; connections are driven
/// by `workers` others, so that keep alive goes on meanwhile.
fn run(workers: Option<usize>, command: impl Future<Output = Outcome>) -> Outcome {
    let runtime = runtime(workers).map_err(|error| Failure::error(format!("cannot start: {error}")))?;
    let outcome = runtime.block_on(command);
    runtime.shutdown_timeout(Duration::ZERO);
    outcome
}

fn runtime(workers: Option<usize>) -> std::io::Result<Runtime> {
    let mut builder = Builder::new_multi_thread();
    if let Some(workers) = workers {
        builder.worker_threads(workers);
    }
    builder.enable_all().build()
}
