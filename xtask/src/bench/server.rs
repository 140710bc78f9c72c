//! Brokers, started for one run each and stopped behind it.

use std::fmt;
use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::load::Load;
use super::peers;
use crate::process::find;

/// How long a broker may take until it lets connect.
const START: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Broker {
    /// No broker: the least that a router can do.
    Floor,
    Karere,
    Mosquitto,
    Rumqttd,
    /// Our core under one epoll loop per core.
    Epoll,
}

impl fmt::Display for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Broker::Floor => "relay floor",
            Broker::Karere => "karere",
            Broker::Mosquitto => "mosquitto",
            Broker::Rumqttd => "rumqttd",
            Broker::Epoll => "epoll loop",
        })
    }
}

/// A process that listens on loopback; dropping it ends it.
pub(super) struct Server {
    child: Child,
    port: u16,
}

impl Server {
    /// Starts `broker` with nothing kept on disk and without limits on what may be in flight or wait.
    pub(super) fn start(root: &Path, load: &Load, broker: Broker) -> Result<Self, String> {
        let folder = root.join("target/bench");
        fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let log = folder.join(format!("{broker}.log").replace(' ', "-"));
        if broker == Broker::Karere {
            let mut command = Command::new(root.join("target/release/karere"));
            command.args(["broker", "--data", "none", "-p", "0"]);
            return Self::spawn(&mut command, 0, &log);
        }
        let port = free_port()?;
        let mut command = match broker {
            Broker::Mosquitto => {
                let program = find("mosquitto").ok_or("mosquitto is not installed")?;
                let file = folder.join("mosquitto.conf");
                fs::write(&file, mosquitto_conf(port))
                    .map_err(|error| format!("{}: {error}", file.display()))?;
                let mut command = Command::new(program);
                command.arg("-c").arg(file);
                command
            }
            Broker::Rumqttd => peers::command(root, "rumqttd", &[&port.to_string()]),
            Broker::Epoll => peers::command(root, "epoll", &[&port.to_string()]),
            _ => load.serve("relay", port),
        };
        Self::spawn(&mut command, port, &log)
    }

    /// Starts what listens on `port`; 0: on the one that it prints.
    pub(super) fn spawn(command: &mut Command, port: u16, log: &Path) -> Result<Self, String> {
        let file = || File::create(log).map_err(|error| format!("{}: {error}", log.display()));
        let out = file()?;
        let err = out.try_clone().map_err(|error| format!("{}: {error}", log.display()))?;
        let child = command.stdin(Stdio::null()).stdout(out).stderr(err).spawn();
        let child = child.map_err(|error| format!("{}: {error}", command.get_program().to_string_lossy()))?;
        let mut server = Self { child, port };
        let end = Instant::now() + START;
        while Instant::now() < end && matches!(server.child.try_wait(), Ok(None)) {
            server.port = if port == 0 { printed_port(log).unwrap_or(0) } else { port };
            if server.port != 0 && TcpStream::connect(("127.0.0.1", server.port)).is_ok() {
                return Ok(server);
            }
            thread::sleep(Duration::from_millis(10));
        }
        let text = fs::read_to_string(log).unwrap_or_default();
        Err(format!("{} does not start:\n{text}", command.get_program().to_string_lossy()))
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that nobody listens on.
pub(super) fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
    listener.map(|address| address.port()).map_err(|error| format!("no free port: {error}"))
}

/// From `listening on 127.0.0.1:1234`.
fn printed_port(log: &Path) -> Option<u16> {
    let text = fs::read_to_string(log).ok()?;
    let (_, rest) = text.split_once("127.0.0.1:")?;
    let (port, _) = rest.split_once('\n')?;
    port.trim().parse().ok()
}

fn mosquitto_conf(port: u16) -> String {
    format!(
        "listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nlog_type none\n\
         max_inflight_messages 0\nmax_queued_messages 0\n"
    )
}
