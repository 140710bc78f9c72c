//! Faults in what is given back after a restart, and in what goes to the wire.

use bytes::{Bytes, BytesMut};
use karere_core::Instant;
use karere_core::broker::{EntryState, Restored};
use karere_core::codec::{FixedHeader, Packet, PacketId, Version};

use crate::fault::{Fault, Faults};

/// Spoils what a session is given back, if that is the fault of this run.
pub(super) fn spoil(faults: &mut Faults, now: Instant, restored: &mut Restored) {
    if faults.is(Fault::ForgetQueued) {
        restored.entries.pop();
    }
    if faults.is(Fault::DeliverSecondCopy) {
        restored.unreleased.clear();
    }
    if faults.is(Fault::LoseWill) {
        restored.will = None;
    }
    if faults.is(Fault::ExpireLate) {
        restored.disconnected_at = now;
    }
    for entry in &mut restored.entries {
        // Another packet identifier, and not another's.
        entry.sequence += if faults.is(Fault::Renumber) { 1_000 } else { 0 };
        let EntryState::Kept(message) = &mut entry.state else { continue };
        message.retain &= !faults.is(Fault::DropRetain);
        if faults.is(Fault::OutliveExpiry) {
            message.expires_at = None;
        }
    }
    if faults.is(Fault::SwapQueue) && restored.entries.len() > 1 {
        let (first, second) = (restored.entries[0].sequence, restored.entries[1].sequence);
        (restored.entries[0].sequence, restored.entries[1].sequence) = (second, first);
    }
    if faults.is(Fault::ReleaseAgain) {
        restored.entries.retain(|entry| !matches!(entry.state, EntryState::Received { .. }));
    }
}

/// Gives a PUBLISH among whole packets the packet identifier of the one before it, now and then.
pub(crate) fn reuse_number(faults: &mut Faults, version: Version, bytes: &Bytes) -> Bytes {
    let (mut rest, mut out) = (BytesMut::from(&bytes[..]), BytesMut::new());
    let mut before: Option<PacketId> = None;
    while let Ok(Some(header)) = FixedHeader::peek(&rest) {
        let frame = rest.split_to(header.frame_len()).freeze();
        let mut packet = Packet::decode(version, frame.clone());
        if let Ok(Packet::Publish(publish)) = &mut packet
            && let Some(id) = publish.packet_id
        {
            if let Some(before) = before.filter(|_| faults.strikes(Fault::ReuseNumber)) {
                publish.packet_id = Some(before);
            }
            before = Some(id);
        }
        match packet.map(|packet| packet.encode(version, &mut out)) {
            Ok(Ok(())) => {}
            _ => out.extend_from_slice(&frame),
        }
    }
    out.unsplit(rest);
    out.freeze()
}
