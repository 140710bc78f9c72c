//! Frames byte by byte, right and wrong, and what becomes of who sends them.

use karere_broker::BrokerHandle;
use karere_core::codec::{Connect, Packet, Property, QoS, ReasonCode, Version};
use tokio::io::AsyncReadExt;

use crate::client::*;

/// A frame of this first byte and body.
pub(super) fn frame(first: u8, body: &[u8]) -> Vec<u8> {
    [&[first][..], &var_int(body.len()), body].concat()
}

/// A Variable Byte Integer.
pub(super) fn var_int(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value > 127 {
        bytes.push((value % 128) as u8 | 0x80);
        value /= 128;
    }
    bytes.push(value as u8);
    bytes
}

/// What is behind its length in two bytes: a string, or what claims to be one.
pub(super) fn string(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = bytes.as_ref();
    [&u16::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat()
}

/// A Property Length and these properties; nothing on 3.
pub(super) fn block(version: Version, properties: &[u8]) -> Vec<u8> {
    if version.is_v5() { [&var_int(properties.len())[..], properties].concat() } else { Vec::new() }
}

/// A CONNECT with these flags, properties and payload.
pub(super) fn connect_frame(version: Version, flags: u8, properties: &[u8], payload: &[u8]) -> Vec<u8> {
    let head = [&string("MQTT")[..], &[version as u8, flags, 0, 0]].concat();
    frame(0x10, &[&head, &block(version, properties)[..], payload].concat())
}

/// A PUBLISH of this first byte: `rest` is packet identifier, properties and payload.
pub(super) fn publish_frame(first: u8, topic: impl AsRef<[u8]>, rest: &[u8]) -> Vec<u8> {
    frame(first, &[&string(topic)[..], rest].concat())
}

/// A PUBLISH at QoS 0 of version 5 to `a` with these properties.
pub(super) fn publish_with(properties: &[u8]) -> Vec<u8> {
    publish_frame(0x30, "a", &block(Version::V5, properties))
}

/// A SUBSCRIBE (0x82) or UNSUBSCRIBE (0xA2) with packet identifier 10.
pub(super) fn filters_frame(version: Version, first: u8, properties: &[u8], payload: &[u8]) -> Vec<u8> {
    frame(first, &[&[0, 10][..], &block(version, properties), payload].concat())
}

/// These bytes end a connection that was up: with `reason` on version 5, without a word on 3.
pub(super) async fn ends(broker: &BrokerHandle, version: Version, bytes: &[u8], reason: ReasonCode) {
    let mut client = TestClient::connect(broker, version, "offender").await;
    client.send_bytes(bytes).await;
    expect_end(&mut client, reason, bytes).await;
}

/// The connection ends after `sent`: told on version 5, without a word on 3.
pub(super) async fn expect_end(client: &mut TestClient, reason: ReasonCode, sent: &[u8]) {
    let sent = &sent[..sent.len().min(40)];
    let answer = client.try_receive().await;
    match &answer {
        Some(Packet::Disconnect(disconnect)) if client.version.is_v5() => {
            assert_eq!(disconnect.reason, reason, "{:?} {sent:x?}", client.version);
            client.expect_closed().await;
        }
        None if !client.version.is_v5() => {}
        _ => panic!("{:?} {sent:x?} should end the connection, got {answer:?}", client.version),
    }
}

/// These bytes, the first of a connection, end it, and all that comes back is `answer`.
pub(super) async fn refused(broker: &BrokerHandle, bytes: &[u8], answer: &[u8]) {
    let mut client = TestClient::open(broker, Version::V5).await;
    client.send_bytes(bytes).await;
    let mut heard = Vec::new();
    let reading = client.stream.read_to_end(&mut heard);
    // Not because its time for CONNECT, as long as our patience, was over.
    let end = tokio::time::timeout(PATIENCE / 2, reading).await;
    let sent = &bytes[..bytes.len().min(40)];
    assert!(end.is_ok(), "{sent:x?} should end the connection, got {heard:x?}");
    assert_eq!(heard, answer, "{sent:x?}");
}

/// A client that sees what is published, and that nothing else befalls.
pub(super) async fn witness(broker: &BrokerHandle) -> TestClient {
    let mut witness = TestClient::v5(broker, "witness").await;
    witness.subscribe("#", ExactlyOnce).await;
    witness
}

/// Ends a session for good.
pub(super) async fn forget(broker: &BrokerHandle, client_id: &str) {
    TestClient::v5(broker, client_id).await.disconnect(ReasonCode::Success).await;
}

/// Removes a retained message.
pub(super) async fn unretain(client: &mut TestClient, topic: &str) {
    client.publish(retained(topic, "", AtLeastOnce), 998).await;
    assert!(matches!(client.receive().await, Packet::PubAck(ack) if !ack.reason.is_error()));
}

/// The PUBACK to what was sent at QoS 1.
pub(super) async fn puback(client: &mut TestClient) -> ReasonCode {
    match client.receive().await {
        Packet::PubAck(ack) => ack.reason,
        other => panic!("expected PUBACK, got {other:?}"),
    }
}

/// The reasons of a SUBACK.
pub(super) async fn suback(client: &mut TestClient) -> Vec<ReasonCode> {
    match client.receive().await {
        Packet::SubAck(suback) => suback.reasons,
        other => panic!("expected SUBACK, got {other:?}"),
    }
}

/// The reason of a refused filter; 3 has one for all.
pub(super) fn refusal(version: Version, reason: ReasonCode) -> ReasonCode {
    if version.is_v5() { reason } else { ReasonCode::UnspecifiedError }
}

/// CONNECT of a client that announces `properties`.
pub(super) fn announcing(client_id: &str, all: &[Property<'_>]) -> Connect {
    Connect { properties: properties(all), ..connect(Version::V5, client_id) }
}

/// The next packet is a PUBREC that takes the message, whether or not anybody has subscribed to it.
pub(super) async fn pubrec(client: &mut TestClient, packet_id: u16) {
    match client.receive().await {
        Packet::PubRec(got) => assert_eq!((got.packet_id.get(), got.reason.is_error()), (packet_id, false)),
        other => panic!("expected PUBREC, got {other:?}"),
    }
}

/// The next packet is this PUBCOMP.
pub(super) async fn pubcomp(client: &mut TestClient, packet_id: u16, reason: ReasonCode) {
    match client.receive().await {
        Packet::PubComp(got) => assert_eq!((got.packet_id.get(), got.reason), (packet_id, reason)),
        other => panic!("expected PUBCOMP, got {other:?}"),
    }
}

/// Releases what a PUBREC has come for.
pub(super) async fn pubrel(client: &mut TestClient, packet_id: u16) {
    client.send(&Packet::PubRel(ack(packet_id))).await;
    pubcomp(client, packet_id, ReasonCode::Success).await;
}

/// A reader of `a` at `qos` that keeps its session.
pub(super) async fn reader(broker: &BrokerHandle, qos: QoS) -> TestClient {
    let (mut reader, _) = TestClient::durable(broker, "reader").await;
    reader.subscribe("a", qos).await;
    reader
}

/// So many User Properties.
pub(super) fn pairs(count: usize) -> Vec<u8> {
    [&[0x26][..], &string("k"), &string("v")].concat().repeat(count)
}

/// A CONNECT whose Will has these properties.
pub(super) fn with_will(properties: &[u8]) -> Vec<u8> {
    let payload = [&string("c")[..], &block(Version::V5, properties), &string("w"), &string("gone")].concat();
    connect_frame(Version::V5, 0b110, b"", &payload)
}
