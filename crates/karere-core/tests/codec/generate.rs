//! Generators of valid packets, for every version: one place that knows what may stand where.

mod properties;

use std::num::NonZeroU16;

use bytes::Bytes;
use karere_core::{
    Text,
    codec::{
        Ack, Auth, ConnAck, Connect, Disconnect, Message, Packet, PacketId, PacketType, Properties, Property,
        PropertyId, PropertyOwner, Publish, QoS, ReasonCode, RetainHandling, SubAck, Subscribe,
        SubscribeOptions, Subscription, SubscriptionIds, Unsubscribe, Version, Will,
    },
    topic::TopicName,
};
use proptest::{collection::vec, option, prelude::*, sample};

pub(crate) use self::properties::{example, properties};

pub(crate) const VERSIONS: [Version; 3] = [Version::V31, Version::V311, Version::V5];

/// What a test run costs: this many packets for each property.
pub(crate) fn config() -> ProptestConfig {
    ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() }
}

pub(crate) fn version() -> impl Strategy<Value = Version> {
    sample::select(&VERSIONS[..])
}

/// Any packet that `version` can say, in full: decoding gives back exactly what was encoded.
pub(crate) fn packet(version: Version) -> BoxedStrategy<Packet> {
    let mut types = PacketType::ALL.to_vec();
    if !version.is_v5() {
        types.retain(|&kind| kind != PacketType::Auth);
    }
    sample::select(types).prop_flat_map(move |kind| packet_of(kind, version)).boxed()
}

pub(crate) fn packet_of(kind: PacketType, version: Version) -> BoxedStrategy<Packet> {
    match kind {
        PacketType::Connect => {
            connect(version).prop_map(|connect| Packet::Connect(Box::new(connect))).boxed()
        }
        PacketType::ConnAck => {
            connack(version).prop_map(|connack| Packet::ConnAck(Box::new(connack))).boxed()
        }
        PacketType::Publish => publish(version).prop_map(Packet::Publish).boxed(),
        PacketType::PubAck => ack(kind, version).prop_map(Packet::PubAck).boxed(),
        PacketType::PubRec => ack(kind, version).prop_map(Packet::PubRec).boxed(),
        PacketType::PubRel => ack(kind, version).prop_map(Packet::PubRel).boxed(),
        PacketType::PubComp => ack(kind, version).prop_map(Packet::PubComp).boxed(),
        PacketType::Subscribe => subscribe(version).prop_map(Packet::Subscribe).boxed(),
        PacketType::SubAck => suback(kind, version).prop_map(Packet::SubAck).boxed(),
        PacketType::Unsubscribe => unsubscribe(version).prop_map(Packet::Unsubscribe).boxed(),
        PacketType::UnsubAck => suback(kind, version).prop_map(Packet::UnsubAck).boxed(),
        PacketType::PingReq => Just(Packet::PingReq).boxed(),
        PacketType::PingResp => Just(Packet::PingResp).boxed(),
        PacketType::Disconnect => disconnect(version).prop_map(Packet::Disconnect).boxed(),
        PacketType::Auth => auth().prop_map(Packet::Auth).boxed(),
    }
}

pub(crate) fn connect(version: Version) -> impl Strategy<Value = Connect> {
    let owner = PropertyOwner::Packet(PacketType::Connect);
    let login = (option::of(text(12)), option::of(bytes(12)));
    (
        any::<bool>(),
        any::<bool>(),
        any::<u16>(),
        text(23),
        option::of(will(version)),
        login,
        properties(owner),
    )
        .prop_map(move |(bridge, clean_start, keep_alive, client_id, will, login, properties)| {
            let (username, password) = login;
            let v5 = version.is_v5();
            let password = password.filter(|_| v5 || username.is_some());
            let lonely = properties.authentication_method().is_none();
            let properties = if !v5 {
                Properties::EMPTY
            } else if lonely {
                properties.without(&[PropertyId::AuthenticationData])
            } else {
                properties
            };
            let bridge = bridge && !v5;
            Connect {
                version,
                bridge,
                clean_start,
                keep_alive,
                client_id,
                will,
                username,
                password,
                properties,
            }
        })
}

fn will(version: Version) -> impl Strategy<Value = Will> {
    (message(), any::<u32>()).prop_map(move |(message, delay)| match version {
        Version::V5 => Will { message, delay },
        _ => Will { message: Message { expiry: None, properties: Properties::EMPTY, ..message }, delay: 0 },
    })
}

fn connack(version: Version) -> impl Strategy<Value = ConnAck> {
    let kind = PacketType::ConnAck;
    (any::<bool>(), reason(kind), properties(PropertyOwner::Packet(kind))).prop_map(
        move |(present, reason, properties)| {
            let session_present = present && reason == ReasonCode::Success && version != Version::V31;
            match version {
                Version::V5 => ConnAck { session_present, reason, properties },
                _ => {
                    ConnAck { session_present, reason: as_return_code(reason), properties: Properties::EMPTY }
                }
            }
        },
    )
}

fn as_return_code(reason: ReasonCode) -> ReasonCode {
    ReasonCode::from_connack_return_code(reason.to_connack_return_code()).unwrap()
}

pub(crate) fn publish(version: Version) -> impl Strategy<Value = Publish> {
    let ids = prop_oneof![3 => Just(vec![]), 1 => vec(subscription_id(), 1..4)];
    (any::<bool>(), packet_id(), option::of(any::<NonZeroU16>()), ids, message(), any::<bool>()).prop_map(
        move |(dup, packet_id, alias, ids, mut message, alias_only)| {
            let acknowledged = message.qos != QoS::AtMostOnce;
            let v5 = version.is_v5();
            if !v5 {
                (message.expiry, message.properties) = (None, Properties::EMPTY);
            } else if alias.is_some() && alias_only {
                message.topic = TopicName::EMPTY;
            }
            Publish {
                dup: dup && acknowledged,
                packet_id: Some(packet_id).filter(|_| acknowledged),
                topic_alias: alias.filter(|_| v5),
                subscription_ids: ids.into_iter().filter(|_| v5).collect::<SubscriptionIds>(),
                message,
            }
        },
    )
}

fn message() -> impl Strategy<Value = Message> {
    let rest = (any::<bool>(), option::of(any::<u32>()), properties(PropertyOwner::Message));
    (topic_name(), bytes(200), qos(), rest).prop_map(|(topic, payload, qos, (retain, expiry, properties))| {
        Message { topic, payload, qos, retain, expiry, properties }
    })
}

fn ack(kind: PacketType, version: Version) -> impl Strategy<Value = Ack> {
    (packet_id(), reason(kind), properties(PropertyOwner::Packet(kind))).prop_map(
        move |(packet_id, reason, properties)| match version {
            Version::V5 => Ack { packet_id, reason, properties },
            _ => Ack::success(packet_id),
        },
    )
}

fn subscribe(version: Version) -> impl Strategy<Value = Subscribe> {
    let block = properties(PropertyOwner::Packet(PacketType::Subscribe));
    (packet_id(), vec(subscription(version), 1..5), option::of(subscription_id()), block).prop_map(
        move |(packet_id, subscriptions, subscription_id, properties)| match version {
            Version::V5 => Subscribe {
                packet_id,
                subscriptions,
                subscription_id,
                properties: properties.without(&[PropertyId::SubscriptionIdentifier]),
            },
            _ => Subscribe { packet_id, subscriptions, subscription_id: None, properties: Properties::EMPTY },
        },
    )
}

fn subscription(version: Version) -> impl Strategy<Value = Subscription> {
    let handling = sample::select(&[
        RetainHandling::SendAtSubscribe,
        RetainHandling::SendIfNew,
        RetainHandling::DoNotSend,
    ]);
    (topic_filter(), qos(), any::<bool>(), any::<bool>(), handling).prop_map(
        move |(filter, qos, no_local, retain_as_published, retain_handling)| {
            let options = match version {
                Version::V5 => SubscribeOptions {
                    qos,
                    no_local: no_local && !filter.starts_with("$share/"),
                    retain_as_published,
                    retain_handling,
                },
                _ => SubscribeOptions::new(qos),
            };
            Subscription { filter, options }
        },
    )
}

fn suback(kind: PacketType, version: Version) -> impl Strategy<Value = SubAck> {
    (packet_id(), vec(reason(kind), 1..6), properties(PropertyOwner::Packet(kind))).prop_map(
        move |(packet_id, reasons, properties)| match (version, kind) {
            (Version::V5, _) => SubAck { packet_id, reasons, properties },
            (_, PacketType::UnsubAck) => SubAck { packet_id, reasons: vec![], properties: Properties::EMPTY },
            _ => {
                let reasons =
                    reasons.iter().map(|reason| ReasonCode::from_u8(reason.to_v3_suback()).unwrap());
                SubAck { packet_id, reasons: reasons.collect(), properties: Properties::EMPTY }
            }
        },
    )
}

fn unsubscribe(version: Version) -> impl Strategy<Value = Unsubscribe> {
    let block = properties(PropertyOwner::Packet(PacketType::Unsubscribe));
    (packet_id(), vec(topic_filter(), 1..5), block).prop_map(move |(packet_id, filters, properties)| {
        let properties = if version.is_v5() { properties } else { Properties::EMPTY };
        Unsubscribe { packet_id, filters, properties }
    })
}

fn disconnect(version: Version) -> impl Strategy<Value = Disconnect> {
    let kind = PacketType::Disconnect;
    (reason(kind), properties(PropertyOwner::Packet(kind))).prop_map(move |(reason, properties)| {
        if version.is_v5() { Disconnect { reason, properties } } else { Disconnect::normal() }
    })
}

fn auth() -> impl Strategy<Value = Auth> {
    let kind = PacketType::Auth;
    (reason(kind), properties(PropertyOwner::Packet(kind)), text(8)).prop_map(
        |(reason, properties, method)| {
            let mut builder = Properties::builder().with(Property::AuthenticationMethod(&method)).unwrap();
            builder.append(&properties.without(&[PropertyId::AuthenticationMethod]));
            Auth { reason, properties: builder.build() }
        },
    )
}

fn reason(kind: PacketType) -> impl Strategy<Value = ReasonCode> {
    let allowed: Vec<_> = ReasonCode::ALL.iter().copied().filter(|code| code.allowed_in(kind)).collect();
    sample::select(allowed)
}

fn packet_id() -> impl Strategy<Value = PacketId> {
    any::<NonZeroU16>().prop_map(|id| PacketId::new(id.get()).unwrap())
}

fn subscription_id() -> impl Strategy<Value = u32> {
    prop_oneof![Just(1), Just(127), Just(128), Just(268_435_455), 1..=268_435_455_u32]
}

fn qos() -> impl Strategy<Value = QoS> {
    sample::select(&[QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce])
}

fn topic_name() -> impl Strategy<Value = TopicName> {
    "[$/a-c0-9 é漢😀]{1,20}".prop_map(|name| TopicName::new(&name).unwrap())
}

fn topic_filter() -> impl Strategy<Value = Text> {
    prop_oneof!["[a-cé]{1,4}(/[a-c]{0,3}|/\\+){0,4}(/#)?", "\\$share/[a-z]{1,4}/[a-c/]{1,6}"]
        .prop_map(|filter| Text::new(filter).unwrap())
}

/// Text of up to this many characters, of any script but without control characters.
fn text(chars_max: usize) -> impl Strategy<Value = Text> {
    vec(
        prop_oneof![3 => proptest::char::range('!', '~'), 1 => proptest::char::range('¡', '퟿')],
        0..=chars_max,
    )
    .prop_map(|chars| Text::new(chars.into_iter().collect::<String>()).unwrap())
}

fn bytes(len_max: usize) -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..=len_max).prop_map(Bytes::from)
}
