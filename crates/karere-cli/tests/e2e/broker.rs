//! `karere broker` as whoever runs it sees it.

use std::net::TcpListener;

use crate::harness::{Broker, Finished, Folder, Kind, Running, Scene, Tool, karere};

#[test]
fn it_says_where_it_listens_and_what_to_type() {
    let broker = Broker::start(Kind::Karere);
    let port = broker.port.to_string();
    broker.wait_for_line(&format!("karere: listening on 127.0.0.1:{port}"));
    for verb in ["sub", "pub"] {
        let line = broker.wait_for_line(&format!("karere {verb}"));
        assert!(line.contains(&format!("-p {port}")), "not ready to copy: {line}");
    }
}

#[test]
fn localhost_may_mean_either_family() {
    let broker = Broker::start(Kind::Karere);
    let port = broker.port;
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_ok(), "IPv4");
    if TcpListener::bind(("::1", 0)).is_ok() {
        assert!(std::net::TcpStream::connect(("::1", port)).is_ok(), "IPv6 on the same port");
    }
}

#[test]
fn sigterm_drains_and_ends_with_0() {
    ends_well_after("TERM");
}

#[test]
fn ctrl_c_drains_and_ends_with_0() {
    ends_well_after("INT");
}

fn ends_well_after(signal: &str) {
    let scene = Scene::new(Tool::Mosquitto, Kind::Karere, Tool::Mosquitto);
    let clients =
        ["mqttv311", "mqttv5"].map(|version| scene.subscribe(&format!("-V {version} -t news -q 1")));
    scene.publish("-t news -q 1 -m last");
    scene.broker.signal(signal);
    scene.broker.finish().expect(0);
    clients.iter().for_each(|client| assert_eq!(client.messages(1), ["last"]));
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = taken.local_addr().expect("bound").port().to_string();
    let finished = broker(&["-p", &port]);
    assert!(finished.stderr.contains(&port) && finished.stderr.contains("in use"), "{}", finished.stderr);
    assert_ne!(finished.code, Some(0));
}

#[test]
fn the_world_is_served_only_when_that_is_meant() {
    let finished = broker(&["-p", "0", "--bind", "0.0.0.0"]);
    assert!(finished.stderr.contains("--allow-anonymous"), "{}", finished.stderr);
    assert_ne!(finished.code, Some(0));

    let everybody = ["broker", "-p", "0", "--data", "none", "--bind", "0.0.0.0", "--allow-anonymous"];
    let running = Running::start(karere().args(everybody));
    running.wait_for_line("listening on 0.0.0.0:");
    running.signal("TERM");
    running.finish().expect(0);
}

#[test]
fn data_none_keeps_everything_in_memory_and_says_so() {
    let broker = Broker::karere(&["--data", "none"]);
    broker.wait_for_line("what is acknowledged does not survive the end of the broker");
    let scene = Scene::with(broker, Tool::Mosquitto);
    scene.publish("-t kept -r -m here");
    assert_eq!(scene.receive("-t kept -C 1").expect(0), "here\n");
}

#[test]
fn it_publishes_its_own_state_below_sys() {
    let scene = Scene::new(Tool::Mosquitto, Kind::Karere, Tool::Mosquitto);
    let version = scene.receive("-t $SYS/broker/version -C 1 -W 15").expect(0);
    assert!(version.contains("karere"), "{version}");
    let clients = scene.receive("-t $SYS/broker/clients/connected -C 1 -W 15").expect(0);
    assert!(clients.trim().parse::<u32>().is_ok(), "{clients}");
}

fn broker(arguments: &[&str]) -> Finished {
    let folder = Folder::new();
    let command = ["broker", "--data", "data"];
    Running::start(karere().current_dir(folder.path()).args(command).args(arguments)).finish()
}
