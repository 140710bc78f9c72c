//! TLS, WebSocket and Unix domain sockets: our tools and broker with mosquitto's, and MQTT.js.

use crate::harness::{Broker, Folder, Kind, Running, Scene, Tool, free_port, mqttjs};

/// What `-d` says of an accepted connection is not asked for: a message that arrives says it all.
const MESSAGE: &str = "-t road/1 -q 1 -m hello";

/// A folder with certificates that vouch for themselves: of a server, of a client, and of somebody else.
struct Certificates(Folder);

impl Certificates {
    fn new() -> Certificates {
        let folder = Folder::new();
        for name in ["server", "client", "stranger"] {
            let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).expect("a certificate");
            folder.file(&format!("{name}.pem"), made.cert.pem());
            folder.file(&format!("{name}.key"), made.signing_key.serialize_pem());
        }
        Certificates(folder)
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().expect("a path of our own").to_owned()
    }

    /// A broker with TLS alone, on a port of its own; with `mutual`, for clients with the client's certificate alone.
    fn broker(&self, kind: Kind, mutual: bool) -> Broker {
        let [cert, key, client] = ["server.pem", "server.key", "client.pem"].map(|name| self.path(name));
        match kind {
            Kind::Karere => {
                let mut arguments = vec!["--listen", "mqtts://127.0.0.1:0", "--cert", &cert, "--key", &key];
                if mutual {
                    arguments.extend(["--cafile", &client, "--require-certificate"]);
                }
                Broker::listening(&arguments)
            }
            Kind::Mosquitto => {
                let mut lines = format!("certfile {cert}\nkeyfile {key}\nallow_anonymous true\nuser root\n");
                if mutual {
                    lines += &format!("cafile {client}\nrequire_certificate true\n");
                }
                Broker::mosquitto(&lines)
            }
        }
    }

    /// What a client that trusts the server says.
    fn trusting(&self) -> String {
        format!("-h localhost --cafile {}", self.path("server.pem"))
    }

    fn coming_as(&self, name: &str) -> String {
        let [cert, key] = ["pem", "key"].map(|end| self.path(&format!("{name}.{end}")));
        format!("{} --cert {cert} --key {key}", self.trusting())
    }
}

/// Every pair of a tool and a broker in which one is ours.
fn pairs() -> [(Tool, Kind); 3] {
    [(Tool::Karere, Kind::Karere), (Tool::Karere, Kind::Mosquitto), (Tool::Mosquitto, Kind::Karere)]
}

/// A message goes over the road that these options name.
#[track_caller]
fn carries(scene: &Scene, options: &str) {
    let subscriber = scene.subscribe(&format!("{options} -t road/# -q 1 -C 1"));
    scene.publish(&format!("{options} {MESSAGE}"));
    assert_eq!(subscriber.all_messages(), ["hello"]);
}

#[test]
fn a_message_goes_over_tls() {
    let certificates = Certificates::new();
    for (tool, kind) in pairs() {
        let scene = Scene::with(certificates.broker(kind, false), tool);
        carries(&scene, &certificates.trusting());
        for version in ["tlsv1.2", "tlsv1.3"] {
            carries(&scene, &format!("{} --tls-version {version}", certificates.trusting()));
        }
    }
}

#[test]
fn a_server_that_is_not_trusted_is_not_told_a_word() {
    let certificates = Certificates::new();
    for (tool, kind) in pairs() {
        let scene = Scene::with(certificates.broker(kind, false), tool);
        let stranger = format!("-h localhost --cafile {}", certificates.path("stranger.pem"));
        assert_ne!(scene.try_publish(&format!("{stranger} {MESSAGE}")).code, Some(0), "{tool:?} {kind:?}");
    }
}

#[test]
fn a_certificate_for_another_host_is_refused_and_taken_with_insecure_and_a_warning() {
    let certificates = Certificates::new();
    for kind in [Kind::Karere, Kind::Mosquitto] {
        let scene = Scene::with(certificates.broker(kind, false), Tool::Karere);
        let by_number = format!("-h 127.0.0.1 --cafile {}", certificates.path("server.pem"));
        let refused = scene.try_publish(&format!("{by_number} {MESSAGE}"));
        assert!(refused.stderr.contains("for another host"), "{}", refused.stderr);
        let taken = scene.try_publish(&format!("{by_number} --insecure {MESSAGE}"));
        assert!(taken.stderr.contains("warning: --insecure"), "{}", taken.stderr);
        taken.expect(0);
    }
}

#[test]
fn a_client_shows_its_certificate_where_one_is_required() {
    let certificates = Certificates::new();
    for (tool, kind) in pairs() {
        let scene = Scene::with(certificates.broker(kind, true), tool);
        carries(&scene, &certificates.coming_as("client"));
        for options in [certificates.trusting(), certificates.coming_as("stranger")] {
            let refused = scene.try_publish(&format!("{options} {MESSAGE}"));
            assert_ne!(refused.code, Some(0), "{tool:?} {kind:?} {options}");
        }
    }
}

#[test]
fn certificates_are_read_anew_on_sighup() {
    let certificates = Certificates::new();
    let scene = Scene::with(certificates.broker(Kind::Karere, false), Tool::Karere);
    carries(&scene, &certificates.trusting());
    for end in ["pem", "key"] {
        let from = certificates.path(&format!("stranger.{end}"));
        std::fs::copy(from, certificates.path(&format!("server.{end}"))).expect("a copy");
    }
    scene.broker.signal("HUP");
    scene.broker.wait_for_complaint("were read anew");
    carries(&scene, &certificates.trusting());
}

#[test]
fn a_message_goes_over_a_unix_socket() {
    let folder = Folder::new();
    let path = folder.path().join("broker.sock").to_str().expect("a path").to_owned();
    for (tool, kind) in pairs() {
        let broker = match kind {
            Kind::Karere => Broker::listening(&["--listen", &format!("unix:{path}")]),
            Kind::Mosquitto => {
                Broker::mosquitto(&format!("allow_anonymous true\nuser root\nlistener 0 {path}\n"))
            }
        };
        let scene = Scene::without_port(broker, tool);
        carries(&scene, &format!("--unix {path}"));
        if tool == Tool::Karere {
            carries(&scene, &format!("-L unix:{path}"));
        }
    }
}

#[test]
fn our_tools_go_over_websocket_to_either_broker() {
    let certificates = Certificates::new();
    let [cert, key] = ["server.pem", "server.key"].map(|name| certificates.path(name));
    let port = free_port();
    let mosquitto = Broker::mosquitto(&format!(
        "allow_anonymous true\nuser root\nlistener {port} 127.0.0.1\nsocket_domain ipv4\nprotocol websockets\n"
    ));
    // It opens the one for WebSocket last.
    mosquitto.wait_for_complaint(" running");
    carries(&Scene::without_port(mosquitto, Tool::Karere), &format!("--ws -p {port}"));
    let ours = Broker::listening(&[
        "--listen",
        "ws://127.0.0.1:0",
        "--listen",
        "wss://127.0.0.1:0/other",
        "--cert",
        &cert,
        "--key",
        &key,
    ]);
    let [plain, secure] = ["ws", "wss"].map(|scheme| ours.url(scheme));
    let scene = Scene::without_port(ours, Tool::Karere);
    carries(&scene, &format!("-L {plain}"));
    carries(&scene, &format!("-L {secure} {}", certificates.trusting()));
    let wrong = scene.try_publish(&format!("-L {plain} --ws-path /elsewhere {MESSAGE}"));
    assert!(wrong.stderr.contains("answers 404"), "{}", wrong.stderr);
}

#[test]
fn mqttjs_goes_every_road_to_our_broker() {
    let certificates = Certificates::new();
    let [cert, key] = ["server.pem", "server.key"].map(|name| certificates.path(name));
    let mut arguments: Vec<String> = ["--cert", &cert, "--key", &key].map(str::to_owned).into();
    for scheme in ["ws", "wss", "mqtts"] {
        arguments.extend(["--listen".to_owned(), format!("{scheme}://127.0.0.1:0")]);
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let broker = Broker::listening(&arguments);
    for scheme in ["ws", "wss", "mqtts"] {
        for version in ["5", "4"] {
            let url = broker.url(scheme).replace("127.0.0.1", "localhost");
            let printed = Running::start(mqttjs("roads.js").args([&url, version, &cert])).finish().expect(0);
            assert_eq!(printed, "5 hello\n300000 xxxxx\n", "{url}");
        }
    }
}
