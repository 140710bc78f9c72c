//! Sessions that outlive their connection, and those that do not.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::harness::{Scene, for_each_route, for_each_tool_and_broker};

for_each_route! {
    a_durable_session_keeps_what_arrives_while_its_client_is_away
    a_durable_session_of_version_5_keeps_what_arrives_while_its_client_is_away
    a_session_survives_the_sudden_death_of_its_client
    a_clean_start_forgets_the_session
}

for_each_tool_and_broker! {
    a_session_ends_when_it_expires
    a_message_ends_when_it_expires
    a_will_of_version_5_waits_for_its_delay_and_has_properties
    a_client_that_is_back_before_the_delay_leaves_no_will
    pings_keep_an_idle_connection_alive
}

const NOTES: [&str; 4] = ["one", "two", "three", "four"];

fn a_durable_session_keeps_what_arrives_while_its_client_is_away(scene: &Scene) {
    messages_wait(scene, "-V mqttv311 -c -i collector -t notes -q 2");
}

fn a_durable_session_of_version_5_keeps_what_arrives_while_its_client_is_away(scene: &Scene) {
    messages_wait(scene, "-V mqttv5 -c -x 600 -i collector -t notes -q 2");
}

fn messages_wait(scene: &Scene, collector: &str) {
    scene.receive(&format!("{collector} -E")).expect(0);
    for (qos, note) in [1, 2, 1, 2].into_iter().zip(NOTES) {
        scene.publish(&format!("-t notes -q {qos} -m {note}"));
    }
    let received = scene.receive(&format!("{collector} -C 4 -F %q:%p")).expect(0);
    // Order is promised within a QoS: a client may show a QoS 2 message when it is released.
    let at = |qos: &str| {
        received.lines().filter(|line| line.starts_with(qos)).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(
        (at("1"), at("2")),
        (vec!["1:one".into(), "1:three".into()], vec!["2:two".into(), "2:four".into()])
    );

    // They were delivered once: what comes next is new.
    scene.publish("-t notes -q 1 -m fresh");
    assert_eq!(scene.receive(&format!("{collector} -C 1")).expect(0), "fresh\n");
}

fn a_session_survives_the_sudden_death_of_its_client(scene: &Scene) {
    let collector = scene.subscribe("-c -i collector -t notes -q 1");
    scene.publish("-t notes -q 1 -m before");
    assert_eq!(collector.messages(1), ["before"]);
    collector.kill();
    NOTES.iter().for_each(|note| scene.publish(&format!("-t notes -q 1 -m {note}")));
    let received = scene.subscribe("-c -i collector -t notes -t end -q 1");
    scene.publish("-t end -q 1 -m end");
    let mut notes = received.messages_before("end");
    // The death may have come before the acknowledgement: then the first one is sent again.
    notes.retain(|note| note != "before");
    assert_eq!(notes, NOTES);
}

fn a_clean_start_forgets_the_session(scene: &Scene) {
    scene.receive("-c -i collector -t notes -q 1 -E").expect(0);
    scene.publish("-t notes -q 1 -m lost");
    scene.receive("-i collector -t other -q 1 -E").expect(0);
    let collector = scene.subscribe("-c -i collector -t notes -q 1");
    scene.publish("-t notes -q 1 -m end");
    assert_eq!(collector.messages_before("end"), Vec::<String>::new());
}

fn a_session_ends_when_it_expires(scene: &Scene) {
    for (name, seconds) in [("brief", 1), ("long", 600)] {
        scene.receive(&format!("-V mqttv5 -c -x {seconds} -i {name} -t notes -q 1 -E")).expect(0);
    }
    sleep(Duration::from_millis(2500));
    scene.publish("-t notes -q 1 -m one");
    let brief = scene.subscribe("-V mqttv5 -c -i brief -t notes -q 1");
    let long = scene.subscribe("-V mqttv5 -c -i long -t notes -q 1");
    scene.publish("-t notes -q 1 -m end");
    assert_eq!(brief.messages_before("end"), Vec::<String>::new());
    assert_eq!(long.messages_before("end"), ["one"]);
}

fn a_message_ends_when_it_expires(scene: &Scene) {
    scene.receive("-V mqttv5 -c -x 600 -i collector -t notes -q 1 -E").expect(0);
    for (note, seconds) in [("brief", 1), ("long", 600)] {
        let expiry = format!("-D publish message-expiry-interval {seconds}");
        scene.publish(&format!("-V mqttv5 -t notes -q 1 -m {note} {expiry}"));
        scene.publish(&format!("-V mqttv5 -t kept/{note} -r -q 1 -m {note} {expiry}"));
    }
    sleep(Duration::from_millis(2500));
    let collector = scene.subscribe("-V mqttv5 -c -x 600 -i collector -t notes -t kept/# -q 1 -F %p:%E");
    scene.publish("-V mqttv5 -t notes -q 1 -m end");
    let received = collector.messages_before("end:");
    let mut left = Vec::new();
    for line in received {
        let (note, seconds) = line.split_once(':').expect("the format");
        assert_eq!(note, "long");
        left.push(seconds.parse::<u32>().expect("seconds"));
    }
    assert_eq!(left.len(), 2, "one from the queue and one retained");
    assert!(left.iter().all(|seconds| (590..=598).contains(seconds)), "what is left of 600 s: {left:?}");
}

const DELAYED_WILL: &str = "-V mqttv5 -c -x 600 -i victim -t x --will-topic will/victim --will-payload gone \
                            -D will will-delay-interval 2 -D will content-type text/plain -D will user-property a b";

fn a_will_of_version_5_waits_for_its_delay_and_has_properties(scene: &Scene) {
    let watcher = scene.subscribe("-V mqttv5 -t will/# -q 1 -F %p|%C|%P");
    scene.subscribe(DELAYED_WILL).kill();
    let died = Instant::now();
    assert_eq!(watcher.messages(1), ["gone|text/plain|a:b"]);
    // Two seconds, or one and a bit where they are counted whole.
    assert!(died.elapsed() >= Duration::from_millis(900), "after {:?}", died.elapsed());
}

fn a_client_that_is_back_before_the_delay_leaves_no_will(scene: &Scene) {
    let watcher = scene.subscribe("-t will/# -t end -q 1");
    scene.subscribe(DELAYED_WILL).kill();
    let _back = scene.subscribe(DELAYED_WILL);
    sleep(Duration::from_millis(3000));
    scene.publish("-t end -q 1 -m end");
    assert_eq!(watcher.messages_before("end"), Vec::<String>::new());
}

fn pings_keep_an_idle_connection_alive(scene: &Scene) {
    let subscriber = scene.subscribe("-k 5 -t notes -q 1");
    subscriber.wait_for_line("received PINGRESP");
    scene.publish("-t notes -q 1 -m still-here");
    assert_eq!(subscriber.messages(1), ["still-here"]);
}
