//! Frames, once the connection is open (RFC 6455, section 5).

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::io::{Cursor, IoSlice};

use bytes::{Buf, BufMut, BytesMut};
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};

use super::error::Fault;

/// The longest header.
const HEADER_BYTES_MAX: usize = 14;
/// The most that a control frame carries.
const CONTROL_BYTES_MAX: u64 = 125;

/// Both directions of a connection.
#[derive(Debug)]
pub(super) struct Frames {
    /// A client masks what it sends.
    masks: Option<Masks>,
    frame_bytes_max: u64,
    /// What is still to come of the frame that is being read.
    rest: u64,
    mask: Option<[u8; 4]>,
    /// A message has begun, and its last frame has not.
    unfinished: bool,
    /// What the last ping said that was not answered.
    ping: Option<Box<[u8]>>,
}

/// What was found in the input.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Got {
    /// No more than was there.
    Nothing,
    /// The peer closes; what it is to be answered with.
    Close(CloseCode),
}

impl Frames {
    pub(super) fn of_client(frame_bytes_max: u64) -> Self {
        Self::new(Some(Masks::default()), frame_bytes_max)
    }

    pub(super) fn of_server(frame_bytes_max: u64) -> Self {
        Self::new(None, frame_bytes_max)
    }

    fn new(masks: Option<Masks>, frame_bytes_max: u64) -> Self {
        Self { masks, frame_bytes_max, rest: 0, mask: None, unfinished: false, ping: None }
    }

    /// Appends what `input` has of payloads to `plain`, until there is no more or the peer closes.
    pub(super) fn take(&mut self, input: &mut BytesMut, plain: &mut BytesMut) -> Result<Got, Fault> {
        loop {
            self.take_payload(input, plain);
            if self.rest > 0 {
                return Ok(Got::Nothing);
            }
            let Some((header, length, size)) = self.header(input)? else { return Ok(Got::Nothing) };
            match header.opcode {
                OpCode::Data(kind) => {
                    self.begin(kind, header.is_final)?;
                    input.advance(size);
                    (self.rest, self.mask) = (length, header.mask);
                }
                OpCode::Control(kind) => {
                    let whole = size + length as usize;
                    if input.len() < whole {
                        return Ok(Got::Nothing);
                    }
                    input.advance(size);
                    if let Some(close) = self.take_control(kind, header.mask, length as usize, input)? {
                        return Ok(Got::Close(close));
                    }
                }
            }
        }
    }

    fn take_payload(&mut self, input: &mut BytesMut, plain: &mut BytesMut) {
        let count = usize::try_from(self.rest).unwrap_or(usize::MAX).min(input.len());
        let Some(payload) = input.get_mut(..count).filter(|payload| !payload.is_empty()) else { return };
        if let Some(mask) = &mut self.mask {
            apply(*mask, payload);
            mask.rotate_left(count % 4);
        }
        plain.extend_from_slice(payload);
        input.advance(count);
        self.rest -= count as u64;
    }

    /// The next frame's header, its payload's length and its own, if it is all there.
    fn header(&self, input: &[u8]) -> Result<Option<(FrameHeader, u64, usize)>, Fault> {
        let mut cursor = Cursor::new(input.get(..HEADER_BYTES_MAX).unwrap_or(input));
        let parsed = FrameHeader::parse(&mut cursor);
        let parsed = parsed.map_err(|_| Fault::protocol("a frame of a kind that there is not"))?;
        let Some((header, length)) = parsed else { return Ok(None) };
        let size = cursor.position() as usize;
        if header.rsv1 || header.rsv2 || header.rsv3 {
            return Err(Fault::protocol("a frame of an extension that was not agreed on"));
        }
        if header.mask.is_some() == self.masks.is_some() {
            return Err(Fault::protocol(match self.masks {
                Some(_) => "a masked frame from the server",
                None => "a frame without a mask from the client",
            }));
        }
        if size != header.len(length) {
            return Err(Fault::protocol("a length in more bytes than it needs"));
        }
        if matches!(header.opcode, OpCode::Control(_)) && (!header.is_final || length > CONTROL_BYTES_MAX) {
            return Err(Fault::protocol("a control frame in pieces, or of more than 125 bytes"));
        }
        if length > self.frame_bytes_max {
            return Err(Fault { code: CloseCode::Size, what: "a frame that is larger than we take" });
        }
        Ok(Some((header, length, size)))
    }

    fn begin(&mut self, kind: Data, is_final: bool) -> Result<(), Fault> {
        match (kind, self.unfinished) {
            (Data::Binary, false) | (Data::Continue, true) => {}
            // [MQTT-6.0.0-1]
            (Data::Text, false) => {
                return Err(Fault { code: CloseCode::Unsupported, what: "a text frame: MQTT is binary" });
            }
            (Data::Continue, false) => return Err(Fault::protocol("a continuation of nothing")),
            _ => return Err(Fault::protocol("a new message in the middle of another")),
        }
        self.unfinished = !is_final;
        Ok(())
    }

    /// A control frame whose payload is all there. With what to answer when the peer closes.
    fn take_control(
        &mut self,
        kind: Control,
        mask: Option<[u8; 4]>,
        length: usize,
        input: &mut BytesMut,
    ) -> Result<Option<CloseCode>, Fault> {
        let payload = input.get_mut(..length).unwrap_or_default();
        if let Some(mask) = mask {
            apply(mask, payload);
        }
        let close = match kind {
            Control::Ping => {
                self.ping = Some(Box::from(&*payload));
                None
            }
            Control::Close => Some(close_code(payload)?),
            _ => None,
        };
        input.advance(length);
        Ok(close)
    }

    /// Appends one frame with all of `parts` to `output`.
    pub(super) fn encode(&mut self, parts: &[IoSlice<'_>], output: &mut BytesMut) {
        if parts.iter().any(|part| !part.is_empty()) {
            self.put(OpCode::Data(Data::Binary), parts, output);
        }
    }

    pub(super) fn close(&mut self, code: CloseCode, output: &mut BytesMut) {
        let code = match code {
            // There is no code for "there was no code".
            CloseCode::Status => None,
            code => Some(u16::from(code).to_be_bytes()),
        };
        let payload = code.as_ref().map_or(&[][..], |code| code);
        self.put(OpCode::Control(Control::Close), &[IoSlice::new(payload)], output);
    }

    pub(super) fn answer_ping(&mut self, output: &mut BytesMut) {
        if let Some(payload) = self.ping.take() {
            self.put(OpCode::Control(Control::Pong), &[IoSlice::new(&payload)], output);
        }
    }

    pub(super) fn was_pinged(&self) -> bool {
        self.ping.is_some()
    }

    fn put(&mut self, opcode: OpCode, parts: &[IoSlice<'_>], output: &mut BytesMut) {
        let length = parts.iter().map(|part| part.len()).sum::<usize>();
        let mask = self.masks.as_mut().map(Masks::next);
        let header = FrameHeader { opcode, mask, ..FrameHeader::default() };
        output.reserve(HEADER_BYTES_MAX + length);
        // Writing to memory does not fail.
        let _ = header.format(length as u64, &mut (&mut *output).writer());
        let begin = output.len();
        parts.iter().for_each(|part| output.extend_from_slice(part));
        if let (Some(mask), Some(payload)) = (mask, output.get_mut(begin..)) {
            apply(mask, payload);
        }
    }
}

/// What a closing peer is answered with: what it has said, where it may say that.
fn close_code(payload: &[u8]) -> Result<CloseCode, Fault> {
    let wrong = Fault::protocol("a close frame that says nothing that may be said");
    match payload {
        [] => Ok(CloseCode::Status),
        [_] => Err(wrong),
        [high, low, reason @ ..] => {
            let code = CloseCode::from(u16::from_be_bytes([*high, *low]));
            if !code.is_allowed() {
                return Err(wrong);
            }
            match std::str::from_utf8(reason) {
                Ok(_) => Ok(code),
                Err(_) => Err(Fault { code: CloseCode::Invalid, what: "a close frame that is no UTF-8" }),
            }
        }
    }
}

/// Masks that nobody foretells (RFC 6455, section 5.3): a keyed hash of a number, its key from the system.
#[derive(Debug, Default)]
struct Masks {
    key: RandomState,
    drawn: u64,
}

impl Masks {
    fn next(&mut self) -> [u8; 4] {
        self.drawn = self.drawn.wrapping_add(1);
        (self.key.hash_one(self.drawn) as u32).to_ne_bytes()
    }
}

/// Masks or unmasks, eight bytes at a time.
fn apply(mask: [u8; 4], payload: &mut [u8]) {
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (chunks, rest) = payload.as_chunks_mut::<8>();
    for chunk in chunks {
        *chunk = (u64::from_ne_bytes(*chunk) ^ wide).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= key;
    }
}
