//! `karere demo`: a broker, a sensor and a subscriber in one process, talking over the network.

use std::fmt::Write as _;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::net::SocketAddr;
use std::time::Duration;

use karere::{Client, Incoming, Options, QoS};
use karere_broker::BrokerHandle;

use super::{broker, listen};
use crate::args::DemoArgs;
use crate::exit::{Failure, Outcome};
use crate::output;
use crate::signal::Stop;

const COUNTER_TOPIC: &str = "python/mqtt";
const SENSOR_TOPIC: &str = "iot/home2/temp";
const PERIOD: Duration = Duration::from_secs(1);

pub(crate) fn demo(args: &DemoArgs) -> Outcome {
    super::run(None, run(args))
}

async fn run(args: &DemoArgs) -> Outcome {
    let mut stop =
        Stop::new().map_err(|error| Failure::error(format!("cannot listen to signals: {error}")))?;
    let broker = listen::start_plain(port(args.port)).await?;
    let address = *broker.local_addrs().first().ok_or_else(|| Failure::error("no address to listen on"))?;
    output::print(greeting(&broker, address).trim_end())?;
    let show = show(address, args.count);
    let outcome = tokio::select! {
        () = stop.requested() => Ok(()),
        outcome = show => outcome,
    };
    broker.shutdown().await;
    outcome
}

fn port(asked: Option<u16>) -> u16 {
    match asked {
        Some(port) => port,
        None if listen::is_taken(1883) => 0,
        None => 1883,
    }
}

fn greeting(broker: &BrokerHandle, address: SocketAddr) -> String {
    let mut text = broker::addresses(broker.addresses());
    let _ = write!(
        text,
        "\nA sensor publishes each second, a subscriber prints what comes. Join in from another terminal:\n{}\n\
         Ctrl-C stops the demo.\n",
        broker::commands(address, "#", COUNTER_TOPIC)
    );
    text
}

/// The sensor runs beside the subscriber until it has made its readings, or for ever.
async fn show(address: SocketAddr, count: Option<u64>) -> Outcome {
    let subscriber = connect(address, "demo-subscriber").await?;
    let filters = [("python/#", QoS::AtMostOnce), ("iot/#", QoS::AtMostOnce)];
    let mut messages = subscriber.subscribe(filters).await.map_err(Failure::error)?;
    let sensor = connect(address, "demo-sensor").await?;
    let mut measuring = tokio::spawn(measure(sensor, count));
    let mut is_measuring = true;
    let mut readings = 0;
    while count.is_none_or(|count| readings < count) {
        tokio::select! {
            message = messages.recv() => {
                let Some(message) = message else { return Err(Failure::error("the broker is gone")) };
                readings += u64::from(message.topic() == SENSOR_TOPIC);
                print(&message)?;
            }
            measured = &mut measuring, if is_measuring => {
                is_measuring = false;
                measured.map_err(Failure::error)??;
            }
        }
    }
    Ok(())
}

async fn connect(address: SocketAddr, client_id: &str) -> Result<Client, Failure> {
    let options = Options::new(address.ip().to_string(), address.port());
    let options = options.client_id(client_id).map_err(Failure::error)?;
    Client::connect(options).await.map_err(Failure::error)
}

async fn measure(sensor: Client, count: Option<u64>) -> Outcome {
    let mut clock = tokio::time::interval(PERIOD);
    for reading in 1..=count.unwrap_or(u64::MAX) {
        clock.tick().await;
        sensor.publish((COUNTER_TOPIC, format!("messages: {reading}"))).await.map_err(Failure::error)?;
        sensor.publish((SENSOR_TOPIC, format!("{:.2}", temperature()))).await.map_err(Failure::error)?;
    }
    Ok(())
}

fn print(message: &Incoming) -> Result<(), Failure> {
    let payload = String::from_utf8_lossy(message.payload());
    Ok(output::print(format_args!("Received `{payload}` from `{}` topic", message.topic()))?)
}

/// 25 degrees and a bit.
fn temperature() -> f64 {
    let chance = RandomState::new().build_hasher().finish();
    25.0 + (chance >> 11) as f64 / (1_u64 << 53) as f64
}
