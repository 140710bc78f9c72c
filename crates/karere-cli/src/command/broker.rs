//! `karere broker`

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use karere_broker::{Address, Broker, BrokerHandle, Builder};

use super::data;
use super::hooks::Rules;
use super::listen::{self, Beside, Listen};
use super::secured::Secured;
use crate::args::BrokerArgs;
use crate::exit::{Failure, Outcome};
use crate::mosquitto_conf::{self, Configuration};
use crate::output;
use crate::signal::{Reload, Stop};

/// How often it is looked whether the disk works.
const LOOK: Duration = Duration::from_secs(1);

pub(crate) fn broker(args: &BrokerArgs) -> Outcome {
    let configuration = configuration(args)?;
    let secured = Secured::load(&args.tls)?;
    super::run(None, run(args, configuration, secured.as_ref()))
}

/// What the file says, if there is one, and over it what the flags say.
fn configuration(args: &BrokerArgs) -> Result<Configuration, Failure> {
    let mut configuration = match &args.mosquitto_conf {
        Some(file) => mosquitto_conf::read(file).map_err(Failure::usage)?,
        None => Configuration::default(),
    };
    if !args.listen.is_empty() {
        configuration.listen = Listen::Named(args.listen.clone());
    }
    let had_listener = matches!(configuration.listen, Listen::At(_));
    configuration.listen = configuration.listen.moved(args.bind, args.port)?;
    if args.allow_anonymous {
        configuration.allow_anonymous = Some(true);
    } else if !had_listener && configuration.listen.is_local() {
        if configuration.allow_anonymous == Some(false) {
            configuration.notices.push(ANONYMOUS_HERE.into());
        }
        configuration.allow_anonymous = Some(true);
    }
    if configuration.allow_anonymous != Some(true) {
        refuse_the_world(args)?;
        configuration.notices.push(NOBODY_GETS_IN.into());
    }
    Ok(configuration)
}

const ANONYMOUS_HERE: &str = "allow_anonymous false means nothing without a listener, also to mosquitto: programs on \
                              this machine are let in";
const NOBODY_GETS_IN: &str = "there is a listener and no `allow_anonymous true`: as with mosquitto, clients without a \
                              user name are refused. There are no user names and passwords yet, so nobody gets in. To \
                              let everyone in who can reach it: --allow-anonymous";

/// Who asks for a listener with a flag, and not with a file, does not ask for one that refuses everybody.
fn refuse_the_world(args: &BrokerArgs) -> Result<(), Failure> {
    if !args.listen.is_empty() {
        return Err(Failure::usage(
            "what --listen names is reached from other machines, and there are no user names and passwords yet. \
             To let everyone in: --allow-anonymous",
        ));
    }
    match (args.bind, &args.mosquitto_conf) {
        (Some(address), None) => Err(Failure::usage(format!(
            "--bind {address} is reached from other machines, and there are no user names and passwords yet. \
             To let everyone in:\n  karere broker --bind {address}{} --allow-anonymous",
            args.port.map(port_option).unwrap_or_default()
        ))),
        _ => Ok(()),
    }
}

async fn run(args: &BrokerArgs, configuration: Configuration, secured: Option<&Secured>) -> Outcome {
    let mut stop =
        Stop::new().map_err(|error| Failure::error(format!("cannot listen to signals: {error}")))?;
    let mut reload =
        Reload::new().map_err(|error| Failure::error(format!("cannot listen to signals: {error}")))?;
    for notice in &configuration.notices {
        output::complain(format_args!("karere: {notice}"));
    }
    let store = data::options(args, &configuration.persistence)?;
    let builder = builder(args, &configuration);
    let broker = listen::start(
        match &store {
            Some(options) => builder.store(options.clone()),
            None => builder,
        },
        &configuration.listen,
        // Who says where to listen does not ask for more.
        Beside { usual_ports: args.port.is_none() && args.mosquitto_conf.is_none(), secured },
    )
    .await?;
    data::complain_of_found(store.as_ref(), &broker);
    // Whoever started it may have closed its output: that is no reason not to run.
    let _ = output::print(greeting(&broker, &data::greeting(store.as_ref(), &broker)).trim_end());
    let (mut look, mut state) = (tokio::time::interval(LOOK), broker.store_state());
    loop {
        tokio::select! {
            () = stop.requested() => break,
            _ = look.tick(), if store.is_some() => data::complain_of_change(&mut state, &broker),
            () = reload.requested() => secured.into_iter().for_each(Secured::reload),
        }
    }
    let closed = broker.shutdown().await;
    if closed.cut > 0 {
        output::complain(format!("karere: {} clients did not take what waited for them", closed.cut));
    }
    Ok(())
}

fn builder(args: &BrokerArgs, configuration: &Configuration) -> Builder {
    let mut builder =
        Broker::builder().options(configuration.options.clone()).sys_interval(configuration.sys_interval);
    if let Some(count) = configuration.connections_max {
        builder = builder.connections_max(count);
    }
    let rules = Rules {
        narrates: args.verbose,
        refuses: configuration.allow_anonymous != Some(true),
        message_bytes_max: configuration.message_bytes_max,
    };
    // A hook costs something for each message.
    if rules.concern_connects() {
        builder = builder.authenticate(rules);
    }
    if rules.concern_messages() { builder.authorize(rules) } else { builder }
}

fn greeting(broker: &BrokerHandle, data: &str) -> String {
    let mut text = addresses(broker.addresses());
    text.push_str(data);
    let plain = broker.addresses().iter().filter(|address| matches!(address, Address::Tcp { .. }));
    if let Some(first) = plain.filter_map(|address| address.to_string().parse().ok()).next() {
        text.push_str("\nIn another terminal:\n");
        text.push_str(&commands(first, "python/#", "python/mqtt"));
    }
    text.push_str("\nCtrl-C stops the broker.\n");
    text
}

/// The one line an address that scripts look for.
pub(super) fn addresses(all: &[Address]) -> String {
    let mut text = String::new();
    for address in all {
        let _ = writeln!(text, "karere: listening on {address}");
    }
    text
}

/// How to reach `address` from a terminal: ready to copy.
pub(super) fn commands(address: SocketAddr, filter: &str, topic: &str) -> String {
    let karere = program();
    let port = port_option(address.port());
    let (host, python) = if is_localhost(address) {
        (String::new(), String::new())
    } else {
        (format!(" -h {}", address.ip()), format!(", hostname=\"{}\"", address.ip()))
    };
    let python_port =
        if address.port() == 1883 { String::new() } else { format!(", port={}", address.port()) };
    format!(
        "  {karere} sub{host}{port} -t '{filter}' -v\n  \
           {karere} pub{host}{port} -t {topic} -m hello\n  \
           mosquitto_sub{host}{port} -t '{filter}' -v\n\
         or in Python, with paho-mqtt:\n  \
           from paho.mqtt import subscribe\n  \
           print(subscribe.simple(\"{topic}\"{python}{python_port}).payload.decode())\n"
    )
}

/// A listener on every address is reached here as localhost too.
fn is_localhost(address: SocketAddr) -> bool {
    address.ip().is_unspecified() || address.ip() == std::net::Ipv4Addr::LOCALHOST
}

fn port_option(port: u16) -> String {
    if port == 1883 { String::new() } else { format!(" -p {port}") }
}

/// This program as it was called: by its path, where it is not found by its name.
fn program() -> String {
    let called = std::env::args().next().unwrap_or_default();
    if called.contains(std::path::MAIN_SEPARATOR) { called } else { "karere".into() }
}
