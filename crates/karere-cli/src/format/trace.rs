//! `-d`: one line a packet, as mosquitto's tools print them.

use karere::{PacketId, PacketTrace, ReasonCode, Version};
use karere_core::connection::Direction;

/// The lines for one packet: one, or one for each filter that it names. `client_id` is the one in use; CONNECT
/// shows the one that it asks for.
///
/// What stands in the brackets is chosen by the packet's name and direction: mosquitto's wording is its own
/// for each.
pub(crate) fn trace_lines(client_id: &str, version: Version, trace: &PacketTrace) -> Vec<String> {
    let name = trace.packet.name();
    let client_id = if name == "CONNECT" { trace.topic.as_deref().unwrap_or_default() } else { client_id };
    let client = if client_id.is_empty() { "(null)" } else { client_id };
    let verb = match trace.direction {
        Direction::Sent => "sending",
        Direction::Received => "received",
    };
    let details = match trace.direction {
        Direction::Sent => sent(name, trace),
        Direction::Received => vec![received(name, version, trace)],
    };
    let line = |details: String| {
        let blank = if details.is_empty() { "" } else { " " };
        format!("Client {client} {verb} {name}{blank}{details}")
    };
    details.into_iter().map(line).collect()
}

fn sent(name: &str, trace: &PacketTrace) -> Vec<String> {
    let id = packet_id(trace);
    let one = match name {
        "PUBLISH" => publish(trace),
        "PUBACK" | "PUBREC" => format!("(m{id}, rc{})", reason(trace).as_u8()),
        "PUBREL" | "PUBCOMP" => format!("(m{id})"),
        "SUBSCRIBE" => return subscriptions(id, trace),
        "UNSUBSCRIBE" => {
            return trace.filters.iter().map(|(filter, _)| format!("(Mid: {id}, Topic: {filter})")).collect();
        }
        _ => String::new(),
    };
    vec![one]
}

fn received(name: &str, version: Version, trace: &PacketTrace) -> String {
    let id = packet_id(trace);
    let reason = reason(trace);
    match name {
        "CONNACK" => format!("({})", connack_code(reason, version)),
        "PUBLISH" => publish(trace),
        "PUBACK" | "PUBCOMP" => format!("(Mid: {id}, RC:{})", reason.as_u8()),
        "PUBREC" | "PUBREL" => format!("(Mid: {id})"),
        "DISCONNECT" => format!("({})", reason.as_u8()),
        _ => String::new(),
    }
}

/// What a CONNACK of this version says for `reason`.
pub(crate) const fn connack_code(reason: ReasonCode, version: Version) -> u8 {
    if version.is_v5() { reason.as_u8() } else { reason.to_connack_return_code() }
}

fn publish(trace: &PacketTrace) -> String {
    let topic = trace.topic.as_deref().unwrap_or_default();
    let (dup, qos, retain) = (u8::from(trace.dup), trace.qos, u8::from(trace.flag));
    format!("(d{dup}, q{qos}, r{retain}, m{}, '{topic}', ... ({} bytes))", packet_id(trace), trace.size)
}

fn subscriptions(id: u16, trace: &PacketTrace) -> Vec<String> {
    let one = |(filter, options): &(karere::Text, karere::SubscribeOptions)| {
        let rest = options.bits() & !options.qos.bits();
        format!("(Mid: {id}, Topic: {filter}, QoS: {}, Options: 0x{rest:02x})", options.qos)
    };
    trace.filters.iter().map(one).collect()
}

fn packet_id(trace: &PacketTrace) -> u16 {
    trace.packet_id.map_or(0, PacketId::get)
}

fn reason(trace: &PacketTrace) -> ReasonCode {
    trace.reason.unwrap_or(ReasonCode::Success)
}
