use super::*;

#[test]
fn a_host_alone_has_the_default_port() {
    assert_eq!("localhost".parse(), Ok(Address::tcp("localhost", 1883)));
    assert_eq!("mqtt://localhost".parse(), Ok(Address::tcp("localhost", 1883)));
}

#[test]
fn an_ipv6_address_stands_with_or_without_brackets() {
    assert_eq!("::1".parse(), Ok(Address::tcp("::1", 1883)));
    assert_eq!("[::1]".parse(), Ok(Address::tcp("::1", 1883)));
    assert_eq!("[::1]:99".parse(), Ok(Address::tcp("::1", 99)));
    assert_eq!("mqtt://u@[fe80::1]:99/t".parse(), Ok(Address::tcp("fe80::1", 99)));
}

#[test]
fn what_is_shown_can_be_read_again() {
    for address in [
        Address::tcp("::1", 7),
        Address::tcp("broker.example", 65_535),
        Address::tls("::1", 8883),
        Address::websocket("::1", 8083, "/mqtt"),
        Address::websocket("h", 80, "/a/b?c=d"),
        Address::secure_websocket("h", 443, "/mqtt"),
        Address::unix("/run/karere.sock"),
    ] {
        assert_eq!(address.to_string().parse(), Ok(address));
    }
}

#[test]
fn a_url_gives_user_password_and_topic() {
    let url: Url = "mqtt://a:b:c@h:5/x/y".parse().unwrap();
    assert_eq!(url.username.as_deref(), Some("a"));
    assert_eq!(url.password.as_deref(), Some("b:c"));
    assert_eq!(url.topic.as_deref(), Some("x/y"));
    let plain: Url = "mqtt://h/".parse().unwrap();
    assert_eq!((plain.username, plain.password, plain.topic), (None, None, None));
}

#[test]
fn an_at_sign_in_a_password_needs_no_encoding() {
    let url: Url = "mqtt://a:p@ss@h".parse().unwrap();
    assert_eq!(url.password.as_deref(), Some("p@ss"));
    assert_eq!(url.address, Address::tcp("h", 1883));
}

#[test]
fn what_is_no_address_is_refused_by_name() {
    let refused = |text: &str| text.parse::<Address>().unwrap_err();
    assert_eq!(refused(""), AddressError::NoHost(String::new()));
    assert_eq!(refused(":1883"), AddressError::NoHost(":1883".into()));
    assert_eq!(refused("h:0"), AddressError::Port("0".into()));
    assert_eq!(refused("h:65536"), AddressError::Port("65536".into()));
    assert_eq!(refused("h:"), AddressError::Port(String::new()));
    assert_eq!(refused("[::1"), AddressError::Brackets("[::1".into()));
    assert_eq!(refused("[::1]x"), AddressError::Brackets("[::1]x".into()));
    assert_eq!(refused("unix:"), AddressError::NoPath("unix:".into()));
    assert_eq!(refused("wss://"), AddressError::NoHost(String::new()));
    assert_eq!(refused("http://h"), AddressError::Scheme("http".into()));
    assert_eq!(refused("mqtt://%f@h"), AddressError::Encoding("%f".into()));
    assert_eq!(refused("mqtt://%ff@h"), AddressError::Encoding("%ff".into()));
}

#[test]
fn each_scheme_has_its_port_and_a_websocket_its_path() {
    let parsed = |text: &str| text.parse::<Address>().unwrap();
    assert_eq!(parsed("MQTTS://h"), Address::tls("h", 8883));
    assert_eq!(parsed("ssl://h:1"), Address::tls("h", 1));
    assert_eq!(parsed("ws://h"), Address::websocket("h", 80, "/mqtt"));
    assert_eq!(parsed("ws://h/"), Address::websocket("h", 80, "/mqtt"));
    assert_eq!(parsed("ws://h:8083?token=1"), Address::websocket("h", 8083, "/mqtt?token=1"));
    assert_eq!(parsed("wss://u:p@[::1]/x/y?z"), Address::secure_websocket("::1", 443, "/x/y?z"));
    let url: Url = "wss://u:p@h/x".parse().unwrap();
    assert_eq!((url.username.as_deref(), url.topic), (Some("u"), None));
    let url: Url = "mqtts://h/x?y".parse().unwrap();
    assert_eq!(url.topic.as_deref(), Some("x?y"));
}

#[test]
fn a_unix_socket_is_named_with_or_without_slashes() {
    for text in ["unix:/run/a b.sock", "unix:///run/a b.sock", "unix:/run/a%20b.sock"] {
        assert_eq!(text.parse(), Ok(Address::unix("/run/a b.sock")), "{text}");
    }
    assert_eq!("unix:here.sock".parse(), Ok(Address::unix("here.sock")));
}

#[test]
fn what_moves_keeps_its_scheme_and_path() {
    let moved = Address::secure_websocket("a", 443, "/p").moved(Some("b"), Some(8084));
    assert_eq!(moved, Address::secure_websocket("b", 8084, "/p"));
    assert_eq!(Address::tls("a", 1).moved(None, None), Address::tls("a", 1));
    assert_eq!(Address::unix("/s").moved(Some("b"), Some(1)), Address::unix("/s"));
}

#[test]
fn a_free_port_can_be_asked_for_to_listen_on_only() {
    assert_eq!(Address::to_listen_on("ws://127.0.0.1:0"), Ok(Address::websocket("127.0.0.1", 0, "/mqtt")));
    assert_eq!("ws://127.0.0.1:0".parse::<Address>(), Err(AddressError::Port("0".into())));
}
