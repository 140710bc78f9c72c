//! `karere pub`

use std::collections::VecDeque;
use std::time::Duration;

use karere::{CorePublishError, Delivery, PacketId, Payload, Publish, PublishError};

use super::link::{Link, WhenLost};
use crate::args::{Publishing, Source};
use crate::exit::{Failure, Outcome};
use crate::input::{self, Blocks, Lines};

/// Messages at QoS 1 and 2 that may wait for their acknowledgement or for their turn.
const WINDOW_COUNT: usize = 1_000;
/// The same in bytes of payload.
const WINDOW_BYTES: usize = 16 * 1024 * 1024;
/// A window full, and the largest message that there can be.
const QUEUE_BYTES: usize = WINDOW_BYTES + 256 * 1024 * 1024;
/// With `-d`, after so many messages the packets are shown.
const SHOW_EVERY: u32 = 256;
/// The longest line, which is the longest payload that a packet has room for.
const LINE_BYTES_MAX: usize = 256 * 1024 * 1024;

pub(crate) fn publish(mut meant: Publishing) -> Outcome {
    let payload = match &meant.source {
        Source::Bytes(bytes) => Some(bytes.clone()),
        Source::File(path) => Some(input::read_file(path)?),
        Source::Stdin => Some(input::read_stdin()?),
        Source::StdinLines => None,
    };
    meant.connection.options = meant.connection.options.queue_bytes_max(QUEUE_BYTES);
    super::run(Some(1), async {
        match payload {
            Some(payload) => publish_one(&meant, &payload).await,
            None => publish_lines(&meant).await,
        }
    })
}

async fn publish_one(meant: &Publishing, payload: &[u8]) -> Outcome {
    let mut sender = Sender::connect(meant, WhenLost::GiveUp).await?;
    for turn in 0..meant.repeat {
        if turn > 0 && !meant.repeat_delay.is_zero() {
            sender.pause(meant.repeat_delay).await?;
        }
        sender.send(payload).await?;
    }
    sender.finish().await
}

/// Reading goes on while messages are on their way; the order of the lines is kept.
async fn publish_lines(meant: &Publishing) -> Outcome {
    let mut sender = Sender::connect(meant, WhenLost::ConnectAgain).await?;
    let mut blocks = Blocks::of_stdin();
    let mut lines = Lines::default();
    while let Some(block) = sender.link.during(blocks.next()).await?? {
        lines.feed(block);
        // Without a connection nothing more is read: lines wait where they come from, and not in memory.
        sender.link.connected().await?;
        while let Some(line) = lines.next() {
            sender.send(line).await?;
        }
        if lines.waiting_bytes() > LINE_BYTES_MAX {
            return Err(Failure::error("a line of standard input is longer than any message may be"));
        }
    }
    if let Some(line) = lines.last() {
        sender.send(line).await?;
    }
    sender.finish().await
}

/// Publishes one message after the other without waiting for each.
struct Sender<'a> {
    link: Link,
    meant: &'a Publishing,
    window: VecDeque<(Delivery, usize)>,
    window_bytes: usize,
    unseen: u32,
}

impl<'a> Sender<'a> {
    async fn connect(meant: &'a Publishing, when_lost: WhenLost) -> Result<Self, Failure> {
        let mut link = Link::new(&meant.connection, when_lost);
        link.start()?;
        link.connected().await?;
        Ok(Self { link, meant, window: VecDeque::new(), window_bytes: 0, unseen: 0 })
    }

    async fn send(&mut self, payload: &[u8]) -> Result<(), Failure> {
        loop {
            match self.link.client.try_publish(self.message(payload)) {
                Ok(delivery) => {
                    self.follow(delivery, payload.len()).await?;
                    return self.show().await;
                }
                Err(PublishError::Busy { .. }) if self.window.is_empty() => {
                    let client = self.link.client.clone();
                    let message = self.message(payload);
                    let published = self.link.during(client.publish(message)).await?;
                    return published.map(drop).map_err(Failure::error);
                }
                Err(PublishError::Busy { .. } | PublishError::Refused(CorePublishError::Full { .. }))
                    if !self.window.is_empty() =>
                {
                    self.settle_oldest().await?;
                }
                Err(error) => return Err(Failure::error(error)),
            }
        }
    }

    fn message<'p>(&self, payload: &'p [u8]) -> Publish<'p>
    where
        'a: 'p,
    {
        Publish {
            topic: &self.meant.topic,
            payload: Payload::Borrowed(payload),
            qos: self.meant.qos,
            retain: self.meant.retain,
            expiry: self.meant.expiry,
            topic_alias: self.meant.topic_alias,
            properties: self.meant.properties.clone(),
            // At QoS 0 too, mosquitto_pub -d shows a packet identifier.
            tracked: self.link.is_debugged(),
        }
    }

    async fn follow(&mut self, delivery: Delivery, bytes: usize) -> Result<(), Failure> {
        if delivery.packet_id().is_none() {
            return Ok(());
        }
        self.window.push_back((delivery, bytes));
        self.window_bytes += bytes;
        while self.window.len() > WINDOW_COUNT || self.window_bytes > WINDOW_BYTES {
            self.settle_oldest().await?;
        }
        Ok(())
    }

    /// Waits for the acknowledgement of the oldest message.
    async fn settle_oldest(&mut self) -> Result<(), Failure> {
        let Some((delivery, bytes)) = self.window.pop_front() else { return Ok(()) };
        self.window_bytes -= bytes;
        let packet_id = delivery.packet_id().map_or(0, PacketId::get);
        match self.link.during(delivery).await? {
            Ok(_) => {}
            Err(PublishError::Rejected { reason, properties }) => {
                let text = properties.reason_string().map(|text| format!("\n{text}")).unwrap_or_default();
                self.link.warn(format!("Warning: Publish {packet_id} failed: {}.{text}", reason.name()));
            }
            Err(PublishError::Dropped(why)) => {
                self.link.warn(format!("Warning: Publish {packet_id} failed: dropped ({why:?})."));
            }
            Err(error) => return Err(Failure::error(error)),
        }
        Ok(())
    }

    async fn settle(&mut self) -> Result<(), Failure> {
        while !self.window.is_empty() {
            self.settle_oldest().await?;
        }
        Ok(())
    }

    /// As mosquitto_pub, counts the pause from the acknowledgement on.
    async fn pause(&mut self, pause: Duration) -> Result<(), Failure> {
        self.settle().await?;
        self.link.during(tokio::time::sleep(pause)).await
    }

    /// Shows packets now and then: with many messages there are more than are kept for who looks late.
    async fn show(&mut self) -> Result<(), Failure> {
        self.unseen += 1;
        if self.link.is_debugged() && self.unseen >= SHOW_EVERY {
            self.unseen = 0;
            self.link.catch_up().await?;
        }
        Ok(())
    }

    async fn finish(mut self) -> Outcome {
        self.settle().await?;
        self.link.connected().await?;
        self.link.close(self.meant.connection.disconnect.clone()).await;
        Ok(())
    }
}
