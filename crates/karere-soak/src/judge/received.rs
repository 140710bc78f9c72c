//! What a session has subscribed to, and what it was given.

use std::collections::HashMap;

use super::bits::Bits;
use super::published::Message;
use crate::clock::Step;
use crate::topic::{Filter, Topic};

/// One subscription from SUBSCRIBE to UNSUBACK.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    pub(crate) filter: Filter,
    pub(crate) asked: Step,
    /// SUBACK came.
    pub(crate) from: Option<Step>,
    /// UNSUBSCRIBE was sent, or the session was lost.
    pub(crate) leaving: Option<Step>,
    /// UNSUBACK came.
    pub(crate) until: Option<Step>,
}

impl Span {
    /// Whether the broker must have matched `message` to it: accepted between first sending and acknowledgement.
    fn must(&self, message: &Message) -> bool {
        let (Some(from), Some(acknowledged)) = (self.from, message.acknowledged) else { return false };
        self.filter.matches(message.topic)
            && from < message.sent
            && self.leaving.is_none_or(|leaving| acknowledged < leaving)
    }

    fn may(&self, message: &Message) -> bool {
        self.filter.matches(message.topic)
            && self.until.is_none_or(|until| message.sent < until)
            && message.acknowledged.is_none_or(|acknowledged| self.asked < acknowledged)
    }
}

#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) name: String,
    /// It has an expiry: what is acknowledged must reach it.
    pub(crate) durable: bool,
    pub(crate) group: Option<usize>,
    pub(crate) seen: Bits,
    /// The same, of this session only: it begins anew when the broker has lost it.
    seen_now: Bits,
    copies: HashMap<(u16, u32), u8>, // of what came more than once
    last: HashMap<(Topic, u8), u32>, // publisher and topic, QoS of the publisher
    spans: Vec<Span>,
}

impl Received {
    pub(crate) fn new(name: String, durable: bool, group: Option<usize>) -> Self {
        Self {
            name,
            durable,
            group,
            seen: Bits::default(),
            seen_now: Bits::default(),
            copies: HashMap::new(),
            last: HashMap::new(),
            spans: Vec::new(),
        }
    }

    /// A copy has come: how many of this session there are now.
    pub(crate) fn count(&mut self, publisher: u16, counter: u32) -> u8 {
        self.seen.insert(publisher, counter);
        if self.seen_now.insert(publisher, counter) {
            return 1;
        }
        let copies = self.copies.entry((publisher, counter)).or_insert(1);
        *copies = copies.saturating_add(1);
        *copies
    }

    /// A first copy has come: the counter that it should not have come behind, if it did.
    pub(crate) fn order(&mut self, topic: Topic, qos: u8, counter: u32) -> Option<u32> {
        let last = self.last.entry((topic, qos)).or_insert(counter);
        if *last > counter {
            return Some(*last);
        }
        *last = counter;
        None
    }

    /// The broker knows nothing of it, from `lost` on; what was acknowledged before it must still come.
    pub(crate) fn begin(&mut self, lost: Step, now: Step) {
        self.seen_now.clear();
        self.copies.clear();
        self.last.clear();
        for span in self.spans.iter_mut().filter(|span| span.until.is_none()) {
            span.leaving = span.leaving.or(Some(lost));
            span.until = Some(now);
        }
    }

    pub(crate) fn subscribing(&mut self, filter: Filter, step: Step) {
        if self.open(filter).is_none() {
            self.spans.push(Span { filter, asked: step, from: None, leaving: None, until: None });
        }
    }

    pub(crate) fn subscribed(&mut self, filter: Filter, step: Step) {
        if let Some(span) = self.open(filter) {
            span.from = span.from.or(Some(step));
        }
    }

    pub(crate) fn unsubscribing(&mut self, filter: Filter, step: Step) {
        if let Some(span) = self.open(filter) {
            span.leaving = span.leaving.or(Some(step));
        }
    }

    pub(crate) fn unsubscribed(&mut self, filter: Filter, step: Step) {
        if let Some(span) = self.open(filter) {
            span.until = Some(step);
        }
    }

    pub(crate) fn must(&self, message: &Message) -> bool {
        self.spans.iter().any(|span| span.must(message))
    }

    /// Whether a copy of `message` that did not match came first, maybe: it was sent before the subscription of now was
    /// there, and sent again.
    pub(crate) fn may_have_passed(&self, message: &Message) -> bool {
        let there = |span: &Span| {
            let from = span.from.is_some_and(|from| from < message.sent);
            span.until.is_none() && from && span.filter.matches(message.topic)
        };
        message.again && !self.spans.iter().any(there)
    }

    pub(crate) fn may(&self, message: &Message) -> bool {
        self.spans.iter().any(|span| span.may(message))
    }

    pub(crate) fn settle(&mut self) {
        self.spans.retain(|span| span.until.is_none());
    }

    fn open(&mut self, filter: Filter) -> Option<&mut Span> {
        self.spans.iter_mut().find(|span| span.filter == filter && span.until.is_none())
    }
}
