//! `-F`: mosquitto_sub's format strings.

use std::fmt;
use std::io::Write as _;
use std::iter::Peekable;
use std::str::Chars;

use super::json::write_json;
use super::time::Now;
use super::{Fields, NotJson};

/// Field widths and precisions above this are a slip of the finger.
const WIDTH_MAX: usize = 9_999;

/// A format string, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(String),
    /// `%` and a letter.
    Field(Field, Layout),
    /// `@` and a letter.
    Strftime(char),
    /// `@N`
    Nanoseconds,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    TopicAlias,
    ContentType,
    CorrelationData,
    Expiry,
    PayloadFormat,
    Iso8601,
    Json { payload_is_json: bool },
    PayloadLen,
    PacketId,
    UserProperties,
    Payload,
    QoS,
    ResponseTopic,
    Retain,
    SubscriptionId,
    Topic,
    Unix,
    Hex { upper: bool },
}

/// What may stand between `%` and the letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Layout {
    left: bool,
    zero: bool,
    width: usize,
    precision: Option<usize>,
}

/// Why a format string is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TemplateError {
    Incomplete,
    Letter(char),
    Escape(char),
    TooWide,
}

impl Template {
    /// # Errors
    /// [`TemplateError`] for a letter or an escape that does not exist, or a string that ends in the middle.
    pub(crate) fn parse(format: &str) -> Result<Self, TemplateError> {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut chars = format.chars().peekable();
        while let Some(char) = chars.next() {
            let piece = match char {
                '%' => parse_field(&mut chars)?,
                '@' => parse_time(chars.next())?,
                '\\' => Piece::Literal(parse_escape(chars.next())?.into()),
                _ => Piece::Literal(char.into()),
            };
            match piece {
                Piece::Literal(text) => literal.push_str(&text),
                piece => {
                    pieces.extend(take_literal(&mut literal));
                    pieces.push(piece);
                }
            }
        }
        pieces.extend(take_literal(&mut literal));
        Ok(Self(pieces))
    }

    /// Appends `message`; JSON is indented when `pretty` says so.
    ///
    /// # Errors
    /// [`NotJson`] when there is a `%J` and the payload is not JSON; all but that has been appended.
    pub(super) fn write(
        &self,
        message: &Fields<'_>,
        now: &mut Now,
        pretty: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), NotJson> {
        let mut shown = Ok(());
        for piece in &self.0 {
            match piece {
                Piece::Literal(text) => out.extend_from_slice(text.as_bytes()),
                Piece::Strftime(directive) => out.extend_from_slice(now.strftime(*directive).as_bytes()),
                Piece::Nanoseconds => out.extend_from_slice(now.nanoseconds().as_bytes()),
                Piece::Field(Field::Json { payload_is_json }, _) => {
                    let written = write_json(message, &now.json_timestamp(), *payload_is_json, pretty, out);
                    shown = shown.and(written);
                }
                Piece::Field(field, layout) => write_field(*field, layout, message, now, out),
            }
        }
        shown
    }
}

fn take_literal(literal: &mut String) -> Option<Piece> {
    (!literal.is_empty()).then(|| Piece::Literal(std::mem::take(literal)))
}

fn parse_field(chars: &mut Peekable<Chars<'_>>) -> Result<Piece, TemplateError> {
    let layout = Layout {
        left: chars.next_if_eq(&'-').is_some(),
        zero: chars.next_if_eq(&'0').is_some(),
        width: parse_number(chars)?,
        precision: match chars.next_if_eq(&'.') {
            Some(_) => Some(parse_number(chars)?),
            None => None,
        },
    };
    let letter = chars.next().ok_or(TemplateError::Incomplete)?;
    if letter == '%' {
        return Ok(Piece::Literal("%".into()));
    }
    Ok(Piece::Field(field_of(letter).ok_or(TemplateError::Letter(letter))?, layout))
}

fn parse_number(chars: &mut Peekable<Chars<'_>>) -> Result<usize, TemplateError> {
    let mut number = 0;
    while let Some(digit) = chars.peek().and_then(|char| char.to_digit(10)) {
        chars.next();
        number = number * 10 + digit as usize;
        if number > WIDTH_MAX {
            return Err(TemplateError::TooWide);
        }
    }
    Ok(number)
}

const fn field_of(letter: char) -> Option<Field> {
    Some(match letter {
        'A' => Field::TopicAlias,
        'C' => Field::ContentType,
        'D' => Field::CorrelationData,
        'E' => Field::Expiry,
        'F' => Field::PayloadFormat,
        'I' => Field::Iso8601,
        'j' => Field::Json { payload_is_json: false },
        'J' => Field::Json { payload_is_json: true },
        'l' => Field::PayloadLen,
        'm' => Field::PacketId,
        'P' => Field::UserProperties,
        'p' => Field::Payload,
        'q' => Field::QoS,
        'R' => Field::ResponseTopic,
        'r' => Field::Retain,
        'S' => Field::SubscriptionId,
        't' => Field::Topic,
        'U' => Field::Unix,
        'x' => Field::Hex { upper: false },
        'X' => Field::Hex { upper: true },
        _ => return None,
    })
}

fn parse_time(letter: Option<char>) -> Result<Piece, TemplateError> {
    Ok(match letter.ok_or(TemplateError::Incomplete)? {
        '@' => Piece::Literal("@".into()),
        'N' => Piece::Nanoseconds,
        letter => Piece::Strftime(letter),
    })
}

fn parse_escape(letter: Option<char>) -> Result<char, TemplateError> {
    Ok(match letter.ok_or(TemplateError::Incomplete)? {
        '\\' => '\\',
        '0' => '\0',
        'a' => '\x07',
        'e' => '\x1b',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\x0b',
        letter => return Err(TemplateError::Escape(letter)),
    })
}

fn write_field(field: Field, layout: &Layout, message: &Fields<'_>, now: &mut Now, out: &mut Vec<u8>) {
    let properties = message.properties;
    match field {
        // The client has resolved it: what arrives here has its topic.
        Field::TopicAlias => layout.number(None, out),
        Field::ContentType => layout.text(properties.content_type().unwrap_or_default(), out),
        Field::CorrelationData => out.extend_from_slice(properties.correlation_data().unwrap_or_default()),
        Field::Expiry => layout.number(message.expiry, out),
        Field::PayloadFormat => {
            layout.number(properties.payload_format_indicator().map(u32::from), out);
        }
        Field::Iso8601 => layout.text(&now.iso_8601(), out),
        Field::Json { .. } => {}
        Field::PayloadLen => layout.number(u32::try_from(message.payload.len()).ok(), out),
        Field::PacketId => layout.number(Some(message.packet_id.into()), out),
        Field::UserProperties => write_user_properties(message, out),
        Field::Payload => layout.payload(message.payload, out),
        Field::QoS => out.push(b'0' + message.qos),
        // Unlike the content type, it takes no room when it is absent.
        Field::ResponseTopic => {
            if let Some(topic) = properties.response_topic() {
                layout.text(topic, out);
            }
        }
        Field::Retain => out.push(b'0' + u8::from(message.retain)),
        Field::SubscriptionId => layout.number(message.subscription_ids.first().copied(), out),
        Field::Topic => layout.text(message.topic, out),
        Field::Unix => out.extend_from_slice(now.unix().as_bytes()),
        Field::Hex { upper } => layout.hex(message.payload, upper, out),
    }
}

fn write_user_properties(message: &Fields<'_>, out: &mut Vec<u8>) {
    for (index, (name, value)) in message.properties.user_properties().enumerate() {
        if index > 0 {
            out.push(b' ');
        }
        out.extend_from_slice(name.as_bytes());
        out.push(b':');
        out.extend_from_slice(value.as_bytes());
    }
}

impl Layout {
    fn pad(&self) -> u8 {
        if self.zero { b'0' } else { b' ' }
    }

    /// A number, or blanks in its place.
    fn number(&self, value: Option<u32>, out: &mut Vec<u8>) {
        let Some(value) = value else { return fill(self.pad(), self.width, out) };
        let digits = value.to_string();
        let missing = self.width.saturating_sub(digits.len());
        if self.left {
            out.extend_from_slice(digits.as_bytes());
            fill(b' ', missing, out);
        } else {
            fill(self.pad(), missing, out);
            out.extend_from_slice(digits.as_bytes());
        }
    }

    /// Widths count bytes, as printf's do.
    fn text(&self, value: &str, out: &mut Vec<u8>) {
        let len = self.precision.map_or(value.len(), |max| max.min(value.len()));
        let shown = &value.as_bytes()[..len];
        self.aligned(shown, b' ', out);
    }

    /// A width is the most that is shown as well as the least.
    fn payload(&self, payload: &[u8], out: &mut Vec<u8>) {
        let len = if self.width > 0 { self.width.min(payload.len()) } else { payload.len() };
        self.aligned(&payload[..len], self.pad(), out);
    }

    /// With a width, half as many bytes of the payload as there would be room for: mosquitto_sub halves
    /// the payload's length after cutting it, and columns are to stay where they are.
    fn hex(&self, payload: &[u8], upper: bool, out: &mut Vec<u8>) {
        let len = if self.width > 0 { self.width.min(payload.len()) / 2 } else { payload.len() };
        let mut digits = Vec::with_capacity(len * 2);
        for byte in &payload[..len] {
            let written = if upper { write!(digits, "{byte:02X}") } else { write!(digits, "{byte:02x}") };
            written.expect("a Vec takes what is written to it");
        }
        self.aligned(&digits, self.pad(), out);
    }

    fn aligned(&self, shown: &[u8], pad: u8, out: &mut Vec<u8>) {
        let missing = self.width.saturating_sub(shown.len());
        if !self.left {
            fill(pad, missing, out);
        }
        out.extend_from_slice(shown);
        if self.left {
            fill(b' ', missing, out);
        }
    }
}

fn fill(pad: u8, count: usize, out: &mut Vec<u8>) {
    out.resize(out.len() + count, pad);
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Incomplete => {
                f.write_str("it ends in the middle; write %% @@ \\\\ for the characters themselves")
            }
            Self::Letter(letter) => {
                write!(f, "there is no %{letter}; the letters are % A C D E F I j J l m P p q R r S t U x X")
            }
            Self::Escape(letter) => {
                write!(f, "there is no \\{letter}; the escapes are \\\\ \\0 \\a \\e \\n \\r \\t \\v")
            }
            Self::TooWide => write!(f, "a width may be at most {WIDTH_MAX}"),
        }
    }
}
