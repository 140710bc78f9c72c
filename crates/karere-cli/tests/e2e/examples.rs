//! The examples of the Rust client do what they show.

use std::path::Path;

use crate::harness::{Kind, Running, Scene, Tool};

#[test]
fn they_work_with_karere() {
    they_work_with(Kind::Karere);
}

#[test]
fn they_work_with_mosquitto() {
    they_work_with(Kind::Mosquitto);
}

fn they_work_with(broker: Kind) {
    let scene = Scene::new(Tool::Mosquitto, broker, Tool::Mosquitto);
    let example = |name: &str| start(name, scene.broker.port);
    let two_tasks = example("async_client");
    let subscriber = example("subscriber");
    subscriber.wait_for_line("Connected to MQTT broker!");
    // Subscribed after the subscriber, and so it has the messages when the subscriber has them.
    let watcher = scene.subscribe("-t python/mqtt -q 1 -C 5");
    let publisher = example("publisher");

    let expected: Vec<_> = (1..=5).map(|count| format!("messages: {count}")).collect();
    assert_eq!(watcher.all_messages(), expected);
    for message in &expected {
        subscriber.wait_for_line(&format!("Received `{message}` from topic `python/mqtt`"));
    }
    let sent: String =
        expected.iter().map(|message| format!("Sent `{message}` to topic `python/mqtt`\n")).collect();
    assert_eq!(publisher.finish().expect(0), format!("Connected to MQTT broker!\n{sent}"));
    let readings: String = (21..=25).map(|reading| format!("iot/home/temp: {reading}\n")).collect();
    assert_eq!(two_tasks.finish().expect(0), readings);
}

/// cargo puts them beside the binary, and builds them with the tests of the whole workspace.
fn start(name: &str, port: u16) -> Running {
    let folder = Path::new(env!("CARGO_BIN_EXE_karere")).with_file_name("examples");
    let program = folder.join(name);
    assert!(
        program.is_file(),
        "{name} is not built: run `cargo build --release --package karere --examples` first"
    );
    Running::start(std::process::Command::new(program).args(["localhost", &port.to_string()]))
}
