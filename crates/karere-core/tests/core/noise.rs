//! Peers that send anything: no panic, no rule broken by us, and a good connection afterwards works.

use std::sync::Arc;

use bytes::BytesMut;
use karere_core::Text;
use karere_core::broker::{self, AckToken, Delivered, Handshake, Slot};
use karere_core::client::{self, Client, Credentials, Handover, Outgoing};
use karere_core::codec::{Packet, QoS, ReasonCode, Version};
use karere_core::store::StoreSequence;
use proptest::prelude::*;

use crate::chunking::{NOW, attach, client as busy_client, connack, connect, deliver};
use crate::network::{lasting, take};
use crate::packets::{encode, packet};
use crate::watch::{Watch, whole};

/// What happens to an end.
#[derive(Debug, Clone)]
enum Step {
    Heard(Packet),
    Noise(Vec<u8>),
    /// Its own side publishes, or has something delivered to it.
    Send(u8),
    /// One of what waits for an acknowledgement gets it.
    Acknowledge(usize),
    Stored(usize),
    Reconnect,
}

fn steps(version: Version) -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        20 => packet(version).prop_map(Step::Heard),
        1 => prop::collection::vec(any::<u8>(), 1..20).prop_map(Step::Noise),
        6 => (0..3_u8).prop_map(Step::Send),
        4 => (0..5_usize).prop_map(Step::Acknowledge),
        2 => (0..5_usize).prop_map(Step::Stored),
        2 => Just(Step::Reconnect),
    ];
    prop::collection::vec(step, 1..80)
}

fn any_version() -> impl Strategy<Value = (Version, Vec<Step>)> {
    prop_oneof![Just(Version::V311), Just(Version::V5)]
        .prop_flat_map(|version| (Just(version), steps(version)))
}

/// A client whose server is out of its mind.
struct Tried {
    client: Client,
    watch: Watch,
    version: Version,
    tokens: Vec<AckToken>,
    records: Vec<StoreSequence>,
}

impl Tried {
    fn new(options: client::Options) -> Self {
        let version = options.version;
        let (tokens, records) = (Vec::new(), Vec::new());
        let mut tried =
            Self { client: Client::new(options), watch: Watch::default(), version, tokens, records };
        tried.connect(false);
        tried
    }

    fn connect(&mut self, session_present: bool) {
        self.client.handle_closed(NOW);
        self.watch.open(self.version);
        self.client.handle_open(NOW, Credentials::default());
        let packet = connack(session_present);
        self.hear(&encode(self.version, &[packet]));
    }

    fn hear(&mut self, bytes: &[u8]) {
        if !self.client.is_open() {
            return;
        }
        self.watch.heard(bytes);
        let result = self.client.handle_input(NOW, &mut BytesMut::from(bytes));
        self.after();
        if result.is_err() || !self.client.is_connected() {
            self.client.handle_closed(NOW);
            self.after();
        }
    }

    fn after(&mut self) {
        while let Some(event) = self.client.poll_event() {
            match event {
                client::Event::Message(received) => self.tokens.extend(received.ack),
                client::Event::Record(sequence, _) => self.records.push(sequence),
                _ => {}
            }
        }
        let bytes = take(self.client.poll_transmit());
        self.client.handle_written(NOW, bytes.len());
        self.watch.sent(&bytes);
        assert_eq!(self.client.outbox_bytes(), self.client.poll_transmit().len());
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Heard(packet) => self.hear(&encode(self.version, &[packet])),
            Step::Noise(bytes) => {
                self.hear(&bytes);
                // Half a packet may stay behind: what follows would be read as its end.
                self.connect(true);
            }
            Step::Send(bits) => {
                let outgoing = Outgoing::new("t", b"x").qos(crate::broker::qos(bits));
                let _ = self.client.publish(NOW, outgoing);
            }
            Step::Acknowledge(at) => {
                if let Some(token) = self.tokens.get(at).copied() {
                    self.client.acknowledge(NOW, token, ReasonCode::Success);
                }
            }
            Step::Stored(at) => {
                if let Some(sequence) = self.records.get(at) {
                    self.client.handle_stored(NOW, *sequence);
                }
            }
            Step::Reconnect => self.connect(true),
        }
        self.after();
    }

    /// A server in its right mind: everything that waits comes to its end.
    fn recovers(&mut self) {
        self.client.handle_closed(NOW);
        self.watch.open(self.version);
        self.client.handle_open(NOW, Credentials::default());
        take(self.client.poll_transmit());
        let mut connack = encode(self.version, &[connack(true)]);
        self.watch.heard(&connack);
        self.client.handle_input(NOW, &mut connack).expect("nothing wrong with it");
        let last = self.client.publish(NOW, Outgoing::new("t", b"last").qos(QoS::AtLeastOnce)).unwrap();
        let mut done = false;
        while let Some(event) = self.client.poll_event() {
            self.records.extend(match event {
                client::Event::Record(sequence, _) => Some(sequence),
                _ => None,
            });
        }
        for _ in 0..1000 {
            if let Some(sequence) = self.records.last() {
                self.client.handle_stored(NOW, *sequence);
            }
            let bytes = take(self.client.poll_transmit());
            self.client.handle_written(NOW, bytes.len());
            self.watch.sent(&bytes);
            let answers = answers(self.version, bytes);
            if answers.is_empty() && self.records.is_empty() {
                break;
            }
            self.records.clear();
            self.watch.heard(&answers);
            self.client
                .handle_input(NOW, &mut BytesMut::from(&answers[..]))
                .expect("nothing wrong with these");
            while let Some(event) = self.client.poll_event() {
                match event {
                    client::Event::Published { packet_id, .. } => done |= Some(packet_id) == last,
                    client::Event::Record(sequence, _) => self.records.push(sequence),
                    _ => {}
                }
            }
        }
        assert!(done, "the last message never came to its end");
        assert_eq!((self.client.inflight(), self.client.queued()), (0, 0));
    }
}

/// What a good peer answers to these.
fn answers(version: Version, mut bytes: BytesMut) -> BytesMut {
    let answer = |packet| match packet {
        Packet::Publish(publish) if publish.message.qos == QoS::AtLeastOnce => {
            publish.packet_id.map(|id| Packet::PubAck(karere_core::codec::Ack::success(id)))
        }
        Packet::Publish(publish) => {
            publish.packet_id.map(|id| Packet::PubRec(karere_core::codec::Ack::success(id)))
        }
        Packet::PubRel(ack) => Some(Packet::PubComp(karere_core::codec::Ack::success(ack.packet_id))),
        _ => None,
    };
    let answers: Vec<Packet> = whole(version, &mut bytes).into_iter().filter_map(answer).collect();
    encode(version, &answers)
}

/// A slot whose client is.
struct Bothered {
    slot: Slot,
    options: Arc<broker::Options>,
    watch: Watch,
    version: Version,
    tokens: Vec<AckToken>,
    records: Vec<StoreSequence>,
    /// Messages of a session that is stored.
    kept: Vec<u64>,
}

impl Bothered {
    fn new(version: Version, options: broker::Options) -> Self {
        let options = Arc::new(options);
        let slot = Slot::new(Text::new("c").unwrap(), options.clone(), 1);
        let (tokens, records) = (Vec::new(), Vec::new());
        let (watch, kept) = (Watch::default(), Vec::new());
        let mut bothered = Self { slot, options, watch, version, tokens, records, kept };
        bothered.connect();
        bothered
    }

    fn connect(&mut self) {
        self.slot.handle_closed(NOW);
        self.watch.open(self.version);
        self.watch.heard(&encode(self.version, &[Packet::Connect(connect(self.version).into())]));
        attach(&mut self.slot, &self.options, self.version);
        self.after();
    }

    fn hear(&mut self, bytes: &[u8]) {
        if !self.slot.is_open() {
            self.connect();
        }
        self.watch.heard(bytes);
        let result = self.slot.handle_input(NOW, &mut BytesMut::from(bytes));
        self.after();
        if result.is_err() || !self.slot.is_open() {
            self.connect();
        }
    }

    fn after(&mut self) {
        while let Some(event) = self.slot.poll_event() {
            match event {
                broker::Event::Publish { token, .. } => self.tokens.extend(token),
                broker::Event::Subscribe(subscribe) => {
                    let reasons = vec![ReasonCode::Success; subscribe.subscriptions.len()];
                    let epoch = self.slot.epoch();
                    self.slot.handle_subscribed(
                        NOW,
                        epoch,
                        &subscribe,
                        &reasons,
                        [],
                        &mut Default::default(),
                    );
                }
                broker::Event::Record(sequence, _) => self.records.push(sequence),
                _ => {}
            }
        }
        let bytes = self.slot.poll_transmit().map(take).unwrap_or_default();
        self.slot.handle_written(NOW, bytes.len());
        self.watch.sent(&bytes);
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Heard(packet) => self.hear(&encode(self.version, &[packet])),
            Step::Noise(bytes) => {
                self.hear(&bytes);
                self.connect();
            }
            Step::Send(bits) => self.deliver(b"x", crate::broker::qos(bits)),
            Step::Acknowledge(at) => {
                if let Some(token) = self.tokens.get(at).copied() {
                    self.slot.handle_routed(NOW, token, ReasonCode::Success);
                }
            }
            Step::Stored(at) => {
                if let Some(sequence) = self.records.get(at) {
                    self.slot.handle_stored(NOW, *sequence);
                }
                self.slot.handle_kept_stored(NOW, self.kept.get(at).copied());
            }
            Step::Reconnect => self.connect(),
        }
        self.after();
    }

    fn deliver(&mut self, payload: &'static [u8], qos: QoS) {
        if let Delivered::Kept { sequence, .. } = deliver(&mut self.slot, payload, qos) {
            self.kept.push(sequence);
        }
    }

    fn recovers(&mut self) {
        self.slot.handle_closed(NOW);
        self.watch.open(self.version);
        attach(&mut self.slot, &self.options, self.version);
        self.deliver(b"last", QoS::ExactlyOnce);
        self.slot.handle_kept_stored(NOW, self.kept.drain(..));
        for _ in 0..1000 {
            if let Some(sequence) = self.records.pop() {
                self.slot.handle_stored(NOW, sequence);
                self.records.clear();
            }
            let bytes = self.slot.poll_transmit().map(take).unwrap_or_default();
            self.slot.handle_written(NOW, bytes.len());
            self.watch.sent(&bytes);
            let answers = answers(self.version, bytes);
            self.watch.heard(&answers);
            self.slot.handle_input(NOW, &mut BytesMut::from(&answers[..])).expect("nothing wrong with these");
            while let Some(event) = self.slot.poll_event() {
                if let broker::Event::Record(sequence, _) = event {
                    self.records.push(sequence);
                }
            }
            if answers.is_empty() && self.records.is_empty() {
                break;
            }
        }
        assert_eq!((self.slot.inflight(), self.slot.queued()), (0, 0));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_client_keeps_the_rules_whatever_its_server_sends_and_recovers(
        (version, steps) in any_version(),
        late in any::<bool>(),
        store in any::<bool>(),
        inflight_max in 1..5_u16,
    ) {
        let handover = if late { Handover::OnRelease } else { Handover::OnPublish };
        let options = client::Options { handover, store, inflight_max, ..lasting(version, "c") };
        let mut tried = Tried::new(options);
        steps.into_iter().for_each(|step| tried.step(step));
        prop_assert!(tried.watch.most <= usize::from(inflight_max));
        tried.recovers();
    }

    #[test]
    fn a_slot_keeps_the_rules_whatever_its_client_sends_and_recovers(
        (version, steps) in any_version(),
        store in any::<bool>(),
        inflight_max in 1..5_u16,
    ) {
        let mut bothered = Bothered::new(version, broker::Options { store, inflight_max, ..Default::default() });
        steps.into_iter().for_each(|step| bothered.step(step));
        prop_assert!(bothered.watch.most <= usize::from(inflight_max));
        bothered.recovers();
    }

    #[test]
    fn arbitrary_bytes_never_panic_a_handshake(bytes in prop::collection::vec(any::<u8>(), 0..80), flip in any::<bool>()) {
        let mut input = BytesMut::from(&bytes[..]);
        if flip {
            // A CONNECT with some of its bytes changed comes further.
            input = encode(Version::V5, &[Packet::Connect(connect(Version::V5).into())]);
            for pair in bytes.chunks_exact(2) {
                let at = usize::from(pair[0]) % input.len();
                input[at] ^= pair[1];
            }
        }
        let mut handshake = Handshake::new(NOW, Arc::default());
        while let Ok(Some(_)) = handshake.handle_input(NOW, &mut input) {}
        let _ = handshake.accept(NOW, None, &karere_core::codec::Properties::EMPTY, 1);
    }

    #[test]
    fn a_stream_with_changed_bytes_never_panics_either_end(
        packets in prop::collection::vec(packet(Version::V5), 1..20),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = encode(Version::V5, &packets);
        for (at, change) in changes {
            let at = at.index(bytes.len());
            bytes[at] ^= change;
        }
        let mut client = busy_client(Version::V5);
        client.handle_input(NOW, &mut encode(Version::V5, &[connack(false)])).unwrap();
        let _ = client.handle_input(NOW, &mut bytes.clone());
        let mut bothered = Bothered::new(Version::V5, broker::Options::default());
        bothered.hear(&bytes);
        bothered.connect();
        bothered.recovers();
    }
}
