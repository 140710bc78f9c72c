//! Writing: lengths are checked before the first byte, so that nothing is written of what does not fit.

use bytes::{BufMut, BytesMut};

use super::{EncodeError, Properties, PropertyOwner, Version, var_int};
use crate::text::LEN_MAX;

/// Checks that a string or binary fits its Two Byte Integer.
#[inline]
pub(super) const fn check_len(what: &'static str, bytes: &[u8]) -> Result<(), EncodeError> {
    if bytes.len() > LEN_MAX { Err(EncodeError::TooLong { what, len: bytes.len() }) } else { Ok(()) }
}

/// A length as a Variable Byte Integer.
#[inline]
pub(super) const fn check_body_len(len: usize) -> Result<u32, EncodeError> {
    if len > var_int::VARIABLE_BYTE_INTEGER_MAX as usize {
        return Err(EncodeError::PacketTooLarge { len });
    }
    Ok(len as u32)
}

/// Bytes of a frame with a body of `body_len`.
#[inline]
pub(super) const fn frame_len(body_len: u32) -> usize {
    1 + var_int::len(body_len) + body_len as usize
}

/// Bytes of a block of properties of `block_len` with its Property Length.
#[inline]
pub(super) const fn properties_len(block_len: usize) -> Result<usize, EncodeError> {
    match check_body_len(block_len) {
        Ok(len) => Ok(var_int::len(len) + block_len),
        Err(error) => Err(error),
    }
}

/// Bytes of `properties` in `owner` with their Property Length; none in 3.x.
///
/// # Errors
/// [`EncodeError::Property`] when `owner` may not carry them, [`EncodeError::NotInVersion`] on 3.x.
pub(super) fn checked_properties_len(
    properties: &Properties,
    owner: PropertyOwner,
    version: Version,
) -> Result<usize, EncodeError> {
    if !version.is_v5() {
        return not_in_version(properties.is_empty(), "a property").map(|()| 0);
    }
    properties.check(owner)?;
    properties_len(properties.len())
}

/// Refuses what this version has no words for, unless it is `absent`.
#[inline]
pub(super) const fn not_in_version(absent: bool, what: &'static str) -> Result<(), EncodeError> {
    if absent { Ok(()) } else { Err(EncodeError::NotInVersion { what }) }
}

/// Reserves the frame and writes its fixed header.
#[inline]
pub(super) fn fixed_header(first: u8, body_len: u32, out: &mut BytesMut) {
    out.reserve(frame_len(body_len));
    out.put_u8(first);
    var_int::encode(body_len, out);
}

/// Binary Data or a UTF-8 Encoded String, whose length has been checked.
#[inline]
pub(super) fn binary(bytes: &[u8], out: &mut BytesMut) {
    out.put_u16(bytes.len() as u16);
    out.put_slice(bytes);
}

/// Property Length, which has been checked, and properties; nothing in 3.x.
#[inline]
pub(super) fn properties(properties: &Properties, version: Version, out: &mut BytesMut) {
    if version.is_v5() {
        var_int::encode(properties.len() as u32, out);
        out.put_slice(properties.as_bytes());
    }
}
