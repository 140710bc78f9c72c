//! The tutorials' subscriber: subscribes when connected, prints what comes, for ever.
//!
//! `cargo run --example subscriber [HOST [PORT]]`

#![allow(clippy::print_stdout)] // it is for people to read

use std::env;

use karere::blocking::Client;
use karere::{Options, QoS, ReasonCode};

const TOPIC: &str = "python/mqtt";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = env::args().skip(1);
    let host = arguments.next().unwrap_or_else(|| "localhost".into());
    let port = arguments.next().map_or(Ok(1883), |port| port.parse())?;

    let client = Client::new(Options::new(host, port).client_id("subscriber")?);
    client.on_connect(|client, connack| match connack.reason {
        ReasonCode::Success => {
            println!("Connected to MQTT broker!");
            if let Err(error) = client.subscribe((TOPIC, QoS::AtLeastOnce)) {
                println!("Failed to subscribe: {error}");
            }
        }
        reason => println!("Failed to connect: {reason}"),
    });
    client.on_message(|_, received| {
        let message = &received.message;
        println!("Received `{}` from topic `{}`", String::from_utf8_lossy(&message.payload), message.topic);
    });
    client.connect()?;
    client.loop_forever()?;
    Ok(())
}
