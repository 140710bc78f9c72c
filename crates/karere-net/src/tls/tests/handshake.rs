use rcgen::{CertificateRevocationListParams, KeyIdMethod, RevokedCertParams, SerialNumber, date_time_ymd};

use super::*;

fn authority() -> Authority {
    let authority = Authority::new("an authority");
    authority.sign("server", &["localhost"]);
    authority
}

#[test]
fn both_versions_carry_bytes_in_both_directions() {
    let authority = authority();
    for versions in [Versions::All, Versions::Tls12, Versions::Tls13] {
        let client = ClientOptions { versions, ..authority.client() };
        let mut pair = Pair::new(&client, &authority.server("server"));
        pair.client.encode(&[IoSlice::new(b"CON"), IoSlice::new(b"NECT")]); // before the handshake
        assert_eq!(pair.run(), (Ok(()), Ok(())), "{versions:?}");
        assert!(pair.client.is_open() && pair.server.is_open());
        assert_eq!(pair.at_server, "CONNECT");
        let large: Vec<u8> = (0..200_000_u32).map(|index| index as u8).collect();
        pair.server.encode(&[IoSlice::new(&large)]);
        assert_eq!(pair.run(), (Ok(()), Ok(())));
        assert_eq!(pair.at_client, large);
    }
}

#[test]
fn records_may_be_split_anywhere() {
    let authority = authority();
    let (client, server) = (authority.client().load().unwrap(), authority.server("server"));
    let server = Server::load(&server).unwrap();
    for size in (1..40).chain([100, 999, 5000]) {
        let mut pair = Pair::of(&client, &server);
        pair.client.encode(&[IoSlice::new(&[7; 20_000])]);
        assert_eq!(pair.run_in_pieces(size), (Ok(()), Ok(())), "in pieces of {size}");
        assert_eq!(pair.at_server, vec![7; 20_000]);
    }
}

#[test]
fn parts_given_together_share_a_record() {
    let authority = authority();
    let mut pair = Pair::new(&authority.client(), &authority.server("server"));
    pair.run().0.unwrap();
    pair.client.encode(&[IoSlice::new(&[1; 10]); 100]);
    assert!(pair.client.poll_transmit().len() < 1000 + 50, "{}", pair.client.poll_transmit().len());
}

#[test]
fn a_server_of_another_authority_or_another_name_is_refused_with_words_that_help() {
    let (authority, other) = (authority(), authority());
    authority.sign("elsewhere", &["elsewhere.example"]);
    let unknown = Pair::new(&other.client(), &authority.server("server")).run().0.unwrap_err();
    assert!(unknown.contains("not trusted here"), "{unknown}");
    let wrong = Pair::new(&authority.client(), &authority.server("elsewhere")).run().0.unwrap_err();
    assert!(wrong.contains("for another host") && wrong.contains("elsewhere.example"), "{wrong}");
}

#[test]
fn an_authority_that_shows_its_own_certificate_is_refused_with_the_remedy() {
    let authority = authority();
    let mut params = authority.sign("both", &["localhost"]);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.sign_params("both", &params);
    let error = Pair::new(&authority.client(), &authority.server("both")).run().0.unwrap_err();
    assert!(error.contains("CA:FALSE"), "{error}");
}

#[test]
fn any_host_is_accepted_when_asked_for_but_not_any_authority() {
    let (authority, namesake, other) = (authority(), authority(), Authority::new("another authority"));
    authority.sign("elsewhere", &["elsewhere.example"]);
    for versions in [Versions::Tls12, Versions::Tls13] {
        let any_host =
            |authority: &Authority| ClientOptions { accept_any_host: true, versions, ..authority.client() };
        assert_eq!(Pair::new(&any_host(&authority), &authority.server("elsewhere")).run(), (Ok(()), Ok(())));
        for authorities in [&namesake, &other] {
            Pair::new(&any_host(authorities), &authority.server("elsewhere")).run().0.unwrap_err();
        }
    }
}

#[test]
fn the_name_asked_for_may_be_another_than_the_hosts() {
    let authority = authority();
    authority.sign("elsewhere", &["elsewhere.example"]);
    let client = ClientOptions { server_name: Some("elsewhere.example".into()), ..authority.client() };
    assert_eq!(Pair::new(&client, &authority.server("elsewhere")).run(), (Ok(()), Ok(())));
}

#[test]
fn an_expired_certificate_is_refused() {
    let authority = authority();
    let mut params = authority.sign("old", &["localhost"]);
    params.not_before = date_time_ymd(2001, 1, 1);
    params.not_after = date_time_ymd(2002, 1, 1);
    authority.sign_params("old", &params);
    let error = Pair::new(&authority.client(), &authority.server("old")).run().0.unwrap_err();
    assert!(error.contains("has expired"), "{error}");
}

#[test]
fn a_client_certificate_is_wanted_or_required_as_the_server_says() {
    use ClientCertificates::{Ignored, Optional, Required};
    let (authority, other) = (authority(), authority());
    authority.sign("client", &[]);
    other.sign("stranger", &[]);
    let nobody = authority.client();
    let known = ClientOptions {
        certificate: Some(authority.path("client.pem")),
        key: Some(authority.path("client.key")),
        ..authority.client()
    };
    let stranger = ClientOptions {
        certificate: Some(other.path("stranger.pem")),
        key: Some(other.path("stranger.key")),
        ..authority.client()
    };
    for (client, wanted, is_let_in) in [
        (&nobody, Ignored, true),
        (&stranger, Ignored, true),
        (&nobody, Optional, true),
        (&known, Optional, true),
        (&stranger, Optional, false),
        (&nobody, Required, false),
        (&known, Required, true),
        (&stranger, Required, false),
    ] {
        for versions in [Versions::Tls12, Versions::Tls13] {
            let server = authority.server("server").clients(wanted, authority.path("ca.pem"));
            let mut pair = Pair::new(&ClientOptions { versions, ..client.clone() }, &server);
            let (_, at_server) = pair.run();
            assert_eq!(at_server.is_ok(), is_let_in, "{wanted:?} {client:?}: {at_server:?}");
            let shown = pair.server.peer_certificates().count();
            assert_eq!(shown, usize::from(is_let_in && wanted != Ignored && client == &known));
        }
    }
}

#[test]
fn a_revoked_client_certificate_is_refused() {
    let authority = authority();
    let mut params = authority.sign("client", &[]);
    params.serial_number = Some(SerialNumber::from(7));
    authority.sign_params("client", &params);
    let revoked = RevokedCertParams {
        serial_number: SerialNumber::from(7),
        revocation_time: date_time_ymd(2020, 1, 1),
        reason_code: None,
        invalidity_date: None,
    };
    let list = CertificateRevocationListParams {
        this_update: date_time_ymd(2020, 1, 1),
        next_update: date_time_ymd(4000, 1, 1),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: vec![revoked],
        key_identifier_method: KeyIdMethod::Sha256,
    };
    let list = list.signed_by(&authority.issuer).unwrap();
    let path = authority.write("crl.pem", &list.pem().unwrap());
    let client = ClientOptions {
        certificate: Some(authority.path("client.pem")),
        key: Some(authority.path("client.key")),
        ..authority.client()
    };
    let server = authority.server("server").clients(ClientCertificates::Required, authority.path("ca.pem"));
    assert_eq!(Pair::new(&client, &server).run().1, Ok(()));
    let server = ServerOptions { revoked: Some(path), ..server };
    let error = Pair::new(&client, &server).run().1.unwrap_err();
    assert!(error.contains("was revoked"), "{error}");
}

#[test]
fn a_reload_replaces_what_was_shown_and_what_was_trusted() {
    let (authority, other) = (authority(), authority());
    authority.sign("client", &[]);
    let client = ClientOptions {
        certificate: Some(authority.path("client.pem")),
        key: Some(authority.path("client.key")),
        ..authority.client()
    };
    let client = client.load().unwrap();
    let options = |clients: &Authority| {
        authority.server("server").clients(ClientCertificates::Required, clients.path("ca.pem"))
    };
    let server = Server::load(&options(&authority)).unwrap();
    // Twice: the second time the session could be resumed.
    for _ in 0..2 {
        assert_eq!(Pair::of(&client, &server).run(), (Ok(()), Ok(())));
    }
    server.reload(&options(&other)).unwrap();
    let refused = Pair::of(&client, &server).run().1.unwrap_err();
    assert!(refused.contains("not trusted here"), "{refused}");
    let missing = authority.server("nobody");
    server.reload(&missing).unwrap_err();
    assert_eq!(Pair::of(&client, &server).run().1.unwrap_err(), refused, "a failed reload changes nothing");
}

#[test]
fn a_protocol_is_agreed_on_where_both_name_one() {
    let authority = authority();
    let client = ClientOptions { alpn: vec!["x-amzn-mqtt-ca".into(), "mqtt".into()], ..authority.client() };
    let server = ServerOptions { alpn: vec!["mqtt".into()], ..authority.server("server") };
    let mut pair = Pair::new(&client, &server);
    pair.run().0.unwrap();
    assert_eq!(pair.client.alpn_protocol(), Some(&b"mqtt"[..]));
    assert_eq!(Pair::new(&client, &authority.server("server")).run(), (Ok(()), Ok(())));
    let other = ServerOptions { alpn: vec!["http/1.1".into()], ..authority.server("server") };
    let error = Pair::new(&client, &other).run().0.unwrap_err();
    assert!(error.contains("ALPN"), "{error}");
}

#[test]
fn what_is_no_tls_is_refused_and_told_so() {
    let authority = authority();
    let mut server = Server::load(&authority.server("server")).unwrap().filter().unwrap();
    let mut input = BytesMut::from(&b"\x10\x0c\0\x04MQTT\x04\x02\0\x3c\0\0"[..]);
    let error = server.handle_input(&mut input, &mut BytesMut::new()).unwrap_err();
    assert!(error.to_string().contains("does not speak TLS"), "{error}");
    assert!(server.is_closed() && server.wants_write(), "an alert is to be sent");
}

#[test]
fn what_came_before_a_fault_is_not_lost() {
    let authority = authority();
    let mut pair = Pair::new(&authority.client(), &authority.server("server"));
    pair.run().0.unwrap();
    pair.client.encode(&[IoSlice::new(b"before")]);
    let mut input = std::mem::take(pair.client.poll_transmit());
    input.extend_from_slice(b"\x17\x03\x03\x00\x13no record of anybody");
    pair.server.handle_input(&mut input, &mut pair.at_server).unwrap_err();
    assert_eq!(pair.at_server, "before");
}

#[test]
fn an_endless_handshake_takes_bounded_memory() {
    let authority = authority();
    let mut server = Server::load(&authority.server("server")).unwrap().filter().unwrap();
    // Handshake records of the largest size, of a message that never ends.
    let record = [&[0x16, 3, 1, 0x3f, 0xff, 1, 0xff, 0xff, 0xff][..], &[0; 0x3fff - 4]].concat();
    let result = (0..100)
        .try_for_each(|_| server.handle_input(&mut BytesMut::from(&record[..]), &mut BytesMut::new()));
    assert!(result.is_err());
}

#[test]
fn a_close_is_heard_and_what_came_before_it_too() {
    let authority = authority();
    let mut pair = Pair::new(&authority.client(), &authority.server("server"));
    pair.run().0.unwrap();
    pair.client.encode(&[IoSlice::new(b"DISCONNECT")]);
    pair.client.close();
    assert_eq!(pair.run(), (Ok(()), Ok(())));
    assert_eq!(pair.at_server, "DISCONNECT");
    assert!(pair.server.is_closed());
}

#[test]
fn secrets_are_written_where_they_were_asked_for() {
    let authority = authority();
    let path = authority.path("keys.log");
    let client = ClientOptions { key_log: Some(path.clone()), ..authority.client() };
    Pair::new(&client, &authority.server("server")).run().0.unwrap();
    let log = std::fs::read_to_string(&path).unwrap();
    assert!(log.lines().any(|line| line.starts_with("CLIENT_TRAFFIC_SECRET_0 ")), "{log}");
}
