//! What the tests of all packets share.

use std::{string::String, vec::Vec};

use bytes::{Bytes, BytesMut};

use super::{EncodeError, Packet, PacketId, Properties, Property, Version};
use crate::{Error, Text, topic::TopicName};

pub(super) const MALFORMED: u8 = 0x81;
pub(super) const PROTOCOL_ERROR: u8 = 0x82;

pub(super) fn decode(version: Version, frame: &[u8]) -> Result<Packet, Error> {
    Packet::decode(version, Bytes::copy_from_slice(frame))
}

/// The reason code that the frame is refused with.
#[track_caller]
pub(super) fn refused(version: Version, frame: &[u8]) -> u8 {
    decode(version, frame).expect_err("should be refused").reason_code().as_u8()
}

#[track_caller]
pub(super) fn encode(version: Version, packet: &Packet) -> Vec<u8> {
    let mut out = BytesMut::new();
    packet.encode(version, &mut out).unwrap();
    assert_eq!(packet.encoded_len(version), Ok(out.len()));
    out.to_vec()
}

/// The error; nothing has been written.
#[track_caller]
pub(super) fn encode_error(version: Version, packet: &Packet) -> EncodeError {
    let mut out = BytesMut::from(&b"before"[..]);
    let error = packet.encode(version, &mut out).expect_err("should be refused");
    assert_eq!(packet.encoded_len(version), Err(error));
    assert_eq!(out, b"before"[..]);
    error
}

/// These bytes are this packet, both ways.
#[track_caller]
pub(super) fn same(version: Version, frame: &[u8], packet: &Packet) {
    assert_eq!(decode(version, frame).as_ref(), Ok(packet));
    assert_eq!(encode(version, packet), frame);
}

/// A frame of this first byte and body.
pub(super) fn frame(first: u8, body: &[u8]) -> Vec<u8> {
    let mut out = BytesMut::new();
    super::write::fixed_header(first, u32::try_from(body.len()).unwrap(), &mut out);
    out.extend_from_slice(body);
    out.to_vec()
}

/// The specification's strings written with their lengths.
pub(super) fn string(text: &str) -> Vec<u8> {
    let mut out = BytesMut::new();
    super::write::binary(text.as_bytes(), &mut out);
    out.to_vec()
}

pub(super) fn text(text: &str) -> Text {
    Text::new(text).unwrap()
}

pub(super) fn topic(name: &str) -> TopicName {
    TopicName::new(name).unwrap()
}

pub(super) fn id(id: u16) -> PacketId {
    PacketId::new(id).unwrap()
}

pub(super) fn properties<const N: usize>(properties: [Property<'_>; N]) -> Properties {
    Properties::from_properties(properties).unwrap()
}

pub(super) fn too_long() -> String {
    "a".repeat(65_536)
}
