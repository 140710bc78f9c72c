//! Work that goes on without its connection, in turns of its own: what one had left when it was let go, and Wills.

use std::future::{Future, poll_fn};
use std::pin::Pin;

use crate::bench;
use crate::broker::Shared;
use crate::slot::{Cell, Ticket};
use crate::sync::Arc;
use crate::work::{DELIVERIES_MAX, Source, Task, Work};
use crate::write::write_through;

/// The answers of hooks.
pub(crate) type Asked = Pin<Box<dyn Future<Output = Vec<Task>> + Send>>;

/// Work that is left to be done. A message is for all or for none, and one at QoS 2 must be answered, because the
/// core remembers it from the moment it comes in.
pub(crate) struct Leftover {
    /// Awaited before `work` goes on.
    pub(crate) asked: Option<Asked>,
    pub(crate) work: Work,
    /// The client is version 5.
    pub(crate) tells: bool,
}

impl Leftover {
    /// Does it behind what goes before `ticket`; at once as far as one turn goes, if nothing does.
    pub(crate) fn finish(mut self, broker: &Arc<Shared>, cell: &Arc<Cell>, ticket: Ticket) {
        if broker.is_closing() {
            // Whoever would have come behind does not come any more, and hooks are not waited for.
            while self.asked.is_none() && !self.advance(broker, cell) {}
            return;
        }
        if self.asked.is_none() && ticket.is_due() && self.advance(broker, cell) {
            return;
        }
        let (broker, cell) = (broker.clone(), cell.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = self.finish_in_turns(&broker, &cell, &ticket) => {}
                () = broker.closing() => {}
            }
        });
    }

    async fn finish_in_turns(&mut self, broker: &Arc<Shared>, cell: &Arc<Cell>, ticket: &Ticket) {
        poll_fn(|cx| ticket.poll_due(cx)).await;
        if let Some(asked) = self.asked.take() {
            asked.await.into_iter().for_each(|task| self.work.push_task(task));
        }
        while !self.advance(broker, cell) {
            tokio::task::yield_now().await;
        }
    }

    /// A turn's worth of it. False: there is more.
    fn advance(&mut self, broker: &Arc<Shared>, cell: &Arc<Cell>) -> bool {
        let source = Source { broker, cell: Some(cell), link: None, tells: self.tells };
        bench::with(|bench| {
            let done = self.work.advance(&source, &mut bench.pool, &mut DELIVERIES_MAX.clone());
            // Its acknowledgements, if another connection has the session by now.
            write_through(broker, &mut bench.pool, cell);
            done
        })
    }
}
