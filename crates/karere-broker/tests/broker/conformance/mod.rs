//! The statements of the standards that no other test shows, on the wire. `conformance/statements.toml` says which.

mod authenticate;
mod connect;
mod malformed;
mod publish;
mod retained;
mod session;
mod subscribe;
mod websocket;
mod will;

use karere_broker::BrokerHandle;
use karere_core::codec::{Packet, ReasonCode, Version};

use crate::client::*;

/// 3.1.1 and 5: the versions that have statements.
const VERSIONS: [Version; 2] = [Version::V311, Version::V5];

/// A frame of this first byte and body; the body is short.
fn frame(first: u8, body: &[u8]) -> Vec<u8> {
    let len = u8::try_from(body.len()).unwrap();
    assert!(len < 128);
    [&[first, len][..], body].concat()
}

/// A string behind its length.
fn string(text: &str) -> Vec<u8> {
    let len = u8::try_from(text.len()).unwrap();
    [&[0, len][..], text.as_bytes()].concat()
}

/// The end of a connection: told on version 5, without a word on 3.
async fn expect_end(client: &mut TestClient, reason: ReasonCode) {
    if client.version.is_v5() {
        client.expect_disconnect(reason).await;
    } else {
        client.expect_closed().await;
    }
}

/// These bytes end a connection that was up.
async fn ends(broker: &BrokerHandle, version: Version, bytes: &[u8], reason: ReasonCode) {
    let mut client = TestClient::connect(broker, version, "offender").await;
    client.send_bytes(bytes).await;
    match client.try_receive().await {
        Some(Packet::Disconnect(disconnect)) if version.is_v5() => {
            assert_eq!(disconnect.reason, reason, "{version:?} {bytes:x?}");
            assert_eq!(disconnect.properties.session_expiry_interval(), None);
            client.expect_closed().await;
        }
        None if !version.is_v5() => {}
        other => panic!("{version:?} {bytes:x?} should end the connection, got {other:?}"),
    }
}

/// A client that sees what is published.
async fn witness(broker: &BrokerHandle) -> TestClient {
    let mut witness = TestClient::v5(broker, "witness").await;
    witness.subscribe("#", ExactlyOnce).await;
    witness
}

/// Takes a QoS 2 message from its publisher, to the end.
async fn publish_exactly_once(client: &mut TestClient, topic: &str, payload: &str, packet_id: u16) {
    client.publish(message(topic, payload, ExactlyOnce), packet_id).await;
    assert!(matches!(client.receive().await, Packet::PubRec(got) if got.packet_id.get() == packet_id));
    client.send(&Packet::PubRel(ack(packet_id))).await;
    assert!(matches!(client.receive().await, Packet::PubComp(got) if got == ack(packet_id)));
}
