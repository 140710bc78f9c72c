//! Asking the hooks about what a client has sent, in its order.

use karere_core::broker::{AckToken, Event};
use karere_core::codec::{Message, ReasonCode, Subscribe};

use crate::hooks::{ClientInfo, Hooks};
use crate::sync::Arc;
use crate::work::Task;

/// What is to be done after the hooks have been asked.
pub(super) async fn screen(hooks: Hooks, client: Arc<ClientInfo>, events: Vec<Event>) -> Vec<Task> {
    let mut tasks = Vec::with_capacity(events.len());
    for event in events {
        tasks.push(match event {
            Event::Publish { message, token, .. } => publish(&hooks, &client, message, token).await,
            Event::Subscribe(packet) => subscribe(&hooks, &client, packet).await,
            other => Task::Event(other),
        });
    }
    tasks
}

async fn publish(hooks: &Hooks, client: &ClientInfo, message: Message, token: Option<AckToken>) -> Task {
    if let Some(authorize) = &hooks.authorize
        && let Err(reason) = authorize.publish(client, &message).await
    {
        return Task::Answer(token, reason);
    }
    let message = match &hooks.message {
        Some(hook) => hook.publish(client, message).await,
        None => Some(message),
    };
    match message {
        Some(message) => Task::Event(Event::Publish { message, token, dup: false }),
        None => Task::Answer(token, ReasonCode::Success),
    }
}

async fn subscribe(hooks: &Hooks, client: &ClientInfo, packet: Subscribe) -> Task {
    let Some(authorize) = &hooks.authorize else { return Task::Event(Event::Subscribe(packet)) };
    let mut granted = Vec::with_capacity(packet.subscriptions.len());
    for subscription in &packet.subscriptions {
        granted.push(authorize.subscribe(client, &subscription.filter, subscription.options).await);
    }
    Task::Subscribe(packet, granted)
}
