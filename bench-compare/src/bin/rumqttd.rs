//! rumqttd with its defaults, on a port of its own: `rumqttd PORT`.
//!
//! Its published binary is this and a file of settings. It is built here as a library, because our lock file names
//! releases of what it stands on that compile, and its own does not any more.

use std::collections::HashMap;
use std::error::Error;

use rumqttd::{Broker, Config, ConnectionSettings, RouterConfig, ServerSettings};

fn main() -> Result<(), Box<dyn Error>> {
    let port: u16 = std::env::args().nth(1).ok_or("rumqttd PORT")?.parse()?;
    let server = ServerSettings {
        name: "v4-1".to_owned(),
        listen: ([127, 0, 0, 1], port).into(),
        tls: None,
        next_connection_delay_ms: 0, // 1 by default, which a measurement of connecting would measure
        connections: ConnectionSettings {
            connection_timeout_ms: 60_000,
            max_payload_size: 20_480,
            max_inflight_count: 1_000, // 100 by default: as many as our load keeps in flight
            auth: None,
            external_auth: None,
            dynamic_filters: true,
        },
    };
    let router = RouterConfig {
        max_connections: 10_010,
        max_outgoing_packet_count: 200,
        max_segment_size: 104_857_600,
        max_segment_count: 10,
        ..RouterConfig::default()
    };
    let v4 = HashMap::from([("1".to_owned(), server)]);
    Broker::new(Config { router, v4: Some(v4), ..Config::default() }).start()?;
    Ok(())
}
