//! Clients that come for their Wills only: each lives once, and leaves one if it goes without a good-bye.

use karere_core::codec::{Message, Properties, QoS, Version, Will};
use karere_core::topic::TopicName;

use crate::clock::{MS, Step};
use crate::line::{Greeting, Heard, Line};
use crate::scene::Scene;
use crate::topic::{Area, Stamp, Topic};

const ALIVE_MAX: usize = 3;

#[derive(Debug)]
pub(crate) struct Wills {
    number: u16,
    next_at: Step,
    alive: Vec<Alive>,
}

#[derive(Debug)]
struct Alive {
    line: Line,
    connected: bool,
    stamp: Stamp,
    ends_at: Step, // by itself; otherwise with the broker
    polite: bool,
    over: bool,
}

impl Wills {
    pub(crate) fn new(scene: &mut Scene) -> Self {
        Self { number: scene.judge.add_publisher("wills"), next_at: 0, alive: Vec::new() }
    }

    pub(crate) fn turn(&mut self, scene: &mut Scene) {
        let now = scene.clock.now();
        if scene.busy && now >= self.next_at && self.alive.len() < ALIVE_MAX {
            self.next_at = now + scene.random.between(20, 400) * MS;
            self.make(scene, now);
        }
        for alive in &mut self.alive {
            alive.turn(scene, now);
        }
        self.alive.retain(|alive| !alive.over);
    }

    /// Ends those that wait for the broker's end.
    pub(crate) fn finish(&mut self) {
        self.alive.iter_mut().for_each(|alive| alive.ends_at = 0);
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.alive.is_empty()
    }

    pub(crate) fn lines(&self) -> impl Iterator<Item = &Line> {
        self.alive.iter().map(|alive| &alive.line)
    }

    fn make(&mut self, scene: &mut Scene, now: Step) {
        let topic = Topic { area: Area::Will, publisher: self.number, number: 0 };
        let step = scene.clock.step();
        let stamp = scene.judge.sent(topic, 1, false, step);
        let message = Message {
            topic: TopicName::new(&topic.to_string()).expect("a topic"),
            payload: stamp.payload(40),
            qos: QoS::AtLeastOnce,
            retain: false,
            expiry: None,
            properties: Properties::EMPTY,
        };
        let delay = u32::from(scene.random.permille(150));
        let greeting = Greeting {
            client_id: format!("will-{}", stamp.counter),
            version: Version::V5,
            durable: true,
            receive_maximum: 0,
            will: Some(Will { message, delay }),
        };
        // Those that wait for the broker's end leave a place for the others.
        let waiting = self.alive.iter().filter(|alive| alive.ends_at == Step::MAX).count();
        let waits = scene.random.permille(500) && waiting + 1 < ALIVE_MAX;
        let ends_at = if waits { Step::MAX } else { now + scene.random.between(5, 300) * MS };
        let polite = !waits && scene.random.permille(300);
        self.alive.push(Alive {
            line: Line::new(greeting),
            connected: false,
            stamp,
            ends_at,
            polite,
            over: false,
        });
    }
}

impl Alive {
    fn turn(&mut self, scene: &mut Scene, now: Step) {
        for heard in self.line.turn(scene.address, now) {
            match heard {
                Heard::Up { .. } => {
                    self.connected = true;
                    scene.note("wills", &format!("message {} is there", self.stamp.counter));
                }
                Heard::Down(why) => {
                    scene.lost("wills", &why.unwrap_or_default());
                    return self.end(scene);
                }
                Heard::Packet(_) => {}
            }
        }
        if self.connected && now >= self.ends_at {
            if self.polite {
                self.line.leave(Step::MAX);
                self.connected = false;
            }
            self.end(scene);
        }
    }

    /// Once CONNACK was read the Will is the broker's to publish.
    fn end(&mut self, scene: &mut Scene) {
        let step = scene.clock.step();
        self.line.end();
        self.over = true;
        if self.connected {
            scene.note("wills", &format!("message {} is due", self.stamp.counter));
            scene.judge.acknowledged(self.stamp, step);
        } else {
            scene.judge.given_up(self.stamp, false);
        }
    }
}
