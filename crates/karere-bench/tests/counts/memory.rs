use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use karere_bench::{INSTRUMENTED_SYSTEM, alone, wait_until};
use karere_broker::Broker;

/// Fewer than a process may have open at both ends.
const CONNECTIONS: usize = 450;

/// Bytes that are allocated now, in the whole process.
fn live() -> usize {
    let stats = INSTRUMENTED_SYSTEM.stats();
    stats.bytes_allocated.saturating_sub(stats.bytes_deallocated)
}

/// A client of a socket and nothing else, with a Keep Alive of a minute.
fn connect(address: SocketAddr, number: usize) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    let mut packet = *b"\x10\x10\x00\x04MQTT\x04\x02\x00\x3c\x00\x040000";
    packet[14..].copy_from_slice(&digits(number));
    stream.write_all(&packet).unwrap();
    stream.read_exact(&mut [0; 4]).unwrap();
    stream
}

/// To a filter of its own of 16 bytes.
fn subscribe(stream: &mut TcpStream, number: usize) {
    let mut packet = *b"\x82\x15\x00\x01\x00\x10idle/device/0000\x01";
    packet[18..22].copy_from_slice(&digits(number));
    stream.write_all(&packet).unwrap();
    stream.read_exact(&mut [0; 5]).unwrap();
}

fn digits(number: usize) -> [u8; 4] {
    [1000, 100, 10, 1].map(|unit| b'0' + (number / unit % 10) as u8)
}

/// What the allocator adds to what is asked for is not in here: `cargo xtask bench` shows the resident memory, of which
/// 2,048 and 3,072 bytes are the limits.
#[test]
fn an_idle_connection_keeps_at_most_1750_bytes_and_with_a_subscription_2100() {
    let _alone = alone();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let builder = Broker::builder().listen("127.0.0.1:0").sys_interval(std::time::Duration::ZERO);
    let broker = runtime.block_on(builder.start()).unwrap();
    let address = broker.local_addrs()[0];
    // What a broker has from its first clients on it has once.
    let mut first: Vec<_> = (0..50).map(|number| connect(address, 9000 + number)).collect();
    subscribe(&mut first[0], 9999);

    let mut clients = Vec::with_capacity(CONNECTIONS);
    let before = live();
    let each = || live().saturating_sub(before) / CONNECTIONS;
    clients.extend((0..CONNECTIONS).map(|number| connect(address, number)));
    // Also what goes with a CONNECT is given back by then.
    wait_until(|| each() <= 1750);
    clients.iter_mut().enumerate().for_each(|(number, client)| subscribe(client, number));
    wait_until(|| each() <= 2100);
    drop((first, clients, broker));
}
