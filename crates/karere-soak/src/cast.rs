//! Who takes part in a run.

use karere_core::codec::Version;

use crate::line::{Greeting, Line};
use crate::publisher::{Publisher, TOPICS};
use crate::scene::Scene;
use crate::subscriber::{Habits, Subscriber, Wish};
use crate::topic::{Area, Filter};
use crate::wills::Wills;

/// Publishers, and how many messages may be open for each.
const PUBLISHERS: [(&str, Version, bool, usize); 6] = [
    ("pub-0", Version::V5, true, 40),
    ("pub-1", Version::V5, true, 10),
    ("pub-2", Version::V311, true, 20),
    ("pub-3", Version::V311, true, 100),
    ("pub-4-clean", Version::V5, false, 20),
    ("pub-5-clean", Version::V311, false, 20),
];

#[derive(Debug)]
pub(crate) struct Cast {
    pub(crate) publishers: Vec<Publisher>,
    pub(crate) subscribers: Vec<Subscriber>,
    pub(crate) wills: Wills,
}

impl Cast {
    /// All of them; together the publishers send `rate` messages a second.
    pub(crate) fn new(scene: &mut Scene, rate: u64) -> Self {
        let each = rate / PUBLISHERS.len() as u64;
        let publishers = PUBLISHERS.map(|(name, version, durable, window)| {
            Publisher::new(scene, greeting(name, version, durable, 0), window, each)
        });
        let mut subscribers = plain(scene);
        subscribers.extend(sharing(scene));
        Self { publishers: publishers.into(), subscribers, wills: Wills::new(scene) }
    }

    pub(crate) fn turn(&mut self, scene: &mut Scene) {
        self.subscribers.iter_mut().for_each(|subscriber| subscriber.turn(scene));
        // What is published before anybody has subscribed shows nothing.
        if self.subscribers.iter().all(Subscriber::was_set_up) {
            self.publishers.iter_mut().for_each(|publisher| publisher.turn(scene));
        }
        self.wills.turn(scene);
    }

    pub(crate) fn lines(&self) -> impl Iterator<Item = &Line> {
        let publishers = self.publishers.iter().map(Publisher::line);
        publishers.chain(self.subscribers.iter().map(Subscriber::line)).chain(self.wills.lines())
    }
}

fn plain(scene: &mut Scene) -> Vec<Subscriber> {
    let all = |area, qos| Wish { filter: Filter::all(area), qos, toggles: false };
    let one = |area, number, toggles| Wish { filter: Filter { area, number: Some(number) }, qos: 2, toggles };
    let retained = [one(Area::Retained, 1, false), one(Area::Retained, 2, false)];
    let steady = [all(Area::Plain, 2), all(Area::Will, 1), retained[0], retained[1]];
    let toggling: Vec<Wish> = (0..TOPICS).map(|number| one(Area::Toggled, number, true)).collect();
    let habits =
        |wishes: &[Wish], flaky, slow_ms| Habits { wishes: wishes.into(), group: None, flaky, slow_ms };
    let all_plain = [all(Area::Plain, 2)];
    let at_one = [all(Area::Plain, 1), all(Area::Will, 1)];
    vec![
        subscriber(scene, "sub-steady", Version::V5, true, 50, habits(&steady, false, 8)),
        subscriber(scene, "sub-at-one", Version::V311, true, 0, habits(&at_one, false, 3)),
        subscriber(scene, "sub-flaky-5", Version::V5, true, 20, habits(&all_plain, true, 30)),
        subscriber(scene, "sub-flaky-3", Version::V311, true, 0, habits(&all_plain, true, 10)),
        subscriber(scene, "sub-toggling", Version::V5, true, 30, habits(&toggling, true, 5)),
        subscriber(scene, "sub-toggling-3", Version::V311, true, 0, habits(&toggling, false, 5)),
        subscriber(scene, "sub-clean", Version::V5, false, 0, habits(&all_plain, true, 5)),
    ]
}

/// Two groups on the same topics: each gets every message once.
fn sharing(scene: &mut Scene) -> Vec<Subscriber> {
    let mut made = Vec::new();
    for (group, members) in [("g", 3), ("h", 2)] {
        let number = scene.judge.add_group(&format!("group {group}"));
        for member in 0..members {
            let name = format!("share-{group}-{member}");
            let habits = Habits {
                wishes: vec![Wish { filter: Filter::all(Area::Shared), qos: 2, toggles: false }],
                group: Some((group.to_owned(), number)),
                flaky: member > 0,
                slow_ms: 10,
            };
            made.push(subscriber(scene, &name, Version::V5, true, 40, habits));
        }
    }
    made
}

fn subscriber(
    scene: &mut Scene,
    name: &str,
    version: Version,
    durable: bool,
    receive_maximum: u16,
    habits: Habits,
) -> Subscriber {
    let subscriber = Subscriber::new(scene, greeting(name, version, durable, receive_maximum), habits);
    if name == "sub-toggling" {
        scene.stranger = Some(subscriber.session());
    }
    subscriber
}

fn greeting(name: &str, version: Version, durable: bool, receive_maximum: u16) -> Greeting {
    Greeting { client_id: name.to_owned(), version, durable, receive_maximum, will: None }
}
