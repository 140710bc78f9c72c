//! What is typed, and what it means.

use std::ffi::OsString;
use std::time::Duration;

use karere::{Address, Property, QoS, Version};
use karere_broker::Durability;

use super::{Command, Data, Publishing, Source, Subscribing, parse};
use crate::format::Style;

fn typed(words: &[&str]) -> Result<Command, clap::Error> {
    parse(std::iter::once("karere").chain(words.iter().copied()).map(OsString::from))
}

/// What is said about a command line that is refused.
#[track_caller]
fn refused(words: &[&str]) -> String {
    let outcome = match typed(words) {
        Err(error) => return error.to_string(),
        Ok(Command::Pub(args)) => args.resolve().map(|meant| format!("{meant:?}")),
        Ok(Command::Sub(args)) => args.resolve().map(|meant| format!("{meant:?}")),
        Ok(command) => Ok(format!("{command:?}")),
    };
    outcome.expect_err("the command line is to be refused").to_string()
}

#[track_caller]
fn published(words: &[&str]) -> Publishing {
    match typed(&[&["pub", "-t", "a"], words].concat()) {
        Ok(Command::Pub(args)) => args.resolve().unwrap_or_else(|failure| panic!("{failure}")),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn subscribed(words: &[&str]) -> Subscribing {
    match typed(&[&["sub"], words].concat()) {
        Ok(Command::Sub(args)) => args.resolve().unwrap_or_else(|failure| panic!("{failure}")),
        other => panic!("{other:?}"),
    }
}

#[test]
fn without_options_it_is_mosquittos_defaults() {
    let meant = published(&["-m", "x"]);
    let options = &meant.connection.options;
    assert_eq!(options.address, Address::tcp("localhost", 1883));
    assert_eq!(options.core.version, Version::V311);
    assert_eq!((options.core.keep_alive, options.core.inflight_max), (60, 20));
    assert_eq!(options.core.maximum_packet_size, 268_435_460);
    assert!(options.core.clean_start && options.core.client_id.is_empty());
    assert_eq!((meant.qos, meant.retain, meant.repeat), (QoS::AtMostOnce, false, 1));
    assert_eq!(meant.source, Source::Bytes(b"x".to_vec()));
}

#[test]
fn h_is_the_host_and_not_help() {
    let meant = published(&["-h", "broker.example", "-p", "1884", "-m", "x"]);
    assert_eq!(meant.connection.options.address, Address::tcp("broker.example", 1884));
}

#[test]
fn capital_v_is_the_protocol_version_in_each_spelling() {
    for (text, version) in [
        ("5", Version::V5),
        ("mqttv5", Version::V5),
        ("311", Version::V311),
        ("mqttv311", Version::V311),
        ("31", Version::V31),
        ("mqttv31", Version::V31),
    ] {
        assert_eq!(published(&["-m", "x", "-V", text]).connection.options.core.version, version);
    }
    assert!(refused(&["pub", "-t", "a", "-m", "x", "-V", "4"]).contains("it is 5, 311 or 31"));
}

#[test]
fn properties_and_session_expiry_make_it_version_5() {
    let with_property = published(&["-m", "x", "-D", "publish", "content-type", "text/plain"]);
    assert_eq!(with_property.connection.options.core.version, Version::V5);
    let with_expiry = subscribed(&["-t", "a", "-x", "100"]);
    assert_eq!(with_expiry.connection.options.core.version, Version::V5);
    assert_eq!(with_expiry.connection.options.core.session_expiry, 100);
    assert!(refused(&["sub", "-t", "a", "-x", "1", "-V", "311"]).contains("-x needs MQTT 5"));
    assert!(refused(&["sub", "-t", "a", "--retain-as-published", "-V", "31"]).contains("needs MQTT 5"));
}

#[test]
fn a_session_that_is_kept_never_expires_unless_told_to() {
    let expiry = |words: &[&str]| subscribed(words).connection.options.core.session_expiry;
    assert_eq!(expiry(&["-t", "a", "-V", "5"]), 0);
    assert_eq!(expiry(&["-t", "a", "-V", "5", "-c", "-i", "me"]), u32::MAX);
    assert_eq!(expiry(&["-t", "a", "-c", "-i", "me", "-x", "60"]), 60);
    assert_eq!(expiry(&["-t", "a", "-x", "-1"]), u32::MAX);
    assert_eq!(expiry(&["-t", "a", "-x", "∞"]), u32::MAX);
    assert_eq!(expiry(&["-t", "a", "-D", "connect", "session-expiry-interval", "7"]), 7);
    assert!(!subscribed(&["-t", "a", "-c", "-i", "me"]).connection.options.core.clean_start);
    assert!(refused(&["sub", "-t", "a", "-c"]).contains("give one with -i"));
}

#[test]
fn a_url_says_where_and_to_what_and_single_options_go_before_it() {
    let url = "mqtt://ana:s%40lt@broker.example:99/iot/home";
    let Ok(Command::Pub(args)) = typed(&["pub", "-L", url, "-m", "x", "-p", "1884"]) else { panic!() };
    let meant = args.resolve().unwrap();
    assert_eq!(meant.connection.options.address, Address::tcp("broker.example", 1884));
    assert_eq!(meant.topic, "iot/home");
    assert_eq!(subscribed(&["-L", url, "-t", "b/#"]).filters, ["iot/home", "b/#"]);
    assert!(refused(&["pub", "-L", "http://broker/a", "-m", "x"]).contains("no scheme of MQTT's"));
    assert!(refused(&["pub", "-L", "mqtt://broker", "-m", "x"]).contains("no topic"));
}

#[test]
fn a_password_without_a_user_needs_version_5() {
    assert!(refused(&["pub", "-t", "a", "-m", "x", "-P", "pw"]).contains("-P without -u"));
    published(&["-m", "x", "-P", "pw", "-V", "5"]);
    published(&["-m", "x", "-P", "pw", "-u", "ana"]);
}

#[test]
fn client_ids_are_given_or_made_of_a_prefix_and_the_process_id() {
    assert_eq!(published(&["-m", "x", "-i", "me"]).connection.options.core.client_id, "me");
    let made = published(&["-m", "x", "-I", "me-"]).connection.options.core.client_id;
    assert_eq!(made, format!("me-{}", std::process::id()).as_str());
    assert!(refused(&["pub", "-t", "a", "-m", "x", "-i", "a", "-I", "b"]).contains("cannot be used with"));
}

#[test]
fn a_value_may_look_like_an_option() {
    assert_eq!(published(&["-m", "-n"]).source, Source::Bytes(b"-n".to_vec()));
    assert_eq!(published(&["-m", "-D"]).source, Source::Bytes(b"-D".to_vec()));
    assert_eq!(published(&["--message", "--help"]).source, Source::Bytes(b"--help".to_vec()));
    assert_eq!(published(&["-dm", "-D"]).source, Source::Bytes(b"-D".to_vec()));
    assert_eq!(subscribed(&["-t", "a", "-T", "-D"]).output.filter_out.len(), 1);
}

#[test]
fn the_last_of_an_option_given_twice_counts_and_filters_add_up() {
    let meant = published(&["-q", "0", "-q", "2", "-m", "x", "-m", "y", "-r", "-r", "-t", "b"]);
    assert_eq!(
        (meant.qos, meant.source, meant.topic.as_str()),
        (QoS::ExactlyOnce, Source::Bytes(b"y".to_vec()), "b")
    );
    let meant = subscribed(&["-t", "a", "-k", "30", "-t", "b", "-k", "40", "-v", "-v", "-d", "-d"]);
    assert_eq!(
        (meant.filters.as_slice(), meant.connection.options.core.keep_alive),
        (&["a".into(), "b".into()][..], 40)
    );
}

#[test]
fn a_payload_comes_from_one_place() {
    assert_eq!(published(&["-n"]).source, Source::Bytes(Vec::new()));
    assert_eq!(published(&["-f", "photo.jpg"]).source, Source::File("photo.jpg".into()));
    assert_eq!(published(&["-s"]).source, Source::Stdin);
    assert_eq!(published(&["-l"]).source, Source::StdinLines);
    assert!(refused(&["pub", "-t", "a"]).contains("required"));
    assert!(refused(&["pub", "-t", "a", "-m", "x", "-n"]).contains("cannot be used with"));
}

#[test]
fn repeats_have_a_count_and_a_pause() {
    let meant = published(&["-m", "x", "--repeat", "3", "--repeat-delay", "0.25"]);
    assert_eq!((meant.repeat, meant.repeat_delay), (3, Duration::from_millis(250)));
    assert!(refused(&["pub", "-t", "a", "-l", "--repeat", "2"]).contains("cannot be used with"));
    assert!(
        refused(&["pub", "-t", "a", "-m", "x", "--repeat", "2", "--repeat-delay", "-1"])
            .contains("--repeat-delay")
    );
}

#[test]
fn topics_and_filters_are_checked_before_anything_is_sent() {
    assert!(refused(&["pub", "-t", "a/#", "-m", "x"]).contains("-t a/#"));
    assert!(refused(&["pub", "-t", "", "-m", "x"]).contains("-t"));
    assert!(refused(&["sub", "-t", "a/#/b"]).contains("-t a/#/b"));
    assert!(refused(&["sub", "-t", "a", "-U", "a/#/b"]).contains("-U a/#/b"));
    assert!(refused(&["sub", "-t", "a", "-T", "a/#/b"]).contains("-T a/#/b"));
    assert!(refused(&["sub"]).contains("no topic"));
}

#[test]
fn numbers_out_of_their_range_are_refused() {
    for words in [
        ["-q", "3"],
        ["-k", "4"],
        ["-k", "65536"],
        ["-p", "0"],
        ["-p", "65536"],
        ["-C", "0"],
        ["-W", "0"],
        ["-x", "4294967296"],
    ] {
        assert!(refused(&["sub", "-t", "a", words[0], words[1]]).contains(words[1]), "{words:?}");
    }
    assert!(refused(&["pub", "-t", "a", "-m", "x", "-M", "0"]).contains("-M"));
}

#[test]
fn a_format_goes_before_verbose() {
    assert!(matches!(subscribed(&["-t", "a"]).output.style, Style::Payload));
    assert!(matches!(subscribed(&["-t", "a", "-v"]).output.style, Style::Verbose));
    assert!(matches!(subscribed(&["-t", "a", "-v", "-F", "%t"]).output.style, Style::Template { .. }));
    assert!(refused(&["sub", "-t", "a", "-F", "%z"]).contains("there is no %z"));
}

#[test]
fn retained_only_and_no_retained_exclude_each_other() {
    assert!(refused(&["sub", "-t", "a", "-R", "--retained-only"]).contains("cannot be used with"));
}

#[test]
fn a_will_has_a_topic() {
    let words =
        ["-m", "x", "--will-topic", "gone", "--will-payload", "-", "--will-qos", "1", "--will-retain"];
    let will = published(&words).connection.options.core.will.unwrap();
    assert_eq!((will.message.topic.as_str(), &will.message.payload[..]), ("gone", &b"-"[..]));
    assert_eq!((will.message.qos, will.message.retain, will.delay), (QoS::AtLeastOnce, true, 0));
    assert!(refused(&["pub", "-t", "a", "-m", "x", "--will-payload", "q"]).contains("--will-topic"));
    assert!(refused(&["pub", "-t", "a", "-m", "x", "--will-topic", "a/#"]).contains("--will-topic a/#"));
}

#[test]
fn properties_go_to_the_packet_that_they_name() {
    let meant = published(&[
        "-D",
        "publish",
        "content-type",
        "text/plain",
        "-D",
        "publish",
        "user-property",
        "a",
        "-b",
        "-m",
        "x",
        "-D",
        "PUBLISH",
        "Message-Expiry-Interval",
        "60",
        "-D",
        "publish",
        "topic-alias",
        "3",
        "-D",
        "connect",
        "receive-maximum",
        "5",
        "-D",
        "connect",
        "user-property",
        "who",
        "me",
        "-D",
        "will",
        "will-delay-interval",
        "9",
        "--will-topic",
        "gone",
        "--property",
        "disconnect",
        "reason-string",
        "bye",
    ]);
    let properties: Vec<_> = meant.properties.iter().collect();
    assert_eq!(properties, [Property::ContentType("text/plain"), Property::UserProperty("a", "-b")]);
    assert_eq!((meant.expiry, meant.topic_alias.map(u16::from)), (Some(60), Some(3)));
    let core = &meant.connection.options.core;
    assert_eq!(core.receive_maximum, 5);
    assert_eq!(core.properties.iter().collect::<Vec<_>>(), [Property::UserProperty("who", "me")]);
    assert_eq!(core.will.as_ref().map(|will| will.delay), Some(9));
    assert_eq!(meant.connection.disconnect.properties.reason_string(), Some("bye"));
    let meant = subscribed(&["-t", "a", "-D", "subscribe", "subscription-identifier", "7"]);
    assert_eq!(meant.subscription_id, Some(7));
}

#[test]
fn properties_that_are_none_are_refused_with_what_there_is() {
    for (words, said) in [
        (&["connect"][..], "-D ends where a property was to follow"),
        (&["connect", "user-property", "a"], "-D ends where the user property's value was to follow"),
        (&["foo", "content-type", "a"], "no such command; there are connect, publish"),
        (&["publish", "nope", "1"], "there is no property nope"),
        (
            &["publish", "will-delay-interval", "1"],
            "publish has no will-delay-interval; it has payload-format",
        ),
        (&["publish", "subscription-identifier", "1"], "publish has no subscription-identifier"),
        (&["connect", "receive-maximum", "70000"], "a number from 0 to 65535"),
        (&["connect", "receive-maximum", "0"], "-D connect receive-maximum 0"),
        (&["connect", "request-problem-information", "2"], "it is 0 or 1"),
        (&["publish", "response-topic", "a/#"], "-D publish response-topic a/#"),
    ] {
        let message = refused(&[&["pub", "-t", "a", "-m", "x", "-D"], words].concat());
        assert!(message.contains(said), "{message}");
    }
    let twice = ["-D", "publish", "content-type", "a", "-D", "publish", "content-type", "b"];
    assert!(
        refused(&[&["pub", "-t", "a", "-m", "x"], &twice[..]].concat()).contains("-D publish: Content Type")
    );
}

#[test]
fn options_that_are_mosquittos_and_not_yet_ours_are_named() {
    let message = refused(&["pub", "-t", "a", "-m", "x", "--psk", "00"]);
    assert!(message.contains("karere has no TLS-PSK yet"), "{message}");
    assert!(refused(&["sub", "-t", "a", "--bogus"]).contains("--bogus"));
    assert!(refused(&["broker", "-D", "connect", "a", "b"]).contains("-D"));
}

#[test]
fn what_is_not_said_about_a_broker_is_left_to_its_configuration() {
    let Ok(Command::Broker(args)) = typed(&["broker"]) else { panic!() };
    assert_eq!((args.port, args.bind, args.data), (None, None, None));
    assert_eq!(args.durability, Durability::Fsync);
    for (word, level) in [("os", Durability::Os), ("none", Durability::None)] {
        let Ok(Command::Broker(args)) = typed(&["broker", "--durability", word]) else { panic!() };
        assert_eq!(args.durability, level);
    }
    assert!(refused(&["broker", "--durability", "sometimes"]).contains("fsync, os and none"));
    let Ok(Command::Broker(args)) = typed(&["broker", "-p", "0", "--data", "x", "--bind", "::"]) else {
        panic!()
    };
    assert_eq!((args.port, args.data), (Some(0), Some(Data::Folder("x".into()))));
    let Ok(Command::Broker(args)) = typed(&["broker", "--mosquitto-conf", "a b.conf"]) else { panic!() };
    assert_eq!(args.mosquitto_conf.as_deref(), Some("a b.conf"));
    assert!(refused(&["broker", "--bind", "somewhere"]).contains("somewhere"));
}

#[test]
fn tls_and_websocket_are_turned_on_by_their_options_and_have_their_ports() {
    let address = |words: &[&str]| published(&[&["-m", "x"], words].concat()).connection.options.address;
    assert_eq!(address(&["--ws"]), Address::websocket("localhost", 8083, "/mqtt"));
    assert_eq!(
        address(&["--ws", "--ws-path", "/x", "-p", "80", "-h", "b"]),
        Address::websocket("b", 80, "/x")
    );
    assert_eq!(address(&["--tls-use-os-certs"]), Address::tls("localhost", 8883));
    assert_eq!(
        address(&["--tls-use-os-certs", "--ws"]),
        Address::secure_websocket("localhost", 8084, "/mqtt")
    );
    assert_eq!(address(&["-p", "8883"]), Address::tls("localhost", 8883));
    assert_eq!(address(&["-p", "8883", "--no-tls"]), Address::tcp("localhost", 8883));
    assert_eq!(address(&["-L", "mqtts://b/t", "-p", "1"]), Address::tls("b", 1));
    assert_eq!(address(&["-L", "wss://b/path", "-h", "c"]), Address::secure_websocket("c", 443, "/path"));
    assert_eq!(address(&["-L", "ws://b", "--tls-use-os-certs"]), Address::secure_websocket("b", 80, "/mqtt"));
    assert_eq!(address(&["--unix", "/run/s"]), Address::unix("/run/s"));
    assert_eq!(address(&["-L", "unix:/run/s"]), Address::unix("/run/s"));
}

#[test]
fn what_does_not_go_with_a_transport_is_refused() {
    assert!(refused(&["sub", "-t", "a", "--unix", "/s", "-p", "1"]).contains("cannot be used with"));
    assert!(refused(&["sub", "-t", "a", "-L", "unix:/s", "-p", "1"]).contains("-p means nothing"));
    assert!(refused(&["sub", "-t", "a", "--tls-version", "tlsv1.1"]).contains("not safe any more"));
    assert!(refused(&["sub", "-t", "a", "--ws", "--ws-header", "x"]).contains("'X-Token: secret'"));
    assert!(
        refused(&["sub", "-t", "a", "--cafile", "/nowhere/ca.pem"]).contains("cannot read /nowhere/ca.pem")
    );
}
