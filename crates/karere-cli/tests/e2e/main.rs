//! End to end: real sockets, real peers.
//!
//! Our broker with mosquitto's tools, genuine paho-mqtt and MQTT.js; our tools with mosquitto's broker; and all of them
//! with each other. Each scenario also runs where nothing of ours takes part: what it asks for is what MQTT's
//! best-known implementation does, and not our own idea of it.
//!
//! `cargo xtask setup` installs the peers. A test whose peer is absent fails and says so.
#![cfg(unix)]

mod harness;

mod broker;
mod conf;
mod data;
mod demo;
mod examples;
mod flags;
mod messages;
mod mqttjs;
mod output;
mod paho;
mod roads;
mod sessions;
