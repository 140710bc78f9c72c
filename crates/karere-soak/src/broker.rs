//! The broker as a process: started, killed, started again on the same folder.

use std::fmt;
use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::random::Random;

/// Which broker, and how it keeps its data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Ours: the program and `--durability`.
    Karere { program: PathBuf, durability: String },
    /// mosquitto with `persistence true`, by default saved every 30 minutes and at the end.
    Mosquitto { program: PathBuf },
    /// The same, saved at every change: the most that it can be told to do.
    MosquittoAutosave { program: PathBuf },
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Karere { durability, .. } => write!(f, "karere {durability}"),
            Self::Mosquitto { .. } => f.write_str("mosquitto"),
            Self::MosquittoAutosave { .. } => f.write_str("mosquitto autosave"),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Broker {
    kind: Kind,
    folder: PathBuf,
    port: u16,
    child: Option<Child>,
}

impl Broker {
    /// One that keeps its data in `folder`; not started.
    pub(crate) fn new(kind: Kind, folder: PathBuf, random: &mut Random) -> Result<Self, String> {
        let data = folder.join("data");
        fs::create_dir_all(&data).map_err(|error| format!("{}: {error}", data.display()))?;
        Ok(Self { kind, folder, port: free_port(random)?, child: None })
    }

    /// Whether a QoS 2 message counts as taken with PUBCOMP only: mosquitto hands it on at PUBREL, which the
    /// specification allows it. Ours promises it with PUBREC.
    pub(crate) fn promises_late(&self) -> bool {
        !matches!(self.kind, Kind::Karere { .. })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    pub(crate) fn start(&mut self) -> Result<(), String> {
        let mut command = self.command()?;
        let log = File::options().create(true).append(true).open(self.log());
        let log = log.map_err(|error| format!("{}: {error}", self.log().display()))?;
        let err = log.try_clone().map_err(|error| error.to_string())?;
        let child = command.stdin(Stdio::null()).stdout(log).stderr(err).spawn();
        self.child =
            Some(child.map_err(|error| format!("{}: {error}", command.get_program().to_string_lossy()))?);
        Ok(())
    }

    /// A signal after `wait`, from a thread of its own: wherever the broker is then. `killed` is set before.
    pub(crate) fn kill_in(&self, wait: Duration, signal: Signal, killed: &Arc<AtomicBool>) {
        let Some(pid) = self.pid() else { return };
        let killed = Arc::clone(killed);
        // Until we have waited for it, its number is nobody else's.
        thread::spawn(move || {
            thread::sleep(wait);
            killed.store(true, Ordering::SeqCst);
            let _ = kill_process(pid, signal);
        });
    }

    /// A signal now, and the end waited for.
    pub(crate) fn kill_now(&mut self, signal: Signal) {
        if let Some(pid) = self.pid() {
            let _ = kill_process(pid, signal);
        }
        if let Some(mut child) = self.child.take() {
            let _ = child.wait();
        }
    }

    /// Whether it has ended; then it is gone for good.
    pub(crate) fn has_ended(&mut self) -> bool {
        let ended = match &mut self.child {
            Some(child) => !matches!(child.try_wait(), Ok(None)),
            None => true,
        };
        if ended {
            self.child = None;
        }
        ended
    }

    pub(crate) fn process_number(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.folder.join("broker.log")
    }

    /// What it has said of a panic, if it has.
    pub(crate) fn panics(&self) -> Option<String> {
        let text = fs::read(self.log()).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let at = text.find("panicked at")?;
        Some(text[at..].lines().take(3).collect::<Vec<_>>().join(" / "))
    }

    /// The end of what it has said.
    pub(crate) fn last_words(&self) -> String {
        let text = fs::read(self.log()).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(12)..].join("\n")
    }

    fn pid(&self) -> Option<Pid> {
        Pid::from_raw(i32::try_from(self.child.as_ref()?.id()).ok()?)
    }

    fn command(&self) -> Result<Command, String> {
        let data = self.folder.join("data");
        let port = self.port.to_string();
        match &self.kind {
            Kind::Karere { program, durability } => {
                let mut command = Command::new(program);
                command.args(["broker", "-p", &port, "--durability", durability, "--data"]).arg(data);
                Ok(command)
            }
            Kind::Mosquitto { program } => self.mosquitto(program, &data, ""),
            Kind::MosquittoAutosave { program } => {
                self.mosquitto(program, &data, "autosave_on_changes true\nautosave_interval 1\n")
            }
        }
    }

    fn mosquitto(&self, program: &Path, data: &Path, more: &str) -> Result<Command, String> {
        let file = self.folder.join("mosquitto.conf");
        let text = format!(
            "listener {} 127.0.0.1\nallow_anonymous true\nuser root\npersistence true\n\
             persistence_location {}/\nmax_queued_messages 0\nlog_type error\nlog_type warning\n\
             set_tcp_nodelay true\n{more}",
            self.port,
            data.display()
        );
        fs::write(&file, text).map_err(|error| format!("{}: {error}", file.display()))?;
        let mut command = Command::new(program);
        command.arg("-c").arg(file);
        Ok(command)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A port that nobody listens on, and that no outgoing connection is given: while the broker is away, one to this
/// port would else be connected to itself.
fn free_port(random: &mut Random) -> Result<u16, String> {
    for _ in 0..200 {
        let port = random.between(20_000, 32_000) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    Err("no free port from 20000 to 32000".to_owned())
}
