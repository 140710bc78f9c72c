//! How a received message is shown.

mod json;
mod json_payload;
mod template;
#[cfg(test)]
mod tests;
mod time;
mod trace;

use std::fmt;

use karere::Properties;

pub(crate) use template::Template;
pub(crate) use trace::{connack_code, trace_lines};

use time::Now;

/// What can be shown of a message; the fields of one arrival, borrowed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields<'a> {
    pub topic: &'a str,
    pub payload: &'a [u8],
    pub qos: u8,
    pub retain: bool,
    /// Zero at QoS 0.
    pub packet_id: u16,
    /// Message Expiry Interval in seconds.
    pub expiry: Option<u32>,
    pub subscription_ids: &'a [u32],
    pub properties: &'a Properties,
}

/// The style of output: `-F`, else `-v`, else the payload alone; `-N` leaves the newline away.
#[derive(Debug, Clone)]
pub(crate) enum Style {
    Payload,
    Verbose,
    Template { template: Template, pretty: bool },
}

/// A payload that `%J` cannot show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotJson;

impl Style {
    /// Appends one message, with a newline when `newline` says so.
    ///
    /// # Errors
    /// [`NotJson`] when the template has `%J` and the payload is not JSON; the rest of the line has been
    /// appended.
    pub(crate) fn write(
        &self,
        message: &Fields<'_>,
        newline: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), NotJson> {
        match self {
            Self::Payload if message.payload.is_empty() => return Ok(()),
            Self::Payload => out.extend_from_slice(message.payload),
            Self::Verbose if message.payload.is_empty() && !newline => return Ok(()),
            Self::Verbose => write_verbose(message, out),
            Self::Template { template, pretty } => {
                let shown = template.write(message, &mut Now::new(), *pretty, out);
                end_line(newline, out);
                return shown;
            }
        }
        end_line(newline, out);
        Ok(())
    }
}

fn write_verbose(message: &Fields<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(message.topic.as_bytes());
    out.push(b' ');
    out.extend_from_slice(if message.payload.is_empty() { b"(null)" } else { message.payload });
}

fn end_line(newline: bool, out: &mut Vec<u8>) {
    if newline {
        out.push(b'\n');
    }
}

impl fmt::Display for NotJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Message payload is not valid JSON")
    }
}
