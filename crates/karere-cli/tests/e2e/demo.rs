//! `karere demo`: the first command of the README.

use std::net::TcpListener;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::harness::{Running, karere};

#[test]
fn it_shows_readings_and_stops_on_sigterm() {
    shows_readings_and_stops_on("TERM");
}

#[test]
fn it_shows_readings_and_stops_on_ctrl_c() {
    shows_readings_and_stops_on("INT");
}

#[test]
fn it_takes_a_free_port_where_the_usual_one_is_taken() {
    let _alone = alone();
    let _taken = TcpListener::bind(("127.0.0.1", 1883)); // by us, or by somebody already
    let demo = Running::start(karere().arg("demo"));
    let line = demo.wait_for_line("karere: listening on ");
    assert!(!line.ends_with(":1883"), "{line}");
    demo.wait_for_line("from `python/mqtt` topic");
}

#[test]
fn others_can_join_in_with_the_command_it_shows() {
    let _alone = alone();
    let demo = Running::start(karere().arg("demo"));
    let shown = demo.wait_for_line("karere sub");
    let after_port = shown.split(" -p ").nth(1).unwrap_or("1883");
    let port = after_port.split(' ').next().unwrap_or(after_port);
    let arguments = ["sub", "-p", port, "-t", "python/mqtt", "-t", "iot/home2/temp", "-C", "4", "-F", "%t"];
    let topics = Running::start(karere().args(arguments)).finish().expect(0);
    assert!(topics.contains("python/mqtt") && topics.contains("iot/home2/temp"), "{topics}");
}

fn shows_readings_and_stops_on(signal: &str) {
    let _alone = alone();
    let demo = Running::start(karere().arg("demo"));
    demo.wait_for_line("from `python/mqtt` topic");
    let reading = demo.wait_for_line("from `iot/home2/temp` topic");
    let degrees: Option<f64> = reading.split('`').nth(1).and_then(|payload| payload.parse().ok());
    assert!(degrees.is_some_and(|degrees| (25.0..=26.0).contains(&degrees)), "{reading}");
    demo.signal(signal);
    demo.finish().expect(0);
}

/// All of these want port 1883. Under nextest each is a process, and the test group keeps them apart.
fn alone() -> MutexGuard<'static, ()> {
    static PORT: Mutex<()> = Mutex::new(());
    PORT.lock().unwrap_or_else(PoisonError::into_inner)
}
