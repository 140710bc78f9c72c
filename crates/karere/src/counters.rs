//! What a client has done so far.

/// What a client has done since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Messages received.
    pub messages_in: u64,
    /// Messages taken for publishing.
    pub messages_out: u64,
    /// Bytes read.
    pub bytes_in: u64,
    /// Bytes written.
    pub bytes_out: u64,
    /// Calls to the system that read bytes.
    pub reads: u64,
    /// Calls to the system that wrote bytes.
    pub writes: u64,
    /// Connections that the server accepted.
    pub connects: u64,
    /// Those of them that followed another one.
    pub reconnects: u64,
    /// QoS 0 messages that a stream gave up because its consumer was behind, and events alike.
    pub dropped: u64,
    /// Messages that no stream and no callback took; they were acknowledged.
    pub unclaimed: u64,
}
