//! The blocking client: callbacks and a loop, as the tutorials teach it.
//!
//! ```no_run
//! use karere::blocking::Client;
//! use karere::{Options, QoS};
//!
//! let client = Client::new(Options::new("localhost", 1883));
//! client.on_connect(|client, _| {
//!     client.subscribe(("python/mqtt", QoS::AtMostOnce)).ok();
//! });
//! client.on_message(|_, received| {
//!     println!("{}: {:?}", received.message.topic, received.message.payload);
//! });
//! client.connect()?;
//! client.loop_forever()?;
//! # Ok::<(), karere::ConnectError>(())
//! ```
//!
//! Somebody must run the loop: [`loop_start`](Client::loop_start) does it in a thread of its own,
//! [`loop_forever`](Client::loop_forever) and [`loop_once`](Client::loop_once) in the caller's; a program with an event loop
//! of its own waits for the [socket](Client::with_socket) and calls [`loop_read`](Client::loop_read),
//! [`loop_write`](Client::loop_write) and [`loop_misc`](Client::loop_misc).

mod callbacks;
mod client;
mod dispatch;
mod driver;
mod lifecycle;
mod link;
mod log;

pub use client::Client;
pub use driver::{Driver, LoopError, Opened};
pub use karere_net::Transport;
pub use karere_net::sys::{BorrowedSocket, Ready};
pub use log::{Level, Log};
