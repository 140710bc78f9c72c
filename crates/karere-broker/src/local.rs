//! A client in the broker's own process, without a socket.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{ErrorKind, IoSlice};
use std::task::{Context, Poll};

use bytes::{Buf, BytesMut};
use karere_core::client::{
    Client, Credentials, Event, Options, Outgoing, PublishError, Received, SubscribeError,
};
use karere_core::codec::{Disconnect, PacketId, Properties, QoS, ReasonCode, SubscribeOptions, Subscription};
use karere_core::topic::{TopicError, TopicFilter};
use karere_core::{Instant, Text};

use crate::broker::Shared;
use crate::clock::Clock;
use crate::connection::{self, PipeEnd, Reader, Writer};
use crate::sync::Arc;

/// Messages that wait for [`LocalClient::recv`]; then the oldest goes, if it is at QoS 0, and is counted.
const INBOX_COUNT_MAX: usize = 100_000;

/// A client in the broker's own process: the protocol without a socket.
///
/// It has no task of its own and moves only while one of its methods runs. What comes meanwhile waits in the
/// broker, under the same rules as for any slow reader. Each method may be dropped before it is done: nothing
/// is lost that had come, and what was to be sent is sent.
#[derive(Debug)]
pub struct LocalClient {
    client: Client,
    end: Option<PipeEnd>,
    clock: Clock,
    input: BytesMut,
    inbox: VecDeque<Received>,
    answers: VecDeque<Answer>,
    /// Handed out, to be acknowledged when the next one is asked for.
    handed_out: Option<Received>,
    lost: u64,
}

/// Why something did not happen.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LocalError {
    /// The connection is over.
    #[error("the connection to the broker is closed")]
    Closed,
    /// The broker refused, and said why.
    #[error("refused by the broker: {0}")]
    Refused(ReasonCode),
    /// No Client Identifier.
    #[error("a client identifier is a UTF-8 string without NUL of at most 65,535 bytes")]
    ClientId,
    /// No Topic Filter.
    #[error(transparent)]
    TopicFilter(#[from] TopicError),
    /// The message was not taken.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The subscription was not asked for.
    #[error(transparent)]
    Subscribe(#[from] SubscribeError),
}

#[derive(Debug)]
enum Answer {
    Connected,
    One(PacketId, ReasonCode),
    Many(PacketId, Vec<ReasonCode>),
    Over(LocalError),
}

impl LocalClient {
    pub(crate) async fn connect(broker: &Arc<Shared>, options: Options) -> Result<Self, LocalError> {
        let (ours, theirs) = connection::pair();
        if !connection::start(broker, theirs.reader, theirs.writer, None) {
            return Err(LocalError::Closed);
        }
        let mut local = Self {
            client: Client::new(options),
            end: Some(ours),
            clock: broker.clock,
            input: BytesMut::new(),
            inbox: VecDeque::new(),
            answers: VecDeque::new(),
            handed_out: None,
            lost: 0,
        };
        local.client.handle_open(local.clock.now(), Credentials::default());
        local.answer(|answer| matches!(answer, Answer::Connected).then_some(())).await?;
        Ok(local)
    }

    /// The Client Identifier, also when the broker has assigned it.
    #[must_use]
    pub fn client_id(&self) -> &Text {
        self.client.client_id()
    }

    /// Publishes, and returns when the broker has the message: at QoS 1 and 2 when it has acknowledged it.
    ///
    /// # Errors
    /// [`LocalError::Publish`] for what is no message, [`LocalError::Refused`] with the broker's reason,
    /// [`LocalError::Closed`].
    pub async fn publish(
        &mut self,
        topic: &str,
        payload: impl AsRef<[u8]>,
        qos: QoS,
        retain: bool,
    ) -> Result<(), LocalError> {
        self.publish_message(Outgoing::new(topic, payload.as_ref()).qos(qos).retain(retain)).await
    }

    /// The same with expiry and properties.
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    pub async fn publish_message(&mut self, message: Outgoing<'_>) -> Result<(), LocalError> {
        self.end.as_ref().ok_or(LocalError::Closed)?;
        let sent = self.client.publish(self.clock.now(), message)?;
        let Some(packet_id) = sent else {
            return poll_fn(|cx| self.poll_written(cx)).await;
        };
        let reason = self.answer(|answer| match answer {
            Answer::One(id, reason) if *id == packet_id => Some(*reason),
            _ => None,
        });
        let reason = reason.await?;
        if reason.is_error() { Err(LocalError::Refused(reason)) } else { Ok(()) }
    }

    /// Subscribes, and returns the granted QoS.
    ///
    /// # Errors
    /// [`LocalError::TopicFilter`] for what is no filter, [`LocalError::Refused`] with the broker's reason,
    /// [`LocalError::Closed`].
    pub async fn subscribe(&mut self, filter: &str, qos: QoS) -> Result<QoS, LocalError> {
        let options = SubscribeOptions { qos, ..SubscribeOptions::default() };
        let subscription = Subscription { filter: TopicFilter::new(filter)?.as_text().clone(), options };
        let reasons = self.subscribe_with(&[subscription], None, &Properties::EMPTY).await?;
        let reason = reasons.first().copied().unwrap_or(ReasonCode::UnspecifiedError);
        QoS::from_bits(reason.as_u8()).ok_or(LocalError::Refused(reason))
    }

    /// Subscribes to many at once, with all options; a reason for each.
    ///
    /// # Errors
    /// [`LocalError::Subscribe`] for what cannot be asked for, [`LocalError::Closed`].
    pub async fn subscribe_with(
        &mut self,
        subscriptions: &[Subscription],
        subscription_id: Option<u32>,
        properties: &Properties,
    ) -> Result<Vec<ReasonCode>, LocalError> {
        self.end.as_ref().ok_or(LocalError::Closed)?;
        let packet_id =
            self.client.subscribe(self.clock.now(), subscriptions, subscription_id, properties)?;
        self.answer(|answer| many(answer, packet_id)).await
    }

    /// Ends a subscription.
    ///
    /// # Errors
    /// [`LocalError::TopicFilter`] for what is no filter, [`LocalError::Closed`].
    pub async fn unsubscribe(&mut self, filter: &str) -> Result<ReasonCode, LocalError> {
        self.end.as_ref().ok_or(LocalError::Closed)?;
        let filter = TopicFilter::new(filter)?;
        let packet_id = self.client.unsubscribe(self.clock.now(), &[filter], &Properties::EMPTY)?;
        let reasons = self.answer(|answer| many(answer, packet_id)).await?;
        Ok(reasons.first().copied().unwrap_or(ReasonCode::Success))
    }

    /// The next message; `None` once the connection is over and all have been handed out.
    ///
    /// A message is acknowledged when the next one is asked for: until then the broker answers for it.
    pub async fn recv(&mut self) -> Option<Received> {
        if let Some(done) = self.handed_out.take()
            && let Some(token) = done.ack
        {
            self.client.acknowledge(self.clock.now(), token, ReasonCode::Success);
        }
        poll_fn(|cx| {
            let open = self.poll_step(cx);
            if let Some(received) = self.inbox.pop_front() {
                self.handed_out = Some(received.clone());
                return Poll::Ready(Some(received));
            }
            if open { Poll::Pending } else { Poll::Ready(None) }
        })
        .await
    }

    /// How many messages at QoS 0 went because [`recv`](Self::recv) was not called.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// Says goodbye; a Will is not sent. What was handed out last is acknowledged.
    pub async fn close(mut self) {
        let now = self.clock.now();
        if let Some(token) = self.handed_out.take().and_then(|done| done.ack) {
            self.client.acknowledge(now, token, ReasonCode::Success);
        }
        let goodbye = Disconnect { reason: ReasonCode::NORMAL_DISCONNECTION, properties: Properties::EMPTY };
        self.client.disconnect(now, &goodbye);
        let _ = poll_fn(|cx| self.poll_written(cx)).await;
    }

    /// Moves until `wanted` finds its answer.
    async fn answer<T>(&mut self, wanted: impl Fn(&Answer) -> Option<T>) -> Result<T, LocalError> {
        poll_fn(|cx| {
            let open = self.poll_step(cx);
            // Answers to calls that were dropped are nobody's.
            while let Some(answer) = self.answers.pop_front() {
                if let Answer::Over(error) = answer {
                    return Poll::Ready(Err(error));
                }
                if let Some(found) = wanted(&answer) {
                    return Poll::Ready(Ok(found));
                }
            }
            if open { Poll::Pending } else { Poll::Ready(Err(LocalError::Closed)) }
        })
        .await
    }

    fn poll_written(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LocalError>> {
        let open = self.poll_step(cx);
        if self.client.poll_transmit().is_empty() {
            return Poll::Ready(Ok(()));
        }
        if open { Poll::Pending } else { Poll::Ready(Err(LocalError::Closed)) }
    }

    /// Writes and reads until neither goes on. False: the connection is over.
    fn poll_step(&mut self, cx: &mut Context<'_>) -> bool {
        loop {
            let Some(end) = &mut self.end else { return false };
            let now = self.clock.now();
            let written = write(&mut self.client, end, now, cx);
            self.input.reserve(4096);
            let read = end.reader.poll_read(cx, &mut self.input);
            let over = match read {
                Poll::Pending => false,
                Poll::Ready(Ok(1..)) => self.client.handle_input(now, &mut self.input).is_err(),
                Poll::Ready(_) => true,
            };
            while let Some(event) = self.client.poll_event() {
                self.on_event(event);
            }
            if over || !written || !self.client.is_open() {
                self.client.handle_closed(now);
                self.end = None;
                return false;
            }
            if read.is_pending() {
                return true;
            }
        }
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Connected { .. } => self.answers.push_back(Answer::Connected),
            Event::Refused(connack) => {
                self.answers.push_back(Answer::Over(LocalError::Refused(connack.reason)));
            }
            Event::Message(received) => self.keep(received),
            Event::Published { packet_id, reason, .. } => {
                self.answers.push_back(Answer::One(packet_id, reason));
            }
            Event::Subscribed { packet_id, reasons, .. } | Event::Unsubscribed { packet_id, reasons, .. } => {
                self.answers.push_back(Answer::Many(packet_id, reasons));
            }
            Event::Disconnected(disconnect) => {
                self.answers.push_back(Answer::Over(LocalError::Refused(disconnect.reason)));
            }
            _ => {}
        }
    }

    fn keep(&mut self, mut received: Received) {
        if self.inbox.len() >= INBOX_COUNT_MAX
            && self.inbox.front().is_some_and(|oldest| oldest.ack.is_none())
        {
            self.inbox.pop_front();
            self.lost += 1;
        }
        received.message = received.message.compact();
        self.inbox.push_back(received);
    }
}

fn many(answer: &Answer, packet_id: PacketId) -> Option<Vec<ReasonCode>> {
    match answer {
        Answer::Many(id, reasons) if *id == packet_id => Some(reasons.clone()),
        _ => None,
    }
}

/// Writes what fits. False: the other end has gone.
fn write(client: &mut Client, end: &PipeEnd, now: Instant, cx: &mut Context<'_>) -> bool {
    while !client.poll_transmit().is_empty() {
        match end.writer.try_write(&[IoSlice::new(client.poll_transmit().chunk())]) {
            Ok(count) => {
                client.poll_transmit().advance(count);
                client.handle_written(now, count);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if end.writer.poll_writable(cx).is_pending() {
                    return true;
                }
            }
            Err(_) => return false,
        }
    }
    true
}
