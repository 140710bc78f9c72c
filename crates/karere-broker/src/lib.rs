//! An MQTT broker to embed: 3.1, 3.1.1 and 5.0 over TCP, TLS, WebSocket and Unix domain sockets, on the state machines of `karere-core`.
//!
//! ```
//! use karere_broker::Broker;
//! use karere_core::codec::QoS;
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let broker = Broker::builder().listen("127.0.0.1:0").start().await?;
//! println!("listening on {}", broker.local_addrs()[0]);
//!
//! // A client in this process, without a socket.
//! let mut client = broker.client("thermometer").await?;
//! client.subscribe("iot/+/temp", QoS::AtLeastOnce).await?;
//! client.publish("iot/home2/temp", "21.5", QoS::AtLeastOnce, false).await?;
//! let received = client.recv().await.expect("the broker is there");
//! assert_eq!(&received.message.payload[..], b"21.5");
//! client.close().await;
//!
//! broker.shutdown().await;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Who may connect, publish and subscribe is the program's business: [`Authenticate`], [`Authorize`] and
//! [`MessageHook`] on the [`Builder`]. Without them everybody may, and nothing is asked.
//!
//! # How a message goes
//!
//! Each connection is one small task. Its *turn* is one read of at most 64 KiB: the core takes the packets in
//! under the lock of the client's session slot; the messages among them are routed in a row under one read
//! lock of the hub, and delivered slot by slot, each under its own lock, never two locks at once; then
//! whatever was filled is written by the same thread, as far as the sockets take it, and only the rest wakes
//! the drivers of those connections. What a turn needs in memory lies on the worker thread's bench, so that
//! an idle connection has none.
//!
//! # Who waits
//!
//! A client that reads slowly is held against nobody: at QoS 1 and 2 its messages wait in its session, up to
//! the limits in [`Options`]. At QoS 0 a publisher whose reader is behind by more than
//! [`outbox_high_bytes`](Options::outbox_high_bytes) is not read until that has drained, for 100 ms at most;
//! then the reader counts as slow, and loses QoS 0 messages until it has drained.

mod bench;
mod broker;
mod builder;
mod clock;
mod commit;
mod connection;
mod counters;
mod endpoint;
mod handle;
mod hooks;
mod hub;
mod late;
mod listener;
mod local;
mod slot;
#[doc(hidden)]
pub mod store;
mod sync;
mod sys;
mod timer;
mod work;
mod write;

pub use builder::{Broker, Builder, StartError, StoreFound};
pub use counters::Counters;
pub use endpoint::Listener;
pub use handle::{BrokerHandle, Shutdown, StoreState};
pub use hooks::{Authenticate, Authorize, ClientInfo, ConnectRequest, HookFuture, MessageHook, Verdict};
pub use karere_core::broker::{Options, RetainedLimits, RouterLimits};
pub use karere_net::{Address, tls, websocket};
pub use local::{LocalClient, LocalError};
pub use store::{Durability, StoreOptions};
