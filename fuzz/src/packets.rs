//! Packets from the fuzzer's bytes: whatever a version can say, in full, so that decoding gives it back.
//!
//! Every function here fails only when there are no more bytes.

use std::num::NonZeroU16;

use arbitrary::{Result, Unstructured};
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

/// The versions there are.
pub(crate) const VERSIONS: [Version; 3] = [Version::V5, Version::V311, Version::V31];

/// What filters are made of; also what no filter is made of.
const LEVELS: [&str; 12] =
    ["a", "b", "c", "", "+", "#", "$x", "a+", "é", "a long level, longer than most", "aa", "#b"];

/// One of the three.
pub(crate) fn version(u: &mut Unstructured<'_>) -> Result<Version> {
    u.choose(&VERSIONS).copied()
}

/// Any packet that `version` has.
pub(crate) fn packet(u: &mut Unstructured<'_>, version: Version) -> Result<Packet> {
    let kind = *u.choose(&PacketType::ALL)?;
    packet_of(u, kind, version)
}

/// A packet of this type; a PINGREQ where the version has none.
pub(crate) fn packet_of(u: &mut Unstructured<'_>, kind: PacketType, version: Version) -> Result<Packet> {
    Ok(match kind {
        PacketType::Connect => Packet::Connect(connect(u, version)?.into()),
        PacketType::ConnAck => Packet::ConnAck(connack(u, version)?.into()),
        PacketType::Publish => Packet::Publish(publish(u, version)?),
        PacketType::PubAck => Packet::PubAck(ack(u, kind, version)?),
        PacketType::PubRec => Packet::PubRec(ack(u, kind, version)?),
        PacketType::PubRel => Packet::PubRel(ack(u, kind, version)?),
        PacketType::PubComp => Packet::PubComp(ack(u, kind, version)?),
        PacketType::Subscribe => Packet::Subscribe(subscribe(u, version)?),
        PacketType::SubAck => Packet::SubAck(suback(u, kind, version)?),
        PacketType::Unsubscribe => Packet::Unsubscribe(unsubscribe(u, version)?),
        PacketType::UnsubAck => Packet::UnsubAck(suback(u, kind, version)?),
        PacketType::PingResp => Packet::PingResp,
        PacketType::Disconnect => Packet::Disconnect(disconnect(u, version)?),
        PacketType::Auth if version.is_v5() => Packet::Auth(auth(u)?),
        PacketType::PingReq | PacketType::Auth => Packet::PingReq,
    })
}

/// A CONNECT.
pub(crate) fn connect(u: &mut Unstructured<'_>, version: Version) -> Result<Connect> {
    let v5 = version.is_v5();
    let username = option(u, text)?;
    let password = option(u, bytes)?.filter(|_| v5 || username.is_some());
    let properties = properties(u, PropertyOwner::Packet(PacketType::Connect), version)?;
    let has_method = properties.authentication_method().is_some();
    Ok(Connect {
        version,
        bridge: !v5 && u.arbitrary()?,
        clean_start: u.arbitrary()?,
        keep_alive: u.arbitrary()?,
        client_id: text(u)?,
        will: option(u, |u| will(u, version))?,
        username,
        password,
        properties: if has_method {
            properties
        } else {
            properties.without(&[PropertyId::AuthenticationData])
        },
    })
}

fn will(u: &mut Unstructured<'_>, version: Version) -> Result<Will> {
    let delay = if version.is_v5() { u.arbitrary()? } else { 0 };
    Ok(Will { message: message(u, version)?, delay })
}

/// A CONNACK.
pub(crate) fn connack(u: &mut Unstructured<'_>, version: Version) -> Result<ConnAck> {
    let mut reason = reason(u, PacketType::ConnAck)?;
    if !version.is_v5() {
        reason = ReasonCode::from_connack_return_code(reason.to_connack_return_code()).unwrap_or(reason);
    }
    let session_present = u.arbitrary()? && reason == ReasonCode::Success && version != Version::V31;
    let properties = properties(u, PropertyOwner::Packet(PacketType::ConnAck), version)?;
    Ok(ConnAck { session_present, reason, properties })
}

/// A PUBLISH, with its topic or only an alias.
pub(crate) fn publish(u: &mut Unstructured<'_>, version: Version) -> Result<Publish> {
    let mut message = message(u, version)?;
    let acknowledged = message.qos != QoS::AtMostOnce;
    let (mut topic_alias, mut subscription_ids) = (None, SubscriptionIds::EMPTY);
    if version.is_v5() {
        topic_alias = option(u, Unstructured::arbitrary::<NonZeroU16>)?;
        while more(u, 1, 4)? {
            subscription_ids.push(subscription_id(u)?);
        }
        if topic_alias.is_some() && u.arbitrary()? {
            message.topic = TopicName::EMPTY;
        }
    }
    Ok(Publish {
        dup: acknowledged && u.arbitrary()?,
        packet_id: if acknowledged { Some(packet_id(u)?) } else { None },
        topic_alias,
        subscription_ids,
        message,
    })
}

/// A message; with its properties where the version has them.
pub(crate) fn message(u: &mut Unstructured<'_>, version: Version) -> Result<Message> {
    Ok(Message {
        topic: topic_name(u)?,
        payload: bytes(u)?,
        qos: qos(u)?,
        retain: u.arbitrary()?,
        expiry: if version.is_v5() { option(u, Unstructured::arbitrary)? } else { None },
        properties: properties(u, PropertyOwner::Message, version)?,
    })
}

fn ack(u: &mut Unstructured<'_>, kind: PacketType, version: Version) -> Result<Ack> {
    let packet_id = packet_id(u)?;
    if !version.is_v5() {
        return Ok(Ack::success(packet_id));
    }
    let properties = properties(u, PropertyOwner::Packet(kind), version)?;
    Ok(Ack { packet_id, reason: reason(u, kind)?, properties })
}

/// A SUBSCRIBE.
pub(crate) fn subscribe(u: &mut Unstructured<'_>, version: Version) -> Result<Subscribe> {
    let owner = PropertyOwner::Packet(PacketType::Subscribe);
    let properties = properties(u, owner, version)?.without(&[PropertyId::SubscriptionIdentifier]);
    let mut subscriptions = vec![subscription(u, version)?];
    while more(u, 1, 3)? {
        subscriptions.push(subscription(u, version)?);
    }
    let subscription_id = if version.is_v5() { option(u, subscription_id)? } else { None };
    Ok(Subscribe { packet_id: packet_id(u)?, subscriptions, subscription_id, properties })
}

/// A filter with options that may go with it.
pub(crate) fn subscription(u: &mut Unstructured<'_>, version: Version) -> Result<Subscription> {
    let (filter, qos) = (topic_filter(u)?, qos(u)?);
    if !version.is_v5() {
        return Ok(Subscription { filter, options: SubscribeOptions::new(qos) });
    }
    let handling = [RetainHandling::SendAtSubscribe, RetainHandling::SendIfNew, RetainHandling::DoNotSend];
    let options = SubscribeOptions {
        qos,
        no_local: u.arbitrary()? && !filter.starts_with("$share/"),
        retain_as_published: u.arbitrary()?,
        retain_handling: *u.choose(&handling)?,
    };
    Ok(Subscription { filter, options })
}

fn suback(u: &mut Unstructured<'_>, kind: PacketType, version: Version) -> Result<SubAck> {
    let packet_id = packet_id(u)?;
    let properties = properties(u, PropertyOwner::Packet(kind), version)?;
    let mut reasons = Vec::new();
    if version.is_v5() || kind == PacketType::SubAck {
        reasons.push(reason(u, kind)?);
        while more(u, 1, 3)? {
            reasons.push(reason(u, kind)?);
        }
    }
    if !version.is_v5() {
        reasons.iter_mut().for_each(|code| *code = ReasonCode::from_u8(code.to_v3_suback()).unwrap_or(*code));
    }
    Ok(SubAck { packet_id, reasons, properties })
}

fn unsubscribe(u: &mut Unstructured<'_>, version: Version) -> Result<Unsubscribe> {
    let mut filters = vec![topic_filter(u)?];
    while more(u, 1, 3)? {
        filters.push(topic_filter(u)?);
    }
    let properties = properties(u, PropertyOwner::Packet(PacketType::Unsubscribe), version)?;
    Ok(Unsubscribe { packet_id: packet_id(u)?, filters, properties })
}

/// A DISCONNECT; from 3.x the bare one.
pub(crate) fn disconnect(u: &mut Unstructured<'_>, version: Version) -> Result<Disconnect> {
    if !version.is_v5() {
        return Ok(Disconnect::normal());
    }
    let properties = properties(u, PropertyOwner::Packet(PacketType::Disconnect), version)?;
    Ok(Disconnect { reason: reason(u, PacketType::Disconnect)?, properties })
}

/// An AUTH with an Authentication Method.
pub(crate) fn auth(u: &mut Unstructured<'_>) -> Result<Auth> {
    let method = text(u)?;
    let mut builder = Properties::builder();
    builder.push(Property::AuthenticationMethod(&method)).expect("a text fits");
    let owner = PropertyOwner::Packet(PacketType::Auth);
    builder.append(&properties(u, owner, Version::V5)?.without(&[PropertyId::AuthenticationMethod]));
    Ok(Auth { reason: reason(u, PacketType::Auth)?, properties: builder.build() })
}

/// Some of what `owner` may carry, in any order, some User Properties among them; none before version 5.
pub(crate) fn properties(
    u: &mut Unstructured<'_>,
    owner: PropertyOwner,
    version: Version,
) -> Result<Properties> {
    let mut builder = Properties::builder();
    let mut seen = Vec::new();
    while version.is_v5() && more(u, 1, 2)? {
        let id = *u.choose(PropertyId::ALL)?;
        if !id.allowed_in(owner) || (seen.contains(&id) && id != PropertyId::UserProperty) {
            continue;
        }
        seen.push(id);
        push_property(u, id, &mut builder)?;
    }
    Ok(builder.build())
}

fn push_property(
    u: &mut Unstructured<'_>,
    id: PropertyId,
    builder: &mut karere_core::codec::PropertiesBuilder,
) -> Result<()> {
    let (flag, number, text, name) = (u.arbitrary()?, subscription_id(u)?, text(u)?, topic_name(u)?);
    let small = (number % 65_535) as u16 + 1;
    let property = match id {
        PropertyId::PayloadFormatIndicator => Property::PayloadFormatIndicator(flag),
        PropertyId::MessageExpiryInterval => Property::MessageExpiryInterval(number),
        PropertyId::ContentType => Property::ContentType(&text),
        PropertyId::ResponseTopic => Property::ResponseTopic(name.as_str()),
        PropertyId::CorrelationData => Property::CorrelationData(text.as_bytes()),
        PropertyId::SubscriptionIdentifier => Property::SubscriptionIdentifier(number),
        PropertyId::SessionExpiryInterval => Property::SessionExpiryInterval(number),
        PropertyId::AssignedClientIdentifier => Property::AssignedClientIdentifier(&text),
        PropertyId::ServerKeepAlive => Property::ServerKeepAlive(small),
        PropertyId::AuthenticationMethod => Property::AuthenticationMethod(&text),
        PropertyId::AuthenticationData => Property::AuthenticationData(text.as_bytes()),
        PropertyId::RequestProblemInformation => Property::RequestProblemInformation(flag),
        PropertyId::WillDelayInterval => Property::WillDelayInterval(number),
        PropertyId::RequestResponseInformation => Property::RequestResponseInformation(flag),
        PropertyId::ResponseInformation => Property::ResponseInformation(&text),
        PropertyId::ServerReference => Property::ServerReference(&text),
        PropertyId::ReasonString => Property::ReasonString(&text),
        PropertyId::ReceiveMaximum => Property::ReceiveMaximum(small),
        PropertyId::TopicAliasMaximum => Property::TopicAliasMaximum(small),
        PropertyId::TopicAlias => Property::TopicAlias(small),
        PropertyId::MaximumQoS => Property::MaximumQoS(if flag { QoS::AtLeastOnce } else { QoS::AtMostOnce }),
        PropertyId::RetainAvailable => Property::RetainAvailable(flag),
        PropertyId::UserProperty => Property::UserProperty(&text, name.as_str()),
        PropertyId::MaximumPacketSize => Property::MaximumPacketSize(number),
        PropertyId::WildcardSubscriptionAvailable => Property::WildcardSubscriptionAvailable(flag),
        PropertyId::SubscriptionIdentifierAvailable => Property::SubscriptionIdentifierAvailable(flag),
        PropertyId::SharedSubscriptionAvailable => Property::SharedSubscriptionAvailable(flag),
    };
    builder.push(property).expect("a value in its range");
    Ok(())
}

/// A code that this packet may carry.
pub(crate) fn reason(u: &mut Unstructured<'_>, kind: PacketType) -> Result<ReasonCode> {
    let allowed: Vec<_> = ReasonCode::ALL.iter().copied().filter(|code| code.allowed_in(kind)).collect();
    u.choose(&allowed).copied()
}

/// Any of the three.
pub(crate) fn qos(u: &mut Unstructured<'_>) -> Result<QoS> {
    u.choose(&[QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce]).copied()
}

/// Mostly a low one, so that they meet.
pub(crate) fn packet_id(u: &mut Unstructured<'_>) -> Result<PacketId> {
    let id = if u.ratio(7, 8)? { u.int_in_range(1..=8)? } else { u.arbitrary::<NonZeroU16>()?.get() };
    Ok(PacketId::new(id).unwrap_or(PacketId::from_sequence(0)))
}

fn subscription_id(u: &mut Unstructured<'_>) -> Result<u32> {
    match u.int_in_range(0..=4)? {
        0 => Ok(127),
        1 => Ok(128),
        2 => Ok(268_435_455),
        3 => u.int_in_range(1..=268_435_455),
        _ => u.int_in_range(1..=4),
    }
}

/// A name that is one; often the same.
pub(crate) fn topic_name(u: &mut Unstructured<'_>) -> Result<TopicName> {
    let levels = levels(u)?.replace(['+', '#'], "-");
    Ok(TopicName::new(&levels).unwrap_or_else(|_| TopicName::new("t").expect("a name")))
}

/// A filter, or what was meant as one.
pub(crate) fn topic_filter(u: &mut Unstructured<'_>) -> Result<Text> {
    let share =
        if u.ratio(1, 8)? { *u.choose(&["$share/g/", "$share/h/", "$share/", "$share"])? } else { "" };
    Ok(Text::new(format!("{share}{}", levels(u)?)).unwrap_or_default())
}

fn levels(u: &mut Unstructured<'_>) -> Result<String> {
    let mut levels = (*u.choose(&LEVELS)?).to_owned();
    // Not so deep that a broker without limits of its own would refuse it.
    for _ in 1..100 {
        if !more(u, 1, 2)? {
            break;
        }
        levels.push('/');
        levels.push_str(u.choose(&LEVELS)?);
    }
    Ok(levels)
}

/// A short text, now and then of any characters.
pub(crate) fn text(u: &mut Unstructured<'_>) -> Result<Text> {
    if u.ratio(1, 8)? {
        return Ok(Text::new(u.arbitrary::<&str>()?).unwrap_or_default());
    }
    let text = u.choose(&["", "c", "text", "漢😀", "a text that is longer than what is copied inline"])?;
    Ok(Text::new(text).expect("a text"))
}

/// A payload: short, and now and then as large as what is shared instead of copied.
pub(crate) fn bytes(u: &mut Unstructured<'_>) -> Result<Bytes> {
    if u.ratio(1, 16)? {
        return Ok(Bytes::from(vec![b'L'; 4096 + usize::from(u.arbitrary::<u8>()?)]));
    }
    let len = u.int_in_range(0..=24)?;
    Ok(Bytes::copy_from_slice(u.bytes(len.min(u.len()))?))
}

/// Whether another one follows, `numerator` times in `denominator`; not when the bytes have run out, which is when
/// every ratio holds.
pub(crate) fn more(u: &mut Unstructured<'_>, numerator: u8, denominator: u8) -> Result<bool> {
    Ok(!u.is_empty() && u.ratio(numerator, denominator)?)
}

fn option<'a, T>(
    u: &mut Unstructured<'a>,
    make: impl FnOnce(&mut Unstructured<'a>) -> Result<T>,
) -> Result<Option<T>> {
    if u.arbitrary()? { make(u).map(Some) } else { Ok(None) }
}
