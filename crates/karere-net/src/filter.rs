//! What turns MQTT's bytes into those of the network and back: TLS, WebSocket, or one over the other.

use std::fmt;
use std::io::{self, IoSlice};

use bytes::BytesMut;

/// One of them: without I/O and without a clock, for either end.
///
/// The law: *after each call, write what [`poll_transmit`](Self::poll_transmit) holds, also when the call has failed; after
/// an error, or once [`is_closed`](Self::is_closed), close the connection then.*
pub trait Layer: fmt::Debug + Send {
    /// Takes what has come from the network, and appends what it means to `plain`. What is not whole is left in
    /// `input`, for what comes next to be appended.
    ///
    /// # Errors
    /// The peer breaks a rule; what it is told waits to be written.
    fn handle_input(&mut self, input: &mut BytesMut, plain: &mut BytesMut) -> io::Result<()>;

    /// Takes what is to be sent. Before the layer is open it is kept until then.
    fn encode(&mut self, parts: &[IoSlice<'_>]);

    /// Says that nothing more will be sent.
    fn close(&mut self);

    /// What waits to be written to the network; what is written is to be taken away.
    fn poll_transmit(&mut self) -> &mut BytesMut;

    /// Whether something waits to be written to the network.
    fn wants_write(&self) -> bool;

    /// Whether the beginning is over: what is encoded is sent at once.
    fn is_open(&self) -> bool;

    /// Whether the peer sends nothing more.
    fn is_closed(&self) -> bool;
}

/// Layers, one over the other: WebSocket over TLS is what `wss` means.
#[derive(Debug, Default)]
pub struct Stack(Vec<Level>);

#[derive(Debug)]
struct Level {
    layer: Box<dyn Layer>,
    /// What has come up to it, and is not whole.
    input: BytesMut,
}

impl Stack {
    /// No layer: bytes of MQTT are bytes of the network.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With one more, over those that are there.
    #[must_use]
    pub fn with(mut self, layer: impl Layer + 'static) -> Self {
        self.0.push(Level { layer: Box::new(layer), input: BytesMut::new() });
        self
    }

    /// Takes what has come from the network, and appends the bytes of MQTT in it to `plain`.
    ///
    /// # Errors
    /// The peer breaks a rule of one of the layers; what it is told waits to be written.
    pub fn handle_input(&mut self, bytes: &[u8], plain: &mut BytesMut) -> io::Result<()> {
        let [lower @ .., top] = &mut self.0[..] else {
            plain.extend_from_slice(bytes);
            return Ok(());
        };
        let bottom = lower.first_mut().unwrap_or(top);
        bottom.input.extend_from_slice(bytes);
        let result = self.rise(plain);
        for level in &mut self.0 {
            // An idle connection keeps no buffer.
            if level.input.is_empty() {
                level.input = BytesMut::new();
            }
        }
        result
    }

    fn rise(&mut self, plain: &mut BytesMut) -> io::Result<()> {
        let mut rest = &mut self.0[..];
        while let [level, above @ ..] = rest {
            match above.first_mut() {
                Some(next) => level.layer.handle_input(&mut level.input, &mut next.input)?,
                None => level.layer.handle_input(&mut level.input, plain)?,
            }
            rest = above;
        }
        Ok(())
    }

    /// Takes bytes of MQTT that are to be sent.
    pub fn encode(&mut self, parts: &[IoSlice<'_>]) {
        if let Some(top) = self.0.last_mut() {
            top.layer.encode(parts);
        }
    }

    /// Says, on every layer, that nothing more will be sent.
    pub fn close(&mut self) {
        while self.is_open() && self.sink(true) {}
        for at in (0..self.0.len()).rev() {
            if let Some(level) = self.0.get_mut(at) {
                level.layer.close();
            }
            self.sink(true);
        }
    }

    /// What waits to be written to the network; what is written is to be taken away. None without a layer.
    pub fn poll_transmit(&mut self) -> Option<&mut BytesMut> {
        self.sink(false);
        self.0.first_mut().map(|bottom| bottom.layer.poll_transmit())
    }

    /// Whether something waits to be written to the network.
    #[must_use]
    pub fn wants_write(&self) -> bool {
        self.0.iter().any(|level| level.layer.wants_write())
    }

    /// Whether bytes of MQTT flow.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.0.iter().all(|level| level.layer.is_open())
    }

    /// Whether the peer sends nothing more.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.iter().any(|level| level.layer.is_closed())
    }

    /// Lets what the upper layers want to send sink into the lower ones. Whether anything has moved.
    ///
    /// Not, unless `at_any_rate`, into one that has something to write: a layer may hold back answers until there is room
    /// for them, and would not know that there is none.
    fn sink(&mut self, at_any_rate: bool) -> bool {
        let mut moved = false;
        for split in (1..self.0.len()).rev() {
            let (below, above) = self.0.split_at_mut(split);
            let (Some(below), Some(above)) = (below.last_mut(), above.first_mut()) else { continue };
            if above.layer.wants_write() && (at_any_rate || !below.layer.wants_write()) {
                let bytes = above.layer.poll_transmit();
                below.layer.encode(&[IoSlice::new(bytes)]);
                bytes.clear();
                moved = true;
            }
        }
        moved
    }
}
