//! What is subscribed to.

use karere_core::codec;
use karere_core::topic::{TopicError, TopicFilter};

use crate::{Properties, QoS, RetainHandling, SubscribeOptions};

/// What to subscribe to, and how.
///
/// What takes one takes a filter (at QoS 0), `(filter, qos)`, and an array, slice or vector of such pairs as well.
/// Filters are looked at when it is used.
///
/// ```
/// use karere::{QoS, RetainHandling, Subscribe};
///
/// let plain: Subscribe = ("iot/#", QoS::AtLeastOnce).into();
/// let several: Subscribe = [("iot/+/temp", QoS::AtMostOnce), ("alarm", QoS::ExactlyOnce)].into();
/// let careful = Subscribe::new("iot/#").qos(QoS::AtLeastOnce).retain_handling(RetainHandling::DoNotSend);
/// ```
#[derive(Debug, Clone)]
pub struct Subscribe {
    /// Filters with their options.
    pub filters: Vec<(String, SubscribeOptions)>,
    /// The Subscription Identifier, version 5; none.
    pub subscription_id: Option<u32>,
    /// User properties, version 5.
    pub properties: Properties,
}

impl Subscribe {
    /// To `filter` at QoS 0.
    #[must_use]
    pub fn new(filter: impl Into<String>) -> Self {
        Self {
            filters: vec![(filter.into(), SubscribeOptions::default())],
            subscription_id: None,
            properties: Properties::EMPTY,
        }
    }

    /// And to `filter`, at `qos`.
    #[must_use]
    pub fn and(self, filter: impl Into<String>, qos: QoS) -> Self {
        self.and_with(filter, SubscribeOptions::new(qos))
    }

    /// And to `filter`, with `options`.
    #[must_use]
    pub fn and_with(mut self, filter: impl Into<String>, options: SubscribeOptions) -> Self {
        self.filters.push((filter.into(), options));
        self
    }

    /// The last filter at this QoS.
    #[must_use]
    pub fn qos(self, qos: QoS) -> Self {
        self.last(|options| options.qos = qos)
    }

    /// The last filter with these options.
    #[must_use]
    pub fn options(self, new: SubscribeOptions) -> Self {
        self.last(|options| *options = new)
    }

    /// The last filter without what we publish ourselves (version 5).
    #[must_use]
    pub fn no_local(self, on: bool) -> Self {
        self.last(|options| options.no_local = on)
    }

    /// The last filter with RETAIN as it was published (version 5).
    #[must_use]
    pub fn retain_as_published(self, on: bool) -> Self {
        self.last(|options| options.retain_as_published = on)
    }

    /// Which retained messages the last filter brings (version 5).
    #[must_use]
    pub fn retain_handling(self, handling: RetainHandling) -> Self {
        self.last(|options| options.retain_handling = handling)
    }

    /// With this Subscription Identifier (version 5), from 1 to 268,435,455.
    #[must_use]
    pub fn subscription_id(self, id: u32) -> Self {
        Self { subscription_id: Some(id), ..self }
    }

    /// With these user properties (version 5).
    #[must_use]
    pub fn properties(self, properties: Properties) -> Self {
        Self { properties, ..self }
    }

    fn last(mut self, change: impl FnOnce(&mut SubscribeOptions)) -> Self {
        if let Some((_, options)) = self.filters.last_mut() {
            change(options);
        }
        self
    }

    /// The filters as the protocol has them.
    pub(crate) fn checked(&self) -> Result<Vec<codec::Subscription>, TopicError> {
        let checked = |(filter, options): &(String, SubscribeOptions)| {
            let filter = TopicFilter::new(filter)?.as_text().clone();
            Ok(codec::Subscription { filter, options: *options })
        };
        self.filters.iter().map(checked).collect()
    }
}

impl From<&str> for Subscribe {
    fn from(filter: &str) -> Self {
        Self::new(filter)
    }
}

impl From<String> for Subscribe {
    fn from(filter: String) -> Self {
        Self::new(filter)
    }
}

impl<S: Into<String>> From<(S, QoS)> for Subscribe {
    fn from((filter, qos): (S, QoS)) -> Self {
        Self::new(filter).qos(qos)
    }
}

impl<S: Into<String>> From<(S, SubscribeOptions)> for Subscribe {
    fn from((filter, options): (S, SubscribeOptions)) -> Self {
        Self::new(filter).options(options)
    }
}

impl<S: Into<String>> From<Vec<(S, QoS)>> for Subscribe {
    fn from(filters: Vec<(S, QoS)>) -> Self {
        let filters =
            filters.into_iter().map(|(filter, qos)| (filter.into(), SubscribeOptions::new(qos))).collect();
        Self { filters, subscription_id: None, properties: Properties::EMPTY }
    }
}

impl<const N: usize> From<[(&str, QoS); N]> for Subscribe {
    fn from(filters: [(&str, QoS); N]) -> Self {
        Vec::from(filters).into()
    }
}

impl From<&[(&str, QoS)]> for Subscribe {
    fn from(filters: &[(&str, QoS)]) -> Self {
        filters.to_vec().into()
    }
}

/// What to unsubscribe from: a filter, or several.
#[derive(Debug, Clone)]
pub struct Unsubscribe {
    /// The filters.
    pub filters: Vec<String>,
    /// User properties, version 5.
    pub properties: Properties,
}

impl Unsubscribe {
    /// From these filters.
    #[must_use]
    pub fn new(filters: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { filters: filters.into_iter().map(Into::into).collect(), properties: Properties::EMPTY }
    }

    pub(crate) fn checked(&self) -> Result<Vec<TopicFilter>, TopicError> {
        self.filters.iter().map(|filter| TopicFilter::new(filter)).collect()
    }
}

impl From<&str> for Unsubscribe {
    fn from(filter: &str) -> Self {
        Self::new([filter])
    }
}

impl From<String> for Unsubscribe {
    fn from(filter: String) -> Self {
        Self::new([filter])
    }
}

impl From<&[&str]> for Unsubscribe {
    fn from(filters: &[&str]) -> Self {
        Self::new(filters.iter().copied())
    }
}

impl<const N: usize> From<[&str; N]> for Unsubscribe {
    fn from(filters: [&str; N]) -> Self {
        Self::new(filters)
    }
}

impl From<Vec<String>> for Unsubscribe {
    fn from(filters: Vec<String>) -> Self {
        Self::new(filters)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_change_the_filter_before_them() {
        let request = Subscribe::new("a").qos(QoS::ExactlyOnce).and("b", QoS::AtLeastOnce).no_local(true);
        let options: Vec<_> =
            request.filters.iter().map(|(_, options)| (options.qos, options.no_local)).collect();
        assert_eq!(options, [(QoS::ExactlyOnce, false), (QoS::AtLeastOnce, true)]);
    }

    #[test]
    fn a_filter_that_is_none_is_found_when_it_is_used() {
        assert!(Subscribe::from([("a/#", QoS::AtMostOnce), ("a/#/b", QoS::AtMostOnce)]).checked().is_err());
        assert!(Unsubscribe::from("a+").checked().is_err());
        assert_eq!(Unsubscribe::from(["a", "b"]).checked().unwrap().len(), 2);
    }
}
