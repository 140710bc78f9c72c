//! TLS, WebSocket, both, and Unix domain sockets beneath MQTT.

use std::future::poll_fn;
use std::io::IoSlice;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use karere_broker::tls::{ClientOptions, Server, ServerOptions};
use karere_broker::{Address, Broker, BrokerHandle, Listener, Options, StartError, websocket};
use karere_core::codec::{Connect, FixedHeader, Message, Packet, PacketId, QoS, ReasonCode, Version};
use karere_net::Connector;
use karere_net::stream::Stream;

use crate::client::*;

/// A folder with a certificate that vouches for itself; removed when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("karere-broker-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        let folder = Self(path);
        folder.certify();
        folder
    }

    fn certify(&self) {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
        std::fs::write(self.0.join("cert.pem"), made.cert.pem()).unwrap();
        std::fs::write(self.0.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    }

    fn server(&self) -> ServerOptions {
        ServerOptions::new(self.0.join("cert.pem"), self.0.join("key.pem"))
    }

    fn connector(&self) -> Connector {
        let mut options = ClientOptions::new();
        options.ca_file = Some(self.0.join("cert.pem"));
        let mut connector = Connector::default();
        connector.tls = Some(options.load().unwrap());
        connector
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A broker on every road, and the folder of its certificate.
async fn broker_everywhere() -> (BrokerHandle, Folder, Arc<Server>) {
    let folder = Folder::new();
    let server = Arc::new(Server::load(&folder.server()).unwrap());
    let at = || Listener::tcp("127.0.0.1:0");
    let web = websocket::ServerOptions::default;
    let builder = builder().listen(at().tls(server.clone())).listen(at().websocket(web()));
    let builder = builder.listen(at().tls(server.clone()).websocket(web()));
    #[cfg(unix)]
    let builder = builder.listen(Listener::unix(folder.0.join("broker.sock")));
    (builder.start().await.unwrap(), folder, server)
}

/// A client's end of any road.
struct Traveller {
    stream: Stream,
    input: BytesMut,
}

impl Traveller {
    async fn open(address: &Address, connector: &Connector) -> Self {
        // The certificate is for the name.
        let address = address.clone().moved(Some("localhost"), None);
        let stream = connector.connect_async(&address, PATIENCE).await.unwrap();
        Self { stream, input: BytesMut::new() }
    }

    async fn connect(address: &Address, connector: &Connector, connect: Connect) -> Self {
        let mut traveller = Self::open(address, connector).await;
        traveller.send(&[Packet::Connect(Box::new(connect))]).await;
        assert!(matches!(traveller.receive().await, Packet::ConnAck(connack) if !connack.reason.is_error()));
        traveller
    }

    async fn send(&mut self, packets: &[Packet]) {
        let mut out = BytesMut::new();
        packets.iter().for_each(|packet| packet.encode(Version::V5, &mut out).unwrap());
        while out.has_remaining() {
            match self.stream.try_write_vectored(&[IoSlice::new(&out)]) {
                Ok(count) => out.advance(count),
                Err(_) => poll_fn(|cx| self.stream.poll_write_ready(cx)).await.unwrap(),
            }
        }
    }

    async fn try_receive(&mut self) -> Option<Packet> {
        loop {
            if let Some(header) = FixedHeader::peek(&self.input).unwrap()
                && self.input.remaining() >= header.frame_len()
            {
                let frame = self.input.split_to(header.frame_len()).freeze();
                return Some(Packet::decode(Version::V5, frame).unwrap());
            }
            self.input.reserve(64 * 1024);
            match self.stream.try_read_buf(&mut self.input) {
                Ok(0) => return None,
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    let ready = poll_fn(|cx| self.stream.poll_read_ready(cx));
                    tokio::time::timeout(PATIENCE, ready).await.expect("nothing came").unwrap();
                }
                Err(_) => return None,
            }
        }
    }

    async fn receive(&mut self) -> Packet {
        self.try_receive().await.expect("the broker has closed the connection")
    }

    async fn subscribe(&mut self, filter: &str, qos: QoS) {
        self.send(&[subscribe(vec![subscription(filter, qos)], None)]).await;
        assert!(matches!(self.receive().await, Packet::SubAck(suback) if !suback.reasons[0].is_error()));
    }
}

#[test]
fn a_message_goes_from_every_road_to_every_other() {
    run(async {
        let (broker, folder, _) = broker_everywhere().await;
        let connector = folder.connector();
        assert_eq!(broker.addresses().len(), if cfg!(unix) { 5 } else { 4 });
        let mut readers = Vec::new();
        for (number, address) in broker.addresses().iter().enumerate() {
            let hello = connect(Version::V5, &format!("reader {number}"));
            let mut reader = Traveller::connect(address, &connector, hello).await;
            reader.subscribe("news", AtLeastOnce).await;
            readers.push(reader);
        }
        for (number, address) in broker.addresses().iter().enumerate() {
            let hello = connect(Version::V5, &format!("writer {number}"));
            let mut writer = Traveller::connect(address, &connector, hello).await;
            let payload = "x".repeat(number * 30_000);
            writer.send(&[publish(message("news", &payload, AtLeastOnce), 1)]).await;
            assert!(matches!(writer.receive().await, Packet::PubAck(_)), "{address}");
            for reader in &mut readers {
                let Packet::Publish(got) = reader.receive().await else { panic!("a message") };
                assert_eq!(got.message.payload.len(), payload.len(), "{address}");
            }
        }
        broker.shutdown().await;
        for reader in &mut readers {
            assert!(matches!(reader.receive().await, Packet::Disconnect(_)));
            assert!(reader.try_receive().await.is_none());
        }
    });
}

#[test]
fn messages_that_come_together_leave_together_on_every_road() {
    run(async {
        let (broker, folder, _) = broker_everywhere().await;
        for address in broker.addresses() {
            let hello = |name| connect(Version::V5, name);
            let mut reader = Traveller::connect(address, &folder.connector(), hello("reader")).await;
            reader.subscribe("news", AtMostOnce).await;
            let mut writer = Traveller::connect(address, &folder.connector(), hello("writer")).await;
            let before = broker.counters().writes;
            let many: Vec<_> =
                (0..1000).map(|_| publish(message("news", "few bytes", AtMostOnce), 0)).collect();
            writer.send(&many).await;
            for _ in 0..1000 {
                reader.receive().await;
            }
            let writes = broker.counters().writes - before;
            assert!(writes <= 30, "{writes} writes for 1,000 messages to {address}");
        }
    });
}

#[test]
fn a_reader_that_stops_for_a_while_loses_nothing_on_any_road() {
    run(async {
        let (broker, folder, _) = broker_everywhere().await;
        for address in broker.addresses() {
            let hello = |name| connect(Version::V5, name);
            let mut reader = Traveller::connect(address, &folder.connector(), hello("reader")).await;
            reader.subscribe("news", AtLeastOnce).await;
            let mut writer = TestClient::v5(&broker, "writer").await;
            // More than the sockets hold: some of it waits in the broker, and some in the filters.
            let count: u16 = 300;
            for number in 0..count {
                let payload = Bytes::from(vec![number as u8; 60_000]);
                writer.publish(Message { payload, ..message("news", "", AtLeastOnce) }, number + 1).await;
                assert!(matches!(writer.receive().await, Packet::PubAck(_)));
            }
            for number in 0..count {
                let Packet::Publish(got) = reader.receive().await else { panic!("a message") };
                assert_eq!(got.message.payload, vec![number as u8; 60_000], "{address}");
                let id = got.packet_id.map_or(0, PacketId::get);
                reader.send(&[Packet::PubAck(ack(id))]).await;
            }
            writer.disconnect(ReasonCode::NORMAL_DISCONNECTION).await;
        }
    });
}

#[test]
fn who_speaks_something_else_is_closed_and_those_who_do_not_are_served_on() {
    run(async {
        let (broker, folder, _) = broker_everywhere().await;
        for address in broker.addresses().iter().filter(|address| address.is_tls() || address.is_websocket())
        {
            for bytes in [&b"\x10\x0c\0\x04MQTT\x04\x02\0\x3c\0\0"[..], b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"]
            {
                let mut stream =
                    TestClient::open_at(("127.0.0.1", address.port()), Version::V311).await.stream;
                tokio::io::AsyncWriteExt::write_all(&mut stream, bytes).await.unwrap();
                let mut answer = Vec::new();
                let reading = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut answer);
                let _ = tokio::time::timeout(PATIENCE, reading).await.expect("the broker does not close");
            }
            Traveller::connect(address, &folder.connector(), connect(Version::V5, "polite")).await;
        }
    });
}

#[test]
fn who_stops_in_the_middle_of_a_handshake_is_closed_at_the_deadline_of_connect() {
    run(async {
        let options = Options { handshake_millis_max: 100, ..Default::default() };
        let folder = Folder::new();
        let server = Arc::new(Server::load(&folder.server()).unwrap());
        let listener = Listener::tcp("127.0.0.1:0").tls(server);
        let broker = Broker::builder().listen(listener).options(options).start().await.unwrap();
        let mut stream = TestClient::open(&broker, Version::V5).await.stream;
        tokio::io::AsyncWriteExt::write_all(&mut stream, &[0x16, 3, 1]).await.unwrap();
        let mut answer = Vec::new();
        let reading = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut answer);
        let _ = tokio::time::timeout(PATIENCE, reading).await.expect("the broker does not close");
    });
}

#[test]
fn a_certificate_read_anew_is_shown_to_those_who_come_after() {
    run(async {
        let (broker, folder, server) = broker_everywhere().await;
        let address = broker.addresses().iter().find(|address| address.is_tls()).unwrap();
        let old = folder.connector();
        let mut before = Traveller::connect(address, &old, connect(Version::V5, "before")).await;
        folder.certify();
        server.reload(&folder.server()).unwrap();
        let moved = address.clone().moved(Some("localhost"), None);
        let refused = old.connect_async(&moved, PATIENCE).await.unwrap_err().to_string();
        assert!(refused.contains("not trusted here"), "{refused}");
        Traveller::connect(address, &folder.connector(), connect(Version::V5, "after")).await;
        before.subscribe("news", AtMostOnce).await;
    });
}

#[test]
fn an_optional_listener_whose_port_is_taken_is_done_without() {
    run(async {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap().to_string();
        let broker = builder().listen(Listener::tcp(&address).optional()).start().await.unwrap();
        assert_eq!(broker.addresses().len(), 1);
        let [StartError::Listen { address: named, .. }] = broker.skipped() else { panic!("one is skipped") };
        assert_eq!(named, &address);
        assert!(builder().listen(address).start().await.unwrap_err().is_address_in_use());
    });
}

#[cfg(unix)]
#[test]
fn a_socket_left_behind_is_replaced_one_in_use_is_not_and_no_other_file_ever() {
    run(async {
        let folder = Folder::new();
        let path = folder.0.join("broker.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let broker = Broker::builder().listen(Listener::unix(&path)).start().await.unwrap();
        assert_eq!(broker.addresses(), [Address::unix(&path)]);
        let second = Broker::builder().listen(Listener::unix(&path)).start().await.unwrap_err();
        assert!(second.is_address_in_use(), "{second}");
        broker.shutdown().await;
        drop(broker);
        while path.exists() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        std::fs::write(&path, "somebody's notes").unwrap();
        Broker::builder().listen(Listener::unix(&path)).start().await.unwrap_err();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "somebody's notes");
    });
}
