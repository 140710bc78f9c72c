//! Genuine paho-mqtt, both generations of it and of its callbacks, with our broker and with mosquitto's.

use std::process::Command;

use crate::harness::{Broker, Kind, Paho, Running, Scene, Tool, for_each_face_and_broker};

for_each_face_and_broker! {
    the_tutorials_publisher_reaches_the_tutorials_subscriber
    every_qos_is_acknowledged
    version_3_1_and_5_are_spoken
    a_house_reports_its_temperature
    subscribe_has_three_forms_and_unsubscribe_ends_each
    a_killed_client_leaves_its_will
    a_session_keeps_what_arrives_while_its_client_is_away
    one_shot_helpers_work
    properties_of_version_5_arrive
}

/// Runs one of the programs to its end and returns what it printed.
#[track_caller]
fn run(face: Paho, broker: &Broker, program: &str, arguments: &str) -> String {
    Running::start(&mut command(face, broker, program, arguments)).finish().expect(0)
}

fn command(face: Paho, broker: &Broker, program: &str, arguments: &str) -> Command {
    let mut command = face.program(program);
    command.args(["--port", &broker.port.to_string()]).args(arguments.split_whitespace());
    command
}

fn the_tutorials_publisher_reaches_the_tutorials_subscriber(face: Paho, broker: &Broker) {
    exchange(face, broker, "--count 20");
}

fn every_qos_is_acknowledged(face: Paho, broker: &Broker) {
    for qos in 0..=2 {
        exchange(face, broker, &format!("--count 50 --qos {qos}"));
    }
}

fn version_3_1_and_5_are_spoken(face: Paho, broker: &Broker) {
    for protocol in [3, 5] {
        exchange(face, broker, &format!("--count 5 --qos 2 --protocol {protocol}"));
    }
}

/// The publisher to the subscriber, both with `arguments`.
fn exchange(face: Paho, broker: &Broker, arguments: &str) {
    let subscriber = Running::start(&mut command(face, broker, "subscriber.py", arguments));
    subscriber.wait_for_line("Subscribed");
    let sent = run(face, broker, "publisher.py", arguments);
    let received = subscriber.finish().expect(0);

    let count: usize =
        arguments.split(' ').nth(1).and_then(|count| count.parse().ok()).expect("--count N first");
    let all = |head: &str, middle: &str, tail: &str| {
        (0..count)
            .map(|n| format!("{head} `messages: {n}` {middle} `python/mqtt`{tail}\n"))
            .collect::<String>()
    };
    let lines = all("Send", "to topic", "");
    assert_eq!(sent, format!("Connected to MQTT Broker!\n{lines}acknowledged {count} of {count}\n"));
    let expected = all("Received", "from", " topic");
    assert_eq!(
        received,
        format!("Connected to MQTT Broker!\nSubscribed\n{expected}--- End Main Thread ---\n")
    );
}

fn a_house_reports_its_temperature(face: Paho, broker: &Broker) {
    let printed = run(face, broker, "home.py", "--count 5");
    assert_eq!(printed, "listener disconnected\n5 readings of iot/home2/temp\n");
}

fn subscribe_has_three_forms_and_unsubscribe_ends_each(face: Paho, broker: &Broker) {
    let printed = run(face, broker, "subscribe_forms.py", "");
    let expected = "\
('connected', 0)
granted [2]
granted [1]
granted [0, 2]
('message', 'my/topic', 2)
('message', 'your/topic', 1)
('message', 'his/topic', 0)
('message', 'her/topic', 2)
('message', 'her/topic', 2)
";
    assert_eq!(printed, expected);
}

fn a_killed_client_leaves_its_will(face: Paho, broker: &Broker) {
    let watcher =
        Running::start(&mut command(face, broker, "subscriber.py", "--topic will/# --count 1 --qos 1"));
    watcher.wait_for_line("Subscribed");
    let victim = Running::start(&mut command(face, broker, "will.py", ""));
    victim.wait_for_line("connected");
    victim.kill();
    assert!(watcher.finish().expect(0).contains("Received `gone` from `will/victim` topic\n"));
}

fn a_session_keeps_what_arrives_while_its_client_is_away(face: Paho, broker: &Broker) {
    let printed = run(face, broker, "session.py", "");
    assert_eq!(printed, "no session\nsubscribed\nsession present\n[('at 1', 1), ('at 2', 2)]\n");
}

fn one_shot_helpers_work(face: Paho, broker: &Broker) {
    let printed = run(face, broker, "helpers.py", "");
    let expected = "\
shelf/a b'apple' True
[('shelf/b', b'bread', 0), ('shelf/c', b'cheese', 2)]
['shelf/a', 'shelf/b', 'shelf/c']
";
    assert_eq!(printed, expected);
}

fn properties_of_version_5_arrive(face: Paho, broker: &Broker) {
    let printed = run(face, broker, "properties.py", "");
    let expected = "\
0 named by the broker
[1]
order/new b'kumara' text/plain order/answer b'no-17' 1
[('shop', 'kiwi'), ('shop', 'moa')] [4711] True
";
    assert_eq!(printed, expected);
}

/// paho with the command-line tools: both directions through one broker.
mod with_tools {
    use super::*;

    #[test]
    fn mosquitto_tools_through_mosquitto() {
        meets_the_tools(Tool::Mosquitto, Kind::Mosquitto);
    }

    #[test]
    fn mosquitto_tools_through_karere() {
        meets_the_tools(Tool::Mosquitto, Kind::Karere);
    }

    #[test]
    fn karere_tools_through_mosquitto() {
        meets_the_tools(Tool::Karere, Kind::Mosquitto);
    }

    #[test]
    fn karere_tools_through_karere() {
        meets_the_tools(Tool::Karere, Kind::Karere);
    }

    fn meets_the_tools(tool: Tool, broker: Kind) {
        let scene = Scene::new(tool, broker, tool);
        for face in [Paho::V1, Paho::V2] {
            let printer = scene.subscribe("-t python/mqtt -q 2 -v -C 5");
            run(face, &scene.broker, "publisher.py", "--qos 2");
            let expected: Vec<_> = (0..5).map(|number| format!("python/mqtt messages: {number}")).collect();
            assert_eq!(printer.all_messages(), expected);

            let reader =
                Running::start(&mut command(face, &scene.broker, "subscriber.py", "--qos 1 --count 2"));
            reader.wait_for_line("Subscribed");
            scene.publish("-t python/mqtt -q 1 -m kia-ora");
            scene.publish("-t python/mqtt -q 2 -m ka-kite");
            let received = reader.finish().expect(0);
            let expected =
                "Received `kia-ora` from `python/mqtt` topic\nReceived `ka-kite` from `python/mqtt` topic\n";
            assert!(received.contains(expected), "{received}");
        }
    }
}
