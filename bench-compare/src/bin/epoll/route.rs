//! From a slot's events to the slots of their receivers.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::BytesMut;
use karere_core::broker::{AckToken, Event, Grant, NewSubscription, Presence, Routed, Scratch, Target};
use karere_core::codec::{Message, ReasonCode, Subscribe};
use karere_core::topic::TopicFilter;
use parking_lot::MutexGuard;

use crate::Shared;
use crate::connection::{Connection, Pool, State};

/// What a thread uses again for each turn.
#[derive(Default)]
pub(crate) struct Routing {
    pub(crate) pool: Pool,
    pub(crate) input: BytesMut,
    events: VecDeque<Event>,
    publishes: Vec<(Message, Option<AckToken>, usize)>, // and behind its last delivery
    deliveries: Vec<(u32, Grant)>,
    targets: Vec<Target<u32>>,
    scratch: Scratch,
    table: Table,
}

/// Who was given something since the last writing, each found once.
#[derive(Default)]
struct Table {
    filled: Vec<Arc<Connection>>,
    /// Where in `filled` a key's connection may be.
    hints: Vec<u32>,
}

impl Table {
    fn place(&mut self, key: u32, find: impl FnOnce() -> Option<Arc<Connection>>) -> Option<u32> {
        let index = key as usize;
        if self.hints.len() <= index {
            self.hints.resize(index + 1, u32::MAX);
        }
        let hint = self.hints[index];
        if self.filled.get(hint as usize).is_some_and(|there| there.key == key) {
            return Some(hint);
        }
        let place = u32::try_from(self.filled.len()).ok()?;
        self.filled.push(find()?);
        self.hints[index] = place;
        Some(place)
    }
}

impl Routing {
    /// Has the slot of `from` take in `input`, and does what follows. False: it has said goodbye, or must go.
    pub(crate) fn take_input(
        &mut self,
        shared: &Shared,
        from: &Arc<Connection>,
        input: &mut BytesMut,
    ) -> bool {
        let mut events = std::mem::take(&mut self.events);
        let mut stays = {
            let mut state = from.state.lock();
            state.fit(&mut self.pool);
            state.slot.swap_events(&mut events);
            let taken = state.slot.handle_input(shared.now(), input);
            state.slot.swap_events(&mut events);
            taken.is_ok()
        };
        for event in events.drain(..) {
            match event {
                Event::Publish { message, token, .. } => self.publishes.push((message, token, 0)),
                Event::Subscribe(packet) => {
                    self.publish(shared, from);
                    self.subscribe(shared, from, &packet);
                }
                Event::Disconnected(_) => stays = false,
                _ => {}
            }
        }
        self.events = events;
        self.publish(shared, from);
        self.fill(from);
        stays
    }

    /// Notes that `connection` is to be written to.
    fn fill(&mut self, connection: &Arc<Connection>) {
        self.table.place(connection.key, || Some(connection.clone()));
    }

    /// Writes to all who were given something.
    pub(crate) fn write(&mut self, shared: &Shared) {
        for connection in self.table.filled.drain(..) {
            connection.flush(shared, &mut self.pool);
        }
    }

    fn publish(&mut self, shared: &Shared, from: &Arc<Connection>) {
        if self.publishes.is_empty() {
            return;
        }
        {
            let hub = shared.hub.read();
            for (message, _, end) in &mut self.publishes {
                hub.router.route(Some(from.key), &message.topic, &mut self.targets);
                for target in self.targets.drain(..) {
                    let Target::Session { session, grant } = target else { continue };
                    let find = || hub.connections.get(session as usize).cloned().flatten();
                    let place = self.table.place(session, find);
                    self.deliveries.extend(place.map(|place| (place, grant)));
                }
                *end = self.deliveries.len();
            }
        }
        self.deliver(shared);
        let now = shared.now();
        let mut state = from.state.lock();
        state.fit(&mut self.pool);
        for (_, token, _) in self.publishes.drain(..) {
            token.into_iter().for_each(|token| state.slot.handle_routed(now, token, ReasonCode::Success));
        }
    }

    fn deliver(&mut self, shared: &Shared) {
        let (now, mut next) = (shared.now(), 0);
        let mut held: Option<(u32, MutexGuard<'_, State>)> = None;
        for (message, _, end) in &self.publishes {
            let mut routed = Routed::new(message, now, &mut self.scratch);
            for (place, grant) in &self.deliveries[next..*end] {
                if held.as_ref().is_some_and(|(at, _)| at != place) {
                    held = None;
                }
                let (_, state) = held.get_or_insert_with(|| {
                    let mut state = self.table.filled[*place as usize].state.lock();
                    state.fit(&mut self.pool);
                    (*place, state)
                });
                state.slot.deliver(now, &mut routed, grant, Presence::Any);
            }
            next = *end;
        }
        drop(held);
        self.deliveries.clear();
    }

    fn subscribe(&mut self, shared: &Shared, from: &Arc<Connection>, packet: &Subscribe) {
        let granted = packet.subscriptions.iter().map(|subscription| {
            let filter =
                TopicFilter::new(&subscription.filter).map_err(|_| ReasonCode::TopicFilterInvalid)?;
            let options = subscription.options;
            let subscription_id = packet.subscription_id;
            let new = NewSubscription { session: from.key, filter: &filter, options, subscription_id };
            shared.hub.write().router.subscribe(&new)?;
            Ok(ReasonCode::granted(options.qos))
        });
        let reasons: Vec<ReasonCode> =
            granted.map(|reason| reason.unwrap_or_else(|refused| refused)).collect();
        let mut state = from.state.lock();
        let epoch = state.slot.epoch();
        state.slot.handle_subscribed(shared.now(), epoch, packet, &reasons, [], &mut self.scratch);
    }
}
