//! Lines for on_log.

use std::fmt;

use crate::{Direction, PacketId, PacketTrace, PacketType};

/// One line for [`on_log`](super::Client::on_log).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// How much it matters.
    pub level: Level,
    /// The line.
    pub text: String,
}

/// How much a line of the log matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// A packet, with [`Options::trace`](crate::Options::trace).
    Debug,
    /// The connection came or went.
    Info,
    /// Something was lost or refused.
    Warning,
    /// A callback panicked.
    Error,
}

impl Log {
    pub(super) fn new(level: Level, text: impl fmt::Display) -> Self {
        Self { level, text: text.to_string() }
    }

    pub(super) fn of_packet(trace: &PacketTrace) -> Self {
        Self::new(Level::Debug, Line(trace))
    }
}

struct Line<'a>(&'a PacketTrace);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let trace = self.0;
        let sent = trace.direction == Direction::Sent;
        write!(f, "{} {}", if sent { "Sending" } else { "Received" }, trace.packet.name())?;
        let id = trace.packet_id.map_or(0, PacketId::get);
        let topic = trace.topic.as_deref().unwrap_or_default();
        match trace.packet {
            PacketType::Connect => {
                write!(f, " (c{}, k{}), client id '{topic}'", u8::from(trace.clean_start), trace.size)
            }
            PacketType::Publish => {
                let (dup, qos, retain) = (u8::from(trace.dup), trace.qos as u8, u8::from(trace.flag));
                write!(f, " (d{dup}, q{qos}, r{retain}, m{id}), '{topic}', ... ({} bytes)", trace.size)
            }
            PacketType::Subscribe => {
                write!(f, " (m{id})")?;
                trace
                    .filters
                    .iter()
                    .try_for_each(|(filter, options)| write!(f, " '{filter}' (q{})", options.qos as u8))
            }
            PacketType::Unsubscribe => {
                write!(f, " (m{id})")?;
                trace.filters.iter().try_for_each(|(filter, _)| write!(f, " '{filter}'"))
            }
            _ => match (trace.packet_id, trace.reason) {
                (Some(_), Some(reason)) => write!(f, " (m{id}, {reason})"),
                (None, Some(reason)) => write!(f, " ({reason})"),
                (Some(_), None) => write!(f, " (m{id})"),
                (None, None) => Ok(()),
            },
        }
    }
}
