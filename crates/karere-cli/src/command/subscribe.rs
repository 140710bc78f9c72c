//! `karere sub`

use std::num::NonZeroU64;
use std::time::Duration;

use karere::{Answer, Client, Delivery, Disconnect, Incoming, Messages, PacketId, Publish};
use karere::{QoS, ReasonCode, Subscribe, SubscribeError, Unsubscribe};

use super::link::{Link, WhenLost};
use crate::args::{Output, Subscribing};
use crate::exit::{Failure, Outcome};
use crate::format::Fields;
use crate::output;
use crate::signal::Stop;

/// Messages that are formatted before they are printed, and events and signals looked at again.
const TURN_COUNT: usize = 1_000;
/// The same in bytes of output.
const TURN_BYTES: usize = 64 * 1024;
/// What may wait to be printed at QoS 0: the largest message that there can be, and some more.
const BEHIND_BYTES: usize = 320 * 1024 * 1024;
/// How long the broker may take to confirm that retained messages are cleared.
const CLEARING: Duration = Duration::from_secs(5);

pub(crate) fn subscribe(mut meant: Subscribing) -> Outcome {
    // By hand: a message is acknowledged once it is printed.
    meant.connection.options = meant.connection.options.manual_ack(true).stream_bytes_max(BEHIND_BYTES);
    super::run(Some(1), run(meant))
}

async fn run(meant: Subscribing) -> Outcome {
    let mut stop =
        Stop::new().map_err(|error| Failure::error(format!("cannot listen to signals: {error}")))?;
    let mut link = Link::new(&meant.connection, WhenLost::ConnectAgain);
    let mut messages = link.client.messages();
    let client = link.client.clone();
    let mut subscribing = std::pin::pin!(subscribing(&client, &meant));
    let mut unsubscribing = std::pin::pin!(unsubscribing(&client, &meant));
    let (mut is_subscribed, mut is_unsubscribed) = (false, meant.unsubscribe.is_empty());
    let mut timeout = std::pin::pin!(timeout(meant.timeout));
    let mut printer = Printer::new(&meant.output, meant.count);
    link.start()?;
    let end = loop {
        tokio::select! {
            biased;
            () = stop.requested() => break End::Stopped,
            event = link.next() => if let Err(failure) = event { break End::Failed(failure) },
            () = &mut timeout => break End::TimedOut,
            answer = &mut subscribing, if !is_subscribed => {
                is_subscribed = true;
                match report(&mut link, answer).await {
                    Ok(()) if meant.exit_after_subscribing => break End::Done,
                    Ok(()) => {}
                    Err(failure) => break End::Failed(failure),
                }
            }
            answer = &mut unsubscribing, if is_subscribed && !is_unsubscribed => {
                is_unsubscribed = true;
                if let Err(error) = answer { break End::Failed(Failure::error(error)) }
            }
            message = messages.recv() => match printer.turn(message, &mut messages, &mut link).await {
                Ok(Flow::Continue) => {}
                Ok(Flow::Done) => break End::Done,
                Err(failure) => break End::Failed(failure),
            },
        }
    };
    printer.finish_clearing(&mut link).await;
    let dropped = link.client.counters().dropped;
    if dropped > 0 {
        link.warn(format!(
            "Warning: {dropped} messages were dropped: they came faster than they were printed"
        ));
    }
    link.close(end.disconnect(&meant.connection.disconnect)).await;
    end.outcome()
}

/// Why the command ends.
enum End {
    Done,
    /// By a signal.
    Stopped,
    TimedOut,
    Failed(Failure),
}

impl End {
    /// What cuts the command short is a reason for the will, as mosquitto_sub has it.
    fn disconnect(&self, asked: &Disconnect) -> Disconnect {
        match self {
            Self::Stopped | Self::TimedOut => {
                Disconnect { reason: ReasonCode::DisconnectWithWillMessage, ..asked.clone() }
            }
            Self::Done | Self::Failed(_) => asked.clone(),
        }
    }

    fn outcome(self) -> Outcome {
        match self {
            Self::Done | Self::Stopped => Ok(()),
            Self::TimedOut => Err(Failure::timed_out()),
            Self::Failed(failure) => Err(failure),
        }
    }
}

async fn timeout(limit: Option<Duration>) {
    match limit {
        Some(limit) => tokio::time::sleep(limit).await,
        None => std::future::pending().await,
    }
}

/// Waits for the connection, too.
async fn subscribing(client: &Client, meant: &Subscribing) -> Result<Answer, SubscribeError> {
    let filters = meant.filters.iter().map(|filter| (filter.clone(), meant.options)).collect();
    let (subscription_id, properties) = (meant.subscription_id, meant.properties.clone());
    client.subscribe_only(Subscribe { filters, subscription_id, properties }).await
}

async fn unsubscribing(client: &Client, meant: &Subscribing) -> Result<(), SubscribeError> {
    for filter in &meant.unsubscribe {
        let properties = meant.unsubscribe_properties.clone();
        client.unsubscribe(Unsubscribe { filters: vec![filter.clone()], properties }).await?;
    }
    Ok(())
}

/// What the broker granted, with `-d`.
async fn report(link: &mut Link, answer: Result<Answer, SubscribeError>) -> Result<(), Failure> {
    let answer = answer.map_err(Failure::error)?;
    if link.is_debugged() {
        link.catch_up().await?;
        let granted: Vec<_> = answer.reasons.iter().map(|reason| reason.as_u8().to_string()).collect();
        output::print(format_args!("Subscribed (mid: {}): {}", answer.packet_id.get(), granted.join(", ")))?;
    }
    Ok(())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    Continue,
    Done,
}

/// Prints messages, and acknowledges them afterwards.
struct Printer<'a> {
    output: &'a Output,
    /// How many are still to be printed.
    left: Option<u64>,
    buffer: Vec<u8>,
    printed: Vec<Incoming>,
    clearing: Option<Delivery>,
}

impl<'a> Printer<'a> {
    fn new(output: &'a Output, count: Option<NonZeroU64>) -> Self {
        let left = count.map(NonZeroU64::get);
        Self { output, left, buffer: Vec::new(), printed: Vec::new(), clearing: None }
    }

    /// Prints what has come, up to a turn's fill.
    async fn turn(
        &mut self,
        first: Option<Incoming>,
        messages: &mut Messages,
        link: &mut Link,
    ) -> Result<Flow, Failure> {
        if link.is_debugged() {
            // The packets that brought them go first.
            link.catch_up().await?;
        }
        let first = first.ok_or_else(|| Failure::connection_lost("the client was closed"))?;
        let mut flow = self.take(first, link);
        for _ in 1..TURN_COUNT {
            if flow == Flow::Done || self.buffer.len() >= TURN_BYTES {
                break;
            }
            let Some(message) = messages.try_recv() else { break };
            flow = self.take(message, link);
        }
        self.flush()?;
        Ok(flow)
    }

    fn take(&mut self, message: Incoming, link: &Link) -> Flow {
        if self.output.retained_only && !message.retain() {
            return Flow::Done;
        }
        if self.is_shown(&message) {
            if self.output.remove_retained && message.retain() {
                self.clear(message.topic(), link);
            }
            self.format(&message, link);
            self.left = self.left.map(|left| left - 1);
        }
        if message.ack.is_some() {
            self.printed.push(message);
        }
        if self.left == Some(0) { Flow::Done } else { Flow::Continue }
    }

    fn is_shown(&self, message: &Incoming) -> bool {
        let is_out = |filter: &karere::TopicFilter| filter.matches(message.topic());
        let is_hidden = self.output.no_retained && message.retain();
        !is_hidden && !self.output.filter_out.iter().any(is_out)
    }

    fn format(&mut self, message: &Incoming, link: &Link) {
        let fields = Fields {
            topic: message.topic(),
            payload: message.payload(),
            qos: message.qos().bits(),
            retain: message.retain(),
            packet_id: message.packet_id.map_or(0, PacketId::get),
            expiry: message.message.expiry,
            subscription_ids: message.subscription_ids.as_slice(),
            properties: &message.message.properties,
        };
        if let Err(error) = self.output.style.write(&fields, self.output.newline, &mut self.buffer) {
            link.warn(format!("Error: {error} on topic {}.", message.topic()));
        }
    }

    /// Only the last one is waited for: the broker answers in order.
    fn clear(&mut self, topic: &str, link: &Link) {
        let nothing = Publish::new(topic, ()).qos(QoS::AtLeastOnce).retain(true);
        match link.client.publish_nowait(nothing) {
            Ok(delivery) => self.clearing = Some(delivery),
            Err(error) => link.warn(format!("Error: cannot clear {topic}: {error}")),
        }
    }

    fn flush(&mut self) -> Result<(), Failure> {
        output::flush(&mut self.buffer)?;
        self.printed.drain(..).for_each(Incoming::ack);
        Ok(())
    }

    async fn finish_clearing(&mut self, link: &mut Link) {
        let Some(delivery) = self.clearing.take() else { return };
        let confirmed = tokio::time::timeout(CLEARING, link.during(delivery)).await;
        if !matches!(confirmed, Ok(Ok(Ok(_)))) {
            link.warn("Warning: the broker has not confirmed that the retained messages are cleared");
        }
    }
}
