//! One message on its way to many: encoded once per layout, kept once.

use bytes::{BufMut, Bytes, BytesMut};

use super::Retained;
use crate::codec::{EncodeError, Message, PacketId, PublishHeader, QoS, Version};
use crate::session::remaining_seconds;
use crate::time::Instant;

/// Payloads of at least this many bytes are shared, not copied into the encoded frame.
const SHARED_BYTES_MIN: usize = 4096;
/// Messages of at least this many bytes are kept as slices of what they were read into, smaller ones copied.
const SLICED_BYTES_MIN: usize = 16 * 1024;

/// A message that is being routed.
///
/// A frame is encoded once per layout (version 5 or not, with a packet identifier or not) and copied for each
/// receiver with its first byte and identifier patched. What receivers keep is one copy that they share.
#[derive(Debug)]
pub struct Routed<'a> {
    message: &'a Message,
    expires_at: Option<Instant>,
    /// The host's number of it, 0 for none.
    tag: u64,
    /// RETAIN as the publisher set it; for a retained message that a subscription brings, set.
    retain: bool,
    snapshot: bool,
    scratch: &'a mut Scratch,
    kept: Option<Message>,
    /// The layouts that `scratch` holds for this message.
    encoded: [bool; 4],
}

/// Memory for the encodings of one message after another; nothing is allocated once it has grown.
#[derive(Debug, Default)]
pub struct Scratch {
    layouts: [Layout; 4],
}

#[derive(Debug, Default)]
struct Layout {
    /// The frame, without the payload when that is shared.
    frame: BytesMut,
    /// Where the packet identifier is.
    packet_id_at: usize,
    /// Bytes of the whole packet.
    len: usize,
}

/// One receiver's version of a frame.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patch {
    pub(super) version: Version,
    pub(super) qos: QoS,
    pub(super) retain: bool,
    pub(super) packet_id: Option<PacketId>,
}

impl<'a> Routed<'a> {
    /// A message that was published at `received`, from when its expiry counts.
    pub fn new(message: &'a Message, received: Instant, scratch: &'a mut Scratch) -> Self {
        let expires_at = message.expiry.map(|seconds| received.plus_seconds(seconds));
        Self {
            message,
            expires_at,
            tag: 0,
            retain: message.retain,
            snapshot: false,
            scratch,
            kept: None,
            encoded: [false; 4],
        }
    }

    /// A message with an absolute expiry: one that moves to another member of a Shared Subscription.
    pub fn with_expiry(message: &'a Message, expires_at: Option<Instant>, scratch: &'a mut Scratch) -> Self {
        Self { expires_at, ..Self::new(message, Instant::ZERO, scratch) }
    }

    /// A retained message that a subscription brings: it goes out with RETAIN [MQTT-3.3.1-8].
    pub(super) fn snapshot(retained: &'a Retained, scratch: &'a mut Scratch) -> Self {
        let message = &retained.message;
        let kept = Some(message.clone()); // it has its own memory already
        Self {
            message,
            expires_at: retained.expires_at,
            tag: 0,
            retain: true,
            snapshot: true,
            scratch,
            kept,
            encoded: [false; 4],
        }
    }

    /// Numbers the message as the host's store knows it, above 0: what is kept of it for a session that
    /// [is stored](super::Slot::is_stored) carries the number, and each [`Record`](crate::store::Record) of it says it.
    pub fn set_tag(&mut self, tag: u64) {
        self.tag = tag;
    }

    pub(super) fn tag(&self) -> u64 {
        self.tag
    }

    pub(super) fn message(&self) -> &Message {
        self.message
    }

    pub(super) fn expires_at(&self) -> Option<Instant> {
        self.expires_at
    }

    /// RETAIN towards a receiver ([MQTT-3.3.1-8], [MQTT-3.3.1-12], [MQTT-3.3.1-13]).
    pub(super) fn retain_for(&self, retain_as_published: bool) -> bool {
        self.retain && (self.snapshot || retain_as_published)
    }

    /// A copy to keep; all who keep one share its memory.
    pub(super) fn keep(&mut self) -> Message {
        let kept = self.kept.get_or_insert_with(|| {
            // Copied when small: a slice would pin the read buffer.
            if self.message.size_bytes() < SLICED_BYTES_MIN {
                self.message.compact()
            } else {
                self.message.clone()
            }
        });
        kept.clone()
    }

    /// Bytes of the packet without what belongs to one receiver (alias, subscription identifiers).
    pub(super) fn encoded_len(
        &mut self,
        now: Instant,
        version: Version,
        qos: QoS,
    ) -> Result<usize, EncodeError> {
        self.layout(now, version, qos).map(|layout| layout.len)
    }

    /// Writes the frame for one receiver into `out`; returns the payload where it is to follow, shared.
    pub(super) fn write(
        &mut self,
        now: Instant,
        patch: Patch,
        out: &mut BytesMut,
    ) -> Result<Option<&'a Bytes>, EncodeError> {
        let message = self.message;
        let layout = self.layout(now, patch.version, patch.qos)?;
        let start = out.len();
        out.extend_from_slice(&layout.frame);
        let first = 0x30 | (patch.qos as u8) << 1 | u8::from(patch.retain);
        if let Some(byte) = out.get_mut(start) {
            *byte = first;
        }
        if let Some(packet_id) = patch.packet_id
            && let Some(mut place) = out.get_mut(start + layout.packet_id_at..)
        {
            place.put_u16(packet_id.get());
        }
        Ok((message.payload.len() >= SHARED_BYTES_MIN).then_some(&message.payload))
    }

    fn layout(&mut self, now: Instant, version: Version, qos: QoS) -> Result<&Layout, EncodeError> {
        let numbered = qos > QoS::AtMostOnce;
        let index = usize::from(version.is_v5()) * 2 + usize::from(numbered);
        let [a, b, c, d] = &mut self.scratch.layouts;
        let [is_a, is_b, is_c, is_d] = &mut self.encoded;
        let (layout, encoded) = match index {
            0 => (a, is_a),
            1 => (b, is_b),
            2 => (c, is_c),
            _ => (d, is_d),
        };
        if !core::mem::replace(encoded, true) {
            let expiry = self.expires_at.map(|at| remaining_seconds(now, at));
            layout.encode(version, numbered, expiry, self.message)?;
        }
        Ok(layout)
    }
}

impl Layout {
    fn encode(
        &mut self,
        version: Version,
        numbered: bool,
        expiry: Option<u32>,
        message: &Message,
    ) -> Result<(), EncodeError> {
        let header = header(message, expiry, numbered);
        self.frame.clear();
        self.len = header.encode_counting(version, &mut self.frame)?;
        if message.payload.len() < SHARED_BYTES_MIN {
            self.frame.extend_from_slice(&message.payload);
        }
        // Behind the fixed header and the topic.
        let body = self.len - header_len(self.len);
        let fixed = self.len - body;
        self.packet_id_at = fixed + 2 + message.topic.len();
        Ok(())
    }
}

/// The header of `message` as a receiver sees it who has neither alias nor subscription identifiers.
pub(super) fn header(message: &Message, expiry: Option<u32>, numbered: bool) -> PublishHeader<'_> {
    PublishHeader {
        dup: false,
        qos: if numbered { QoS::AtLeastOnce } else { QoS::AtMostOnce },
        retain: false,
        packet_id: numbered.then(|| PacketId::from_sequence(0)),
        topic: &message.topic,
        topic_alias: None,
        expiry,
        subscription_ids: &[],
        properties: &message.properties,
        payload_len: message.payload.len(),
    }
}

/// Bytes of the fixed header of a packet of `len` bytes in all.
fn header_len(len: usize) -> usize {
    match len {
        0..=129 => 2,
        130..=16_386 => 3,
        16_387..=2_097_155 => 4,
        _ => 5,
    }
}
