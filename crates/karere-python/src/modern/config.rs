//! What a client is told once, from Python's keyword arguments.

use std::path::PathBuf;

use bytes::Bytes;
use karere::{Address, Durability, Options, Reconnect};
use karere_core::codec::{self, Version};
use karere_core::topic::TopicName;
use karere_net::address::{DEFAULT_PORT, DEFAULT_TLS_PORT};
use karere_net::tls;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString};

use super::properties::{Properties, level_of};
use super::request;

/// The Will: what the server publishes when the client goes without DISCONNECT.
///
///     Will("iot/kitchen/status", "offline", qos=1, retain=True)
#[pyclass(frozen, module = "karere")]
pub(super) struct Will(codec::Will);

#[pymethods]
impl Will {
    /// `delay`: how many seconds the server waits for the client to come back (version 5).
    #[new]
    #[pyo3(signature = (topic, payload=None, qos=0, retain=false, *, delay=0, properties=None))]
    fn new(
        topic: &Bound<'_, PyString>,
        payload: Option<&Bound<'_, PyAny>>,
        qos: u8,
        retain: bool,
        delay: u32,
        properties: Option<&Bound<'_, Properties>>,
    ) -> PyResult<Self> {
        let payload = request::payload(topic.py(), payload)?;
        let (properties, expiry, _) =
            properties.map_or((codec::Properties::EMPTY, None, None), |properties| properties.get().lifted());
        let message = codec::Message {
            topic: TopicName::new(&topic.to_cow()?).map_err(value_error)?,
            payload: Bytes::copy_from_slice(payload.as_bytes()),
            qos: level_of(qos)?,
            retain,
            expiry,
            properties,
        };
        Ok(Self(codec::Will { message, delay }))
    }

    fn __repr__(&self) -> String {
        let message = &self.0.message;
        format!("Will({:?}, {} bytes, qos={})", message.topic.as_str(), message.payload.len(), message.qos)
    }
}

/// Whom a connection over TLS trusts, and as whom it comes. Files are PEM.
///
///     Tls(ca_file="our-authority.pem")
#[pyclass(frozen, module = "karere")]
pub(super) struct Tls(tls::Client);

#[pymethods]
impl Tls {
    /// Without `ca_file` and `ca_folder` the system's authorities are trusted. `server_name` is what the certificate must
    /// be for where that is not the host's name; `accept_any_host` is dangerous: anybody with a certificate of a trusted
    /// authority can then pretend to be the server.
    #[new]
    #[pyo3(signature = (
        *, ca_file=None, ca_folder=None, cert_file=None, key_file=None, server_name=None, alpn=Vec::new(),
        accept_any_host=false,
    ))]
    fn new(
        ca_file: Option<PathBuf>,
        ca_folder: Option<PathBuf>,
        cert_file: Option<PathBuf>,
        key_file: Option<PathBuf>,
        server_name: Option<String>,
        alpn: Vec<String>,
        accept_any_host: bool,
    ) -> PyResult<Self> {
        let mut options = tls::ClientOptions::new();
        (options.ca_file, options.ca_folder) = (ca_file, ca_folder);
        (options.certificate, options.key) = (cert_file, key_file);
        (options.server_name, options.alpn) = (server_name, alpn);
        options.accept_any_host = accept_any_host;
        options.load().map(Self).map_err(value_error)
    }
}

/// Options from where the server is and keyword arguments. None says nothing.
pub(super) fn options(host: &str, port: Option<u16>, values: &Bound<'_, PyDict>) -> PyResult<Options> {
    let tls = values.get_item("tls")?.filter(|tls| !tls.is_none());
    let mut options = address(host, port, tls.as_ref())?;
    // First: what it changes by itself may be said otherwise.
    if let Some(store) = values.get_item("store")?.filter(|store| !store.is_none()) {
        options = options.store(store.extract::<PathBuf>()?);
    }
    let mut reconnect = Reconnect::default();
    let mut reconnects = true;
    let mut credentials = (None, None);
    for (name, value) in values {
        let name = name.cast::<PyString>()?;
        if value.is_none() {
            continue;
        }
        match &*name.to_cow()? {
            "tls" | "store" => {}
            "username" => credentials.0 = Some(value.extract::<String>()?),
            "password" => credentials.1 = Some(password(&value)?),
            "reconnect" => reconnects = value.extract()?,
            "reconnect_min" => reconnect.min = request::seconds(value.extract()?)?,
            "reconnect_max" => reconnect.max = request::seconds(value.extract()?)?,
            name => options = set(options, name, &value)?,
        }
    }
    options.reconnect = reconnects.then_some(reconnect);
    if credentials != (None, None) {
        let (username, password) = credentials;
        options = options.username(username.as_deref(), password).map_err(value_error)?;
    }
    Ok(options)
}

/// A host's name, or a URL with a scheme; `tls` is what the argument of that name was given.
fn address(host: &str, port: Option<u16>, tls: Option<&Bound<'_, PyAny>>) -> PyResult<Options> {
    let given = tls.and_then(|tls| tls.cast::<Tls>().ok());
    let wanted = match tls {
        Some(tls) if given.is_none() => tls.extract()?,
        _ => given.is_some(),
    };
    let is_url = host.contains("://") || host.starts_with("unix:");
    let options = if is_url {
        if port.is_some() {
            return Err(PyValueError::new_err("the port stands in the URL"));
        }
        Options::from_url(host).map_err(value_error)?
    } else if wanted {
        Options::from_address(Address::tls(host, port.unwrap_or(DEFAULT_TLS_PORT)))
    } else {
        Options::new(host, port.unwrap_or(DEFAULT_PORT))
    };
    let over_tls = matches!(options.address, Address::Tls { .. } | Address::SecureWebSocket { .. });
    if wanted && !over_tls {
        return Err(PyValueError::new_err("tls needs a URL that begins with mqtts:// or wss://"));
    }
    Ok(match given {
        Some(tls) => options.tls(tls.get().0.clone()),
        None => options,
    })
}

fn set(options: Options, name: &str, value: &Bound<'_, PyAny>) -> PyResult<Options> {
    Ok(match name {
        "client_id" => options.client_id(&value.cast::<PyString>()?.to_cow()?).map_err(value_error)?,
        "version" => options.version(version(value.extract()?)?),
        "clean_start" => options.clean_start(value.extract()?),
        "session_expiry" => options.session_expiry(value.extract()?),
        "keep_alive" => options.keep_alive(value.extract()?),
        "will" => options.will(value.cast::<Will>()?.get().0.clone()),
        "properties" => options.properties(value.cast::<Properties>()?.get().block().clone()),
        "connect_timeout" => options.connect_timeout(request::seconds(value.extract()?)?),
        "manual_ack" => options.manual_ack(value.extract()?),
        "resubscribe" => options.resubscribe(value.extract()?),
        "receive_maximum" => options.receive_maximum(value.extract()?),
        "maximum_packet_size" => options.maximum_packet_size(value.extract()?),
        "topic_alias_maximum" => options.topic_alias_maximum(value.extract()?),
        "outbound_aliases" => options.outbound_aliases(value.extract()?),
        "inflight_max" => options.inflight_max(value.extract()?),
        "queue_count_max" => options.queue_count_max(value.extract()?),
        "queue_bytes_max" => options.queue_bytes_max(value.extract()?),
        "queue_qos0" => options.queue_qos0(value.extract()?),
        "outbox_bytes_max" => options.outbox_bytes_max(value.extract()?),
        "stream_bytes_max" => options.stream_bytes_max(value.extract()?),
        "store_bytes_max" => options.store_bytes_max(value.extract()?),
        "durability" => options.durability(durability(&value.cast::<PyString>()?.to_cow()?)?),
        _ => return Err(PyTypeError::new_err(format!("Client() has no argument {name:?}"))),
    })
}

fn durability(name: &str) -> PyResult<Durability> {
    Ok(match name {
        "fsync" => Durability::Fsync,
        "os" => Durability::Os,
        "none" => Durability::None,
        _ => return Err(PyValueError::new_err(format!("durability {name:?}: there are fsync, os and none"))),
    })
}

fn version(level: u8) -> PyResult<Version> {
    let unknown = || PyValueError::new_err(format!("version {level}: there are 3 (3.1), 4 (3.1.1) and 5"));
    Version::from_level(level).ok_or_else(unknown)
}

fn password(value: &Bound<'_, PyAny>) -> PyResult<Bytes> {
    Ok(match value.cast::<PyBytes>() {
        Ok(bytes) => Bytes::copy_from_slice(bytes.as_bytes()),
        Err(_) => Bytes::copy_from_slice(value.cast::<PyString>()?.to_cow()?.as_bytes()),
    })
}

fn value_error(error: impl std::fmt::Display) -> PyErr {
    PyValueError::new_err(error.to_string())
}
