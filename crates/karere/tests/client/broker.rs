//! Both ends of the house against each other: the clients and the real broker.

use std::net::SocketAddr;
use std::sync::mpsc::channel;
use std::time::Duration;

use karere::{Client, Options, Publish, QoS, Reconnect, Subscribe, Version, blocking};
use karere_broker::{Broker, BrokerHandle};

use crate::asynchronous::run;
use crate::peer::PATIENCE;

const QOS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

async fn start(address: &str) -> (BrokerHandle, SocketAddr) {
    let broker = Broker::builder().listen(address).start().await.unwrap();
    let address = broker.local_addrs()[0];
    (broker, address)
}

fn options(address: SocketAddr, id: &str) -> Options {
    let soon =
        Reconnect { min: Duration::from_millis(10), max: Duration::from_millis(100), ..Reconnect::default() };
    Options::new("127.0.0.1", address.port()).client_id(id).unwrap().reconnect(soon)
}

#[test]
fn messages_at_each_qos_arrive_in_order_on_each_version() {
    run(async {
        let (broker, address) = start("127.0.0.1:0").await;
        for version in [Version::V31, Version::V311, Version::V5] {
            let id = format!("client-{}", version as u8);
            let client = Client::connect(options(address, &id).version(version)).await.unwrap();
            let topic = format!("order/{}", version as u8);
            let mut messages = client.subscribe((topic.as_str(), QoS::ExactlyOnce)).await.unwrap();
            for qos in QOS {
                for number in 0..500u32 {
                    let delivery = client.publish_nowait((topic.as_str(), number.to_string(), qos)).unwrap();
                    if number == 499 {
                        delivery.await.unwrap();
                    }
                }
                for number in 0..500u32 {
                    let message = messages.recv().await.unwrap();
                    assert_eq!(
                        (message.payload().as_ref(), message.qos()),
                        (number.to_string().as_bytes(), qos)
                    );
                }
            }
            client.disconnect().await;
        }
        broker.shutdown().await;
    });
}

#[test]
fn a_client_comes_back_to_a_broker_that_has_forgotten_everything() {
    run(async {
        let (broker, address) = start("127.0.0.1:0").await;
        let client = Client::connect(options(address, "steady").session_expiry(60)).await.unwrap();
        let mut messages = client.subscribe(("iot/#", QoS::AtLeastOnce)).await.unwrap();
        client.publish(("iot/1", "before", QoS::AtLeastOnce)).await.unwrap();
        assert_eq!(messages.recv().await.unwrap().payload().as_ref(), b"before");

        broker.shutdown().await;
        let offline: Vec<_> = (0..20)
            .map(|number| client.publish_nowait(("iot/2", number.to_string(), QoS::ExactlyOnce)).unwrap())
            .collect();
        let (broker, _) = start(&address.to_string()).await;
        for delivery in offline {
            delivery.await.unwrap();
        }
        client.connected().await.unwrap();
        assert_eq!(client.counters().reconnects, 1);

        // Subscribed to again by itself, some time after the queue began to leave.
        let probe = Client::connect(options(address, "probe")).await.unwrap();
        loop {
            probe.publish(("iot/3", "after", QoS::AtLeastOnce)).await.unwrap();
            let next = tokio::time::timeout(Duration::from_millis(100), messages.recv());
            if next.await.is_ok_and(|message| message.unwrap().topic() == "iot/3") {
                break;
            }
        }
        broker.shutdown().await;
    });
}

#[test]
fn a_session_keeps_its_messages_while_the_client_is_away() {
    run(async {
        let (broker, address) = start("127.0.0.1:0").await;
        let durable = || options(address, "sleeper").clean_start(false).session_expiry(60);
        let sleeper = Client::connect(durable()).await.unwrap();
        sleeper.subscribe_only(Subscribe::new("night/#").qos(QoS::ExactlyOnce)).await.unwrap();
        sleeper.disconnect().await;

        let publisher = Client::connect(options(address, "publisher")).await.unwrap();
        for number in 0..50u32 {
            let qos = if number % 2 == 0 { QoS::AtLeastOnce } else { QoS::ExactlyOnce };
            publisher.publish(("night/shift", number.to_string(), qos)).await.unwrap();
        }

        let sleeper = Client::new(durable());
        let mut messages = sleeper.messages();
        sleeper.start().unwrap();
        for number in 0..50u32 {
            let message = messages.recv().await.unwrap();
            assert_eq!(message.payload().as_ref(), number.to_string().as_bytes());
        }
        broker.shutdown().await;
    });
}

#[test]
fn the_blocking_client_lives_the_life_that_the_tutorials_teach() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (broker, address) = runtime.block_on(start("127.0.0.1:0"));
    let (send, received) = channel();
    let subscriber = blocking::Client::new(options(address, "subscriber"));
    let (ready, subscribed) = channel();
    subscriber.on_connect(|client, _| {
        client.subscribe(("python/mqtt", QoS::AtLeastOnce)).unwrap();
    });
    subscriber.on_subscribe(move |_, _| ready.send(()).unwrap());
    subscriber.on_message(move |_, message| send.send(message.message.payload.clone()).unwrap());
    subscriber.connect_async();
    subscriber.loop_start();
    subscribed.recv_timeout(PATIENCE).unwrap();

    let publisher = blocking::Client::new(options(address, "publisher"));
    publisher.connect().unwrap();
    publisher.loop_start();
    for count in 0..5 {
        let message = format!("messages: {count}");
        let delivery =
            publisher.publish(Publish::new("python/mqtt", message.as_str()).qos(QoS::AtLeastOnce)).unwrap();
        delivery.wait(Some(PATIENCE)).unwrap();
        assert_eq!(received.recv_timeout(PATIENCE).unwrap(), message.as_bytes());
    }
    for client in [publisher, subscriber] {
        client.disconnect();
        client.loop_stop();
    }
    runtime.block_on(broker.shutdown());
}
