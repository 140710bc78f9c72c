//! Rows 7 to 12: packets that there are not, or not from a client.

use super::*;

#[test]
fn hostile_007_packet_type_0() {
    hostile(Options::default(), async |broker| {
        for flags in 0..16 {
            refused(broker, &[flags, 0], b"").await;
        }
        for version in VERSIONS {
            ends(broker, version, &[0x00], MALFORMED).await;
            ends(broker, version, &[0x0F, 0x00], MALFORMED).await;
        }
    });
}

#[test]
fn hostile_008_packet_type_15_on_version_3() {
    hostile(Options::default(), async |broker| {
        for bytes in [&[0xF0, 0][..], &[0xF0, 2, 0x18, 0], &[0xFF, 0]] {
            refused(broker, bytes, b"").await;
            ends(broker, Version::V311, bytes, MALFORMED).await;
            ends(broker, Version::V31, bytes, MALFORMED).await;
        }
    });
}

#[test]
fn hostile_009_reserved_flags() {
    hostile(Options::default(), async |broker| {
        let body = connect_frame(Version::V5, 2, b"", &string("c"))[2..].to_vec();
        for first in 0x11..=0x1F {
            refused(broker, &frame(first, &body), b"").await;
        }
        for version in VERSIONS {
            for first in [0x41, 0x51, 0x60, 0x6F, 0x71] {
                ends(broker, version, &[first, 2, 0, 1], MALFORMED).await;
            }
            for first in [0x80, 0x83, 0x8F] {
                ends(broker, version, &filters_frame(version, first, b"", b"\0\x01a\0"), MALFORMED).await;
            }
            for first in [0xA0, 0xA3, 0xAF] {
                ends(broker, version, &filters_frame(version, first, b"", b"\0\x01a"), MALFORMED).await;
            }
            for first in [0xC1, 0xCF, 0xE1, 0xEF] {
                ends(broker, version, &[first, 0], MALFORMED).await;
            }
        }
        ends(broker, Version::V5, b"\xF1\x06\x18\x04\x15\0\x01M", MALFORMED).await;
    });
}

#[test]
fn hostile_010_a_body_where_there_is_none() {
    hostile(Options::default(), async |broker| {
        for version in VERSIONS {
            ends(broker, version, &[0xC0, 1, 0], MALFORMED).await;
            ends(broker, version, &[0xD0, 1, 0], MALFORMED).await;
        }
        ends(broker, Version::V311, &[0xE0, 1, 0], MALFORMED).await;
    });
}

#[test]
fn hostile_011_bytes_behind_an_acknowledgement_of_version_3() {
    hostile(Options::default(), async |broker| {
        for first in [0x40, 0x50, 0x62, 0x70] {
            for version in [Version::V31, Version::V311] {
                ends(broker, version, &[first, 3, 0, 1, 0], MALFORMED).await;
                ends(broker, version, &[first, 4, 0, 1, 0, 0], MALFORMED).await;
            }
            // Version 5 has a reason code and properties there, and nothing behind them.
            ends(broker, Version::V5, &[first, 5, 0, 1, 0, 0, 0], MALFORMED).await;
        }
    });
}

#[test]
fn hostile_012_packets_that_only_a_server_sends() {
    hostile(Options::default(), async |broker| {
        let error = ReasonCode::ProtocolError;
        for version in VERSIONS {
            let tail = block(version, b"");
            ends(broker, version, &frame(0x20, &[&[0, 0][..], &tail].concat()), error).await;
            ends(broker, version, &frame(0x90, &[&[0, 1][..], &tail, &[0]].concat()), error).await;
            let unsuback = if version.is_v5() { frame(0xB0, &[0, 1, 0, 0]) } else { frame(0xB0, &[0, 1]) };
            ends(broker, version, &unsuback, error).await;
            ends(broker, version, &[0xD0, 0], error).await;
        }
    });
}
