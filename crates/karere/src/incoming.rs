//! A message that a stream hands over, and when it is acknowledged.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bytes::Bytes;

use crate::client::Shared;
use crate::{AckToken, Message, QoS, ReasonCode, Received};

/// A message that a stream hands over.
///
/// At QoS > 0 it is acknowledged when it is dropped or when the stream is asked for the next one, whichever comes
/// first; with [`Options::manual_ack`](crate::Options::manual_ack) when [`ack`](Self::ack) is called. One that several streams
/// got is acknowledged when all of them are done.
#[derive(Debug)]
pub struct Incoming {
    received: Received,
    part: Option<Arc<Part>>,
}

impl Incoming {
    pub(crate) fn new(received: Received, part: Option<Arc<Part>>) -> Self {
        Self { received, part }
    }

    /// Topic Name.
    #[must_use]
    pub fn topic(&self) -> &str {
        &self.received.message.topic
    }

    /// Payload.
    #[must_use]
    pub fn payload(&self) -> &Bytes {
        &self.received.message.payload
    }

    /// QoS.
    #[must_use]
    pub fn qos(&self) -> QoS {
        self.received.message.qos
    }

    /// RETAIN: it was kept by the server, not just published.
    #[must_use]
    pub fn retain(&self) -> bool {
        self.received.message.retain
    }

    /// Acknowledges it. To be called with [`Options::manual_ack`](crate::Options::manual_ack); without it this is what
    /// dropping does.
    pub fn ack(self) {
        if let Some(part) = &self.part {
            part.finish();
        }
    }

    /// The message alone, with a copy of its bytes: a received message pins the buffer that it was read into.
    ///
    /// As dropping does, this acknowledges it, unless that is done by hand.
    #[must_use]
    pub fn into_message(self) -> Message {
        self.received.message.compact()
    }

    pub(crate) fn part(&self) -> Option<&Arc<Part>> {
        self.part.as_ref()
    }

    pub(crate) fn size_bytes(&self) -> usize {
        self.received.message.size_bytes()
    }

    /// Owns its bytes from here on.
    pub(crate) fn compact(&mut self) {
        self.received.message = self.received.message.compact();
    }
}

impl Deref for Incoming {
    type Target = Received;

    fn deref(&self) -> &Received {
        &self.received
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if let Some(part) = &self.part
            && !part.manual
        {
            part.finish();
        }
    }
}

/// One stream's part in the acknowledgement of a message.
pub(crate) struct Part {
    claim: Claim,
    /// By hand: neither dropping nor asking for the next message finishes it.
    manual: bool,
    done: AtomicBool,
}

enum Claim {
    /// No other stream got the message.
    Sole(Arc<Shared>, AckToken),
    Joint(Arc<Joint>),
}

/// What the streams that got the same message have in common.
pub(crate) struct Joint {
    shared: Arc<Shared>,
    token: AckToken,
    left: AtomicUsize,
}

impl Joint {
    pub(crate) fn new(shared: &Arc<Shared>, token: AckToken, streams: usize) -> Arc<Self> {
        Arc::new(Self { shared: Arc::clone(shared), token, left: AtomicUsize::new(streams) })
    }
}

impl Part {
    pub(crate) fn sole(shared: &Arc<Shared>, token: AckToken) -> Arc<Self> {
        Self::new(shared.options.manual_ack, Claim::Sole(Arc::clone(shared), token))
    }

    pub(crate) fn joint(joint: &Arc<Joint>) -> Arc<Self> {
        Self::new(joint.shared.options.manual_ack, Claim::Joint(Arc::clone(joint)))
    }

    fn new(manual: bool, claim: Claim) -> Arc<Self> {
        Arc::new(Self { claim, manual, done: AtomicBool::new(false) })
    }

    pub(crate) fn is_manual(&self) -> bool {
        self.manual
    }

    /// The stream is done with the message; only the first call counts.
    pub(crate) fn finish(&self) {
        if self.done.swap(true, Ordering::AcqRel) {
            return;
        }
        match &self.claim {
            Claim::Sole(shared, token) => shared.engine.acknowledge([*token], ReasonCode::Success),
            Claim::Joint(joint) => {
                if joint.left.fetch_sub(1, Ordering::AcqRel) == 1 {
                    joint.shared.engine.acknowledge([joint.token], ReasonCode::Success);
                }
            }
        }
    }
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Part").field("manual", &self.manual).field("done", &self.done).finish_non_exhaustive()
    }
}
