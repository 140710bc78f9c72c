//! What is written is what is read, and what is left behind goes.

use bytes::Bytes;
use karere_core::broker::{Ending, Grant, StoredEntry};
use karere_core::codec::{
    Message, PacketId, Properties, Property, QoS, RetainHandling, SubscribeOptions, SubscriptionIds, Will,
};
use karere_core::store::Record;
use karere_core::topic::{TopicFilter, TopicName};
use karere_core::{Instant, Text};
use karere_store::{Batch, Key, Log, Options, Simulated};

use super::*;

const NOW: Instant = Instant::from_millis(5000);
/// Some day in 2026, in milliseconds.
const WALL: u64 = 1_790_000_000_000;

fn text(text: &str) -> Text {
    Text::new(text).unwrap()
}

fn message(payload: &str) -> Message {
    Message {
        topic: TopicName::new("a/b").unwrap(),
        payload: Bytes::copy_from_slice(payload.as_bytes()),
        qos: QoS::ExactlyOnce,
        retain: true,
        expiry: Some(60),
        properties: Properties::from_properties([Property::UserProperty("k", "v")]).unwrap(),
    }
}

fn row(client_id: &str) -> SessionRow {
    SessionRow {
        client_id: text(client_id),
        username: Some(text("anna")),
        session_expiry: 3600,
        disconnected_at: Some(NOW),
        next_sequence: 17,
        unsent_from: Some(4),
    }
}

fn terms() -> Terms {
    let subscription_ids = SubscriptionIds::from_iter([3, 268_435_455]);
    Terms { qos: QoS::AtLeastOnce, retain: true, subscription_ids, share: 0 }
}

fn recovered(batch: &Batch) -> Recovered {
    let mut log = Log::open(Simulated::new(), Options::default()).unwrap().0;
    log.append(batch).unwrap();
    Recovered::read(&log, WALL).unwrap()
}

/// How many rows a log has after this.
fn rows(batch: &Batch) -> usize {
    let mut log = Log::open(Simulated::new(), Options::default()).unwrap().0;
    log.append(batch).unwrap();
    log.len()
}

/// A value as it stands in a batch of one.
fn value(write: impl FnOnce(&mut Batch)) -> Vec<u8> {
    let mut batch = Batch::new();
    write(&mut batch);
    let mut log = Log::open(Simulated::new(), Options::default()).unwrap().0;
    log.append(&batch).unwrap();
    log.get(log.keys(|_| true)[0]).unwrap().unwrap()
}

#[test]
fn rows_are_read_as_they_were_written_and_not_when_they_are_cut_short() {
    let message = message("payload");
    let publisher = text("publisher");
    let as_ref = MessageRef { message: &message, expires_at: Some(NOW), publisher: Some(&publisher) };
    let whole =
        MessageRow { message: message.clone(), expires_at: Some(NOW), publisher: Some(publisher.clone()) };
    let will = Will { message: message.clone(), delay: 9 };
    let subscription = SubscriptionRow {
        filter: TopicFilter::new("$share/g/a/#").unwrap(),
        options: SubscribeOptions {
            qos: QoS::ExactlyOnce,
            no_local: true,
            retain_as_published: true,
            retain_handling: RetainHandling::DoNotSend,
        },
        subscription_id: Some(7),
    };
    let inline = value(|batch| as_ref.put_queued(batch, 1, 2, &terms()));
    let reference = value(|batch| terms().put_reference(batch, 1, 2, 99));
    assert_eq!(QueuedRow::decode(&inline), Some(QueuedRow::Inline(terms(), whole.clone())));
    assert_eq!(QueuedRow::decode(&reference), Some(QueuedRow::Reference(terms(), 99)));
    assert_eq!(MessageRow::decode(&value(|batch| as_ref.put(batch, 1))), Some(whole));
    let session = value(|batch| row("c").put(batch, 1));
    assert_eq!(SessionRow::decode(&session), Some(row("c")));
    let kept = value(|batch| WillRow::put(&will, &publisher, batch, 1, 1));
    assert_eq!(WillRow::decode(&kept), Some(WillRow { will, client_id: publisher }));
    let subscribed = value(|batch| subscription.put(batch, 1, 1));
    assert_eq!(SubscriptionRow::decode(&subscribed), Some(subscription));
    for len in 0..inline.len() {
        assert_eq!(QueuedRow::decode(&inline[..len]), None, "{len} bytes of it");
    }
    for len in 0..session.len() {
        assert_eq!(SessionRow::decode(&session[..len]), None, "{len} bytes of it");
    }
    let mut newer = session;
    newer[0] += 1;
    assert_eq!(SessionRow::decode(&newer), None, "another version");
}

#[test]
fn a_message_of_several_sessions_goes_with_the_last_of_them() {
    let ledger = Ledger::default();
    let (one, two) = (ledger.session(), ledger.session());
    let message = message("x");
    let as_ref = MessageRef { message: &message, expires_at: None, publisher: None };
    let mut batch = Batch::new();
    let tag = ledger.message(&mut batch, &as_ref);
    one.keep(&ledger, &mut batch, 0, &terms(), (tag, &as_ref));
    two.keep(&ledger, &mut batch, 0, &terms(), (tag, &as_ref));
    ledger.release(&mut batch, tag);
    assert_eq!((rows(&batch), ledger.messages_len()), (3, 1));
    let (mut one, mut two) = (one, two);
    one.record(&ledger, &mut batch, &Record::Received { sequence: 0, tag, order: 0 });
    assert_eq!((rows(&batch), ledger.messages_len()), (3, 1));
    two.record(&ledger, &mut batch, &Record::Finished { sequence: 0, tag, received: false });
    assert_eq!((rows(&batch), ledger.messages_len()), (1, 0));
    one.record(&ledger, &mut batch, &Record::Finished { sequence: 0, tag: 0, received: true });
    assert_eq!(rows(&batch), 0);
}

#[test]
fn a_session_that_ends_leaves_no_row() {
    let ledger = Ledger::default();
    let mut session = ledger.session();
    let message = message("x");
    let as_ref = MessageRef { message: &message, expires_at: None, publisher: None };
    let mut batch = Batch::new();
    let will = Will { message: message.clone(), delay: 1 };
    session.attach(&mut batch, &row("c"), Some(&will));
    let filter = TopicFilter::new("$share/g/a").unwrap();
    session.subscribe(&mut batch, &filter, SubscribeOptions::default(), None, None);
    let tag = ledger.message(&mut batch, &as_ref);
    session.keep(&ledger, &mut batch, 5, &terms(), (0, &as_ref));
    session.hold(&ledger, &mut batch, 0, terms(), tag);
    session.receive(&mut batch, PacketId::new(9).unwrap());
    ledger.release(&mut batch, tag);
    assert_eq!(rows(&batch), 7);
    let ending = Ending {
        entries: vec![StoredEntry { sequence: 5, tag: 0, received: false }],
        held: vec![(0, tag)],
        unreleased: vec![PacketId::new(9).unwrap()],
        ..Ending::default()
    };
    session.end(&ledger, &mut batch, &ending);
    assert_eq!((rows(&batch), ledger.messages_len()), (0, 0));
}

#[test]
fn numbers_go_on_and_what_belongs_to_nothing_is_named() {
    let ledger = Ledger::continued(5, 8, []);
    let mut session = ledger.session();
    let message = message("x");
    let as_ref = MessageRef { message: &message, expires_at: None, publisher: None };
    let mut batch = Batch::new();
    session.attach(&mut batch, &row("c"), None);
    let tag = ledger.message(&mut batch, &as_ref);
    session.keep(&ledger, &mut batch, 3, &terms(), (tag, &as_ref));
    let unused = ledger.message(&mut batch, &as_ref);
    let stranger = ledger.session();
    stranger.keep(&ledger, &mut batch, 1, &terms(), (0, &as_ref));
    stranger.receive(&mut batch, PacketId::new(1).unwrap());
    ledger.timeline(&mut batch, NOW, WALL - 1000);
    let found = recovered(&batch);
    assert_eq!((found.sessions.len(), found.orphans_len, found.strange), (1, 3, 0));
    assert_eq!((found.ledger.session().number(), found.ledger.messages_len()), (7, 1));
    assert_eq!(found.ledger.message(&mut Batch::new(), &as_ref), unused + 1);
    assert_eq!(found.now, NOW.plus_millis(1000));
    batch.append(&found.orphans);
    let again = recovered(&batch);
    assert_eq!((again.sessions.len(), again.orphans_len), (1, 0));
}

#[test]
fn a_clock_that_is_set_back_or_was_never_set_makes_no_time_pass() {
    let continued = |then: u64| {
        let mut batch = Batch::new();
        Ledger::default().timeline(&mut batch, NOW, then);
        recovered(&batch).now
    };
    assert_eq!(continued(WALL + 1), NOW);
    assert_eq!(continued(1000), NOW);
    let year = 365 * 24 * 3600 * 1000;
    assert_eq!(continued(1_704_067_200_000), NOW.plus_millis(year), "and never more than a year");
}

#[test]
fn a_will_of_a_session_that_is_over_is_to_be_sent_and_so_is_one_that_a_newer_has_replaced() {
    let ledger = Ledger::default();
    let mut batch = Batch::new();
    let will = |payload| Will { message: message(payload), delay: 0 };
    let mut gone = ledger.session();
    gone.attach(&mut batch, &row("gone"), Some(&will("of gone")));
    batch.remove(Key::new(table::SESSION, gone.number(), 0));
    let mut back = ledger.session();
    back.attach(&mut batch, &row("back"), Some(&will("on its way")));
    let key = back.send_will().unwrap();
    back.attach(&mut batch, &row("back"), Some(&will("new")));
    let found = recovered(&batch);
    let payloads: Vec<_> = found.wills.iter().map(|(_, row)| row.will.message.payload.clone()).collect();
    assert_eq!(payloads, ["of gone", "on its way"]);
    assert!(found.wills.iter().any(|(of, _)| *of == key));
    let (_, _, restored) = { found.sessions }.remove(0).restore(NOW, |_| None);
    assert_eq!(restored.will, Some(will("new")));
}

#[test]
fn the_group_that_a_message_comes_from_is_known_by_the_sessions_subscription() {
    let ledger = Ledger::default();
    let mut session = ledger.session();
    let mut batch = Batch::new();
    let mut router = karere_core::broker::Router::new(1, Default::default());
    let filter = TopicFilter::new("$share/g/a").unwrap();
    let new = karere_core::broker::NewSubscription {
        session: 1u32,
        filter: &filter,
        options: SubscribeOptions { qos: QoS::AtLeastOnce, ..Default::default() },
        subscription_id: None,
    };
    router.subscribe(&new).unwrap();
    let share = router.share_key(&filter);
    session.subscribe(&mut batch, &filter, new.options, None, share);
    let grant = Grant { shared: share, ..Grant::default() };
    let terms = session.terms(QoS::AtLeastOnce, false, &grant);
    assert_eq!(terms.share, 1);
    assert_eq!(session.terms(QoS::AtLeastOnce, false, &Grant::default()).share, 0);
    session.unsubscribe(&mut batch, &filter);
    assert_eq!(session.terms(QoS::AtLeastOnce, false, &grant).share, 0);
    assert_eq!(rows(&batch), 0);
}
