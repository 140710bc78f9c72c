//! Packets made comparable: other codecs write properties in an order of their own, which means nothing.

use karere_core::codec::{Packet, Properties, PropertyId};

/// The packet with its properties in the order of their identifiers; User Properties keep their own order.
pub(crate) fn normal(mut packet: Packet) -> Packet {
    let properties = match &mut packet {
        Packet::Connect(connect) => {
            if let Some(will) = &mut connect.will {
                will.message.properties = sorted(&will.message.properties);
            }
            &mut connect.properties
        }
        Packet::ConnAck(connack) => &mut connack.properties,
        Packet::Publish(publish) => &mut publish.message.properties,
        Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubRel(ack) | Packet::PubComp(ack) => {
            &mut ack.properties
        }
        Packet::Subscribe(subscribe) => &mut subscribe.properties,
        Packet::SubAck(suback) | Packet::UnsubAck(suback) => &mut suback.properties,
        Packet::Unsubscribe(unsubscribe) => &mut unsubscribe.properties,
        Packet::Disconnect(disconnect) => &mut disconnect.properties,
        Packet::Auth(auth) => &mut auth.properties,
        Packet::PingReq | Packet::PingResp => return packet,
    };
    *properties = sorted(properties);
    packet
}

fn sorted(properties: &Properties) -> Properties {
    let mut all: Vec<_> = properties.iter().collect();
    all.sort_by_key(
        |property| if property.id() == PropertyId::UserProperty { 0xFF } else { property.id().as_u8() },
    );
    Properties::from_properties(all).unwrap()
}
