//! Enhanced authentication.

use karere_broker::{Authenticate, BrokerHandle, ClientInfo, ConnectRequest, HookFuture, Verdict};
use karere_core::codec::{Auth, Connect, Packet, Properties, Property, ReasonCode, Version};

use super::*;

/// Asks once, in words that a careless hook may find: without a method, with another reason, and with too many words.
struct Careless;

fn challenge() -> Auth {
    let long = "because ".repeat(20);
    let words = [
        Property::AuthenticationData(b"?"),
        Property::ReasonString(&long),
        Property::UserProperty("k", &long),
    ];
    Auth { reason: ReasonCode::Success, properties: properties(&words) }
}

impl Authenticate for Careless {
    fn connect<'a>(&'a self, _request: ConnectRequest<'a>) -> HookFuture<'a, Verdict> {
        Box::pin(async { Verdict::Challenge(challenge()) })
    }

    fn auth<'a>(&'a self, _client: &'a ClientInfo, auth: &'a Auth) -> HookFuture<'a, Verdict> {
        let verdict = match auth.properties.authentication_data() {
            Some(b"!") => Verdict::AcceptWith(Properties::EMPTY),
            Some(b"more") => Verdict::Challenge(challenge()),
            _ => Verdict::Reject(ReasonCode::NotAuthorized),
        };
        Box::pin(async { verdict })
    }
}

fn auth(reason: ReasonCode, method: &str, data: &[u8]) -> Packet {
    let words = [Property::AuthenticationMethod(method), Property::AuthenticationData(data)];
    Packet::Auth(Auth { reason, properties: properties(&words) })
}

/// CONNECT with the method `M` and this, up to the broker's AUTH.
async fn asked(broker: &BrokerHandle, more: &[Property<'_>]) -> (TestClient, Auth) {
    let said = [&[Property::AuthenticationMethod("M")], more].concat();
    let connect = Connect { properties: properties(&said), ..connect(Version::V5, "c") };
    let mut client = TestClient::open(broker, Version::V5).await;
    client.send(&Packet::Connect(Box::new(connect))).await;
    match client.receive().await {
        Packet::Auth(auth) => (client, auth),
        other => panic!("expected AUTH, got {other:?}"),
    }
}

async fn connack(client: &mut TestClient) -> karere_core::codec::ConnAck {
    match client.receive().await {
        Packet::ConnAck(connack) => *connack,
        other => panic!("expected CONNACK, got {other:?}"),
    }
}

#[test]
fn auth_and_connack_repeat_the_method_of_connect_and_ask_to_continue() {
    run(async {
        let broker = builder().authenticate(Careless).start().await.unwrap();
        let (mut client, asks) = asked(&broker, &[]).await;
        assert_eq!(asks.reason, ReasonCode::ContinueAuthentication);
        assert_eq!(asks.properties.authentication_method(), Some("M"));
        assert_eq!(asks.properties.authentication_data(), Some(&b"?"[..]));
        assert_eq!(asks.properties.user_properties().count(), 1);
        client.send(&auth(ReasonCode::ContinueAuthentication, "M", b"!")).await;
        let connack = connack(&mut client).await;
        assert_eq!(connack.reason, ReasonCode::Success);
        assert_eq!(connack.properties.authentication_method(), Some("M"));

        client.send(&auth(ReasonCode::ReAuthenticate, "M", b"more")).await;
        let Packet::Auth(again) = client.receive().await else { panic!("no AUTH") };
        assert_eq!(again.reason, ReasonCode::ContinueAuthentication);
        assert_eq!(again.properties.authentication_method(), Some("M"));
        client.send(&auth(ReasonCode::ContinueAuthentication, "M", b"!")).await;
        let Packet::Auth(done) = client.receive().await else { panic!("no AUTH") };
        assert_eq!(done.reason, ReasonCode::Success);
        assert_eq!(done.properties.authentication_method(), Some("M"));
        client.expect_nothing().await;
    });
}

#[test]
fn a_client_that_names_no_method_is_sent_no_auth_and_no_method() {
    run(async {
        let broker = builder().authenticate(Careless).start().await.unwrap();
        let (mut client, connack) = TestClient::connect_with(&broker, connect(Version::V5, "c")).await;
        assert!(connack.reason.is_error(), "the hook wants an answer that this client cannot give");
        assert_eq!(connack.properties.authentication_method(), None);
        client.expect_closed().await;
        let (mut client, connack) = TestClient::connect_with(&broker, connect(Version::V311, "c")).await;
        assert!(connack.reason.is_error());
        client.expect_closed().await;
    });
}

#[test]
fn a_reason_string_and_user_properties_that_do_not_fit_are_left_out_of_auth() {
    run(async {
        let broker = builder().authenticate(Careless).start().await.unwrap();
        for again in [false, true] {
            let (mut client, mut asks) = asked(&broker, &[Property::MaximumPacketSize(60)]).await;
            if again {
                client.send(&auth(ReasonCode::ContinueAuthentication, "M", b"!")).await;
                connack(&mut client).await;
                client.send(&auth(ReasonCode::ReAuthenticate, "M", b"more")).await;
                let Packet::Auth(auth) = client.receive().await else { panic!("no AUTH") };
                asks = auth;
            }
            assert_eq!(asks.properties.authentication_data(), Some(&b"?"[..]));
            assert_eq!(asks.properties.reason_string(), None);
            assert_eq!(asks.properties.user_properties().count(), 0);
        }
    });
}

#[test]
fn a_client_that_wants_no_problem_information_gets_no_words_in_auth() {
    run(async {
        let broker = builder().authenticate(Careless).start().await.unwrap();
        let (mut client, asks) = asked(&broker, &[Property::RequestProblemInformation(false)]).await;
        assert_eq!((asks.properties.reason_string(), asks.properties.user_properties().count()), (None, 0));
        client.send(&auth(ReasonCode::ContinueAuthentication, "M", b"!")).await;
        connack(&mut client).await;
        client.send(&auth(ReasonCode::ReAuthenticate, "M", b"more")).await;
        let Packet::Auth(asks) = client.receive().await else { panic!("no AUTH") };
        assert_eq!((asks.properties.reason_string(), asks.properties.user_properties().count()), (None, 0));
    });
}

#[test]
fn authentication_that_fails_ends_the_connection() {
    run(async {
        let broker = builder().authenticate(Careless).start().await.unwrap();
        let (mut client, _) = asked(&broker, &[]).await;
        client.send(&auth(ReasonCode::ContinueAuthentication, "M", b"wrong")).await;
        let refused = connack(&mut client).await;
        assert_eq!((refused.reason, refused.session_present), (ReasonCode::NotAuthorized, false));
        client.expect_closed().await;

        let (mut client, _) = asked(&broker, &[]).await;
        client.send(&auth(ReasonCode::ContinueAuthentication, "M", b"!")).await;
        connack(&mut client).await;
        client.send(&auth(ReasonCode::ReAuthenticate, "M", b"wrong")).await;
        client.expect_disconnect(ReasonCode::NotAuthorized).await;
    });
}

#[test]
fn a_method_that_nobody_understands_is_refused_and_closed() {
    run(async {
        let broker = broker().await;
        let asks = Connect {
            properties: properties(&[Property::AuthenticationMethod("M")]),
            ..connect(Version::V5, "c")
        };
        let (mut client, connack) = TestClient::connect_with(&broker, asks).await;
        assert_eq!(connack.reason, ReasonCode::BadAuthenticationMethod);
        client.expect_closed().await;
    });
}

#[test]
fn another_method_than_that_of_connect_ends_the_connection() {
    run(async {
        let broker = builder().authenticate(Careless).start().await.unwrap();
        let (mut client, _) = asked(&broker, &[]).await;
        client.send(&auth(ReasonCode::ContinueAuthentication, "OTHER", b"!")).await;
        assert!(connack(&mut client).await.reason.is_error());
        client.expect_closed().await;

        let (mut client, _) = asked(&broker, &[]).await;
        client.send(&auth(ReasonCode::ContinueAuthentication, "M", b"!")).await;
        connack(&mut client).await;
        client.send(&auth(ReasonCode::ReAuthenticate, "OTHER", b"!")).await;
        client.expect_disconnect(ReasonCode::ProtocolError).await;
    });
}
