//! Streams of messages.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;

use crate::client::Client;
use crate::delivery::Answer;
use crate::incoming::{Incoming, Part};
use crate::request::Unsubscribe;
use crate::streams::Queue;
use crate::{ReasonCode, SubscribeError};

/// The messages of one subscription, from [`Client::subscribe`]: a [`Stream`] of [`Incoming`].
///
/// It ends when the client is closed. Dropping it ends the stream, not the subscription: what still comes is
/// acknowledged and counted in [`Counters::unclaimed`](crate::Counters::unclaimed). See [`unsubscribe`](Self::unsubscribe).
///
/// A consumer that is behind holds up nobody else: QoS > 0 is bounded by the Receive Maximum, and of QoS 0 the
/// oldest go first ([`Options::stream_bytes_max`](crate::Options::stream_bytes_max)).
#[derive(Debug)]
pub struct Subscription {
    messages: Messages,
    filters: Vec<String>,
    answer: Answer,
}

/// Every message that the client receives, from [`Client::messages`]: a [`Stream`] of [`Incoming`].
#[derive(Debug)]
pub struct Messages {
    client: Client,
    key: u64,
    queue: Arc<Queue>,
    /// What was taken from the queue and not handed over.
    batch: VecDeque<Incoming>,
    /// What was handed over last, to be acknowledged when the next is asked for.
    last: Option<Arc<Part>>,
}

impl Subscription {
    pub(crate) fn new(messages: Messages, filters: Vec<String>, answer: Answer) -> Self {
        Self { messages, filters, answer }
    }

    /// The next message; none once the client is closed. Asking acknowledges the one before.
    ///
    /// Nothing is lost when the future is dropped before it is ready.
    pub async fn recv(&mut self) -> Option<Incoming> {
        self.messages.recv().await
    }

    /// The next message if there is one already.
    pub fn try_recv(&mut self) -> Option<Incoming> {
        self.messages.try_recv()
    }

    /// The filters as they were asked for.
    #[must_use]
    pub fn filters(&self) -> &[String] {
        &self.filters
    }

    /// What the server granted, one for each filter, in order.
    #[must_use]
    pub fn reasons(&self) -> &[ReasonCode] {
        &self.answer.reasons
    }

    /// Ends the subscription, at the server too.
    ///
    /// # Errors
    /// As [`Client::unsubscribe`].
    pub async fn unsubscribe(self) -> Result<Answer, SubscribeError> {
        self.messages.client.unsubscribe(Unsubscribe::new(&self.filters)).await
    }
}

impl Messages {
    pub(crate) fn new(client: Client, key: u64, queue: Arc<Queue>) -> Self {
        Self { client, key, queue, batch: VecDeque::new(), last: None }
    }

    /// The next message; none once the client is closed. Asking acknowledges the one before.
    ///
    /// Nothing is lost when the future is dropped before it is ready.
    pub async fn recv(&mut self) -> Option<Incoming> {
        std::future::poll_fn(|cx| self.poll(cx)).await
    }

    /// The next message if there is one already.
    pub fn try_recv(&mut self) -> Option<Incoming> {
        self.finish_last();
        if self.batch.is_empty() {
            self.queue.try_take(&mut self.batch);
        }
        self.hand_over()
    }

    fn poll(&mut self, cx: &Context<'_>) -> Poll<Option<Incoming>> {
        self.finish_last();
        if self.batch.is_empty() && self.queue.poll(cx, &mut self.batch).is_pending() {
            return Poll::Pending;
        }
        Poll::Ready(self.hand_over())
    }

    fn hand_over(&mut self) -> Option<Incoming> {
        let next = self.batch.pop_front();
        self.last = next.as_ref().and_then(Incoming::part).filter(|part| !part.is_manual()).cloned();
        next
    }

    fn finish_last(&mut self) {
        if let Some(part) = self.last.take() {
            part.finish();
        }
    }
}

impl Stream for Subscription {
    type Item = Incoming;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Incoming>> {
        self.messages.poll(cx)
    }
}

impl Stream for Messages {
    type Item = Incoming;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Incoming>> {
        self.poll(cx)
    }
}

impl Drop for Messages {
    fn drop(&mut self) {
        self.client.shared().streams.lock().leave(self.key);
        self.finish_last();
        // Nobody else can acknowledge these, by hand or not, and each takes a place of the Receive Maximum.
        while !self.batch.is_empty() || self.queue.try_take(&mut self.batch) {
            self.batch.drain(..).for_each(Incoming::ack);
        }
    }
}
