//! A payload that is JSON: checked, and written again without its blanks.
//!
//! Strings and numbers are copied as they stand, so that no digit of a number is lost. Without recursion:
//! the payload comes from the network, and its depth is the sender's choice.

use super::NotJson;
use super::json::JsonWriter;

/// Deeper payloads count as no JSON, as in mosquitto_sub.
const DEPTH_MAX: usize = 1_000;

/// Writes `payload` to `json`.
///
/// # Errors
/// [`NotJson`] when it is not exactly one JSON value (RFC 8259) in UTF-8; part of it may have been written.
pub(super) fn write_payload(payload: &[u8], json: &mut JsonWriter<'_>) -> Result<(), NotJson> {
    str::from_utf8(payload).map_err(|_| NotJson)?;
    let mut scan = Scan { rest: payload };
    let mut open: Vec<Container> = Vec::new();
    loop {
        match scan.peek()? {
            first @ (b'{' | b'[') => {
                scan.skip();
                let container = Container::open(first, json);
                if scan.peek()? == container.end() {
                    scan.skip();
                    container.close(json);
                } else {
                    if open.len() == DEPTH_MAX {
                        return Err(NotJson);
                    }
                    open.push(container);
                    container.begin_member(&mut scan, json)?;
                    continue;
                }
            }
            _ => json.raw(scan.scalar()?),
        }
        // A value has ended: and so may the containers that it was the last member of.
        loop {
            let Some(container) = open.last().copied() else { return scan.end() };
            match scan.peek()? {
                b',' => {
                    scan.skip();
                    container.begin_member(&mut scan, json)?;
                    break;
                }
                byte if byte == container.end() => {
                    scan.skip();
                    container.close(json);
                    open.pop();
                }
                _ => return Err(NotJson),
            }
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Container {
    Object,
    Array,
}

impl Container {
    fn open(first: u8, json: &mut JsonWriter<'_>) -> Self {
        if first == b'{' {
            json.open_object();
            Self::Object
        } else {
            json.open_array();
            Self::Array
        }
    }

    fn close(self, json: &mut JsonWriter<'_>) {
        match self {
            Self::Object => json.close_object(),
            Self::Array => json.close_array(),
        }
    }

    const fn end(self) -> u8 {
        match self {
            Self::Object => b'}',
            Self::Array => b']',
        }
    }

    /// The comma before a member, and its key.
    fn begin_member(self, scan: &mut Scan<'_>, json: &mut JsonWriter<'_>) -> Result<(), NotJson> {
        match self {
            Self::Array => json.before_element(),
            Self::Object => {
                json.before_key();
                if scan.peek()? != b'"' {
                    return Err(NotJson);
                }
                json.raw(scan.string()?);
                if scan.peek()? != b':' {
                    return Err(NotJson);
                }
                scan.skip();
                json.after_key();
            }
        }
        Ok(())
    }
}

struct Scan<'a> {
    rest: &'a [u8],
}

impl<'a> Scan<'a> {
    /// The next byte that is not a blank.
    fn peek(&mut self) -> Result<u8, NotJson> {
        self.skip_blanks();
        self.rest.first().copied().ok_or(NotJson)
    }

    fn skip(&mut self) {
        self.rest = &self.rest[1..];
    }

    fn end(&mut self) -> Result<(), NotJson> {
        self.skip_blanks();
        if self.rest.is_empty() { Ok(()) } else { Err(NotJson) }
    }

    fn skip_blanks(&mut self) {
        let blanks = self.rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count();
        self.rest = &self.rest[blanks..];
    }

    fn scalar(&mut self) -> Result<&'a [u8], NotJson> {
        match self.peek()? {
            b'"' => self.string(),
            b'-' | b'0'..=b'9' => self.number(),
            _ => [&b"true"[..], b"false", b"null"]
                .into_iter()
                .find(|word| self.rest.starts_with(word))
                .map(|word| self.take(word.len()))
                .ok_or(NotJson),
        }
    }

    fn string(&mut self) -> Result<&'a [u8], NotJson> {
        let mut at = 1;
        loop {
            match self.rest.get(at).ok_or(NotJson)? {
                b'"' => return Ok(self.take(at + 1)),
                b'\\' => at += escape_len(&self.rest[at + 1..])? + 1,
                0..0x20 => return Err(NotJson),
                _ => at += 1,
            }
        }
    }

    fn number(&mut self) -> Result<&'a [u8], NotJson> {
        let mut at = usize::from(self.rest[0] == b'-');
        let whole = self.digits(at)?;
        if whole > 1 && self.rest[at] == b'0' {
            return Err(NotJson);
        }
        at += whole;
        if self.rest.get(at) == Some(&b'.') {
            at += 1;
            at += self.digits(at)?;
        }
        if matches!(self.rest.get(at), Some(b'e' | b'E')) {
            at += 1;
            at += usize::from(matches!(self.rest.get(at), Some(b'+' | b'-')));
            at += self.digits(at)?;
        }
        Ok(self.take(at))
    }

    /// How many digits stand at `at`: one or more.
    fn digits(&self, at: usize) -> Result<usize, NotJson> {
        match self.rest[at..].iter().take_while(|byte| byte.is_ascii_digit()).count() {
            0 => Err(NotJson),
            count => Ok(count),
        }
    }

    fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at(len);
        self.rest = rest;
        taken
    }
}

/// The length of what follows a backslash.
fn escape_len(after: &[u8]) -> Result<usize, NotJson> {
    match after.first().ok_or(NotJson)? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Ok(1),
        b'u' if after.len() >= 5 && after[1..5].iter().all(u8::is_ascii_hexdigit) => Ok(5),
        _ => Err(NotJson),
    }
}
