//! `%j` and `%J`: a message as one JSON object, with mosquitto_sub's keys in its order.

use std::io::Write as _;
use std::str;

use karere::Property;

use super::json_payload::write_payload;
use super::{Fields, NotJson};

/// Appends `message`. With `payload_is_json` the payload stands there as the JSON that it is.
///
/// # Errors
/// [`NotJson`], with nothing appended, when the payload was to be JSON and is not.
pub(super) fn write_json(
    message: &Fields<'_>,
    timestamp: &str,
    payload_is_json: bool,
    pretty: bool,
    out: &mut Vec<u8>,
) -> Result<(), NotJson> {
    let start = out.len();
    let mut json = JsonWriter::new(out, pretty);
    json.open_object();
    json.key("tst");
    json.string(timestamp);
    json.key("topic");
    json.string(message.topic);
    json.key("qos");
    json.number(message.qos.into());
    json.key("retain");
    json.number(message.retain.into());
    json.key("payloadlen");
    json.number(message.payload.len() as u64);
    if message.qos > 0 {
        json.key("mid");
        json.number(message.packet_id.into());
    }
    write_properties(message, &mut json);
    json.key("payload");
    if message.payload.is_empty() {
        json.raw(b"null");
    } else if !payload_is_json {
        json.bytes(message.payload);
    } else if let Err(error) = write_payload(message.payload, &mut json) {
        out.truncate(start);
        return Err(error);
    }
    json.close_object();
    Ok(())
}

fn write_properties(message: &Fields<'_>, json: &mut JsonWriter<'_>) {
    if message.properties.is_empty() && message.subscription_ids.is_empty() && message.expiry.is_none() {
        return;
    }
    json.key("properties");
    json.open_object();
    for id in message.subscription_ids {
        json.key("subscription-identifier");
        json.number((*id).into());
    }
    let mut user_properties_written = false;
    for property in message.properties.iter() {
        match property {
            Property::PayloadFormatIndicator(utf8) => {
                json.key("payload-format-indicator");
                json.number(utf8.into());
            }
            Property::ContentType(text) => {
                json.key("content-type");
                json.string(text);
            }
            Property::ResponseTopic(text) => {
                json.key("response-topic");
                json.string(text);
            }
            Property::CorrelationData(data) => {
                json.key("correlation-data");
                json.bytes(data);
            }
            // All of them stand where the first one was.
            Property::UserProperty(..) if !user_properties_written => {
                user_properties_written = true;
                write_user_properties(message, json);
            }
            _ => {}
        }
    }
    if let Some(expiry) = message.expiry {
        json.key("message-expiry-interval");
        json.number(expiry.into());
    }
    json.close_object();
}

fn write_user_properties(message: &Fields<'_>, json: &mut JsonWriter<'_>) {
    json.key("user-properties");
    json.open_object();
    for (name, value) in message.properties.user_properties() {
        json.key(name);
        json.string(value);
    }
    json.close_object();
}

/// Writes JSON as cJSON does, which mosquitto uses: without a blank, or indented with tabs.
pub(super) struct JsonWriter<'a> {
    out: &'a mut Vec<u8>,
    pretty: bool,
    depth: usize,
    /// Whether the innermost object or array has a member already.
    has_member: bool,
}

impl<'a> JsonWriter<'a> {
    pub(super) fn new(out: &'a mut Vec<u8>, pretty: bool) -> Self {
        Self { out, pretty, depth: 0, has_member: false }
    }

    pub(super) fn open_object(&mut self) {
        self.out.push(b'{');
        self.depth += 1;
        self.has_member = false;
    }

    pub(super) fn close_object(&mut self) {
        self.depth -= 1;
        self.indent();
        self.out.push(b'}');
        self.has_member = true;
    }

    pub(super) fn open_array(&mut self) {
        self.out.push(b'[');
        self.depth += 1;
        self.has_member = false;
    }

    pub(super) fn close_array(&mut self) {
        self.depth -= 1;
        self.out.push(b']');
        self.has_member = true;
    }

    fn key(&mut self, key: &str) {
        self.before_key();
        self.string(key);
        self.after_key();
    }

    /// What stands before a key.
    pub(super) fn before_key(&mut self) {
        if self.has_member {
            self.out.push(b',');
        }
        self.indent();
    }

    /// What stands between a key and its value.
    pub(super) fn after_key(&mut self) {
        self.out.extend_from_slice(if self.pretty { b":\t" } else { b":" });
    }

    /// What stands before an element of an array.
    pub(super) fn before_element(&mut self) {
        if self.has_member {
            self.out.extend_from_slice(if self.pretty { b", " } else { b"," });
        }
    }

    /// A value, or a key, that is JSON already.
    pub(super) fn raw(&mut self, json: &[u8]) {
        self.out.extend_from_slice(json);
        self.has_member = true;
    }

    fn number(&mut self, number: u64) {
        self.raw(number.to_string().as_bytes());
    }

    /// Text where it is text; else an array of numbers, so that nothing is lost and the line stays JSON.
    fn bytes(&mut self, bytes: &[u8]) {
        match str::from_utf8(bytes) {
            Ok(text) if !bytes.contains(&0) => self.string(text),
            _ => {
                self.open_array();
                for byte in bytes {
                    self.before_element();
                    self.number((*byte).into());
                }
                self.close_array();
            }
        }
    }

    fn string(&mut self, text: &str) {
        self.out.push(b'"');
        for byte in text.bytes() {
            let escape: &[u8] = match byte {
                b'"' => b"\\\"",
                b'\\' => b"\\\\",
                b'\x08' => b"\\b",
                b'\x0c' => b"\\f",
                b'\n' => b"\\n",
                b'\r' => b"\\r",
                b'\t' => b"\\t",
                0..0x20 => {
                    write!(self.out, "\\u{byte:04x}").expect("a Vec takes what is written to it");
                    continue;
                }
                _ => {
                    self.out.push(byte);
                    continue;
                }
            };
            self.out.extend_from_slice(escape);
        }
        self.out.push(b'"');
        self.has_member = true;
    }

    fn indent(&mut self) {
        if self.pretty {
            self.out.push(b'\n');
            self.out.resize(self.out.len() + self.depth, b'\t');
        }
    }
}
