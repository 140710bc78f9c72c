//! Standard output and standard error.

use std::fmt::Display;
use std::io::{self, Write as _};

/// Why nothing more can be printed.
#[derive(Debug)]
pub(crate) enum PrintError {
    /// Who read the output has gone: nothing to complain about.
    ReaderGone,
    Io(io::Error),
}

/// Writes `bytes` to standard output in one go, and empties it.
///
/// # Errors
/// [`PrintError`]; what was left is lost.
pub(crate) fn flush(bytes: &mut Vec<u8>) -> Result<(), PrintError> {
    if bytes.is_empty() {
        return Ok(());
    }
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(bytes).and_then(|()| stdout.flush());
    bytes.clear();
    written.map_err(PrintError::from)
}

/// Prints lines on standard output.
///
/// # Errors
/// [`PrintError`].
pub(crate) fn print(text: impl Display) -> Result<(), PrintError> {
    flush(&mut format!("{text}\n").into_bytes())
}

/// Prints a line on standard error. When even that fails there is nobody left to tell.
pub(crate) fn complain(text: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

impl From<io::Error> for PrintError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe { Self::ReaderGone } else { Self::Io(error) }
    }
}
