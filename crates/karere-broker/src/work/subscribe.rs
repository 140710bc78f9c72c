//! SUBSCRIBE and UNSUBSCRIBE.

use karere_core::broker::{NewSubscription, Retained, Scratch, ShareKey};
use karere_core::codec::{QoS, ReasonCode, Subscribe, SubscribeOptions, Unsubscribe};
use karere_core::topic::TopicFilter;
use karere_store::Refused;

use super::Source;
use crate::broker::Shared;
use crate::commit;
use crate::hub::SessionKey;
use crate::slot::{Cell, Place, State};
use crate::store::{Durable, SubscribedWaiter, UnsubscribedWaiter, Waiter};
use crate::sync::Arc;

/// What the router says to a SUBSCRIBE.
#[derive(Default)]
struct Answer {
    reasons: Vec<ReasonCode>,
    /// Subscriptions that there were not before.
    made: Vec<TopicFilter>,
    /// All that there are now, where they are stored.
    stored: Vec<(TopicFilter, SubscribeOptions, Option<ShareKey>)>,
    retained: Vec<(Retained, QoS)>,
}

/// What a session may still subscribe to.
struct Terms {
    /// It is stored.
    stored: bool,
    /// How many subscriptions more.
    room: usize,
    /// The disk takes nothing new.
    refused: Option<(Refused, ReasonCode)>,
}

/// Makes the subscriptions, each in one step with taking its retained messages, and tells the slot, once they are stored
/// where they have to be. `granted` is what the hook says to each.
pub(super) fn subscribe(
    source: &Source<'_>,
    epoch: u32,
    packet: &Subscribe,
    granted: &[Result<QoS, ReasonCode>],
    scratch: &mut Scratch,
) {
    let Some(cell) = source.cell else { return };
    let now = source.broker.clock.now();
    let answer = ask_router(source, cell, packet, granted);
    let mut state = cell.lock();
    if state.place.is_ended() {
        // The session ended meanwhile, and whoever ended it knew nothing of these.
        drop(state);
        return forget(source.broker, cell, &answer.made);
    }
    if let Some(durable) = write_down(source, &mut state, packet, &answer) {
        let Answer { reasons, made, retained, .. } = answer;
        let (cell, link, packet) = (cell.clone(), source.link.cloned(), packet.clone());
        let waiter = SubscribedWaiter { cell, link, epoch, packet, reasons, made, retained };
        durable.wait(now, Waiter::Subscribed(waiter.into()));
        return;
    }
    let retained = answer.retained.iter().map(|(retained, qos)| (retained, *qos));
    state.place.slot.handle_subscribed(now, epoch, packet, &answer.reasons, retained, scratch);
}

/// Writes the subscriptions of a session that is stored down.
fn write_down<'a>(
    source: &Source<'a>,
    state: &mut State,
    packet: &Subscribe,
    answer: &Answer,
) -> Option<&'a Arc<Durable>> {
    let durable = source.broker.commit.durable()?;
    let session = state.place.session_mut()?;
    durable.append(|_, batch| {
        for (filter, options, share) in &answer.stored {
            session.subscribe(batch, filter, *options, packet.subscription_id, *share);
        }
    });
    Some(durable)
}

/// Ends subscriptions, and tells the slot, once that is stored where it has to be.
pub(super) fn unsubscribe(source: &Source<'_>, epoch: u32, packet: &Unsubscribe) {
    let Some(cell) = source.cell else { return };
    let mut ended = Vec::new();
    let mut reasons = Vec::with_capacity(packet.filters.len());
    {
        // Without a key it has never subscribed to anything.
        let key = cell.label.key.get().copied().unwrap_or(SessionKey::NOBODY);
        let mut hub = source.broker.hub.write();
        for filter in &packet.filters {
            reasons.push(match TopicFilter::new(filter) {
                Err(_) => ReasonCode::TopicFilterInvalid,
                Ok(filter) if hub.router.unsubscribe(key, &filter) => {
                    ended.push(filter);
                    ReasonCode::Success
                }
                Ok(_) => ReasonCode::NoSubscriptionExisted,
            });
        }
    }
    let mut state = cell.lock();
    let packet_id = packet.packet_id;
    if let (Some(durable), Some(session)) = (source.broker.commit.durable(), state.place.session_mut()) {
        durable.append(|_, batch| ended.iter().for_each(|filter| session.unsubscribe(batch, filter)));
        let (cell, link) = (cell.clone(), source.link.cloned());
        let waiter = UnsubscribedWaiter { cell, link, epoch, packet_id, ended, reasons };
        durable.wait(source.broker.clock.now(), Waiter::Unsubscribed(waiter.into()));
        return;
    }
    state.place.slot.handle_unsubscribed(epoch, packet_id, &ended, &reasons);
}

/// Takes subscriptions out of the router that were made for a session which is over.
pub(crate) fn forget(broker: &Shared, cell: &Arc<Cell>, made: &[TopicFilter]) {
    if let Some(key) = cell.label.key.get() {
        let mut hub = broker.hub.write();
        hub.router.remove_session(*key, made);
        hub.release(*key);
    }
}

fn ask_router(
    source: &Source<'_>,
    cell: &Arc<Cell>,
    packet: &Subscribe,
    granted: &[Result<QoS, ReasonCode>],
) -> Answer {
    let mut terms = Terms::of(source, cell);
    let mut answer = Answer::default();
    let mut snapshot = Vec::new();
    for (subscription, granted) in packet.subscriptions.iter().zip(granted) {
        let new = granted.and_then(|qos| {
            let filter =
                TopicFilter::new(&subscription.filter).map_err(|_| ReasonCode::TopicFilterInvalid)?;
            let qos = qos.min(subscription.options.qos).min(source.broker.options.maximum_qos);
            Ok((filter, SubscribeOptions { qos, ..subscription.options }))
        });
        let subscribed = new.and_then(|(filter, options)| {
            terms.subscribe(source, cell, packet, filter, options, &mut answer, &mut snapshot)
        });
        let qos = subscribed.unwrap_or_default();
        answer.retained.extend(snapshot.drain(..).map(|retained| (retained, qos)));
        answer.reasons.push(subscribed.map_or_else(|reason| reason, ReasonCode::granted));
    }
    answer
}

impl Terms {
    fn of(source: &Source<'_>, cell: &Arc<Cell>) -> Self {
        let mut state = cell.lock();
        // What is stored but not answered yet counts.
        let stored = state.place.session_mut().map(|session| session.subscriptions());
        let there = stored.unwrap_or_default().max(state.place.slot.subscriptions());
        Self {
            stored: commit::is_stored(&state),
            room: source.broker.options.subscriptions_max.saturating_sub(there),
            refused: source.broker.commit.durable().and_then(|durable| durable.refuses()),
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one filter of a packet, and where it goes")]
    fn subscribe(
        &mut self,
        source: &Source<'_>,
        cell: &Arc<Cell>,
        packet: &Subscribe,
        filter: TopicFilter,
        options: SubscribeOptions,
        answer: &mut Answer,
        snapshot: &mut Vec<Retained>,
    ) -> Result<QoS, ReasonCode> {
        let now = source.broker.clock.now();
        if let Some((Refused::Failing, reason)) = self.refused.filter(|_| self.stored) {
            return Err(reason);
        }
        let mut hub = source.broker.hub.write();
        let session = hub.key_of(cell, self.stored);
        let subscription_id = packet.subscription_id;
        let new = NewSubscription { session, filter: &filter, options, subscription_id };
        let client_id = &cell.label.client_id;
        let there = hub.router.subscribe_with_retained(now, client_id, &new, snapshot)?;
        let full = self.refused.filter(|_| self.stored).map(|(_, reason)| reason);
        let full = full.or((self.room == 0).then_some(ReasonCode::QuotaExceeded));
        if let Some(reason) = full.filter(|_| !there.existed) {
            hub.router.unsubscribe(session, &filter);
            snapshot.clear();
            return Err(reason);
        }
        let share = hub.router.share_key(&filter).filter(|_| self.stored);
        drop(hub);
        if self.stored {
            answer.stored.push((filter.clone(), options, share));
        }
        if !there.existed {
            self.room -= 1;
            answer.made.push(filter);
        }
        Ok(options.qos)
    }
}
