//! The task of a connection: greeting, conversation, parting.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::driver::{Driver, End};
use super::greet::{self, Greeted};
use super::link::Link;
use super::part;
use super::transport::{Reader, Writer};
use crate::broker::Shared;
use crate::sync::Arc;

/// Starts the task of a connection. False: there are too many.
pub(crate) fn start<R: Reader, W: Writer>(
    broker: &Arc<Shared>,
    reader: R,
    writer: W,
    remote: Option<SocketAddr>,
) -> bool {
    let make = |index| -> Arc<Link> { Arc::new(Link::new(index, writer)) };
    let Some(link) = broker.connections.add(broker.settings.connections_max, make) else { return false };
    let greeting = Box::pin(greet::greet(broker.clone(), link.clone(), reader, remote));
    tokio::spawn(Task {
        stage: Stage::Greeting(greeting),
        leaving: Leaving { broker: broker.clone(), link },
    });
    true
}

/// One connection from its first byte to its last: what the runtime keeps of it.
///
/// Written by hand instead of as an `async fn`, because what it waits for most of its life is the driver
/// alone, and what comes before and after that can have memory of its own.
struct Task<R> {
    stage: Stage<R>,
    leaving: Leaving,
}

enum Stage<R> {
    /// CONNECT has not been accepted.
    Greeting(Pin<Box<dyn Future<Output = (R, Option<Greeted>)> + Send>>),
    /// It has a session.
    Conversing(Driver<R>),
    /// Its last bytes.
    Parting(Pin<Box<dyn Future<Output = ()> + Send>>),
    Over,
}

impl<R: Reader> Future for Task<R> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self { stage, leaving } = self.get_mut();
        loop {
            *stage = match stage {
                Stage::Greeting(greeting) => leaving.greeted(ready!(greeting.as_mut().poll(cx))),
                Stage::Conversing(driver) => {
                    let end = ready!(driver.poll(cx));
                    let driver = std::mem::replace(stage, Stage::Over);
                    leaving.ended(driver, end)
                }
                Stage::Parting(parting) => {
                    ready!(parting.as_mut().poll(cx));
                    Stage::Over
                }
                Stage::Over => return Poll::Ready(()),
            }
        }
    }
}

/// Takes the connection out of the table, however its task ends.
struct Leaving {
    broker: Arc<Shared>,
    link: Arc<Link>,
}

impl Leaving {
    fn greeted<R: Reader>(&self, (reader, greeted): (R, Option<Greeted>)) -> Stage<R> {
        let Some(greeted) = greeted else { return self.part(reader, true) };
        Stage::Conversing(Driver::new(self.broker.clone(), self.link.clone(), reader, greeted))
    }

    fn ended<R: Reader>(&self, stage: Stage<R>, end: End) -> Stage<R> {
        let Stage::Conversing(driver) = stage else { return Stage::Over };
        let (reader, cell, left) = driver.into_parts();
        let ticket = self.broker.detach(&cell, &self.link, left.is_some());
        if let Some(left) = left {
            let ticket = ticket.unwrap_or_else(|| self.broker.registry.late().ticket(&cell.label.client_id));
            left.finish(&self.broker, &cell, ticket);
        }
        self.broker.count.disconnected();
        if end == End::Cut { Stage::Over } else { self.part(reader, end == End::Ours) }
    }

    fn part<R: Reader>(&self, reader: R, ours: bool) -> Stage<R> {
        Stage::Parting(Box::pin(part::part(self.broker.clone(), self.link.clone(), reader, ours)))
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        self.link.forget_driver();
        self.broker.connections.remove(self.link.index);
    }
}

#[cfg(test)]
mod tests {
    use super::Task;
    use tokio::net::tcp::OwnedReadHalf;

    #[test]
    fn the_future_of_a_connection_is_at_most_512_bytes() {
        let size = size_of::<Task<OwnedReadHalf>>();
        assert!(size <= 160, "{size} bytes: 512 is the limit, and there is no need to come near it");
    }
}
