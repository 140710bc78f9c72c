//! `karere broker --mosquitto-conf`: the same file does the same to mosquitto and to karere.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::harness::{Broker, Finished, Folder, Kind, Running, Scene, Tool, karere};

/// Makes a test of each scenario (a function of `Kind`) for each broker: `conf::karere::retained_messages_can_be_off`.
macro_rules! for_both_brokers {
    ($($scenario:ident)*) => {
        mod mosquitto {
            $(#[test]
            fn $scenario() {
                super::$scenario(crate::harness::Kind::Mosquitto);
            })*
        }
        mod karere {
            $(#[test]
            fn $scenario() {
                super::$scenario(crate::harness::Kind::Karere);
            })*
        }
    };
}

for_both_brokers! {
    a_listener_lets_nobody_in_without_allow_anonymous
    a_packet_over_max_packet_size_ends_the_connection
    retained_messages_can_be_off
    a_qos_over_the_maximum_is_not_granted_and_not_taken
    a_client_without_an_identifier_can_be_refused
    max_keepalive_is_told_to_version_5_alone
    a_message_over_message_size_limit_is_acknowledged_and_not_delivered
    connections_over_the_maximum_are_closed_unheard
    an_upgrade_delivers_with_the_qos_of_the_subscription
    limits_are_announced_to_version_5
}

const V311: u8 = 4;
const V5: u8 = 5;

fn a_listener_lets_nobody_in_without_allow_anonymous(kind: Kind) {
    for says_so in ["", "allow_anonymous false\n"] {
        let scene = Scene::with(Broker::configured(kind, says_so), Tool::Mosquitto);
        for (version, code) in [("mqttv31", 5), ("mqttv311", 5), ("mqttv5", 135)] {
            for who in ["-i nobody", "-u rita -P secret"] {
                scene.try_publish(&format!("-V {version} -t a -m b {who}")).expect(code);
            }
        }
    }
}

fn a_packet_over_max_packet_size_ends_the_connection(kind: Kind) {
    let broker = open_to_all(kind, "max_packet_size 100");
    for version in [V311, V5] {
        let (mut client, connack) = Client::connect(&broker, version, 60, "c");
        assert_eq!(has(&connack, &[0x27, 0, 0, 0, 100]), version == V5, "{connack:02x?}");
        // Fixed header 2, topic 3, identifier 2, in version 5 properties 1.
        let overhead = if version == V5 { 8 } else { 7 };
        client.publish("a", 100 - overhead, 1, false);
        assert_eq!(client.packet().first(), Some(&0x40), "100 bytes are acknowledged");
        // mosquitto counts one byte less.
        client.publish("a", 102 - overhead, 1, false);
        client.is_closed(0x95);
    }
}

fn retained_messages_can_be_off(kind: Kind) {
    let broker = open_to_all(kind, "retain_available false");
    for version in [V311, V5] {
        for qos in [0, 1] {
            let (mut client, connack) = Client::connect(&broker, version, 60, "c");
            assert_eq!(has(&connack, &[0x25, 0]), version == V5, "{connack:02x?}");
            client.publish("a", 1, qos, true);
            client.is_closed(0x9A);
        }
    }
}

fn a_qos_over_the_maximum_is_not_granted_and_not_taken(kind: Kind) {
    for option in ["max_qos 1", "maximum_qos 1"] {
        let broker = open_to_all(kind, option);
        for version in [V311, V5] {
            let (mut client, connack) = Client::connect(&broker, version, 60, "c");
            assert_eq!(has(&connack, &[0x24, 1]), version == V5, "{connack:02x?}");
            client.subscribe("other", 2);
            assert_eq!(client.packet().last(), Some(&1), "SUBACK grants 1");
            client.publish("a", 1, 1, false);
            assert_eq!(client.packet().first(), Some(&0x40));
            client.publish("a", 1, 2, false);
            client.is_closed(0x9B);
        }
    }
}

fn a_client_without_an_identifier_can_be_refused(kind: Kind) {
    let broker = open_to_all(kind, "");
    for version in [V311, V5] {
        assert_eq!(Client::connect(&broker, version, 60, "").1[3], 0, "by default it gets one");
    }
    let broker = open_to_all(kind, "allow_zero_length_clientid false");
    assert_eq!(Client::connect(&broker, V311, 60, "").1, [0x20, 2, 0, 2]);
    // mosquitto 2.0 says Unspecified error, where the specification has a code for it.
    assert!(Client::connect(&broker, V5, 60, "").1[3] >= 0x80);
    for version in [V311, V5] {
        assert_eq!(Client::connect(&broker, version, 60, "c").1[3], 0);
    }
}

fn max_keepalive_is_told_to_version_5_alone(kind: Kind) {
    let broker = open_to_all(kind, "max_keepalive 30");
    for (asked, told) in [(0, true), (10, false), (30, false), (31, true), (600, true)] {
        let (_, connack) = Client::connect(&broker, V5, asked, "c");
        assert_eq!(has(&connack, &[0x13, 0, 30]), told, "{asked} s: {connack:02x?}");
        assert_eq!(Client::connect(&broker, V311, asked, "c").1, [0x20, 2, 0, 0]);
    }
}

fn a_message_over_message_size_limit_is_acknowledged_and_not_delivered(kind: Kind) {
    // With no limit to its queues mosquitto 2.0 closes the connection for one at QoS 2.
    let broker = open_to_all(kind, "max_queued_messages 1000\nmessage_size_limit 10");
    for (version, client_id, is_told) in [(V311, "old", false), (V5, "new", true)] {
        let (mut client, _) = Client::connect(&broker, version, 60, client_id);
        for qos in [1, 2] {
            client.publish("a", 11, qos, false);
            let answer = client.packet();
            assert_eq!(answer.first(), Some(&(0x30 + 0x10 * qos)), "PUBACK or PUBREC");
            let reason = answer.get(4).copied().unwrap_or(0);
            assert_eq!(reason >= 0x80, is_told, "{answer:02x?}");
        }
    }
    let scene = Scene::with(broker, Tool::Mosquitto);
    let subscriber = scene.subscribe("-t a -q 2");
    for qos in 0..=2 {
        scene.publish(&format!("-t a -q {qos} -m 12345678901"));
        scene.publish(&format!("-t a -q {qos} -m 1234567890"));
    }
    assert_eq!(subscriber.messages(3), ["1234567890"; 3]);
}

fn connections_over_the_maximum_are_closed_unheard(kind: Kind) {
    let broker = open_to_all(kind, "max_connections 2");
    let clients = ["1", "2", "3", "4"].map(|client_id| Client::connect(&broker, V311, 60, client_id));
    let heard = clients.iter().take_while(|(_, connack)| *connack == [0x20, 2, 0, 0]).count();
    // mosquitto takes off one for whoever comes and goes without CONNECT, as the harness does to see that it listens.
    assert_eq!(heard, if kind == Kind::Mosquitto { 3 } else { 2 });
    assert!(clients[heard..].iter().all(|(_, connack)| connack.is_empty()));
}

fn an_upgrade_delivers_with_the_qos_of_the_subscription(kind: Kind) {
    let scene = Scene::with(open_to_all(kind, "upgrade_outgoing_qos true"), Tool::Mosquitto);
    scene.publish("-t r -r -q 0 -m kept");
    let subscriber = scene.subscribe("-t a -t r -q 1 -F %q:%p");
    assert_eq!(subscriber.messages(1), ["1:kept"]);
    (0..=2).for_each(|qos| scene.publish(&format!("-t a -q {qos} -m {qos}")));
    assert_eq!(subscriber.messages(4)[1..], ["1:0", "1:1", "1:2"]);
}

fn limits_are_announced_to_version_5(kind: Kind) {
    let announced = |option| Client::connect(&open_to_all(kind, option), V5, 60, "c").1;
    assert!(has(&announced("max_topic_alias 5"), &[0x22, 0, 5]));
    assert!(has(&announced("max_inflight_messages 7"), &[0x21, 0, 7]));
    let by_default = announced("");
    assert!(has(&by_default, &[0x22, 0, 10]) && has(&by_default, &[0x21, 0, 20]), "{by_default:02x?}");
}

#[test]
fn without_a_listener_programs_on_this_machine_are_let_in() {
    let scene = Scene::with(broker_with("# nothing\r\n\r\n", &[]), Tool::Mosquitto);
    scene.publish("-t a -m b");
}

#[test]
fn a_flag_overrides_the_file() {
    let scene = Scene::with(broker_with("listener 1 127.0.0.1\n", &["--allow-anonymous"]), Tool::Mosquitto);
    assert_ne!(scene.broker.port, 1);
    scene.publish("-t a -m b");
}

#[test]
fn what_is_not_there_yet_is_named_and_nothing_starts() {
    let finished = finished("listener 1884\npassword_file p\ncertfile c\nmax_conections 5\n");
    for part in [
        "mosquitto.conf:4: max_conections: mosquitto has no such option. Is it max_connections?",
        "user names and passwords\n",
        "mosquitto.conf:2)",
        "TLS\n",
        "mosquitto.conf:3)",
    ] {
        assert!(finished.stderr.contains(part), "{part:?} is not in {}", finished.stderr);
    }
    assert_eq!(finished.expect(1), "");
}

#[test]
fn what_is_ignored_and_that_nobody_gets_in_is_said() {
    let folder = Folder::new();
    let file = folder.file("mosquitto.conf", "listener 1884 127.0.0.1\nlog_dest stdout\npid_file p\n");
    let running = Running::start(karere().args(["broker", "-p", "0", "--mosquitto-conf", &file]));
    running.wait_for_line("listening on 127.0.0.1:");
    running.signal("TERM");
    let said = running.finish();
    for part in [
        "log_dest",
        "mosquitto.conf:2",
        "pid_file",
        "mosquitto.conf:3",
        "nobody gets in",
        "--allow-anonymous",
    ] {
        assert!(said.stderr.contains(part), "{part:?} is not in {}", said.stderr);
    }
    said.expect(0);
}

fn open_to_all(kind: Kind, option: &str) -> Broker {
    Broker::configured(kind, &format!("allow_anonymous true\n{option}\n"))
}

fn broker_with(text: &str, more: &[&str]) -> Broker {
    let folder = Folder::new();
    let file = folder.file("mosquitto.conf", text);
    Broker::karere(&[&["--mosquitto-conf", &file], more].concat())
}

fn finished(text: &str) -> Finished {
    let folder = Folder::new();
    let file = folder.file("mosquitto.conf", text);
    Running::start(karere().args(["broker", "--mosquitto-conf", &file])).finish()
}

/// Whether these bytes are somewhere in a packet.
fn has(packet: &[u8], bytes: &[u8]) -> bool {
    packet.windows(bytes.len()).any(|window| window == bytes)
}

/// A client that sees bytes: the tools show neither CONNACK's properties nor the reason of a DISCONNECT.
struct Client {
    stream: TcpStream,
    version: u8,
}

impl Client {
    /// With what came as CONNACK; nothing when the connection was closed.
    fn connect(broker: &Broker, version: u8, keep_alive: u16, client_id: &str) -> (Client, Vec<u8>) {
        let stream = TcpStream::connect(("127.0.0.1", broker.port)).expect("somebody listens");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
        let mut client = Client { stream, version };
        let mut body = [&[0, 4], &b"MQTT"[..], &[version, 2], &keep_alive.to_be_bytes()].concat();
        body.extend(client.no_properties());
        body.extend(text(client_id));
        client.send(0x10, &body);
        let connack = client.packet();
        (client, connack)
    }

    fn publish(&mut self, topic: &str, payload_bytes: usize, qos: u8, retain: bool) {
        let mut body = text(topic);
        if qos > 0 {
            body.extend([0, qos]);
        }
        body.extend(self.no_properties());
        body.resize(body.len() + payload_bytes, b'x');
        self.send(0x30 | qos << 1 | u8::from(retain), &body);
    }

    fn subscribe(&mut self, filter: &str, qos: u8) {
        let mut body = vec![0, 9];
        body.extend(self.no_properties());
        body.extend(text(filter));
        body.push(qos);
        self.send(0x82, &body);
    }

    /// The next packet, all of it; nothing when the connection is closed.
    fn packet(&mut self) -> Vec<u8> {
        let mut packet = vec![0; 2];
        if self.stream.read_exact(&mut packet).is_err() {
            return Vec::new();
        }
        assert!(packet[1] < 0x80, "a longer packet than was expected");
        let mut body = vec![0; packet[1].into()];
        self.stream.read_exact(&mut body).expect("a whole packet");
        packet.append(&mut body);
        packet
    }

    /// The broker closes; on version 5 with this reason.
    #[track_caller]
    fn is_closed(&mut self, reason: u8) {
        if self.version == V5 {
            let packet = self.packet();
            assert!(packet.is_empty() || packet == [0xE0, 1, reason], "{packet:02x?}");
        }
        assert_eq!(self.packet(), [], "it is not closed");
    }

    fn no_properties(&self) -> Option<u8> {
        (self.version == V5).then_some(0)
    }

    fn send(&mut self, first: u8, body: &[u8]) {
        let length = u8::try_from(body.len()).ok().filter(|length| *length < 0x80).expect("a short packet");
        // A broker that has closed already is seen in what is read.
        let _ = self.stream.write_all(&[&[first, length], body].concat());
    }
}

fn text(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).expect("a short text");
    [&length.to_be_bytes(), text.as_bytes()].concat()
}
