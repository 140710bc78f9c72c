//! What a publisher has sent, and what became of it there.

use std::collections::VecDeque;

use crate::clock::{Step, show};
use crate::topic::Topic;

#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) topic: Topic,
    pub(crate) qos: u8,
    /// When its first copy was given to the socket, or before.
    pub(crate) sent: Step,
    pub(crate) acknowledged: Option<Step>,
    /// How often it was sent as a new message: more than once only after the broker had lost the session.
    pub(crate) fresh: u8,
    /// It was sent more than once, in whatever way.
    pub(crate) again: bool,
    /// Its publisher will not send it again.
    pub(crate) over: bool,
    /// What is missing of it has been reported.
    pub(crate) judged: bool,
}

impl Message {
    /// For people.
    pub(crate) fn story(&self) -> String {
        let again = if self.again { " and again later" } else { "" };
        let acknowledged = self.acknowledged.map_or_else(|| "never".to_owned(), show);
        format!("QoS {}, sent at {}{again}, acknowledged {acknowledged}", self.qos, show(self.sent))
    }
}

#[derive(Debug)]
pub(crate) struct Published {
    pub(crate) name: String,
    base: u32,
    messages: VecDeque<Message>,
}

impl Published {
    pub(crate) fn new(name: String) -> Self {
        Self { name, base: 0, messages: VecDeque::new() }
    }

    pub(crate) fn push(&mut self, message: Message) -> u32 {
        self.messages.push_back(message);
        self.next() - 1
    }

    /// The counter of the next message.
    pub(crate) fn next(&self) -> u32 {
        self.base + self.messages.len() as u32
    }

    /// None for what is settled, and for what was never sent.
    pub(crate) fn get(&self, counter: u32) -> Option<&Message> {
        self.messages.get(counter.checked_sub(self.base)? as usize)
    }

    pub(crate) fn get_mut(&mut self, counter: u32) -> Option<&mut Message> {
        self.messages.get_mut(counter.checked_sub(self.base)? as usize)
    }

    pub(crate) fn unsettled(&self) -> impl Iterator<Item = (u32, &Message)> {
        self.messages.iter().enumerate().map(|(at, message)| (self.base + at as u32, message))
    }

    /// Forgets what nothing more is to be said of.
    pub(crate) fn settle(&mut self) {
        self.messages.iter_mut().for_each(|message| message.judged |= message.acknowledged.is_some());
        while self.messages.front().is_some_and(|message| message.over) {
            self.messages.pop_front();
            self.base += 1;
        }
    }
}
