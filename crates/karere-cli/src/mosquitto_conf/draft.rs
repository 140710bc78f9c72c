//! What a file says, line by line.

use std::fs;
use std::time::Duration;

use karere_core::broker::Options;

use super::catalogue::{Fate, UNIX_SOCKETS, fate};
use super::findings::Findings;
use super::line::{Line, Value, files, lines};
use super::listeners::{Listener, Listeners, Security};
use super::{Configuration, Persistence};
use crate::command::Family;

/// The largest payload that MQTT can carry, in bytes.
const PAYLOAD_MAX: i64 = 268_435_455;

/// What has been read so far; begins with mosquitto's defaults.
#[derive(Debug)]
pub(super) struct Draft {
    findings: Findings,
    listeners: Listeners,
    options: Options,
    sys_interval: Duration,
    message_bytes_max: Option<usize>,
    /// A store on disk is asked for, and where.
    persistence: bool,
    persistence_location: Option<String>,
    per_listener_settings: bool,
    /// What is for all listeners; `None` while nothing is said about it.
    security: Option<Security>,
    /// The options belong to the last `listener` line. An included file begins anew.
    in_listener: bool,
    in_included_file: bool,
}

impl Draft {
    pub(super) fn new() -> Self {
        let options = Options {
            receive_maximum: 20,
            inflight_max: 20,
            maximum_packet_size: u32::MAX,
            keep_alive_max: u16::MAX,
            queue_count_max: 1000,
            queue_bytes_max: usize::MAX,
            ..Options::default()
        };
        Self {
            findings: Findings::default(),
            listeners: Listeners::default(),
            options,
            sys_interval: Duration::from_secs(10),
            message_bytes_max: None,
            persistence: false,
            persistence_location: None,
            per_listener_settings: false,
            security: None,
            in_listener: false,
            in_included_file: false,
        }
    }

    pub(super) fn read(&mut self, file: &str) -> Result<(), String> {
        let bytes = fs::read(file).map_err(|error| format!("cannot read {file}: {error}"))?;
        self.read_text(file, &String::from_utf8_lossy(&bytes));
        Ok(())
    }

    pub(super) fn read_text(&mut self, file: &str, text: &str) {
        for line in lines(file, text) {
            match fate(line.name, line.value) {
                Some(Fate::Read) => {
                    if let Err(what) = self.set(&line) {
                        self.findings.mistake(&line, &what);
                    }
                }
                Some(Fate::Nothing) => {}
                Some(Fate::Ignored(why)) => self.findings.ignored(&line, why),
                Some(Fate::Missing(feature)) => self.findings.missing(feature, line.name, &line.place),
                None => self.findings.unknown(&line),
            }
        }
    }

    /// What it all means.
    pub(super) fn settle(mut self, file: &str) -> Result<Configuration, String> {
        let persistence = match self.persistence_location {
            _ if !self.persistence => Persistence::Memory,
            Some(location) => Persistence::Folder(location),
            None => Persistence::Default,
        };
        let (listen, settings) = self.listeners.settle(&mut self.findings);
        let security =
            if self.per_listener_settings { settings.security } else { self.security.unwrap_or_default() };
        let mut options = self.options;
        options.maximum_qos = settings.maximum_qos;
        options.topic_alias_maximum = settings.topic_alias_maximum;
        options.allow_empty_client_id = security.names();
        options.connect_size_max = options.connect_size_max.min(options.maximum_packet_size);
        Ok(Configuration {
            listen,
            options,
            connections_max: settings.connections_max,
            sys_interval: self.sys_interval,
            message_bytes_max: self.message_bytes_max,
            allow_anonymous: security.allow_anonymous,
            persistence,
            notices: self.findings.conclude(file)?,
        })
    }

    fn set(&mut self, line: &Line<'_>) -> Result<(), String> {
        let value = line.value;
        match line.name {
            "include_dir" => self.include(value)?,
            "listener" => self.listener(line)?,
            "port" | "bind_address" => self.default_listener(line)?,
            "max_connections" | "max_qos" | "maximum_qos" | "max_topic_alias" | "socket_domain" => {
                self.set_of_listener(line)?;
            }
            "allow_anonymous" => self.security(line)?.allow_anonymous = Some(value.flag()?),
            "allow_zero_length_clientid" => self.security(line)?.allow_empty_client_id = Some(value.flag()?),
            "per_listener_settings" => self.per_listener_settings(value)?,
            "persistence" | "retained_persistence" => {
                self.persistence = value.flag()?;
            }
            "persistence_location" => self.persistence_location = Some(value.text()?.to_owned()),
            "message_size_limit" => {
                let limit = value.number(0..=PAYLOAD_MAX)?;
                self.message_bytes_max = usize::try_from(limit).ok().filter(|limit| *limit > 0);
            }
            "sys_interval" => {
                self.sys_interval = Duration::from_secs(value.number(0..=65_535)?.unsigned_abs());
            }
            _ => self.set_option(line.name, value)?,
        }
        Ok(())
    }

    /// What karere's options have one for one.
    fn set_option(&mut self, name: &str, value: Value<'_>) -> Result<(), String> {
        let options = &mut self.options;
        match name {
            "max_inflight_messages" => {
                let count = value.number(i64::from(i32::MIN)..=65_535)?;
                // 0 is no limit. It is also what mosquitto announces as its own Receive Maximum.
                let count = u16::try_from(count).ok().filter(|count| *count > 0).unwrap_or(u16::MAX);
                (options.inflight_max, options.receive_maximum) = (count, count);
            }
            "max_keepalive" => options.keep_alive_max = small(value.number(10..=65_535)?),
            "max_packet_size" => {
                let bytes = value.number(20..=i64::from(i32::MAX))?;
                options.maximum_packet_size = u32::try_from(bytes).unwrap_or(u32::MAX);
            }
            "max_queued_bytes" => options.queue_bytes_max = value.limit()?.unwrap_or(usize::MAX),
            "max_queued_messages" => options.queue_count_max = value.limit()?.unwrap_or(usize::MAX),
            "persistent_client_expiration" => options.session_expiry_max = value.seconds()?,
            "queue_qos0_messages" => options.queue_qos0 = value.flag()?,
            "retain_available" => options.retain_available = value.flag()?,
            "upgrade_outgoing_qos" => options.upgrade_qos = value.flag()?,
            _ => return Err("is not read yet".into()),
        }
        Ok(())
    }

    fn set_of_listener(&mut self, line: &Line<'_>) -> Result<(), String> {
        let value = line.value;
        let listener = self.listeners.current(self.in_listener);
        match line.name {
            "max_connections" => listener.settings.connections_max = value.limit()?,
            "max_topic_alias" => listener.settings.topic_alias_maximum = small(value.number(0..=65_535)?),
            "socket_domain" => {
                listener.family = Some(match value.word()? {
                    "ipv4" => Family::V4,
                    "ipv6" => Family::V6,
                    other => return Err(format!("`{other}` is neither ipv4 nor ipv6")),
                });
            }
            _ => listener.settings.maximum_qos = value.qos()?,
        }
        listener.set.push((line.name.to_owned(), line.place.clone()));
        Ok(())
    }

    fn listener(&mut self, line: &Line<'_>) -> Result<(), String> {
        let words = line.value.words();
        let (port, host) = match words[..] {
            [] => return Err("has no port".into()),
            [port] => (port, None),
            [port, host] => (port, Some(host)),
            _ => return Err("has more than a port and an address".into()),
        };
        self.in_listener = true;
        if let ("0", Some(_)) = (port, host) {
            self.findings.missing(UNIX_SOCKETS, line.name, &line.place);
        }
        let port = port.parse().map_err(|_| format!("`{port}` is no port from 1 to 65535"))?;
        if port == 0 && host.is_none() {
            return Err("`0` is no port from 1 to 65535".into());
        }
        let place = Some(line.place.clone());
        self.listeners.named.push(Listener::new(place, port, host.map(str::to_owned)));
        Ok(())
    }

    /// The way of old: one listener that needs no `listener` line.
    fn default_listener(&mut self, line: &Line<'_>) -> Result<(), String> {
        let default = &mut self.listeners.default;
        default.place = Some(line.place.clone());
        if line.name == "port" {
            default.port = small(line.value.number(1..=65_535)?);
        } else {
            default.host = Some(line.value.text()?.to_owned());
        }
        Ok(())
    }

    fn security(&mut self, line: &Line<'_>) -> Result<&mut Security, String> {
        let common = self.security.get_or_insert_default();
        if !self.per_listener_settings {
            return Ok(common);
        }
        let listener = self.listeners.current(self.in_listener);
        listener.set.push((line.name.to_owned(), line.place.clone()));
        Ok(&mut listener.settings.security)
    }

    fn per_listener_settings(&mut self, value: Value<'_>) -> Result<(), String> {
        self.per_listener_settings = value.flag()?;
        if self.per_listener_settings && self.security.is_some() {
            return Err("has to stand before the settings that it is about".into());
        }
        Ok(())
    }

    fn include(&mut self, value: Value<'_>) -> Result<(), String> {
        let folder = value.text()?;
        if self.in_included_file {
            return Err("is read in the main file only".into());
        }
        let files = files(folder).map_err(|error| format!("cannot read {folder}: {error}"))?;
        let in_listener = std::mem::take(&mut self.in_listener);
        self.in_included_file = true;
        for file in &files {
            self.in_listener = false;
            self.read(file)?;
        }
        self.in_included_file = false;
        self.in_listener = in_listener;
        Ok(())
    }
}

/// A number that was checked to be one of 16 bits.
fn small(number: i64) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}
