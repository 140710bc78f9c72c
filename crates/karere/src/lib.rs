//! An MQTT client, async and blocking, on a core without I/O.
//!
//! * [`Client`] is for tokio (feature `tokio`, on by default): a handle, no event loop to poll.
//! * [`blocking::Client`] has callbacks and a loop, as the tutorials teach it, and needs no runtime.
//! * [`publish`] and [`subscribe`] do one thing and return.
//!
//! Both clients speak MQTT 5, 3.1.1 and 3.1, connect again by themselves, keep what is unacknowledged over that, and
//! acknowledge a message only when its consumer is done with it.
//!
//! ```no_run
//! use karere::{Options, QoS};
//!
//! karere::publish::single(Options::new("localhost", 1883), ("python/mqtt", "hello", QoS::AtLeastOnce))?;
//! # Ok::<(), karere::Error>(())
//! ```

mod backoff;
pub mod blocking;
#[cfg(feature = "tokio")]
mod client;
mod counters;
mod delivery;
mod driver;
mod engine;
mod error;
#[cfg(feature = "tokio")]
mod event;
#[cfg(feature = "tokio")]
mod incoming;
mod notice;
mod options;
mod outgoing;
pub mod publish;
mod request;
pub mod store;
#[cfg(feature = "tokio")]
mod streams;
pub mod subscribe;
#[cfg(feature = "tokio")]
mod subscription;

pub use karere_core::client::{
    AckToken, Credentials, DropReason, Event as CoreEvent, Handover, PublishError as CorePublishError,
    Received, SubscribeError as CoreSubscribeError,
};
pub use karere_core::codec::{
    Auth, ConnAck, Disconnect, Message, PacketId, PacketType, Properties, PropertiesBuilder, Property,
    PropertyId, QoS, ReasonCode, RetainHandling, SubscribeOptions, Version, Will,
};
pub use karere_core::connection::{Direction, PacketTrace};
pub use karere_core::text::{Text, TextError};
pub use karere_core::topic::{TopicError, TopicFilter, TopicName};
#[cfg(feature = "tls")]
pub use karere_net::tls;
pub use karere_net::{Address, AddressError, Connector, Url};

#[cfg(feature = "tokio")]
pub use client::Client;
pub use counters::Counters;
pub use delivery::{Answer, Delivery, Published};
pub use error::{ConnectError, Disconnection, Error, PublishError, SubscribeError};
#[cfg(feature = "tokio")]
pub use event::{Event, Events};
#[cfg(feature = "tokio")]
pub use incoming::Incoming;
pub use notice::{DriverEvent, Notice};
pub use options::{CredentialsProvider, Options, Reconnect};
pub use outgoing::{Payload, Publish};
pub use request::{Subscribe, Unsubscribe};
pub use store::{Durability, StoreError, StoreOptions, StoreStatus};
#[cfg(feature = "tokio")]
pub use subscription::{Messages, Subscription};
