//! A connection before it has a session: CONNECT, and who may.

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::pin;
use std::task::{Context, Poll};

use bytes::BytesMut;
use karere_core::broker::{Handshake, HandshakeEvent};
use karere_core::codec::{Auth, Connect, Properties, ReasonCode};
use karere_core::connection::Outbox;
use karere_core::{Instant, Text};
use karere_store::Refused;

use super::link::{Link, Signals};
use super::transport::Reader;
use crate::bench::READ_BYTES_MAX;
use crate::broker::Shared;
use crate::commit;
use crate::counters::add;
use crate::hooks::{ClientInfo, ConnectRequest, Hooks, Verdict};
use crate::slot::{Admission, Arrival, Cell, Effects, Line, Ticket};
use crate::store::Waiter;
use crate::sync::Arc;
use crate::timer::Whose;
use crate::work::Task;
use crate::write::{Written, write_now};

/// A connection that has a session.
pub(super) struct Greeted {
    pub(super) cell: Arc<Cell>,
    /// For hooks; only where there are any.
    pub(super) info: Option<Arc<ClientInfo>>,
    /// What came behind CONNECT.
    pub(super) input: BytesMut,
    /// It is version 5.
    pub(super) tells: bool,
    /// What other connections of its client have left to be done comes first.
    pub(super) behind: Option<Ticket>,
}

/// Hears who comes and whether it may. `None`: it is not to be; its last bytes are with the link.
pub(super) async fn greet<R: Reader>(
    broker: Arc<Shared>,
    link: Arc<Link>,
    mut reader: R,
    remote: Option<SocketAddr>,
) -> (R, Option<Greeted>) {
    let greeted = hear_and_attach(&broker, &link, &mut reader, remote).await;
    (reader, greeted)
}

async fn hear_and_attach<R: Reader>(
    broker: &Arc<Shared>,
    link: &Arc<Link>,
    reader: &mut R,
    remote: Option<SocketAddr>,
) -> Option<Greeted> {
    let handshake = Handshake::new(broker.clock.now(), broker.options.clone());
    let input = BytesMut::new();
    let mut greeting = Greeting { broker, link, reader, remote, handshake, input, guest: None, armed: false };
    match greeting.hear().await {
        Some(connack) => {
            let greeted = greeting.attach(&connack);
            if greeted.is_none() {
                // It cannot take even the shortest CONNACK, so that there is nothing to say.
                add(&broker.count.connects_refused, 1);
                link.part(Outbox::default(), false, None);
            }
            greeted
        }
        None => {
            add(&broker.count.connects_refused, u64::from(greeting.guest.is_some()));
            let mut goodbye = Outbox::default();
            greeting.handshake.poll_transmit().swap(&mut goodbye);
            link.part(goodbye, false, None);
            None
        }
    }
}

struct Greeting<'a, R> {
    broker: &'a Arc<Shared>,
    link: &'a Arc<Link>,
    reader: &'a mut R,
    remote: Option<SocketAddr>,
    handshake: Handshake,
    input: BytesMut,
    guest: Option<Guest>,
    /// The timer has the deadline: not before there is something to wait for, which mostly there is not.
    armed: bool,
}

/// Who has said CONNECT.
struct Guest {
    connect: Box<Connect>,
    client_id: Text,
}

impl<R: Reader> Greeting<'_, R> {
    /// Until the client may connect; with what CONNACK says beside what the options make it say.
    async fn hear(&mut self) -> Option<Properties> {
        loop {
            let verdict = match poll_fn(|cx| self.poll_event(cx)).await? {
                HandshakeEvent::Connect(connect) => self.judge(connect).await?,
                HandshakeEvent::Auth(auth) => self.judge_again(&auth).await?,
            };
            if matches!(verdict, Verdict::Accept | Verdict::AcceptWith(_))
                && let Some(reason) = self.refused_by_disk()
            {
                self.handshake.reject(reason, &Properties::EMPTY);
                return None;
            }
            match verdict {
                Verdict::Accept => return Some(Properties::EMPTY),
                Verdict::AcceptWith(connack) => return Some(connack),
                Verdict::Challenge(auth) => {
                    if !self.handshake.request_auth(self.broker.clock.now(), &auth) {
                        self.handshake.reject(ReasonCode::BadAuthenticationMethod, &Properties::EMPTY);
                        return None;
                    }
                }
                Verdict::Reject(reason) => {
                    self.handshake.reject(reason, &Properties::EMPTY);
                    return None;
                }
            }
        }
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<HandshakeEvent>> {
        loop {
            if self.is_over(self.link.poll_signals(cx)) {
                return Poll::Ready(None);
            }
            if write_now(self.broker, self.link, self.handshake.poll_transmit()).1 == Written::Blocked {
                let _ = self.link.writer.poll_writable(cx);
            }
            let before = self.input.len();
            let Poll::Ready(read) = self.poll_read(cx) else {
                if !self.armed {
                    self.arm();
                }
                return Poll::Pending;
            };
            let count = read.unwrap_or(0);
            add(&self.broker.count.bytes_received, (self.input.len() - before) as u64);
            if count == 0 {
                return Poll::Ready(None);
            }
            match self.handshake.handle_input(self.broker.clock.now(), &mut self.input) {
                Ok(None) => {}
                Ok(event) => return Poll::Ready(event),
                Err(_) => return Poll::Ready(None),
            }
        }
    }

    /// Reads by way of the bench: what waits for its CONNECT has no more of a buffer than what has come.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<std::io::Result<usize>> {
        crate::bench::with(|bench| {
            bench.input.clear();
            bench.input.reserve(READ_BYTES_MAX);
            let result = self.reader.poll_read(cx, &mut bench.input);
            self.input.extend_from_slice(&bench.input);
            result
        })
    }

    fn is_over(&mut self, signals: Signals) -> bool {
        if signals.has(Signals::CUT) || signals.has(Signals::SHUTDOWN) {
            return true;
        }
        if !signals.has(Signals::TIMEOUT) {
            return false;
        }
        let late = self.handshake.handle_timeout(self.broker.clock.now()).is_err();
        if !late {
            self.arm();
        }
        late
    }

    fn arm(&mut self) {
        self.armed = true;
        let deadline = self.handshake.poll_timeout();
        deadline.into_iter().for_each(|at| self.broker.timer.arm(at, Whose::Link(Arc::downgrade(self.link))));
    }

    async fn judge(&mut self, connect: Box<Connect>) -> Option<Verdict> {
        let assigned = connect.client_id.is_empty().then(|| self.broker.assign_client_id());
        let client_id = assigned.unwrap_or_else(|| connect.client_id.compact());
        let unheard = connect.properties.authentication_method().is_some();
        self.guest = Some(Guest { connect, client_id });
        let guest = self.guest.as_ref()?;
        let hooks = &self.broker.hooks;
        if !hooks.any() {
            // Nobody here understands an Authentication Method [MQTT-4.12.0-1].
            let refused = Verdict::Reject(ReasonCode::BadAuthenticationMethod);
            return Some(if unheard { refused } else { Verdict::Accept });
        }
        let verdict = async {
            match &hooks.authenticate {
                Some(hook) => hook.connect(guest.request(self.remote)).await,
                None if unheard => Verdict::Reject(ReasonCode::BadAuthenticationMethod),
                None => Verdict::Accept,
            }
        };
        let deadline = self.handshake.poll_timeout();
        let verdict = ask(self.broker, self.link, deadline, verdict).await?;
        let (Some(authorize), Some(will)) = (&hooks.authorize, &guest.connect.will) else {
            return Some(verdict);
        };
        if matches!(verdict, Verdict::Reject(_)) {
            return Some(verdict);
        }
        let client = guest.info(self.remote);
        let allowed = authorize.publish(&client, &will.message);
        let allowed = ask(self.broker, self.link, deadline, allowed).await?;
        Some(allowed.map_or_else(Verdict::Reject, |()| verdict))
    }

    async fn judge_again(&mut self, auth: &Auth) -> Option<Verdict> {
        let client = self.guest.as_ref()?.info(self.remote);
        let verdict = self.broker.hooks.authenticate.as_ref()?.auth(&client, auth);
        ask(self.broker, self.link, self.handshake.poll_timeout(), verdict).await
    }

    /// Why a session that is to be stored cannot be. One that is there already needs no more than a change, which a full
    /// disk has room for.
    fn refused_by_disk(&self) -> Option<ReasonCode> {
        let durable = self.broker.commit.durable()?;
        let (refused, reason) = durable.refuses()?;
        let Guest { connect, client_id } = self.guest.as_ref()?;
        let there = self.broker.registry.get(client_id).is_some_and(|cell| commit::is_stored(&cell.lock()));
        let lasts = match connect.version.is_v5() {
            true => connect.properties.session_expiry_interval().is_some_and(|seconds| seconds > 0),
            false => !connect.clean_start,
        };
        let resumes = there && !connect.clean_start;
        let refuses = match refused {
            Refused::Failing => lasts || there,
            Refused::Full => lasts && !resumes,
        };
        if !refuses {
            return None;
        }
        add(&durable.count.refused, 1);
        Some(if refused == Refused::Failing { ReasonCode::ServerUnavailable } else { reason })
    }

    /// Takes the session of the client's name, or makes one.
    fn attach(self, connack: &Properties) -> Option<Greeted> {
        let Self { broker, link, handshake, input, guest, remote, .. } = self;
        let guest = guest?;
        let now = broker.clock.now();
        let assigned = guest.connect.client_id.is_empty().then(|| guest.client_id.clone());
        let accepted = handshake.accept(now, assigned, connack, broker.draw())?;
        let make = || broker.seat(&guest.client_id);
        let mut deleted = false;
        let apply = |cell: &Arc<Cell>, effects: Effects| {
            deleted |= effects.ending.as_ref().is_some_and(|ended| ended.session.is_some());
            broker.apply(cell, effects);
        };
        let username = broker.commit.durable().and(guest.connect.username.as_ref()).map(Text::compact);
        let accepted = Admission { accepted, username };
        let arrival =
            Arrival { id: &guest.client_id, now, accepted, clean: guest.connect.clean_start, line: link };
        let cell = broker.registry.open(arrival, make, apply);
        wait_for_disk(broker, link, &cell, deleted);
        broker.count.connected();
        add(&broker.count.messages_received, 1); // CONNECT and CONNACK
        add(&broker.count.messages_sent, 1);
        let info = broker.hooks.any().then(|| Arc::new(guest.info(remote)));
        let tells = guest.connect.version.is_v5();
        broker.arm(&cell, &mut cell.lock());
        // What is empty takes no memory along.
        let input = if input.is_empty() { BytesMut::new() } else { input };
        let behind = broker.registry.late().behind(&guest.client_id);
        Some(Greeted { cell, info, input, tells, behind })
    }
}

/// CONNACK leaves when the session that was made, resumed or deleted is so on the disk.
fn wait_for_disk(broker: &Arc<Shared>, link: &Arc<Link>, cell: &Arc<Cell>, deleted: bool) {
    let Some(durable) = broker.commit.durable() else { return };
    let Some(mut state) = cell.lock_for(link) else { return };
    broker.tell_later(cell, &mut state);
    if durable.waits() && (deleted || commit::is_stored(&state)) {
        state.place.set_quiet(true);
        durable.wait(broker.clock.now(), Waiter::Connected { cell: cell.clone(), link: link.clone() });
    }
}

/// A hook's answer; `None` when the client's time is over before it comes, or the broker's.
async fn ask<T>(
    broker: &Shared,
    link: &Arc<Link>,
    deadline: Option<Instant>,
    question: impl Future<Output = T>,
) -> Option<T> {
    deadline.into_iter().for_each(|at| broker.timer.arm(at, Whose::Link(Arc::downgrade(link))));
    let mut question = pin!(question);
    poll_fn(|cx| {
        let signals = link.poll_signals(cx);
        let late = deadline.is_some_and(|at| at <= broker.clock.now());
        if signals.has(Signals::CUT) || signals.has(Signals::SHUTDOWN) || late {
            return Poll::Ready(None);
        }
        question.as_mut().poll(cx).map(Some)
    })
    .await
}

impl Guest {
    fn request(&self, remote: Option<SocketAddr>) -> ConnectRequest<'_> {
        ConnectRequest { connect: &self.connect, client_id: &self.client_id, remote }
    }

    fn info(&self, remote: Option<SocketAddr>) -> ClientInfo {
        let Connect { username, version, .. } = &*self.connect;
        let username = username.as_ref().map(Text::compact);
        ClientInfo { client_id: self.client_id.clone(), username, version: *version, remote }
    }
}

/// A client authenticates again (section 4.12.1): the AUTH that answers it.
pub(super) async fn ask_again(hooks: Hooks, client: Option<Arc<ClientInfo>>, auth: Auth) -> Vec<Task> {
    let verdict = match (&hooks.authenticate, &client) {
        (Some(hook), Some(client)) => hook.auth(client, &auth).await,
        _ => Verdict::Reject(ReasonCode::BadAuthenticationMethod),
    };
    let success = |properties| Auth { reason: ReasonCode::Success, properties };
    vec![Task::Authenticated(match verdict {
        Verdict::Accept => success(Properties::EMPTY),
        Verdict::AcceptWith(properties) => success(properties),
        Verdict::Challenge(auth) => Auth { reason: ReasonCode::ContinueAuthentication, ..auth },
        Verdict::Reject(reason) => Auth { reason, properties: Properties::EMPTY },
    })]
}
