//! Attaching and detaching, takeover, Will, session expiry, keep alive.

use super::*;
use crate::codec::Disconnect;

fn goodbye(reason: ReasonCode, expiry: Option<u32>) -> Packet {
    let properties = expiry.map(|seconds| properties([Property::SessionExpiryInterval(seconds)]));
    Packet::Disconnect(Disconnect { reason, properties: properties.unwrap_or_default() })
}

#[test]
fn the_first_connection_finds_no_session_and_the_next_one_does() {
    for (version, present) in
        [(Version::V31, "CONNACK"), (Version::V311, "CONNACK present"), (Version::V5, "CONNACK present")]
    {
        let mut bench = Bench::new(Options::default());
        bench.attach(lasting(version));
        assert_eq!(bench.lines(), ["CONNACK"]);
        bench.reattach(lasting(version));
        assert_eq!(bench.lines(), [present]);
        assert_eq!(bench.slot.epoch(), 2);
    }
}

#[test]
fn connack_goes_before_what_waits() {
    let mut bench = Bench::attached(lasting(Version::V5));
    bench.slot.handle_closed(bench.now);
    bench.give("x", QOS1);
    bench.attach(lasting(Version::V5));
    assert_eq!(bench.lines(), ["CONNACK present", "PUBLISH 1 q1 t=x"]);
}

#[test]
fn a_connack_that_is_too_large_goes_without_what_it_can_do_without() {
    let mut bench = Bench::new(Options::default());
    let mut handshake = Handshake::new(bench.now, bench.options.clone());
    let connect = saying([Property::MaximumPacketSize(60)]);
    let mut input = encode(Version::V5, &[Packet::Connect(connect.into())]);
    handshake.handle_input(bench.now, &mut input).unwrap();
    let long = "because ".repeat(20);
    let extra = properties([Property::UserProperty("k", "v"), Property::ReasonString(&long)]);
    let accepted = handshake.accept(bench.now, Some(text("auto")), &extra, 1).unwrap();
    bench.slot.attach(bench.now, accepted);
    let sent = bench.sent();
    let [Packet::ConnAck(connack)] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!(connack.properties.reason_string(), None, "[MQTT-3.2.2-19]");
    assert_eq!(connack.properties.user_properties().count(), 0, "[MQTT-3.2.2-20]");
    assert_eq!(connack.properties.assigned_client_identifier(), Some("auto"));
}

#[test]
fn a_session_without_expiry_ends_with_its_connection() {
    for version in [Version::V311, Version::V5] {
        let mut bench = Bench::attached(passing(version));
        bench.slot.handle_closed(bench.now);
        assert_eq!(bench.happened(), ["expired"]);
        assert_eq!(bench.give("x", QOS1), Delivered::Absent);
    }
}

#[test]
fn a_session_expires_when_its_time_has_passed_without_a_connection() {
    let mut bench = Bench::attached(lasting(Version::V5));
    assert_eq!(bench.slot.poll_timeout(), None, "not while it is attached");
    bench.slot.handle_closed(bench.now);
    assert_eq!(bench.slot.poll_timeout(), Some(bench.now.plus_seconds(3600)));
    bench.time_passes(3599).unwrap();
    assert!(bench.happened().is_empty());
    bench.time_passes(1).unwrap();
    assert_eq!(bench.happened(), ["expired"]);
    assert_eq!(bench.slot.poll_timeout(), None);
}

#[test]
fn a_client_that_comes_back_stops_the_clock() {
    let mut bench = Bench::attached(lasting(Version::V5));
    bench.slot.handle_closed(bench.now);
    bench.after_seconds(3599).attach(lasting(Version::V5));
    bench.time_passes(10_000).unwrap();
    assert!(bench.happened().is_empty());
}

#[test]
fn a_session_that_never_expires_waits_for_nothing() {
    for connect in [lasting(Version::V311), saying([])] {
        let connect = match connect.version.is_v5() {
            true => {
                Connect { properties: properties([Property::SessionExpiryInterval(u32::MAX)]), ..connect }
            }
            false => connect,
        };
        let mut bench = Bench::attached(connect);
        bench.slot.handle_closed(bench.now);
        assert_eq!(bench.slot.poll_timeout(), None);
    }
}

#[test]
fn disconnect_may_change_the_session_expiry_but_not_raise_it_from_0() {
    let mut bench = Bench::attached(lasting(Version::V5));
    bench.feed(goodbye(ReasonCode::Success, Some(5))).unwrap();
    bench.slot.handle_closed(bench.now);
    assert_eq!(bench.slot.poll_timeout(), Some(bench.now.plus_seconds(5)));
    let mut bench = Bench::attached(lasting(Version::V5));
    bench.feed(goodbye(ReasonCode::Success, Some(0))).unwrap();
    bench.slot.handle_closed(bench.now);
    assert_eq!(bench.happened(), ["disconnected Success (0x00)", "expired"]);
    let mut bench = Bench::attached(with_will(passing(Version::V5), 0));
    assert!(bench.feed(goodbye(ReasonCode::Success, Some(5))).is_err());
    assert_eq!(bench.lines(), ["DISCONNECT 0x82"]);
    bench.slot.handle_closed(bench.now);
    assert_eq!(bench.happened(), ["will w=gone", "expired"], "that was no normal end");
}

#[test]
fn a_session_expiry_that_the_broker_has_lowered_to_0_is_not_raised_from_0_by_the_client() {
    let options = Options { session_expiry_max: 0, ..Options::default() };
    let mut bench = Bench::attached_with(options, lasting(Version::V5));
    bench.feed(goodbye(ReasonCode::Success, Some(5))).unwrap();
    assert_eq!(bench.slot.session_expiry(), 0);
}

#[test]
fn the_will_is_sent_when_the_connection_is_lost_and_not_after_a_normal_disconnect() {
    for version in [Version::V311, Version::V5] {
        let mut bench = Bench::attached(with_will(passing(version), 0));
        bench.slot.handle_closed(bench.now);
        assert_eq!(bench.happened(), ["will w=gone", "expired"]);
        let mut bench = Bench::attached(with_will(passing(version), 0));
        bench.feed(goodbye(ReasonCode::Success, None)).unwrap();
        bench.slot.handle_closed(bench.now);
        assert_eq!(bench.happened(), ["disconnected Success (0x00)", "expired"]);
    }
}

#[test]
fn disconnect_with_will_message_sends_it() {
    let mut bench = Bench::attached(with_will(passing(Version::V5), 0));
    bench.feed(goodbye(ReasonCode::DisconnectWithWillMessage, None)).unwrap();
    bench.slot.handle_closed(bench.now);
    assert_eq!(bench.happened()[1..], ["will w=gone", "expired"]);
}

#[test]
fn a_protocol_error_or_our_own_disconnect_sends_the_will() {
    let mut bench = Bench::attached(with_will(passing(Version::V5), 0));
    bench.feed(Packet::PingResp).unwrap_err();
    bench.slot.handle_closed(bench.now);
    assert_eq!(bench.happened(), ["will w=gone", "expired"]);
    let mut bench = Bench::attached(with_will(passing(Version::V5), 0));
    bench.slot.disconnect(bench.now, ReasonCode::ServerShuttingDown);
    bench.slot.handle_closed(bench.now);
    assert_eq!(bench.happened(), ["will w=gone", "expired"]);
}

#[test]
fn a_delayed_will_waits_and_a_client_that_comes_back_cancels_it() {
    let mut bench = Bench::attached(with_will(lasting(Version::V5), 10));
    bench.slot.handle_closed(bench.now);
    assert_eq!(bench.slot.poll_timeout(), Some(bench.now.plus_seconds(10)));
    bench.time_passes(9).unwrap();
    assert!(bench.happened().is_empty());
    bench.attach(lasting(Version::V5));
    bench.time_passes(100).unwrap();
    assert!(bench.happened().is_empty(), "[MQTT-3.1.3-9]");

    let mut bench = Bench::attached(with_will(lasting(Version::V5), 10));
    bench.slot.handle_closed(bench.now);
    bench.time_passes(10).unwrap();
    assert_eq!(bench.happened(), ["will w=gone"]);
    bench.time_passes(3590).unwrap();
    assert_eq!(bench.happened(), ["expired"], "once");
}

#[test]
fn a_session_that_ends_before_the_wills_delay_sends_it_then() {
    let mut bench = Bench::attached(with_will(lasting(Version::V5), 10_000));
    bench.slot.handle_closed(bench.now);
    bench.time_passes(3600).unwrap();
    assert_eq!(bench.happened(), ["will w=gone", "expired"]);
    let mut bench = Bench::attached(with_will(passing(Version::V5), 10));
    bench.slot.handle_closed(bench.now);
    assert_eq!(bench.happened(), ["will w=gone", "expired"], "at once");
    let mut bench = Bench::attached(with_will(lasting(Version::V5), 10));
    bench.slot.handle_closed(bench.now);
    let ending = bench.slot.end(bench.now);
    assert_eq!(ending.will, Some(message("w", "gone", QOS1)), "discarded by a Clean Start");
}

#[test]
fn a_takeover_tells_the_old_connection_and_sends_its_will() {
    for (version, told) in [(Version::V311, &[][..]), (Version::V5, &["DISCONNECT 0x8E"][..])] {
        let mut bench = Bench::attached(with_will(lasting(version), 0));
        let mut last = bench.slot.take_over(bench.now).unwrap();
        assert_eq!(show_all(&decode(version, drain(&mut last))), told);
        assert_eq!(bench.happened(), ["will w=gone"], "[MQTT-3.1.4-3]");
        assert!(!bench.slot.is_attached());
        bench.attach(lasting(version));
        assert_eq!(bench.lines(), ["CONNACK present"]);
    }
}

#[test]
fn a_takeover_cancels_a_delayed_will_and_gives_no_expiry() {
    let mut bench = Bench::attached(with_will(lasting(Version::V5), 10));
    bench.slot.take_over(bench.now).unwrap();
    bench.attach(lasting(Version::V5));
    bench.time_passes(100).unwrap();
    assert!(bench.happened().is_empty());
    let mut bench = Bench::attached(passing(Version::V5));
    bench.slot.take_over(bench.now).unwrap();
    assert!(bench.happened().is_empty());
    assert!(bench.slot.take_over(bench.now).is_none(), "nobody is there any more");
}

#[test]
fn a_takeover_gives_the_bytes_that_were_still_to_go_before_the_disconnect() {
    let mut bench = Bench::attached(lasting(Version::V5));
    bench.give("x", QOS0);
    let mut last = bench.slot.take_over(bench.now).unwrap();
    assert_eq!(show_all(&decode(Version::V5, drain(&mut last))), ["PUBLISH q0 t=x", "DISCONNECT 0x8E"]);
}

#[test]
fn one_and_a_half_keep_alives_of_silence_end_the_connection() {
    for (version, told) in [(Version::V311, &[][..]), (Version::V5, &["DISCONNECT 0x8D"][..])] {
        let mut bench = Bench::attached(Connect { keep_alive: 10, ..lasting(version) });
        assert_eq!(bench.slot.poll_timeout(), Some(bench.now.plus_seconds(15)));
        bench.time_passes(14).unwrap();
        bench.feed(Packet::PingReq).unwrap();
        assert_eq!(bench.lines(), ["PINGRESP"]);
        bench.time_passes(14).unwrap();
        let error = bench.time_passes(1).unwrap_err();
        assert_eq!(error.reason_code(), ReasonCode::KeepAliveTimeout, "[MQTT-3.1.2-22]");
        assert_eq!(bench.lines(), told);
        assert_eq!(bench.slot.poll_timeout(), None, "said once: nothing to wake up for");
        bench.slot.handle_timeout(bench.now).unwrap();
    }
}

#[test]
fn a_silence_that_the_host_has_made_is_not_the_clients() {
    let mut bench = Bench::attached(Connect { keep_alive: 10, ..lasting(Version::V5) });
    bench.after_seconds(20);
    bench.slot.handle_unread(bench.now);
    bench.slot.handle_timeout(bench.now).unwrap();
    bench.time_passes(14).unwrap();
    assert!(bench.time_passes(1).is_err(), "from then on it is");
}

#[test]
fn what_we_send_is_no_sign_of_life_of_the_client() {
    let mut bench = Bench::attached(Connect { keep_alive: 10, ..lasting(Version::V5) });
    bench.after_seconds(14).give("x", QOS0);
    bench.sent();
    assert!(bench.time_passes(1).is_err());
}

#[test]
fn keep_alive_0_is_none_and_the_brokers_own_maximum_overrides_it() {
    assert_eq!(Bench::attached(passing(Version::V5)).slot.poll_timeout(), None);
    let options = Options { keep_alive_max: 20, ..Options::default() };
    let mut bench = Bench::new(options);
    bench.attach(Connect { keep_alive: 100, ..passing(Version::V5) });
    let sent = bench.sent();
    let [Packet::ConnAck(connack)] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!(connack.properties.server_keep_alive(), Some(20));
    assert_eq!(bench.slot.poll_timeout(), Some(bench.now.plus_seconds(30)));
}

#[test]
fn a_version_3_client_that_cannot_be_told_of_the_brokers_maximum_keeps_its_own_keep_alive() {
    for (asked, due) in [(100, Some(150)), (0, None)] {
        let mut bench = Bench::new(Options { keep_alive_max: 20, ..Options::default() });
        bench.attach(Connect { keep_alive: asked, ..passing(Version::V311) });
        assert_eq!(bench.slot.poll_timeout(), due.map(|seconds| bench.now.plus_seconds(seconds)));
    }
}

#[test]
fn nothing_is_delivered_after_the_end_and_what_is_left_is_given_back() {
    let mut bench = Bench::attached(with_will(lasting(Version::V5), 50));
    let subscribe = subscribe(1, &[("a", QOS1), ("b/#", QOS2)]);
    bench.feed(subscribe).unwrap();
    let Some(Event::Subscribe(asked)) = bench.slot.poll_event() else { panic!() };
    let reasons = [ReasonCode::GrantedQoS1, ReasonCode::QuotaExceeded];
    bench.slot.handle_subscribed(bench.now, 1, &asked, &reasons, [], &mut bench.scratch);
    bench.slot.handle_closed(bench.now);
    bench.give("x", QOS1);
    let ending = bench.slot.end(bench.now);
    assert!(bench.slot.is_ended());
    assert_eq!(ending.filters, [TopicFilter::new("a").unwrap()]);
    assert!(ending.will.is_some());
    for qos in [QOS0, QOS1] {
        assert_eq!(bench.give("x", qos), Delivered::Ended);
    }
    assert_eq!((bench.slot.queued(), bench.slot.inflight()), (0, 0));
    bench.time_passes(10_000).unwrap();
    assert!(bench.happened().is_empty());
}

#[test]
fn an_end_gives_back_what_its_host_has_not_asked_for() {
    let mut bench = Bench::attached(with_will(lasting(Version::V5), 0));
    bench.slot.take_over(bench.now).unwrap();
    assert!(bench.slot.end(bench.now).will.is_some(), "it was an event that nobody took");
}

#[test]
fn nothing_goes_behind_our_own_disconnect() {
    let mut bench = Bench::attached(lasting(Version::V5));
    bench.feed(publish(1, "t", "x", QOS1)).unwrap();
    let token = bench.tokens().remove(0);
    bench.slot.disconnect(bench.now, ReasonCode::AdministrativeAction);
    bench.routed(token, ReasonCode::Success);
    bench.give("x", QOS0);
    assert_eq!(bench.give("x", QOS1), Delivered::Taken, "for the next connection");
    bench.slot.disconnect(bench.now, ReasonCode::ServerBusy);
    assert_eq!(bench.lines(), ["DISCONNECT 0x98"], "[MQTT-3.14.4-1]");
}

#[test]
fn a_late_report_of_what_was_written_to_the_old_transport_does_no_harm() {
    let mut bench = Bench::attached(lasting(Version::V5));
    bench.give("long ago", QOS0);
    bench.reattach(lasting(Version::V5));
    bench.slot.handle_written(bench.now, 10_000);
    bench.give("x", QOS0);
    assert!(bench.slot.outbox_bytes() < 100);
}
