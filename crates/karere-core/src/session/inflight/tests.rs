use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::vec::Vec;

fn id(sequence: u64) -> PacketId {
    PacketId::from_sequence(sequence)
}

#[test]
fn an_acknowledgement_in_any_order_finds_its_message() {
    let mut inflight = Inflight::default();
    for sequence in 65_530..65_540 {
        inflight.push(sequence, QoS::AtLeastOnce, sequence);
    }
    for sequence in [65_535, 65_530, 65_539, 65_531] {
        assert_eq!(inflight.puback(id(sequence)), Ok(Some(sequence)));
        assert_eq!(inflight.puback(id(sequence)), Err(InflightError::NotFound));
    }
    assert_eq!(inflight.len(), 6);
}

#[test]
fn an_identifier_is_found_when_the_oldest_is_more_than_65535_behind() {
    let mut inflight = Inflight::default();
    inflight.push(5, QoS::AtLeastOnce, 5u64);
    inflight.push(65_535 + 6, QoS::AtLeastOnce, 65_541);
    inflight.push(2 * 65_535 + 7, QoS::AtLeastOnce, 131_077);
    assert_eq!(inflight.puback(id(7)), Ok(Some(131_077)));
    assert_eq!(inflight.puback(id(6)), Ok(Some(65_541)));
    assert_eq!(inflight.puback(id(4)), Err(InflightError::NotFound));
}

#[test]
fn each_acknowledgement_ends_only_what_waits_for_it() {
    let mut inflight = Inflight::default();
    inflight.push(0, QoS::AtLeastOnce, 'a');
    inflight.push(1, QoS::ExactlyOnce, 'b');
    assert_eq!(inflight.pubrec(id(0)), Err(InflightError::Mismatch(Awaiting::PubAck)));
    assert_eq!(inflight.puback(id(1)), Err(InflightError::Mismatch(Awaiting::PubRec)));
    assert_eq!(inflight.pubcomp(id(1)), Err(InflightError::Mismatch(Awaiting::PubRec)));
    assert_eq!(inflight.pubrec(id(1)), Ok(Some('b')));
    assert_eq!(inflight.pubrec(id(1)), Ok(None), "a second PUBREC is answered with PUBREL again");
    assert_eq!(inflight.pubrec_failed(id(1)), Err(InflightError::Mismatch(Awaiting::PubComp(0))));
    assert_eq!(inflight.pubcomp(id(1)), Ok(()));
    assert_eq!(inflight.puback(id(0)), Ok(Some('a')));
    assert!(inflight.is_empty());
}

#[test]
fn resuming_sends_pubrels_in_the_order_of_their_pubrecs_and_messages_in_their_first_order() {
    let mut inflight = Inflight::default();
    for sequence in 0..5 {
        inflight.push(sequence, QoS::ExactlyOnce, sequence);
    }
    inflight.pubrec(id(3)).unwrap();
    inflight.pubrec(id(1)).unwrap();
    for _ in 0..2 {
        let mut released = Vec::new();
        inflight.resume(|id| released.push(id));
        assert_eq!(released, [id(3), id(1)]);
        let mut again = Vec::new();
        while let Some((id, message)) = inflight.next_resend() {
            again.push(*message);
            assert!(inflight.is_resending());
            inflight.resent(id);
        }
        assert_eq!(again, [0, 2, 4]);
        assert!(!inflight.is_resending());
    }
}

#[test]
fn what_is_new_after_a_resumption_is_not_to_be_sent_again() {
    let mut inflight = Inflight::default();
    inflight.push(0, QoS::ExactlyOnce, 0);
    inflight.pubrec(id(0)).unwrap();
    inflight.resume(|_| ());
    inflight.push(1, QoS::AtLeastOnce, 1);
    assert_eq!(inflight.next_resend(), None);
    assert!(!inflight.is_sent(id(0)), "only its PUBREL went on this connection");
    assert!(inflight.is_sent(id(1)));
}

#[test]
fn an_acknowledgement_between_two_resends_does_not_disturb_the_order() {
    let mut inflight = Inflight::default();
    for sequence in 0..4 {
        inflight.push(sequence, QoS::AtLeastOnce, sequence);
    }
    inflight.resume(|_| ());
    let (first, _) = inflight.next_resend().unwrap();
    inflight.resent(first);
    inflight.puback(id(0)).unwrap();
    inflight.puback(id(1)).unwrap();
    assert_eq!(inflight.next_resend(), Some((id(2), &2)));
    inflight.resent(id(2));
    inflight.puback(id(3)).unwrap();
    assert_eq!(inflight.next_resend(), None);
}

proptest! {
    #[test]
    fn behaves_as_a_map_from_identifier_to_message(steps in prop::collection::vec((0u64..3, 0usize..40), 1..400)) {
        let mut inflight = Inflight::default();
        let mut model = BTreeMap::new();
        let mut next = 0u64;
        for (what, choice) in steps {
            if what == 0 && model.len() < 65_535 {
                next += 1 + choice as u64 * 3_000;
                while model.contains_key(&id(next)) {
                    next += 1;
                }
                inflight.push(next, QoS::AtLeastOnce, next);
                model.insert(id(next), next);
            } else if let Some((&packet_id, &message)) = model.iter().nth(choice) {
                prop_assert_eq!(inflight.puback(packet_id), Ok(Some(message)));
                model.remove(&packet_id);
            }
            prop_assert_eq!(inflight.len(), model.len());
            for packet_id in model.keys() {
                prop_assert!(inflight.contains(*packet_id));
            }
        }
    }
}
