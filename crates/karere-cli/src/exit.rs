//! How a command ends: mosquitto's exit codes, and what is said on stderr.

use std::fmt;
use std::process::ExitCode;

use crate::output::PrintError;

/// The command line is wrong, or there is no connection.
const FAILED: u8 = 1;
/// The connection was lost and is not made again.
const CONNECTION_LOST: u8 = 7;
/// `-W` has passed.
const TIMED_OUT: u8 = 27;

/// Why a command ended before it had done what it was asked to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    code: u8,
    message: String,
    /// Said even with `--quiet`, which is about what goes wrong while running.
    is_usage: bool,
}

pub(crate) type Outcome = Result<(), Failure>;

impl Failure {
    /// The command line asks for something that cannot be.
    pub(crate) fn usage(message: impl fmt::Display) -> Self {
        Self { is_usage: true, ..Self::error(message) }
    }

    pub(crate) fn error(message: impl fmt::Display) -> Self {
        Self::new(FAILED, format!("Error: {message}"))
    }

    pub(crate) fn connection_lost(why: impl fmt::Display) -> Self {
        Self::new(CONNECTION_LOST, format!("Error: The connection was lost ({why})"))
    }

    /// CONNACK said no; `code` is what it carried.
    pub(crate) fn refused(code: u8, message: impl fmt::Display) -> Self {
        Self::new(code, format!("Connection error: {message}"))
    }

    pub(crate) fn timed_out() -> Self {
        Self::new(TIMED_OUT, "Timed out".into())
    }

    const fn new(code: u8, message: String) -> Self {
        Self { code, message, is_usage: false }
    }

    /// Whether nothing is said about it, with `--quiet` or without.
    pub(crate) const fn is_silent(&self, quiet: bool) -> bool {
        self.message.is_empty() || (quiet && !self.is_usage)
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code)
    }
}

impl From<PrintError> for Failure {
    fn from(error: PrintError) -> Self {
        match error {
            // `karere sub | head` has done its work.
            PrintError::ReaderGone => Self::new(0, String::new()),
            PrintError::Io(error) => Self::error(format!("cannot write to standard output: {error}")),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
