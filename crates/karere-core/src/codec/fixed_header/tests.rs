use super::*;
use crate::codec::{
    ReasonCode,
    testing::{MALFORMED, decode, refused},
};

#[test]
fn the_header_tells_type_flags_and_lengths() {
    let header = FixedHeader::peek(&[0x3D, 0x80, 0x01, 0xFF]).unwrap().unwrap();
    assert_eq!(header.packet_type(), PacketType::Publish);
    assert_eq!(header.flags(), 0b1101);
    assert_eq!((header.header_len(), header.body_len(), header.frame_len()), (3, 128, 131));
}

#[test]
fn the_longest_packet_has_five_bytes_of_header() {
    let header = FixedHeader::peek(&[0x30, 0xFF, 0xFF, 0xFF, 0x7F]).unwrap().unwrap();
    assert_eq!(header.frame_len(), 268_435_455 + 5);
}

#[test]
fn a_cut_header_asks_for_more() {
    for input in [&[][..], &[0x30], &[0x30, 0x80], &[0x30, 0x80, 0x80, 0x80]] {
        assert_eq!(FixedHeader::peek(input), Ok(None), "{input:x?}");
    }
}

#[test]
fn type_0_is_refused_at_its_first_byte() {
    for first in 0..=0x0F {
        assert_eq!(FixedHeader::peek(&[first]).unwrap_err().reason_code(), ReasonCode::MalformedPacket);
    }
}

#[test]
fn a_remaining_length_of_five_bytes_is_refused_without_reading_the_fifth() {
    assert!(FixedHeader::peek(&[0x30, 0xFF, 0xFF, 0xFF, 0xFF]).is_err());
    assert!(FixedHeader::peek(&[0xC0, 0x80, 0x00]).is_err());
}

#[test]
fn a_frame_must_be_as_long_as_it_says() {
    assert_eq!(refused(Version::V5, &[0xC0]), MALFORMED);
    assert_eq!(refused(Version::V5, &[0xC0, 0x00, 0x00]), MALFORMED);
    assert_eq!(refused(Version::V5, &[0x40, 0x02, 0x00]), MALFORMED);
    assert_eq!(refused(Version::V5, &[]), MALFORMED);
}

/// A frame of each type but PUBLISH that is right but for its flags.
const FRAMES: [&[u8]; 14] = [
    b"\x10\x0C\x00\x04MQTT\x04\x02\x00\x00\x00\x00",
    &[0x20, 0x02, 0, 0],
    &[0x40, 0x02, 0, 1],
    &[0x50, 0x02, 0, 1],
    &[0x62, 0x02, 0, 1],
    &[0x70, 0x02, 0, 1],
    &[0x82, 0x06, 0, 1, 0, 1, b'a', 0],
    &[0x90, 0x03, 0, 1, 0],
    &[0xA2, 0x05, 0, 1, 0, 1, b'a'],
    &[0xB0, 0x02, 0, 1],
    &[0xC0, 0],
    &[0xD0, 0],
    &[0xE0, 0],
    &[0xF0, 0],
];

fn with_flags(frame: &[u8], flags: u8) -> std::vec::Vec<u8> {
    let mut frame = frame.to_vec();
    frame[0] = frame[0] & 0xF0 | flags;
    frame
}

#[test]
fn any_other_flags_are_malformed_and_not_a_protocol_error() {
    for frame in FRAMES {
        let version = if frame[0] == 0xF0 { Version::V5 } else { Version::V311 };
        for flags in 0..=0x0F {
            let changed = with_flags(frame, flags);
            if changed == frame {
                assert!(decode(version, frame).is_ok(), "{frame:x?}");
            } else {
                assert_eq!(refused(version, &changed), MALFORMED, "{changed:x?}");
            }
        }
    }
}

#[test]
fn in_3_1_subscribe_unsubscribe_and_pubrel_may_be_sent_again() {
    for frame in FRAMES {
        let again = with_flags(frame, 0b1010);
        let repeatable = matches!(frame[0], 0x62 | 0x82 | 0xA2);
        assert_eq!(decode(Version::V31, &again).is_ok(), repeatable, "{again:x?}");
        assert!(decode(Version::V311, &again).is_err(), "{again:x?}");
    }
}

#[test]
fn pings_have_no_body() {
    assert_eq!(refused(Version::V311, &[0xC0, 0x01, 0x00]), MALFORMED);
    assert_eq!(refused(Version::V5, &[0xD0, 0x01, 0x00]), MALFORMED);
}

#[test]
fn every_type_has_the_number_of_the_specification() {
    for (number, packet_type) in (1..).zip(PacketType::ALL) {
        assert_eq!(packet_type as u8, number);
        assert_eq!(PacketType::from_bits(number), Some(packet_type));
    }
    assert_eq!(PacketType::from_bits(0), None);
    assert_eq!(PacketType::from_bits(16), None);
    assert_eq!(std::string::ToString::to_string(&PacketType::UnsubAck), "UNSUBACK");
}
