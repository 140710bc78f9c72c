//! Packet identifiers over the end of a connection: what a resumed session must send again, and under which.

use std::collections::VecDeque;

use super::finding::Kind;
use crate::topic::Stamp;

/// Deliveries that were answered are remembered so long: the broker may not have read the answer.
const ANSWERED_MAX: usize = 512;

/// A delivery that the receiver has not finished.
#[derive(Debug, Clone, Copy)]
struct Open {
    id: u16,
    stamp: Stamp,
    /// PUBACK or PUBREC was written; whether the broker has read it is not known.
    answered: bool,
}

/// The unfinished deliveries of one session, in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Identifiers {
    now: VecDeque<Open>,
    /// From the connections before: to be sent again, in this order. Only what is sure to be on the broker's disk.
    before: VecDeque<Open>,
}

impl Identifiers {
    /// A PUBLISH with QoS above 0 has come: what is wrong with it.
    pub(crate) fn received(&mut self, id: u16, stamp: Stamp, dup: bool) -> Result<(), (Kind, String)> {
        let result = match self.before.iter().position(|open| open.stamp == stamp) {
            Some(at) if self.before[at].id == id || dup => self.again(at, id, dup),
            _ if dup => self.taken(id, stamp),
            _ => self.all_sent(),
        };
        self.now.retain(|open| open.id != id);
        self.now.push_back(Open { id, stamp, answered: false });
        if self.now.len() > ANSWERED_MAX && self.now.front().is_some_and(|open| open.answered) {
            self.now.pop_front();
        }
        result
    }

    /// Whether it is still to be sent again, and must be.
    pub(crate) fn expects(&self, stamp: Stamp) -> bool {
        self.before.iter().any(|open| open.stamp == stamp && !open.answered)
    }

    /// PUBACK or PUBREC was written for `id`.
    pub(crate) fn answered(&mut self, id: u16) {
        if let Some(open) = self.now.iter_mut().rev().find(|open| open.id == id) {
            open.answered = true;
        }
    }

    /// PUBREL has come for `id`.
    pub(crate) fn released(&mut self, id: u16) {
        self.now.retain(|open| open.id != id);
        self.before.retain(|open| open.id != id);
    }

    /// The connection has ended; `stored` says of which messages the broker has nothing but one copy, on its disk.
    pub(crate) fn lost(&mut self, stored: impl Fn(Stamp) -> bool) {
        let rest = std::mem::take(&mut self.before);
        self.before = self.now.drain(..).filter(|open| stored(open.stamp)).chain(rest).collect();
    }

    /// The session has begun anew.
    pub(crate) fn clear(&mut self) {
        self.now.clear();
        self.before.clear();
    }

    /// Something new has come, or an answer to PINGREQ: all that had to be sent again was.
    pub(crate) fn all_sent(&mut self) -> Result<(), (Kind, String)> {
        let skipped = std::mem::take(&mut self.before);
        not_resent(skipped.iter())
    }

    fn again(&mut self, at: usize, id: u16, dup: bool) -> Result<(), (Kind, String)> {
        let skipped: Vec<Open> = self.before.drain(..at).collect();
        let Some(open) = self.before.pop_front() else { return Ok(()) };
        if open.id != id {
            let what = format!("{} came under {} and is sent again under {id}", open.stamp, open.id);
            return Err((Kind::Identifier, what));
        }
        if !dup {
            return Err((Kind::Identifier, format!("{} is sent again under {id} without DUP", open.stamp)));
        }
        not_resent(skipped.iter())
    }

    /// What is sent again without our having seen it before may take no identifier that we know.
    fn taken(&mut self, id: u16, stamp: Stamp) -> Result<(), (Kind, String)> {
        match self.before.iter().find(|open| open.id == id && !open.answered) {
            Some(open) => {
                Err((Kind::Identifier, format!("{id} is that of {}, and {stamp} comes under it", open.stamp)))
            }
            None => Ok(()),
        }
    }
}

fn not_resent<'a>(skipped: impl Iterator<Item = &'a Open>) -> Result<(), (Kind, String)> {
    let left: Vec<String> = skipped
        .filter(|open| !open.answered)
        .map(|open| format!("{} under {}", open.stamp, open.id))
        .collect();
    if left.is_empty() {
        return Ok(());
    }
    Err((Kind::NotResent, format!("not answered, and not sent again in its place: {}", left.join(", "))))
}
