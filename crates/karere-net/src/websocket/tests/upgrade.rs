use super::*;

const REQUEST: &str = "GET /mqtt HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Protocol: mqtt\r\n\r\n";
/// What RFC 6455 (section 1.3) answers to the key above.
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

fn ask(options: ServerOptions, request: &str) -> (String, Result<(), Error>) {
    let mut server = Filter::server(options);
    let result = server.handle_input(&mut BytesMut::from(request), &mut BytesMut::new());
    assert_eq!(server.is_open(), result.is_ok());
    assert_eq!(server.is_closed(), result.is_err());
    (String::from_utf8(transmit(&mut server).to_vec()).unwrap(), result)
}

/// What a client with the key of [`REQUEST`] says to `answer`.
fn answered(answer: &str) -> Result<(), Error> {
    let options = ClientOptions::new("h").header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
    let mut client = Filter::client(&options).unwrap();
    transmit(&mut client);
    let result = client.handle_input(&mut BytesMut::from(answer), &mut BytesMut::new());
    assert_eq!(client.is_closed(), result.is_err());
    result
}

fn good_answer() -> String {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: WebSocket\r\n\
         Sec-WebSocket-Accept: {ACCEPT}\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"
    )
}

#[test]
fn a_client_asks_for_mqtt_at_its_path_and_host_with_the_headers_it_was_given() {
    let options =
        ClientOptions::new("[::1]:9001").path("/a?b=c").header("X-Token", "t").header("Host", "other");
    let mut client = Filter::client(&options).unwrap();
    let request = String::from_utf8(transmit(&mut client).to_vec()).unwrap();
    assert!(request.starts_with("GET /a?b=c HTTP/1.1\r\n"), "{request}");
    for line in ["Host: other", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"] {
        assert!(request.contains(&format!("\r\n{line}\r\n")), "{line} is not in {request}");
    }
    assert!(request.contains("\r\nSec-WebSocket-Protocol: mqtt\r\n"), "{request}");
    assert!(request.contains("\r\nx-token: t\r\n"), "{request}");
    assert!(request.ends_with("\r\n\r\n"));
}

#[test]
fn a_header_or_path_that_would_smuggle_another_line_in_is_refused() {
    for options in [
        ClientOptions::new("h\r\nX: y"),
        ClientOptions::new("h").header("X", "a\nb"),
        ClientOptions::new("h").header("X: y\r\nZ", "a"),
        ClientOptions::new("h").path("/a b"),
        ClientOptions::new("h").path("/a\r\nX: y"),
        ClientOptions::new("h").path("http://other/"),
        ClientOptions::new("h").path(""),
    ] {
        assert!(matches!(Filter::client(&options), Err(Error::Option(_))), "{options:?}");
    }
}

#[test]
fn a_server_answers_with_the_key_and_the_sub_protocol_of_the_standard() {
    let (answer, result) = ask(ServerOptions::default(), REQUEST);
    assert_eq!(result, Ok(()));
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    let answer = answer.to_ascii_lowercase();
    assert!(answer.contains(&format!("\r\nsec-websocket-accept: {}\r\n", ACCEPT.to_ascii_lowercase())));
    assert!(answer.contains("\r\nsec-websocket-protocol: mqtt\r\n"), "{answer}");
}

#[test]
fn of_several_sub_protocols_mqtt_is_chosen_and_else_its_old_name() {
    for (offered, chosen) in [("chat, mqtt", "mqtt"), ("mqttv3.1,mqtt", "mqtt"), ("mqttv3.1", "mqttv3.1")] {
        let request = REQUEST.replace("Protocol: mqtt", &format!("Protocol: {offered}"));
        let (answer, _) = ask(ServerOptions::default(), &request);
        assert!(answer.to_ascii_lowercase().contains(&format!("protocol: {chosen}\r\n")), "{answer}");
    }
}

#[test]
fn a_server_refuses_what_is_not_for_it_and_says_why() {
    let origins = Some(vec!["https://good.example".to_owned()]);
    let with_origin = |origin: &str| REQUEST.replace("Host: h", &format!("Host: h\r\nOrigin: {origin}"));
    let only = || ServerOptions::default().origins(origins.clone());
    let usual = ServerOptions::default;
    let long = format!("GET /{} HTTP/1.1\r\n", "x".repeat(HEAD_BYTES_MAX));
    for (options, request, status) in [
        (usual(), REQUEST.replace("/mqtt", "/other"), 404),
        (usual(), REQUEST.replace("GET", "POST"), 405),
        (usual(), REQUEST.replace("Upgrade: websocket\r\n", ""), 426),
        (usual(), REQUEST.replace("Version: 13", "Version: 8"), 426),
        (usual(), REQUEST.replace("Protocol: mqtt", "Protocol: chat"), 400),
        (usual(), REQUEST.replace("Sec-WebSocket-Protocol: mqtt\r\n", ""), 400),
        (usual(), REQUEST.replace("dGhl", "!!!!"), 400),
        (usual(), long, 431),
        (usual(), "\x10\x0c\0\x04MQTT".to_owned(), 400),
        (only(), with_origin("https://bad.example"), 403),
        (only(), with_origin("https://Good.example"), 101),
        (only(), REQUEST.to_owned(), 101),
        (usual(), with_origin("https://bad.example"), 101),
        (usual().path(None), REQUEST.replace("/mqtt", "/x"), 101),
        (usual(), REQUEST.replace("/mqtt", "/mqtt?token=x"), 101),
    ] {
        let (answer, result) = ask(options, &request);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request}\n{answer}");
        match result {
            Ok(()) => assert_eq!(status, 101),
            Err(Error::Request { status: told, .. }) => assert_eq!(told, status),
            Err(other) => panic!("{other}"),
        }
    }
}

#[test]
fn a_client_tells_apart_what_is_wrong_with_an_answer() {
    assert_eq!(answered(&good_answer()), Ok(()));
    let status = |status| Err(Error::Status { status });
    assert_eq!(answered("HTTP/1.1 404 Not Found\r\n\r\n"), status(404));
    assert_eq!(answered("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), status(200));
    for (from, to) in [
        ("Upgrade: WebSocket", "X: y"),
        ("Connection: upgrade", "X: y"),
        (ACCEPT, "s3pPLMBiTxaQ9kYGzzhZRbK+xOO="),
        ("\r\n\r\n", "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"),
        ("HTTP/1.1", "\x20\x02\0\0"),
    ] {
        let result = answered(&good_answer().replacen(from, to, 1));
        assert!(matches!(result, Err(Error::Answer(_))), "{to}: {result:?}");
    }
    let other = answered(&good_answer().replace("Protocol: mqtt", "Protocol: chat"));
    assert_eq!(other, Err(Error::SubProtocol(Some("chat".into()))));
    let none = answered(&good_answer().replace("Sec-WebSocket-Protocol: mqtt\r\n", ""));
    assert_eq!(none, Err(Error::SubProtocol(None)));
    let endless = answered(&format!("HTTP/1.1 101 {}", "x".repeat(HEAD_BYTES_MAX)));
    assert!(matches!(endless, Err(Error::Answer(_))), "{endless:?}");
}

#[test]
fn request_and_answer_may_be_split_anywhere_and_joined_with_frames() {
    for size in 1..400 {
        let mut client = Filter::client(&ClientOptions::new("h")).unwrap();
        let mut server = Filter::server(ServerOptions::default());
        client.encode(b"early ");
        client.encode(b"bird");
        feed(&mut server, &transmit(&mut client), &[size]).unwrap();
        server.encode(b"welcome");
        let plain = feed(&mut client, &transmit(&mut server), &[size]).unwrap();
        assert_eq!(plain, "welcome");
        assert_eq!(feed(&mut server, &transmit(&mut client), &[size]).unwrap(), "early bird");
    }
}

#[test]
fn what_follows_the_request_at_once_is_taken_as_frames() {
    // Not what a client may do, but there is no reason to lose it.
    let (mut other, _) = open();
    other.encode(b"CONNECT");
    let mut both = REQUEST.as_bytes().to_vec();
    both.extend_from_slice(&transmit(&mut other));
    let mut server = Filter::server(ServerOptions::default());
    assert_eq!(feed(&mut server, &both, &[usize::MAX]).unwrap(), "CONNECT");
}
