//! A client that sends and expects single packets, and nothing by itself.

use std::future::Future;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use karere_broker::{Broker, BrokerHandle, Builder, Options};
use karere_core::Text;
use karere_core::codec::{
    Ack, ConnAck, Connect, Disconnect, FixedHeader, Message, Packet, PacketId, Properties, Property, Publish,
    QoS, ReasonCode, Subscribe, SubscribeOptions, Subscription, SubscriptionIds, Unsubscribe, Version, Will,
};
use karere_core::topic::TopicName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long anything that must come may take; a machine under load is slow, a broken broker never comes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) use karere_core::codec::QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};

/// Runs a test in a runtime with two threads, as a broker has in earnest.
pub(crate) fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(60), test).await.expect("the test hangs")
    })
}

/// With `KARERE_TEST_STORE` set each broker has a store: everything is to be as without one.
pub(crate) fn builder() -> Builder {
    let builder = Broker::builder().listen("127.0.0.1:0").sys_interval(Duration::ZERO);
    if std::env::var_os("KARERE_TEST_STORE").is_none() {
        return builder;
    }
    builder.store_on(karere_store::Simulated::new(), karere_store::Options::default())
}

pub(crate) async fn broker() -> BrokerHandle {
    builder().start().await.unwrap()
}

pub(crate) async fn broker_with(options: Options) -> BrokerHandle {
    builder().options(options).start().await.unwrap()
}

pub(crate) struct TestClient {
    pub(crate) stream: TcpStream,
    pub(crate) version: Version,
    pub(crate) bytes_read: u64,
    input: BytesMut,
}

/// CONNECT with what a test wants to be different.
pub(crate) fn connect(version: Version, client_id: &str) -> Connect {
    Connect {
        version,
        bridge: false,
        clean_start: true,
        keep_alive: 0,
        client_id: Text::new(client_id).unwrap(),
        will: None,
        username: None,
        password: None,
        properties: Properties::EMPTY,
    }
}

/// The same for a session that outlives its connection by `expiry` seconds.
pub(crate) fn durable(client_id: &str, expiry: u32) -> Connect {
    Connect {
        clean_start: false,
        properties: properties(&[Property::SessionExpiryInterval(expiry)]),
        ..connect(Version::V5, client_id)
    }
}

pub(crate) fn properties(all: &[Property<'_>]) -> Properties {
    Properties::from_properties(all.iter().copied()).unwrap()
}

pub(crate) fn message(topic: &str, payload: &str, qos: QoS) -> Message {
    Message {
        topic: TopicName::new(topic).unwrap(),
        payload: Bytes::copy_from_slice(payload.as_bytes()),
        qos,
        retain: false,
        expiry: None,
        properties: Properties::EMPTY,
    }
}

pub(crate) fn retained(topic: &str, payload: &str, qos: QoS) -> Message {
    Message { retain: true, ..message(topic, payload, qos) }
}

pub(crate) fn will(topic: &str, payload: &str, delay: u32) -> Option<Will> {
    Some(Will { message: message(topic, payload, AtMostOnce), delay })
}

pub(crate) fn publish(message: Message, packet_id: u16) -> Packet {
    Packet::Publish(Publish {
        dup: false,
        packet_id: PacketId::new(packet_id),
        topic_alias: None,
        subscription_ids: SubscriptionIds::EMPTY,
        message,
    })
}

pub(crate) fn ack(packet_id: u16) -> Ack {
    Ack::success(PacketId::new(packet_id).unwrap())
}

pub(crate) fn subscription(filter: &str, qos: QoS) -> Subscription {
    let options = SubscribeOptions { qos, ..SubscribeOptions::default() };
    Subscription { filter: Text::new(filter).unwrap(), options }
}

pub(crate) fn subscribe(subscriptions: Vec<Subscription>, subscription_id: Option<u32>) -> Packet {
    let packet_id = PacketId::new(77).unwrap();
    Packet::Subscribe(Subscribe { packet_id, subscriptions, subscription_id, properties: Properties::EMPTY })
}

impl TestClient {
    /// A connection that has not said anything.
    pub(crate) async fn open(broker: &BrokerHandle, version: Version) -> Self {
        Self::open_at(broker.local_addrs()[0], version).await
    }

    pub(crate) async fn open_at(address: impl tokio::net::ToSocketAddrs, version: Version) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, version, bytes_read: 0, input: BytesMut::new() }
    }

    /// A connection that has said CONNECT, and the answer.
    pub(crate) async fn connect_with(broker: &BrokerHandle, connect: Connect) -> (Self, ConnAck) {
        let mut client = Self::open(broker, connect.version).await;
        client.send(&Packet::Connect(Box::new(connect))).await;
        match client.receive().await {
            Packet::ConnAck(connack) => (client, *connack),
            other => panic!("expected CONNACK, got {other:?}"),
        }
    }

    /// A connection that was accepted, with a new session.
    pub(crate) async fn connect(broker: &BrokerHandle, version: Version, client_id: &str) -> Self {
        let (client, connack) = Self::connect_with(broker, connect(version, client_id)).await;
        assert_eq!(connack.reason, ReasonCode::Success);
        client
    }

    pub(crate) async fn v5(broker: &BrokerHandle, client_id: &str) -> Self {
        Self::connect(broker, Version::V5, client_id).await
    }

    /// A connection to a session that stays.
    pub(crate) async fn durable(broker: &BrokerHandle, client_id: &str) -> (Self, bool) {
        let (client, connack) = Self::connect_with(broker, durable(client_id, 3600)).await;
        assert_eq!(connack.reason, ReasonCode::Success);
        (client, connack.session_present)
    }

    pub(crate) async fn send(&mut self, packet: &Packet) {
        let mut out = BytesMut::new();
        packet.encode(self.version, &mut out).unwrap();
        self.send_bytes(&out).await;
    }

    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    pub(crate) async fn publish(&mut self, message: Message, packet_id: u16) {
        self.send(&publish(message, packet_id)).await;
    }

    /// Publishes and waits until the broker has done so: at QoS 1, which comes back acknowledged.
    pub(crate) async fn publish_and_wait(&mut self, topic: &str, payload: &str) {
        self.publish(message(topic, payload, AtLeastOnce), 999).await;
        assert!(matches!(self.receive().await, Packet::PubAck(ack) if !ack.reason.is_error()));
    }

    pub(crate) async fn subscribe(&mut self, filter: &str, qos: QoS) -> ReasonCode {
        self.subscribe_with(subscription(filter, qos), None).await
    }

    pub(crate) async fn subscribe_with(
        &mut self,
        one: Subscription,
        subscription_id: Option<u32>,
    ) -> ReasonCode {
        self.send(&subscribe(vec![one], subscription_id)).await;
        match self.receive().await {
            Packet::SubAck(suback) => suback.reasons[0],
            other => panic!("expected SUBACK, got {other:?}"),
        }
    }

    pub(crate) async fn unsubscribe(&mut self, filter: &str) -> Vec<ReasonCode> {
        let packet_id = PacketId::new(78).unwrap();
        let filters = vec![Text::new(filter).unwrap()];
        self.send(&Packet::Unsubscribe(Unsubscribe { packet_id, filters, properties: Properties::EMPTY }))
            .await;
        match self.receive().await {
            Packet::UnsubAck(unsuback) => unsuback.reasons,
            other => panic!("expected UNSUBACK, got {other:?}"),
        }
    }

    pub(crate) async fn disconnect(&mut self, reason: ReasonCode) {
        self.send(&Packet::Disconnect(Disconnect { reason, properties: Properties::EMPTY })).await;
        self.expect_closed().await;
    }

    /// The next packet.
    pub(crate) async fn receive(&mut self) -> Packet {
        self.try_receive().await.expect("the broker has closed the connection")
    }

    /// The next packet; `None` at the end of the stream.
    pub(crate) async fn try_receive(&mut self) -> Option<Packet> {
        loop {
            if let Some(header) = FixedHeader::peek(&self.input).unwrap()
                && self.input.remaining() >= header.frame_len()
            {
                let frame = self.input.split_to(header.frame_len()).freeze();
                return Some(Packet::decode(self.version, frame).unwrap());
            }
            let read = tokio::time::timeout(PATIENCE, self.stream.read_buf(&mut self.input)).await;
            match read.expect("nothing came from the broker") {
                Ok(0) | Err(_) => return None,
                Ok(count) => self.bytes_read += count as u64,
            }
        }
    }

    pub(crate) async fn receive_publish(&mut self) -> Publish {
        match self.receive().await {
            Packet::Publish(publish) => publish,
            other => panic!("expected PUBLISH, got {other:?}"),
        }
    }

    /// The next packet is a PUBLISH with this payload.
    pub(crate) async fn expect_payload(&mut self, payload: &str) -> Publish {
        let publish = self.receive_publish().await;
        assert_eq!(publish.message.payload, payload.as_bytes());
        publish
    }

    /// Nothing has come until now, as a PINGREQ shows that is answered first. Two, because the first may have
    /// been read together with what went before it, and is then answered before that is done.
    pub(crate) async fn expect_nothing(&mut self) {
        for _ in 0..2 {
            self.send(&Packet::PingReq).await;
            let packet = self.receive().await;
            assert!(matches!(packet, Packet::PingResp), "expected nothing, got {packet:?}");
        }
    }

    pub(crate) async fn expect_disconnect(&mut self, reason: ReasonCode) {
        match self.receive().await {
            Packet::Disconnect(disconnect) => assert_eq!(disconnect.reason, reason),
            other => panic!("expected DISCONNECT, got {other:?}"),
        }
        self.expect_closed().await;
    }

    pub(crate) async fn expect_closed(&mut self) {
        let packet = self.try_receive().await;
        assert!(packet.is_none(), "expected the end of the stream, got {packet:?}");
    }
}

/// Waits until `condition` holds.
pub(crate) async fn until(what: &str, condition: impl Fn() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("never happened: {what}"));
}
