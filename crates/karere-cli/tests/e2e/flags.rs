//! Flags and exit codes: what a script that calls these tools relies on.

use crate::harness::{Broker, Folder, Running, Scene, Tool, for_each_tool_and_broker, free_port};

for_each_tool_and_broker! {
    a_timeout_is_27_and_says_so
    a_count_ends_it_with_0
    waiting_for_the_suback_only_ends_it_with_0
    a_signal_ends_a_subscriber_with_0
    nobody_listening_is_1_and_says_so
    a_host_that_does_not_exist_is_1
    a_wrong_command_line_is_1_and_names_what_is_wrong
    the_last_of_a_flag_given_twice_counts
}

fn a_timeout_is_27_and_says_so(scene: &Scene) {
    scene.publish("-t there -r -m yes");
    let finished = scene.receive("-t there -t nothing -W 1");
    assert_eq!(finished.stderr, "Timed out\n");
    assert_eq!(finished.expect(27), "yes\n");
}

fn a_count_ends_it_with_0(scene: &Scene) {
    let subscriber = scene.subscribe("-t count -C 2 -W 20");
    (0..4).for_each(|number| scene.publish(&format!("-t count -q 1 -m {number}")));
    assert_eq!(subscriber.all_messages(), ["0", "1"]);
}

fn waiting_for_the_suback_only_ends_it_with_0(scene: &Scene) {
    let trace = scene.receive("-d -t a -t b/# -E").expect(0);
    assert!(trace.contains("Subscribed (mid: 1): 0, 0\n"), "{trace}");
    assert_eq!(scene.receive("-t a -t b/# -E").expect(0), "");
}

fn a_signal_ends_a_subscriber_with_0(scene: &Scene) {
    for signal in ["INT", "TERM"] {
        let subscriber = scene.subscribe("-t a");
        subscriber.signal(signal);
        let finished = subscriber.finish();
        assert!(finished.text().contains("sending DISCONNECT"), "it leaves without a goodbye after {signal}");
        finished.expect(0);
    }
}

fn nobody_listening_is_1_and_says_so(scene: &Scene) {
    let nobody = format!("-p {}", free_port());
    let publisher = scene.try_publish(&format!("{nobody} -t a -m b"));
    for finished in [publisher, scene.receive(&format!("{nobody} -t a"))] {
        assert_eq!(finished.stderr.lines().next(), Some("Error: Connection refused"));
        finished.expect(1);
    }
}

fn a_host_that_does_not_exist_is_1(scene: &Scene) {
    let finished = scene.try_publish("-h no-such-host.invalid -t a -m b");
    assert!(finished.stderr.contains("ookup"), "{}", finished.stderr);
    finished.expect(1);
}

fn a_wrong_command_line_is_1_and_names_what_is_wrong(scene: &Scene) {
    let wrong = [
        ("pub", "--foo", "--foo"),
        ("pub", "-t a", "message"),
        ("pub", "-m a", "topic"),
        ("pub", "-t a -m b -n", "message"),
        ("pub", "-t a/# -m b", "a/#"),
        ("pub", "-t a -m b -q 3", "3"),
        ("pub", "-t a -m b -V 4", "version"),
        ("pub", "-t a -m b -c", "client id"),
        ("sub", "-i x", "topic"),
        ("sub", "-t a/#/b", "a/#/b"),
        ("sub", "-t a -C x", "count"),
    ];
    for (verb, arguments, names) in wrong {
        let finished = if verb == "pub" { scene.try_publish(arguments) } else { scene.receive(arguments) };
        assert!(
            finished.stderr.to_lowercase().contains(names),
            "{verb} {arguments} says {:?}",
            finished.stderr
        );
        finished.expect(1);
    }
}

/// So that a shell alias can hold defaults.
fn the_last_of_a_flag_given_twice_counts(scene: &Scene) {
    let subscriber = scene.subscribe("-k 30 -k 60 -q 0 -q 2 -t twice -F nothing -F %q:%p");
    scene.publish("-t twice -q 2 -q 1 -m hello");
    assert_eq!(subscriber.messages(1), ["1:hello"]);
}

/// A refusal is shown in the exit code: the CONNACK's. Only mosquitto's broker refuses anybody so far.
mod with_a_broker_that_asks_for_a_password {
    use super::*;

    #[test]
    fn mosquitto_is_refused_with_the_code_of_the_connack() {
        is_refused_with_the_code_of_the_connack(Tool::Mosquitto);
    }

    #[test]
    fn karere_is_refused_with_the_code_of_the_connack() {
        is_refused_with_the_code_of_the_connack(Tool::Karere);
    }

    fn is_refused_with_the_code_of_the_connack(tool: Tool) {
        let folder = Folder::new();
        let passwords = folder.file("passwords", "");
        let mut command = std::process::Command::new("mosquitto_passwd");
        Running::start(command.args(["-b", &passwords, "rita", "secret"])).finish().expect(0);
        let broker = Broker::mosquitto(&format!("allow_anonymous false\npassword_file {passwords}\n"));
        let scene = Scene::with(broker, tool);
        for (version, code) in [("mqttv31", 5), ("mqttv311", 5), ("mqttv5", 135)] {
            for who in ["-i nobody", "-u rita -P wrong"] {
                let finished = scene.try_publish(&format!("-V {version} -t a -m b {who}"));
                // 3.x: "Connection Refused: not authorised."; 5: "Not authorized".
                let says = finished.stderr.to_lowercase().replace("ised", "ized");
                assert!(says.contains("not authorized"), "{}", finished.stderr);
                finished.expect(code);
                scene.receive(&format!("-V {version} -t a {who}")).expect(code);
            }
            scene.publish(&format!("-V {version} -t a -m b -u rita -P secret"));
        }
    }
}
