//! A subscriber that asks once what is retained.

use std::collections::BTreeMap;

use karere_core::Text;
use karere_core::codec::{Packet, Properties, QoS, Subscribe, SubscribeOptions, Subscription, Version};

use crate::clock::{MS, Step};
use crate::judge::Kind;
use crate::line::{Greeting, Heard, Line};
use crate::publisher::id_of;
use crate::scene::Scene;
use crate::tamper::Fault;
use crate::topic::{Area, Filter, Stamp, Topic};

/// What is retained may come behind SUBACK, at leisure: so long.
const WAIT: Step = 1000 * MS;

#[derive(Debug)]
pub(crate) struct Probe {
    line: Line,
    asked: Step,
    answered: Option<Step>,
    values: BTreeMap<Topic, u32>,
    over: bool,
}

impl Probe {
    pub(crate) fn new(number: u64) -> Self {
        let line = Line::new(Greeting {
            client_id: format!("probe-{number}"),
            version: Version::V5,
            durable: false,
            receive_maximum: 0,
            will: None,
        });
        Self { line, asked: 0, answered: None, values: BTreeMap::new(), over: false }
    }

    pub(crate) fn turn(&mut self, scene: &mut Scene) {
        let now = scene.clock.now();
        for heard in self.line.turn(scene.address, now) {
            match heard {
                Heard::Up { .. } => self.ask(scene),
                // Whoever killed the broker asks again when it is back.
                Heard::Down(_) => {
                    self.over = true;
                    return;
                }
                Heard::Packet(Packet::SubAck(_)) => self.line.send(&Packet::PingReq),
                Heard::Packet(Packet::PingResp) => self.answered = Some(now),
                Heard::Packet(Packet::Publish(publish)) if publish.message.retain => {
                    let topic = Topic::parse(publish.message.topic.as_str());
                    let stamp = Stamp::parse(&publish.message.payload);
                    if let (Some(topic), Some(stamp)) = (topic, stamp) {
                        self.values.insert(topic, stamp.counter);
                    } else {
                        scene.find(Kind::Corrupt, "probe", "a retained payload that nobody sent");
                    }
                }
                Heard::Packet(_) => {}
            }
        }
        self.line.flush();
        self.judge(scene, now);
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over
    }

    pub(crate) fn line(&self) -> &Line {
        &self.line
    }

    fn ask(&mut self, scene: &mut Scene) {
        self.asked = scene.clock.step();
        let filter = Text::new(Filter::all(Area::Retained).to_string()).expect("a short filter");
        self.line.send(&Packet::Subscribe(Subscribe {
            packet_id: id_of(1),
            subscriptions: vec![Subscription { filter, options: SubscribeOptions::new(QoS::AtMostOnce) }],
            subscription_id: None,
            properties: Properties::EMPTY,
        }));
    }

    fn judge(&mut self, scene: &mut Scene, now: Step) {
        let Some(answered) = self.answered else { return };
        if scene.tamper.now(Fault::OldRetained) {
            self.values.values_mut().for_each(|counter| *counter = 0);
            self.answered = Some(0);
        }
        if scene.judge.retained_fits(&self.values, self.asked) {
            self.over = true;
        } else if now > answered + WAIT || self.answered == Some(0) {
            let step = scene.clock.step();
            scene.judge.retained_seen(&self.values, self.asked, step);
            self.over = true;
        }
    }
}
