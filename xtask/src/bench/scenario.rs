//! What is measured.

/// How far a window of messages in flight reaches, payload sizes in bytes and all else: as `mqload` is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Scenario {
    pub(super) name: String,
    pub(super) arguments: Vec<String>,
    pub(super) kind: Kind,
}

/// Which figures come out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Connections set up: CPU and how many a second.
    Connect,
    /// Connections that say nothing: memory.
    Idle,
    /// 100,000 subscriptions: memory, and CPU a message.
    Scale,
    /// Messages: CPU, rate, loss.
    Traffic,
}

/// Wiring, QoS, payload in bytes, messages in flight for each publisher. At QoS 0 the window is what no broker has
/// a reason to drop from.
const TRAFFIC: [(&str, u8, u32, u32); 12] = [
    ("single", 0, 16, 1000),
    ("single", 1, 16, 100),
    ("single", 2, 16, 100),
    ("single", 0, 1024, 100),
    ("single", 1, 1024, 100),
    ("single", 2, 1024, 100),
    ("fanout", 0, 16, 20),
    ("fanout", 0, 1024, 20),
    ("fanin", 0, 16, 20),
    ("fanin", 0, 1024, 10),
    ("pairs", 1, 16, 100),
    ("pairs", 1, 1024, 100),
];

/// What must hold beside: the broker acknowledges ahead of its subscriber, or is given more than a window at a steady
/// rate.
const OTHERS: [(&str, &str, Kind); 7] = [
    ("single q1 acks", "single --qos 1 --flow acks", Kind::Traffic),
    ("single q2 acks", "single --qos 2 --flow acks", Kind::Traffic),
    ("single q0 100k/s", "single --qos 0 --window 0 --rate 100000", Kind::Traffic),
    ("latency q1 5k/s", "latency --qos 1 --window 0 --rate 5000", Kind::Traffic),
    ("connect", "connect --n 5000 --conc 8", Kind::Connect),
    ("idle", "idle --n 5000", Kind::Idle),
    ("scale 100k subs", "scale --subs 1000 --per 100", Kind::Scale),
];

/// Every scenario.
pub(super) fn all() -> Vec<Scenario> {
    let others = OTHERS.iter().map(|(name, words, kind)| Scenario {
        name: (*name).to_owned(),
        arguments: format!("--scenario {words}").split(' ').map(str::to_owned).collect(),
        kind: *kind,
    });
    TRAFFIC.into_iter().map(traffic).chain(others).collect()
}

/// One of each wiring.
pub(super) fn main() -> Vec<Scenario> {
    let main = ["single q1 16", "fanout q0 16", "fanin q0 16", "pairs q1 16"];
    all().into_iter().filter(|scenario| main.contains(&scenario.name.as_str())).collect()
}

fn traffic((wiring, qos, size, window): (&str, u8, u32, u32)) -> Scenario {
    let words = format!("--scenario {wiring} --qos {qos} --size {size} --window {window}");
    Scenario {
        name: format!("{wiring} q{qos} {size}"),
        arguments: words.split(' ').map(str::to_owned).collect(),
        kind: Kind::Traffic,
    }
}
