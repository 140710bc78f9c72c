//! MQTT over WebSocket (RFC 6455; MQTT 5 and 3.1.1, section 6): a filter of bytes, without I/O.
//!
//! tungstenite reads and writes the upgrade and the headers of frames. What is in between is done here: it collects a
//! whole frame before it shows any of it, and takes the memory for it when the header declares its length. To MQTT a
//! frame means nothing [MQTT-6.0.0-2], so that payloads are passed on as they come.

mod client;
mod error;
mod frames;
mod server;

use std::io::{self, IoSlice};
use std::sync::Arc;

use bytes::BytesMut;
use tungstenite::protocol::frame::coding::CloseCode;

pub use client::ClientOptions;
pub use error::Error;
pub use server::ServerOptions;

use client::Request;
use error::Fault;
use frames::{Frames, Got};

use crate::filter::Layer;

/// Where MQTT is found on a server, unless it says otherwise.
pub const DEFAULT_PATH: &str = "/mqtt";
/// The most that the beginning of the connection, in HTTP, may take.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// The largest frame taken unless the options say otherwise: what holds the largest MQTT packet.
const FRAME_BYTES_MAX: u64 = 1 + 4 + 268_435_455;

/// One end of a WebSocket connection: bytes of the network to bytes of MQTT, and back.
///
/// It does no I/O and has no clock. The law: *after each call, write what [`poll_transmit`](Self::poll_transmit) holds,
/// also when the call has failed; after an error, or once [`is_closed`](Self::is_closed), close the connection then.*
///
/// ```
/// use bytes::BytesMut;
/// use karere_net::websocket::{ClientOptions, Filter, ServerOptions};
///
/// let mut client = Filter::client(&ClientOptions::new("broker.example"))?;
/// let mut server = Filter::server(ServerOptions::default());
/// client.encode(b"CONNECT"); // waits for the server's answer
///
/// let mut plain = BytesMut::new();
/// server.handle_input(client.poll_transmit(), &mut plain)?; // the request
/// client.handle_input(server.poll_transmit(), &mut plain)?; // the answer
/// server.handle_input(client.poll_transmit(), &mut plain)?; // a frame
/// assert_eq!(plain, "CONNECT");
/// # Ok::<(), karere_net::websocket::Error>(())
/// ```
#[derive(Debug)]
pub struct Filter {
    stage: Stage,
    frames: Frames,
    /// What waits to be written to the network.
    output: BytesMut,
    /// What was given to us before the connection was open.
    early: BytesMut,
}

#[derive(Debug)]
enum Stage {
    /// A client waits for the answer to its request.
    Asked(Box<Request>),
    /// A server waits for a request.
    Listening(Arc<ServerOptions>),
    Open,
    /// We have said that we close, and the peer has not yet.
    Closing,
    /// The peer has closed, or either has failed.
    Closed,
}

impl Filter {
    /// A client's end. Its request waits to be written.
    ///
    /// # Errors
    /// [`Error::Option`] for a path or a header that HTTP cannot carry.
    pub fn client(options: &ClientOptions) -> Result<Self, Error> {
        let mut output = BytesMut::new();
        let request = Request::new(options, &mut output)?;
        let frames = Frames::of_client(options.frame_bytes_max);
        Ok(Self { stage: Stage::Asked(Box::new(request)), frames, output, early: BytesMut::new() })
    }

    /// A client's end whose request the caller has made, and whose answer it has checked: only frames are left.
    #[must_use]
    pub fn client_upgraded() -> Self {
        let frames = Frames::of_client(FRAME_BYTES_MAX);
        Self { stage: Stage::Open, frames, output: BytesMut::new(), early: BytesMut::new() }
    }

    /// A server's end. The options may be shared by all connections of a listener.
    #[must_use]
    pub fn server(options: impl Into<Arc<ServerOptions>>) -> Self {
        let options = options.into();
        let frames = Frames::of_server(options.frame_bytes_max);
        Self { stage: Stage::Listening(options), frames, output: BytesMut::new(), early: BytesMut::new() }
    }

    /// Takes what has come from the network, and appends the bytes of MQTT in it to `plain`.
    ///
    /// What is not whole yet is left in `input`: up to 16 KiB of HTTP, and later up to 138 bytes of a frame's header or
    /// of a control frame. What comes next is to be appended to it.
    ///
    /// # Errors
    /// [`Error`]: the peer does not speak WebSocket, or not as MQTT wants it. What to tell the peer waits to be written;
    /// `plain` has what came before.
    pub fn handle_input(&mut self, input: &mut BytesMut, plain: &mut BytesMut) -> Result<(), Error> {
        let begun = match &self.stage {
            Stage::Open | Stage::Closing | Stage::Closed => Ok(true),
            Stage::Asked(request) => request.handle_answer(input),
            Stage::Listening(options) => server::handle_request(options, input, &mut self.output),
        };
        match begun {
            Ok(false) => return Ok(()),
            Ok(true) => {}
            Err(error) => {
                self.stage = Stage::Closed;
                return Err(error);
            }
        }
        if matches!(self.stage, Stage::Asked(_) | Stage::Listening(_)) {
            self.stage = Stage::Open;
            let early = std::mem::take(&mut self.early);
            self.encode(&early);
        }
        self.take_frames(input, plain)
    }

    /// Puts `plain` into a frame. Before the connection is open it is kept until then; after its end it is dropped.
    pub fn encode(&mut self, plain: &[u8]) {
        self.encode_vectored(&[IoSlice::new(plain)]);
    }

    /// Puts all of `parts` into one frame.
    pub fn encode_vectored(&mut self, parts: &[IoSlice<'_>]) {
        match self.stage {
            Stage::Open => self.frames.encode(parts, &mut self.output),
            Stage::Asked(_) | Stage::Listening(_) => {
                parts.iter().for_each(|part| self.early.extend_from_slice(part));
            }
            Stage::Closing | Stage::Closed => {}
        }
    }

    /// Says that nothing more will come. What was encoded before goes first.
    pub fn close(&mut self) {
        if matches!(self.stage, Stage::Open) {
            self.frames.close(CloseCode::Normal, &mut self.output);
            self.stage = Stage::Closing;
        } else if !matches!(self.stage, Stage::Closing) {
            self.stage = Stage::Closed;
        }
    }

    /// What waits to be written to the network; what is written is to be taken away.
    pub fn poll_transmit(&mut self) -> &mut BytesMut {
        // The answer to the last ping only, and not behind others that wait: who pings and does not read gets no more
        // of our memory.
        if self.output.is_empty() && !matches!(self.stage, Stage::Closed) {
            self.frames.answer_ping(&mut self.output);
        }
        &mut self.output
    }

    /// Whether something waits to be written to the network.
    #[must_use]
    pub fn wants_write(&self) -> bool {
        !self.output.is_empty() || self.frames.was_pinged() && !matches!(self.stage, Stage::Closed)
    }

    /// Whether bytes of MQTT flow: the upgrade is done, and nobody has closed.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.stage, Stage::Open)
    }

    /// Whether nothing more will come: the peer has closed, or has failed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(self.stage, Stage::Closed)
    }

    fn take_frames(&mut self, input: &mut BytesMut, plain: &mut BytesMut) -> Result<(), Error> {
        while !self.is_closed() {
            match self.frames.take(input, plain) {
                Ok(Got::Nothing) => return Ok(()),
                Ok(Got::Close(code)) => {
                    if self.is_open() {
                        self.frames.close(code, &mut self.output);
                    }
                    self.stage = Stage::Closed;
                }
                Err(fault) => return Err(self.fail(&fault)),
            }
        }
        input.clear();
        Ok(())
    }

    fn fail(&mut self, fault: &Fault) -> Error {
        if self.is_open() {
            self.frames.close(fault.code, &mut self.output);
        }
        self.stage = Stage::Closed;
        Error::Frame(fault.what)
    }
}

impl Layer for Filter {
    fn handle_input(&mut self, input: &mut BytesMut, plain: &mut BytesMut) -> io::Result<()> {
        Ok(Self::handle_input(self, input, plain)?)
    }

    fn encode(&mut self, parts: &[IoSlice<'_>]) {
        self.encode_vectored(parts);
    }

    fn close(&mut self) {
        Self::close(self);
    }

    fn poll_transmit(&mut self) -> &mut BytesMut {
        Self::poll_transmit(self)
    }

    fn wants_write(&self) -> bool {
        Self::wants_write(self)
    }

    fn is_open(&self) -> bool {
        Self::is_open(self)
    }

    fn is_closed(&self) -> bool {
        Self::is_closed(self)
    }
}

#[cfg(test)]
mod tests;
