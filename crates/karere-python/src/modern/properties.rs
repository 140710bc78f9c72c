//! `karere.Properties`: the properties of version 5.

use std::borrow::Cow;
use std::hash::{Hash, Hasher};

use karere_core::codec::{self, EncodeError, Message, Property, QoS};
use karere_core::topic::TopicName;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString, PyTuple};

use super::enums;

/// The properties of a version 5 packet or message (section 2.2.2), under the specification's names.
///
/// Immutable. Those that are not there are None; user properties are a tuple of pairs, in their order.
///
///     Properties(content_type="application/json", user_properties=[("room", "kitchen")])
#[pyclass(frozen, eq, hash, module = "karere")]
pub(super) struct Properties(codec::Properties);

/// Their order says nothing, but among user properties.
impl PartialEq for Properties {
    fn eq(&self, other: &Self) -> bool {
        self.0.len() == other.0.len() && self.sorted() == other.sorted()
    }
}

impl Eq for Properties {}

impl Hash for Properties {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for property in self.sorted() {
            property.id().hash(state);
        }
        self.0.len().hash(state);
    }
}

impl From<codec::Properties> for Properties {
    fn from(block: codec::Properties) -> Self {
        Self(block)
    }
}

impl Properties {
    fn sorted(&self) -> Vec<Property<'_>> {
        let mut all: Vec<_> = self.0.iter().collect();
        all.sort_by_key(Property::id);
        all
    }

    /// The block without what is a field of its own in a message: the Message Expiry Interval and the Topic Alias.
    pub(super) fn lifted(&self) -> (codec::Properties, Option<u32>, Option<u16>) {
        let ids = [codec::PropertyId::MessageExpiryInterval, codec::PropertyId::TopicAlias];
        (self.0.without(&ids), self.0.message_expiry_interval(), self.0.topic_alias())
    }

    pub(super) fn block(&self) -> &codec::Properties {
        &self.0
    }

    /// What a message carries, its expiry among them.
    pub(super) fn of_message(message: &Message) -> Self {
        let mut builder = codec::Properties::builder();
        builder.append(&message.properties);
        if let Some(seconds) = message.expiry {
            let _ = builder.push(Property::MessageExpiryInterval(seconds)); // a number always fits
        }
        Self(builder.build())
    }
}

/// The block of properties that a call was given; empty for None.
pub(super) fn block(properties: Option<&Bound<'_, Properties>>) -> codec::Properties {
    properties.map_or(codec::Properties::EMPTY, |properties| properties.get().0.clone())
}

#[pymethods]
impl Properties {
    #[new]
    #[pyo3(
        signature = (**values),
        text_signature = "(*, payload_format_indicator=None, message_expiry_interval=None, content_type=None, \
            response_topic=None, correlation_data=None, subscription_identifier=None, \
            session_expiry_interval=None, assigned_client_identifier=None, server_keep_alive=None, \
            authentication_method=None, authentication_data=None, request_problem_information=None, \
            will_delay_interval=None, request_response_information=None, response_information=None, \
            server_reference=None, reason_string=None, receive_maximum=None, topic_alias_maximum=None, \
            topic_alias=None, maximum_qos=None, retain_available=None, user_properties=(), \
            maximum_packet_size=None, wildcard_subscription_available=None, \
            subscription_identifier_available=None, shared_subscription_available=None)"
    )]
    fn new(values: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        let mut builder = codec::Properties::builder();
        for (name, value) in values.into_iter().flatten() {
            let name = name.cast::<PyString>()?;
            if !value.is_none() {
                push(&mut builder, &name.to_cow()?, &value)?;
            }
        }
        Ok(Self(builder.build()))
    }

    /// Whether the payload is UTF-8 text.
    #[getter]
    fn payload_format_indicator(&self) -> Option<bool> {
        self.0.payload_format_indicator()
    }

    /// Seconds that the message is worth keeping.
    #[getter]
    fn message_expiry_interval(&self) -> Option<u32> {
        self.0.message_expiry_interval()
    }

    /// What the payload is, mostly a MIME type.
    #[getter]
    fn content_type(&self) -> Option<&str> {
        self.0.content_type()
    }

    /// The topic for a response.
    #[getter]
    fn response_topic(&self) -> Option<&str> {
        self.0.response_topic()
    }

    /// Tells the requester which request a response is for.
    #[getter]
    fn correlation_data<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        self.0.correlation_data().map(|data| PyBytes::new(py, data))
    }

    /// The first Subscription Identifier.
    #[getter]
    fn subscription_identifier(&self) -> Option<u32> {
        self.0.subscription_identifier()
    }

    /// Seconds that the session outlives the connection.
    #[getter]
    fn session_expiry_interval(&self) -> Option<u32> {
        self.0.session_expiry_interval()
    }

    /// The Client Identifier that the server gave.
    #[getter]
    fn assigned_client_identifier(&self) -> Option<&str> {
        self.0.assigned_client_identifier()
    }

    /// The server's Keep Alive in seconds, in the place of the client's.
    #[getter]
    fn server_keep_alive(&self) -> Option<u16> {
        self.0.server_keep_alive()
    }

    /// The method of enhanced authentication.
    #[getter]
    fn authentication_method(&self) -> Option<&str> {
        self.0.authentication_method()
    }

    /// The data of enhanced authentication.
    #[getter]
    fn authentication_data<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        self.0.authentication_data().map(|data| PyBytes::new(py, data))
    }

    /// Whether Reason Strings are wanted.
    #[getter]
    fn request_problem_information(&self) -> Option<bool> {
        self.0.request_problem_information()
    }

    /// Seconds that the server waits with the Will.
    #[getter]
    fn will_delay_interval(&self) -> Option<u32> {
        self.0.will_delay_interval()
    }

    /// Whether Response Information is wanted.
    #[getter]
    fn request_response_information(&self) -> Option<bool> {
        self.0.request_response_information()
    }

    /// What to make a response topic from.
    #[getter]
    fn response_information(&self) -> Option<&str> {
        self.0.response_information()
    }

    /// Another server to use.
    #[getter]
    fn server_reference(&self) -> Option<&str> {
        self.0.server_reference()
    }

    /// Why, for people to read.
    #[getter]
    fn reason_string(&self) -> Option<&str> {
        self.0.reason_string()
    }

    /// How many unacknowledged messages the sender takes.
    #[getter]
    fn receive_maximum(&self) -> Option<u16> {
        self.0.receive_maximum()
    }

    /// The highest topic alias that the sender takes.
    #[getter]
    fn topic_alias_maximum(&self) -> Option<u16> {
        self.0.topic_alias_maximum()
    }

    /// The topic alias.
    #[getter]
    fn topic_alias(&self) -> Option<u16> {
        self.0.topic_alias()
    }

    /// The highest QoS that the server takes.
    #[getter]
    fn maximum_qos(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        self.0.maximum_qos().map(|qos| enums::qos(py, qos)).transpose()
    }

    /// Whether the server keeps retained messages.
    #[getter]
    fn retain_available(&self) -> Option<bool> {
        self.0.retain_available()
    }

    /// The user properties, names and values, in their order.
    #[getter]
    fn user_properties<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.0.user_properties().collect::<Vec<_>>())
    }

    /// Bytes of the largest packet that the sender takes.
    #[getter]
    fn maximum_packet_size(&self) -> Option<u32> {
        self.0.maximum_packet_size()
    }

    /// Whether the server has wildcard subscriptions.
    #[getter]
    fn wildcard_subscription_available(&self) -> Option<bool> {
        self.0.wildcard_subscription_available()
    }

    /// Whether the server has Subscription Identifiers.
    #[getter]
    fn subscription_identifier_available(&self) -> Option<bool> {
        self.0.subscription_identifier_available()
    }

    /// Whether the server has shared subscriptions.
    #[getter]
    fn shared_subscription_available(&self) -> Option<bool> {
        self.0.shared_subscription_available()
    }

    fn __bool__(&self) -> bool {
        !self.0.is_empty()
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let mut parts = Vec::new();
        for name in names(&slf.get().0) {
            parts.push(format!("{name}={}", slf.getattr(name)?.repr()?));
        }
        Ok(format!("Properties({})", parts.join(", ")))
    }
}

/// The names of the properties that are there, each once, in their order.
fn names(block: &codec::Properties) -> Vec<&'static str> {
    let mut names = Vec::new();
    for property in block.iter() {
        let name = NAMES.iter().find(|(id, _)| *id == property.id().as_u8()).map_or("", |(_, name)| name);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// Identifier and Python name of each property.
const NAMES: [(u8, &str); 27] = [
    (0x01, "payload_format_indicator"),
    (0x02, "message_expiry_interval"),
    (0x03, "content_type"),
    (0x08, "response_topic"),
    (0x09, "correlation_data"),
    (0x0B, "subscription_identifier"),
    (0x11, "session_expiry_interval"),
    (0x12, "assigned_client_identifier"),
    (0x13, "server_keep_alive"),
    (0x15, "authentication_method"),
    (0x16, "authentication_data"),
    (0x17, "request_problem_information"),
    (0x18, "will_delay_interval"),
    (0x19, "request_response_information"),
    (0x1A, "response_information"),
    (0x1C, "server_reference"),
    (0x1F, "reason_string"),
    (0x21, "receive_maximum"),
    (0x22, "topic_alias_maximum"),
    (0x23, "topic_alias"),
    (0x24, "maximum_qos"),
    (0x25, "retain_available"),
    (0x26, "user_properties"),
    (0x27, "maximum_packet_size"),
    (0x28, "wildcard_subscription_available"),
    (0x29, "subscription_identifier_available"),
    (0x2A, "shared_subscription_available"),
];

/// Adds the property `name`, from a Python value.
fn push(builder: &mut codec::PropertiesBuilder, name: &str, value: &Bound<'_, PyAny>) -> PyResult<()> {
    let unknown = || PyTypeError::new_err(format!("there is no property {name:?}"));
    let id = NAMES.iter().find(|(_, known)| *known == name).map(|(id, _)| *id).ok_or_else(unknown)?;
    let mut add = |property: Property<'_>| builder.push(property).map_err(|error| wrong(&error));
    use Property as P;
    match id {
        0x01 => add(P::PayloadFormatIndicator(value.extract()?)),
        0x02 => add(P::MessageExpiryInterval(value.extract()?)),
        0x03 => add(P::ContentType(&text(value)?)),
        0x08 => {
            let topic = text(value)?;
            TopicName::check(&topic).map_err(|error| PyValueError::new_err(error.to_string()))?;
            add(P::ResponseTopic(&topic))
        }
        0x09 => add(P::CorrelationData(value.cast::<PyBytes>()?.as_bytes())),
        0x0B => add(P::SubscriptionIdentifier(value.extract()?)),
        0x11 => add(P::SessionExpiryInterval(value.extract()?)),
        0x12 => add(P::AssignedClientIdentifier(&text(value)?)),
        0x13 => add(P::ServerKeepAlive(value.extract()?)),
        0x15 => add(P::AuthenticationMethod(&text(value)?)),
        0x16 => add(P::AuthenticationData(value.cast::<PyBytes>()?.as_bytes())),
        0x17 => add(P::RequestProblemInformation(value.extract()?)),
        0x18 => add(P::WillDelayInterval(value.extract()?)),
        0x19 => add(P::RequestResponseInformation(value.extract()?)),
        0x1A => add(P::ResponseInformation(&text(value)?)),
        0x1C => add(P::ServerReference(&text(value)?)),
        0x1F => add(P::ReasonString(&text(value)?)),
        0x21 => add(P::ReceiveMaximum(value.extract()?)),
        0x22 => add(P::TopicAliasMaximum(value.extract()?)),
        0x23 => add(P::TopicAlias(value.extract()?)),
        0x24 => add(P::MaximumQoS(qos(value)?)),
        0x25 => add(P::RetainAvailable(value.extract()?)),
        0x26 => push_pairs(builder, value),
        0x27 => add(P::MaximumPacketSize(value.extract()?)),
        0x28 => add(P::WildcardSubscriptionAvailable(value.extract()?)),
        0x29 => add(P::SubscriptionIdentifierAvailable(value.extract()?)),
        _ => add(P::SharedSubscriptionAvailable(value.extract()?)),
    }
}

/// User properties: a mapping, or pairs.
fn push_pairs(builder: &mut codec::PropertiesBuilder, value: &Bound<'_, PyAny>) -> PyResult<()> {
    let pairs = match value.cast::<PyDict>() {
        Ok(dict) => dict.items().into_any(),
        Err(_) => value.clone(),
    };
    for pair in pairs.try_iter()? {
        let (name, value): (Bound<'_, PyString>, Bound<'_, PyString>) = pair?.extract()?;
        let (name, value) = (name.to_cow()?, value.to_cow()?);
        builder.push(Property::UserProperty(&name, &value)).map_err(|error| wrong(&error))?;
    }
    Ok(())
}

fn wrong(error: &EncodeError) -> PyErr {
    PyValueError::new_err(error.to_string())
}

fn text<'a>(value: &'a Bound<'_, PyAny>) -> PyResult<Cow<'a, str>> {
    value.cast::<PyString>()?.to_cow()
}

/// A QoS from 0, 1, 2, or `karere.QoS`.
pub(super) fn qos(value: &Bound<'_, PyAny>) -> PyResult<QoS> {
    let level: u8 = value.extract()?;
    level_of(level)
}

pub(super) fn level_of(level: u8) -> PyResult<QoS> {
    QoS::from_bits(level).ok_or_else(|| PyValueError::new_err(format!("QoS {level}: there are 0, 1 and 2")))
}
