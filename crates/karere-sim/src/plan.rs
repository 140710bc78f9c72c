//! What a seed plans: the clients, the broker's limits, the weather.

use karere_core::broker;
use karere_core::client::{self, Handover};
use karere_core::codec::Version;
use karere_core::{Text, codec::QoS};
use karere_store::Tail;

use crate::random::Random;

/// One run's plan.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) clients: Vec<Client>,
    pub(crate) broker: broker::Options,
    pub(crate) weather: Weather,
    /// How long there is trouble, in milliseconds. Then all becomes well, and everything must arrive.
    pub(crate) trouble_millis: u64,
    /// The broker stands on a disk, and is killed.
    pub(crate) disk: Option<Disk>,
}

/// The broker's disk, and what happens to both.
#[derive(Debug, Clone)]
pub(crate) struct Disk {
    /// How long a sync takes, at most.
    pub(crate) sync_millis_max: u64,
    pub(crate) segment_bytes: u64,
    pub(crate) slack_bytes: u64,
    pub(crate) kills: Vec<Kill>,
    pub(crate) troubles: Vec<Trouble>,
}

/// One end of the broker.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kill {
    pub(crate) at: u64,
    /// Not there and then, but while the disk does what it is asked next.
    pub(crate) within: bool,
    /// What becomes of what was not synced.
    pub(crate) tail: Tail,
    /// The broker is away so long.
    pub(crate) away_millis: u64,
    /// So much the clock on the wall is turned meanwhile.
    pub(crate) turned_millis: i64,
    /// The recovery is killed too, and begun again.
    pub(crate) stutters: bool,
}

/// One failure of the disk.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trouble {
    pub(crate) at: u64,
    pub(crate) kind: TroubleKind,
    /// So long, where it does not pass by itself.
    pub(crate) millis: u64,
}

/// How the disk fails.
#[derive(Debug, Clone, Copy)]
pub(crate) enum TroubleKind {
    /// The write or sync after so many.
    Once(u64),
    /// All from then on.
    Fails(u64),
    /// There is room for so many bytes more.
    Full(usize),
}

/// One client and its application.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    pub(crate) version: Version,
    /// Its session outlives its connections: Session Expiry Interval in seconds, 0 for one that does not.
    pub(crate) session_expiry: u32,
    pub(crate) keep_alive: u16,
    pub(crate) receive_maximum: u16,
    pub(crate) inflight_max: u16,
    pub(crate) maximum_packet_size: u32,
    pub(crate) handover: Handover,
    pub(crate) aliases: bool,
    pub(crate) store: bool,
    /// The Will Delay Interval in seconds, of one that has a Will.
    pub(crate) will: Option<u32>,
    /// The group that it works in; such a client has no other subscriptions.
    pub(crate) group: Option<&'static str>,
    /// Milliseconds that a message waits for its acknowledgement, at most.
    pub(crate) acknowledge_millis: u64,
    /// Milliseconds between its deeds, at most.
    pub(crate) pace_millis: u64,
    /// Of a hundred deeds, how many are publishes.
    pub(crate) publishes: u64,
}

/// What the network does to a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Weather {
    pub(crate) delay_millis_max: u64,
    pub(crate) chunk_bytes_max: u64,
    /// Bytes on their way in one direction; then the sender has to wait.
    pub(crate) room_bytes: usize,
    /// Of a hundred connections, how many are lost after some byte.
    pub(crate) cut: u64,
    /// Of a hundred lost connections, how many one end does not hear of for long.
    pub(crate) half_open: u64,
}

/// Filters of those who work in no group.
pub(crate) const FILTERS: [&str; 9] = ["t/#", "t/+", "t/1", "t/2/#", "r/#", "r/+", "r/1", "#", "+/1"];
/// What is published to; `r/` mostly with RETAIN, `j/` is for the groups.
pub(crate) const TOPICS: [&str; 10] =
    ["t/0", "t/1", "t/2/x", "t/1", "r/0", "r/1", "r/2", "j/0", "j/1", "nobody"];
/// Clients of a run, at most.
pub(crate) const PEERS_MAX: u64 = 9;
const GROUPS: [&str; 2] = ["$share/all/j/#", "$share/some/j/+"];

impl Weather {
    /// Everything comes soon, and nothing is lost.
    pub(crate) const FINE: Self =
        Self { delay_millis_max: 2, chunk_bytes_max: 4_096, room_bytes: 65_536, cut: 0, half_open: 0 };
}

impl Plan {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed, 0);
        let count = random.between(3, PEERS_MAX);
        let calm = random.percent(10);
        let mut plan = Self {
            clients: (0..count).map(|_| client(&mut random)).collect(),
            broker: broker_options(&mut random),
            weather: weather(&mut random, calm),
            trouble_millis: random.pick(&[3_000, 6_000, 12_000]),
            disk: None,
        };
        // Of a stream of its own: the other half is what it was before there was a disk.
        let mut random = Random::new(seed, 2);
        if random.percent(50) {
            plan.broker.store = true;
            plan.disk = Some(disk(&mut random, plan.trouble_millis));
        }
        plan
    }
}

impl Plan {
    /// The broker stands on a disk that does not fail, and is killed once, some time.
    pub(crate) fn crash_on_disk(&mut self, tail: Tail) {
        let kill =
            Kill { at: u64::MAX, within: true, tail, away_millis: 50, turned_millis: 0, stutters: true };
        self.broker.store = true;
        self.disk = Some(Disk {
            sync_millis_max: 5,
            segment_bytes: 4_000,
            slack_bytes: 2_000,
            kills: vec![kill],
            troubles: Vec::new(),
        });
    }
}

fn disk(random: &mut Random, trouble_millis: u64) -> Disk {
    let kills = random.between(0, 4);
    let troubles = if random.percent(30) { random.between(1, 3) } else { 0 };
    Disk {
        sync_millis_max: random.pick(&[1, 5, 30, 120]),
        segment_bytes: random.pick(&[2_000, 20_000, 1 << 20]),
        slack_bytes: random.pick(&[1_000, 10_000, 1 << 20]),
        kills: (0..kills).map(|_| kill(random, trouble_millis)).collect(),
        troubles: (0..troubles).map(|_| trouble(random, trouble_millis)).collect(),
    }
}

fn kill(random: &mut Random, trouble_millis: u64) -> Kill {
    let (bytes, bits) = (random.between(1, 2_000) as usize, random.next());
    Kill {
        at: random.between(300, trouble_millis),
        within: random.percent(40),
        tail: random.pick(&[Tail::Kept, Tail::Lost, Tail::Lost, Tail::Torn(bytes), Tail::Holes(bits)]),
        away_millis: random.pick(&[1, 50, 500, 3_000]),
        turned_millis: random.pick(&[0, 0, 0, 0, 1_500, 7_200_000, -700, -7_200_000]),
        stutters: random.percent(25),
    }
}

fn trouble(random: &mut Random, trouble_millis: u64) -> Trouble {
    let (count, bytes) = (random.below(12), random.below(6_000) as usize);
    Trouble {
        at: random.between(100, trouble_millis),
        kind: random.pick(&[
            TroubleKind::Once(count),
            TroubleKind::Once(count),
            TroubleKind::Fails(count),
            TroubleKind::Full(bytes),
        ]),
        millis: random.pick(&[20, 700, 3_000]),
    }
}

impl Client {
    /// What the core's client is told. `number` makes its name.
    pub(crate) fn options(&self, number: usize) -> client::Options {
        client::Options {
            version: self.version,
            client_id: client_id(number),
            clean_start: self.session_expiry == 0,
            session_expiry: if self.version.is_v5() { self.session_expiry } else { 0 },
            keep_alive: self.keep_alive,
            receive_maximum: self.receive_maximum,
            maximum_packet_size: self.maximum_packet_size,
            topic_alias_maximum: if self.aliases { 3 } else { 0 },
            outbound_aliases: self.aliases,
            handover: self.handover,
            inflight_max: self.inflight_max,
            connack_millis_max: 5_000,
            store: self.store,
            seed: number as u64,
            ..client::Options::default()
        }
    }

    /// Its session outlives its connections.
    pub(crate) fn is_durable(&self) -> bool {
        self.session_expiry > 0
    }
}

fn client_id(number: usize) -> Text {
    Text::new(format!("peer-{number}")).unwrap_or(Text::EMPTY)
}

fn client(random: &mut Random) -> Client {
    let version = random.pick(&[Version::V311, Version::V5, Version::V5]);
    let v5 = version.is_v5();
    let durable = random.percent(65);
    let session_expiry = match (durable, v5) {
        (false, _) => 0,
        (true, true) => random.pick(&[3, 3_600, 3_600, u32::MAX]),
        (true, false) => u32::MAX,
    };
    Client {
        version,
        session_expiry,
        keep_alive: random.pick(&[0, 2, 5, 20]),
        receive_maximum: if v5 { random.pick(&[1, 2, 5, 65_535, 65_535]) } else { 65_535 },
        inflight_max: random.pick(&[1, 4, 1024]),
        maximum_packet_size: if v5 && random.percent(15) { 400 } else { 1 << 20 },
        handover: random.pick(&[Handover::OnPublish, Handover::OnPublish, Handover::OnRelease]),
        aliases: random.percent(30),
        store: random.percent(25),
        will: random.percent(35).then(|| if v5 { random.pick(&[0, 0, 1, 4]) } else { 0 }),
        group: random.percent(30).then(|| random.pick(&GROUPS)),
        acknowledge_millis: random.pick(&[0, 0, 20, 300, 2_000]),
        pace_millis: random.pick(&[200, 600, 1_500]),
        publishes: random.pick(&[5, 60, 80, 90]),
    }
}

fn broker_options(random: &mut Random) -> broker::Options {
    let mut options = broker::Options {
        receive_maximum: random.pick(&[1, 3, 10, 1024, 1024]),
        inflight_max: random.pick(&[1, 5, 1024, 1024]),
        topic_alias_maximum: random.pick(&[0, 2, 32]),
        outbound_aliases_max: random.pick(&[0, 2, 32]),
        queue_qos0: random.percent(30),
        store: random.percent(40),
        maximum_qos: QoS::ExactlyOnce,
        handshake_millis_max: 3_000,
        ..broker::Options::default()
    };
    if random.percent(20) {
        options.queue_count_max = random.pick(&[3, 10, 40]) as usize;
    }
    if random.percent(30) {
        options.outbox_high_bytes = random.pick(&[200, 1_000, 4_000]) as usize;
        options.outbox_low_bytes = options.outbox_high_bytes / 4;
        options.outbox_bytes_max = options.outbox_high_bytes * 8;
    }
    options
}

fn weather(random: &mut Random, calm: bool) -> Weather {
    Weather {
        delay_millis_max: random.pick(&[1, 20, 200]),
        chunk_bytes_max: random.pick(&[4, 60, 4_096, 65_536]),
        room_bytes: random.pick(&[150, 2_000, 65_536]) as usize,
        cut: if calm { 0 } else { random.pick(&[20, 50, 80]) },
        half_open: random.pick(&[10, 40]),
    }
}
