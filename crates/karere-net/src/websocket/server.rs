//! A server's answer to a request.

use std::fmt::Write as _;

use bytes::{Buf, BytesMut};
use tungstenite::error::ProtocolError;
use tungstenite::handshake::machine::TryParse;
use tungstenite::handshake::server::{Request, create_response, write_response};
use tungstenite::http::{HeaderMap, HeaderValue, StatusCode, header};

use super::client::{names, text};
use super::error::Error;
use super::{DEFAULT_PATH, FRAME_BYTES_MAX, HEAD_BYTES_MAX};

/// What a listener lets in.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerOptions {
    /// The path that a request must be for; none lets any in. `/mqtt`.
    pub path: Option<String>,
    /// The web pages that may connect, as `https://shop.example`; none lets any in, which is the default. Programs that
    /// are no browser name no origin, and are let in.
    pub origins: Option<Vec<String>>,
    /// The largest frame that is taken; what holds the largest MQTT packet.
    pub frame_bytes_max: u64,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self { path: Some(DEFAULT_PATH.into()), origins: None, frame_bytes_max: FRAME_BYTES_MAX }
    }
}

impl ServerOptions {
    /// For requests at `path`; none lets any in.
    #[must_use]
    pub fn path(mut self, path: Option<String>) -> Self {
        self.path = path;
        self
    }

    /// For these web pages only; none lets any in.
    #[must_use]
    pub fn origins(mut self, origins: Option<Vec<String>>) -> Self {
        self.origins = origins;
        self
    }

    fn check(&self, request: &Request) -> Result<&'static str, Refusal> {
        let headers = request.headers();
        if self.path.as_deref().is_some_and(|path| request.uri().path() != path) {
            return Err(Refusal(StatusCode::NOT_FOUND, "there is no MQTT at this path"));
        }
        let origin = headers.get(header::ORIGIN).map(HeaderValue::as_bytes);
        if let (Some(allowed), Some(origin)) = (&self.origins, origin)
            && !allowed.iter().any(|one| one.as_bytes().eq_ignore_ascii_case(origin))
        {
            return Err(Refusal(StatusCode::FORBIDDEN, "this page may not connect here"));
        }
        if text(headers, header::SEC_WEBSOCKET_VERSION).is_some_and(|version| version != "13") {
            return Err(Refusal(StatusCode::UPGRADE_REQUIRED, "version 13 of WebSocket is spoken here"));
        }
        sub_protocol(headers)
            .ok_or(Refusal(StatusCode::BAD_REQUEST, "the sub-protocol mqtt was not asked for"))
    }
}

/// What is answered in place of 101.
struct Refusal(StatusCode, &'static str);

/// Looks for a request at the beginning of `input`, and answers it. False: it is not whole yet.
pub(super) fn handle_request(
    options: &ServerOptions,
    input: &mut BytesMut,
    output: &mut BytesMut,
) -> Result<bool, Error> {
    let answered = match Request::try_parse(input.get(..HEAD_BYTES_MAX).unwrap_or(input)) {
        Ok(None) if input.len() < HEAD_BYTES_MAX => return Ok(false),
        Ok(None) => Err(Refusal(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "the request is too long")),
        Ok(Some((length, request))) => {
            input.advance(length);
            answer(options, &request, output)
        }
        Err(error) => Err(refusal(&error)),
    };
    let Err(Refusal(status, why)) = answered else { return Ok(true) };
    // Enough for a person who looks here with a browser.
    let mut page = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Type: text/plain\r\n");
    if status == StatusCode::UPGRADE_REQUIRED {
        page.push_str("Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n");
    }
    let _ = write!(page, "Content-Length: {}\r\n\r\n{why}\n", why.len() + 1);
    output.extend_from_slice(page.as_bytes());
    Err(Error::Request { status: status.as_u16(), why })
}

fn answer(options: &ServerOptions, request: &Request, output: &mut BytesMut) -> Result<(), Refusal> {
    let protocol = options.check(request)?;
    let mut response = create_response(request).map_err(|error| refusal(&error))?;
    response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol));
    let mut bytes = Vec::new();
    write_response(&mut bytes, &response).map_err(|error| refusal(&error))?;
    output.extend_from_slice(&bytes);
    Ok(())
}

/// What we call ours of what the client offers: `mqtt` [MQTT-6.0.0-3], [MQTT-6.0.0-4], or what it was before 3.1.1.
fn sub_protocol(headers: &HeaderMap) -> Option<&'static str> {
    ["mqtt", "mqttv3.1"].into_iter().find(|name| names(headers, header::SEC_WEBSOCKET_PROTOCOL, name))
}

fn refusal(error: &tungstenite::Error) -> Refusal {
    use tungstenite::Error::Protocol;
    match error {
        Protocol(ProtocolError::WrongHttpMethod) => {
            Refusal(StatusCode::METHOD_NOT_ALLOWED, "a WebSocket is asked for with GET")
        }
        Protocol(
            ProtocolError::MissingUpgradeWebSocketHeader | ProtocolError::MissingConnectionUpgradeHeader,
        ) => Refusal(StatusCode::UPGRADE_REQUIRED, "there is MQTT over WebSocket here, and nothing else"),
        _ => Refusal(StatusCode::BAD_REQUEST, "this is no request for a WebSocket"),
    }
}
