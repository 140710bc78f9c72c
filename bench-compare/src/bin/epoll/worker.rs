//! One thread with one epoll.

use std::io::{self, Read};
use std::sync::Arc;

use bytes::BytesMut;
use karere_core::broker::{Handshake, HandshakeEvent, Slot};
use karere_core::codec::Properties;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Registry, Token, Waker};
use parking_lot::Mutex;

use crate::connection::{Connection, State};
use crate::route::Routing;
use crate::{Hub, Shared, Writing};

const WAKE: Token = Token(usize::MAX);
const LISTENER: Token = Token(usize::MAX - 1);
const READ_BYTES_MAX: usize = 64 * 1024;
/// Reads from one connection before others get their turn.
const TURNS_MAX: usize = 4;

/// Where one thread's new connections arrive.
pub(crate) struct Inbox {
    streams: Mutex<Vec<TcpStream>>,
    waker: Waker,
}

impl Inbox {
    pub(crate) fn new(poll: &Poll) -> io::Result<Self> {
        Ok(Self { streams: Mutex::new(Vec::new()), waker: Waker::new(poll.registry(), WAKE)? })
    }
}

pub(crate) struct Worker {
    shared: Arc<Shared>,
    index: usize,
    poll: Poll,
    listener: Option<TcpListener>,
    accepted: usize,
    guests: Vec<Option<Guest>>,
    free: Vec<usize>,
    /// Connections that have had enough turns and more to read.
    unread: Vec<usize>,
    routing: Routing,
    input: Box<[u8]>,
}

/// A connection as its thread has it.
struct Guest {
    stage: Stage,
    /// The beginning of a packet.
    partial: BytesMut,
}

enum Stage {
    Greeting(TcpStream, Box<Handshake>),
    Conversing(Arc<Connection>),
    Over,
}

/// What becomes of a connection after a read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    More,
    Empty,
    Over,
}

impl Worker {
    pub(crate) fn new(shared: Arc<Shared>, index: usize, poll: Poll, listener: Option<TcpListener>) -> Self {
        Self {
            shared,
            index,
            poll,
            listener,
            accepted: 0,
            guests: Vec::new(),
            free: Vec::new(),
            unread: Vec::new(),
            routing: Routing::default(),
            input: vec![0; READ_BYTES_MAX].into(),
        }
    }

    pub(crate) fn run(&mut self) -> io::Result<()> {
        if let Some(listener) = &mut self.listener {
            self.poll.registry().register(listener, LISTENER, Interest::READABLE)?;
        }
        let mut events = Events::with_capacity(1024);
        loop {
            let patience = (!self.unread.is_empty()).then_some(std::time::Duration::ZERO);
            match self.poll.poll(&mut events, patience) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                result => result?,
            }
            for place in std::mem::take(&mut self.unread) {
                self.read(place);
            }
            for event in &events {
                match event.token() {
                    LISTENER => self.accept(),
                    WAKE => self.welcome()?,
                    Token(place) => {
                        if event.is_writable() {
                            self.flush(place);
                        }
                        if event.is_readable() {
                            self.read(place);
                        }
                    }
                }
            }
            self.routing.write(&self.shared);
        }
    }

    fn accept(&mut self) {
        let Some(listener) = &self.listener else { return };
        while let Ok((stream, _)) = listener.accept() {
            let _ = stream.set_nodelay(true);
            let inbox = &self.shared.inboxes[self.accepted % self.shared.inboxes.len()];
            self.accepted += 1;
            inbox.streams.lock().push(stream);
            let _ = inbox.waker.wake();
        }
    }

    fn welcome(&mut self) -> io::Result<()> {
        let streams = std::mem::take(&mut *self.shared.inboxes[self.index].streams.lock());
        for mut stream in streams {
            let place = self.free.pop().unwrap_or_else(|| {
                self.guests.push(None);
                self.guests.len() - 1
            });
            register(self.poll.registry(), &mut stream, place)?;
            let handshake = Handshake::new(self.shared.now(), self.shared.options.clone());
            let stage = Stage::Greeting(stream, Box::new(handshake));
            self.guests[place] = Some(Guest { stage, partial: BytesMut::new() });
        }
        Ok(())
    }

    fn flush(&mut self, place: usize) {
        if let Some(Some(Guest { stage: Stage::Conversing(connection), .. })) = self.guests.get(place) {
            connection.flush(&self.shared, &mut self.routing.pool);
        }
    }

    fn read(&mut self, place: usize) {
        for _ in 0..TURNS_MAX {
            let Some(Some(guest)) = self.guests.get_mut(place) else { return };
            let turn = guest.turn(&self.shared, &mut self.input, &mut self.routing);
            if self.shared.writing == Writing::Turn {
                self.routing.write(&self.shared);
            }
            match turn {
                Turn::More => {}
                Turn::Empty => return,
                Turn::Over => return self.leave(place),
            }
        }
        self.unread.push(place);
    }

    fn leave(&mut self, place: usize) {
        self.routing.write(&self.shared);
        self.free.push(place);
        let Some(Guest { stage: Stage::Conversing(connection), .. }) = self.guests[place].take() else {
            return;
        };
        let filters: Vec<_> = connection.state.lock().slot.filters().cloned().collect();
        let mut hub = self.shared.hub.write();
        hub.router.remove_session(connection.key, &filters);
        hub.connections[connection.key as usize] = None;
        hub.free.push_back(connection.key);
    }
}

fn register(registry: &Registry, stream: &mut TcpStream, place: usize) -> io::Result<()> {
    registry.register(stream, Token(place), Interest::READABLE | Interest::WRITABLE)
}

impl Guest {
    /// Reads once, and does what was read.
    fn turn(&mut self, shared: &Shared, scratch: &mut [u8], routing: &mut Routing) -> Turn {
        let mut stream = match &self.stage {
            Stage::Greeting(stream, _) => stream,
            Stage::Conversing(connection) => &connection.stream,
            Stage::Over => return Turn::Over,
        };
        let count = match stream.read(scratch) {
            Ok(0) => return Turn::Over,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Turn::Empty,
            Err(_) => return Turn::Over,
        };
        let mut input = std::mem::take(&mut routing.input);
        input.clear();
        input.extend_from_slice(&self.partial);
        input.extend_from_slice(&scratch[..count]);
        let stays = self.take(shared, &mut input, routing);
        self.partial = BytesMut::from(&input[..]);
        routing.input = input;
        if !stays {
            return Turn::Over;
        }
        // What did not fill the buffer has emptied the socket; a new edge comes with new bytes.
        if count < scratch.len() { Turn::Empty } else { Turn::More }
    }

    /// False: it is over.
    fn take(&mut self, shared: &Shared, input: &mut BytesMut, routing: &mut Routing) -> bool {
        self.stage = match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Greeting(stream, handshake) => greet(shared, stream, handshake, input),
            conversing => conversing,
        };
        match &self.stage {
            Stage::Greeting(..) => true,
            Stage::Conversing(connection) => routing.take_input(shared, connection, input),
            Stage::Over => false,
        }
    }
}

fn greet(shared: &Shared, stream: TcpStream, mut handshake: Box<Handshake>, input: &mut BytesMut) -> Stage {
    let now = shared.now();
    let connect = match handshake.handle_input(now, input) {
        Ok(None) => return Stage::Greeting(stream, handshake),
        Ok(Some(HandshakeEvent::Connect(connect))) => connect,
        _ => return Stage::Over,
    };
    let Some(accepted) = handshake.accept(now, None, &Properties::EMPTY, 1) else { return Stage::Over };
    let mut slot = Slot::new(connect.client_id.compact(), shared.options.clone(), 1);
    slot.attach(now, accepted);
    Stage::Conversing(shared.hub.write().add(stream, State::new(slot)))
}

impl Hub {
    fn add(&mut self, stream: TcpStream, state: State) -> Arc<Connection> {
        let key = self.free.pop_front().unwrap_or_else(|| {
            self.connections.push(None);
            self.connections.len() as u32 - 1
        });
        let connection = Arc::new(Connection { key, stream, state: Mutex::new(state) });
        self.connections[key as usize] = Some(connection.clone());
        connection
    }
}
