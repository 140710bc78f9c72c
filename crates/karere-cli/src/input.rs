//! Payloads from files and from standard input.

use std::io::{self, Read};
use std::path::Path;
use std::thread;

use tokio::sync::mpsc;

use crate::exit::Failure;

/// Standard input is read in pieces of this size.
const BLOCK_BYTES: usize = 64 * 1024;
/// How many pieces may wait to be published before reading stops.
const BLOCKS_WAITING: usize = 4;

/// All that a file holds.
///
/// # Errors
/// Names the file and what the system said.
pub(crate) fn read_file(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| Failure::error(format!("cannot read {}: {error}", path.display())))
}

/// All of standard input.
///
/// # Errors
/// What the system said.
pub(crate) fn read_stdin() -> Result<Vec<u8>, Failure> {
    let mut all = Vec::new();
    io::stdin().lock().read_to_end(&mut all).map_err(|error| stdin_failed(&error))?;
    Ok(all)
}

/// Standard input, read by a thread of its own: a read that blocks holds up nothing else.
#[derive(Debug)]
pub(crate) struct Blocks(mpsc::Receiver<io::Result<Vec<u8>>>);

impl Blocks {
    pub(crate) fn of_stdin() -> Self {
        let (sender, receiver) = mpsc::channel(BLOCKS_WAITING);
        thread::spawn(move || {
            let mut stdin = io::stdin().lock();
            loop {
                let block = read_block(&mut stdin);
                let is_last = !matches!(&block, Ok(block) if !block.is_empty());
                if sender.blocking_send(block).is_err() || is_last {
                    return;
                }
            }
        });
        Self(receiver)
    }

    /// The next piece; none at the end. Cancel safe.
    ///
    /// # Errors
    /// What the system said.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        match self.0.recv().await {
            Some(Ok(block)) => Ok(Some(block).filter(|block| !block.is_empty())),
            Some(Err(error)) => Err(stdin_failed(&error)),
            None => Ok(None),
        }
    }
}

fn read_block(stdin: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut block = vec![0; BLOCK_BYTES];
    loop {
        match stdin.read(&mut block) {
            Ok(len) => {
                block.truncate(len);
                return Ok(block);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn stdin_failed(error: &io::Error) -> Failure {
    Failure::error(format!("cannot read standard input: {error}"))
}

/// Cuts blocks into lines, wherever their borders are.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    buffer: Vec<u8>,
    /// Where the next line begins.
    start: usize,
    /// Up to where there is no newline.
    scanned: usize,
}

impl Lines {
    /// Puts `block` behind what is left of the last one.
    pub(crate) fn feed(&mut self, block: Vec<u8>) {
        self.buffer.drain(..self.start);
        self.scanned -= self.start;
        self.start = 0;
        if self.buffer.is_empty() {
            self.buffer = block;
        } else {
            self.buffer.extend_from_slice(&block);
        }
    }

    /// The next line that has an end, without its newline.
    pub(crate) fn next(&mut self) -> Option<&[u8]> {
        let Some(len) = self.buffer[self.scanned..].iter().position(|byte| *byte == b'\n') else {
            self.scanned = self.buffer.len();
            return None;
        };
        let end = self.scanned + len;
        let line = &self.buffer[self.start..end];
        self.start = end + 1;
        self.scanned = self.start;
        Some(line)
    }

    /// The last line, where no newline ended it; none when there is nothing.
    pub(crate) fn last(&mut self) -> Option<&[u8]> {
        let line = &self.buffer[self.start..];
        self.start = self.buffer.len();
        self.scanned = self.start;
        Some(line).filter(|line| !line.is_empty())
    }

    /// Bytes of a line whose end has not come yet.
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.buffer.len() - self.start
    }
}

#[cfg(test)]
mod tests {
    use super::Lines;

    fn lines_of(blocks: &[&str]) -> Vec<String> {
        let mut lines = Lines::default();
        let mut all = Vec::new();
        for block in blocks {
            lines.feed(block.as_bytes().to_vec());
            while let Some(line) = lines.next() {
                all.push(String::from_utf8_lossy(line).into_owned());
            }
        }
        all.extend(lines.last().map(|line| String::from_utf8_lossy(line).into_owned()));
        all
    }

    #[test]
    fn lines_end_at_newlines_and_an_empty_one_counts() {
        assert_eq!(lines_of(&["one\n\ntwo\n"]), ["one", "", "two"]);
    }

    #[test]
    fn a_last_line_without_a_newline_counts() {
        assert_eq!(lines_of(&["one\ntwo"]), ["one", "two"]);
    }

    #[test]
    fn nothing_is_no_line() {
        assert!(lines_of(&[""]).is_empty());
    }

    #[test]
    fn lines_go_on_over_the_borders_of_blocks() {
        assert_eq!(
            lines_of(&["o", "n", "e\ntw", "o", "\n", "three\nfo", "ur"]),
            ["one", "two", "three", "four"]
        );
    }

    #[test]
    fn a_carriage_return_belongs_to_the_line() {
        assert_eq!(lines_of(&["one\r\n"]), ["one\r"]);
    }
}
