//! What outlives the process, as whoever runs it sees it.

use crate::harness::{Broker, Folder, Running, Scene, Tool, karere};

/// A broker with this folder.
fn broker(data: &str, more: &[&str]) -> Broker {
    Broker::karere(&[&["--data", data], more].concat())
}

fn scene(data: &str, more: &[&str]) -> Scene {
    Scene::with(broker(data, more), Tool::Mosquitto)
}

#[test]
fn what_was_acknowledged_is_delivered_after_kill_9() {
    for durability in ["fsync", "os"] {
        let folder = Folder::new();
        let data = folder.path().join("new/folder").display().to_string();
        let more = ["--durability", durability];
        let before = scene(&data, &more);
        // A session that stays, with its subscription.
        before.receive("-t news/# -q 1 -i reader -c -E").expect(0);
        for count in 0..10 {
            before.publish(&format!("-t news/{count} -q {} -m {count}", 1 + count % 2));
        }
        before.publish("-t kept -q 1 -r -m here");
        before.broker.kill();

        let after = scene(&data, &more);
        after.broker.wait_for_line("found there: sessions 1, messages 10, retained messages 1");
        let expected: String = (0..10).map(|count| format!("{count}\n")).collect();
        assert_eq!(after.receive("-t news/# -q 1 -i reader -c -C 10").expect(0), expected);
        assert_eq!(after.receive("-t kept -C 1").expect(0), "here\n");
    }
}

#[test]
fn after_an_orderly_end_all_is_there_whatever_the_durability() {
    let folder = Folder::new();
    let data = folder.path().join("data").display().to_string();
    let before = scene(&data, &["--durability", "none"]);
    before.receive("-t news -q 1 -i reader -c -E").expect(0);
    before.publish("-t news -q 1 -m one");
    before.broker.signal("TERM");
    before.broker.finish().expect(0);
    let after = scene(&data, &["--durability", "none"]);
    assert_eq!(after.receive("-t news -q 1 -i reader -c -C 1").expect(0), "one\n");
}

#[test]
fn a_folder_that_another_broker_has_is_named_with_its_holder_and_what_to_do() {
    let folder = Folder::new();
    let data = folder.path().display().to_string();
    let _first = broker(&data, &[]);
    let second = Running::start(karere().args(["broker", "-p", "0", "--data", &data])).finish();
    for part in [data.as_str(), "in use by process ", "--data DIR", "--data none"] {
        assert!(second.stderr.contains(part), "{part:?} is not in {}", second.stderr);
    }
    assert_eq!(second.code, Some(1));
}

#[test]
fn the_folder_is_that_of_whoever_starts_it_unless_another_is_named() {
    let folder = Folder::new();
    let mut command = karere();
    command.env("XDG_DATA_HOME", folder.path()).args(["broker", "-p", "0"]);
    let running = Running::start(&mut command);
    let line = running.wait_for_line("data in ");
    assert!(line.contains(&folder.path().join("karere").display().to_string()), "{line}");
    running.signal("TERM");
    running.finish().expect(0);
    assert!(folder.path().join("karere/lock").exists());
}

#[test]
fn a_mosquitto_conf_says_whether_and_where() {
    let folder = Folder::new();
    let location = folder.path().display().to_string();
    let text = format!("persistence true\npersistence_location {location}/\n");
    let file = folder.file("m.conf", text);
    let with = Broker::karere(&["--mosquitto-conf", &file]);
    with.wait_for_line(&format!("data in {location}/karere: "));
    let overridden = Broker::karere(&["--mosquitto-conf", &file, "--data", "none"]);
    overridden.wait_for_line("data in memory only");
    let without = folder.file("without.conf", "max_keepalive 60\n");
    Broker::karere(&["--mosquitto-conf", &without]).wait_for_line("data in memory only");
}
