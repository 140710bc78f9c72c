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
    for address in [Address::tcp("::1", 7), Address::tcp("broker.example", 65_535)] {
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
    assert_eq!(refused("mqtts://h"), AddressError::NotYet("mqtts".into()));
    assert_eq!(refused("http://h"), AddressError::Scheme("http".into()));
    assert_eq!(refused("mqtt://%f@h"), AddressError::Encoding("%f".into()));
    assert_eq!(refused("mqtt://%ff@h"), AddressError::Encoding("%ff".into()));
}
