//! SUBSCRIBE and UNSUBSCRIBE, their answers, and subscriptions made again.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use super::link::Phase;
use super::{Client, Event, SubscribeError};
use crate::Error;
use crate::codec::{
    Packet, PacketId, Properties, ReasonCode, SubAck, Subscribe, SubscribeOptions, Subscription, Unsubscribe,
};
use crate::time::Instant;
use crate::topic::TopicFilter;

/// How many filters go into one SUBSCRIBE that we make by ourselves.
const FILTERS_MAX: usize = 100;

/// The subscriptions to be made again when the server has lost the session.
pub(super) type Remembered = BTreeMap<TopicFilter, (SubscribeOptions, Option<u32>)>;

/// A SUBSCRIBE or UNSUBSCRIBE that is not answered.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) sequence: u64,
    kind: Kind,
    /// Sent on this connection.
    sent: bool,
}

#[derive(Debug)]
enum Kind {
    Subscribe(Subscribe),
    /// Made by ourselves, of what is remembered.
    Again(Subscribe),
    Unsubscribe(Unsubscribe),
}

impl Request {
    fn packet_id(&self) -> PacketId {
        PacketId::from_sequence(self.sequence)
    }

    /// What is said of it when it will not be answered.
    fn given_up(self) -> Event {
        let packet_id = self.packet_id();
        let Kind::Again(subscribe) = self.kind else { return Event::Unanswered { packet_id } };
        let filters = subscribe.subscriptions.into_iter();
        let filters = filters.filter_map(|each| TopicFilter::from_text(each.filter).ok());
        Event::Resubscribed { refused: filters.map(|filter| (filter, ReasonCode::PacketTooLarge)).collect() }
    }

    fn subscribes_to(&self) -> impl Iterator<Item = &str> {
        let subscriptions = match &self.kind {
            Kind::Subscribe(subscribe) | Kind::Again(subscribe) => subscribe.subscriptions.as_slice(),
            Kind::Unsubscribe(_) => &[],
        };
        subscriptions.iter().map(|subscription| subscription.filter.as_str())
    }

    fn packet(&self) -> Packet {
        match &self.kind {
            Kind::Subscribe(subscribe) | Kind::Again(subscribe) => Packet::Subscribe(subscribe.clone()),
            Kind::Unsubscribe(unsubscribe) => Packet::Unsubscribe(unsubscribe.clone()),
        }
    }
}

impl Client {
    /// Asks for subscriptions; [`Event::Subscribed`] brings the answer.
    ///
    /// Offline it waits for the connection if [`Options::resubscribe`](super::Options::resubscribe) is on. Options other than the QoS,
    /// `subscription_id` (1 to 268,435,455) and `properties` are version 5's.
    ///
    /// # Errors
    /// Each [`SubscribeError`]; nothing was changed then.
    pub fn subscribe(
        &mut self,
        now: Instant,
        subscriptions: &[Subscription],
        subscription_id: Option<u32>,
        properties: &Properties,
    ) -> Result<PacketId, SubscribeError> {
        for subscription in subscriptions {
            let filter = TopicFilter::from_text(subscription.filter.clone())?;
            self.check_filter(&filter, subscription.options, subscription_id)?;
        }
        let kind = |packet_id| {
            let subscriptions = subscriptions.to_vec();
            Kind::Subscribe(Subscribe {
                packet_id,
                subscriptions,
                subscription_id,
                properties: properties.clone(),
            })
        };
        self.request(now, subscriptions.len(), kind)
    }

    /// Ends subscriptions; [`Event::Unsubscribed`] brings the answer.
    ///
    /// # Errors
    /// Each [`SubscribeError`]; nothing was changed then.
    pub fn unsubscribe(
        &mut self,
        now: Instant,
        filters: &[TopicFilter],
        properties: &Properties,
    ) -> Result<PacketId, SubscribeError> {
        let kind = |packet_id| {
            let filters = filters.iter().map(|filter| filter.as_text().clone()).collect();
            Kind::Unsubscribe(Unsubscribe { packet_id, filters, properties: properties.clone() })
        };
        let packet_id = self.request(now, filters.len(), kind)?;
        for filter in filters {
            self.remembered.remove(filter);
        }
        Ok(packet_id)
    }

    fn request(
        &mut self,
        now: Instant,
        filters: usize,
        kind: impl FnOnce(PacketId) -> Kind,
    ) -> Result<PacketId, SubscribeError> {
        if filters == 0 {
            return Err(SubscribeError::Empty);
        }
        let connected = self.link.is_taking() && self.forgetting.is_none();
        if !self.link.is_taking() && !self.options.resubscribe {
            return Err(SubscribeError::NotConnected);
        }
        let before = self.sequence;
        let (sequence, packet_id) = self.next_packet_id().ok_or(SubscribeError::PacketIdsExhausted)?;
        let request = Request { sequence, kind: kind(packet_id), sent: connected };
        let packet = request.packet();
        let max = if connected { self.link.server.maximum_packet_size } else { usize::MAX };
        let fits = match packet.encoded_len(self.version()) {
            Ok(len) if len > max => Err(SubscribeError::TooLarge { len, max }),
            Ok(_) => Ok(()),
            Err(error) => Err(error.into()),
        };
        if let Err(error) = fits {
            self.sequence = before;
            return Err(error);
        }
        if connected {
            self.send(now, &packet);
        }
        self.requests.push_back(request);
        Ok(packet_id)
    }

    fn check_filter(
        &self,
        filter: &TopicFilter,
        options: SubscribeOptions,
        subscription_id: Option<u32>,
    ) -> Result<(), SubscribeError> {
        if options.no_local && filter.share().is_some() {
            return Err(SubscribeError::NoLocalShared); // [MQTT-3.8.3-4]
        }
        if self.link.phase != Phase::Connected {
            return Ok(());
        }
        let server = &self.link.server;
        let lacks = [
            (filter.share().is_some() && !server.shared, "shared subscriptions"),
            (filter.is_wildcard() && !server.wildcards, "wildcard subscriptions"),
            (subscription_id.is_some() && !server.subscription_ids, "subscription identifiers"),
        ];
        lacks
            .into_iter()
            .find(|(lacks, _)| *lacks)
            .map_or(Ok(()), |(_, what)| Err(SubscribeError::NotSupported(what)))
    }

    pub(super) fn on_suback(&mut self, suback: SubAck) -> Result<(), Error> {
        let granted = suback.reasons.len();
        let request = self.take_request(suback.packet_id, |kind| match kind {
            Kind::Subscribe(subscribe) | Kind::Again(subscribe) => subscribe.subscriptions.len() == granted, // [MQTT-3.8.4-6]
            Kind::Unsubscribe(_) => false,
        })?;
        let Some(request) = request else {
            if self.options.unasked_answers {
                let SubAck { packet_id, reasons, properties } = suback;
                self.events.push_back(Event::Subscribed { packet_id, reasons, properties });
            }
            return Ok(());
        };
        let (subscribe, again) = match request.kind {
            Kind::Subscribe(subscribe) => (subscribe, false),
            Kind::Again(subscribe) => (subscribe, true),
            Kind::Unsubscribe(_) => return Ok(()),
        };
        let refused = self.remember(subscribe, &suback.reasons);
        self.events.push_back(match again {
            true => Event::Resubscribed { refused },
            false => {
                let SubAck { packet_id, reasons, properties } = suback;
                Event::Subscribed { packet_id, reasons, properties }
            }
        });
        Ok(())
    }

    pub(super) fn on_unsuback(&mut self, unsuback: SubAck) -> Result<(), Error> {
        let (v5, ended) = (self.version().is_v5(), unsuback.reasons.len());
        let request = self.take_request(unsuback.packet_id, |kind| match kind {
            Kind::Unsubscribe(unsubscribe) => ended == if v5 { unsubscribe.filters.len() } else { 0 },
            Kind::Subscribe(_) | Kind::Again(_) => false,
        })?;
        let SubAck { packet_id, reasons, properties } = unsuback;
        let Some(Request { kind: Kind::Unsubscribe(unsubscribe), .. }) = request else {
            if self.options.unasked_answers {
                self.events.push_back(Event::Unsubscribed { packet_id, reasons, properties });
            }
            return Ok(());
        };
        for (index, filter) in unsubscribe.filters.into_iter().enumerate() {
            // Again: a SUBSCRIBE before it may have been answered since.
            if let (false, Ok(filter)) =
                (reasons.get(index).is_some_and(|reason| reason.is_error()), TopicFilter::from_text(filter))
            {
                self.remembered.remove(&filter);
            }
        }
        self.events.push_back(Event::Unsubscribed { packet_id, reasons, properties });
        Ok(())
    }

    /// The request that is answered; none when it is unknown, an error when the answer does not fit: then the
    /// request stays, to be asked again or reported as unanswered.
    fn take_request(
        &mut self,
        packet_id: PacketId,
        fits: impl FnOnce(&Kind) -> bool,
    ) -> Result<Option<Request>, Error> {
        let Some(index) = self.requests.iter().position(|request| request.packet_id() == packet_id) else {
            return Ok(None);
        };
        if !self.requests.get(index).is_some_and(|request| fits(&request.kind)) {
            return Err(Error::protocol(
                "the answer to another kind or number of filters than was asked for",
            ));
        }
        Ok(self.requests.remove(index))
    }

    /// Remembers what was granted; returns what was refused.
    fn remember(&mut self, subscribe: Subscribe, reasons: &[ReasonCode]) -> Vec<(TopicFilter, ReasonCode)> {
        let mut refused = Vec::new();
        for (subscription, reason) in subscribe.subscriptions.into_iter().zip(reasons) {
            let Ok(filter) = TopicFilter::from_text(subscription.filter) else { continue };
            if reason.is_error() {
                self.remembered.remove(&filter);
                refused.push((filter, *reason));
            } else if self.options.resubscribe {
                self.remembered.insert(filter, (subscription.options, subscribe.subscription_id));
            }
        }
        refused
    }

    /// Asks again for what the server has forgotten, in as few packets as fit.
    pub(super) fn subscribe_again(&mut self) {
        self.requests.retain(|request| !matches!(request.kind, Kind::Again(_)));
        let asked: BTreeSet<&str> = self.requests.iter().flat_map(Request::subscribes_to).collect();
        let mut by_id: BTreeMap<Option<u32>, Vec<Subscription>> = BTreeMap::new();
        for (filter, (options, subscription_id)) in &self.remembered {
            if asked.contains(filter.as_str()) {
                continue; // with options of its own, which these must not overtake
            }
            let subscription = Subscription { filter: filter.as_text().clone(), options: *options };
            by_id.entry(*subscription_id).or_default().push(subscription);
        }
        for (subscription_id, subscriptions) in by_id {
            for some in self.in_packets(&subscriptions) {
                let Some((sequence, packet_id)) = self.next_packet_id() else { return };
                let properties = Properties::EMPTY;
                let subscribe = Subscribe { packet_id, subscriptions: some, subscription_id, properties };
                self.requests.push_back(Request { sequence, kind: Kind::Again(subscribe), sent: false });
            }
        }
    }

    /// Splits subscriptions so that each packet is below the server's Maximum Packet Size.
    fn in_packets(&self, subscriptions: &[Subscription]) -> Vec<Vec<Subscription>> {
        /// Fixed header, packet identifier, properties: at most.
        const HEAD_BYTES_MAX: usize = 16;
        let max = self.link.server.maximum_packet_size;
        let mut packets: Vec<Vec<Subscription>> = Vec::new();
        let mut bytes = 0;
        for subscription in subscriptions {
            let len = subscription.filter.len() + 3;
            match packets.last_mut() {
                Some(packet) if packet.len() < FILTERS_MAX && bytes + len <= max => {
                    packet.push(subscription.clone());
                }
                _ => {
                    bytes = HEAD_BYTES_MAX;
                    packets.push(alloc::vec![subscription.clone()]);
                }
            }
            bytes += len;
        }
        packets
    }

    /// Sends the requests that this connection has not seen, and gives up those that its server cannot take.
    pub(super) fn send_requests(&mut self, now: Instant) {
        let (version, max) = (self.link.version, self.link.server.maximum_packet_size);
        for mut request in core::mem::take(&mut self.requests) {
            if !core::mem::replace(&mut request.sent, true) {
                let packet = request.packet();
                if !packet.encoded_len(version).is_ok_and(|len| len <= max) {
                    self.events.push_back(request.given_up());
                    continue;
                }
                self.send(now, &packet);
            }
            self.requests.push_back(request);
        }
    }

    /// The connection has gone: what was asked for is asked again, or will not be answered.
    pub(super) fn put_requests_back(&mut self) {
        if self.options.resubscribe {
            return self.requests.iter_mut().for_each(|request| request.sent = false);
        }
        for request in core::mem::take(&mut self.requests) {
            self.events.push_back(request.given_up());
        }
    }
}
