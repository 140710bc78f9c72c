//! Secrets of connections for Wireshark, in the format of `SSLKEYLOGFILE`.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use rustls::KeyLog;

use super::error::Error;

/// Appends to a file.
#[derive(Debug)]
pub(super) struct KeyFile(Mutex<File>);

impl KeyFile {
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let mut how = OpenOptions::new();
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut how, 0o600);
        let file = how.create(true).append(true).open(path);
        file.map(|file| Self(Mutex::new(file)))
            .map_err(|error| Error::File { path: path.into(), why: error.to_string() })
    }
}

impl KeyLog for KeyFile {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        let hex = |bytes: &[u8]| {
            bytes.iter().fold(String::new(), |mut text, byte| {
                let _ = write!(text, "{byte:02x}");
                text
            })
        };
        let line = format!("{label} {} {}\n", hex(client_random), hex(secret));
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A full disk ends the log, and not the connection.
        let _ = file.write_all(line.as_bytes());
    }
}
