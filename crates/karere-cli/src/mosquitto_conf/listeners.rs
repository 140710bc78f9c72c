//! The listeners of a file, and what they have in common.

use karere_core::codec::QoS;

use super::catalogue::OWN_SETTINGS;
use super::findings::Findings;
use super::line::Place;
use crate::command::{Endpoint, Family, Listen};

/// mosquitto's port where none is named.
const PORT: u16 = 1883;

/// A listener as the file sets it up, with mosquitto's defaults.
#[derive(Debug, Clone)]
pub(super) struct Listener {
    /// Where it stands; `None` for the default listener while nothing starts it.
    pub(super) place: Option<Place>,
    pub(super) host: Option<String>,
    pub(super) port: u16,
    pub(super) family: Option<Family>,
    pub(super) settings: Settings,
    /// The options that were set, and where.
    pub(super) set: Vec<(String, Place)>,
}

/// What mosquitto keeps for each listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) maximum_qos: QoS,
    pub(super) topic_alias_maximum: u16,
    pub(super) connections_max: Option<usize>,
    pub(super) security: Security,
}

/// What is for all listeners, or with `per_listener_settings` for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Security {
    pub(super) allow_anonymous: Option<bool>,
    pub(super) allow_empty_client_id: Option<bool>,
}

/// The default listener, and those of `listener` lines.
#[derive(Debug)]
pub(super) struct Listeners {
    pub(super) default: Listener,
    pub(super) named: Vec<Listener>,
}

impl Listener {
    pub(super) fn new(place: Option<Place>, port: u16, host: Option<String>) -> Self {
        let settings = Settings {
            maximum_qos: QoS::ExactlyOnce,
            topic_alias_maximum: 10,
            connections_max: None,
            security: Security::default(),
        };
        Self { place, host, port, family: None, settings, set: Vec::new() }
    }

    fn endpoint(&self) -> Endpoint {
        Endpoint { host: self.host.clone(), port: self.port, family: self.family }
    }
}

impl Default for Listeners {
    fn default() -> Self {
        Self { default: Listener::new(None, PORT, None), named: Vec::new() }
    }
}

impl Listeners {
    /// The one that is being set up: the last `listener` of the file that is being read, if it has one.
    pub(super) fn current(&mut self, named: bool) -> &mut Listener {
        if named && let Some(last) = self.named.last_mut() { last } else { &mut self.default }
    }

    /// Where to listen, and the settings that all listeners share.
    pub(super) fn settle(&self, findings: &mut Findings) -> (Listen, Settings) {
        if self.named.is_empty() && self.default.place.is_none() {
            return (Listen::Loopback(self.default.port), self.default.settings);
        }
        if self.default.place.is_none() {
            self.complain_of_strays(findings);
        }
        let default = Some(&self.default).filter(|default| default.place.is_some());
        let all: Vec<&Listener> = default.into_iter().chain(&self.named).collect();
        let settings = all.first().map_or(self.default.settings, |first| first.settings);
        complain_of_differences(&all, findings);
        (Listen::At(all.iter().map(|listener| listener.endpoint()).collect()), settings)
    }

    /// What stands before every `listener` is the default listener's, and there is none: mosquitto's manual does not
    /// start it then, and mosquitto 2.0 does, for the whole world.
    fn complain_of_strays(&self, findings: &mut Findings) {
        for (name, place) in &self.default.set {
            let what = "belongs to no listener here. Put it below the `listener` line that it is for, in the same file";
            findings.mistake_at(place, name, what);
        }
    }
}

/// Names the options that make listeners differ, and a number of connections that each would count for itself.
fn complain_of_differences(all: &[&Listener], findings: &mut Findings) {
    let [first, others @ ..] = all else { return };
    if others.is_empty() {
        return;
    }
    let differs = |is_same: &dyn Fn(&Settings, &Settings) -> bool| {
        others.iter().any(|other| !is_same(&first.settings, &other.settings))
    };
    let counted = all.iter().any(|listener| listener.settings.connections_max.is_some());
    let differences = [
        (differs(&|a, b| a.maximum_qos == b.maximum_qos), &["max_qos", "maximum_qos"][..]),
        (differs(&|a, b| a.topic_alias_maximum == b.topic_alias_maximum), &["max_topic_alias"]),
        (counted, &["max_connections"]),
        (differs(&|a, b| a.security.lets_in() == b.security.lets_in()), &["allow_anonymous"]),
        (differs(&|a, b| a.security.names() == b.security.names()), &["allow_zero_length_clientid"]),
    ];
    for (_, names) in differences.iter().filter(|(differs, _)| *differs) {
        for (name, place) in all.iter().flat_map(|listener| &listener.set) {
            if names.contains(&name.as_str()) {
                findings.missing(OWN_SETTINGS, name, place);
            }
        }
    }
}

impl Security {
    /// Whether a listener lets in whoever comes without a user name.
    pub(super) fn lets_in(self) -> bool {
        self.allow_anonymous.unwrap_or(false)
    }

    /// Whether it makes up a Client Identifier for those who bring none.
    pub(super) fn names(self) -> bool {
        self.allow_empty_client_id.unwrap_or(true)
    }
}
