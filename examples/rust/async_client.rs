//! Publish and subscribe with tokio: two tasks, one connection.
//!
//! `cargo run --example async_client [HOST [PORT]]`

#![allow(clippy::print_stdout)] // it is for people to read

use std::env;
use std::time::Duration;

use karere::{Client, Options, QoS};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = env::args().skip(1);
    let host = arguments.next().unwrap_or_else(|| "localhost".into());
    let port = arguments.next().map_or(Ok(1883), |port| port.parse())?;

    let client = Client::connect(Options::new(host, port)).await?;
    let mut messages = client.subscribe(("iot/#", QoS::AtLeastOnce)).await?;

    let publisher = client.clone();
    let publishing = tokio::spawn(async move {
        for count in 1..=5 {
            let reading = format!("{}", 20 + count);
            if let Err(error) = publisher.publish(("iot/home/temp", reading, QoS::AtLeastOnce)).await {
                println!("not published: {error}");
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });

    for _ in 0..5 {
        let Some(message) = messages.recv().await else { break };
        println!("{}: {}", message.topic(), String::from_utf8_lossy(message.payload()));
    }
    // The last reading comes back before its acknowledgement: whoever disconnects first does not get it.
    publishing.await?;
    client.disconnect().await;
    Ok(())
}
