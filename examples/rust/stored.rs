//! Readings that are not lost: kept on the disk before they are sent, whatever happens to this process or the network.
//!
//! ```text
//! cargo run --release --example stored -- localhost /var/lib/thermometer
//! ```
//!
//! Kill it, cut the network, start it again: the readings that were published come, in their order.

#![allow(clippy::print_stdout, clippy::print_stderr)] // it is for people to read

use std::env;
use std::time::Duration;

use karere::blocking::Client;
use karere::{Options, PublishError, QoS, StoreError};

fn main() -> Result<(), karere::Error> {
    let mut arguments = env::args().skip(1);
    let host = arguments.next().unwrap_or_else(|| "localhost".to_owned());
    let folder = arguments.next().unwrap_or_else(|| "thermometer.store".to_owned());

    let options = Options::new(host, 1883)
        .client_id("thermometer-7")
        .expect("a short text")
        .retry_first_connection(true)
        .store(folder);
    let client = Client::new(options);
    client.driver().check_store().map_err(karere::ConnectError::from)?;
    client.on_connect(|client, _| {
        let left = client.driver().inflight() + client.queued();
        println!("connected; {left} readings of before are on their way");
    });
    // Not `connect`: without a network the readings are kept all the same.
    client.connect_async();
    client.loop_start();

    for minute in 0.. {
        let reading = format!("{:.1}", 20.0 + f64::from(minute % 50) / 10.0);
        match client.publish(("home/temperature", reading, QoS::AtLeastOnce)) {
            Ok(_) => {}
            // Nobody has taken a reading for long: the newest are left out until somebody does.
            Err(PublishError::Store(full @ StoreError::Full { .. })) => eprintln!("{full}"),
            Err(error) => return Err(error.into()),
        }
        std::thread::sleep(Duration::from_secs(1));
    }
    Ok(())
}
