use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::codec::QoS;

fn filter(filter: &str) -> TopicFilter {
    TopicFilter::new(filter).unwrap()
}

/// One group, `$share/g/t`, with these members.
fn group(sessions: impl IntoIterator<Item = u32>) -> Groups<u32> {
    let mut groups = Groups::new(usize::MAX);
    sessions.into_iter().for_each(|session| groups.enter(session));
    groups
}

impl Groups<u32> {
    fn enter(&mut self, session: u32) {
        let filter = filter("$share/g/t");
        let key = self.key_for(&filter);
        assert!(self.join(key, &filter, session, Grant::default()));
    }

    fn exit(&mut self, session: u32) {
        assert!(self.leave(&filter("$share/g/t"), session).is_some());
    }

    fn next(&mut self) -> Option<u32> {
        let key = self.key_for(&filter("$share/g/t"));
        self.turn(key)?.in_turn().next().map(|member| member.session)
    }

    fn next_of(&mut self, count: usize) -> Vec<u32> {
        (0..count).filter_map(|_| self.next()).collect()
    }
}

#[test]
fn members_come_in_the_order_in_which_they_joined() {
    let mut groups = group([7, 3, 5]);
    assert_eq!(groups.next_of(7), [7, 3, 5, 7, 3, 5, 7]);
}

#[test]
fn all_members_are_offered_a_message_from_the_one_whose_turn_it_is() {
    let mut groups = group([7, 3, 5]);
    groups.next();
    let key = groups.key_for(&filter("$share/g/t"));
    let shared = groups.turn(key).unwrap();
    assert_eq!(shared.in_turn().map(|member| member.session).collect::<Vec<_>>(), [3, 5, 7]);
}

#[test]
fn a_member_that_leaves_takes_only_its_own_turn_away() {
    for (left, then) in
        [(10, [12, 13, 11, 12]), (11, [12, 13, 10, 12]), (12, [13, 10, 11, 13]), (13, [12, 10, 11, 12])]
    {
        let mut groups = group(10..14);
        assert_eq!(groups.next_of(6), [10, 11, 12, 13, 10, 11]);
        groups.exit(left);
        assert_eq!(groups.next_of(4), then, "without {left}");
    }
}

#[test]
fn a_member_that_joins_comes_after_the_others_and_moves_nobody() {
    let mut groups = group([1, 2, 3]);
    assert_eq!(groups.next_of(4), [1, 2, 3, 1]);
    groups.enter(4);
    assert_eq!(groups.next_of(4), [2, 3, 4, 1]);
}

#[test]
fn a_message_on_its_way_keeps_the_members_it_was_routed_to() {
    let mut groups = group([1, 2]);
    let key = groups.key_for(&filter("$share/g/t"));
    let on_its_way = groups.turn(key).unwrap();
    groups.exit(1);
    groups.enter(3);
    assert_eq!(on_its_way.in_turn().map(|member| member.session).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn a_new_grant_takes_no_second_place() {
    let mut groups = group([1, 2]);
    let t = filter("$share/g/t");
    let key = groups.key_for(&t);
    assert!(groups.join(key, &t, 1, Grant { qos: QoS::ExactlyOnce, ..Grant::default() }));
    assert_eq!(groups.members_len(), 2);
    assert_eq!(groups.turn(key).unwrap().in_turn().next().unwrap().grant.qos, QoS::ExactlyOnce);
    assert_eq!(groups.next_of(2), [2, 1]);
}

#[test]
fn a_group_ends_with_its_last_member_and_its_key_is_not_the_next_ones() {
    let mut groups = group([1, 2]);
    let t = filter("$share/g/t");
    let first = groups.key_for(&t);
    assert_eq!(groups.leave(&t, 1).unwrap().ended, None);
    assert_eq!(groups.leave(&t, 2).unwrap().ended, Some(first));
    assert!(groups.leave(&t, 2).is_none());
    assert!(groups.turn(first).is_none());
    groups.enter(1);
    assert_ne!(groups.key_for(&t), first);
    assert_eq!((groups.len(), groups.members_len()), (1, 1));
}

#[test]
fn a_key_in_use_is_passed_over_when_the_numbers_start_again() {
    let mut groups = group([1]);
    groups.next_key = 0;
    let other = filter("$share/other/t");
    assert_eq!(groups.key_for(&other), ShareKey(1));
}

#[test]
fn a_full_group_takes_nobody_else() {
    let mut groups = Groups::new(2);
    let t = filter("$share/g/t");
    let joined: Vec<_> = [1, 2, 3, 1]
        .map(|session| {
            let key = groups.key_for(&t);
            groups.join(key, &t, session, Grant::default())
        })
        .into();
    assert_eq!(joined, [true, true, false, true]);
    assert_eq!(groups.members_len(), 2);
}

#[test]
fn twenty_thousand_members_come_and_go_quickly() {
    let started = std::time::Instant::now();
    let mut groups = group(0..20_000);
    (0..20_000).for_each(|session| groups.exit(session));
    assert_eq!((groups.len(), groups.members_len()), (0, 0));
    assert!(started.elapsed().as_secs() < 3, "took {:?}", started.elapsed());
}

#[test]
fn turns_taken_by_many_threads_are_still_fair() {
    let mut groups = group(0..5);
    let key = groups.key_for(&filter("$share/g/t"));
    let take =
        || (0..1000).map(|_| groups.turn(key).unwrap().in_turn().next().unwrap().session).collect::<Vec<_>>();
    let taken: Vec<u32> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(take)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let mut counts = BTreeMap::new();
    taken.into_iter().for_each(|session| *counts.entry(session).or_insert(0) += 1);
    assert_eq!(counts.into_values().collect::<Vec<_>>(), [800; 5]);
}

proptest! {
    /// Between any two turns of one member, each other one that was there all the time has exactly one.
    #[test]
    fn whatever_happens_in_between_nobody_is_passed_over_and_nobody_comes_twice(
        steps in prop::collection::vec((0..8_u32, 0..6_usize), 1..60),
    ) {
        let mut groups = group([]);
        let mut queue = Vec::<u32>::new(); // in the order of their next turns
        let mut order = Vec::<u32>::new(); // in the order in which they joined
        for (session, turns) in steps {
            match order.iter().position(|it| *it == session) {
                Some(at) => {
                    groups.exit(session);
                    order.remove(at);
                    queue.retain(|it| *it != session);
                }
                None => {
                    groups.enter(session);
                    let first = queue.iter().position(|it| Some(it) == order.first()).filter(|at| *at > 0);
                    queue.insert(first.unwrap_or(queue.len()), session);
                    order.push(session);
                }
            }
            for _ in 0..turns {
                prop_assert_eq!(groups.next(), queue.first().copied());
                let turn = usize::from(!queue.is_empty());
                queue.rotate_left(turn);
            }
        }
    }
}
