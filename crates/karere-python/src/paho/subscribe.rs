//! SUBSCRIBE and UNSUBSCRIBE, whose arguments Python has checked.

use karere_core::Text;
use karere_core::client::SubscribeError;
use karere_core::codec::{
    PacketId, PacketType, Properties, PropertyId, PropertyOwner, SubscribeOptions, Subscription,
};
use karere_core::topic::TopicFilter;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use super::base::PahoBase;
use super::convert::{self, rc};
use super::state::{Inner, State};
use super::turn;

/// An `MQTTErrorCode` and the number of the request.
pub(super) type Asked = (i32, Option<u16>);

/// Asks for filters with the byte of their options: `(rc, mid)`.
pub(super) fn subscribe(
    slf: &Bound<'_, PahoBase>,
    filters: Vec<(Vec<u8>, u8)>,
    properties: Option<&Bound<'_, PyAny>>,
) -> PyResult<Asked> {
    let inner = slf.get().inner();
    let subscriptions = filters.into_iter().map(subscription).collect::<PyResult<Vec<_>>>()?;
    let properties = convert::packed(properties, PropertyOwner::Packet(PacketType::Subscribe))?;
    let id = properties.subscription_identifier();
    let properties = properties.without(&[PropertyId::SubscriptionIdentifier]);
    let asked = ask(&inner, |state| state.core.subscribe(inner.now(), &subscriptions, id, &properties));
    finish(slf, &inner, asked)
}

/// Ends subscriptions: `(rc, mid)`.
pub(super) fn unsubscribe(
    slf: &Bound<'_, PahoBase>,
    filters: Vec<Vec<u8>>,
    properties: Option<&Bound<'_, PyAny>>,
) -> PyResult<Asked> {
    let inner = slf.get().inner();
    let filters = filters.into_iter().map(filter_of).collect::<PyResult<Vec<_>>>()?;
    let properties: Properties = convert::packed(properties, PropertyOwner::Packet(PacketType::Unsubscribe))?;
    let asked = ask(&inner, |state| state.core.unsubscribe(inner.now(), &filters, &properties));
    finish(slf, &inner, asked)
}

fn ask(
    inner: &Inner,
    verb: impl FnOnce(&mut State) -> Result<PacketId, SubscribeError>,
) -> Result<PacketId, SubscribeError> {
    let mut state = inner.state();
    let asked = verb(&mut state);
    inner.collect(&mut state);
    let asleep = inner.is(&inner.flags.threaded) && std::mem::take(&mut state.sleeping);
    drop(state);
    inner.wake_if(asleep);
    asked
}

fn finish(
    slf: &Bound<'_, PahoBase>,
    inner: &Inner,
    asked: Result<PacketId, SubscribeError>,
) -> PyResult<Asked> {
    let id = match asked {
        Ok(id) => id.get(),
        Err(SubscribeError::NotConnected) => return Ok((rc::NO_CONN, None)),
        Err(SubscribeError::PacketIdsExhausted) => return Ok((rc::QUEUE_SIZE, None)),
        Err(SubscribeError::NotSupported(_)) => return Ok((rc::NOT_SUPPORTED, None)),
        Err(SubscribeError::TooLarge { .. }) => return Ok((rc::PAYLOAD_SIZE, None)),
        Err(error) => return Err(PyValueError::new_err(error.to_string())),
    };
    Ok((turn::flush(slf, inner)?, Some(id)))
}

fn subscription((filter, bits): (Vec<u8>, u8)) -> PyResult<Subscription> {
    let options = SubscribeOptions::from_bits(bits)
        .ok_or_else(|| PyValueError::new_err("Invalid subscription options."))?;
    Ok(Subscription { filter: text(filter)?, options })
}

fn filter_of(filter: Vec<u8>) -> PyResult<TopicFilter> {
    TopicFilter::from_text(text(filter)?).map_err(|error| PyValueError::new_err(error.to_string()))
}

fn text(bytes: Vec<u8>) -> PyResult<Text> {
    Text::from_bytes(bytes.into()).map_err(|error| PyValueError::new_err(error.to_string()))
}
