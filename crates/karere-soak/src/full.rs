//! `full`: a disk that fills up under the broker, and has room again.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use bytes::Bytes;
use karere_core::Text;
use karere_core::codec::{
    Ack, Message, Packet, Properties, Publish, QoS, ReasonCode, Subscribe, SubscribeOptions, Subscription,
    SubscriptionIds, Version,
};
use karere_core::topic::TopicName;
use rustix::process::Signal;

use crate::broker::{Broker, Kind};
use crate::clock::Clock;
use crate::folder::Folder;
use crate::line::{Greeting, Heard, Line};
use crate::publisher::id_of;
use crate::random::Random;

/// What the file system holds at first, and when it has room again.
const SMALL: &str = "size=24m";
const LARGE: &str = "size=96m";

const PAYLOAD_BYTES: usize = 16 * 1024;

/// Far more messages than fit.
const MESSAGES_MAX: u32 = 20_000;

const PATIENCE: Duration = Duration::from_secs(20);

/// Fills the disk under our broker `program`. True when nothing acknowledged was lost; also where it cannot be tried.
pub(crate) fn full(program: &Path) -> Result<bool, String> {
    let folder = Folder::new(None)?;
    let kind = Kind::Karere { program: program.to_owned(), durability: "fsync".to_owned() };
    let mut broker = Broker::new(kind, folder.path().to_owned(), &mut Random::new(7))?;
    let disk = match Disk::mount(folder.path().join("data")) {
        Ok(disk) => disk,
        Err(why) => {
            println!("disk full: SKIPPED, no small file system can be mounted here (that needs root): {why}");
            return Ok(true);
        }
    };
    let result = Trial::new(&mut broker, &disk).run();
    broker.kill_now(Signal::KILL);
    let told = broker.last_words();
    drop(disk);
    match result {
        Ok(line) => println!("disk full: {line}"),
        Err(what) => {
            println!("disk full: FAILED: {what}\nthe broker's last words:\n{told}");
            return Ok(false);
        }
    }
    Ok(true)
}

/// A small file system in memory.
struct Disk(PathBuf);

impl Disk {
    fn mount(at: PathBuf) -> Result<Self, String> {
        command("mount", &["-t", "tmpfs", "-o", SMALL, "tmpfs", &at.to_string_lossy()])?;
        Ok(Self(at))
    }

    fn enlarge(&self) -> Result<(), String> {
        command("mount", &["-o", &format!("remount,{LARGE}"), &self.0.to_string_lossy()])
    }

    fn used_mib(&self) -> u64 {
        let files = fs::read_dir(&self.0).into_iter().flatten().flatten();
        files.filter_map(|file| file.metadata().ok()).map(|data| data.len()).sum::<u64>() >> 20
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Err(error) = command("umount", &[&self.0.to_string_lossy()]) {
            println!("{error}");
        }
    }
}

fn command(program: &str, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new(program).args(arguments).output().map_err(|e| format!("{program}: {e}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim())),
    }
}

/// How a publish ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Acknowledged,
    Refused(ReasonCode),
    Closed,
}

struct Trial<'a> {
    broker: &'a mut Broker,
    disk: &'a Disk,
    next: u32,
    acknowledged: BTreeSet<u32>,
    refused: u64,
}

impl<'a> Trial<'a> {
    fn new(broker: &'a mut Broker, disk: &'a Disk) -> Self {
        Self { broker, disk, next: 0, acknowledged: BTreeSet::new(), refused: 0 }
    }

    fn run(&mut self) -> Result<String, String> {
        self.broker.start()?;
        let address = self.broker.address();
        Client::connect(address, "keeper", Version::V5, true)?.subscribe("full/#")?;
        let mut other = Client::connect(address, "other", Version::V5, false)?;
        other.subscribe("free/#")?;

        self.fill_until_full()?;
        let (fitted, used_mib) = (self.acknowledged.len(), self.disk.used_mib());
        let old = self.fill(Version::V311)?;
        if old != End::Closed {
            return Err(format!("3.1.1 with the disk full: {old:?}"));
        }
        self.needs_no_disk(&mut other)?;

        self.disk.enlarge()?;
        let back = self.goes_on()?;
        self.broker.kill_now(Signal::KILL);
        self.broker.start()?;
        self.collect()?;

        // Full once more, and killed while it is: what is taken away makes room, with no help from outside.
        self.fill_until_full()?;
        self.broker.kill_now(Signal::KILL);
        self.broker.start()?;
        self.collect()?;
        let again = self.goes_on()?;
        self.collect()?;
        Ok(format!(
            "{fitted} of 16 KiB taken, then Quota exceeded ({used_mib} MiB in files), {} refused in all; \
             {:.1} s after there was room it went on, {:.1} s after its sessions were emptied; nothing lost",
            self.refused,
            back.as_secs_f64(),
            again.as_secs_f64()
        ))
    }

    /// Whose batch was under way when the disk failed is told nothing and closed, and until it is known that it is full
    /// the reason is another one; then it is said.
    fn fill_until_full(&mut self) -> Result<(), String> {
        let start = Instant::now();
        let mut ends = Vec::new();
        while start.elapsed() < PATIENCE {
            match self.fill(Version::V5)? {
                End::Refused(ReasonCode::QuotaExceeded) => return Ok(()),
                end => ends.push(end),
            }
        }
        ends.truncate(8);
        Err(format!("with the disk full never 0x97, but {ends:?}"))
    }

    /// Publishes at QoS 1 and 2 until one is not taken.
    fn fill(&mut self, version: Version) -> Result<End, String> {
        let mut publisher = Client::connect(self.broker.address(), "filler", version, false)?;
        for _ in 0..MESSAGES_MAX {
            let end = self.publish_one(&mut publisher)?;
            if end != End::Acknowledged {
                return Ok(end);
            }
        }
        Err(format!("{MESSAGES_MAX} messages of {PAYLOAD_BYTES} bytes fit into {SMALL}"))
    }

    fn publish_one(&mut self, publisher: &mut Client) -> Result<End, String> {
        let number = self.next;
        self.next += 1;
        let mut payload = number.to_be_bytes().to_vec();
        payload.resize(PAYLOAD_BYTES, b'x');
        let end = publisher.publish("full/a", payload.into(), 1 + (number % 2) as u8)?;
        match end {
            End::Acknowledged => _ = self.acknowledged.insert(number),
            _ => self.refused += 1,
        }
        Ok(end)
    }

    /// QoS 0, and QoS 1 for nobody whose session lasts, go on.
    fn needs_no_disk(&mut self, other: &mut Client) -> Result<(), String> {
        let mut publisher = Client::connect(self.broker.address(), "light", Version::V5, false)?;
        for qos in [0, 1] {
            let end = publisher.publish("free/a", Bytes::from_static(b"light"), qos)?;
            if end != End::Acknowledged {
                return Err(format!("QoS {qos} for nobody that lasts, with the disk full: {end:?}"));
            }
            other.receive(|publish| (publish.message.topic.as_str() == "free/a").then_some(()))?;
        }
        Ok(())
    }

    /// How long it takes until a message is taken again.
    fn goes_on(&mut self) -> Result<Duration, String> {
        let start = Instant::now();
        let mut last = None;
        while start.elapsed() < PATIENCE {
            let publisher = Client::connect(self.broker.address(), "again", Version::V5, false);
            if let Ok(mut publisher) = publisher {
                let end = self.publish_one(&mut publisher)?;
                if end == End::Acknowledged {
                    return Ok(start.elapsed());
                }
                last = Some(end);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let (used, held) = (self.disk.used_mib(), self.acknowledged.len());
        Err(format!(
            "{held} messages wait and {used} MiB are in files, and nothing is taken in {PATIENCE:?}: {last:?}"
        ))
    }

    /// The session that lasts takes all that waits for it: what was acknowledged must be among it.
    fn collect(&mut self) -> Result<(), String> {
        let mut keeper = Client::connect(self.broker.address(), "keeper", Version::V5, true)?;
        if !keeper.present {
            return Err("the session is gone".to_owned());
        }
        let mut left = std::mem::take(&mut self.acknowledged);
        while !left.is_empty() {
            let got = keeper.receive(|publish| {
                let number = publish.message.payload.first_chunk::<4>()?;
                Some(u32::from_be_bytes(*number))
            });
            match got {
                Ok(number) => _ = left.remove(&number),
                Err(why) => {
                    let some: Vec<&u32> = left.iter().take(5).collect();
                    return Err(format!("{} acknowledged and lost, {some:?} among them ({why})", left.len()));
                }
            }
        }
        keeper.settle()
    }
}

/// One client that waits for each answer.
struct Client {
    line: Line,
    address: SocketAddr,
    clock: Clock,
    heard: Vec<Packet>,
    present: bool,
    down: bool,
}

impl Client {
    /// Tries until it is let in.
    fn connect(address: SocketAddr, id: &str, version: Version, durable: bool) -> Result<Self, String> {
        let client_id = id.to_owned();
        let greeting = Greeting { client_id, version, durable, receive_maximum: 0, will: None };
        let mut client = Self {
            line: Line::new(greeting),
            address,
            clock: Clock::new(),
            heard: Vec::new(),
            present: false,
            down: false,
        };
        let start = Instant::now();
        while !client.line.is_up() {
            client.turn();
            if start.elapsed() > PATIENCE {
                return Err(format!("{id} is not let in"));
            }
        }
        client.down = false;
        Ok(client)
    }

    fn subscribe(&mut self, filter: &str) -> Result<(), String> {
        self.line.send(&Packet::Subscribe(Subscribe {
            packet_id: id_of(1),
            subscriptions: vec![Subscription {
                filter: Text::new(filter).expect("a short filter"),
                options: SubscribeOptions::new(QoS::ExactlyOnce),
            }],
            subscription_id: None,
            properties: Properties::EMPTY,
        }));
        self.wait(|packet| matches!(packet, Packet::SubAck(_)).then_some(()))?
            .ok_or_else(|| "closed instead of SUBACK".to_owned())
    }

    fn publish(&mut self, topic: &str, payload: Bytes, qos: u8) -> Result<End, String> {
        let qos = QoS::from_bits(qos).expect("0 to 2");
        self.line.send(&Packet::Publish(Publish {
            dup: false,
            packet_id: (qos != QoS::AtMostOnce).then(|| id_of(1)),
            topic_alias: None,
            subscription_ids: SubscriptionIds::EMPTY,
            message: Message {
                topic: TopicName::new(topic).expect("a topic"),
                payload,
                qos,
                retain: false,
                expiry: None,
                properties: Properties::EMPTY,
            },
        }));
        self.line.flush();
        if qos == QoS::AtMostOnce {
            return Ok(End::Acknowledged);
        }
        let answer = self.wait(|packet| match packet {
            Packet::PubAck(ack) | Packet::PubRec(ack) => Some(ack.reason),
            _ => None,
        })?;
        match answer {
            None => return Ok(End::Closed),
            Some(reason) if reason.is_error() => return Ok(End::Refused(reason)),
            Some(_) if qos == QoS::AtLeastOnce => return Ok(End::Acknowledged),
            Some(_) => {}
        }
        self.line.send(&Packet::PubRel(Ack::success(id_of(1))));
        // PUBREC is the promise; without PUBCOMP the connection is of no use any more.
        self.wait(|packet| matches!(packet, Packet::PubComp(_)).then_some(()))?;
        Ok(End::Acknowledged)
    }

    /// The next message that `take` takes; each is answered.
    fn receive<T>(&mut self, mut take: impl FnMut(&Publish) -> Option<T>) -> Result<T, String> {
        let mut taken = None;
        let start = Instant::now();
        while taken.is_none() {
            self.turn();
            let heard = std::mem::take(&mut self.heard);
            let mut rest = heard.into_iter();
            for packet in rest.by_ref() {
                self.answer(&packet);
                if let Packet::Publish(publish) = &packet {
                    taken = take(publish);
                }
                if taken.is_some() {
                    break;
                }
            }
            self.heard = rest.collect();
            if self.down {
                return Err("the connection was closed".to_owned());
            }
            if start.elapsed() > PATIENCE {
                return Err(format!("nothing more in {PATIENCE:?}"));
            }
        }
        self.line.flush();
        taken.ok_or_else(|| "nothing".to_owned())
    }

    /// Answers what is still under way, until PINGRESP says that this was all.
    fn settle(&mut self) -> Result<(), String> {
        for _ in 0..3 {
            self.line.send(&Packet::PingReq);
            let start = Instant::now();
            let mut answered = false;
            while !answered && !self.down && start.elapsed() < PATIENCE {
                self.turn();
                for packet in std::mem::take(&mut self.heard) {
                    self.answer(&packet);
                    answered |= packet == Packet::PingResp;
                }
            }
            if !answered {
                return Err("no answer to PINGREQ".to_owned());
            }
        }
        Ok(())
    }

    fn answer(&mut self, packet: &Packet) {
        let answer = match packet {
            Packet::Publish(publish) => publish.packet_id.map(|id| match publish.message.qos {
                QoS::ExactlyOnce => Packet::PubRec(Ack::success(id)),
                _ => Packet::PubAck(Ack::success(id)),
            }),
            Packet::PubRel(ack) => Some(Packet::PubComp(Ack::success(ack.packet_id))),
            _ => None,
        };
        if let Some(answer) = answer {
            self.line.send(&answer);
        }
    }

    /// What `find` finds in what comes; None when the connection is closed.
    fn wait<T>(&mut self, mut find: impl FnMut(&Packet) -> Option<T>) -> Result<Option<T>, String> {
        let start = Instant::now();
        loop {
            self.turn();
            if let Some(found) = std::mem::take(&mut self.heard).iter().find_map(&mut find) {
                return Ok(Some(found));
            }
            if self.down {
                return Ok(None);
            }
            if start.elapsed() > PATIENCE {
                return Err(format!("no answer in {PATIENCE:?}"));
            }
        }
    }

    fn turn(&mut self) {
        self.line.wait();
        for heard in self.line.turn(self.address, self.clock.now()) {
            match heard {
                Heard::Up { present, .. } => self.present = present,
                Heard::Packet(packet) => self.heard.push(packet),
                Heard::Down(_) => self.down = true,
            }
        }
        self.line.flush();
    }
}
