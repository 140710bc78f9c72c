//! A client's request, and the server's answer.

use bytes::{Buf, BytesMut};
use tungstenite::handshake::client::{Response, generate_key, generate_request};
use tungstenite::handshake::derive_accept_key;
use tungstenite::handshake::machine::TryParse;
use tungstenite::http::{self, HeaderMap, HeaderName, HeaderValue, header};

use super::error::Error;
use super::{DEFAULT_PATH, FRAME_BYTES_MAX, HEAD_BYTES_MAX};

/// What a client asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientOptions {
    /// The header `Host`: the server's name or address (IPv6 in brackets), with its port where it is not the usual one.
    pub host: String,
    /// The path, with a query if there is one; `/mqtt`.
    pub path: String,
    /// Headers of the caller's, name and value. One that has the name of one of ours replaces it.
    pub headers: Vec<(String, String)>,
    /// The largest frame that is taken; what holds the largest MQTT packet.
    pub frame_bytes_max: u64,
}

impl ClientOptions {
    /// For MQTT at `host` (the header `Host`).
    #[must_use]
    pub fn new(host: impl Into<String>) -> Self {
        Self {
            host: host.into(),
            path: DEFAULT_PATH.into(),
            headers: Vec::new(),
            frame_bytes_max: FRAME_BYTES_MAX,
        }
    }

    /// At another path than `/mqtt`.
    #[must_use]
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }

    /// With one more header.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    fn headers(&self) -> Result<HeaderMap, Error> {
        let own = [
            ("Host", self.host.as_str()),
            ("Connection", "Upgrade"),
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", &generate_key()),
            ("Sec-WebSocket-Protocol", "mqtt"), // [MQTT-6.0.0-3]
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let mut headers = HeaderMap::new();
        for (name, value) in own.iter().chain(&self.headers) {
            let wrong = || Error::Option(format!("the header {name:?}: {value:?}"));
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
            let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| wrong())?;
            headers.insert(name, value);
        }
        Ok(headers)
    }
}

/// A request that waits for its answer.
#[derive(Debug)]
pub(super) struct Request {
    accept: String,
    protocols: String,
}

impl Request {
    pub(super) fn new(options: &ClientOptions, output: &mut BytesMut) -> Result<Self, Error> {
        let wrong = |what: &str| Error::Option(format!("{what}, at {:?}", options.path));
        let mut request = http::Request::get(&options.path).body(()).map_err(|_| wrong("this path"))?;
        if request.uri().authority().is_some() {
            return Err(wrong("a host in the path"));
        }
        *request.headers_mut() = options.headers()?;
        let protocols =
            text(request.headers(), header::SEC_WEBSOCKET_PROTOCOL).unwrap_or_default().to_owned();
        let (bytes, key) = generate_request(request).map_err(|error| wrong(&error.to_string()))?;
        output.extend_from_slice(&bytes);
        Ok(Self { accept: derive_accept_key(key.as_bytes()), protocols })
    }

    /// Looks for the answer at the beginning of `input`. False: it is not whole yet.
    pub(super) fn handle_answer(&self, input: &mut BytesMut) -> Result<bool, Error> {
        let malformed = |what: String| Error::Answer(what);
        match Response::try_parse(input.get(..HEAD_BYTES_MAX).unwrap_or(input)) {
            Ok(None) if input.len() >= HEAD_BYTES_MAX => Err(malformed("it is too long".into())),
            Ok(None) => Ok(false),
            Ok(Some((length, response))) => {
                input.advance(length);
                self.check(&response).map(|()| true)
            }
            Err(error) => Err(malformed(error.to_string())),
        }
    }

    fn check(&self, response: &Response) -> Result<(), Error> {
        let status = response.status();
        if status != http::StatusCode::SWITCHING_PROTOCOLS {
            return Err(Error::Status { status: status.as_u16() });
        }
        let headers = response.headers();
        let lacks = |what: &str| Err(Error::Answer(format!("{what} is not what it should be")));
        if !names(headers, header::UPGRADE, "websocket") {
            return lacks("the header Upgrade");
        }
        if !names(headers, header::CONNECTION, "upgrade") {
            return lacks("the header Connection");
        }
        if text(headers, header::SEC_WEBSOCKET_ACCEPT) != Some(&self.accept) {
            return lacks("the header Sec-WebSocket-Accept");
        }
        if headers.contains_key(header::SEC_WEBSOCKET_EXTENSIONS) {
            return Err(Error::Answer("it uses an extension that was not asked for".into()));
        }
        match text(headers, header::SEC_WEBSOCKET_PROTOCOL) {
            Some(chosen) if self.protocols.split(',').any(|asked| asked.trim() == chosen) => Ok(()),
            other => Err(Error::SubProtocol(other.map(str::to_owned))),
        }
    }
}

/// The value of a header that stands once.
pub(super) fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// Whether one of the words of a header, whatever its case, is `word`.
pub(super) fn names(headers: &HeaderMap, name: HeaderName, word: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|one| one.trim().eq_ignore_ascii_case(word))
}
