//! Real brokers under load over real sockets: `karere-soak kill9`. `cargo xtask soak` and `cargo xtask bench durable`
//! run it.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this program talks to a person at a terminal")]

mod broker;
mod cast;
mod clock;
mod durable;
mod folder;
mod full;
mod judge;
mod kill9;
mod line;
mod options;
mod probe;
mod publisher;
mod random;
mod report;
mod run;
mod scene;
mod subscriber;
mod tamper;
mod topic;
#[cfg(test)]
mod trial;
mod wills;

use std::process::ExitCode;

use options::Options;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let result = match words.split_first() {
        Some((command, rest)) if command == "kill9" => Options::parse(rest).and_then(|o| kill9::kill9(&o)),
        Some((command, rest)) if command == "durable" => {
            durable::Options::parse(rest).and_then(|o| durable::durable(&o))
        }
        Some((command, rest)) if command == "full" => {
            let program = rest.iter().skip_while(|word| *word != "--karere").nth(1);
            full::full(program.map_or("target/release/karere", String::as_str).as_ref())
        }
        _ => Err(format!("{}\n\n{}", Options::USAGE, durable::Options::USAGE)),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
