//! Keep alive, DISCONNECT, and what a connection takes with it.

use super::*;

fn with_keep_alive(seconds: u16) -> Bench {
    Bench::connected(Options { keep_alive: seconds, ..Options::default() })
}

/// Lets the time come that it asks for; what it sends then.
fn at_its_timeout(bench: &mut Bench) -> (u64, Vec<String>) {
    let due = bench.client.poll_timeout().expect("a timeout");
    let waited = due.since(bench.now).as_millis() as u64;
    bench.now = due;
    bench.client.handle_timeout(bench.now).unwrap();
    (waited, bench.lines())
}

#[test]
fn a_quiet_connection_is_pinged_once_an_interval() {
    let mut bench = with_keep_alive(10);
    for _ in 0..3 {
        assert_eq!(at_its_timeout(&mut bench), (10_000, ["PINGREQ".into()].into()));
        bench.feed(Packet::PingResp).unwrap();
    }
}

#[test]
fn one_that_only_sends_pings_too_because_else_it_never_learns_that_its_server_is_gone() {
    let mut bench = with_keep_alive(10);
    bench.after_millis(9_000).publish("x", QOS0).unwrap();
    bench.sent();
    assert_eq!(at_its_timeout(&mut bench), (1_000, ["PINGREQ".into()].into()));
}

#[test]
fn a_ping_that_is_not_answered_within_an_interval_ends_the_connection() {
    let mut bench = with_keep_alive(10);
    at_its_timeout(&mut bench);
    let now = bench.after_millis(9_999).now;
    bench.client.handle_timeout(now).unwrap();
    let now = bench.after_millis(1).now;
    let error = bench.client.handle_timeout(now).unwrap_err();
    assert_eq!(error.reason_code(), ReasonCode::KeepAliveTimeout);
    // 0x8D is the server's word (table 3-10): a client has none for this.
    assert_eq!(bench.lines(), ["DISCONNECT 0x80"]);
}

#[test]
fn the_servers_keep_alive_overrides_ours() {
    let server = properties([Property::ServerKeepAlive(5)]);
    let mut bench = Bench::connected_to(Options { keep_alive: 60, ..Options::default() }, server);
    assert_eq!(at_its_timeout(&mut bench).0, 5_000);
    let none = properties([Property::ServerKeepAlive(0)]);
    let bench = Bench::connected_to(Options { keep_alive: 60, ..Options::default() }, none);
    assert_eq!(bench.client.poll_timeout(), None, "0 turns it off");
}

#[test]
fn without_keep_alive_there_is_nothing_to_wait_for() {
    assert_eq!(with_keep_alive(0).client.poll_timeout(), None);
}

#[test]
fn disconnect_goes_behind_what_was_to_go_and_nothing_goes_behind_it() {
    let mut bench = Bench::connected(Options::default());
    bench.feed(publish(5, "t", "in", QOS1)).unwrap();
    let token = bench.tokens().remove(0);
    bench.send("before", QOS1);
    bench.client.disconnect(bench.now, &Disconnect::new(ReasonCode::DisconnectWithWillMessage));
    bench.send("after", QOS1);
    bench.publish("after", QOS0).unwrap();
    bench.subscribe(&["after"]).unwrap();
    bench.acknowledge(token);
    bench
        .client
        .authenticate(bench.now, &Auth { reason: ReasonCode::ReAuthenticate, properties: Properties::EMPTY });
    bench.client.disconnect(bench.now, &Disconnect::normal());
    assert_eq!(bench.lines(), ["PUBLISH 1 q1 t=before", "DISCONNECT 0x04"]);
}

#[test]
fn what_comes_behind_our_disconnect_concerns_nobody() {
    let mut bench = Bench::connected(Options::default());
    bench.client.disconnect(bench.now, &Disconnect::normal());
    bench.feed(publish(5, "t", "in", QOS1)).unwrap();
    assert!(bench.happened().is_empty());
}

#[test]
fn a_server_that_does_not_close_after_our_disconnect_is_waited_for_no_longer_than_for_connack() {
    let mut bench = Bench::connected(Options { connack_millis_max: 700, ..Options::default() });
    bench.client.disconnect(bench.now, &Disconnect::normal());
    assert_eq!(bench.client.poll_timeout(), Some(bench.now.plus_millis(700)));
}

#[test]
fn disconnect_on_version_3_says_nothing_but_itself_and_before_connack_there_is_none() {
    let mut bench = Bench::connected(lasting(Version::V311));
    bench.client.disconnect(bench.now, &Disconnect::new(ReasonCode::DisconnectWithWillMessage));
    assert_eq!(bench.lines(), ["DISCONNECT"]);
    let mut bench = Bench::new(Options::default());
    bench.open();
    bench.client.disconnect(bench.now, &Disconnect::normal());
    assert!(bench.sent().is_empty());
}

#[test]
fn the_servers_disconnect_ends_the_connection_with_its_reason() {
    let mut bench = Bench::connected(Options::default());
    bench.feed(Packet::Disconnect(Disconnect::new(ReasonCode::SessionTakenOver))).unwrap();
    assert_eq!(bench.happened(), ["disconnected Session taken over (0x8E)"]);
    assert!(!bench.client.is_connected());
    bench.send("waits", QOS1);
    assert!(bench.sent().is_empty());
}

#[test]
fn a_disconnect_from_a_version_3_server_is_a_protocol_error() {
    let mut bench = Bench::connected(lasting(Version::V311));
    assert!(bench.feed(Packet::Disconnect(Disconnect::normal())).is_err());
    assert!(bench.sent().is_empty(), "3.x has no words for why");
}

#[test]
fn a_closed_client_waits_for_nothing_and_sends_nothing() {
    let mut bench = Bench::connected(Options::default());
    bench.send("x", QOS1);
    bench.client.handle_closed(bench.now);
    assert_eq!(bench.client.poll_timeout(), None);
    assert_eq!(bench.client.outbox_bytes(), 0);
    assert!(bench.sent().is_empty());
    assert!(!bench.client.is_open());
}

#[test]
fn a_late_report_of_what_was_written_to_the_old_transport_does_no_harm() {
    let mut bench = Bench::connected(lasting(Version::V5));
    bench.send("x", QOS1);
    let late = drain(bench.client.poll_transmit()).len();
    bench.client.handle_closed(bench.now);
    bench.client.handle_written(bench.now, late);
    assert_eq!(bench.client.outbox_bytes(), 0);
    bench.open();
    bench.connack(true, Properties::EMPTY).unwrap();
    assert_eq!(bench.client.outbox_bytes(), bench.client.poll_transmit().len());
}
