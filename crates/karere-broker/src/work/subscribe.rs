//! SUBSCRIBE and UNSUBSCRIBE.

use karere_core::broker::{NewSubscription, Retained, Scratch};
use karere_core::codec::{QoS, ReasonCode, Subscribe, Unsubscribe};
use karere_core::topic::TopicFilter;

use super::Source;
use crate::hub::SessionKey;
use crate::slot::{Cell, Place};
use crate::sync::Arc;

/// What the router says to a SUBSCRIBE.
#[derive(Default)]
struct Answer {
    reasons: Vec<ReasonCode>,
    /// Subscriptions that there were not before.
    made: Vec<TopicFilter>,
    retained: Vec<(Retained, QoS)>,
}

/// Makes the subscriptions, each in one step with taking its retained messages, and tells the slot. `granted`
/// is what the hook says to each.
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
    if !state.place.is_ended() {
        let retained = answer.retained.iter().map(|(retained, qos)| (retained, *qos));
        state.place.slot.handle_subscribed(now, epoch, packet, &answer.reasons, retained, scratch);
        return;
    }
    // The session ended meanwhile, and whoever ended it knew nothing of these.
    drop(state);
    if let Some(key) = cell.label.key.get() {
        let mut hub = source.broker.hub.write();
        hub.router.remove_session(*key, &answer.made);
        hub.release(*key);
    }
}

/// Ends subscriptions.
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
    cell.lock().place.slot.handle_unsubscribed(epoch, packet.packet_id, &ended, &reasons);
}

fn ask_router(
    source: &Source<'_>,
    cell: &Arc<Cell>,
    packet: &Subscribe,
    granted: &[Result<QoS, ReasonCode>],
) -> Answer {
    let options = &source.broker.options;
    let now = source.broker.clock.now();
    let mut room = options.subscriptions_max.saturating_sub(cell.lock().place.slot.subscriptions());
    let mut answer = Answer::default();
    let mut snapshot = Vec::new();
    for (subscription, granted) in packet.subscriptions.iter().zip(granted) {
        let subscribed = granted.and_then(|qos| {
            let qos = qos.min(subscription.options.qos).min(options.maximum_qos);
            let filter =
                TopicFilter::new(&subscription.filter).map_err(|_| ReasonCode::TopicFilterInvalid)?;
            let mut hub = source.broker.hub.write();
            let session = hub.key_of(cell);
            let mut options = subscription.options;
            options.qos = qos;
            let new = NewSubscription {
                session,
                filter: &filter,
                options,
                subscription_id: packet.subscription_id,
            };
            let client_id = &cell.label.client_id;
            let there = hub.router.subscribe_with_retained(now, client_id, &new, &mut snapshot)?;
            if !there.existed && room == 0 {
                hub.router.unsubscribe(session, &filter);
                snapshot.clear();
                return Err(ReasonCode::QuotaExceeded);
            }
            if !there.existed {
                room -= 1;
                answer.made.push(filter);
            }
            Ok(qos)
        });
        let qos = subscribed.unwrap_or_default();
        answer.retained.extend(snapshot.drain(..).map(|retained| (retained, qos)));
        answer.reasons.push(subscribed.map_or_else(|reason| reason, ReasonCode::granted));
    }
    answer
}
