//! `--mosquitto-conf`: a broker set up by a mosquitto.conf.
//!
//! What the file does not say is as mosquitto has it by default, and not as karere has: the file means the same to both.
//! An option has one of four fates ([`catalogue`]): it is read; or it asks for nothing; or it can be ignored, because
//! nobody would miss it here, and is named in a notice; or the file is refused, with one error that names all that is
//! not there yet and all that is wrong.

mod catalogue;
mod draft;
mod findings;
mod line;
mod listeners;
#[cfg(test)]
mod tests;

use std::time::Duration;

use karere_core::broker::Options;

use crate::command::Listen;
use draft::Draft;

/// How a broker is set up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Configuration {
    pub(crate) listen: Listen,
    pub(crate) options: Options,
    /// Connections at a time, where there is a limit.
    pub(crate) connections_max: Option<usize>,
    /// Zero turns `$SYS` off.
    pub(crate) sys_interval: Duration,
    /// Bytes of the largest payload, where there is a limit.
    pub(crate) message_bytes_max: Option<usize>,
    /// Whether clients are let in without a user name, where something is said about it.
    pub(crate) allow_anonymous: Option<bool>,
    /// Where sessions and retained messages are kept.
    pub(crate) persistence: Persistence,
    /// What to tell whoever starts it.
    pub(crate) notices: Vec<String>,
}

/// Where sessions and retained messages are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Persistence {
    Memory,
    /// In a folder of our own in this one.
    Folder(String),
    /// In the data folder of whoever starts it.
    Default,
}

/// Without a file.
impl Default for Configuration {
    fn default() -> Self {
        Self {
            listen: Listen::Loopback(1883),
            options: Options::default(),
            connections_max: None,
            sys_interval: Duration::from_secs(10),
            message_bytes_max: None,
            allow_anonymous: None,
            persistence: Persistence::Default,
            notices: Vec::new(),
        }
    }
}

/// Reads `file` and what it includes.
///
/// # Errors
/// A text for people, which names each line that cannot be followed.
pub(crate) fn read(file: &str) -> Result<Configuration, String> {
    let mut draft = Draft::new();
    draft.read(file)?;
    draft.settle(file)
}
