//! mosquitto's options, and what becomes of each here.

use super::line::Value;

/// What becomes of an option.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fate {
    /// It is read.
    Read,
    /// It asks for nothing that karere would not do.
    Nothing,
    /// It changes nothing that anybody would miss here, because of this.
    Ignored(&'static str),
    /// It asks for what is not there yet.
    Missing(Feature),
}

/// What karere does not have yet, and what it has instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Feature {
    pub(super) what: &'static str,
    pub(super) instead: Option<&'static str>,
}

pub(super) const UNIX_SOCKETS: Feature = Feature {
    what: "Unix domain sockets",
    instead: Some("`listener PORT 127.0.0.1` is for this machine alone"),
};
pub(super) const OWN_SETTINGS: Feature = Feature {
    what: "settings of a listener's own: they have to be the same for all listeners",
    instead: Some("a second `karere broker` for the other listener, where its clients need not meet"),
};
const TLS: Feature =
    Feature { what: "TLS", instead: Some("a proxy that ends TLS, in front of `listener PORT 127.0.0.1`") };
const PASSWORDS: Feature = Feature {
    what: "user names and passwords",
    instead: Some("a broker in Rust on the crate karere-broker, with its Authenticate hook"),
};
const ACCESS: Feature = Feature {
    what: "access lists",
    instead: Some("a broker in Rust on the crate karere-broker, with its Authorize hook"),
};
const PLUGINS: Feature = Feature {
    what: "mosquitto's plugins",
    instead: Some("a broker in Rust on the crate karere-broker, with its hooks"),
};
const BRIDGES: Feature = Feature { what: "bridges to other brokers", instead: None };
const WEBSOCKET: Feature = Feature { what: "WebSocket", instead: None };
const MOUNT_POINTS: Feature = Feature { what: "mount points", instead: None };
const NAMES: Feature = Feature { what: "rules for client identifiers", instead: None };
const MEMORY: Feature = Feature {
    what: "a limit in bytes for all clients together, or for what is in flight",
    instead: Some("max_packet_size, max_queued_bytes, max_inflight_messages and max_connections"),
};
const INTERFACES: Feature = Feature {
    what: "listening on an interface by its name",
    instead: Some("the interface's address: `listener PORT ADDRESS`"),
};
const LOG_TOPICS: Feature = Feature { what: "a log under $SYS", instead: None };

pub(super) const READ: &[&str] = &[
    "allow_anonymous",
    "allow_zero_length_clientid",
    "bind_address",
    "include_dir",
    "listener",
    "max_connections",
    "max_inflight_messages",
    "max_keepalive",
    "max_packet_size",
    "max_qos",
    "max_queued_bytes",
    "max_queued_messages",
    "max_topic_alias",
    "maximum_qos",
    "message_size_limit",
    "per_listener_settings",
    "persistence",
    "persistence_location",
    "persistent_client_expiration",
    "port",
    "queue_qos0_messages",
    "retain_available",
    "retained_persistence",
    "socket_domain",
    "sys_interval",
    "upgrade_outgoing_qos",
];

const NO_LOG: &str = "karere keeps no log; --verbose prints what clients do";
const AT_ONCE: &str = "karere writes each change at once";

const IGNORED: &[(&str, &str)] = &[
    ("allow_duplicate_messages", "a client gets one copy, however many of its subscriptions match"),
    ("autosave_interval", AT_ONCE),
    ("autosave_on_changes", AT_ONCE),
    ("check_retain_source", "there are no access lists to check with"),
    ("connection_messages", NO_LOG),
    ("log_dest", NO_LOG),
    ("log_facility", NO_LOG),
    ("log_timestamp", NO_LOG),
    ("log_timestamp_format", NO_LOG),
    ("log_type", NO_LOG),
    ("persistence_file", "karere's files have names of their own"),
    ("pid_file", "karere writes none, and leaves mosquitto's alone"),
    ("retry_interval", "mosquitto ignores it too"),
    ("set_tcp_nodelay", "karere always sets TCP_NODELAY"),
    ("user", "karere stays the user who starts it"),
    ("websockets_headers_size", "it means nothing without a WebSocket listener"),
    ("websockets_log_level", "it means nothing without a WebSocket listener"),
];

#[rustfmt::skip] // a line for each feature
const MISSING: &[(Feature, &[&str])] = &[
    (TLS, &["cafile", "capath", "certfile", "ciphers", "ciphers_tls1.3", "crlfile", "dhparamfile", "keyfile", "psk_file",
        "psk_hint", "require_certificate", "tls_engine", "tls_engine_kpass_sha1", "tls_keyform", "tls_version",
        "use_identity_as_username", "use_subject_as_username"]),
    (PASSWORDS, &["password_file"]),
    (ACCESS, &["acl_file"]),
    (PLUGINS, &["auth_plugin", "auth_plugin_deny_special_chars", "plugin"]),
    (BRIDGES, &["address", "addresses", "bridge_alpn", "bridge_attempt_unsubscribe", "bridge_bind_address",
        "bridge_cafile", "bridge_capath", "bridge_certfile", "bridge_identity", "bridge_insecure", "bridge_keyfile",
        "bridge_max_packet_size", "bridge_outgoing_retain", "bridge_protocol_version", "bridge_psk",
        "bridge_require_ocsp", "bridge_tls_version", "cleansession", "clientid", "connection", "idle_timeout",
        "keepalive_interval", "local_cleansession", "local_clientid", "local_password", "local_username",
        "notification_topic", "notifications", "notifications_local_only", "password", "remote_clientid",
        "remote_password", "remote_username", "restart_timeout", "round_robin", "start_type", "threshold", "topic",
        "try_private", "username"]),
    (WEBSOCKET, &["http_dir", "protocol"]),
    (MOUNT_POINTS, &["mount_point"]),
    (NAMES, &["auto_id_prefix", "clientid_prefixes", "use_username_as_clientid"]),
    (MEMORY, &["max_inflight_bytes", "memory_limit"]),
    (INTERFACES, &["bind_interface"]),
];

/// Options of [`MISSING`] or [`IGNORED`] with the values that ask for nothing: what they are without being named.
const NOTHING: &[(&str, &[&str])] = &[
    ("check_retain_source", &["true", "1"]),
    ("max_inflight_bytes", &["0"]),
    ("memory_limit", &["0"]),
    ("protocol", &["mqtt"]),
    ("require_certificate", &["false", "0"]),
    ("set_tcp_nodelay", &["true", "1"]),
    ("tls_keyform", &["pem"]),
    ("use_identity_as_username", &["false", "0"]),
    ("use_subject_as_username", &["false", "0"]),
    ("use_username_as_clientid", &["false", "0"]),
];

/// What becomes of an option with this value; `None` for a name that mosquitto does not know.
pub(super) fn fate(name: &str, value: Value<'_>) -> Option<Fate> {
    let words = value.words();
    let is_nothing = |(option, values): &(&str, &[&str])| {
        *option == name && matches!(words[..], [word] if values.contains(&word))
    };
    if NOTHING.iter().any(is_nothing) {
        return Some(Fate::Nothing);
    }
    if READ.contains(&name) {
        return Some(Fate::Read);
    }
    if name == "log_dest" && words.first() == Some(&"topic") {
        return Some(Fate::Missing(LOG_TOPICS));
    }
    // The part behind these is the plugin's.
    if name.starts_with("auth_opt_") || name.starts_with("plugin_opt_") {
        return Some(Fate::Missing(PLUGINS));
    }
    let ignored = IGNORED.iter().find(|(option, _)| *option == name).map(|(_, why)| Fate::Ignored(why));
    ignored.or_else(|| {
        MISSING.iter().find(|(_, names)| names.contains(&name)).map(|(feature, _)| Fate::Missing(*feature))
    })
}

/// The option that `name` may have been meant to be.
pub(super) fn nearest(name: &str) -> Option<&'static str> {
    let known = READ.iter().copied().chain(IGNORED.iter().map(|(option, _)| *option));
    let known = known.chain(MISSING.iter().flat_map(|(_, names)| names.iter().copied()));
    let (distance, nearest) = known.map(|option| (distance(name, option), option)).min()?;
    (distance <= nearest.len().div_ceil(3)).then_some(nearest)
}

/// How many letters have to be put in, taken out or replaced to make `a` of `b`.
fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.to_ascii_lowercase(), b.as_bytes());
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (index, letter) in a.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], index + 1);
        for (column, other) in b.iter().enumerate() {
            let above = row[column + 1];
            let replaced = diagonal + usize::from(letter != *other);
            row[column + 1] = replaced.min(above + 1).min(row[column] + 1);
            diagonal = above;
        }
    }
    row[b.len()]
}
