//! Who gets in, how large a message may be, and `karere broker -v`: what clients do, a line each.

use karere_broker::{Authenticate, Authorize, ClientInfo, ConnectRequest, HookFuture, Verdict};
use karere_core::codec::{Message, QoS, ReasonCode, SubscribeOptions};

use crate::output;

/// What a broker is asked to see to beside its options.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    /// Prints what clients do.
    pub(super) narrates: bool,
    /// Lets nobody in: there are no user names yet, and who brings none is not wanted.
    pub(super) refuses: bool,
    /// Bytes of the largest payload.
    pub(super) message_bytes_max: Option<usize>,
}

impl Rules {
    pub(super) fn concern_connects(self) -> bool {
        self.narrates || self.refuses || self.message_bytes_max.is_some()
    }

    pub(super) fn concern_messages(self) -> bool {
        self.narrates || self.message_bytes_max.is_some()
    }

    fn admit(self, request: &ConnectRequest<'_>) -> Verdict {
        if self.refuses {
            return Verdict::Reject(ReasonCode::NotAuthorized);
        }
        let will = request.connect.will.as_ref();
        if will.is_some_and(|will| !self.admits(&will.message)) {
            // Version 3 would say that the server is unavailable.
            let v5 = request.connect.version.is_v5();
            return Verdict::Reject(if v5 { ReasonCode::PacketTooLarge } else { ReasonCode::NotAuthorized });
        }
        // Nobody here understands it [MQTT-4.12.0-1].
        if request.connect.properties.authentication_method().is_some() {
            return Verdict::Reject(ReasonCode::BadAuthenticationMethod);
        }
        Verdict::Accept
    }

    fn admits(self, message: &Message) -> bool {
        self.message_bytes_max.is_none_or(|max| message.payload.len() <= max)
    }
}

impl Authenticate for Rules {
    fn connect<'a>(&'a self, request: ConnectRequest<'a>) -> HookFuture<'a, Verdict> {
        Box::pin(async move {
            let verdict = self.admit(&request);
            if self.narrates {
                let from = request.remote.map(|remote| format!(" from {remote}")).unwrap_or_default();
                let refused = match &verdict {
                    Verdict::Reject(reason) => format!(", and is refused: {reason}"),
                    _ => String::new(),
                };
                let version = request.connect.version;
                say(format_args!("{} connects{from} with MQTT {version}{refused}", request.client_id));
            }
            verdict
        })
    }
}

impl Authorize for Rules {
    fn publish<'a>(
        &'a self,
        client: &'a ClientInfo,
        message: &'a Message,
    ) -> HookFuture<'a, Result<(), ReasonCode>> {
        Box::pin(async move {
            let admitted = self.admits(message);
            if self.narrates {
                let retained = if message.retain { ", retained" } else { "" };
                let refused = if admitted { "" } else { ": too large" };
                say(format_args!(
                    "{} publishes to {}: {} bytes, QoS {}{retained}{refused}",
                    client.client_id,
                    message.topic.as_str(),
                    message.payload.len(),
                    message.qos
                ));
            }
            // Its own code, Packet too large, is not one that PUBACK and PUBREC may carry.
            if admitted { Ok(()) } else { Err(ReasonCode::ImplementationSpecificError) }
        })
    }

    fn subscribe<'a>(
        &'a self,
        client: &'a ClientInfo,
        filter: &'a str,
        options: SubscribeOptions,
    ) -> HookFuture<'a, Result<QoS, ReasonCode>> {
        Box::pin(async move {
            if self.narrates {
                say(format_args!("{} subscribes to {filter}, QoS {}", client.client_id, options.qos));
            }
            Ok(options.qos)
        })
    }
}

/// A broker goes on when nobody reads what it says.
fn say(what: std::fmt::Arguments<'_>) {
    let _ = output::print(format_args!("karere: {what}"));
}
