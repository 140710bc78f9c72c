//! `mqload`, the load generator beside this repository.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::scenario::Scenario;
use super::server::Server;
use crate::process::{capture, cargo};

/// Where its sources are, seen from the root of the workspace.
pub(super) const FOLDER: &str = "../shared/mqload";

/// How long a run may take beyond the seconds of publishing. A broker that stands still longer is taken as stalled.
const PATIENCE: Duration = Duration::from_secs(30);

/// The program, built.
pub(super) struct Load {
    program: PathBuf,
}

impl Load {
    /// Builds it; None where its sources are not.
    pub(super) fn build(root: &Path) -> Result<Option<Self>, String> {
        let manifest = root.join(FOLDER).join("Cargo.toml");
        if !manifest.is_file() {
            return Ok(None);
        }
        let target = root.join("target/mqload");
        let mut build = cargo(root);
        build.env("CARGO_TARGET_DIR", &target).args(["build", "--quiet", "--release", "--locked"]);
        let output = capture(build.arg("--manifest-path").arg(manifest));
        if !output.success {
            return Err(format!("mqload does not build:\n{}", output.text));
        }
        Ok(Some(Self { program: target.join("release/mqload") }))
    }

    /// `mqload relay`, `mqload sink`: what serves at `port`.
    pub(super) fn serve(&self, mode: &str, port: u16) -> Command {
        let mut command = Command::new(&self.program);
        // Should we be killed, it ends by itself.
        command.args([mode, "--port", &port.to_string(), "--max-secs", "600"]);
        command
    }

    /// One run against `server`: the line of JSON that came out, or None when it stalled or the generator gave up.
    pub(super) fn run(&self, scenario: &Scenario, seconds: f64, server: &Server) -> Option<String> {
        let mut command = Command::new(&self.program);
        command.args(&scenario.arguments).args(["--secs", &seconds.to_string()]);
        command.args(["--port", &server.port().to_string(), "--pid", &server.pid().to_string()]);
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
        let ended = wait(&mut child, Duration::from_secs_f64(seconds) + PATIENCE);
        let mut line = String::new();
        child.stdout.take()?.read_to_string(&mut line).ok()?;
        ended.then(|| line.trim().to_owned()).filter(|line| line.starts_with('{'))
    }
}

/// Whether `child` ended well within `limit`; after that it is killed. Its output must fit a pipe.
pub(super) fn wait(child: &mut Child, limit: Duration) -> bool {
    let end = Instant::now() + limit;
    while Instant::now() < end {
        match child.try_wait() {
            Ok(Some(status)) => return status.success(),
            Ok(None) => thread::sleep(Duration::from_millis(10)),
            Err(_) => break,
        }
    }
    let _ = child.kill();
    let _ = child.wait();
    false
}
