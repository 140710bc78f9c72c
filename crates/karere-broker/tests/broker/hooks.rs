//! The program's own word: authentication, authorisation, messages.

use karere_broker::{Authenticate, Authorize, ClientInfo, ConnectRequest, HookFuture, MessageHook, Verdict};
use karere_core::Text;
use karere_core::codec::{
    Auth, Connect, Message, Packet, Property, QoS, ReasonCode, SubscribeOptions, Version,
};

use crate::client::*;

struct OnlyAnna;

impl Authenticate for OnlyAnna {
    fn connect<'a>(&'a self, request: ConnectRequest<'a>) -> HookFuture<'a, Verdict> {
        Box::pin(async move {
            tokio::task::yield_now().await; // an answer that takes its time
            if request.connect.properties.authentication_method() == Some("riddle") {
                return Verdict::Challenge(auth(
                    "what walks on four legs?",
                    ReasonCode::ContinueAuthentication,
                ));
            }
            match request.connect.username.as_deref() {
                Some("anna") => Verdict::Accept,
                Some(_) => Verdict::Reject(ReasonCode::BadUserNameOrPassword),
                None => Verdict::Reject(ReasonCode::NotAuthorized),
            }
        })
    }

    fn auth<'a>(&'a self, _client: &'a ClientInfo, auth: &'a Auth) -> HookFuture<'a, Verdict> {
        let right = auth.properties.authentication_data() == Some(b"a man");
        Box::pin(
            async move { if right { Verdict::Accept } else { Verdict::Reject(ReasonCode::NotAuthorized) } },
        )
    }
}

fn auth(data: &str, reason: ReasonCode) -> Auth {
    let all = [Property::AuthenticationMethod("riddle"), Property::AuthenticationData(data.as_bytes())];
    Auth { reason, properties: properties(&all) }
}

async fn expect_auth(client: &mut TestClient, reason: ReasonCode) {
    match client.receive().await {
        Packet::Auth(auth) => assert_eq!(auth.reason, reason),
        other => panic!("expected AUTH, got {other:?}"),
    }
}

fn named(version: Version, name: &str) -> Connect {
    Connect { username: Some(Text::new(name).unwrap()), ..connect(version, name) }
}

#[test]
fn who_may_not_connect_is_told_in_the_words_of_its_version() {
    run(async {
        let broker = builder().authenticate(OnlyAnna).start().await.unwrap();
        let (_anna, connack) = TestClient::connect_with(&broker, named(Version::V5, "anna")).await;
        assert_eq!(connack.reason, ReasonCode::Success);
        for version in [Version::V311, Version::V5] {
            let (mut bob, connack) = TestClient::connect_with(&broker, named(version, "bob")).await;
            assert_eq!(connack.reason, ReasonCode::BadUserNameOrPassword);
            bob.expect_closed().await;
            let (mut nobody, connack) = TestClient::connect_with(&broker, connect(version, "nobody")).await;
            assert_eq!(connack.reason, ReasonCode::NotAuthorized);
            nobody.expect_closed().await;
        }
        assert_eq!(broker.counters().connects_refused, 4);
    });
}

#[test]
fn a_client_authenticates_by_answering_and_may_do_so_again() {
    run(async {
        let broker = builder().authenticate(OnlyAnna).start().await.unwrap();
        let asks = Connect {
            properties: properties(&[Property::AuthenticationMethod("riddle")]),
            ..connect(Version::V5, "sphinx")
        };
        let mut client = TestClient::open(&broker, Version::V5).await;
        client.send(&Packet::Connect(Box::new(asks.clone()))).await;
        expect_auth(&mut client, ReasonCode::ContinueAuthentication).await;
        client.send(&Packet::Auth(auth("a man", ReasonCode::ContinueAuthentication))).await;
        match client.receive().await {
            Packet::ConnAck(connack) => {
                assert_eq!(connack.reason, ReasonCode::Success);
                assert_eq!(connack.properties.authentication_method(), Some("riddle"));
            }
            other => panic!("expected CONNACK, got {other:?}"),
        }
        client.send(&Packet::Auth(auth("a man", ReasonCode::ReAuthenticate))).await;
        expect_auth(&mut client, ReasonCode::Success).await;
        client.send(&Packet::Auth(auth("a dog", ReasonCode::ReAuthenticate))).await;
        client.expect_disconnect(ReasonCode::NotAuthorized).await;

        let mut client = TestClient::open(&broker, Version::V5).await;
        client.send(&Packet::Connect(Box::new(asks))).await;
        client.receive().await;
        client.send(&Packet::Auth(auth("a dog", ReasonCode::ContinueAuthentication))).await;
        let refused = client.receive().await;
        assert!(matches!(refused, Packet::ConnAck(connack) if connack.reason == ReasonCode::NotAuthorized));
    });
}

#[test]
fn without_a_hook_nobody_understands_an_authentication_method() {
    run(async {
        let broker = broker().await;
        let asks = Connect {
            properties: properties(&[Property::AuthenticationMethod("riddle")]),
            ..connect(Version::V5, "sphinx")
        };
        let (_client, connack) = TestClient::connect_with(&broker, asks).await;
        assert_eq!(connack.reason, ReasonCode::BadAuthenticationMethod);
    });
}

struct Fences;

impl Authorize for Fences {
    fn publish<'a>(
        &'a self,
        client: &'a ClientInfo,
        message: &'a Message,
    ) -> HookFuture<'a, Result<(), ReasonCode>> {
        let own = message.topic.starts_with(&format!("{}/", &*client.client_id));
        Box::pin(async move {
            tokio::task::yield_now().await;
            if own { Ok(()) } else { Err(ReasonCode::NotAuthorized) }
        })
    }

    fn subscribe<'a>(
        &'a self,
        _client: &'a ClientInfo,
        filter: &'a str,
        options: SubscribeOptions,
    ) -> HookFuture<'a, Result<QoS, ReasonCode>> {
        let secret = filter.starts_with("secret");
        Box::pin(async move {
            if secret { Err(ReasonCode::NotAuthorized) } else { Ok(options.qos.min(AtLeastOnce)) }
        })
    }
}

#[test]
fn who_may_not_publish_or_subscribe_is_told_where_the_version_can() {
    run(async {
        let broker = builder().authorize(Fences).start().await.unwrap();
        for version in [Version::V311, Version::V5] {
            let mut client = TestClient::connect(&broker, version, "me").await;
            assert_eq!(client.subscribe("#", ExactlyOnce).await, ReasonCode::GrantedQoS1);
            let refused = client.subscribe("secret/x", AtMostOnce).await;
            let expected =
                if version.is_v5() { ReasonCode::NotAuthorized } else { ReasonCode::UnspecifiedError };
            assert_eq!(refused, expected);

            client.publish(message("you/a", "no", AtLeastOnce), 1).await;
            match client.receive().await {
                Packet::PubAck(ack) if version.is_v5() => assert_eq!(ack.reason, ReasonCode::NotAuthorized),
                Packet::PubAck(ack) => assert_eq!(ack.reason, ReasonCode::Success),
                other => panic!("expected PUBACK, got {other:?}"),
            }
            client.publish(message("me/a", "yes", AtMostOnce), 0).await;
            client.expect_payload("yes").await;
            client.expect_nothing().await;
        }
        assert_eq!(broker.counters().publish_refused, 2);
    });
}

#[test]
fn a_will_that_its_client_may_not_publish_keeps_it_out() {
    run(async {
        let broker = builder().authorize(Fences).start().await.unwrap();
        let with_will = Connect { will: will("you/a", "x", 0), ..connect(Version::V5, "me") };
        let (_client, connack) = TestClient::connect_with(&broker, with_will).await;
        assert_eq!(connack.reason, ReasonCode::NotAuthorized);
    });
}

struct Censor;

impl MessageHook for Censor {
    fn publish<'a>(&'a self, _client: &'a ClientInfo, message: Message) -> HookFuture<'a, Option<Message>> {
        Box::pin(async move {
            match &message.payload[..] {
                b"drop" => None,
                b"change" => Some(Message { payload: "changed".into(), ..message }),
                _ => Some(message),
            }
        })
    }
}

#[test]
fn a_message_hook_changes_and_drops_in_order() {
    run(async {
        let broker = builder().message_hook(Censor).start().await.unwrap();
        let mut client = TestClient::v5(&broker, "me").await;
        client.subscribe("a", AtMostOnce).await;
        for (id, payload) in [(1, "first"), (2, "drop"), (3, "change"), (4, "last")] {
            client.publish(message("a", payload, AtLeastOnce), id).await;
        }
        let mut payloads = Vec::new();
        let mut acknowledged = Vec::new();
        while payloads.len() + acknowledged.len() < 7 {
            match client.receive().await {
                Packet::Publish(publish) => payloads.push(publish.message.payload),
                Packet::PubAck(ack) => acknowledged.push(ack.packet_id.get()),
                other => panic!("unexpected {other:?}"),
            }
        }
        assert_eq!(payloads, ["first", "changed", "last"]);
        assert_eq!(acknowledged, [1, 2, 3, 4]);
    });
}

#[test]
fn nobody_publishes_under_sys_but_the_broker() {
    run(async {
        let broker = broker().await;
        let mut client = TestClient::v5(&broker, "liar").await;
        client.subscribe("$SYS/#", AtMostOnce).await;
        client.publish(message("$SYS/broker/version", "mine", AtLeastOnce), 1).await;
        assert!(
            matches!(client.receive().await, Packet::PubAck(ack) if ack.reason == ReasonCode::NotAuthorized)
        );
        client.expect_nothing().await;
        let with_will = Connect { will: will("$SYS/x", "x", 0), ..connect(Version::V5, "dead") };
        let (dead, _) = TestClient::connect_with(&broker, with_will).await;
        drop(dead);
        until("it has gone", || broker.counters().clients_connected == 1).await;
        client.expect_nothing().await;
    });
}

/// Answers when it is told to.
struct Patient(std::sync::Arc<tokio::sync::Semaphore>);

impl MessageHook for Patient {
    fn publish<'a>(&'a self, _client: &'a ClientInfo, message: Message) -> HookFuture<'a, Option<Message>> {
        Box::pin(async move {
            self.0.acquire().await.unwrap().forget();
            Some(message)
        })
    }
}

#[test]
fn a_takeover_while_a_hook_thinks_neither_loses_nor_doubles_a_qos_2_message() {
    run(async {
        let answers = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
        let broker = builder().message_hook(Patient(answers.clone())).start().await.unwrap();
        let mut reader = TestClient::v5(&broker, "reader").await;
        reader.subscribe("a", AtMostOnce).await;
        let (mut first, _) = TestClient::durable(&broker, "twice").await;
        first.publish(message("a", "once", ExactlyOnce), 1).await;
        until("it has come", || broker.counters().publish_received == 1).await;
        let (mut second, _) = TestClient::durable(&broker, "twice").await;
        first.expect_disconnect(ReasonCode::SessionTakenOver).await;
        second.publish(message("a", "once", ExactlyOnce), 1).await;
        answers.add_permits(1);
        assert!(matches!(second.receive().await, Packet::PubRec(got) if got == ack(1)));
        reader.expect_payload("once").await;
        reader.expect_nothing().await;
    });
}
