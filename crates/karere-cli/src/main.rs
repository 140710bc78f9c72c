//! The `karere` command.

mod args;
mod command;
mod exit;
mod format;
mod input;
mod mosquitto_conf;
mod output;
mod signal;

use std::process::ExitCode;

use args::Command;

fn main() -> ExitCode {
    match args::parse(std::env::args_os()) {
        Ok(command) => run(command),
        Err(error) => {
            // Help goes to stdout and is no failure; a mistake goes to stderr and ends as mosquitto's tools do.
            let is_mistake = error.use_stderr();
            let _ = error.print();
            if is_mistake { ExitCode::FAILURE } else { ExitCode::SUCCESS }
        }
    }
}

fn run(command: Command) -> ExitCode {
    let quiet = command.is_quiet();
    let outcome = match command {
        Command::Broker(args) => command::broker(&args),
        Command::Demo(args) => command::demo(&args),
        Command::Pub(args) => args.resolve().and_then(command::publish),
        Command::Sub(args) => args.resolve().and_then(command::subscribe),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.is_silent(quiet) {
                output::complain(&failure);
            }
            failure.exit_code()
        }
    }
}
