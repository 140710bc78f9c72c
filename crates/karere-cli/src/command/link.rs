//! A client, and what happens to its connection.

use std::io;
use std::time::Duration;

use karere::{Client, ConnAck, ConnectError, Disconnect, Disconnection, Event, Events, ReasonCode, Version};

use crate::args::Connection;
use crate::exit::Failure;
use crate::format::{connack_code, trace_lines};
use crate::output;

/// How long saying goodbye may take.
const GOODBYE: Duration = Duration::from_secs(5);

/// A client, and what happens to its connection: whoever waits for something waits [`during`](Self::during)
/// it, so that events are seen meanwhile.
pub(super) struct Link {
    pub(super) client: Client,
    events: Events,
    address: String,
    version: Version,
    debug: bool,
    quiet: bool,
    when_lost: WhenLost,
    is_connected: bool,
    was_connected: bool,
}

/// What follows when a connection that was up is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WhenLost {
    GiveUp,
    ConnectAgain,
}

impl Link {
    /// Nothing happens before [`start`](Self::start), so that no event and no message is missed.
    pub(super) fn new(connection: &Connection, when_lost: WhenLost) -> Self {
        let options = connection.options.clone();
        let (address, version) = (options.address.to_string(), options.core.version);
        let client = Client::new(options);
        Self {
            events: client.events(),
            client,
            address,
            version,
            debug: connection.debug,
            quiet: connection.quiet,
            when_lost,
            is_connected: false,
            was_connected: false,
        }
    }

    /// # Errors
    /// None, the first time.
    pub(super) fn start(&self) -> Result<(), Failure> {
        self.client.start().map_err(Failure::error)
    }

    /// Waits until the connection is up.
    ///
    /// # Errors
    /// Why it will not be.
    pub(super) async fn connected(&mut self) -> Result<(), Failure> {
        while !self.is_connected {
            self.next().await?;
        }
        Ok(())
    }

    /// Waits for the next event. Cancel safe.
    ///
    /// # Errors
    /// What ends the command.
    pub(super) async fn next(&mut self) -> Result<(), Failure> {
        match self.events.recv().await {
            Some(event) => self.handle(event),
            None => Err(Failure::connection_lost("the client was closed")),
        }
    }

    /// Waits for `work`, with an eye on the events.
    ///
    /// # Errors
    /// What ended the command meanwhile.
    pub(super) async fn during<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Failure> {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                biased;
                event = self.next() => event?,
                done = &mut work => return Ok(done),
            }
        }
    }

    /// Handles the events that are there, without waiting for more.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub(super) async fn catch_up(&mut self) -> Result<(), Failure> {
        self.during(std::future::ready(())).await
    }

    /// Says goodbye behind all that was published.
    pub(super) async fn close(mut self, disconnect: Disconnect) {
        // A broker that does not take it, or a reader of ours that has gone, holds up the end for nobody.
        let _ = tokio::time::timeout(GOODBYE, self.client.disconnect_with(&disconnect)).await;
        while let Ok(Some(event)) = tokio::time::timeout(GOODBYE, self.events.recv()).await {
            if self.handle(event).is_err() {
                break;
            }
        }
    }

    /// What goes wrong while running, and is not the end.
    pub(super) fn warn(&self, what: impl std::fmt::Display) {
        if !self.quiet {
            output::complain(what);
        }
    }

    pub(super) const fn is_debugged(&self) -> bool {
        self.debug
    }

    fn handle(&mut self, event: Event) -> Result<(), Failure> {
        match event {
            Event::Trace(trace) => {
                for line in trace_lines(&self.client.client_id(), self.version, &trace) {
                    output::print(line)?;
                }
                Ok(())
            }
            Event::Connected { .. } => {
                self.is_connected = true;
                self.was_connected = true;
                Ok(())
            }
            Event::ConnectFailed { error, .. } if !self.was_connected => Err(self.no_connection(&error)),
            Event::ConnectFailed { error: ConnectError::Refused(connack), .. } => Err(self.refused(&connack)),
            Event::Disconnected(why) => self.handle_disconnected(&why),
            _ => Ok(()),
        }
    }

    fn handle_disconnected(&mut self, why: &Disconnection) -> Result<(), Failure> {
        self.is_connected = false;
        match why {
            Disconnection::Requested => Ok(()),
            Disconnection::Refused(connack) => Err(self.refused(connack)),
            // Told by `ConnectFailed`.
            _ if !self.was_connected => Ok(()),
            _ if self.when_lost == WhenLost::GiveUp => Err(Failure::connection_lost(text(why))),
            // To come back would be to throw the other one out, for ever in turn.
            _ if why.reason() == ReasonCode::SessionTakenOver => Err(Failure::connection_lost(format!(
                "another client has connected with the id {}",
                self.client.client_id()
            ))),
            _ => {
                self.warn(format!("Connection to {} lost ({}), connecting again", self.address, text(why)));
                Ok(())
            }
        }
    }

    fn no_connection(&self, error: &ConnectError) -> Failure {
        match error {
            ConnectError::Refused(connack) => self.refused(connack),
            ConnectError::Lost(Disconnection::Refused(connack)) => self.refused(connack),
            ConnectError::Network(error) if error.source.kind() == io::ErrorKind::ConnectionRefused => {
                Failure::error(format!(
                    "Connection refused\nNothing listens on {}. Start a broker with `karere broker`, or name another one with -h and -p",
                    self.address
                ))
            }
            error => Failure::error(error),
        }
    }

    fn refused(&self, connack: &ConnAck) -> Failure {
        let remedy = match connack.reason {
            ReasonCode::NotAuthorized | ReasonCode::BadUserNameOrPassword => {
                "\n-u and -P give a user name and a password"
            }
            ReasonCode::UnsupportedProtocolVersion => "\nTry another version: -V 311, or -V 5",
            _ => "",
        };
        let text = connack.properties.reason_string().map(|text| format!(": {text}")).unwrap_or_default();
        let code = connack_code(connack.reason, self.version);
        Failure::refused(code, format!("{}{text}{remedy}", connack.reason.name()))
    }
}

fn text(why: &Disconnection) -> String {
    match why {
        Disconnection::Lost(error) => error.to_string(),
        why => why.to_string(),
    }
}
