//! Subscribe to something and be called back, or get the first messages.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::blocking::Client;
use crate::options::Options;
use crate::publish::{connected, pass};
use crate::request::Subscribe;
use crate::{Error, ReasonCode, Received, SubscribeError};

/// Connects, subscribes, waits for `count` messages, disconnects, and returns them.
///
/// Retained messages count like any other: see [`Received::message`]'s `retain`.
///
/// ```no_run
/// use karere::{Options, QoS};
///
/// let first = karere::subscribe::simple(Options::new("localhost", 1883), ("iot/#", QoS::AtLeastOnce), 1)?;
/// # Ok::<(), karere::Error>(())
/// ```
///
/// # Errors
/// [`Error::Connect`], [`Error::Subscribe`] when every filter is refused, and [`Error::Disconnected`] when the connection
/// is lost meanwhile.
pub fn simple(options: Options, request: impl Into<Subscribe>, count: usize) -> Result<Vec<Received>, Error> {
    let client = connected(options)?;
    let found = Arc::new(Mutex::new(Vec::new()));
    let list = Arc::clone(&found);
    client.on_message(move |_, received| {
        let mut list = list.lock();
        if list.len() < count {
            let message = received.message.compact();
            list.push(Received { message, ..received.clone() });
        }
    });
    let refused = watch_answer(&client);
    client.subscribe(request)?;
    while found.lock().len() < count {
        pass(&client)?;
        if let Some(error) = refused.lock().take() {
            return Err(error.into());
        }
    }
    client.disconnect();
    let found = std::mem::take(&mut *found.lock());
    Ok(found)
}

/// Connects, subscribes, and calls `f` for each message until the connection is closed by
/// [`disconnect`](Client::disconnect), which `f` may call.
///
/// A lost connection is made again, and subscribed to again, as the options say.
///
/// # Errors
/// As [`simple`].
pub fn callback(
    options: Options,
    request: impl Into<Subscribe>,
    f: impl FnMut(&Client, &Received) + Send + 'static,
) -> Result<(), Error> {
    let client = connected(options)?;
    client.on_message(f);
    let refused = watch_answer(&client);
    client.subscribe(request)?;
    let result = client.loop_forever();
    if let Some(error) = refused.lock().take() {
        return Err(error.into());
    }
    Ok(result?)
}

/// Keeps the server's refusal of every filter, and disconnects then.
fn watch_answer(client: &Client) -> Arc<Mutex<Option<SubscribeError>>> {
    let refused = Arc::new(Mutex::new(None));
    let slot = Arc::clone(&refused);
    client.on_subscribe(move |client, answer| {
        if answer.reasons.iter().copied().all(ReasonCode::is_error) {
            let (reasons, properties) = (answer.reasons.clone(), answer.properties.clone());
            *slot.lock() = Some(SubscribeError::Rejected { reasons, properties });
            client.disconnect();
        }
    });
    refused
}
