//! A message from a publisher through a broker to a subscriber.

use crate::harness::{Folder, Scene, for_each_route};

for_each_route! {
    every_qos_arrives_as_the_subscriber_was_granted
    every_version_understands_every_other
    a_retained_message_waits_for_subscribers_until_it_is_cleared
    wildcards_match_what_they_should
    names_and_payloads_are_utf_8
    a_payload_may_be_any_bytes
    a_large_payload_arrives_whole
    an_empty_message_arrives_empty
    ten_thousand_lines_arrive_in_order_at_qos_0
    ten_thousand_lines_arrive_in_order_at_qos_1
    five_thousand_lines_arrive_in_order_at_qos_2
    a_shared_subscription_gives_each_message_to_one_member
    an_unsubscribed_topic_is_silent
    a_killed_client_leaves_its_will
    a_client_that_says_goodbye_leaves_no_will
    properties_of_version_5_arrive_unaltered
    a_subscription_identifier_comes_back_with_the_message
}

fn every_qos_arrives_as_the_subscriber_was_granted(scene: &Scene) {
    for granted in 0..=2 {
        let subscriber = scene.subscribe(&format!("-t level/{granted} -q {granted} -F %q:%p"));
        for sent in 0..=2 {
            scene.publish(&format!("-t level/{granted} -q {sent} -m sent-at-{sent}"));
        }
        let expected: Vec<_> = (0..=2).map(|sent| format!("{}:sent-at-{sent}", sent.min(granted))).collect();
        assert_eq!(subscriber.messages(3), expected, "subscribed at {granted}");
    }
}

fn every_version_understands_every_other(scene: &Scene) {
    let versions = ["mqttv31", "mqttv311", "mqttv5"];
    let subscribers = versions.map(|version| scene.subscribe(&format!("-V {version} -t news -q 2")));
    for version in versions {
        scene.publish(&format!("-V {version} -t news -q 2 -m from-{version}"));
    }
    for subscriber in subscribers {
        assert_eq!(subscriber.messages(3), ["from-mqttv31", "from-mqttv311", "from-mqttv5"]);
    }
}

fn a_retained_message_waits_for_subscribers_until_it_is_cleared(scene: &Scene) {
    let early = scene.subscribe("-t shelf/# -q 1 -F %r:%t=%p");
    scene.publish("-t shelf/a -r -q 1 -m old");
    scene.publish("-t shelf/a -r -q 1 -m apple");
    scene.publish("-t shelf/b -r -q 1 -m bread");
    // Who was there already gets it as it is published: not as a retained message.
    assert_eq!(early.messages(3), ["0:shelf/a=old", "0:shelf/a=apple", "0:shelf/b=bread"]);

    let late = scene.subscribe("-t shelf/a -t shelf/b -q 1 -F %r:%t=%p");
    let mut found = late.messages(2);
    found.sort();
    assert_eq!(found, ["1:shelf/a=apple", "1:shelf/b=bread"]);

    scene.publish("-t shelf/a -r -q 1 -n");
    let after = scene.subscribe("-t shelf/# -t end -F %r:%t=%p");
    scene.publish("-t end -m end");
    assert_eq!(after.messages_before("0:end=end"), ["1:shelf/b=bread"]);
}

fn wildcards_match_what_they_should(scene: &Scene) {
    let one = scene.subscribe("-t home/+/temp -t end -F %t");
    let all = scene.subscribe("-t home/# -t end -F %t");
    let top = scene.subscribe("-t # -F %t");
    let topics =
        ["home", "home/kitchen", "home/kitchen/temp", "home//temp", "home/a/b/temp", "$private/home", "end"];
    topics.iter().for_each(|topic| scene.publish(&format!("-t {topic} -q 1 -m x")));
    assert_eq!(one.messages_before("end"), ["home/kitchen/temp", "home//temp"]);
    assert_eq!(all.messages_before("end"), topics[..5]);
    // A wildcard at the first level does not match what starts with `$`. [MQTT-4.7.2-1]
    assert_eq!(top.messages_before("end"), topics[..5]);
}

fn names_and_payloads_are_utf_8(scene: &Scene) {
    let subscriber = scene.subscribe("-t pūrongo/+ -q 1 -v");
    scene.publish("-t pūrongo/日本語 -q 1 -m tēnā-koe-🥝");
    assert_eq!(subscriber.messages(1), ["pūrongo/日本語 tēnā-koe-🥝"]);
}

fn a_payload_may_be_any_bytes(scene: &Scene) {
    let folder = Folder::new();
    let bytes: Vec<u8> = (0..=255).chain((0..=255).rev()).collect();
    let file = folder.file("bytes", &bytes);
    scene.publish(&format!("-t bytes/file -r -f {file}"));
    scene.publish_input("-t bytes/stdin -r -s", &bytes);
    for topic in ["bytes/file", "bytes/stdin"] {
        let received = scene.receive(&format!("-t {topic} -C 1 -N"));
        assert_eq!(received.stdout, bytes, "{topic}");
    }
}

fn a_large_payload_arrives_whole(scene: &Scene) {
    let folder = Folder::new();
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|at| (at % 251) as u8).collect();
    let file = folder.file("large", &bytes);
    scene.publish(&format!("-t large -r -q 2 -f {file}"));
    let received = scene.receive("-t large -q 2 -C 1 -N");
    assert!(received.stdout == bytes, "{} of {} bytes, or other ones", received.stdout.len(), bytes.len());
}

fn an_empty_message_arrives_empty(scene: &Scene) {
    let subscriber = scene.subscribe("-t empty -F [%l][%p]");
    scene.publish("-t empty -n");
    assert_eq!(subscriber.messages(1), ["[0][]"]);
}

fn ten_thousand_lines_arrive_in_order_at_qos_0(scene: &Scene) {
    lines_arrive_in_order(scene, 10_000, 0);
}

fn ten_thousand_lines_arrive_in_order_at_qos_1(scene: &Scene) {
    lines_arrive_in_order(scene, 10_000, 1);
}

fn five_thousand_lines_arrive_in_order_at_qos_2(scene: &Scene) {
    lines_arrive_in_order(scene, 5_000, 2);
}

fn lines_arrive_in_order(scene: &Scene, count: usize, qos: u8) {
    let reader = scene.subscribe(&format!("-t lines -q {qos} -C {count}"));
    let lines: Vec<String> = (0..count).map(|number| format!("line {number}")).collect();
    scene.publish_input(&format!("-t lines -q {qos} -l"), (lines.join("\n") + "\n").as_bytes());
    let received = reader.all_messages();
    let wrong = received.iter().zip(&lines).position(|(received, sent)| received != sent);
    assert_eq!((received.len(), wrong), (count, None), "lines received, and the first that is out of order");
}

fn a_shared_subscription_gives_each_message_to_one_member(scene: &Scene) {
    let members = ["mqttv5", "mqttv311"]
        .map(|version| scene.subscribe(&format!("-V {version} -t $share/team/jobs/# -t end -q 1")));
    let jobs: Vec<String> = (0..20).map(|number| format!("job-{number:02}")).collect();
    scene.publish_input("-t jobs/new -q 1 -l", (jobs.join("\n") + "\n").as_bytes());
    scene.publish("-t end -q 1 -m end");
    let shares = members.map(|member| member.messages_before("end"));
    assert!(
        shares.iter().all(|share| share.len() >= 5 && share.is_sorted()),
        "unfair or out of order: {shares:?}"
    );
    let mut all = shares.concat();
    all.sort();
    assert_eq!(all, jobs);
}

fn an_unsubscribed_topic_is_silent(scene: &Scene) {
    let subscriber = scene.subscribe("-t keep -t drop/# -U drop/# -v");
    subscriber.wait_for_line("received UNSUBACK");
    scene.publish("-t drop/it -m no");
    scene.publish("-t keep -m yes");
    assert_eq!(subscriber.messages(1), ["keep yes"]);
}

fn a_killed_client_leaves_its_will(scene: &Scene) {
    let watcher = scene.subscribe("-t will/# -q 2 -F %q:%r:%t=%p");
    let victim = scene
        .subscribe("-i victim -t x --will-topic will/victim --will-payload gone --will-qos 1 --will-retain");
    victim.kill();
    assert_eq!(watcher.messages(1), ["1:0:will/victim=gone"]);
    let late = scene.receive("-t will/# -q 1 -C 1 -F %q:%r:%t=%p").expect(0);
    assert_eq!(late, "1:1:will/victim=gone\n");
}

fn a_client_that_says_goodbye_leaves_no_will(scene: &Scene) {
    let watcher = scene.subscribe("-t will/# -t end -q 1");
    let guest = scene.subscribe("-i guest -t x --will-topic will/guest --will-payload gone");
    guest.signal("TERM");
    guest.finish().expect(0);
    scene.publish("-t end -q 1 -m end");
    assert_eq!(watcher.messages_before("end"), Vec::<String>::new());
}

fn properties_of_version_5_arrive_unaltered(scene: &Scene) {
    let subscriber = scene.subscribe("-V mqttv5 -t order -q 1 -F %C|%P|%R|%D|%F|%p");
    let old = scene.subscribe("-V mqttv311 -t order -q 1 -F %C|%P|%R|%D|%F|%p");
    scene.publish(
        "-V mqttv5 -t order -q 1 -m kūmara -D publish content-type text/plain -D publish user-property shop kiwi \
         -D publish user-property shop moa -D publish response-topic order/answer \
         -D publish correlation-data no-17 -D publish payload-format-indicator 1",
    );
    let expected = "text/plain|shop:kiwi shop:moa|order/answer|no-17|1|kūmara";
    assert_eq!(subscriber.messages(1), [expected]);
    assert_eq!(old.messages(1), ["|||||kūmara"]);
}

fn a_subscription_identifier_comes_back_with_the_message(scene: &Scene) {
    let subscriber =
        scene.subscribe("-V mqttv5 -t tagged/# -D subscribe subscription-identifier 4711 -F %S:%p");
    scene.publish("-t tagged/x -m y");
    assert_eq!(subscriber.messages(1), ["4711:y"]);
}
