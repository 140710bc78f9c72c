//! A publisher that keeps its own session: what is not acknowledged is sent again, under the same identifier.

use std::collections::VecDeque;

use bytes::Bytes;
use karere_core::codec::{Ack, Message, Packet, PacketId, Properties, Publish, QoS, SubscriptionIds};
use karere_core::topic::TopicName;

use crate::clock::{MS, Step};
use crate::judge::Kind;
use crate::line::{Greeting, Heard, Line};
use crate::scene::Scene;
use crate::topic::{Area, Stamp, Topic};

/// Topics of each publisher in each area.
pub(crate) const TOPICS: u8 = 3;

/// The retained topic of each publisher that is cleared now and then.
const CLEARED: u8 = 0;

#[derive(Debug)]
struct Unacknowledged {
    id: u16,
    stamp: Stamp,
    topic: Topic,
    qos: u8,
    size: usize, // 0: an empty payload, which clears
    /// PUBREC came.
    received: bool,
}

#[derive(Debug)]
pub(crate) struct Publisher {
    name: String,
    line: Line,
    number: u16,
    durable: bool,
    window_max: usize,
    window: usize,
    rate: u64, // messages a second
    unacknowledged: VecDeque<Unacknowledged>,
    next_id: u16,
    /// The broker has said once that the session is there.
    established: bool,
    /// Messages that may be sent already, in millionths.
    credit: u64,
    burst: u64,
    at: Step,
    leaves_at: Step,
}

impl Publisher {
    pub(crate) fn new(scene: &mut Scene, greeting: Greeting, window_max: usize, rate: u64) -> Self {
        let name = greeting.client_id.clone();
        let number = scene.judge.add_publisher(&name);
        Self {
            name,
            number,
            durable: greeting.durable,
            line: Line::new(greeting),
            window_max,
            window: window_max,
            rate,
            unacknowledged: VecDeque::new(),
            next_id: 0,
            established: false,
            credit: 0,
            burst: 1,
            at: scene.clock.now(),
            leaves_at: scene.clock.now() + scene.random.between(200, 4000) * MS,
        }
    }

    pub(crate) fn turn(&mut self, scene: &mut Scene) {
        let now = scene.clock.now();
        for heard in self.line.turn(scene.address, now) {
            match heard {
                Heard::Up { present, receive_maximum } => self.on_up(scene, present, receive_maximum),
                Heard::Packet(packet) => self.on_packet(scene, packet),
                Heard::Down(why) => {
                    scene.lost(&self.name, &why.unwrap_or_default());
                    self.on_down(scene);
                }
            }
        }
        if self.line.is_up() && scene.busy {
            self.publish_some(scene, now);
            self.leave_sometimes(scene, now);
        }
        self.at = now;
        self.line.flush();
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.unacknowledged.is_empty() && self.line.is_up()
    }

    pub(crate) fn line(&self) -> &Line {
        &self.line
    }

    /// For a report of what stands still.
    pub(crate) fn state(&self) -> (&str, String) {
        let first = self.unacknowledged.front().map(|first| format!("{first:?}"));
        let up = if self.line.is_up() { "up" } else { "down" };
        (
            &self.name,
            format!(
                "{up}, {} not acknowledged, first {}",
                self.unacknowledged.len(),
                first.unwrap_or_default()
            ),
        )
    }

    fn on_up(&mut self, scene: &mut Scene, present: bool, receive_maximum: u16) {
        scene.note(&self.name, if present { "connected, session present" } else { "connected, session new" });
        self.window = self.window_max.min(usize::from(receive_maximum));
        if !self.durable {
            return;
        }
        if self.established && !present {
            scene.find(Kind::SessionLost, &self.name, "its session is not there any more");
            // C1: without PUBREC a message is a new one, with it it counts as delivered.
            self.unacknowledged.retain(|message| !message.received);
        }
        let anew = !present;
        self.established = true;
        for at in 0..self.unacknowledged.len() {
            self.send_again(scene, at, anew);
        }
    }

    fn send_again(&mut self, scene: &mut Scene, at: usize, anew: bool) {
        let message = &self.unacknowledged[at];
        if message.received {
            return self.line.send(&Packet::PubRel(Ack::success(id_of(message.id))));
        }
        scene.judge.sent_again(message.stamp, anew && self.established);
        self.send(at, !anew);
    }

    fn on_down(&mut self, scene: &mut Scene) {
        if !self.durable {
            let given_up = std::mem::take(&mut self.unacknowledged);
            given_up.iter().for_each(|message| scene.judge.given_up(message.stamp, false));
        }
    }

    fn on_packet(&mut self, scene: &mut Scene, packet: Packet) {
        let step = scene.clock.step();
        match packet {
            Packet::PubAck(ack) => self.on_answer(scene, &ack, 1, step),
            Packet::PubRec(ack) => self.on_answer(scene, &ack, 2, step),
            Packet::PubComp(ack) => {
                let at = self.find(ack.packet_id.get()).filter(|&at| self.unacknowledged[at].received);
                match at {
                    Some(at) => {
                        scene.judge.acknowledged(self.unacknowledged[at].stamp, step);
                        self.unacknowledged.remove(at);
                    }
                    None => scene.find(Kind::Protocol, &self.name, &format!("PUBCOMP for {}", ack.packet_id)),
                }
            }
            other => {
                scene.find(Kind::Protocol, &self.name, &format!("{} was not expected", other.packet_type()));
            }
        }
    }

    /// PUBACK or PUBREC.
    fn on_answer(&mut self, scene: &mut Scene, ack: &Ack, qos: u8, step: Step) {
        let at = self.find(ack.packet_id.get()).filter(|&at| self.unacknowledged[at].qos == qos);
        let Some(at) = at else {
            return scene.find(
                Kind::Protocol,
                &self.name,
                &format!("an answer to {} at QoS {qos}, which is not open", ack.packet_id),
            );
        };
        let stamp = self.unacknowledged[at].stamp;
        if ack.reason.is_error() {
            scene.note(&self.name, &format!("{stamp} refused: {}", ack.reason));
            scene.judge.given_up(stamp, true);
            self.unacknowledged.remove(at);
            return;
        }
        if qos == 1 || !scene.promises_late {
            scene.judge.acknowledged(stamp, step);
        }
        if qos == 1 {
            self.unacknowledged.remove(at);
            return;
        }
        self.unacknowledged[at].received = true;
        self.line.send(&Packet::PubRel(Ack::success(ack.packet_id)));
    }

    /// In bursts, as many as the rate allows on the whole.
    fn publish_some(&mut self, scene: &mut Scene, now: Step) {
        self.credit = (self.credit + self.rate * (now - self.at)).min(self.rate * 1_000_000 / 4);
        if self.credit < self.burst * 1_000_000 {
            return;
        }
        while self.credit >= 1_000_000 && self.unacknowledged.len() < self.window {
            self.credit -= 1_000_000;
            self.publish(scene);
        }
        self.burst = scene.random.between(1, 16);
    }

    fn publish(&mut self, scene: &mut Scene) {
        let number = scene.random.below(u64::from(TOPICS)) as u8;
        let area = match scene.random.below(100) {
            0..45 => Area::Plain,
            45..70 => Area::Shared,
            70..85 => Area::Retained,
            _ => Area::Toggled,
        };
        let qos = match area {
            // One QoS a topic: order holds within one, and the latest value is what is asked for.
            Area::Retained => 1 + number % 2,
            Area::Plain if scene.random.permille(40) => 0,
            _ => 1 + scene.random.below(2) as u8,
        };
        let clears = area == Area::Retained && number == CLEARED && scene.random.permille(150);
        let size = match scene.random.below(100) {
            _ if clears => 0,
            0..3 => scene.random.between(5000, 20_000),
            _ => scene.random.between(24, 300),
        };
        let topic = Topic { area, publisher: self.number, number };
        let step = scene.clock.step();
        let stamp = scene.judge.sent(topic, qos, clears, step);
        let id = self.free_id();
        self.unacknowledged.push_back(Unacknowledged {
            id,
            stamp,
            topic,
            qos,
            size: size as usize,
            received: false,
        });
        self.send(self.unacknowledged.len() - 1, false);
        if qos == 0 {
            self.unacknowledged.pop_back();
        }
    }

    fn send(&mut self, at: usize, dup: bool) {
        let message = &self.unacknowledged[at];
        let payload = if message.size == 0 { Bytes::new() } else { message.stamp.payload(message.size) };
        self.line.send(&Packet::Publish(Publish {
            dup: dup && message.qos > 0,
            packet_id: if message.qos > 0 { Some(id_of(message.id)) } else { None },
            topic_alias: None,
            subscription_ids: SubscriptionIds::EMPTY,
            message: Message {
                topic: TopicName::new(&message.topic.to_string()).expect("a topic"),
                payload,
                qos: QoS::from_bits(message.qos).expect("0 to 2"),
                retain: message.topic.area == Area::Retained,
                expiry: None,
                properties: Properties::EMPTY,
            },
        }));
    }

    /// Now and then the connection breaks, mid-packet or between packets, or is taken over.
    fn leave_sometimes(&mut self, scene: &mut Scene, now: Step) {
        if now < self.leaves_at {
            return;
        }
        self.leaves_at = now + scene.random.between(200, 4000) * MS;
        let back_at = now + scene.random.below(60) * MS;
        if scene.random.permille(500) {
            scene.note(&self.name, "leaves its connection open");
            self.line.abandon(back_at + 20 * MS, back_at);
        } else {
            scene.note(&self.name, "closes its connection");
            self.line.close(back_at);
        }
        self.on_down(scene);
    }

    fn find(&self, id: u16) -> Option<usize> {
        self.unacknowledged.iter().position(|message| message.id == id)
    }

    fn free_id(&mut self) -> u16 {
        loop {
            self.next_id = self.next_id.checked_add(1).unwrap_or(1);
            if self.find(self.next_id).is_none() {
                return self.next_id;
            }
        }
    }
}

pub(crate) fn id_of(id: u16) -> PacketId {
    PacketId::new(id).expect("never 0")
}
