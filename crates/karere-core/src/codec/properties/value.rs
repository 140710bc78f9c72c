//! How the values of properties are written.

use bytes::{BufMut, BytesMut};

use crate::codec::{EncodeError, QoS, write};

/// A value of a property; whether it may have this value is not asked here.
pub(super) trait Value {
    /// Writes it.
    ///
    /// # Errors
    /// [`EncodeError::TooLong`], with `what` for its name.
    fn encode(&self, what: &'static str, out: &mut BytesMut) -> Result<(), EncodeError>;
}

impl Value for bool {
    fn encode(&self, _: &'static str, out: &mut BytesMut) -> Result<(), EncodeError> {
        out.put_u8(u8::from(*self));
        Ok(())
    }
}

impl Value for QoS {
    fn encode(&self, _: &'static str, out: &mut BytesMut) -> Result<(), EncodeError> {
        out.put_u8(self.bits());
        Ok(())
    }
}

impl Value for u16 {
    fn encode(&self, _: &'static str, out: &mut BytesMut) -> Result<(), EncodeError> {
        out.put_u16(*self);
        Ok(())
    }
}

impl Value for u32 {
    fn encode(&self, _: &'static str, out: &mut BytesMut) -> Result<(), EncodeError> {
        out.put_u32(*self);
        Ok(())
    }
}

impl Value for &str {
    fn encode(&self, what: &'static str, out: &mut BytesMut) -> Result<(), EncodeError> {
        self.as_bytes().encode(what, out)
    }
}

impl Value for &[u8] {
    fn encode(&self, what: &'static str, out: &mut BytesMut) -> Result<(), EncodeError> {
        write::check_len(what, self)?;
        write::binary(self, out);
        Ok(())
    }
}
