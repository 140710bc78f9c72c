//! The blocking client: callbacks, and what happens while one runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use karere::blocking::{Client, Level};
use karere::{Disconnection, PublishError, QoS, ReasonCode};
use karere_core::codec::{Ack, Packet, SubAck, Unsubscribe};

use crate::peer::{PATIENCE, Peer, eventually};

/// A client whose loop runs in its thread and is connected.
fn started(options: karere::Options) -> Client {
    let client = Client::new(options);
    client.connect().unwrap();
    assert!(client.loop_start());
    eventually("connected", || client.is_connected());
    client
}

fn next<T>(receiver: &Receiver<T>) -> T {
    receiver.recv_timeout(PATIENCE).expect("never called back")
}

/// Everything that is called back, as words.
fn tell_all(client: &Client, words: &Sender<String>) {
    let say = |words: &Sender<String>| {
        let words = words.clone();
        move |word: String| drop(words.send(word))
    };
    let (a, b, c, d, e, f) = (say(words), say(words), say(words), say(words), say(words), say(words));
    client.on_connect(move |_, connack| a(format!("connect {}", connack.reason)));
    client.on_disconnect(move |_, why| b(format!("disconnect {}", why.reason())));
    client.on_message(move |_, received| c(format!("message {}", received.message.topic)));
    client.on_publish(move |_, published| d(format!("publish {}", published.packet_id.unwrap().get())));
    client.on_subscribe(move |_, answer| e(format!("subscribe {}", answer.packet_id.get())));
    client.on_unsubscribe(move |_, answer| f(format!("unsubscribe {}", answer.packet_id.get())));
}

#[test]
fn the_tutorials_life_cycle_calls_back_in_order() {
    let peer = Peer::new();
    let client = Client::new(peer.options());
    let script = peer.script(|peer| {
        let (mut conn, _) = peer.welcome(false);
        conn.subscribed();
        conn.published();
        conn.published();
        conn.deliver("iot/home", "x", QoS::AtMostOnce, 0);
        let Packet::Unsubscribe(Unsubscribe { packet_id, .. }) = conn.packet() else {
            panic!("no UNSUBSCRIBE")
        };
        let (reasons, properties) = (vec![ReasonCode::Success], karere::Properties::EMPTY);
        conn.send(&Packet::UnsubAck(SubAck { packet_id, reasons, properties }));
        conn.goodbye();
    });
    let (words, said) = channel();
    tell_all(&client, &words);
    client.connect().unwrap();
    assert!(client.loop_start());
    assert!(!client.loop_start(), "there is a thread already");
    assert_eq!(next(&said), "connect Success (0x00)");
    client.subscribe(("iot/#", QoS::AtLeastOnce)).unwrap();
    assert_eq!(next(&said), "subscribe 1");
    client.publish(("t", "0")).unwrap().wait(Some(PATIENCE)).unwrap();
    client.publish(("t", "1", QoS::AtLeastOnce)).unwrap().wait(Some(PATIENCE)).unwrap();
    client.unsubscribe("iot/#").unwrap();
    let mut rest: Vec<String> = (0..4).map(|_| next(&said)).collect();
    rest.sort();
    assert_eq!(rest, ["message iot/home", "publish 2", "publish 3", "unsubscribe 4"]);
    assert!(client.disconnect());
    assert_eq!(next(&said), "disconnect Success (0x00)");
    client.loop_stop();
    assert!(!client.disconnect(), "there is no connection");
    script.join().unwrap();
}

#[test]
fn without_a_loop_verbs_write_before_they_return() {
    let peer = Peer::new();
    let client = Client::new(peer.options());
    let script = peer.script(|peer| {
        let (mut conn, _) = peer.welcome(false);
        assert_eq!(conn.published(), "now");
        assert_eq!(conn.subscribed().subscriptions.len(), 2);
        conn.goodbye();
    });
    let (words, said) = channel();
    tell_all(&client, &words);
    client.connect().unwrap();
    while !client.is_connected() {
        client.loop_once(PATIENCE).unwrap();
    }
    let written = client.counters().bytes_out;
    let delivery = client.publish(("t", "now")).unwrap();
    assert!(delivery.is_done(), "written, and called back for, here");
    client.subscribe([("a", QoS::AtMostOnce), ("b", QoS::AtLeastOnce)]).unwrap();
    assert!(client.counters().bytes_out > written && !client.want_write());
    assert!(client.disconnect());
    assert!(!client.is_connected());
    let heard: Vec<String> = said.try_iter().collect();
    assert_eq!(heard, ["connect Success (0x00)", "publish 1", "disconnect Success (0x00)"]);
    script.join().unwrap();
}

#[test]
fn a_callback_may_call_anything() {
    let peer = Peer::new();
    let client = Client::new(peer.options());
    let script = peer.script(|peer| {
        let (mut conn, _) = peer.welcome(false);
        conn.subscribed();
        conn.deliver("first", "x", QoS::AtLeastOnce, 1);
        assert_eq!(conn.published(), "answer");
        assert_eq!(conn.packet(), Packet::PubAck(Ack::success(karere::PacketId::new(1).unwrap())));
        conn.deliver("second", "x", QoS::AtMostOnce, 0);
        conn.goodbye();
    });
    client.on_connect(|client, _| {
        client.subscribe("#").unwrap();
    });
    let (second, called) = channel();
    client.on_message(move |client, _| {
        // What is published here is sent once we have returned, before our message is acknowledged.
        client.publish(("t", "answer", QoS::AtLeastOnce)).unwrap();
        assert!(!client.loop_start(), "the loop runs");
        let _ = client.loop_once(Duration::ZERO);
        let second = second.clone();
        client.on_message(move |client, received| {
            second.send(received.message.topic.to_string()).unwrap();
            client.clear_on_message();
            client.disconnect();
            client.loop_stop();
        });
    });
    client.connect().unwrap();
    assert!(client.loop_start());
    assert_eq!(next(&called), "second");
    script.join().unwrap();
    eventually("ended", || !client.is_connected());
}

#[test]
fn filters_callbacks_come_before_on_message_and_may_change_each_other() {
    let peer = Peer::new();
    let client = Client::new(peer.options());
    let script = peer.script(|peer| {
        let (mut conn, _) = peer.welcome(false);
        for topic in ["a/1", "a/1", "b", "a/1"] {
            conn.deliver(topic, "", QoS::AtMostOnce, 0);
        }
        conn.goodbye();
    });
    let (words, said) = channel();
    let say = words.clone();
    client.on_message(move |_, received| say.send(format!("other {}", received.message.topic)).unwrap());
    let say = words.clone();
    client
        .message_callback_add("a/+", move |client, _| {
            say.send("a/+".to_owned()).unwrap();
            let say = say.clone();
            client.message_callback_add("a/#", move |_, _| say.send("a/#".to_owned()).unwrap()).unwrap();
        })
        .unwrap();
    let say = words.clone();
    client
        .message_callback_add("b", move |client, _| {
            say.send("b".to_owned()).unwrap();
            assert!(client.message_callback_remove("a/+") && client.message_callback_remove("a/#"));
        })
        .unwrap();
    assert!(client.message_callback_add("a/#/b", |_, _| ()).is_err());
    client.connect().unwrap();
    client.loop_start();
    let heard: Vec<String> = (0..5).map(|_| next(&said)).collect();
    assert_eq!(heard[0], "a/+");
    let mut both = [heard[1].as_str(), heard[2].as_str()];
    both.sort_unstable();
    assert_eq!(both, ["a/#", "a/+"]);
    assert_eq!(heard[3..], ["b", "other a/1"]);
    client.disconnect();
    client.loop_stop();
    script.join().unwrap();
}

#[test]
fn a_panic_in_a_callback_is_logged_and_the_loop_goes_on() {
    let peer = Peer::new();
    let client = Client::new(peer.options());
    let (acknowledged, both) = channel();
    let script = peer.script(move |peer| {
        let (mut conn, _) = peer.welcome(false);
        conn.deliver("t", "bad", QoS::AtLeastOnce, 1);
        conn.deliver("t", "good", QoS::AtLeastOnce, 2);
        assert_eq!(conn.packet(), Packet::PubAck(Ack::success(karere::PacketId::new(1).unwrap())));
        assert_eq!(conn.packet(), Packet::PubAck(Ack::success(karere::PacketId::new(2).unwrap())));
        acknowledged.send(()).unwrap();
        conn.goodbye();
    });
    let (words, said) = channel();
    let say = words.clone();
    client.on_log(move |_, log| {
        if log.level == Level::Error {
            say.send(log.text.clone()).unwrap();
        }
    });
    client.on_message(move |_, received| {
        assert!(&received.message.payload[..] != b"bad", "a bad message, as the test wants it");
        words.send("good".into()).unwrap();
    });
    client.connect().unwrap();
    client.loop_start();
    assert_eq!(next(&said), "a callback panicked; the loop goes on");
    assert_eq!(next(&said), "good");
    next(&both);
    client.disconnect();
    client.loop_stop();
    script.join().unwrap();
}

#[test]
fn a_message_is_acknowledged_after_its_callback_and_by_hand_when_told_so() {
    let peer = Peer::new();
    let client = Client::new(peer.options().manual_ack(true));
    let script = peer.script(|peer| {
        let (mut conn, _) = peer.welcome(false);
        conn.deliver("t", "1", QoS::AtLeastOnce, 1);
        conn.deliver("t", "2", QoS::AtLeastOnce, 2);
        // In the order of arrival, although the second was done first.
        assert_eq!(conn.packet(), Packet::PubAck(Ack::success(karere::PacketId::new(1).unwrap())));
        assert_eq!(conn.packet(), Packet::PubAck(Ack::success(karere::PacketId::new(2).unwrap())));
        conn.goodbye();
    });
    let (messages, received) = channel();
    client.on_message(move |_, received| messages.send(received.clone()).unwrap());
    client.connect().unwrap();
    client.loop_start();
    let (first, second) = (next(&received), next(&received));
    client.ack(&second);
    let written = client.counters().bytes_out;
    client.ack(&first);
    eventually("acknowledged", || client.counters().bytes_out > written);
    client.disconnect();
    client.loop_stop();
    script.join().unwrap();
}

#[test]
fn a_slow_callback_does_not_hold_back_the_acknowledgements_before_it() {
    let peer = Peer::new();
    let client = Client::new(peer.options());
    let (go, gone) = channel::<()>();
    let script = peer.script(move |peer| {
        let (mut conn, _) = peer.welcome(false);
        let mut batch = bytes::BytesMut::new();
        for id in 1..=3 {
            crate::peer::message("t", "x", QoS::AtLeastOnce, id)
                .encode(karere::Version::V5, &mut batch)
                .unwrap();
        }
        conn.send_bytes(&batch);
        assert_eq!(conn.packet(), Packet::PubAck(Ack::success(karere::PacketId::new(1).unwrap())));
        go.send(()).unwrap();
        conn.packet();
        conn.packet();
        conn.goodbye();
    });
    let calls = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&calls);
    client.on_message(move |_, _| match count.fetch_add(1, Ordering::Relaxed) {
        0 => std::thread::sleep(Duration::from_millis(15)),
        1 => gone.recv_timeout(PATIENCE).expect("the first is acknowledged while the second is at work"),
        _ => {}
    });
    client.connect().unwrap();
    client.loop_start();
    eventually("all came", || calls.load(Ordering::Relaxed) == 3);
    client.disconnect();
    client.loop_stop();
    script.join().unwrap();
}

#[test]
fn disconnecting_wakes_all_who_wait() {
    let peer = Peer::new();
    let options = peer.options();
    let script = peer.script(|peer| peer.welcome(false).0.rest());
    let client = started(options);
    let delivery = client.publish(("t", "x", QoS::ExactlyOnce)).unwrap();
    let waiting = std::thread::spawn(move || delivery.wait(None));
    client.disconnect();
    assert_eq!(waiting.join().unwrap(), Err(PublishError::Closed));
    client.loop_stop();
    script.join().unwrap();
}

#[test]
fn twenty_thousand_pipelined_publishes_leave_in_a_hundred_writes() {
    let peer = Peer::new();
    let options = peer.options();
    let script = peer.script(|peer| peer.welcome(false).0.rest().len());
    let client = started(options);
    let before = client.counters().writes;
    for _ in 0..20_000 {
        client.publish(("iot/home", "0123456789abcdef")).unwrap();
    }
    client.disconnect();
    client.loop_stop();
    let writes = client.counters().writes - before;
    assert!(writes <= 100, "{writes} writes");
    assert_eq!(script.join().unwrap(), 20_001);
}

#[test]
fn the_servers_goodbye_and_a_broken_rule_are_told_with_their_reason() {
    let peer = Peer::new();
    let client = Client::new(peer.options().no_reconnect());
    let script = peer.script(|peer| {
        let (mut conn, _) = peer.welcome(false);
        let disconnect = karere::Disconnect::new(ReasonCode::ServerShuttingDown);
        conn.send(&Packet::Disconnect(disconnect));
        assert_eq!(conn.rest(), []);
        let (mut conn, _) = peer.welcome(false);
        conn.send(&Packet::PingReq); // no server sends that
        conn.rest()
    });
    let (reasons, told) = channel();
    client.on_disconnect(move |_, why| reasons.send(why.clone()).unwrap());
    client.connect().unwrap();
    assert!(client.loop_forever().is_err());
    assert!(
        matches!(next(&told), Disconnection::ByServer(packet) if packet.reason == ReasonCode::ServerShuttingDown)
    );
    client.connect().unwrap();
    assert!(client.loop_forever().is_err());
    assert!(matches!(next(&told), Disconnection::Error(_)));
    let rest = script.join().unwrap();
    assert!(
        matches!(rest.as_slice(), [Packet::Disconnect(said)] if said.reason == ReasonCode::ProtocolError),
        "{rest:?}"
    );
}
