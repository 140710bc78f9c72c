//! A driver with a store on a simulated disk, and a server with real sockets that does what it is told.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;

use bytes::BytesMut;
use karere_core::codec::{Ack, ConnAck, FixedHeader, Packet};
use karere_store::{Durability, Simulated, Tail};

use super::*;
use crate::blocking::Driver;
use crate::{CorePublishError, PacketId, Properties, QoS, ReasonCode, StoreOptions, Version};

const SOON: Duration = Duration::from_secs(20);

/// A client's driver with its loop in the test's hands, and its server.
struct Scene {
    disk: Simulated,
    driver: Driver,
    server: Server,
}

struct Server {
    stream: TcpStream,
    input: BytesMut,
}

fn store() -> StoreOptions {
    StoreOptions { bytes_max: 1000, ..StoreOptions::new("nowhere") }
}

fn engine(options: &Options, disk: &Simulated, store: &StoreOptions) -> Engine {
    let (opened, restored) = Opened::on(disk.clone(), store, super::super::EPOCH, 1).unwrap();
    Engine::with_store(options, Instant::now(), opened, restored)
}

impl Scene {
    fn new() -> Self {
        Self::on(Simulated::new(), &store(), false)
    }

    /// Connected; the server has the session or has it not.
    fn on(disk: Simulated, store: &StoreOptions, session_present: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut options = Options::new("127.0.0.1", listener.local_addr().unwrap().port());
        options.core.session_expiry = 3600;
        let options = options.client_id("c").unwrap();
        let driver = Driver::on(engine(&options, &disk, store), options).unwrap();
        driver.connect().unwrap();
        let stream = listener.accept().unwrap().0;
        stream.set_read_timeout(Some(SOON)).unwrap();
        let mut scene = Self { disk, driver, server: Server { stream, input: BytesMut::new() } };
        scene.driver.write().unwrap();
        assert!(matches!(scene.server.packet(), Packet::Connect(_)));
        let connack = ConnAck { session_present, reason: ReasonCode::Success, properties: Properties::EMPTY };
        scene.server.send(&Packet::ConnAck(connack.into()));
        scene.turn_until(|scene| scene.driver.is_connected());
        scene
    }

    fn publish(&self, payload: &str, qos: QoS) -> Result<Delivery, PublishError> {
        self.driver.publish(("t", payload, qos))
    }

    /// Passes of the loop.
    fn turn_until(&mut self, done: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + SOON;
        while !done(self) {
            assert!(Instant::now() < deadline);
            self.driver.write().unwrap();
            let ready = self.driver.wait(Some(Duration::from_millis(20))).unwrap();
            if ready.readable {
                self.driver.read().unwrap();
            }
            self.driver.take(&mut Default::default());
        }
    }

    /// The next packet that the server gets.
    fn packet(&mut self) -> Packet {
        self.server.stream.set_nonblocking(true).unwrap();
        let deadline = Instant::now() + SOON;
        loop {
            self.driver.write().unwrap();
            self.driver.wait(Some(Duration::from_millis(5))).unwrap();
            if let Some(packet) = self.server.try_packet() {
                self.server.stream.set_nonblocking(false).unwrap();
                return packet;
            }
            assert!(Instant::now() < deadline);
        }
    }

    fn payload(&mut self) -> String {
        match self.packet() {
            Packet::Publish(publish) => String::from_utf8(publish.message.payload.to_vec()).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    /// What another process would find after a loss of power.
    fn kept(&self) -> Vec<u64> {
        let disk = Simulated::after(&self.disk.history(), Tail::Lost);
        let (_, restored) = Opened::on(disk, &store(), super::super::EPOCH, 1).unwrap();
        restored.messages.iter().map(|message| message.sequence).collect()
    }
}

impl Server {
    fn try_packet(&mut self) -> Option<Packet> {
        let mut buffer = [0; 4096];
        if let Ok(count) = self.stream.read(&mut buffer) {
            assert_ne!(count, 0, "the client has closed");
            self.input.extend_from_slice(&buffer[..count]);
        }
        let header = FixedHeader::peek(&self.input).unwrap()?;
        if self.input.len() < header.frame_len() {
            return None;
        }
        Some(Packet::decode(Version::V5, self.input.split_to(header.frame_len()).freeze()).unwrap())
    }

    fn packet(&mut self) -> Packet {
        loop {
            if let Some(packet) = self.try_packet() {
                return packet;
            }
        }
    }

    fn send(&mut self, packet: &Packet) {
        let mut out = BytesMut::new();
        packet.encode(Version::V5, &mut out).unwrap();
        self.stream.write_all(&out).unwrap();
    }
}

fn ack(packet_id: u16) -> Ack {
    Ack::success(PacketId::new(packet_id).unwrap())
}

#[test]
fn c1_no_publish_is_on_the_wire_before_its_sync_and_publishing_does_not_wait_for_it() {
    let mut scene = Scene::new();
    scene.disk.hold_syncs(true);
    let deliveries: Vec<_> =
        ["1", "2", "3"].iter().map(|payload| scene.publish(payload, QoS::AtLeastOnce).unwrap()).collect();
    scene.publish("at once", QoS::AtMostOnce).unwrap();
    assert_eq!(scene.payload(), "at once", "QoS 0 waits for no disk");
    assert!(deliveries.iter().all(|delivery| !delivery.is_stored()));
    assert_eq!(deliveries[0].wait_stored(Some(Duration::ZERO)), Err(PublishError::TimedOut));
    assert!(scene.kept().is_empty());
    scene.disk.hold_syncs(false);
    assert_eq!(scene.payload(), "1");
    assert_eq!(scene.kept(), [0, 1, 2]);
    assert_eq!((scene.payload(), scene.payload()), ("2".to_owned(), "3".to_owned()));
    assert_eq!(deliveries[2].wait_stored(Some(SOON)), Ok(true));
}

#[test]
fn with_the_operating_system_is_enough_where_that_was_asked_for() {
    for durability in [Durability::Os, Durability::None] {
        let mut scene = Scene::on(Simulated::new(), &StoreOptions { durability, ..store() }, false);
        scene.disk.hold_syncs(true);
        let delivery = scene.publish("x", QoS::AtLeastOnce).unwrap();
        assert!(delivery.is_stored());
        assert_eq!(scene.payload(), "x");
        scene.disk.hold_syncs(false);
    }
}

#[test]
fn a_full_store_refuses_what_is_new_and_takes_it_again_when_something_is_acknowledged() {
    let mut scene = Scene::new();
    let payload = "x".repeat(300);
    for _ in 0..2 {
        scene.publish(&payload, QoS::AtLeastOnce).unwrap();
    }
    let full = loop {
        if let Err(full) = scene.publish(&payload, QoS::AtLeastOnce) {
            break full;
        }
    };
    assert!(matches!(full, PublishError::Store(StoreError::Full { max: 1000, .. })), "{full}");
    assert_eq!(full.to_string(), "the store is full: 686 of at most 1000 bytes are in use");
    scene.publish(&payload, QoS::AtMostOnce).unwrap();
    (0..3).for_each(|_| assert_eq!(scene.payload(), payload));
    scene.server.send(&Packet::PubAck(ack(1)));
    scene.turn_until(|scene| scene.driver.inflight() == 1);
    scene.publish(&payload, QoS::AtLeastOnce).unwrap();
}

#[test]
fn what_cannot_be_written_is_an_error_and_never_sent_and_the_rest_goes_on() {
    let mut scene = Scene::new();
    scene.publish("1", QoS::AtLeastOnce).unwrap();
    assert_eq!(scene.payload(), "1");
    scene.disk.fail_in(0, true);
    let failed = scene.publish("lost", QoS::ExactlyOnce).unwrap_err();
    assert!(matches!(&failed, PublishError::Store(StoreError::Failing(_))), "{failed}");
    assert_eq!(scene.driver.queued(), 0);
    scene.publish("QoS 0", QoS::AtMostOnce).unwrap();
    assert_eq!(scene.payload(), "QoS 0");
    assert!(scene.driver.store_status().unwrap().is_failing);
    scene.disk.mend();
    scene.turn_until(|scene| scene.publish("2", QoS::AtLeastOnce).is_ok());
    assert_eq!(scene.payload(), "2");
    let kept = scene.kept();
    assert_eq!((kept.len(), kept[0]), (2, 0), "what was written before, and after: {kept:?}");
    assert!(scene.driver.store_status().unwrap().last_error.is_some());
}

#[test]
fn what_was_written_before_a_failure_goes_when_the_disk_is_back() {
    let mut scene = Scene::new();
    scene.disk.hold_syncs(true);
    let delivery = scene.publish("1", QoS::AtLeastOnce).unwrap();
    scene.disk.fail_in(0, true);
    scene.disk.hold_syncs(false);
    scene.turn_until(|scene| scene.driver.store_status().unwrap().is_failing);
    scene.publish("QoS 0", QoS::AtMostOnce).unwrap();
    assert_eq!(scene.payload(), "QoS 0");
    assert!(!delivery.is_stored(), "a sync that failed stores nothing");
    scene.disk.mend();
    assert_eq!(scene.payload(), "1");
    assert_eq!(scene.kept(), [0]);
}

#[test]
fn c1_pubrel_waits_for_the_disk_also_where_something_is_published_behind_it() {
    let mut scene = Scene::new();
    scene.publish("1", QoS::ExactlyOnce).unwrap();
    assert_eq!(scene.payload(), "1");
    // PUBREC comes, and before anybody has written what that means, a message is published and synced.
    let mut pubrec = BytesMut::new();
    Packet::PubRec(ack(1)).encode(Version::V5, &mut pubrec).unwrap();
    let engine = &scene.driver.engine;
    let now = engine.now();
    engine.look(|state| {
        state.core.handle_input(now, &mut pubrec).unwrap();
        state.collect();
    });
    scene.publish("2", QoS::ExactlyOnce).unwrap();
    assert_eq!(scene.packet(), Packet::PubRel(ack(1)));
    let disk = Simulated::after(&scene.disk.history(), Tail::Lost);
    let (_, restored) = Opened::on(disk, &store(), super::super::EPOCH, 1).unwrap();
    let state = &restored.messages[0].state;
    assert!(matches!(state, karere_core::client::MessageState::Received { order: 0 }), "{state:?}");
}

#[test]
fn many_threads_publish_and_each_message_is_kept_and_sent_once_in_the_order_of_its_number() {
    let mut scene = Scene::on(Simulated::new(), &StoreOptions { bytes_max: 1 << 30, ..store() }, false);
    let driver = &scene.driver;
    thread::scope(|scope| {
        for writer in 0..4 {
            scope.spawn(move || {
                for number in 0..200 {
                    driver.publish(("t", format!("{writer} {number}"), QoS::AtLeastOnce)).unwrap();
                }
            });
        }
    });
    let mut next = [0; 4];
    for sequence in 0..800_u64 {
        let Packet::Publish(publish) = scene.packet() else { panic!("no PUBLISH") };
        assert_eq!(publish.packet_id, Some(PacketId::from_sequence(sequence)));
        let payload = String::from_utf8(publish.message.payload.to_vec()).unwrap();
        let (writer, number) = payload.split_once(' ').unwrap();
        let writer: usize = writer.parse().unwrap();
        assert_eq!(number, next[writer].to_string());
        next[writer] += 1;
    }
}

#[test]
fn a_message_keeps_its_parts_and_its_time_over_a_restart() {
    let disk = Simulated::new();
    let options = Options::new("nowhere", 1);
    let first = engine(&options, &disk, &store());
    let properties = Properties::builder().with(crate::Property::ContentType("x")).unwrap().build();
    let publish = Publish::new("a/b", "payload").qos(QoS::ExactlyOnce).retain(true).expiry(100);
    first.publish(&publish.properties(properties.clone())).unwrap();
    drop(first);
    let (_, restored) = Opened::on(disk, &store(), super::super::EPOCH, 1).unwrap();
    let karere_core::client::MessageState::Published { message, expires_at } = &restored.messages[0].state
    else {
        panic!("it was not sent")
    };
    assert_eq!((message.topic.as_str(), message.payload.as_ref()), ("a/b", &b"payload"[..]));
    assert_eq!((message.qos, message.retain, &message.properties), (QoS::ExactlyOnce, true, &properties));
    let left = expires_at.unwrap().since(super::super::EPOCH);
    assert!((Duration::from_secs(80)..=Duration::from_secs(100)).contains(&left), "{left:?}");
}

#[test]
fn a_full_queue_takes_back_nothing_that_was_kept() {
    let mut options = Options::new("nowhere", 1);
    options.core.queue_count_max = 2;
    let disk = Simulated::new();
    let engine = engine(&options, &disk, &store());
    let publish = Publish::new("t", "x").qos(QoS::AtLeastOnce);
    (0..2).for_each(|_| drop(engine.publish(&publish).unwrap()));
    let full = engine.publish(&publish).unwrap_err();
    assert!(matches!(full, PublishError::Refused(CorePublishError::Full { count: 2, .. })), "{full}");
    drop(engine);
    let (_, restored) = Opened::on(disk, &store(), super::super::EPOCH, 1).unwrap();
    assert_eq!(restored.messages.len(), 2);
}
