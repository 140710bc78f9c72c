//! Questions to the program around the broker: may this client connect, publish, subscribe?
//!
//! Without a hook nothing is asked and nothing is allocated: yes to all.
//!
//! A client's messages are routed in its order: what it sends behind one that a hook thinks about waits for the answer,
//! also on its next connection. Its Keep Alive does not run meanwhile.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;

use karere_core::Text;
use karere_core::codec::{Auth, Connect, Message, Properties, QoS, ReasonCode, SubscribeOptions, Version};

use crate::sync::Arc;

/// An answer that may take its time.
pub type HookFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Who wants to connect.
#[derive(Debug, Clone, Copy)]
pub struct ConnectRequest<'a> {
    /// The CONNECT packet: user name, password, properties, Will.
    pub connect: &'a Connect,
    /// The Client Identifier, also when the broker has assigned it.
    pub client_id: &'a str,
    /// Where the connection comes from; `None` for a client in this process.
    pub remote: Option<SocketAddr>,
}

/// What becomes of a CONNECT or AUTH.
#[derive(Debug, Clone)]
pub enum Verdict {
    /// It may connect. With enhanced authentication the answer names the Authentication Method.
    Accept,
    /// It may connect, and CONNACK carries these properties too (Authentication Data, User Properties, and
    /// Response Information for a client that asks for it). What the options and CONNECT decide is not
    /// changed by them.
    AcceptWith(Properties),
    /// It may not. A code that a CONNACK may carry, 0x80 or above; version 3 clients get the nearest return
    /// code.
    Reject(ReasonCode),
    /// Enhanced authentication goes on (section 4.12): this AUTH packet is sent, and the answer handed to
    /// [`Authenticate::auth`].
    Challenge(Auth),
}

/// Who may connect.
///
/// ```
/// use karere_broker::{Authenticate, ConnectRequest, HookFuture, Verdict};
/// use karere_core::codec::ReasonCode;
///
/// struct OneUser;
///
/// impl Authenticate for OneUser {
///     fn connect<'a>(&'a self, request: ConnectRequest<'a>) -> HookFuture<'a, Verdict> {
///         Box::pin(async move {
///             let (user, password) = (&request.connect.username, &request.connect.password);
///             match (user.as_deref(), password.as_deref()) {
///                 (Some("anna"), Some(b"secret")) => Verdict::Accept,
///                 _ => Verdict::Reject(ReasonCode::BadUserNameOrPassword),
///             }
///         })
///     }
/// }
/// ```
pub trait Authenticate: Send + Sync + 'static {
    /// A CONNECT has come.
    fn connect<'a>(&'a self, request: ConnectRequest<'a>) -> HookFuture<'a, Verdict>;

    /// An AUTH has come: an answer to a [`Verdict::Challenge`], or, on a connection that is up, the wish to
    /// authenticate again (section 4.12.1). Refuses by default.
    fn auth<'a>(&'a self, client: &'a ClientInfo, auth: &'a Auth) -> HookFuture<'a, Verdict> {
        let _ = (client, auth);
        Box::pin(async { Verdict::Reject(ReasonCode::BadAuthenticationMethod) })
    }
}

/// A client that is connected, or about to be.
#[derive(Debug, Clone)]
pub struct ClientInfo {
    /// Its Client Identifier.
    pub client_id: Text,
    /// The user name that it has connected with.
    pub username: Option<Text>,
    /// Its protocol version.
    pub version: Version,
    /// Where it is; `None` for a client in this process.
    pub remote: Option<SocketAddr>,
}

/// Who may publish and subscribe to what.
pub trait Authorize: Send + Sync + 'static {
    /// May this client publish this message? Also asked about its Will, when it connects.
    ///
    /// # Errors
    /// The reason code for PUBACK or PUBREC, 0x80 or above. At QoS 0 and on version 3 the message is dropped
    /// without a word, which is all that the protocol allows short of closing the connection.
    fn publish<'a>(
        &'a self,
        client: &'a ClientInfo,
        message: &'a Message,
    ) -> HookFuture<'a, Result<(), ReasonCode>> {
        let _ = (client, message);
        Box::pin(async { Ok(()) })
    }

    /// May this client subscribe, and at which QoS at most?
    ///
    /// # Errors
    /// The reason code for SUBACK, 0x80 or above; 0x80 itself on version 3.
    fn subscribe<'a>(
        &'a self,
        client: &'a ClientInfo,
        filter: &'a str,
        options: SubscribeOptions,
    ) -> HookFuture<'a, Result<QoS, ReasonCode>> {
        let _ = (client, filter);
        Box::pin(async move { Ok(options.qos) })
    }
}

/// Looks at every message before it is routed, and may change or drop it.
pub trait MessageHook: Send + Sync + 'static {
    /// What is routed instead of `message`; `None` drops it. It is acknowledged either way.
    fn publish<'a>(&'a self, client: &'a ClientInfo, message: Message) -> HookFuture<'a, Option<Message>>;
}

/// The hooks that are installed.
#[derive(Clone, Default)]
pub(crate) struct Hooks {
    pub(crate) authenticate: Option<Arc<dyn Authenticate>>,
    pub(crate) authorize: Option<Arc<dyn Authorize>>,
    pub(crate) message: Option<Arc<dyn MessageHook>>,
}

impl Hooks {
    /// Whether anybody will want to know who a client is.
    pub(crate) fn any(&self) -> bool {
        self.authenticate.is_some() || self.screen()
    }

    /// Whether messages and subscriptions need to be asked about.
    pub(crate) fn screen(&self) -> bool {
        self.authorize.is_some() || self.message.is_some()
    }
}
