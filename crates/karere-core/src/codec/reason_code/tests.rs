use std::string::ToString;

use super::*;

#[test]
fn there_are_43_codes_and_each_is_found_by_its_value() {
    assert_eq!(ReasonCode::ALL.len(), 43);
    for &code in ReasonCode::ALL {
        assert_eq!(ReasonCode::from_u8(code.as_u8()), Some(code));
        assert!(PacketType::ALL.into_iter().any(|packet_type| code.allowed_in(packet_type)), "{code}");
    }
    let known = (0..=0xFF).filter(|&value| ReasonCode::from_u8(value).is_some()).count();
    assert_eq!(known, ReasonCode::ALL.len());
}

#[test]
fn zero_goes_by_three_names() {
    assert_eq!(ReasonCode::NORMAL_DISCONNECTION, ReasonCode::Success);
    assert_eq!(ReasonCode::GRANTED_QOS_0, ReasonCode::Success);
}

#[test]
fn errors_start_at_0x80() {
    assert!(!ReasonCode::ReAuthenticate.is_error());
    assert!(ReasonCode::UnspecifiedError.is_error());
}

#[test]
fn a_code_belongs_to_some_packets_only() {
    assert!(ReasonCode::PacketIdentifierNotFound.allowed_in(PacketType::PubRel));
    assert!(!ReasonCode::PacketIdentifierNotFound.allowed_in(PacketType::PubAck));
    assert!(!ReasonCode::Success.allowed_in(PacketType::Publish));
}

#[test]
fn it_prints_its_name_and_value() {
    assert_eq!(ReasonCode::NotAuthorized.to_string(), "Not authorized (0x87)");
}

#[test]
fn the_return_codes_of_3_x_are_codes_of_version_5() {
    for code in 0..=5 {
        assert_eq!(ReasonCode::from_connack_return_code(code).unwrap().to_connack_return_code(), code);
    }
    assert_eq!(ReasonCode::from_connack_return_code(6), None);
}

#[test]
fn a_refusal_is_never_told_to_3_x_as_an_acceptance() {
    for &code in ReasonCode::ALL {
        assert_eq!(code.is_error(), code.to_connack_return_code() != 0, "{code}");
        assert_eq!(code.is_error(), code.to_v3_suback() == 0x80, "{code}");
    }
}

#[test]
fn granted_qos_is_said_in_both_versions_alike() {
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        assert_eq!(ReasonCode::granted(qos).as_u8(), qos.bits());
        assert_eq!(ReasonCode::granted(qos).to_v3_suback(), qos.bits());
    }
}
