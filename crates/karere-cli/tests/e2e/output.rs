//! What the tools print, byte for byte.

use crate::harness::{Scene, for_each_tool_and_broker};

for_each_tool_and_broker! {
    a_message_is_printed_as_asked
    a_format_knows_all_its_letters
    json_has_its_keys_in_order
    debug_shows_each_packet_of_a_publisher
    debug_shows_each_packet_of_a_subscriber
}

fn a_message_is_printed_as_asked(scene: &Scene) {
    scene.publish("-t drawer/1 -r -m hello");
    scene.publish("-t drawer/2 -q 1 -m not-kept");
    let printed = [
        ("", "hello\n"),
        ("-v", "drawer/1 hello\n"),
        ("-N", "hello"),
        ("-v -N", "drawer/1 hello"),
        ("-F %t", "drawer/1\n"),
        ("-F %t -v", "drawer/1\n"),
        ("-F %t -N", "drawer/1"),
    ];
    for (flags, expected) in printed {
        let flags = format!("-t drawer/# -C 1 {flags}");
        assert_eq!(scene.receive(flags.trim_end()).expect(0), expected, "{flags}");
    }
}

fn a_format_knows_all_its_letters(scene: &Scene) {
    scene.publish(
        "-V mqttv5 -t form -r -q 1 -m hello -D publish content-type text/plain -D publish user-property a b \
         -D publish user-property c d -D publish response-topic answer -D publish correlation-data no-17 \
         -D publish message-expiry-interval 600 -D publish payload-format-indicator 1",
    );
    let printed = [
        ("%t,%p,%l,%q,%r,%m", "form,hello,5,1,1,1"),
        ("%C,%P,%R,%D,%F", "text/plain,a:b c:d,answer,no-17,1"),
        ("%x,%X", "68656c6c6f,68656C6C6F"),
        ("%%,@@", "%,@"),
        (r"[\t][\\][\n]", "[\t][\\][\n]"),
        ("[%10t][%-10t][%010l]", "[      form][form      ][0000000005]"),
        ("%S", "7"),
        ("%A", ""),
    ];
    for (format, expected) in printed {
        let arguments = "-V mqttv5 -t form -q 1 -C 1 -D subscribe subscription-identifier 7";
        let received = scene.receive(&format!("{arguments} -F {format}"));
        assert_eq!(received.expect(0), format!("{expected}\n"), "{format}");
    }
    let expiry = scene.receive("-V mqttv5 -t form -C 1 -F %E").expect(0);
    assert!(expiry.trim().parse().is_ok_and(|left: u32| (570..=600).contains(&left)), "{expiry}");
    let year = scene.receive("-t form -C 1 -F @Y").expect(0);
    assert!(year.trim().parse().is_ok_and(|year: u32| year >= 2024), "{year}");
    let time = scene.receive("-t form -C 1 -F %U").expect(0);
    let (seconds, fraction) = time.trim().split_once('.').expect("seconds and a fraction");
    assert!(
        seconds.parse().is_ok_and(|seconds: u64| seconds > 1_700_000_000) && fraction.len() == 9,
        "{time}"
    );
    let iso = scene.receive("-t form -C 1 -F %I").expect(0);
    assert!(iso.len() == "2024-10-19T12:00:00+0000\n".len() && iso.contains('T'), "{iso}");
}

fn json_has_its_keys_in_order(scene: &Scene) {
    scene.publish("-V mqttv5 -t form -r -q 1 -m {\"on\":true} -D publish content-type text/json -D publish user-property a b");
    let text = scene.receive("-V mqttv5 -t form -q 1 -C 1 -F %j").expect(0);
    let properties = r#"{"content-type":"text/json","user-properties":{"a":"b"}}"#;
    let head =
        format!(r#""topic":"form","qos":1,"retain":1,"payloadlen":11,"mid":1,"properties":{properties}"#);
    assert_eq!(without_time(&text), format!("{head},\"payload\":\"{{\\\"on\\\":true}}\"}}\n"));
    let json = scene.receive("-V mqttv5 -t form -q 1 -C 1 -F %J").expect(0);
    assert_eq!(without_time(&json), format!("{head},\"payload\":{{\"on\":true}}}}\n"));
    let old = scene.receive("-V mqttv311 -t form -q 0 -C 1 -F %j").expect(0);
    let head = r#""topic":"form","qos":0,"retain":1,"payloadlen":11"#;
    assert_eq!(without_time(&old), format!("{head},\"payload\":\"{{\\\"on\\\":true}}\"}}\n"));
}

/// The rest of `{"tst":"2026-11-20T09:27:12.270902Z+0000",...`.
fn without_time(line: &str) -> &str {
    let rest = line.strip_prefix("{\"tst\":\"").unwrap_or_else(|| panic!("no time first: {line}"));
    let (time, rest) = rest.split_once("\",").expect("more keys");
    assert!(time.contains('T') && time.contains('.') && time.ends_with("+0000"), "{time}");
    rest
}

fn debug_shows_each_packet_of_a_publisher(scene: &Scene) {
    let trace = |qos: u8| scene.try_publish(&format!("-d -i me -t news -q {qos} -m hello")).expect(0);
    let before = "Client me sending CONNECT\nClient me received CONNACK (0)\n";
    let after = "Client me sending DISCONNECT\n";
    let publish = "Client me sending PUBLISH (d0, q0, r0, m1, 'news', ... (5 bytes))\n";
    assert_eq!(trace(0), format!("{before}{publish}{after}"));
    let publish = "Client me sending PUBLISH (d0, q1, r0, m1, 'news', ... (5 bytes))\n\
                   Client me received PUBACK (Mid: 1, RC:0)\n";
    assert_eq!(trace(1), format!("{before}{publish}{after}"));
    let publish = "Client me sending PUBLISH (d0, q2, r0, m1, 'news', ... (5 bytes))\n\
                   Client me received PUBREC (Mid: 1)\nClient me sending PUBREL (m1)\n\
                   Client me received PUBCOMP (Mid: 1, RC:0)\n";
    assert_eq!(trace(2), format!("{before}{publish}{after}"));
}

fn debug_shows_each_packet_of_a_subscriber(scene: &Scene) {
    scene.publish("-t news/1 -r -q 1 -m hello");
    let trace = scene.receive("-d -i me -t news/# -t other -q 2 -C 1").expect(0);
    // Which comes first, the message or its acknowledgement, is for the tool to say.
    let (packets, others): (Vec<&str>, Vec<&str>) =
        trace.lines().partition(|line| line.starts_with("Client "));
    let expected = [
        "Client me sending CONNECT",
        "Client me received CONNACK (0)",
        "Client me sending SUBSCRIBE (Mid: 1, Topic: news/#, QoS: 2, Options: 0x00)",
        "Client me sending SUBSCRIBE (Mid: 1, Topic: other, QoS: 2, Options: 0x00)",
        "Client me received SUBACK",
        "Client me received PUBLISH (d0, q1, r1, m1, 'news/1', ... (5 bytes))",
        "Client me sending PUBACK (m1, rc0)",
        "Client me sending DISCONNECT",
    ];
    assert_eq!(packets, expected);
    assert_eq!(others, ["Subscribed (mid: 1): 2, 2", "hello"]);

    let subscriber = scene.subscribe("-i me -t other -q 2");
    scene.publish("-t other -q 2 -m hello");
    subscriber.wait_for_line("Client me received PUBLISH (d0, q2, r0, m1, 'other', ... (5 bytes))");
    for packet in ["sending PUBREC (m1, rc0)", "received PUBREL (Mid: 1)", "sending PUBCOMP (m1)"] {
        subscriber.wait_for_line(&format!("Client me {packet}"));
    }
}
