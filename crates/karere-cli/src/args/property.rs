//! `-D COMMAND PROPERTY VALUE`: the properties of version 5.
//!
//! How many values follow depends on the property, which clap cannot say: these are taken out of the command
//! line before clap reads the rest.

use std::ffi::{OsStr, OsString};
use std::str::FromStr;

use karere_core::codec::{PacketType as Packet, Properties, Property, PropertyId, PropertyOwner};

/// One `-D`, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PropertyArg {
    owner: PropertyOwner,
    block: Properties,
}

/// What may follow `-D`, and whose properties it means.
const COMMANDS: &[(&str, PropertyOwner)] = &[
    ("connect", PropertyOwner::Packet(Packet::Connect)),
    ("publish", PropertyOwner::Packet(Packet::Publish)),
    ("subscribe", PropertyOwner::Packet(Packet::Subscribe)),
    ("unsubscribe", PropertyOwner::Packet(Packet::Unsubscribe)),
    ("disconnect", PropertyOwner::Packet(Packet::Disconnect)),
    ("will", PropertyOwner::Will),
];

/// All that were given for `owner`, as one block.
///
/// # Errors
/// What is wrong, in words, when one stands twice that may stand once.
pub(super) fn collect(args: &[PropertyArg], owner: PropertyOwner) -> Result<Properties, String> {
    let mut builder = Properties::builder();
    for arg in args.iter().filter(|arg| arg.owner == owner) {
        builder.append(&arg.block);
    }
    let block = builder.build();
    block.check(owner).map_err(|error| format!("-D {}: {error}", command_of(owner)))?;
    Ok(block)
}

/// Takes each `-D` with its values out of what was typed.
///
/// # Errors
/// What is wrong with one of them, in words.
pub(super) fn take(
    grammar: &clap::Command,
    typed: Vec<OsString>,
) -> Result<(Vec<OsString>, Vec<PropertyArg>), String> {
    let command = typed.get(1).and_then(|name| grammar.find_subcommand(name));
    let Some(command) = command.filter(|command| find_short(command, 'D').is_some()) else {
        return Ok((typed, Vec::new()));
    };
    let mut kept = Vec::with_capacity(typed.len());
    let mut properties = Vec::new();
    let mut typed = typed.into_iter();
    while let Some(token) = typed.next() {
        if token == "-D" || token == "--property" {
            properties.push(parse(&mut typed)?);
            continue;
        }
        let has_value = takes_next(command, &token);
        kept.push(token);
        if has_value {
            kept.extend(typed.next());
        }
    }
    Ok((kept, properties))
}

/// Whether the token after `token` is its value, whatever that looks like.
fn takes_next(command: &clap::Command, token: &OsStr) -> bool {
    let Some(token) = token.to_str() else { return false };
    if let Some(long) = token.strip_prefix("--") {
        return command.get_arguments().any(|arg| arg.get_long() == Some(long) && takes_value(arg));
    }
    let Some(letters) = token.strip_prefix('-') else { return false };
    let mut letters = letters.chars();
    while let Some(letter) = letters.next() {
        match find_short(command, letter) {
            Some(arg) if takes_value(arg) => return letters.next().is_none(),
            Some(_) => {}
            None => return false,
        }
    }
    false
}

fn find_short(command: &clap::Command, letter: char) -> Option<&clap::Arg> {
    command.get_arguments().find(|arg| arg.get_short() == Some(letter))
}

fn takes_value(arg: &clap::Arg) -> bool {
    arg.get_action().takes_values()
}

fn parse(typed: &mut impl Iterator<Item = OsString>) -> Result<PropertyArg, String> {
    let mut next = |what: &str| {
        let value = typed.next().ok_or_else(|| format!("-D ends where {what} was to follow: {USAGE}"))?;
        value.into_string().map_err(|value| format!("-D: {} is not UTF-8", value.display()))
    };
    let command = next("a command")?.to_lowercase();
    let name = next("a property")?.to_lowercase();
    let value = next("a value")?;
    let owner = owner_of(&command)?;
    let id = property_of(&name)?;
    let wrong = |why: String| format!("-D {command} {name} {value}: {why}");
    if !id.allowed_in(owner) || is_server_only(id, owner) {
        return Err(wrong(format!("{command} has no {name}; it has {}", names_for(owner).join(", "))));
    }
    let block = if id == PropertyId::UserProperty {
        let second = next("the user property's value")?;
        Properties::from_properties([Property::UserProperty(&value, &second)])
    } else {
        Properties::from_properties([property(id, &value).map_err(wrong)?])
    };
    let block = block.map_err(|error| wrong(error.to_string()))?;
    Ok(PropertyArg { owner, block })
}

const USAGE: &str = "-D COMMAND PROPERTY VALUE, or -D COMMAND user-property NAME VALUE";

fn owner_of(command: &str) -> Result<PropertyOwner, String> {
    COMMANDS.iter().find(|(name, _)| *name == command).map(|(_, owner)| *owner).ok_or_else(|| {
        let known: Vec<_> = COMMANDS.iter().map(|(name, _)| *name).collect();
        format!("-D {command}: no such command; there are {}", known.join(", "))
    })
}

fn command_of(owner: PropertyOwner) -> &'static str {
    COMMANDS.iter().find(|(_, known)| *known == owner).map_or("", |(name, _)| *name)
}

fn property_of(name: &str) -> Result<PropertyId, String> {
    let known = PropertyId::ALL.iter().copied().find(|id| name_of(*id) == name);
    known.ok_or_else(|| format!("-D: there is no property {name}; {USAGE}"))
}

/// `Content Type` is written `content-type`.
fn name_of(id: PropertyId) -> String {
    id.name().to_lowercase().replace(' ', "-")
}

fn names_for(owner: PropertyOwner) -> Vec<String> {
    let ids = PropertyId::ALL.iter().copied();
    ids.filter(|id| id.allowed_in(owner) && !is_server_only(*id, owner)).map(name_of).collect()
}

/// What the table of properties allows and yet only a server says.
fn is_server_only(id: PropertyId, owner: PropertyOwner) -> bool {
    match id {
        PropertyId::SubscriptionIdentifier => owner == PropertyOwner::Packet(Packet::Publish),
        PropertyId::ServerReference => true,
        _ => false,
    }
}

fn property(id: PropertyId, value: &str) -> Result<Property<'_>, String> {
    Ok(match id {
        PropertyId::PayloadFormatIndicator => Property::PayloadFormatIndicator(flag(value)?),
        PropertyId::MessageExpiryInterval => Property::MessageExpiryInterval(number(value)?),
        PropertyId::ContentType => Property::ContentType(value),
        PropertyId::ResponseTopic => Property::ResponseTopic(value),
        PropertyId::CorrelationData => Property::CorrelationData(value.as_bytes()),
        PropertyId::SubscriptionIdentifier => Property::SubscriptionIdentifier(number(value)?),
        PropertyId::SessionExpiryInterval => Property::SessionExpiryInterval(number(value)?),
        PropertyId::AuthenticationMethod => Property::AuthenticationMethod(value),
        PropertyId::AuthenticationData => Property::AuthenticationData(value.as_bytes()),
        PropertyId::RequestProblemInformation => Property::RequestProblemInformation(flag(value)?),
        PropertyId::WillDelayInterval => Property::WillDelayInterval(number(value)?),
        PropertyId::RequestResponseInformation => Property::RequestResponseInformation(flag(value)?),
        PropertyId::ReasonString => Property::ReasonString(value),
        PropertyId::ReceiveMaximum => Property::ReceiveMaximum(number(value)?),
        PropertyId::TopicAliasMaximum => Property::TopicAliasMaximum(number(value)?),
        PropertyId::TopicAlias => Property::TopicAlias(number(value)?),
        PropertyId::MaximumPacketSize => Property::MaximumPacketSize(number(value)?),
        _ => return Err("only a server says that".into()),
    })
}

fn flag(value: &str) -> Result<bool, String> {
    match value {
        "0" => Ok(false),
        "1" => Ok(true),
        _ => Err("it is 0 or 1".into()),
    }
}

fn number<N: FromStr + Bounds>(value: &str) -> Result<N, String> {
    value.parse().map_err(|_| format!("it is a number from 0 to {}", N::MAX_TEXT))
}

trait Bounds {
    const MAX_TEXT: &'static str;
}

impl Bounds for u16 {
    const MAX_TEXT: &'static str = "65535";
}

impl Bounds for u32 {
    const MAX_TEXT: &'static str = "4294967295";
}
