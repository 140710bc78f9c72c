//! Broken promises, told one by one; and what is none.

use super::*;

const PLAIN: Filter = Filter::all(Area::Plain);

/// A publisher, a durable session that is subscribed to all that is plain, and steps that are counted.
struct Court {
    judge: Judge,
    publisher: u16,
    session: SessionId,
    step: Step,
}

impl Court {
    fn new() -> Self {
        let mut judge = Judge::default();
        let publisher = judge.add_publisher("pub");
        let session = judge.add_session("sub", true, None);
        judge.subscribing(session, PLAIN, 1);
        judge.subscribed(session, PLAIN, 2);
        Self { judge, publisher, session, step: 2 }
    }

    fn next(&mut self) -> Step {
        self.step += 1;
        self.step
    }

    fn topic(&self, area: Area) -> Topic {
        Topic { area, publisher: self.publisher, number: 1 }
    }

    fn send(&mut self, area: Area, qos: u8) -> Stamp {
        let (topic, step) = (self.topic(area), self.next());
        self.judge.sent(topic, qos, false, step)
    }

    fn acknowledge(&mut self, stamp: Stamp) {
        let step = self.next();
        self.judge.acknowledged(stamp, step);
    }

    fn deliver_to(&mut self, session: SessionId, stamp: Stamp, area: Area, qos: u8) {
        let (topic, step) = (self.topic(area), self.next());
        self.judge.delivered(session, &Delivery { stamp, topic, qos, retained: false }, step);
    }

    fn deliver(&mut self, stamp: Stamp, qos: u8) {
        self.deliver_to(self.session, stamp, Area::Plain, qos);
    }

    /// What is found by the end, nothing more being under way.
    fn found(mut self) -> Vec<Kind> {
        let step = self.next();
        self.judge.settle(step);
        self.judge.counts.findings().iter().map(|finding| finding.kind).collect()
    }
}

#[test]
fn what_was_acknowledged_and_never_came_is_missing() {
    let mut court = Court::new();
    let [lost, came, unknown] = [1, 2, 1].map(|qos| court.send(Area::Plain, qos));
    court.acknowledge(lost);
    court.acknowledge(came);
    court.deliver(came, 2);
    court.judge.given_up(unknown, false);
    assert_eq!(court.judge.outstanding(), 1);
    assert_eq!(court.found(), [Kind::Missing]);
}

#[test]
fn a_second_copy_at_qos_2_is_a_fault_and_one_at_qos_1_is_counted() {
    let mut court = Court::new();
    let [one, two] = [1, 2].map(|qos| court.send(Area::Plain, qos));
    for (stamp, qos) in [(one, 1), (two, 2)] {
        court.acknowledge(stamp);
        court.deliver(stamp, qos);
        court.deliver(stamp, qos);
    }
    assert_eq!(court.judge.counts.doubled_at_one, 1);
    assert_eq!(court.found(), [Kind::DoubledAtTwo]);
}

#[test]
fn a_second_copy_after_all_was_settled_is_told_too() {
    let mut court = Court::new();
    let stamp = court.send(Area::Plain, 2);
    court.acknowledge(stamp);
    court.deliver(stamp, 2);
    let step = court.next();
    court.judge.settle(step);
    court.deliver(stamp, 2);
    assert_eq!(court.found(), [Kind::DoubledAtTwo]);
}

#[test]
fn a_message_sent_anew_after_its_session_was_lost_may_come_once_for_each() {
    let mut court = Court::new();
    let stamp = court.send(Area::Plain, 2);
    court.judge.sent_again(stamp, true);
    court.deliver(stamp, 2);
    court.deliver(stamp, 2);
    court.acknowledge(stamp);
    assert_eq!(court.found(), []);
}

#[test]
fn order_is_that_of_first_copies_on_a_topic_at_a_qos() {
    let mut court = Court::new();
    let [a, b, c, other] = [1, 1, 1, 2].map(|qos| court.send(Area::Plain, qos));
    court.deliver(other, 2);
    court.deliver(b, 1);
    court.deliver(c, 1);
    court.deliver(b, 1);
    court.deliver(a, 1);
    assert_eq!(court.found(), [Kind::OutOfOrder]);
}

#[test]
fn what_was_sent_before_a_subscription_and_again_behind_it_is_not_out_of_order() {
    let mut court = Court::new();
    let [early, late] = [1, 1].map(|qos| court.send(Area::Toggled, qos));
    let filter = Filter::all(Area::Toggled);
    let step = court.next();
    court.judge.subscribing(court.session, filter, step);
    let step = court.next();
    court.judge.subscribed(court.session, filter, step);
    [early, late].into_iter().for_each(|stamp| court.judge.sent_again(stamp, false));
    court.deliver_to(court.session, late, Area::Toggled, 1);
    court.deliver_to(court.session, early, Area::Toggled, 1);
    assert_eq!(court.found(), []);
}

#[test]
fn a_group_gets_a_message_once_whoever_gets_it() {
    let mut court = Court::new();
    let group = court.judge.add_group("group");
    let members = ["a", "b"].map(|name| court.judge.add_session(name, true, Some(group)));
    for member in members {
        court.judge.subscribing(member, Filter::all(Area::Shared), 1);
        court.judge.subscribed(member, Filter::all(Area::Shared), 2);
    }
    let [good, twice, never, at_one] = [2, 2, 2, 1].map(|qos| court.send(Area::Shared, qos));
    [good, twice, never, at_one].into_iter().for_each(|stamp| court.acknowledge(stamp));
    court.deliver_to(members[0], good, Area::Shared, 2);
    for member in members {
        court.deliver_to(member, twice, Area::Shared, 2);
        court.deliver_to(member, at_one, Area::Shared, 1);
    }
    assert_eq!(court.judge.counts.doubled_at_one, 1);
    assert_eq!(court.found(), [Kind::DoubledInGroup, Kind::MissingInGroup]);
}

#[test]
fn a_subscription_holds_from_suback_to_unsubscribe_and_is_gone_after_unsuback() {
    let mut court = Court::new();
    let filter = Filter { area: Area::Toggled, number: Some(1) };
    let before = court.send(Area::Toggled, 1);
    court.acknowledge(before);
    let step = court.next();
    court.judge.subscribing(court.session, filter, step);
    let between = court.send(Area::Toggled, 1);
    court.acknowledge(between);
    let step = court.next();
    court.judge.subscribed(court.session, filter, step);
    let during = court.send(Area::Toggled, 1);
    court.acknowledge(during);
    let step = court.next();
    court.judge.unsubscribing(court.session, filter, step);
    let step = court.next();
    court.judge.unsubscribed(court.session, filter, step);
    let after = court.send(Area::Toggled, 1);
    for stamp in [before, between, after] {
        court.deliver_to(court.session, stamp, Area::Toggled, 1);
    }
    // Neither what came before nor what came after was asked for, and `during` never came.
    assert_eq!(court.found(), [Kind::Unwanted, Kind::Unwanted, Kind::Missing]);
}

#[test]
fn what_came_before_a_session_was_lost_is_missing_and_what_came_then_is_not() {
    let mut court = Court::new();
    let lost = court.send(Area::Plain, 1);
    court.acknowledge(lost);
    let killed = court.next();
    let unmatched = court.send(Area::Plain, 1);
    court.acknowledge(unmatched);
    let step = court.next();
    court.judge.began(court.session, killed, step);
    assert_eq!(court.found(), [Kind::Missing]);
}

#[test]
fn a_payload_on_another_topic_or_that_was_never_sent_is_told() {
    let mut court = Court::new();
    let stamp = court.send(Area::Plain, 1);
    court.deliver_to(court.session, stamp, Area::Shared, 1);
    court.deliver(Stamp { counter: 99, ..stamp }, 1);
    assert_eq!(court.found(), [Kind::Corrupt, Kind::Corrupt]);
}

#[test]
fn a_will_that_is_due_and_never_comes_is_missing() {
    let mut court = Court::new();
    court.judge.subscribing(court.session, Filter::all(Area::Will), 1);
    court.judge.subscribed(court.session, Filter::all(Area::Will), 2);
    let [came, lost] = [1, 1].map(|qos| court.send(Area::Will, qos));
    court.acknowledge(came);
    court.acknowledge(lost);
    court.deliver_to(court.session, came, Area::Will, 1);
    assert_eq!(court.judge.counts.wills_due, 2);
    assert_eq!(court.found(), [Kind::WillMissing]);
}

#[test]
fn a_retained_value_is_the_last_acknowledged_or_a_later_one() {
    let mut court = Court::new();
    let topic = court.topic(Area::Retained);
    let [first, second, third] = [1, 1, 1].map(|qos| court.send(Area::Retained, qos));
    court.acknowledge(first);
    court.acknowledge(second);
    let asked = court.next();
    let fits = |court: &Court, stamp: Option<Stamp>| {
        let values = stamp.map(|stamp| (topic, stamp.counter)).into_iter().collect();
        court.judge.retained_fits(&values, asked)
    };
    assert_eq!(
        [Some(first), Some(second), Some(third), None].map(|at| fits(&court, at)),
        [false, true, true, false]
    );
    let step = court.next();
    let clearing = court.judge.sent(topic, 1, true, step);
    assert!(fits(&court, None), "it may be cleared by now");
    court.acknowledge(clearing);
    let asked = court.next();
    let values = BTreeMap::from([(topic, third.counter)]);
    court.judge.retained_seen(&values, asked, asked);
    assert_eq!(court.found(), [Kind::RetainedLost]);
}

/// Two deliveries that were not answered, of which the broker has both on its disk; the connection has ended.
fn two_open() -> (Identifiers, [Stamp; 3]) {
    let stamps = [0, 1, 2].map(|counter| Stamp { publisher: 0, counter });
    let mut identifiers = Identifiers::default();
    identifiers.received(7, stamps[0], false).expect("new");
    identifiers.received(8, stamps[1], false).expect("new");
    identifiers.lost(|_| true);
    (identifiers, stamps)
}

fn kind_of(result: Result<(), (Kind, String)>) -> Option<Kind> {
    result.err().map(|(kind, _)| kind)
}

#[test]
fn what_is_sent_again_in_order_under_the_same_identifiers_is_right() {
    let (mut identifiers, stamps) = two_open();
    assert_eq!(identifiers.received(7, stamps[0], true), Ok(()));
    // The connection ends once more, half-way.
    identifiers.lost(|_| true);
    assert_eq!(identifiers.received(7, stamps[0], true), Ok(()));
    assert_eq!(identifiers.received(8, stamps[1], true), Ok(()));
    assert_eq!(identifiers.received(9, stamps[2], false), Ok(()));
}

#[test]
fn another_identifier_no_dup_another_order_and_nothing_at_all_are_told() {
    let (mut identifiers, stamps) = two_open();
    assert_eq!(kind_of(identifiers.received(9, stamps[0], true)), Some(Kind::Identifier));
    let (mut identifiers, stamps) = two_open();
    assert_eq!(kind_of(identifiers.received(7, stamps[0], false)), Some(Kind::Identifier));
    let (mut identifiers, stamps) = two_open();
    assert_eq!(kind_of(identifiers.received(7, stamps[2], true)), Some(Kind::Identifier));
    let (mut identifiers, stamps) = two_open();
    assert_eq!(kind_of(identifiers.received(8, stamps[1], true)), Some(Kind::NotResent));
    let (mut identifiers, stamps) = two_open();
    assert_eq!(kind_of(identifiers.received(9, stamps[2], false)), Some(Kind::NotResent));
    let (mut identifiers, _) = two_open();
    assert_eq!(kind_of(identifiers.all_sent()), Some(Kind::NotResent));
}

#[test]
fn what_was_answered_or_is_not_on_the_disk_need_not_come_again() {
    let (mut identifiers, stamps) = two_open();
    identifiers.lost(|stamp| stamp != stamps[0]);
    let mut answered = Identifiers::default();
    answered.received(7, stamps[0], false).expect("new");
    answered.answered(7);
    answered.lost(|_| true);
    assert_eq!(answered.all_sent(), Ok(()));
    let mut unknown = Identifiers::default();
    unknown.received(7, stamps[0], false).expect("new");
    unknown.lost(|_| false);
    assert_eq!(unknown.received(12, stamps[0], true), Ok(()));
}
