use std::net::SocketAddr;

use karere_bench::{Raw, allocations, alone, wait_until};
use karere_broker::{Broker, BrokerHandle};

use super::{MESSAGES, assert_at_most, publish};

const TOPIC: &str = "iot/home2/temp";

struct Fixture {
    runtime: tokio::runtime::Runtime,
    broker: BrokerHandle,
    publisher: Raw,
    subscriber: Raw,
}

fn fixture(qos: u8) -> Fixture {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let broker = runtime
        .block_on(Broker::builder().listen("127.0.0.1:0").sys_interval(std::time::Duration::ZERO).start())
        .unwrap();
    let address: SocketAddr = broker.local_addrs()[0];
    let mut subscriber = Raw::connect(address, "subscriber").unwrap();
    subscriber.subscribe("iot/#", qos).unwrap();
    let publisher = Raw::connect(address, "publisher").unwrap();
    Fixture { runtime, broker, publisher, subscriber }
}

/// One message at a time, each read before the next is written: a turn of its own for each.
#[test]
fn routing_one_qos_0_message_to_one_subscriber_allocates_nothing() {
    let _alone = alone();
    let mut fixture = fixture(0);
    let packet = publish(false, 0, 0, TOPIC, b"25.4");
    let mut exchange = |count: usize| {
        for _ in 0..count {
            fixture.publisher.write(&packet).unwrap();
            fixture.subscriber.read_exact(packet.len()).unwrap();
        }
    };
    exchange(1000);
    let counted = allocations(|| exchange(MESSAGES / 2));
    assert_at_most("routing at QoS 0, one at a time", counted, MESSAGES / 2, 0.0);
    drop(fixture.broker);
    drop(fixture.runtime);
}

#[test]
fn routing_a_stream_of_qos_0_messages_to_one_subscriber_allocates_nothing() {
    let _alone = alone();
    let mut fixture = fixture(0);
    let packet = publish(false, 0, 0, TOPIC, b"25.4");
    let burst = packet.repeat(200);
    let mut exchange = |count: usize| {
        for _ in 0..count / 200 {
            fixture.publisher.write(&burst).unwrap();
            fixture.subscriber.read_exact(burst.len()).unwrap();
        }
    };
    exchange(10_000);
    let counted = allocations(|| exchange(MESSAGES));
    assert_at_most("routing at QoS 0, a stream", counted, MESSAGES, 0.0);
}

#[test]
fn a_burst_of_1000_messages_reaches_its_subscriber_in_at_most_20_writes() {
    let _alone = alone();
    let mut fixture = fixture(0);
    let burst = publish(false, 0, 0, TOPIC, b"25.4").repeat(1000);
    // Two CONNACKs and the SUBACK.
    let mut sent = 2 * 4 + 5;
    let mut exchange = || {
        fixture.publisher.write(&burst).unwrap();
        fixture.subscriber.read_exact(burst.len()).unwrap();
        sent += burst.len() as u64;
        // A write is counted when its bytes may have been read already.
        wait_until(|| fixture.broker.counters().bytes_sent == sent);
        fixture.broker.counters()
    };
    let (before, after) = (exchange(), exchange());
    assert_eq!(after.publish_received - before.publish_received, 1000);
    assert_eq!(after.publish_sent - before.publish_sent, 1000);
    let writes = after.writes - before.writes;
    assert!((1..=20).contains(&writes), "{writes} writes for 1,000 messages");
}
