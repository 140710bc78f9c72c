//! A server's end that does what a test's script says.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use karere::{Message, Options, PacketId, Properties, QoS, ReasonCode, Reconnect, TopicName, Version};
use karere_core::codec::{
    Ack, ConnAck, Connect, FixedHeader, Packet, Publish, SubAck, Subscribe, SubscriptionIds,
};

/// How long anything may take before a test has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A listener on a port of its own.
pub(crate) struct Peer {
    listener: TcpListener,
}

/// One connection of a client.
pub(crate) struct Conn {
    stream: TcpStream,
    input: BytesMut,
    version: Version,
}

impl Peer {
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Self { listener }
    }

    /// Options for a client of this peer, quick to come back.
    pub(crate) fn options(&self) -> Options {
        let quick = Reconnect { min: Duration::from_millis(5), max: Duration::from_millis(40), jitter: 0.5 };
        Options::new("127.0.0.1", self.listener.local_addr().unwrap().port()).reconnect(quick)
    }

    /// Runs a script beside the test.
    pub(crate) fn script<R: Send + 'static>(
        self,
        script: impl FnOnce(&Self) -> R + Send + 'static,
    ) -> JoinHandle<R> {
        thread::spawn(move || script(&self))
    }

    /// A client's connection, without a word said.
    pub(crate) fn accept(&self) -> Conn {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => return Conn::new(stream),
                Err(_) => assert!(Instant::now() < deadline, "nobody connected"),
            }
            thread::sleep(Duration::from_micros(200));
        }
    }

    /// A client's connection after CONNECT and CONNACK.
    pub(crate) fn welcome(&self, session_present: bool) -> (Conn, Connect) {
        let mut conn = self.accept();
        let connect = conn.connect();
        conn.connack(session_present, ReasonCode::Success);
        (conn, connect)
    }

    /// Whether nobody connects for a while.
    #[cfg(feature = "tokio")]
    pub(crate) fn is_left_alone(&self, time: Duration) -> bool {
        thread::sleep(time);
        self.listener.accept().is_err()
    }
}

impl Conn {
    fn new(stream: TcpStream) -> Self {
        stream.set_nonblocking(false).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self { stream, input: BytesMut::new(), version: Version::V5 }
    }

    /// The next packet; none at the end of the stream.
    pub(crate) fn next(&mut self) -> Option<Packet> {
        loop {
            if let Some(header) = FixedHeader::peek(&self.input).unwrap()
                && self.input.len() >= header.frame_len()
            {
                let frame = self.input.split_to(header.frame_len()).freeze();
                return Some(Packet::decode(self.version, frame).unwrap());
            }
            let mut buffer = [0; 65_536];
            match self.stream.read(&mut buffer).expect("the client went silent") {
                0 => return None,
                count => self.input.extend_from_slice(&buffer[..count]),
            }
        }
    }

    /// Waits until there is something to read, and does not read it.
    #[cfg(feature = "tokio")]
    pub(crate) fn wait_for_bytes(&self) {
        assert_ne!(self.stream.peek(&mut [0]).expect("the client went silent"), 0);
    }

    pub(crate) fn packet(&mut self) -> Packet {
        self.next().expect("the client closed")
    }

    pub(crate) fn send(&mut self, packet: &Packet) {
        let mut out = BytesMut::new();
        packet.encode(self.version, &mut out).unwrap();
        self.stream.write_all(&out).unwrap();
    }

    pub(crate) fn connect(&mut self) -> Connect {
        let Packet::Connect(connect) = self.packet() else { panic!("no CONNECT") };
        self.version = connect.version;
        *connect
    }

    pub(crate) fn connack(&mut self, session_present: bool, reason: ReasonCode) {
        let connack = ConnAck { session_present, reason, properties: Properties::EMPTY };
        self.send(&Packet::ConnAck(connack.into()));
    }

    pub(crate) fn publish(&mut self) -> Publish {
        match self.packet() {
            Packet::Publish(publish) => publish,
            other => panic!("no PUBLISH but {other:?}"),
        }
    }

    /// The payload of the next PUBLISH, which is acknowledged.
    pub(crate) fn published(&mut self) -> String {
        let publish = self.publish();
        if let Some(packet_id) = publish.packet_id {
            self.send(&Packet::PubAck(Ack::success(packet_id)));
        }
        String::from_utf8(publish.message.payload.to_vec()).unwrap()
    }

    /// The next SUBSCRIBE, which is granted.
    pub(crate) fn subscribed(&mut self) -> Subscribe {
        let Packet::Subscribe(subscribe) = self.packet() else { panic!("no SUBSCRIBE") };
        let reasons =
            subscribe.subscriptions.iter().map(|one| ReasonCode::granted(one.options.qos)).collect();
        self.suback(subscribe.packet_id, reasons);
        subscribe
    }

    pub(crate) fn suback(&mut self, packet_id: PacketId, reasons: Vec<ReasonCode>) {
        self.send(&Packet::SubAck(SubAck { packet_id, reasons, properties: Properties::EMPTY }));
    }

    /// Sends a message; at QoS > 0 with this identifier.
    pub(crate) fn deliver(&mut self, topic: &str, payload: &str, qos: QoS, packet_id: u16) {
        self.send(&message(topic, payload, qos, packet_id));
    }

    /// Sends bytes as they are.
    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Packets until the client closes, DISCONNECT last.
    pub(crate) fn rest(mut self) -> Vec<Packet> {
        let mut packets = Vec::new();
        while let Some(packet) = self.next() {
            packets.push(packet);
        }
        packets
    }

    /// That the client says DISCONNECT, and then closes.
    pub(crate) fn goodbye(self) {
        let rest = self.rest();
        assert!(matches!(rest.as_slice(), [Packet::Disconnect(_)]), "{rest:?}");
    }
}

pub(crate) fn message(topic: &str, payload: &str, qos: QoS, packet_id: u16) -> Packet {
    Packet::Publish(Publish {
        dup: false,
        packet_id: PacketId::new(packet_id).filter(|_| qos > QoS::AtMostOnce),
        topic_alias: None,
        subscription_ids: SubscriptionIds::default(),
        message: Message {
            topic: TopicName::new(topic).unwrap(),
            payload: payload.to_owned().into(),
            qos,
            retain: false,
            expiry: None,
            properties: Properties::EMPTY,
        },
    })
}

/// Waits until `what` holds.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        thread::sleep(Duration::from_micros(200));
    }
}
