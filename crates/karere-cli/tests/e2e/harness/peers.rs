//! The programs of others, as `cargo xtask setup` installed them.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A generation of paho-mqtt and of its callbacks.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Paho {
    /// The last of the interface that most tutorials teach.
    V1,
    /// Version 2 with the callbacks of version 1.
    V2OldCallbacks,
    /// Version 2 with its own.
    V2,
}

impl Paho {
    /// One of our programs for paho, by its file name.
    pub(crate) fn program(self, name: &str) -> Command {
        let (version, callbacks) = match self {
            Paho::V1 => ("1.6.1", "0"),
            Paho::V2OldCallbacks => ("2.2.0", "1"),
            Paho::V2 => ("2.2.0", "2"),
        };
        let python = peers().join(format!("paho-{version}/bin/python"));
        assert!(python.is_file(), "paho-mqtt {version} is not there: run `cargo xtask setup` first");
        let mut command = Command::new(python);
        command.arg("-u").arg(programs().join("paho").join(name)).args(["--callbacks", callbacks]);
        // The second generation warns about the callbacks of the first; that is not what a test is about.
        command.env("PYTHONWARNINGS", "ignore").env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }
}

/// One of our programs for MQTT.js, by its file name.
pub(crate) fn mqttjs(name: &str) -> Command {
    let modules = peers().join("mqttjs/node_modules");
    assert!(modules.join("mqtt").is_dir(), "MQTT.js is not there: run `cargo xtask setup` first");
    let mut command = Command::new("node");
    command.env("NODE_PATH", modules).arg(programs().join("mqttjs").join(name));
    command
}

/// A program of the system's. Debian keeps daemons where a user's `PATH` does not look.
pub(super) fn system_program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/local/sbin".into(), "/usr/sbin".into()]);
    let found = folders.map(|folder: PathBuf| folder.join(name)).find(|file| file.is_file());
    found.unwrap_or_else(|| panic!("{name} is not there: run `cargo xtask setup` first"))
}

fn peers() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/peers")
}

fn programs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/programs")
}
