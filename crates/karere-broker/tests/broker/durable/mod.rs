//! What an acknowledgement promises, with a disk that the test holds, breaks and takes the power from.
//!
//! B1 to B5 are the numbered statements of DESIGN.md.

mod acknowledged;
mod disk;
mod exactly_once;
mod failing;
mod order;
mod will;

use karere_core::codec::{Packet, ReasonCode, Version};

use self::disk::TestDisk;
use crate::client::*;

/// Subscribes with a session that stays, and leaves.
async fn subscribe_and_leave(broker: &karere_broker::BrokerHandle, client_id: &str, filter: &str) {
    let (mut client, _) = TestClient::durable(broker, client_id).await;
    client.subscribe(filter, ExactlyOnce).await;
    client.disconnect(ReasonCode::Success).await;
}

/// Resumes a session, which must be there.
async fn resume(broker: &karere_broker::BrokerHandle, client_id: &str) -> TestClient {
    let (client, present) = TestClient::durable(broker, client_id).await;
    assert!(present, "the session of {client_id} is lost");
    client
}

/// Has the disk synced all the time, by a publisher of QoS 1 with an absent subscriber of its own.
async fn keep_busy(broker: &karere_broker::BrokerHandle) -> tokio::task::JoinHandle<()> {
    subscribe_and_leave(broker, "busy", "busy").await;
    let mut publisher = TestClient::v5(broker, "busy-publisher").await;
    publisher.publish_and_wait("busy", BUSY).await;
    tokio::spawn(async move {
        loop {
            publisher.publish_and_wait("busy", BUSY).await;
        }
    })
}

/// Payload enough to tell these from the others'.
const BUSY: &str = "busy";

/// How many messages are left in the sessions when the power goes at the end of `history`, but for those that keep the
/// disk busy.
fn queued_left(history: &[karere_store::Change]) -> usize {
    let log = karere_store::Log::open(TestDisk::left(history).disk.clone(), Default::default()).unwrap().0;
    let mut count = 0;
    let queued = |key: karere_store::Key| key.table == karere_broker::store::table::QUEUED;
    log.visit(queued, |_, value| count += usize::from(!value.ends_with(BUSY.as_bytes()))).unwrap();
    count
}

/// Publishes at QoS 2 up to PUBCOMP.
async fn publish_exactly_once(client: &mut TestClient, topic: &str, payload: &str, packet_id: u16) {
    client.publish(message(topic, payload, ExactlyOnce), packet_id).await;
    assert!(matches!(client.receive().await, Packet::PubRec(ack) if !ack.reason.is_error()));
    client.send(&Packet::PubRel(ack(packet_id))).await;
    assert!(matches!(client.receive().await, Packet::PubComp(ack) if !ack.reason.is_error()));
}

/// A session of version 3.1.1 that stays.
fn durable_v3(client_id: &str) -> karere_core::codec::Connect {
    karere_core::codec::Connect { clean_start: false, ..connect(Version::V311, client_id) }
}
