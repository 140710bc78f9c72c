//! Bytes between packets and state machines.

use bytes::{Buf, Bytes, BytesMut};
use karere_core::{
    codec::{FixedHeader, Packet, Version},
    connection::Outbox,
};

/// The packet in a frame of its own.
pub(crate) fn encode(version: Version, packet: &Packet) -> BytesMut {
    let mut out = BytesMut::new();
    if let Err(error) = packet.encode(version, &mut out) {
        panic!("{packet:?} of {version} cannot be encoded: {error}");
    }
    out
}

/// Whole packets with their lengths in bytes: what a peer reads.
pub(crate) fn decode(version: Version, mut stream: Bytes) -> Vec<(Packet, usize)> {
    let mut packets = Vec::new();
    while !stream.is_empty() {
        let header = FixedHeader::peek(&stream).expect("a fixed header").expect("a whole one");
        assert!(header.frame_len() <= stream.len(), "the outbox ends within a packet");
        let frame = stream.split_to(header.frame_len());
        let packet = Packet::decode(version, frame.clone());
        packets.push((packet.unwrap_or_else(|error| panic!("sent {frame:?}: {error}")), frame.len()));
    }
    packets
}

/// The first frame of `stream`, taken out; none when there is no whole one.
pub(crate) fn take_frame(stream: &mut BytesMut) -> Option<Bytes> {
    let header = FixedHeader::peek(stream).ok()??;
    (header.frame_len() <= stream.len()).then(|| stream.split_to(header.frame_len()).freeze())
}

/// All that waits, read in both of the ways that a driver has.
pub(crate) fn drain(outbox: &mut Outbox) -> Bytes {
    let mut slices: [&[u8]; 64] = [&[]; 64];
    let used = outbox.slices(&mut slices);
    let (vectored, all) = (slices[..used].concat(), used < slices.len());
    let len = outbox.len();
    let mut out = BytesMut::with_capacity(len);
    while outbox.has_remaining() {
        let chunk = outbox.chunk();
        assert!(!chunk.is_empty(), "an outbox with bytes, but none to be had");
        // Not all of it at once: a socket takes what it takes.
        let step = chunk.len().min(1000);
        out.extend_from_slice(&chunk[..step]);
        outbox.advance(step);
    }
    assert_eq!(out.len(), len, "bytes waiting");
    assert_eq!(out[..vectored.len()], vectored, "the two ways to read an outbox");
    assert!(vectored.len() == len || !all, "slices leave bytes out");
    out.freeze()
}

/// A frame of this first byte around this body.
pub(crate) fn framed(first: u8, body: &[u8]) -> Bytes {
    let mut frame = vec![first];
    let mut len = body.len();
    while len >= 0x80 {
        frame.push(len as u8 | 0x80);
        len >>= 7;
    }
    frame.push(len as u8);
    frame.extend_from_slice(body);
    Bytes::from(frame)
}
