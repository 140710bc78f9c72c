//! Options that mosquitto's tools have and these have not yet: said so, instead of "unknown".

use clap::error::{ContextKind, ContextValue, ErrorKind};

/// Option and the feature that it belongs to.
const NOT_YET: &[(&str, &str)] = &[
    ("--keyform", "key engines"),
    ("--ciphers", "choice of ciphers"),
    ("--tls-engine", "key engines"),
    ("--tls-engine-kpass-sha1", "key engines"),
    ("--psk", "TLS-PSK"),
    ("--psk-identity", "TLS-PSK"),
    ("--proxy", "proxies"),
    ("--random-filter", "random filters"),
    ("--watch", "watch mode"),
    ("-w", "watch mode"),
    ("-S", "SRV records"),
    ("-o", "option files"),
];

/// Names the feature that is missing, where an unknown option belongs to one.
pub(super) fn explain(mut error: clap::Error) -> clap::Error {
    if error.kind() != ErrorKind::UnknownArgument {
        return error;
    }
    let Some(ContextValue::String(option)) = error.get(ContextKind::InvalidArg) else { return error };
    let Some((option, feature)) = NOT_YET.iter().find(|(known, _)| known == option) else { return error };
    let remedy = format!("'{option}' is mosquitto's, and karere has no {feature} yet");
    error.remove(ContextKind::SuggestedArg);
    error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![remedy.into()]));
    error
}
