//! Publish something and be done.

use std::time::Duration;

use crate::blocking::{Client, LoopError};
use crate::delivery::Delivery;
use crate::options::Options;
use crate::outgoing::Publish;
use crate::{ConnectError, CorePublishError, Disconnection, Error, PublishError, StoreError};

/// The longest that one pass of the loop waits; what it waits for ends it earlier.
const PASS: Duration = Duration::from_secs(1);

/// Connects, publishes one message, waits for its acknowledgement (at QoS 0: until it is written), and disconnects.
///
/// # Errors
/// [`Error::Connect`], [`Error::Publish`], and [`Error::Disconnected`] when the connection is lost meanwhile.
pub fn single<'a>(options: Options, message: impl Into<Publish<'a>>) -> Result<(), Error> {
    multiple(options, [message])
}

/// As [`single`], for several messages over one connection, in order.
///
/// ```no_run
/// use karere::{Options, QoS};
///
/// let messages = [("iot/home/temp", "25.3", QoS::AtLeastOnce), ("iot/home/humidity", "40", QoS::AtLeastOnce)];
/// karere::publish::multiple(Options::new("localhost", 1883), messages)?;
/// # Ok::<(), karere::Error>(())
/// ```
///
/// # Errors
/// As [`single`]; a message that the server refuses is one, but those behind it are still sent.
pub fn multiple<'a>(
    options: Options,
    messages: impl IntoIterator<Item = impl Into<Publish<'a>>>,
) -> Result<(), Error> {
    let client = connected(options)?;
    let mut deliveries = Vec::new();
    for message in messages {
        deliveries.push(publish_when_taken(&client, &message.into().tracked(true))?);
    }
    let mut refused = Ok(());
    for delivery in deliveries {
        while !delivery.is_done() {
            pass(&client)?;
        }
        refused = refused.and(delivery.wait(None).map(drop));
    }
    client.disconnect();
    Ok(refused?)
}

/// Publishes; where the queue or the packet identifiers are used up, once acknowledgements have made room.
fn publish_when_taken(client: &Client, message: &Publish<'_>) -> Result<Delivery, Error> {
    loop {
        // Each by itself would wait for the disk.
        let published = match client.driver().store_status() {
            Some(_) => client.driver().publish(message.clone()),
            None => client.publish(message.clone()),
        };
        match published {
            Err(PublishError::Refused(
                CorePublishError::Full { .. } | CorePublishError::PacketIdsExhausted,
            ))
            | Err(PublishError::Store(StoreError::Full { .. }))
                if client.queued() + client.driver().inflight() > 0 =>
            {
                pass(client)?;
            }
            result => return Ok(result?),
        }
    }
}

/// A client whose connection the server has accepted.
pub(crate) fn connected(options: Options) -> Result<Client, Error> {
    let client = Client::new(options);
    client.connect()?;
    while !client.is_connected() {
        match pass(&client) {
            Err(Error::Disconnected(Disconnection::Refused(connack))) => {
                return Err(ConnectError::Refused(connack).into());
            }
            Err(Error::Disconnected(why)) => return Err(ConnectError::Lost(why).into()),
            result => result?,
        }
    }
    Ok(client)
}

pub(crate) fn pass(client: &Client) -> Result<(), Error> {
    match client.loop_once(PASS) {
        Ok(()) => Ok(()),
        Err(LoopError::Lost(why)) => Err(why.into()),
        Err(LoopError::NotConnected) => Err(ConnectError::Closed.into()),
    }
}
