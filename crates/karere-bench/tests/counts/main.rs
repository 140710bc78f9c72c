//! Allocations and writes a message. "0" means fewer than 0.01 a message, after warm-up.

mod broker;
mod client;
mod memory;

use karere_bench::{Counting, INSTRUMENTED_SYSTEM};

#[global_allocator]
static ALLOCATOR: &Counting = &INSTRUMENTED_SYSTEM;

/// How many messages are counted.
const MESSAGES: usize = 20_000;

/// Allocations a message, said with what was measured when they are too many.
fn assert_at_most(what: &str, allocations: usize, messages: usize, at_most: f64) {
    let each = allocations as f64 / messages as f64;
    assert!(each < at_most + 0.01, "{what}: {each:.3} allocations a message, at most {at_most} wanted");
}

/// PUBLISH of version 5 without properties, and of 3.1.1.
fn publish(v5: bool, qos: u8, id: u16, topic: &str, payload: &[u8]) -> Vec<u8> {
    let id_len = if qos > 0 { 2 } else { 0 };
    let len = 2 + topic.len() + id_len + usize::from(v5) + payload.len();
    assert!(len < 128);
    let mut packet = vec![0x30 | qos << 1, len as u8, 0, topic.len() as u8];
    packet.extend_from_slice(topic.as_bytes());
    if qos > 0 {
        packet.extend_from_slice(&id.to_be_bytes());
    }
    if v5 {
        packet.push(0);
    }
    packet.extend_from_slice(payload);
    packet
}
