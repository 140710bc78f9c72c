//! The application's calls.

use arbitrary::{Result, Unstructured};
use bytes::Bytes;
use karere_core::{
    client::{Outgoing, Payload, PublishError},
    codec::{PacketId, PacketType, PropertyOwner, QoS, ReasonCode},
    topic::TopicFilter,
};

use super::World;
use crate::packets;

impl World {
    pub(super) fn publish(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let version = self.version();
        let qos = packets::qos(u)?;
        let topic =
            if u.ratio(1, 16)? { u.arbitrary::<&str>()?.into() } else { packets::topic_name(u)?.to_string() };
        // The number comes first, so that the server can tell the order.
        self.published += 1;
        let mut payload = self.published.to_be_bytes().to_vec();
        payload.extend_from_slice(&packets::bytes(u)?);
        let shared = Bytes::from(payload.clone());
        let properties = packets::properties(u, PropertyOwner::Message, version)?;
        let expiry = if version.is_v5() && u.ratio(1, 4)? { Some(u.int_in_range(0..=3)?) } else { None };
        let topic_alias = if version.is_v5() && u.ratio(1, 8)? { u.arbitrary()? } else { None };
        let known = topic_alias.is_some_and(|alias| self.server.knows_alias(alias)) && u.arbitrary()?;
        // An alias alone that was never set is the application's mistake, and the server's to find.
        let topic_alias = topic_alias.filter(|_| known || !topic.is_empty());
        let outgoing = Outgoing {
            topic: if known { "" } else { &topic },
            payload: if u.arbitrary()? { Payload::Shared(&shared) } else { Payload::Borrowed(&payload) },
            retain: u.arbitrary()?,
            expiry,
            topic_alias,
            properties: &properties,
            tracked: u.arbitrary()?,
            ..Outgoing::new("", &[]).qos(qos)
        };
        self.publish_outgoing(outgoing);
        Ok(())
    }

    fn publish_outgoing(&mut self, outgoing: Outgoing<'_>) {
        let before = (self.client.queued(), self.client.inflight(), self.client.outbox_bytes());
        let numbered = outgoing.qos > QoS::AtMostOnce || outgoing.tracked;
        match self.client.publish(self.now, outgoing) {
            Ok(packet_id) => {
                assert_eq!(packet_id.is_some(), numbered);
                self.settle_dropped_before(packet_id);
            }
            // The queue may have made room in vain.
            Err(PublishError::Full { .. }) => {}
            Err(_) => {
                let after = (self.client.queued(), self.client.inflight(), self.client.outbox_bytes());
                assert_eq!(after, before, "nothing was changed");
            }
        }
    }

    /// What made room for a message was dropped before it was taken, and may have had its identifier.
    fn settle_dropped_before(&mut self, packet_id: Option<PacketId>) {
        self.settle_events();
        let Some(packet_id) = packet_id else { return };
        assert!(self.awaited.insert(packet_id), "{packet_id} is in use");
    }

    pub(super) fn subscribe(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let mut subscribe = packets::subscribe(u, self.version())?;
        if u.ratio(1, 16)? {
            subscribe.subscriptions.clear();
        }
        let (subscriptions, properties) = (&subscribe.subscriptions, &subscribe.properties);
        let result = self.client.subscribe(self.now, subscriptions, subscribe.subscription_id, properties);
        if let Ok(packet_id) = result {
            assert!(self.awaited.insert(packet_id), "{packet_id} is in use");
        }
        Ok(())
    }

    pub(super) fn unsubscribe(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let mut filters = Vec::new();
        while packets::more(u, 2, 3)? {
            filters.extend(TopicFilter::from_text(packets::topic_filter(u)?));
        }
        let owner = PropertyOwner::Packet(PacketType::Unsubscribe);
        let properties = packets::properties(u, owner, self.version())?;
        if let Ok(packet_id) = self.client.unsubscribe(self.now, &filters, &properties) {
            assert!(self.awaited.insert(packet_id), "{packet_id} is in use");
        }
        Ok(())
    }

    /// In any order, now and then twice, and now and then too late.
    pub(super) fn acknowledge(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        if self.tokens.is_empty() {
            return Ok(());
        }
        let index = u.choose_index(self.tokens.len())?;
        let token = if u.ratio(7, 8)? { self.tokens.remove(index) } else { self.tokens[index] };
        let refused = self.version().is_v5() && u.ratio(1, 8)?;
        let reason = if refused { ReasonCode::NotAuthorized } else { ReasonCode::Success };
        self.server.on_acknowledged(token);
        self.client.acknowledge(self.now, token, reason);
        Ok(())
    }

    pub(super) fn acknowledge_all(&mut self) {
        for token in std::mem::take(&mut self.tokens) {
            self.server.on_acknowledged(token);
            self.client.acknowledge(self.now, token, ReasonCode::Success);
        }
    }

    pub(super) fn change_options(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let options = super::limits(u, self.client.options().clone())?;
        self.client.set_options(options);
        Ok(())
    }
}
