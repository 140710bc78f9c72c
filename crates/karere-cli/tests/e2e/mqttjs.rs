//! MQTT.js with our broker and with mosquitto's.

use std::process::Command;

use crate::harness::{Broker, Kind, Running, Scene, Tool, mqttjs};

macro_rules! programs {
    ($broker:ident) => {
        use super::*;

        #[test]
        fn every_qos_retained_and_unsubscribe_in_version_5() {
            messages(&Broker::start(Kind::$broker), 5);
        }

        #[test]
        fn every_qos_retained_and_unsubscribe_in_version_3_1_1() {
            messages(&Broker::start(Kind::$broker), 4);
        }

        #[test]
        fn every_qos_retained_and_unsubscribe_in_version_3_1() {
            messages(&Broker::start(Kind::$broker), 3);
        }

        #[test]
        fn properties_identifiers_and_aliases() {
            properties(&Broker::start(Kind::$broker));
        }

        #[test]
        fn a_broken_connection_comes_back_to_its_session_in_version_5() {
            session(&Broker::start(Kind::$broker), 5);
        }

        #[test]
        fn a_broken_connection_comes_back_to_its_session_in_version_3_1_1() {
            session(&Broker::start(Kind::$broker), 4);
        }

        #[test]
        fn a_killed_client_leaves_its_will() {
            will(&Scene::new(Tool::Mosquitto, Kind::$broker, Tool::Mosquitto));
        }
    };
}
mod with_mosquitto {
    programs!(Mosquitto);
}

mod with_karere {
    programs!(Karere);
}

/// mosquitto 2.0.11 closes the connection without a word here.
#[test]
fn a_client_that_is_taken_over_is_told_so_by_karere() {
    let printed = run(&Broker::start(Kind::Karere), "takeover.js", 5);
    assert_eq!(printed, "told 142\nhello\n"); // Session taken over (0x8E)
}

#[track_caller]
fn run(broker: &Broker, program: &str, version: u8) -> String {
    Running::start(&mut command(broker, program, version)).finish().expect(0)
}

fn command(broker: &Broker, program: &str, version: u8) -> Command {
    let mut command = mqttjs(program);
    command.args(["--port", &broker.port.to_string(), "--version", &version.to_string()]);
    command
}

fn messages(broker: &Broker, version: u8) {
    let expected = "\
granted [\"level/0=0\",\"level/1=1\",\"level/2=2\"]
level/0 sent at 0 0 false
level/1 sent at 1 1 false
level/2 sent at 2 2 false
shelf/a apple true
cleared true
heard
";
    assert_eq!(run(broker, "messages.js", version), expected);
}

fn properties(broker: &Broker) {
    let expected = "\
named by the broker true
order/new kumara text/plain order/answer no-17 true
{\"shop\":[\"kiwi\",\"moa\"],\"aisle\":\"7\"} 4711 true
order/aliased number 1
order/aliased number 2
order/aliased number 3
without a name 2
";
    assert_eq!(run(broker, "properties.js", 5), expected);
}

fn session(broker: &Broker, version: u8) {
    let expected = "session present false\nsession present true\n[\"at 1\",\"at 2\"]\n";
    assert_eq!(run(broker, "session.js", version), expected);
}

fn will(scene: &Scene) {
    let watcher = scene.subscribe("-t will/# -q 2 -F %q:%t=%p -C 1");
    let victim = Running::start(&mut command(&scene.broker, "will.js", 5));
    victim.wait_for_line("connected");
    victim.kill();
    assert_eq!(watcher.all_messages(), ["1:will/victim=gone"]);
}
