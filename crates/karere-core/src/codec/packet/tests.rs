use super::*;
use crate::codec::testing::{MALFORMED, decode, refused, same};

#[test]
fn pings_are_two_bytes() {
    for version in [Version::V31, Version::V311, Version::V5] {
        same(version, &[0xC0, 0], &Packet::PingReq);
        same(version, &[0xD0, 0], &Packet::PingResp);
    }
}

#[test]
fn what_comes_first_by_mistake_is_no_packet() {
    let strangers: [&[u8]; 3] =
        [b"GET / HTTP/1.1\r\n", b"SSH-2.0-OpenSSH\r\n", &[0x16, 3, 1, 2, 0, 1, 0, 1, 0xFC, 3, 3]];
    for bytes in strangers {
        assert_eq!(refused(Version::V311, bytes), MALFORMED);
    }
}

#[test]
fn every_frame_of_up_to_three_bytes_is_judged_without_a_panic() {
    for version in [Version::V31, Version::V311, Version::V5] {
        for first in 0..=0xFF {
            for second in 0..=0xFF {
                let _ = decode(version, &[first, 0]);
                let _ = decode(version, &[first, 1, second]);
            }
        }
    }
}

#[test]
fn a_packet_is_no_larger_than_a_publish() {
    assert!(size_of::<Packet>() <= size_of::<Publish>() + 8, "{}", size_of::<Packet>());
    assert!(size_of::<Publish>() <= 184, "{}", size_of::<Publish>());
}
