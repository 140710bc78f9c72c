//! A broker on a free port, for one test.

use std::net::TcpListener;
use std::process::Command;

use super::peers::system_program;
use super::running::retry;
use super::{Finished, Folder, Running};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Karere,
    Mosquitto,
}

pub(crate) struct Broker {
    pub(crate) port: u16,
    running: Running,
    _folder: Folder,
}

impl Broker {
    /// One that takes everybody, with nothing else configured but that it must not drop what waits in a queue.
    pub(crate) fn start(kind: Kind) -> Broker {
        match kind {
            Kind::Karere => Broker::karere(&[]),
            Kind::Mosquitto => Broker::mosquitto("allow_anonymous true\n"),
        }
    }

    /// Ours, with more arguments.
    pub(crate) fn karere(arguments: &[&str]) -> Broker {
        let folder = Folder::new();
        let mut command = karere();
        command.current_dir(folder.path()).args(["broker", "-p", "0"]).args(arguments);
        // A mosquitto.conf says itself what is kept.
        if !arguments.iter().any(|argument| ["--data", "--mosquitto-conf"].contains(argument)) {
            command.args(["--data", "data"]);
        }
        let running = Running::start(&mut command);
        let line = running.wait_for_line("listening on 127.0.0.1:");
        let port = line.rsplit(':').next().and_then(|port| port.trim().parse().ok());
        let port = port.unwrap_or_else(|| panic!("no port at the end of {line:?}"));
        Broker { port, running, _folder: folder }
    }

    /// Ours, where these arguments say; its port is that of the first listener that has one.
    pub(crate) fn listening(arguments: &[&str]) -> Broker {
        let folder = Folder::new();
        let mut command = karere();
        command.current_dir(folder.path()).args(["broker", "--data", "data"]).args(arguments);
        let running = Running::start(&mut command);
        running.wait_for_line("Ctrl-C");
        let line = running.wait_for_line("listening on ");
        let authority = line.split_once("://127.0.0.1:").map_or("0", |(_, rest)| rest);
        let port = authority.split('/').next().and_then(|port| port.trim().parse().ok());
        let port = port.unwrap_or_else(|| panic!("no port in {line:?}"));
        Broker { port, running, _folder: folder }
    }

    /// Where it listens with this scheme.
    pub(crate) fn url(&self, scheme: &str) -> String {
        let line = self.running.wait_for_line(&format!("listening on {scheme}:"));
        line.trim_start_matches("karere: listening on ").trim().to_owned()
    }

    /// One that a mosquitto.conf with these lines sets up.
    pub(crate) fn configured(kind: Kind, configuration: &str) -> Broker {
        match kind {
            Kind::Karere => {
                let folder = Folder::new();
                let file = folder.file("mosquitto.conf", mosquitto_conf(1883, configuration));
                Broker::karere(&["--mosquitto-conf", &file])
            }
            Kind::Mosquitto => Broker::mosquitto(configuration),
        }
    }

    /// Debian's mosquitto, with more lines of configuration.
    pub(crate) fn mosquitto(configuration: &str) -> Broker {
        // Between our finding a port free and mosquitto's taking it, somebody else may: then the next one.
        retry(|| Broker::try_mosquitto(configuration)).expect("mosquitto does not start")
    }

    fn try_mosquitto(configuration: &str) -> Option<Broker> {
        let (port, folder) = (free_port(), Folder::new());
        let file = folder.file("mosquitto.conf", mosquitto_conf(port, configuration));
        let mut running = Running::start(Command::new(system_program("mosquitto")).args(["-c", &file]));
        let started = retry(|| {
            (running.has_exited() || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()).then_some(())
        });
        (started.is_some() && !running.has_exited()).then_some(Broker { port, running, _folder: folder })
    }

    /// `kill -9`.
    pub(crate) fn kill(self) {
        self.running.kill();
    }

    pub(crate) fn signal(&self, name: &str) {
        self.running.signal(name);
    }

    pub(crate) fn finish(self) -> Finished {
        self.running.finish()
    }

    pub(crate) fn wait_for_line(&self, part: &str) -> String {
        self.running.wait_for_line(part)
    }

    /// Waits for a line of stderr that contains `part`.
    pub(crate) fn wait_for_complaint(&self, part: &str) {
        self.running.wait_for_complaint(part);
    }
}

fn mosquitto_conf(port: u16, more: &str) -> String {
    let fixed = "persistence false\nlog_dest stderr\nlog_type all\nmax_queued_messages 0\n";
    format!("listener {port} 127.0.0.1\n{fixed}{more}")
}

/// Our binary.
pub(crate) fn karere() -> Command {
    Command::new(env!("CARGO_BIN_EXE_karere"))
}

/// A port on which nobody listens.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("bound").port()
}
