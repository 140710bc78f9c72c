//! `cargo xtask setup`: the peers that the end-to-end tests talk to.
//!
//! Debian's mosquitto comes from apt, everything else goes to `target/peers`. The versions are pinned here,
//! and a stamp file that names them makes a second run a matter of milliseconds.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::{capture, find, logged};

/// 1.6.1 is the last of the interface that most tutorials teach, 2.2.0 of the one that followed it.
const PAHO: [&str; 2] = ["1.6.1", "2.2.0"];
const MQTTJS: &str = "5.16.0";

/// Installs what is missing.
pub(crate) fn setup(root: &Path) -> Result<(), String> {
    let peers = Peers { folder: root.join("target/peers") };
    if peers.complete() {
        println!("setup: mosquitto, paho-mqtt {} and MQTT.js {MQTTJS} are there", PAHO.join(" and "));
        return Ok(());
    }
    fs::create_dir_all(&peers.folder).map_err(|error| format!("{}: {error}", peers.folder.display()))?;
    let _ = fs::remove_file(peers.log());
    peers.debian()?;
    for version in PAHO {
        peers.paho(version)?;
    }
    peers.mqttjs()?;
    fs::write(peers.stamp(), stamp_text()).map_err(|error| format!("{}: {error}", peers.stamp().display()))
}

struct Peers {
    folder: PathBuf,
}

impl Peers {
    fn complete(&self) -> bool {
        let files = PAHO.map(|version| python_of(&self.venv(version)));
        fs::read_to_string(self.stamp()).is_ok_and(|text| text == stamp_text())
            && missing_packages().is_empty()
            && files.iter().all(|file| file.is_file())
            && self.folder.join("mqttjs/node_modules/mqtt/package.json").is_file()
    }

    /// mosquitto and its clients, and node where there is none.
    fn debian(&self) -> Result<(), String> {
        let packages = missing_packages();
        debian(&packages, &self.log())?;
        if packages.contains(&"mosquitto") {
            stop_mosquitto_service();
        }
        Ok(())
    }

    fn paho(&self, version: &str) -> Result<(), String> {
        let venv = self.venv(version);
        println!("setup: paho-mqtt {version} into {}", venv.display());
        let _ = fs::remove_dir_all(&venv);
        let python =
            find("python3").ok_or("there is no python3 here: please install it, then run this again")?;
        let made = logged(Command::new(&python).args(["-m", "venv"]).arg(&venv), &self.log());
        made.map_err(|error| {
            format!("{error}\nOn Debian the venv module is a package: apt-get install python3-venv")
        })?;
        let mut pip = Command::new(python_of(&venv));
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
        logged(pip.arg(format!("paho-mqtt=={version}")), &self.log())
    }

    fn mqttjs(&self) -> Result<(), String> {
        let folder = self.folder.join("mqttjs");
        println!("setup: MQTT.js {MQTTJS} into {}", folder.display());
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        // Its own manifest, so that npm does not look for one in the folders above.
        let manifest = folder.join("package.json");
        fs::write(&manifest, "{ \"private\": true }\n")
            .map_err(|error| format!("{}: {error}", manifest.display()))?;
        let npm =
            find("npm").ok_or("there is no npm here: please install node and npm, then run this again")?;
        let mut install = Command::new(npm);
        install.current_dir(&folder).args(["install", "--no-audit", "--no-fund", "--ignore-scripts"]);
        logged(install.arg(format!("mqtt@{MQTTJS}")), &self.log())
    }

    fn venv(&self, version: &str) -> PathBuf {
        self.folder.join(format!("paho-{version}"))
    }

    fn stamp(&self) -> PathBuf {
        self.folder.join("stamp")
    }

    fn log(&self) -> PathBuf {
        self.folder.join("setup.log")
    }
}

/// Installs Debian's `packages`; for root, where there is apt.
///
/// # Errors
/// What to do by hand, where this cannot; what apt says, where it fails.
pub(crate) fn debian(packages: &[&str], log: &Path) -> Result<(), String> {
    if packages.is_empty() {
        return Ok(());
    }
    let list = packages.join(" ");
    if find("apt-get").is_none() {
        return Err(format!("there is no apt-get here: please install {list} by hand, then run this again"));
    }
    if !is_root() {
        return Err(format!("to install {list} this must run as root. Try: sudo apt-get install {list}"));
    }
    println!("setup: installing {list}");
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive").arg("-y").args(arguments);
        logged(&mut command, log)
    };
    let install = [&["install", "--no-install-recommends"], packages].concat();
    // The lists may be old or absent: only when they do not serve is time spent on new ones.
    if apt(&install).is_err() {
        apt(&["update"])?;
        apt(&install)?;
    }
    Ok(())
}

fn stamp_text() -> String {
    format!("paho-mqtt {}\nmqtt {MQTTJS}\n", PAHO.join(" "))
}

fn missing_packages() -> Vec<&'static str> {
    let needed = [
        ("mosquitto", "mosquitto"),
        ("mosquitto_pub", "mosquitto-clients"),
        ("node", "nodejs"),
        ("npm", "npm"),
    ];
    needed.into_iter().filter(|(program, _)| find(program).is_none()).map(|(_, package)| package).collect()
}

/// Debian starts a service when it installs one; the tests start brokers of their own.
fn stop_mosquitto_service() {
    let _ = capture(Command::new("service").args(["mosquitto", "stop"]));
    let _ = capture(Command::new("systemctl").args(["disable", "--now", "mosquitto"]));
}

fn is_root() -> bool {
    capture(Command::new("id").arg("-u")).text.trim() == "0"
}

fn python_of(venv: &Path) -> PathBuf {
    venv.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" })
}
