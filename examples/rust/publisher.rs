//! The tutorials' publisher: a message a second, from a loop that runs beside.
//!
//! `cargo run --example publisher [HOST [PORT]]`

#![allow(clippy::print_stdout)] // it is for people to read

use std::time::Duration;
use std::{env, thread};

use karere::blocking::Client;
use karere::{Options, QoS, ReasonCode};

const TOPIC: &str = "python/mqtt";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = env::args().skip(1);
    let host = arguments.next().unwrap_or_else(|| "localhost".into());
    let port = arguments.next().map_or(Ok(1883), |port| port.parse())?;

    let client = Client::new(Options::new(host, port).client_id("publisher")?);
    client.on_connect(|_, connack| match connack.reason {
        ReasonCode::Success => println!("Connected to MQTT broker!"),
        reason => println!("Failed to connect: {reason}"),
    });
    client.connect()?;
    client.loop_start();

    for count in 1..=5 {
        let message = format!("messages: {count}");
        let delivery = client.publish((TOPIC, &message, QoS::AtLeastOnce))?;
        match delivery.wait(Some(Duration::from_secs(10))) {
            Ok(_) => println!("Sent `{message}` to topic `{TOPIC}`"),
            Err(error) => println!("Failed to send `{message}` to topic `{TOPIC}`: {error}"),
        }
        thread::sleep(Duration::from_secs(1));
    }
    client.disconnect();
    client.loop_stop();
    Ok(())
}
