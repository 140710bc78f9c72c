use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::codec::Properties;
use crate::topic::matches;

const NOW: Instant = Instant::from_millis(1_000_000);

fn router() -> Router<u32> {
    Router::new(7, RouterLimits::default())
}

fn qos(qos: u8) -> SubscribeOptions {
    SubscribeOptions { qos: QoS::from_bits(qos).unwrap(), ..Default::default() }
}

fn retain_handling(retain_handling: RetainHandling) -> SubscribeOptions {
    SubscribeOptions { retain_handling, ..Default::default() }
}

fn message(topic: &str, payload: &'static str) -> Message {
    Message {
        topic: TopicName::new(topic).unwrap(),
        payload: Bytes::from_static(payload.as_bytes()),
        qos: QoS::AtLeastOnce,
        retain: true,
        expiry: None,
        properties: Properties::EMPTY,
    }
}

/// Verbs in short, for tests in which nothing is refused.
impl Router<u32> {
    fn sub(
        &mut self,
        session: u32,
        filter: &str,
        options: SubscribeOptions,
        id: impl Into<Option<u32>>,
    ) -> bool {
        let filter = &TopicFilter::new(filter).unwrap();
        self.subscribe(&NewSubscription { session, filter, options, subscription_id: id.into() })
            .unwrap()
            .existed
    }

    fn unsub(&mut self, session: u32, filter: &str) -> bool {
        self.unsubscribe(session, &TopicFilter::new(filter).unwrap())
    }

    /// The payloads of the snapshot that a subscription gets, in the order of their text.
    fn snapshot(
        &mut self,
        now: Instant,
        session: u32,
        filter: &str,
        options: SubscribeOptions,
    ) -> Vec<String> {
        let filter = &TopicFilter::new(filter).unwrap();
        let new = NewSubscription { session, filter, options, subscription_id: None };
        let mut snapshot = Vec::new();
        self.subscribe_with_retained(now, &format!("client {session}"), &new, &mut snapshot).unwrap();
        assert!(snapshot.iter().all(|retained| retained.message.retain));
        let mut payloads: Vec<_> =
            snapshot.iter().map(|it| String::from_utf8(it.message.payload.to_vec()).unwrap()).collect();
        payloads.sort_unstable();
        payloads
    }

    fn targets(&self, publisher: Option<u32>, topic: &str) -> Vec<Target<u32>> {
        let mut targets = Vec::new();
        self.route(publisher, topic, &mut targets);
        targets
    }

    /// Session, QoS and identifiers of each plain target, in the order of the sessions.
    fn routed(&self, topic: &str) -> Vec<(u32, u8, Vec<u32>)> {
        let plain = |target: &Target<u32>| match target {
            Target::Session { session, grant } => {
                let mut ids = grant.subscription_ids.as_slice().to_vec();
                ids.sort_unstable();
                Some((*session, grant.qos.bits(), ids))
            }
            Target::Shared(_) => None,
        };
        let mut routed: Vec<_> = self.targets(None, topic).iter().filter_map(plain).collect();
        routed.sort_unstable();
        routed
    }

    /// Whose turn it is in each Shared Subscription that matches.
    fn turns(&self, topic: &str) -> Vec<u32> {
        let first = |target: &Target<u32>| match target {
            Target::Session { .. } => None,
            Target::Shared(shared) => shared.in_turn().next().map(|member| member.session),
        };
        self.targets(None, topic).iter().filter_map(first).collect()
    }
}

#[test]
fn a_message_goes_to_each_session_whose_filter_matches() {
    let mut router = router();
    router.sub(1, "sport/#", qos(0), None);
    router.sub(2, "sport/+", qos(1), 22);
    router.sub(3, "news", qos(2), None);
    assert_eq!(router.routed("sport/tennis"), [(1, 0, [].into()), (2, 1, [22].into())]);
    assert_eq!(router.routed("news"), [(3, 2, [].into())]);
    assert_eq!(router.routed("weather"), []);
}

#[test]
fn overlapping_subscriptions_make_one_copy_with_the_highest_qos_and_every_identifier() {
    let mut router = router();
    router.sub(1, "a/#", qos(0), 10);
    router.sub(2, "a/b", qos(0), None);
    router.sub(1, "a/b", SubscribeOptions { retain_as_published: true, ..qos(2) }, 20);
    router.sub(1, "+/b", qos(1), 10);
    router.sub(1, "#", qos(1), None);
    assert_eq!(router.routed("a/b"), [(1, 2, [10, 10, 20].into()), (2, 0, [].into())]);
    let Some(Target::Session { session: 1, grant }) = router.targets(None, "a/b").first().cloned() else {
        panic!()
    };
    assert!(grant.retain_as_published);
}

#[test]
fn ten_thousand_overlapping_filters_of_one_session_are_one_target() {
    let mut router = router();
    let name = |bits: u32| {
        let levels: Vec<_> = (0..14).map(|level| if bits >> level & 1 == 0 { "+" } else { "a" }).collect();
        levels.join("/")
    };
    (0..10_000).for_each(|bits| assert!(!router.sub(1, &name(bits), qos(1), bits + 1)));
    let routed = router.routed(&name(u32::MAX));
    assert_eq!(routed, [(1, 1, (1..=10_000).collect())]);
}

#[test]
fn no_local_keeps_a_message_from_its_publisher_alone() {
    let mut router = router();
    router.sub(1, "a", SubscribeOptions { no_local: true, ..qos(1) }, 5);
    router.sub(2, "a", SubscribeOptions { no_local: true, ..qos(1) }, None);
    router.sub(1, "+", qos(0), 6);
    let to_first = |targets: &[Target<u32>]| {
        targets.iter().find_map(|target| match target {
            Target::Session { session: 1, grant } => {
                Some((grant.qos, grant.subscription_ids.as_slice().to_vec()))
            }
            _ => None,
        })
    };
    assert_eq!(router.targets(Some(1), "a").len(), 2);
    assert_eq!(to_first(&router.targets(Some(1), "a")), Some((QoS::AtMostOnce, [6].into())));
    assert_eq!(router.targets(Some(2), "a").len(), 1);
    assert_eq!(router.targets(None, "a").len(), 2);
}

#[test]
fn subscribing_again_replaces_the_options() {
    let mut router = router();
    assert!(!router.sub(1, "a/+", qos(2), 1));
    assert!(router.sub(1, "a/+", qos(0), None));
    assert_eq!(router.routed("a/b"), [(1, 0, [].into())]);
    assert_eq!(router.subscriptions_len(), 1);
}

#[test]
fn a_leading_wildcard_gets_nothing_of_sys_shared_or_not_live_or_retained() {
    let mut router = router();
    router.retain(NOW, None, &message("$SYS/load", "1")).unwrap();
    assert_eq!(router.snapshot(NOW, 1, "#", qos(0)), [] as [&str; 0]);
    assert_eq!(router.snapshot(NOW, 1, "$SYS/+", qos(0)), ["1"]);
    router.sub(2, "+/load", qos(0), None);
    router.sub(3, "$share/g/#", qos(0), None);
    assert_eq!(router.targets(None, "$SYS/load").len(), 1);
    assert_eq!(router.routed("$SYS/load"), [(1, 0, [].into())]);
}

#[test]
fn unsubscribing_ends_one_subscription_and_leaves_the_others() {
    let mut router = router();
    router.sub(1, "a", qos(0), None);
    router.sub(1, "$share/g/a", qos(0), None);
    router.sub(2, "a", qos(0), None);
    assert!(router.unsub(1, "a"));
    assert!(!router.unsub(1, "a"));
    assert!(!router.unsub(2, "$share/g/a"));
    assert_eq!((router.routed("a"), router.turns("a")), ([(2, 0, [].into())].into(), [1].into()));
    assert!(router.unsub(1, "$share/g/a"));
    assert_eq!(router.turns("a"), [] as [u32; 0]);
}

#[test]
fn a_session_that_ends_takes_its_subscriptions_with_it() {
    let mut router = router();
    let filters =
        ["a/b", "#", "$share/g/a/b", "$share/h/+/b"].map(|filter| TopicFilter::new(filter).unwrap());
    for filter in &filters {
        router.sub(1, filter, qos(0), None);
    }
    router.sub(2, "$share/g/a/b", qos(0), None);
    assert_eq!(router.subscriptions_len(), 5);
    router.remove_session(1, &filters);
    assert_eq!((router.subscriptions_len(), router.subscriptions.nodes()), (1, 1));
    assert_eq!((router.routed("a/b"), router.turns("a/b")), ([].into(), [2].into()));
}

#[test]
fn each_shared_subscription_gets_a_copy_besides_the_plain_ones() {
    let mut router = router();
    for filter in
        ["$share/consumer1/sport/+", "$share/consumer2/sport/+", "$share/consumer1/sport/#", "sport/+"]
    {
        router.sub(1, filter, qos(1), None);
    }
    assert_eq!(router.turns("sport/tennis"), [1, 1, 1]);
    assert_eq!(router.routed("sport/tennis"), [(1, 1, [].into())]);
}

#[test]
fn the_members_of_a_shared_subscription_take_turns_with_their_own_terms() {
    let mut router = router();
    for session in 1..=3 {
        assert!(!router.sub(session, "$share/g/a/+", qos(session as u8 - 1), 100 + session));
    }
    let turns: Vec<_> = (0..6).flat_map(|_| router.turns("a/b")).collect();
    assert_eq!(turns, [1, 2, 3, 1, 2, 3]);
    let Some(Target::Shared(shared)) = router.targets(None, "a/b").first().cloned() else { panic!() };
    let terms: Vec<_> = shared.in_turn().map(|it| (it.session, it.grant.qos.bits(), &it.grant)).collect();
    assert_eq!(
        terms.iter().map(|(session, qos, _)| (*session, *qos)).collect::<Vec<_>>(),
        [(1, 0), (2, 1), (3, 2)]
    );
    assert!(terms.iter().all(|(session, _, grant)| grant.subscription_ids.as_slice() == [100 + session]));

    let key = terms[0].2.shared.unwrap();
    let next = router.next_turn(key).unwrap();
    assert_eq!(next.in_turn().map(|member| member.session).collect::<Vec<_>>(), [2, 3, 1]);
    (1..=3).for_each(|session| assert!(router.unsub(session, "$share/g/a/+")));
    assert!(router.next_turn(key).is_none(), "it ended with its last member");
}

#[test]
fn subscribing_to_a_shared_subscription_again_is_one_membership() {
    let mut router = router();
    router.sub(1, "$share/g/a", qos(0), None);
    router.sub(2, "$share/g/a", qos(0), None);
    assert!(router.sub(1, "$share/g/a", qos(2), None));
    assert_eq!(
        (router.turns("a"), router.turns("a"), router.turns("a")),
        ([1].into(), [2].into(), [1].into())
    );
    let Some(Target::Shared(shared)) = router.targets(None, "a").first().cloned() else { panic!() };
    assert!(shared.in_turn().any(|member| member.session == 1 && member.grant.qos == QoS::ExactlyOnce));
    assert!(router.unsub(1, "$share/g/a"));
    assert_eq!((router.turns("a"), router.turns("a")), ([2].into(), [2].into()));
}

#[test]
fn retain_handling_decides_about_the_snapshot() {
    let mut router = router();
    router.retain(NOW, None, &message("a/b", "kept")).unwrap();
    for (handling, first, again) in [
        (RetainHandling::SendAtSubscribe, 1, 1),
        (RetainHandling::SendIfNew, 1, 0),
        (RetainHandling::DoNotSend, 0, 0),
    ] {
        let session = handling as u32;
        assert_eq!(
            router.snapshot(NOW, session, "a/#", retain_handling(handling)).len(),
            first,
            "{handling:?}"
        );
        assert_eq!(
            router.snapshot(NOW, session, "a/#", retain_handling(handling)).len(),
            again,
            "{handling:?}"
        );
    }
    router.retain(NOW, None, &message("$share/g/a/b", "not even that of a topic of this name")).unwrap();
    assert_eq!(router.snapshot(NOW, 9, "$share/g/a/#", qos(0)), [] as [&str; 0]);
}

#[test]
fn no_local_leaves_out_what_the_client_has_retained_itself() {
    let mut router = router();
    let client_id = Text::new("client 1").unwrap();
    router.retain(NOW, Some(&client_id), &message("a/own", "own")).unwrap();
    router.retain(NOW, None, &message("a/server", "server")).unwrap();
    let no_local = SubscribeOptions { no_local: true, ..qos(0) };
    assert_eq!(router.snapshot(NOW, 1, "a/+", no_local), ["server"]);
    assert_eq!(router.snapshot(NOW, 2, "a/+", no_local), ["own", "server"]);
    assert_eq!(router.snapshot(NOW, 1, "a/+", qos(0)), ["own", "server"]);
}

#[test]
fn a_retained_message_that_has_expired_is_in_no_snapshot() {
    let mut router = router();
    router.retain(NOW, None, &Message { expiry: Some(10), ..message("a", "soon") }).unwrap();
    router.retain(NOW, None, &Message { expiry: Some(0), ..message("b", "never") }).unwrap();
    assert_eq!(router.snapshot(NOW, 1, "+", qos(0)), ["soon"]);
    assert_eq!(router.snapshot(NOW.plus_millis(9_999), 1, "+", qos(0)), ["soon"]);
    assert_eq!(router.snapshot(NOW.plus_seconds(10), 1, "+", qos(0)), [] as [&str; 0]);
}

#[test]
fn retaining_and_routing_is_one_step_and_numbered() {
    let mut router = router();
    router.sub(1, "a", SubscribeOptions { no_local: true, ..qos(0) }, None);
    router.sub(2, "a", qos(0), None);
    let client_id = Text::new("client 1").unwrap();
    let publisher = Some(Publisher { session: 1, client_id: &client_id });
    let mut targets = Vec::new();
    let first = router.retain_and_route(NOW, publisher, &message("a", "1"), &mut targets).unwrap();
    assert!(matches!(targets[..], [Target::Session { session: 2, .. }]));
    assert_eq!(router.retained(&TopicName::new("a").unwrap()).unwrap().sequence, first);
    let second = router.retain_and_route(NOW, publisher, &message("a", ""), &mut targets).unwrap();
    assert!(second > first);
    assert_eq!((targets.len(), router.retained_len()), (1, 0));
}

#[test]
fn a_retained_message_that_does_not_fit_has_no_targets_and_leaves_the_old_one() {
    let retained = RetainedLimits { bytes_max: 10, ..Default::default() };
    let mut router = Router::<u32>::new(7, RouterLimits { retained, ..Default::default() });
    router.sub(1, "a", qos(0), None);
    let mut targets = router.targets(None, "a");
    router.retain(NOW, None, &message("a", "old")).unwrap();
    let refused = router.retain_and_route(NOW, None, &message("a", "too much of it"), &mut targets);
    assert_eq!((refused, targets.len()), (Err(ReasonCode::QuotaExceeded), 0));
    assert_eq!(router.snapshot(NOW, 1, "a", qos(0)), ["old"]);
}

#[test]
fn what_is_refused_says_why_and_changes_nothing() {
    let filters = Limits { levels_max: 3, nodes_max: 3 };
    let limits = RouterLimits { filters, subscriptions_max: 3, share_members_max: 1, ..Default::default() };
    let mut router = Router::<u32>::new(7, limits);
    let mut try_to = |session, filter: &str| {
        let filter = &TopicFilter::new(filter).unwrap();
        router.subscribe(&NewSubscription { session, filter, options: qos(0), subscription_id: None })
    };
    let new = Ok(Subscribed { existed: false });
    assert_eq!(try_to(1, "a/b/c/d"), Err(ReasonCode::TopicFilterInvalid));
    assert_eq!(try_to(1, "$share/g/a/b/c/d"), Err(ReasonCode::TopicFilterInvalid));
    assert_eq!(try_to(1, "a/+"), new);
    assert_eq!(try_to(1, "a/+/+"), new);
    assert_eq!(try_to(1, "b"), Err(ReasonCode::QuotaExceeded), "nodes");
    assert_eq!(try_to(1, "$share/g/b"), Err(ReasonCode::QuotaExceeded), "nodes");
    assert_eq!(try_to(1, "$share/g/a/+"), new);
    assert_eq!(try_to(2, "$share/g/a/+"), Err(ReasonCode::QuotaExceeded), "members");
    assert_eq!(try_to(1, "a"), Err(ReasonCode::QuotaExceeded), "subscriptions");
    assert_eq!(try_to(1, "$share/h/a"), Err(ReasonCode::QuotaExceeded), "subscriptions");
    assert_eq!(try_to(1, "a/+"), Ok(Subscribed { existed: true }));
    assert_eq!(try_to(1, "$share/g/a/+"), Ok(Subscribed { existed: true }));
    assert_eq!((router.subscriptions_len(), router.subscriptions.nodes(), router.groups.len()), (3, 3, 1));
}

#[test]
fn a_group_that_takes_nobody_leaves_no_trace() {
    let mut router = Router::<u32>::new(7, RouterLimits { share_members_max: 0, ..Default::default() });
    let filter = &TopicFilter::new("$share/g/a").unwrap();
    let new = NewSubscription { session: 1, filter, options: qos(0), subscription_id: None };
    assert_eq!(router.subscribe(&new), Err(ReasonCode::QuotaExceeded));
    assert_eq!((router.subscriptions.nodes(), router.subscriptions_len()), (0, 0));
}

#[test]
fn a_subscription_of_a_router_takes_400_bytes_at_most() {
    for shape in ["device/{}/status", "{}/temperature/celsius", "{}/{}/{}", "{}/+/{}", "building/floor/{}"] {
        let mut router = router();
        for session in 0..100_000 {
            router.sub(session, &shape.replace("{}", &format!("sensor-{session:08}")), qos(1), 1);
        }
        let each = router.subscriptions_memory_bytes() / router.subscriptions_len();
        assert!(each <= 400, "{shape}: {each} bytes a subscription");
    }
}

#[test]
fn routing_again_needs_no_more_room() {
    let mut router = router();
    (0..500).for_each(|session| assert!(!router.sub(session, "a/+", qos(1), session + 1)));
    router.sub(1, "$share/g/a/b", qos(0), None);
    let mut targets = Vec::with_capacity(501);
    let room = (targets.as_ptr(), targets.capacity());
    for _ in 0..10 {
        router.route(None, "a/b", &mut targets);
        assert_eq!((targets.len(), (targets.as_ptr(), targets.capacity())), (501, room));
    }
}

#[derive(Debug, Clone)]
enum Step {
    Subscribe { session: u32, filter: String, options: SubscribeOptions, id: Option<u32> },
    Unsubscribe { session: u32, filter: String },
    Retain { topic: String, empty: bool, expiry: Option<u32>, publisher: Option<u32> },
    Wait { seconds: u32 },
    EndSession { session: u32 },
}

fn filter() -> impl Strategy<Value = String> {
    "(\\$share/[gh]/)?(([ab]|\\+)/){0,2}([ab]|\\+|#)"
}

fn options() -> impl Strategy<Value = SubscribeOptions> {
    (0..3_u8, any::<bool>(), any::<bool>(), 0..3_u8).prop_map(
        |(qos, no_local, retain_as_published, handling)| {
            let handlings =
                [RetainHandling::SendAtSubscribe, RetainHandling::SendIfNew, RetainHandling::DoNotSend];
            let retain_handling = handlings[usize::from(handling)];
            SubscribeOptions {
                qos: QoS::from_bits(qos).unwrap(),
                no_local,
                retain_as_published,
                retain_handling,
            }
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    let (session, id) = (0..4_u32, prop::option::of(1..9_u32));
    let publisher = prop::option::of(session.clone());
    prop_oneof![
        6 => (session.clone(), filter(), options(), id)
            .prop_map(|(session, filter, options, id)| Step::Subscribe { session, filter, options, id }),
        3 => (session.clone(), filter()).prop_map(|(session, filter)| Step::Unsubscribe { session, filter }),
        3 => ("[ab]?(/[ab]){0,2}|\\$a", prop::bool::weighted(0.2), prop::option::of(0..9_u32), publisher)
            .prop_filter("no empty topic", |(topic, ..)| !topic.is_empty())
            .prop_map(|(topic, empty, expiry, publisher)| Step::Retain { topic, empty, expiry, publisher }),
        1 => (0..4_u32).prop_map(|seconds| Step::Wait { seconds }),
        1 => session.prop_map(|session| Step::EndSession { session }),
    ]
}

type Key = (String, u32);

/// The router as lists.
#[derive(Default)]
struct Model {
    subscriptions: BTreeMap<Key, (SubscribeOptions, Option<u32>)>,
    retained: BTreeMap<String, (Option<Instant>, Option<u32>)>,
}

impl Model {
    /// What each session gets, and the members of each Shared Subscription.
    fn route(&self, publisher: Option<u32>, topic: &str) -> (BTreeMap<u32, Grant>, BTreeSet<BTreeSet<Key>>) {
        let (mut plain, mut groups) =
            (BTreeMap::<u32, Grant>::new(), BTreeMap::<String, BTreeSet<Key>>::new());
        for ((filter, session), (options, id)) in &self.subscriptions {
            let parsed = TopicFilter::new(filter).unwrap();
            if !matches(parsed.filter_without_share(), topic) {
                continue;
            }
            if parsed.share().is_some() {
                groups.entry(filter.clone()).or_default().insert((filter.clone(), *session));
            } else if !(options.no_local && publisher == Some(*session)) {
                let grant = plain.entry(*session).or_default();
                grant.qos = grant.qos.max(options.qos);
                grant.retain_as_published |= options.retain_as_published;
                grant.subscription_ids.extend(*id);
            }
        }
        for grant in plain.values_mut() {
            grant.subscription_ids = sorted(&grant.subscription_ids);
        }
        (plain, groups.into_values().collect())
    }

    fn snapshot(&self, now: Instant, key: &Key, options: SubscribeOptions) -> Vec<String> {
        let existed = self.subscriptions.contains_key(key);
        let wanted = match options.retain_handling {
            RetainHandling::SendAtSubscribe => true,
            RetainHandling::SendIfNew => !existed,
            RetainHandling::DoNotSend => false,
        };
        let is_for = |(topic, (expires_at, publisher)): &(&String, &(Option<Instant>, Option<u32>))| {
            wanted
                && matches(&key.0, topic)
                && !expires_at.is_some_and(|at| at <= now)
                && !(options.no_local && *publisher == Some(key.1))
        };
        self.retained.iter().filter(is_for).map(|(topic, _)| topic.clone()).collect()
    }
}

fn sorted(ids: &SubscriptionIds) -> SubscriptionIds {
    let mut ids = ids.as_slice().to_vec();
    ids.sort_unstable();
    ids.into_iter().collect()
}

fn client_id(session: u32) -> Text {
    Text::new(session.to_string()).unwrap()
}

/// Does the step to both, and compares what can be seen at once.
fn apply(step: Step, now: &mut Instant, router: &mut Router<u32>, model: &mut Model) {
    match step {
        Step::Subscribe { session, filter, options, id } => {
            let key = (filter, session);
            let parsed = TopicFilter::new(&key.0).unwrap();
            let new = NewSubscription { session, filter: &parsed, options, subscription_id: id };
            let mut snapshot = Vec::new();
            let done =
                router.subscribe_with_retained(*now, &client_id(session), &new, &mut snapshot).unwrap();
            assert_eq!(done.existed, model.subscriptions.contains_key(&key));
            let mut topics: Vec<_> = snapshot.iter().map(|it| it.message.topic.to_string()).collect();
            topics.sort_unstable();
            let expected =
                if parsed.share().is_some() { Vec::new() } else { model.snapshot(*now, &key, options) };
            assert_eq!(topics, expected);
            model.subscriptions.insert(key, (options, id));
        }
        Step::Unsubscribe { session, filter } => {
            assert_eq!(
                router.unsub(session, &filter),
                model.subscriptions.remove(&(filter, session)).is_some()
            );
        }
        Step::Retain { topic, empty, expiry, publisher } => {
            let message = Message { expiry, ..message(&topic, if empty { "" } else { "x" }) };
            router.retain(*now, publisher.map(client_id).as_ref(), &message).unwrap();
            model.retained.remove(&topic);
            if !empty {
                model.retained.insert(topic, (expiry.map(|seconds| now.plus_seconds(seconds)), publisher));
            }
        }
        Step::Wait { seconds } => {
            *now = now.plus_seconds(seconds);
            router.expire_retained(*now, |_| {});
            model.retained.retain(|_, (expires_at, _)| expires_at.is_none_or(|at| at > *now));
        }
        Step::EndSession { session } => {
            let of_it = |(_, owner): &&Key| *owner == session;
            let filters: Vec<_> =
                model.subscriptions.keys().filter(of_it).map(|(filter, _)| filter.clone()).collect();
            let filters: Vec<_> = filters.iter().map(|filter| TopicFilter::new(filter).unwrap()).collect();
            router.remove_session(session, &filters);
            model.subscriptions.retain(|(_, owner), _| *owner != session);
        }
    }
}

/// Routes to both, and compares targets, terms and members.
fn compare(router: &Router<u32>, model: &Model, publisher: Option<u32>, topic: &str) {
    let (mut plain, mut groups) = (BTreeMap::new(), Vec::new());
    for target in router.targets(publisher, topic) {
        match target {
            Target::Session { session, mut grant } => {
                grant.subscription_ids = sorted(&grant.subscription_ids);
                assert!(plain.insert(session, grant).is_none(), "{session} is twice a target");
            }
            Target::Shared(shared) => groups.push(shared),
        }
    }
    let (expected, expected_groups) = model.route(publisher, topic);
    assert_eq!(plain, expected, "for {topic}");
    assert_eq!(groups.len(), expected_groups.len(), "for {topic}");
    for group in groups {
        let sessions: BTreeSet<_> = group.in_turn().map(|member| member.session).collect();
        assert_eq!(sessions.len(), group.in_turn().count(), "each member once");
        let is_it = |members: &BTreeSet<Key>| {
            let of_members: BTreeSet<_> = members.iter().map(|(_, session)| *session).collect();
            let terms = |key: &Key| {
                let (options, id) = &model.subscriptions[key];
                let member = group.in_turn().find(|member| member.session == key.1).unwrap();
                member.grant.qos == options.qos && member.grant.subscription_ids == SubscriptionIds::from(*id)
            };
            of_members == sessions && members.iter().all(terms)
        };
        assert!(expected_groups.iter().any(is_it), "for {topic}: {sessions:?} of {expected_groups:?}");
    }
}

proptest! {
    #[test]
    fn a_router_does_what_lists_of_filters_and_messages_do(
        steps in prop::collection::vec(step(), 0..80),
        topics in prop::collection::vec(("[ab]?(/[ab]){0,2}|\\$a", prop::option::of(0..4_u32)), 6),
    ) {
        let (mut now, mut router, mut model) = (NOW, router(), Model::default());
        for step in steps {
            apply(step, &mut now, &mut router, &mut model);
            prop_assert_eq!(router.subscriptions_len(), model.subscriptions.len());
            prop_assert_eq!(router.retained_len(), model.retained.len());
            prop_assert_eq!(router.next_expiry(), model.retained.values().filter_map(|(at, _)| *at).min());
        }
        for (topic, publisher) in topics.iter().filter(|(topic, _)| !topic.is_empty()) {
            compare(&router, &model, *publisher, topic);
        }
        for ((filter, session), _) in core::mem::take(&mut model.subscriptions) {
            router.unsub(session, &filter);
        }
        prop_assert_eq!(router.subscriptions_len(), 0);
        prop_assert_eq!((router.subscriptions.nodes(), router.groups.len()), (0, 0));
    }
}
