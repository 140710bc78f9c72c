//! What a connection has left to be done when it is let go, and who waits for it.

use std::collections::VecDeque;

use karere_core::Text;
use karere_core::codec::Message;
use karere_store::Key;

use super::{Host, Task};
use crate::agenda::Step;
use crate::around::Around;
use crate::fault::Fault;
use crate::history::Note;

impl Host {
    /// A connection is let go. What it has brought, if anything is left of it, is done behind what is left of earlier
    /// ones.
    pub(super) fn leave_tasks(&mut self, around: &mut Around, wire: usize) {
        let tasks = &mut self.services[wire].tasks;
        tasks.retain(|task| !matches!(task, Task::Part));
        if around.faults.is(Fault::ForgetWork) {
            tasks.clear();
        }
        if !tasks.is_empty() {
            self.line_up(around, wire);
            self.expect_late_turn(around, wire);
        }
    }

    /// A new connection waits for what earlier ones of its client have left.
    pub(super) fn wait_behind(&mut self, around: &mut Around, wire: usize) {
        if self.late.contains_key(&self.client_of(wire)) && !around.faults.is(Fault::LateWork) {
            self.line_up(around, wire);
        }
    }

    /// Whether a connection may go on: nothing is left of earlier ones.
    pub(super) fn is_due(&mut self, around: &mut Around, wire: usize) -> bool {
        if self.late.is_empty()
            || !self.late.get(&self.client_of(wire)).is_some_and(|line| line.contains(&wire))
        {
            return true;
        }
        let first = self.is_first(wire);
        if first {
            self.step_out(around, wire);
        }
        first
    }

    /// Whether nothing is read of what the client sends.
    pub(super) fn is_paused(&self, wire: usize) -> bool {
        let waits = |line: &VecDeque<usize>| line.contains(&wire);
        !self.services[wire].tasks.is_empty() || self.late.get(&self.client_of(wire)).is_some_and(waits)
    }

    /// One thing of what is left of a connection that was let go.
    pub(super) fn do_late_work(&mut self, around: &mut Around, wire: usize) {
        if self.late.is_empty() || !self.is_first(wire) {
            return;
        }
        if let Some(task) = self.services[wire].tasks.pop_front() {
            let session = self.services[wire].session;
            self.perform(around, wire, session, task);
        }
        if self.services[wire].tasks.is_empty() {
            return self.step_out(around, wire);
        }
        self.expect_late_turn(around, wire);
    }

    fn expect_late_turn(&mut self, around: &mut Around, wire: usize) {
        // Mostly soon; now and then it takes a hook's time, which shows who does not wait for it.
        let delays = if around.faults.is(Fault::LateWork) { [100; 5] } else { [0, 0, 1, 3, 40] };
        self.services[wire].waiting = true;
        around.later(self.random.pick(&delays), Step::Turn(wire));
    }

    /// A Will: behind what its client has sent.
    pub(super) fn send_will_in_order(
        &mut self,
        around: &mut Around,
        session: u32,
        will: Message,
        key: Option<Key>,
    ) {
        let client_id = self.places[session as usize].slot.client_id();
        match self.late.get(client_id).and_then(|line| line.back()) {
            Some(last) => self.services[*last].tasks.push_back(Task::Will(session, will, key)),
            None => self.route_now(around, session, will, key),
        }
    }

    fn line_up(&mut self, around: &mut Around, wire: usize) {
        let line = self.late.entry(self.client_of(wire)).or_default();
        if line.is_empty() {
            around.note(Note::Late { peer: around.wires[wire].peer, late: true });
        }
        if !line.contains(&wire) {
            line.push_back(wire);
        }
    }

    fn step_out(&mut self, around: &mut Around, wire: usize) {
        let client_id = self.client_of(wire);
        let Some(line) = self.late.get_mut(&client_id) else { return };
        line.retain(|waiting| *waiting != wire);
        match line.front().copied() {
            Some(next) => self.expect_turn(around, next),
            None => {
                self.late.remove(&client_id);
                around.note(Note::Late { peer: around.wires[wire].peer, late: false });
            }
        }
    }

    fn is_first(&self, wire: usize) -> bool {
        self.late.get(&self.client_of(wire)).is_some_and(|line| line.front() == Some(&wire))
    }

    fn client_of(&self, wire: usize) -> Text {
        self.places[self.services[wire].session as usize].slot.client_id().clone()
    }
}
