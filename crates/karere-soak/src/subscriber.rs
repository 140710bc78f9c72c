//! A subscriber that keeps its own session: identifiers of QoS 2 over connections, answers in the order of arrival.

use std::collections::{HashMap, VecDeque};

use karere_core::Text;
use karere_core::codec::{
    Ack, Packet, PacketId, Properties, Publish, QoS, Subscribe, SubscribeOptions, Subscription, Unsubscribe,
};

use crate::clock::{MS, Step};
use crate::judge::{Delivery, Identifiers, Kind, SessionId};
use crate::line::{Greeting, Heard, Line};
use crate::publisher::id_of;
use crate::scene::Scene;
use crate::tamper::Fault;
use crate::topic::{Area, Filter, Stamp, Topic};

/// A subscription that is wanted, or not wanted just now.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wish {
    pub(crate) filter: Filter,
    pub(crate) qos: u8,
    pub(crate) toggles: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Off,
    On,
    /// Asked and not answered; the identifier, none when the connection is gone.
    Joining(Option<u16>),
    Leaving(Option<u16>),
}

/// How a subscriber behaves.
#[derive(Debug, Clone)]
pub(crate) struct Habits {
    pub(crate) wishes: Vec<Wish>,
    /// The name of the group that it shares with, and its number.
    pub(crate) group: Option<(String, usize)>,
    /// It goes away and comes back.
    pub(crate) flaky: bool,
    /// Answers wait up to so many milliseconds.
    pub(crate) slow_ms: u64,
}

#[derive(Debug)]
pub(crate) struct Subscriber {
    name: String,
    line: Line,
    session: SessionId,
    durable: bool,
    habits: Habits,
    states: Vec<State>,
    established: bool,
    set_up: bool,
    /// QoS 2: handed over, not released.
    unreleased: HashMap<u16, Option<Stamp>>,
    identifiers: Identifiers,
    answers: VecDeque<(Step, Packet)>,
    next_id: u16,
    changes_at: Step,
    leaves_at: Step,
    /// PINGREQ was sent and not answered.
    pinged: bool,
    held: Option<Delivery>, // by a fault on purpose
}

impl Subscriber {
    pub(crate) fn new(scene: &mut Scene, greeting: Greeting, habits: Habits) -> Self {
        let name = greeting.client_id.clone();
        let group = habits.group.as_ref().map(|(_, number)| *number);
        let session = scene.judge.add_session(&name, greeting.durable, group);
        Self {
            name,
            session,
            durable: greeting.durable,
            line: Line::new(greeting),
            states: vec![State::Off; habits.wishes.len()],
            established: false,
            set_up: habits.wishes.iter().all(|wish| wish.toggles),
            habits,
            unreleased: HashMap::new(),
            identifiers: Identifiers::default(),
            answers: VecDeque::new(),
            next_id: 0,
            changes_at: 0,
            leaves_at: scene.clock.now() + scene.random.between(100, 1500) * MS,
            pinged: false,
            held: None,
        }
    }

    pub(crate) fn turn(&mut self, scene: &mut Scene) {
        let now = scene.clock.now();
        if !scene.busy {
            self.line.come_back(now);
        }
        for heard in self.line.turn(scene.address, now) {
            match heard {
                Heard::Up { present, .. } => self.on_up(scene, present),
                Heard::Packet(packet) => self.on_packet(scene, packet),
                Heard::Down(why) => {
                    scene.lost(&self.name, &why.unwrap_or_default());
                    self.on_down(scene);
                }
            }
        }
        if self.line.is_up() {
            self.subscribe_as_wished(scene, now);
            self.answer(now);
            self.leave_sometimes(scene, now);
        }
        self.line.flush();
    }

    /// Whether nothing is under way with it.
    pub(crate) fn is_idle(&self) -> bool {
        let settled = self.states.iter().all(|state| matches!(state, State::On | State::Off));
        settled && self.line.is_up() && self.unreleased.is_empty() && self.answers.is_empty()
    }

    /// It has been subscribed to all that it always wants.
    pub(crate) fn was_set_up(&self) -> bool {
        self.set_up
    }

    pub(crate) fn session(&self) -> SessionId {
        self.session
    }

    /// Asks for a sign that all before it has come.
    pub(crate) fn ping(&mut self) {
        self.pinged = true;
        self.line.send(&Packet::PingReq);
        self.line.flush();
    }

    pub(crate) fn is_pinged(&self) -> bool {
        self.pinged
    }

    pub(crate) fn line(&self) -> &Line {
        &self.line
    }

    pub(crate) fn state(&self) -> (&str, String) {
        let up = if self.line.is_up() { "up" } else { "down" };
        let unreleased: Vec<_> = self.unreleased.keys().take(5).collect();
        (
            &self.name,
            format!("{up}, {} not released {unreleased:?}, {:?}", self.unreleased.len(), self.states),
        )
    }

    fn on_up(&mut self, scene: &mut Scene, present: bool) {
        scene.note(&self.name, if present { "connected, session present" } else { "connected, session new" });
        let present = present && !(self.established && scene.tamper.now(Fault::ForgetSession));
        if !present {
            let now = scene.clock.step();
            if self.established && self.durable {
                scene.find(Kind::SessionLost, &self.name, "its session is not there any more");
                scene.judge.began(self.session, scene.lost_at, now);
            } else {
                scene.judge.began(self.session, now, now);
            }
            self.states.iter_mut().for_each(|state| *state = State::Off);
            self.unreleased.clear();
            self.identifiers.clear();
        }
        self.established = true;
    }

    fn on_down(&mut self, scene: &mut Scene) {
        self.pinged = false;
        self.answers.clear();
        self.identifiers.lost(|stamp| scene.judge.is_stored(stamp));
        for state in &mut self.states {
            match state {
                State::Joining(_) => *state = State::Joining(None),
                State::Leaving(_) => *state = State::Leaving(None),
                _ => {}
            }
        }
    }

    fn on_packet(&mut self, scene: &mut Scene, packet: Packet) {
        match packet {
            Packet::Publish(publish) => self.on_publish(scene, &publish),
            Packet::PubRel(ack) => {
                self.unreleased.remove(&ack.packet_id.get());
                self.identifiers.released(ack.packet_id.get());
                self.answer_later(scene, Packet::PubComp(Ack::success(ack.packet_id)));
            }
            Packet::SubAck(ack) => {
                if ack.reasons.iter().any(|reason| reason.is_error()) {
                    return scene.find(Kind::Protocol, &self.name, &format!("refused: {:?}", ack.reasons));
                }
                self.on_answer(scene, State::Joining(Some(ack.packet_id.get())));
            }
            Packet::UnsubAck(ack) => self.on_answer(scene, State::Leaving(Some(ack.packet_id.get()))),
            Packet::PingResp => {
                self.pinged = false;
                let result = self.identifiers.all_sent();
                self.report(scene, result);
            }
            other => {
                scene.find(Kind::Protocol, &self.name, &format!("{} was not expected", other.packet_type()));
            }
        }
    }

    fn on_answer(&mut self, scene: &mut Scene, asked: State) {
        let Some(at) = self.states.iter().position(|state| *state == asked) else { return };
        let step = scene.clock.step();
        let filter = self.habits.wishes[at].filter;
        if matches!(asked, State::Joining(_)) {
            self.states[at] = State::On;
            scene.judge.subscribed(self.session, filter, step);
            let mut wishes = self.habits.wishes.iter().zip(&self.states);
            let all = wishes.all(|(wish, state)| wish.toggles || *state == State::On);
            self.set_up |= all;
        } else {
            self.states[at] = State::Off;
            scene.judge.unsubscribed(self.session, filter, step);
        }
        if self.habits.wishes[at].toggles {
            let what = if self.states[at] == State::On { "SUBACK" } else { "UNSUBACK" };
            scene.note(&self.name, &format!("{what} {filter}"));
        }
    }

    fn on_publish(&mut self, scene: &mut Scene, publish: &Publish) {
        let mut stamp = Stamp::parse(&publish.message.payload);
        if stamp.is_some() && scene.tamper.now(Fault::Cut) {
            stamp = None;
        }
        let topic = Topic::parse(publish.message.topic.as_str());
        let id = publish.packet_id.map_or(0, PacketId::get);
        let shared = self.habits.group.is_some();
        if let (Some(stamp), false, true) = (stamp, shared, self.durable && id > 0) {
            self.identify(scene, id, stamp, publish.dup);
        }
        let again = publish.message.qos == QoS::ExactlyOnce && self.is_second_copy(scene, id, stamp);
        match publish.packet_id {
            Some(id) if publish.message.qos == QoS::AtLeastOnce => {
                self.answer_later(scene, Packet::PubAck(Ack::success(id)));
            }
            Some(id) => self.answer_later(scene, Packet::PubRec(Ack::success(id))),
            None => {}
        }
        if again {
            return;
        }
        let (Some(stamp), Some(topic)) = (stamp, topic) else {
            let what = format!("on {}: a payload that nobody sent", publish.message.topic.as_str());
            return scene.find(Kind::Corrupt, &self.name, &what);
        };
        let (qos, retained) = (publish.message.qos.bits(), publish.message.retain);
        self.hand_over(scene, Delivery { stamp, topic, qos, retained });
    }

    fn identify(&mut self, scene: &mut Scene, id: u16, stamp: Stamp, dup: bool) {
        let resent = dup && self.identifiers.expects(stamp);
        if resent && scene.tamper.now(Fault::NotAgain) {
            return;
        }
        let other = u16::from(resent && scene.tamper.now(Fault::Renumber));
        let result = self.identifiers.received(id + other, stamp, dup);
        self.report(scene, result);
    }

    /// Whether a PUBLISH at QoS 2 comes under an identifier that is not released yet.
    fn is_second_copy(&mut self, scene: &mut Scene, id: u16, stamp: Option<Stamp>) -> bool {
        match self.unreleased.insert(id, stamp) {
            None => false,
            Some(before) if before == stamp => true,
            Some(before) => {
                let what = format!("{id} is not released, it was {before:?}, and now it is {stamp:?}");
                scene.find(Kind::Identifier, &self.name, &what);
                false
            }
        }
    }

    fn hand_over(&mut self, scene: &mut Scene, delivery: Delivery) {
        if !delivery.retained && self.durable && scene.tamper.loses(delivery.topic.area, delivery.stamp) {
            return;
        }
        let step = scene.clock.step();
        if delivery.qos == 2 && scene.tamper.now(Fault::Double) {
            scene.judge.delivered(self.session, &delivery, step);
        }
        let swaps = delivery.topic.area == Area::Plain && delivery.qos == 2 && self.held.is_none();
        if swaps && scene.tamper.now(Fault::Swap) {
            self.held = Some(delivery);
            return;
        }
        scene.judge.delivered(self.session, &delivery, step);
        let same = |held: &mut Delivery| held.topic == delivery.topic && held.qos == delivery.qos;
        if let Some(held) = self.held.take_if(same) {
            scene.judge.delivered(self.session, &held, step);
        }
        if let (Area::Plain, Some(stranger)) = (delivery.topic.area, scene.stranger)
            && scene.tamper.now(Fault::Misdirect)
        {
            scene.judge.delivered(stranger, &delivery, step);
        }
    }

    fn answer_later(&mut self, scene: &mut Scene, packet: Packet) {
        let slow = scene.busy && self.habits.slow_ms > 0;
        let wait = if slow { scene.random.below(self.habits.slow_ms * MS) } else { 0 };
        let before = self.answers.back().map_or(0, |(due, _)| *due);
        self.answers.push_back((before.max(scene.clock.now() + wait), packet));
    }

    fn answer(&mut self, now: Step) {
        while let Some((_, packet)) = self.answers.pop_front_if(|(due, _)| *due <= now) {
            if let Packet::PubAck(ack) | Packet::PubRec(ack) = &packet {
                self.identifiers.answered(ack.packet_id.get());
            }
            self.line.send(&packet);
        }
    }

    fn subscribe_as_wished(&mut self, scene: &mut Scene, now: Step) {
        let change = scene.busy && now >= self.changes_at;
        if change {
            self.changes_at = now + scene.random.between(20, 250) * MS;
        }
        for at in 0..self.states.len() {
            let wish = self.habits.wishes[at];
            let toggle = change && wish.toggles && scene.random.permille(400);
            match self.states[at] {
                State::Off if !wish.toggles || toggle => self.join(scene, at),
                State::Joining(None) => self.join(scene, at),
                State::On if toggle => self.part(scene, at),
                State::Leaving(None) => self.part(scene, at),
                _ => {}
            }
        }
    }

    fn join(&mut self, scene: &mut Scene, at: usize) {
        let Wish { filter, qos, .. } = self.habits.wishes[at];
        let step = scene.clock.step();
        scene.judge.subscribing(self.session, filter, step);
        let id = self.request_id();
        self.states[at] = State::Joining(Some(id));
        let options = SubscribeOptions::new(QoS::from_bits(qos).expect("0 to 2"));
        self.line.send(&Packet::Subscribe(Subscribe {
            packet_id: id_of(id),
            subscriptions: vec![Subscription { filter: self.filter_text(filter), options }],
            subscription_id: None,
            properties: Properties::EMPTY,
        }));
    }

    fn part(&mut self, scene: &mut Scene, at: usize) {
        let filter = self.habits.wishes[at].filter;
        let step = scene.clock.step();
        scene.judge.unsubscribing(self.session, filter, step);
        let id = self.request_id();
        self.states[at] = State::Leaving(Some(id));
        self.line.send(&Packet::Unsubscribe(Unsubscribe {
            packet_id: id_of(id),
            filters: vec![self.filter_text(filter)],
            properties: Properties::EMPTY,
        }));
    }

    fn filter_text(&self, filter: Filter) -> Text {
        let text = match &self.habits.group {
            Some((group, _)) => format!("$share/{group}/{filter}"),
            None => filter.to_string(),
        };
        Text::new(text).expect("a short filter")
    }

    fn leave_sometimes(&mut self, scene: &mut Scene, now: Step) {
        if !scene.busy || now < self.leaves_at || !self.habits.flaky {
            return;
        }
        self.leaves_at = now + scene.random.between(200, 2000) * MS;
        let back_at = now + scene.random.below(400) * MS;
        match scene.random.below(3) {
            0 => {
                scene.note(&self.name, "leaves with DISCONNECT");
                self.line.leave(back_at);
            }
            1 => {
                scene.note(&self.name, "closes its connection");
                self.line.close(back_at);
            }
            _ => {
                scene.note(&self.name, "leaves its connection open");
                self.line.abandon(back_at + 20 * MS, now + MS);
            }
        }
        self.on_down(scene);
    }

    fn report(&self, scene: &mut Scene, result: Result<(), (Kind, String)>) {
        if let Err((kind, what)) = result {
            scene.find(kind, &self.name, &what);
        }
    }

    fn request_id(&mut self) -> u16 {
        self.next_id = self.next_id % 60_000 + 1;
        self.next_id
    }
}
