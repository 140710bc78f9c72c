//! Section 6: MQTT over WebSocket.

use karere_broker::{BrokerHandle, Listener, websocket};
use karere_core::codec::{Packet, Version};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;

async fn broker() -> BrokerHandle {
    let listener = Listener::tcp("127.0.0.1:0").websocket(websocket::ServerOptions::default());
    karere_broker::Broker::builder().listen(listener).start().await.unwrap()
}

/// The answer to a request with these sub-protocols, in lower case.
async fn ask(broker: &BrokerHandle, protocols: &str) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(broker.local_addrs()[0]).await.unwrap();
    let request = format!(
        "GET /mqtt HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{protocols}\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(tokio::time::timeout(PATIENCE, stream.read_u8()).await.unwrap().unwrap());
    }
    (stream, String::from_utf8(answer).unwrap().to_ascii_lowercase())
}

/// A short frame as a client sends it: its kind with FIN, and a mask that is no mask.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).unwrap();
    assert!(length < 126);
    [&[first, 0x80 | length, 0, 0, 0, 0][..], payload].concat()
}

fn hello(version: Version) -> Vec<u8> {
    let mut bytes = bytes::BytesMut::new();
    Packet::Connect(Box::new(connect(version, "c"))).encode(version, &mut bytes).unwrap();
    bytes.to_vec()
}

/// A short frame of the server's: its first byte and payload.
async fn receive(stream: &mut TcpStream) -> (u8, Vec<u8>) {
    let receiving = async {
        let (first, length) = (stream.read_u8().await.unwrap(), stream.read_u8().await.unwrap());
        let mut payload = vec![0; usize::from(length)];
        stream.read_exact(&mut payload).await.unwrap();
        (first, payload)
    };
    tokio::time::timeout(PATIENCE, receiving).await.expect("nothing came")
}

/// [MQTT-6.0.0-4]
#[test]
fn the_sub_protocol_that_is_answered_is_mqtt() {
    run(async {
        let broker = broker().await;
        for offered in ["mqtt", "chat, mqtt", "mqttv3.1, mqtt"] {
            let (_, answer) = ask(&broker, &format!("Sec-WebSocket-Protocol: {offered}\r\n")).await;
            assert!(answer.starts_with("http/1.1 101 "), "{answer}");
            assert!(answer.contains("\r\nsec-websocket-protocol: mqtt\r\n"), "{answer}");
        }
        for offered in ["", "Sec-WebSocket-Protocol: chat\r\n"] {
            let (_, answer) = ask(&broker, offered).await;
            assert!(answer.starts_with("http/1.1 400 "), "{answer}");
        }
    });
}

/// [MQTT-6.0.0-1]
#[test]
fn packets_come_in_binary_frames_and_text_ends_the_connection() {
    run(async {
        let broker = broker().await;
        for version in VERSIONS {
            let (mut stream, _) = ask(&broker, "Sec-WebSocket-Protocol: mqtt\r\n").await;
            stream.write_all(&masked(0x82, &hello(version))).await.unwrap();
            let (first, connack) = receive(&mut stream).await;
            assert_eq!((first, connack[0]), (0x82, 0x20));
            stream.write_all(&masked(0x81, &[0xc0, 0])).await.unwrap(); // PINGREQ, as text
            assert_eq!(receive(&mut stream).await, (0x88, 1003_u16.to_be_bytes().to_vec()));
            let mut rest = Vec::new();
            tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await.unwrap().unwrap();
            assert!(rest.is_empty(), "{rest:x?}");
        }
        // Text in the place of CONNECT, which no session answers for.
        let (mut stream, _) = ask(&broker, "Sec-WebSocket-Protocol: mqtt\r\n").await;
        stream.write_all(&masked(0x81, &hello(Version::V5))).await.unwrap();
        assert_eq!(receive(&mut stream).await, (0x88, 1003_u16.to_be_bytes().to_vec()));
    });
}

/// [MQTT-6.0.0-2]
#[test]
fn packets_may_lie_across_frames_and_several_in_one() {
    run(async {
        let broker = broker().await;
        for version in VERSIONS {
            let (mut stream, _) = ask(&broker, "Sec-WebSocket-Protocol: mqtt\r\n").await;
            for byte in hello(version) {
                stream.write_all(&masked(0x82, &[byte])).await.unwrap();
            }
            assert_eq!(receive(&mut stream).await.1[0], 0x20);
            // Two PINGREQ in one frame, and a third in a message of two frames with an empty one between.
            stream.write_all(&masked(0x82, &[0xc0, 0, 0xc0, 0])).await.unwrap();
            for (first, part) in [(0x02, &[0xc0][..]), (0x00, &[]), (0x80, &[0])] {
                stream.write_all(&masked(first, part)).await.unwrap();
            }
            let mut answers = Vec::new();
            while answers.len() < 6 {
                let (first, payload) = receive(&mut stream).await;
                assert_eq!(first, 0x82);
                answers.extend(payload);
            }
            assert_eq!(answers, [0xd0, 0, 0xd0, 0, 0xd0, 0]);
        }
    });
}
