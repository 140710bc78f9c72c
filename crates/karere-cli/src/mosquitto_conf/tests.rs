//! Files as people have them, and what is made of them.

use std::fs;
use std::path::Path;

use karere_core::codec::QoS;

use super::catalogue::{Fate, READ, fate, nearest};
use super::line::lines;
use super::*;
use crate::command::{Endpoint, Family};

fn read(text: &str) -> Result<Configuration, String> {
    let mut draft = Draft::new();
    draft.read_text("m.conf", text);
    draft.settle("m.conf")
}

#[track_caller]
fn followed(text: &str) -> Configuration {
    read(text).unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

#[track_caller]
fn refused(text: &str) -> String {
    match read(text) {
        Ok(configuration) => panic!("{text:?}: {configuration:?}"),
        Err(error) => error,
    }
}

#[track_caller]
fn options(text: &str) -> Options {
    followed(&format!("listener 1\n{text}")).options
}

fn at(host: Option<&str>, port: u16) -> Endpoint {
    Endpoint { host: host.map(str::to_owned), port, family: None }
}

#[test]
fn an_empty_file_means_mosquittos_defaults_on_this_machine_only() {
    let meant = followed("");
    assert_eq!(meant.listen, Listen::Loopback(1883));
    assert_eq!((meant.allow_anonymous, meant.connections_max, meant.message_bytes_max), (None, None, None));
    assert_eq!(meant.sys_interval, Duration::from_secs(10));
    let options = meant.options;
    assert_eq!((options.inflight_max, options.receive_maximum, options.topic_alias_maximum), (20, 20, 10));
    assert_eq!((options.queue_count_max, options.queue_bytes_max), (1000, usize::MAX));
    assert_eq!((options.maximum_packet_size, options.keep_alive_max), (u32::MAX, 65_535));
    assert_eq!((options.maximum_qos, options.session_expiry_max), (QoS::ExactlyOnce, u32::MAX));
    assert!(options.retain_available && options.allow_empty_client_id);
    assert!(!options.queue_qos0 && !options.upgrade_qos);
    assert!(meant.notices.is_empty());
}

#[test]
fn a_listener_has_a_port_and_may_have_an_address() {
    let listen = |text| followed(text).listen;
    assert_eq!(listen("listener 1884"), Listen::At(vec![at(None, 1884)]));
    assert_eq!(listen("listener 1884 ::1 # here"), Listen::At(vec![at(Some("::1"), 1884)]));
    assert_eq!(listen("listener 1 a\nlistener 2 b"), Listen::At(vec![at(Some("a"), 1), at(Some("b"), 2)]));
    assert_eq!(
        listen("listener 1\nsocket_domain ipv6"),
        Listen::At(vec![Endpoint { family: Some(Family::V6), ..at(None, 1) }])
    );
    for wrong in ["listener", "listener mqtt", "listener 70000", "listener 0", "listener 1 a b"] {
        assert!(refused(wrong).contains("m.conf:1: listener: "), "{wrong}");
    }
    assert!(refused("listener 0 /run/m.sock").contains("not there yet: Unix domain sockets"));
    assert!(refused("listener 1\nsocket_domain ipv5").contains("neither ipv4 nor ipv6"));
}

#[test]
fn the_old_way_is_one_listener_of_its_own() {
    let listen = |text| followed(text).listen;
    assert_eq!(listen("port 1884"), Listen::At(vec![at(None, 1884)]));
    assert_eq!(listen("bind_address 10.0.0.1"), Listen::At(vec![at(Some("10.0.0.1"), 1883)]));
    assert_eq!(
        listen("port 5\nbind_address a\nmax_qos 1\nlistener 6\nmax_qos 1"),
        Listen::At(vec![at(Some("a"), 5), at(None, 6)])
    );
    assert!(refused("port 0").contains("`0` is no number from 1 to 65535"));
    assert!(refused("bind_address").contains("bind_address: has no value"));
}

#[test]
fn anonymous_clients_are_let_in_where_the_file_says_so() {
    assert_eq!(followed("listener 1").allow_anonymous, None);
    assert_eq!(followed("allow_anonymous true\nlistener 1").allow_anonymous, Some(true));
    assert_eq!(followed("listener 1\nallow_anonymous false").allow_anonymous, Some(false));
}

#[test]
fn each_option_has_its_counterpart() {
    assert_eq!(options("max_keepalive 30").keep_alive_max, 30);
    assert_eq!(options("max_packet_size 1000").maximum_packet_size, 1000);
    assert_eq!(options("max_packet_size 1000").connect_size_max, 1000);
    assert_eq!(options("max_inflight_messages 7").inflight_max, 7);
    assert_eq!(options("max_inflight_messages 7").receive_maximum, 7);
    assert_eq!(options("max_queued_messages 9").queue_count_max, 9);
    assert_eq!(options("max_queued_bytes 900").queue_bytes_max, 900);
    assert_eq!(options("max_topic_alias 0").topic_alias_maximum, 0);
    assert_eq!(options("max_qos 0").maximum_qos, QoS::AtMostOnce);
    assert_eq!(options("maximum_qos 1").maximum_qos, QoS::AtLeastOnce);
    assert_eq!(options("persistent_client_expiration 2d").session_expiry_max, 172_800);
    assert!(!options("retain_available false").retain_available);
    assert!(!options("allow_zero_length_clientid 0").allow_empty_client_id);
    assert!(options("queue_qos0_messages true").queue_qos0);
    assert!(options("upgrade_outgoing_qos 1").upgrade_qos);
    assert_eq!(followed("listener 1\nmax_connections 5").connections_max, Some(5));
    assert_eq!(followed("message_size_limit 10").message_bytes_max, Some(10));
    assert_eq!(followed("sys_interval 0").sys_interval, Duration::ZERO);
}

#[test]
fn no_limit_is_no_limit() {
    for none in ["0", "-1"] {
        assert_eq!(options(&format!("max_inflight_messages {none}")).inflight_max, u16::MAX);
        assert_eq!(options(&format!("max_queued_messages {none}")).queue_count_max, usize::MAX);
        assert_eq!(options(&format!("max_queued_bytes {none}")).queue_bytes_max, usize::MAX);
        assert_eq!(followed(&format!("listener 1\nmax_connections {none}")).connections_max, None);
    }
    assert_eq!(followed("message_size_limit 0").message_bytes_max, None);
}

#[test]
fn values_that_mosquitto_refuses_are_refused() {
    for (line, says) in [
        ("max_keepalive 9", "`9` is no number from 10 to 65535"),
        ("max_keepalive", "has no value"),
        ("max_keepalive 30s", "`30s` is no number"),
        ("max_packet_size 19", "`19` is no number from 20 to 2147483647"),
        ("max_inflight_messages 70000", "`70000` is no number"),
        ("max_qos 3", "`3` is no number from 0 to 2"),
        ("sys_interval -1", "`-1` is no number from 0 to 65535"),
        ("message_size_limit -1", "`-1` is no number from 0 to 268435455"),
        ("retain_available yes", "`yes` is neither true nor false"),
        ("retain_available true false", "`true false` is more than one value"),
        ("persistent_client_expiration 5", "`5` is no time such as 12h"),
        ("persistent_client_expiration 0d", "`0d` is no time such as 12h"),
        ("persistent_client_expiration 5ü", "`5ü` is no time such as 12h"),
    ] {
        let error = refused(&format!("\n{line}\n"));
        assert!(error.contains("m.conf:2: ") && error.contains(says), "{line}: {error}");
    }
}

#[test]
fn a_time_has_a_unit_and_ends_somewhere() {
    let seconds = |text| options(&format!("persistent_client_expiration {text}")).session_expiry_max;
    assert_eq!((seconds("3h"), seconds("1d"), seconds("1w")), (10_800, 86_400, 604_800));
    assert_eq!((seconds("2m"), seconds("1y"), seconds("999y")), (5_184_000, 31_536_000, u32::MAX));
}

#[test]
fn comments_blanks_and_line_ends_mean_nothing() {
    let text = "\u{feff}# all\r\n\r\n   \n  # more\r\nmax_keepalive   30  # seconds\r\n\tmax_qos\t1\nretain_available false";
    let read: Vec<(String, &str, &str)> = lines("f", text)
        .map(|line| (line.place.to_string(), line.name, line.value.text().unwrap_or_default()))
        .collect();
    let places: Vec<&str> = read.iter().map(|(place, ..)| place.as_str()).collect();
    assert_eq!(places, ["f:5", "f:6", "f:7"]);
    assert_eq!((read[0].1, read[0].2), ("max_keepalive", "30  # seconds"));
    assert_eq!((read[1].1, read[1].2), ("max_qos", "1"));
    assert_eq!(followed(text).options.keep_alive_max, 30);
}

#[test]
fn the_last_of_an_option_counts() {
    assert_eq!(options("max_keepalive 30\nmax_keepalive 40").keep_alive_max, 40);
}

#[test]
fn all_that_is_wrong_or_not_there_yet_is_in_one_error() {
    let error = refused(
        "listener 8883\ncertfile /etc/my certificates/a.pem\nkeyfile k\nmax_keepalive 5\nmax_conections 3\n\
         password_file p\nconnection up\nauth_opt_x y\nlog_dest topic",
    );
    for part in [
        "cannot follow m.conf",
        "m.conf:4: max_keepalive: `5` is no number",
        "m.conf:5: max_conections: mosquitto has no such option. Is it max_connections?",
        "not there yet: TLS\n    certfile (m.conf:2), keyfile (m.conf:3)\n    instead: ",
        "password_file (m.conf:6)",
        "bridges to other brokers\n    connection (m.conf:7)",
        "plugins\n    auth_opt_x (m.conf:8)",
        "log_dest (m.conf:9)",
    ] {
        assert!(error.contains(part), "{part:?} is not in:\n{error}");
    }
}

#[test]
fn a_name_is_guessed_only_where_it_is_near() {
    assert_eq!(nearest("max_keepaliv"), Some("max_keepalive"));
    assert_eq!(nearest("Listener"), Some("listener"));
    assert_eq!(nearest("retain_avaliable"), Some("retain_available"));
    assert_eq!(nearest("something_else_altogether"), None);
    assert!(!refused("something_else_altogether 1").contains("Is it"));
}

#[test]
fn what_is_ignored_is_named_with_the_reason() {
    let notices = followed("pid_file /run/m.pid\nlog_dest file /var/log/m.log\nlog_type all\nuser m").notices;
    assert_eq!(notices.len(), 3, "{notices:?}");
    assert!(notices[0].starts_with("ignored: pid_file (m.conf:1): "), "{notices:?}");
    assert!(notices[1].starts_with("ignored: log_dest (m.conf:2), log_type (m.conf:3): "), "{notices:?}");
    assert_eq!(followed("set_tcp_nodelay false").notices.len(), 1);
}

#[test]
fn what_asks_for_nothing_is_not_worth_a_word() {
    let text = "persistence false\nset_tcp_nodelay true\nprotocol mqtt\nrequire_certificate false\nmemory_limit 0\n\
                use_username_as_clientid false\nmax_inflight_bytes 0";
    assert!(followed(text).notices.is_empty());
    assert!(refused("protocol websockets").contains("not there yet: WebSocket"));
    assert!(refused("require_certificate true").contains("not there yet: TLS"));
}

#[test]
fn persistence_is_a_store_where_it_is_to_be_and_without_it_there_is_none() {
    let persistence = |text: &str| followed(text).persistence;
    assert_eq!(persistence(""), Persistence::Memory);
    assert_eq!(persistence("persistence true"), Persistence::Default);
    let location = "persistence_location /var/lib/m/";
    assert_eq!(persistence(location), Persistence::Memory);
    assert_eq!(
        persistence(&format!("persistence true\n{location}")),
        Persistence::Folder("/var/lib/m/".into())
    );
    let notices = followed("persistence true\nautosave_interval 60\npersistence_file m.db").notices;
    assert_eq!(notices.len(), 2, "{notices:?}");
}

#[test]
fn listeners_that_differ_are_named_and_those_that_agree_are_not() {
    let each = "listener 1\nmax_qos 1\nmax_topic_alias 3\nlistener 2\nmax_qos 1\nmax_topic_alias 3";
    assert_eq!(followed(each).options.maximum_qos, QoS::AtLeastOnce);
    let error = refused("listener 1\nmax_qos 1\nlistener 2\nmax_topic_alias 4");
    assert!(error.contains("not there yet: settings of a listener's own"), "{error}");
    assert!(error.contains("max_qos (m.conf:2), max_topic_alias (m.conf:4)"), "{error}");
    // The number is each listener's, also where it is the same.
    let error = refused("listener 1\nmax_connections 5\nlistener 2\nmax_connections 5");
    assert!(error.contains("max_connections (m.conf:2), max_connections (m.conf:4)"), "{error}");
}

#[test]
fn security_may_be_a_listeners_own_as_long_as_all_agree() {
    let own =
        "per_listener_settings true\nlistener 1\nallow_anonymous true\nallow_zero_length_clientid false";
    let meant = followed(own);
    assert_eq!(meant.allow_anonymous, Some(true));
    assert!(!meant.options.allow_empty_client_id);
    let error = refused(&format!("{own}\nlistener 2\nallow_zero_length_clientid false"));
    assert!(
        error.contains("settings of a listener's own") && error.contains("allow_anonymous (m.conf:3)"),
        "{error}"
    );
    assert!(!error.contains("allow_zero_length_clientid"), "{error}");
    // Without per_listener_settings it is everybody's, wherever it stands.
    assert_eq!(followed("listener 1\nallow_anonymous true\nlistener 2").allow_anonymous, Some(true));
    assert!(refused("allow_anonymous true\nper_listener_settings true").contains("has to stand before"));
}

#[test]
fn what_stands_before_the_listeners_belongs_to_none_of_them() {
    for stray in [
        "max_qos 1",
        "max_topic_alias 1",
        "max_connections 3",
        "per_listener_settings true\nallow_anonymous true",
    ] {
        assert!(refused(&format!("{stray}\nlistener 1")).contains("belongs to no listener here"), "{stray}");
    }
    assert_eq!(followed("max_qos 1").options.maximum_qos, QoS::AtLeastOnce);
    assert_eq!(followed("max_qos 1").listen, Listen::Loopback(1883));
}

#[test]
fn a_folder_is_included_in_mosquittos_order() {
    let folder = std::env::temp_dir().join(format!("karere-include-{}", std::process::id()));
    fs::create_dir_all(folder.join("more.d")).unwrap();
    let file = |name: &str, text: &str| fs::write(folder.join("more.d").join(name), text).unwrap();
    file("b.conf", "max_keepalive 40\n");
    file("B.conf", "max_keepalive 30\n");
    file("a.conf", "max_keepalive 20\nlistener 2\n");
    file("notes.txt", "not read\n");
    let more = folder.join("more.d");
    let main = folder.join("main.conf");
    fs::write(&main, format!("listener 1\ninclude_dir {}\nmax_qos 2\n", more.display())).unwrap();
    let meant = super::read(main.to_str().unwrap()).unwrap();
    assert_eq!(meant.options.keep_alive_max, 40);
    assert_eq!(meant.listen, Listen::At(vec![at(None, 1), at(None, 2)]));

    file("c.conf", "include_dir .\nmax_qos 1\n");
    let error = super::read(main.to_str().unwrap()).unwrap_err();
    let place = Path::new("more.d").join("c.conf").display().to_string();
    assert!(error.contains(&format!("{place}:1: include_dir: is read in the main file only")), "{error}");
    assert!(error.contains(&format!("{place}:2: max_qos: belongs to no listener here")), "{error}");
    fs::remove_dir_all(&folder).unwrap();
    assert!(super::read(main.to_str().unwrap()).unwrap_err().starts_with("cannot read "));
    assert!(
        refused("include_dir /no/such/folder").contains("m.conf:1: include_dir: cannot read /no/such/folder")
    );
}

#[test]
fn every_option_that_is_listed_as_read_is_read() {
    for name in READ {
        assert!(matches!(fate(name, lines("f", "x 7").next().unwrap().value), Some(Fate::Read)), "{name}");
        assert!(!read(&format!("{name} 1")).is_err_and(|error| error.contains("is not read yet")), "{name}");
    }
}
