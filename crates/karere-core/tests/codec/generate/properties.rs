//! Generators of blocks of properties.

use bytes::Bytes;
use karere_core::{
    Text,
    codec::{Properties, Property, PropertyId, PropertyOwner, QoS},
    topic::TopicName,
};
use proptest::{collection::vec, prelude::*, sample};

use super::{bytes, text, topic_name};

/// Some of what `owner` may carry, in any order, and up to three User Properties.
pub(crate) fn properties(owner: PropertyOwner) -> impl Strategy<Value = Properties> {
    let allowed: Vec<_> = PropertyId::ALL.iter().copied().filter(|id| id.allowed_in(owner)).collect();
    let len = allowed.len();
    let some = sample::subsequence(allowed, 0..=len).prop_shuffle();
    let user = vec((text(6), text(6)), 0..3);
    prop_oneof![
        1 => Just(Properties::EMPTY),
        3 => (some, vec(value(), len), user).prop_map(|(ids, values, user)| {
            let once = ids.iter().zip(&values).map(|(&id, value)| value.of(id));
            let user = user.iter().map(|(name, value)| Property::UserProperty(name, value));
            Properties::from_properties(once.chain(user)).unwrap()
        }),
    ]
}

/// A value for any property.
#[derive(Debug, Clone)]
struct Value {
    flag: bool,
    number: u32,
    name: TopicName,
    text: Text,
    bytes: Bytes,
}

fn value() -> impl Strategy<Value = Value> {
    (any::<bool>(), 1..=268_435_455_u32, topic_name(), text(9), bytes(9))
        .prop_map(|(flag, number, name, text, bytes)| Value { flag, number, name, text, bytes })
}

impl Value {
    fn of(&self, id: PropertyId) -> Property<'_> {
        let text = self.text.as_str();
        let small = (self.number % 65_535) as u16 + 1;
        match id {
            PropertyId::PayloadFormatIndicator => Property::PayloadFormatIndicator(self.flag),
            PropertyId::MessageExpiryInterval => Property::MessageExpiryInterval(self.number),
            PropertyId::ContentType => Property::ContentType(text),
            PropertyId::ResponseTopic => Property::ResponseTopic(self.name.as_str()),
            PropertyId::CorrelationData => Property::CorrelationData(&self.bytes),
            PropertyId::SubscriptionIdentifier => Property::SubscriptionIdentifier(self.number),
            PropertyId::SessionExpiryInterval => Property::SessionExpiryInterval(self.number),
            PropertyId::AssignedClientIdentifier => Property::AssignedClientIdentifier(text),
            PropertyId::ServerKeepAlive => Property::ServerKeepAlive(small),
            PropertyId::AuthenticationMethod => Property::AuthenticationMethod(text),
            PropertyId::AuthenticationData => Property::AuthenticationData(&self.bytes),
            PropertyId::RequestProblemInformation => Property::RequestProblemInformation(self.flag),
            PropertyId::WillDelayInterval => Property::WillDelayInterval(self.number),
            PropertyId::RequestResponseInformation => Property::RequestResponseInformation(self.flag),
            PropertyId::ResponseInformation => Property::ResponseInformation(text),
            PropertyId::ServerReference => Property::ServerReference(text),
            PropertyId::ReasonString => Property::ReasonString(text),
            PropertyId::ReceiveMaximum => Property::ReceiveMaximum(small),
            PropertyId::TopicAliasMaximum => Property::TopicAliasMaximum(small),
            PropertyId::TopicAlias => Property::TopicAlias(small),
            PropertyId::MaximumQoS => {
                Property::MaximumQoS(if self.flag { QoS::AtLeastOnce } else { QoS::AtMostOnce })
            }
            PropertyId::RetainAvailable => Property::RetainAvailable(self.flag),
            PropertyId::UserProperty => Property::UserProperty(text, self.name.as_str()),
            PropertyId::MaximumPacketSize => Property::MaximumPacketSize(self.number),
            PropertyId::WildcardSubscriptionAvailable => Property::WildcardSubscriptionAvailable(self.flag),
            PropertyId::SubscriptionIdentifierAvailable => {
                Property::SubscriptionIdentifierAvailable(self.flag)
            }
            PropertyId::SharedSubscriptionAvailable => Property::SharedSubscriptionAvailable(self.flag),
        }
    }
}

/// A valid property with this identifier.
pub(crate) fn example(id: PropertyId) -> Properties {
    let value = Value {
        flag: true,
        number: 7,
        name: TopicName::new("a/b").unwrap(),
        text: Text::new("text").unwrap(),
        bytes: Bytes::from_static(&[1, 2]),
    };
    Properties::from_properties([value.of(id)]).unwrap()
}
