//! A broker, something that publishes and something that subscribes.

use std::process::Command;

use super::broker::karere;
use super::peers::system_program;
use super::{Broker, Finished, Kind, Running};

/// The command-line tools: the flags are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    Karere,
    Mosquitto,
}

/// What a scenario gets: it does not know which of the parts are ours.
pub(crate) struct Scene {
    pub(crate) broker: Broker,
    publisher: Tool,
    subscriber: Tool,
    /// Whether the tools are told the broker's port.
    names_port: bool,
}

/// A subscriber whose subscription stands, with `-d`.
pub(crate) struct Subscriber {
    running: Running,
}

impl Tool {
    fn publisher(self) -> Command {
        self.command("pub")
    }

    fn subscriber(self) -> Command {
        self.command("sub")
    }

    fn command(self, verb: &str) -> Command {
        let mut command = match self {
            Tool::Karere => {
                let mut command = karere();
                command.arg(verb);
                command
            }
            // Into a pipe it would print only when its buffer is full.
            Tool::Mosquitto => {
                let mut command = Command::new("stdbuf");
                command.arg("-oL").arg(system_program(&format!("mosquitto_{verb}")));
                command
            }
        };
        // Not the defaults of whoever runs the tests.
        command.env_remove("XDG_CONFIG_HOME").env("HOME", env!("CARGO_TARGET_TMPDIR"));
        command
    }
}

impl Scene {
    pub(crate) fn new(publisher: Tool, broker: Kind, subscriber: Tool) -> Scene {
        Scene { broker: Broker::start(broker), publisher, subscriber, names_port: true }
    }

    pub(crate) fn with(broker: Broker, tool: Tool) -> Scene {
        Scene { broker, publisher: tool, subscriber: tool, names_port: true }
    }

    /// The arguments say where the broker is.
    pub(crate) fn without_port(broker: Broker, tool: Tool) -> Scene {
        Scene { broker, publisher: tool, subscriber: tool, names_port: false }
    }

    /// Publishes, and asserts that it was told of success. Words are separated by one space.
    #[track_caller]
    pub(crate) fn publish(&self, arguments: &str) {
        self.try_publish(arguments).expect(0);
    }

    /// Publishes what comes from stdin.
    #[track_caller]
    pub(crate) fn publish_input(&self, arguments: &str, input: &[u8]) {
        let mut command = self.with_port(self.publisher.publisher(), arguments);
        Running::start_with(&mut command, input.to_vec()).finish().expect(0);
    }

    /// Publishes, however that ends.
    pub(crate) fn try_publish(&self, arguments: &str) -> Finished {
        Running::start(&mut self.with_port(self.publisher.publisher(), arguments)).finish()
    }

    /// Starts a subscriber and waits until it is subscribed.
    pub(crate) fn subscribe(&self, arguments: &str) -> Subscriber {
        let running =
            Running::start(&mut self.with_port(self.subscriber.subscriber(), &format!("-d {arguments}")));
        // The last that is said about it. mosquitto's tool may hang if a signal meets it between this line and the one
        // before: its handler takes a lock that may be held.
        running.wait_for_line("Subscribed (mid: ");
        Subscriber { running }
    }

    /// Runs a subscriber to its end (`-C`, `-E`, `-W`).
    pub(crate) fn receive(&self, arguments: &str) -> Finished {
        self.start_receiving(arguments).finish()
    }

    /// Starts a subscriber and waits for nothing.
    pub(crate) fn start_receiving(&self, arguments: &str) -> Running {
        Running::start(&mut self.with_port(self.subscriber.subscriber(), arguments))
    }

    /// To this scene's broker, unless the arguments start with another port.
    fn with_port(&self, mut command: Command, arguments: &str) -> Command {
        if self.names_port && !arguments.starts_with("-p ") {
            command.args(["-p", &self.broker.port.to_string()]);
        }
        command.args(arguments.split(' '));
        command
    }
}

impl Subscriber {
    /// Waits for `count` messages and returns them as they were printed.
    pub(crate) fn messages(&self, count: usize) -> Vec<String> {
        self.running.wait_until(&format!("{count} messages"), |text| {
            let messages = messages(text);
            (messages.len() >= count).then_some(messages)
        })
    }

    /// Waits for a message that is printed as `last`, and returns those before it.
    pub(crate) fn messages_before(&self, last: &str) -> Vec<String> {
        self.running.wait_until(&format!("the message {last:?}"), |text| {
            let messages = messages(text);
            let end = messages.iter().position(|message| message == last)?;
            Some(messages[..end].to_vec())
        })
    }

    /// Waits until it has ended (`-C`), and returns all it printed.
    #[track_caller]
    pub(crate) fn all_messages(self) -> Vec<String> {
        messages(&self.running.finish().expect(0))
    }

    pub(crate) fn wait_for_line(&self, part: &str) {
        self.running.wait_for_line(part);
    }

    pub(crate) fn signal(&self, name: &str) {
        self.running.signal(name);
    }

    pub(crate) fn kill(self) {
        self.running.kill();
    }

    pub(crate) fn finish(self) -> Finished {
        self.running.finish()
    }
}

/// The whole lines that are not what `-d` says about packets.
fn messages(text: &str) -> Vec<String> {
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let debug = ["Client ", "Subscribed (mid: ", "Received DISCONNECT ("];
    let is_message = |line: &&str| !debug.iter().any(|start| line.starts_with(start));
    whole.lines().filter(is_message).map(str::to_owned).collect()
}
