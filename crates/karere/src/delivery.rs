//! What becomes of what was sent.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use karere_core::store::StoreSequence;
use parking_lot::{Condvar, Mutex};

#[cfg(feature = "tokio")]
use crate::SubscribeError;
use crate::store::Watch;
use crate::{DropReason, PacketId, Properties, PublishError, ReasonCode};

/// A message that the server has taken responsibility for (at QoS 0: that has left).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Its packet identifier; none at QoS 0 unless it was [tracked](crate::Publish::tracked).
    pub packet_id: Option<PacketId>,
    /// What the server made of it: `Success`, or that nobody has subscribed to it.
    pub reason: ReasonCode,
    /// The properties of the acknowledgement.
    pub properties: Properties,
}

/// What the server answered to SUBSCRIBE or UNSUBSCRIBE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The packet identifier of the request.
    pub packet_id: PacketId,
    /// One for each filter, in order; none for UNSUBSCRIBE on 3.x.
    pub reasons: Vec<ReasonCode>,
    /// The properties of the packet.
    pub properties: Properties,
}

/// The completion of a publish: a future, or something to [`wait`](Self::wait) for.
///
/// Dropping it withdraws nothing. It survives the loss of the connection: the message is kept and sent again.
#[derive(Debug)]
pub struct Delivery {
    inner: Inner,
    /// Where to hear that it is stored.
    store: Option<(Arc<Watch>, StoreSequence)>,
}

#[derive(Debug)]
enum Inner {
    Done,
    Awaited(PacketId, Arc<Slot>),
}

impl Delivery {
    /// A QoS 0 message that nobody follows: it is in the outbox.
    pub(crate) const DONE: Self = Self { inner: Inner::Done, store: None };

    pub(crate) fn awaited(packet_id: PacketId, slot: Arc<Slot>) -> Self {
        Self { inner: Inner::Awaited(packet_id, slot), store: None }
    }

    /// It is stored when this record is.
    pub(crate) fn stored_by(self, watch: Arc<Watch>, number: StoreSequence) -> Self {
        Self { store: Some((watch, number)), ..self }
    }

    /// The message's packet identifier; none at QoS 0 unless it was [tracked](crate::Publish::tracked).
    #[must_use]
    pub fn packet_id(&self) -> Option<PacketId> {
        match &self.inner {
            Inner::Done => None,
            Inner::Awaited(packet_id, _) => Some(*packet_id),
        }
    }

    /// Whether it has come to an end, good or bad.
    #[must_use]
    pub fn is_done(&self) -> bool {
        match &self.inner {
            Inner::Done => true,
            Inner::Awaited(_, slot) => slot.outcome().is_some(),
        }
    }

    /// Whether the message is stored as [`StoreOptions::durability`](crate::StoreOptions::durability) asks for; only from
    /// then on it may be on the wire. False without a [store](crate::Options::store), and at QoS 0.
    #[must_use]
    pub fn is_stored(&self) -> bool {
        self.store.as_ref().is_some_and(|(watch, number)| watch.is_stored(*number))
    }

    /// Resolves once the message is stored: true. False without a [store](crate::Options::store), at QoS 0, and when the
    /// client was dropped while its disk did not work.
    pub fn stored(&self) -> impl Future<Output = bool> + Send + 'static {
        let store = self.store.clone();
        std::future::poll_fn(move |cx| match &store {
            None => Poll::Ready(false),
            Some((watch, number)) => watch.poll(*number, cx),
        })
    }

    /// Blocks until the message is stored, as [`stored`](Self::stored) resolves; for ever without a `timeout`.
    ///
    /// # Errors
    /// [`PublishError::TimedOut`].
    pub fn wait_stored(&self, timeout: Option<Duration>) -> Result<bool, PublishError> {
        let Some((watch, number)) = &self.store else { return Ok(false) };
        let until = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        watch.wait(*number, until).ok_or(PublishError::TimedOut)
    }

    /// Blocks until the message has come to its end; for ever without a `timeout`.
    ///
    /// Somebody else must drive the client meanwhile: not to be called in a callback, nor on a thread that runs tasks.
    ///
    /// # Errors
    /// [`PublishError::TimedOut`], and what ended the message: [`Rejected`](PublishError::Rejected),
    /// [`Dropped`](PublishError::Dropped), [`Closed`](PublishError::Closed).
    pub fn wait(&self, timeout: Option<Duration>) -> Result<Published, PublishError> {
        match &self.inner {
            Inner::Done => published(None, Outcome::WRITTEN),
            Inner::Awaited(packet_id, slot) => {
                let outcome = slot.wait(timeout).ok_or(PublishError::TimedOut)?;
                published(Some(*packet_id), outcome)
            }
        }
    }
}

impl Future for Delivery {
    type Output = Result<Published, PublishError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &self.inner {
            Inner::Done => Poll::Ready(published(None, Outcome::WRITTEN)),
            Inner::Awaited(packet_id, slot) => {
                slot.poll(cx).map(|outcome| published(Some(*packet_id), outcome))
            }
        }
    }
}

/// How something that was sent has ended.
#[derive(Debug, Clone)]
pub(crate) enum Outcome {
    Published {
        reason: ReasonCode,
        properties: Properties,
    },
    Dropped(DropReason),
    #[cfg_attr(not(feature = "tokio"), allow(dead_code))] // the blocking client has callbacks for it
    Answered {
        reasons: Vec<ReasonCode>,
        properties: Properties,
    },
    Unanswered,
    Closed,
}

impl Outcome {
    const WRITTEN: Self = Self::Published { reason: ReasonCode::Success, properties: Properties::EMPTY };
}

fn published(packet_id: Option<PacketId>, outcome: Outcome) -> Result<Published, PublishError> {
    match outcome {
        Outcome::Published { reason, properties } if reason.is_error() => {
            Err(PublishError::Rejected { reason, properties })
        }
        Outcome::Published { reason, properties } => Ok(Published { packet_id, reason, properties }),
        Outcome::Dropped(why) => Err(PublishError::Dropped(why)),
        _ => Err(PublishError::Closed),
    }
}

/// What a SUBACK or UNSUBACK means. One that refuses every filter is an error.
#[cfg(feature = "tokio")]
pub(crate) fn answered(packet_id: PacketId, outcome: Outcome) -> Result<Answer, SubscribeError> {
    match outcome {
        Outcome::Answered { reasons, properties } => {
            if !reasons.is_empty() && reasons.iter().all(|reason| reason.is_error()) {
                return Err(SubscribeError::Rejected { reasons, properties });
            }
            Ok(Answer { packet_id, reasons, properties })
        }
        Outcome::Unanswered => Err(SubscribeError::Unanswered),
        _ => Err(SubscribeError::Closed),
    }
}

/// Where an outcome is left by the driver and found by whoever waits for it.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    state: Mutex<SlotState>,
    done: Condvar,
}

#[derive(Debug, Default)]
struct SlotState {
    outcome: Option<Outcome>,
    /// Whether those who wait may see it.
    shown: bool,
    waker: Option<Waker>,
}

impl Slot {
    /// Leaves the outcome, for [`show`](Self::show) to make known. The first one counts.
    pub(crate) fn put(&self, outcome: Outcome) {
        self.state.lock().outcome.get_or_insert(outcome);
    }

    /// Wakes those who wait.
    pub(crate) fn show(&self) {
        let mut state = self.state.lock();
        state.shown = true;
        let waker = state.waker.take();
        drop(state);
        self.done.notify_all();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn outcome(&self) -> Option<Outcome> {
        self.state.lock().shown()
    }

    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<Outcome> {
        let mut state = self.state.lock();
        match state.shown() {
            Some(outcome) => Poll::Ready(outcome),
            None => {
                state.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    fn wait(&self, timeout: Option<Duration>) -> Option<Outcome> {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut state = self.state.lock();
        while !state.shown {
            match deadline {
                None => self.done.wait(&mut state),
                Some(deadline) => {
                    if self.done.wait_until(&mut state, deadline).timed_out() {
                        break;
                    }
                }
            }
        }
        state.shown()
    }
}

impl SlotState {
    fn shown(&self) -> Option<Outcome> {
        self.outcome.clone().filter(|_| self.shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn awaited() -> (Delivery, Arc<Slot>) {
        let slot = Arc::new(Slot::default());
        (Delivery::awaited(PacketId::new(7).unwrap(), Arc::clone(&slot)), slot)
    }

    fn complete(slot: &Slot, outcome: Outcome) {
        slot.put(outcome);
        slot.show();
    }

    #[test]
    fn waiting_ends_with_what_the_driver_left() {
        let (delivery, slot) = awaited();
        assert_eq!(delivery.wait(Some(Duration::ZERO)), Err(PublishError::TimedOut));
        let driver = std::thread::spawn(move || complete(&slot, Outcome::WRITTEN));
        assert_eq!(delivery.wait(None).unwrap().packet_id, PacketId::new(7));
        assert!(delivery.is_done());
        driver.join().unwrap();
    }

    #[test]
    fn the_first_outcome_counts() {
        let (delivery, slot) = awaited();
        complete(&slot, Outcome::Closed);
        complete(&slot, Outcome::WRITTEN);
        assert_eq!(delivery.wait(None), Err(PublishError::Closed));
    }

    #[test]
    fn a_negative_acknowledgement_is_an_error() {
        let (delivery, slot) = awaited();
        complete(
            &slot,
            Outcome::Published { reason: ReasonCode::NotAuthorized, properties: Properties::EMPTY },
        );
        assert!(matches!(
            delivery.wait(None),
            Err(PublishError::Rejected { reason: ReasonCode::NotAuthorized, .. })
        ));
    }
}
