//! What the format letters print, against what mosquitto_sub 2.0.11 printed for the same messages.

use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};
use karere::{Properties, Property};

use super::template::TemplateError;
use super::time::Now;
use super::{Fields, NotJson, Style, Template};

type Recorded = &'static [(&'static str, &'static [u8])];

/// QoS 1, with every property that a message can have; in JSON: `V5_JSON`.
const V5: Recorded = &[
    ("%A", b""),
    ("%C", b"text/plain"),
    ("%D", b"cd"),
    ("%E", b"100"),
    ("%F", b"1"),
    ("%P", b"a:b a:c"),
    ("%R", b"re/ply"),
    ("%S", b"7"),
    ("%t", b"home/b\xc3\xbcro"),
    ("%p", b"{\"temp\": 21.5}"),
    ("%x", b"7b2274656d70223a2032312e357d"),
    ("%X", b"7B2274656D70223A2032312E357D"),
    ("%l", b"14"),
    ("%m", b"1"),
    ("%q", b"1"),
    ("%r", b"0"),
    ("%%", b"%"),
    ("@@", b"@"),
    ("[%10t]", b"[home/b\xc3\xbcro]"),
    ("[%-12t]", b"[home/b\xc3\xbcro  ]"),
    ("[%-12.4t]", b"[home        ]"),
    ("[%12.4t]", b"[        home]"),
    ("[%012t]", b"[  home/b\xc3\xbcro]"),
    ("[%5l]", b"[   14]"),
    ("[%05l]", b"[00014]"),
    ("[%-5l]", b"[14   ]"),
    ("[%-05l]", b"[14   ]"),
    ("[%20p]", b"[      {\"temp\": 21.5}]"),
    ("[%-20p]", b"[{\"temp\": 21.5}      ]"),
    ("[%5m]", b"[    1]"),
    ("[%05m]", b"[00001]"),
    ("[%20C]", b"[          text/plain]"),
    ("[%.4C]", b"[text]"),
    ("[%-12.4C]", b"[text        ]"),
    ("[%20D]", b"[cd]"),
    ("[%5E]", b"[  100]"),
    ("[%05E]", b"[00100]"),
    ("[%-5E]", b"[100  ]"),
    ("[%3F]", b"[  1]"),
    ("[%03F]", b"[001]"),
    ("[%10R]", b"[    re/ply]"),
    ("[%-10R]", b"[re/ply    ]"),
    ("[%.2R]", b"[re]"),
    ("[%5S]", b"[    7]"),
    ("[%05S]", b"[00007]"),
    ("[%-5S]", b"[7    ]"),
    ("[%5A]", b"[     ]"),
    ("[%05A]", b"[00000]"),
    ("[%40x]", b"[                          7b2274656d7022]"),
    ("[%040x]", b"[000000000000000000000000007b2274656d7022]"),
    ("[%-40x]", b"[7b2274656d7022                          ]"),
    ("[%040X]", b"[000000000000000000000000007B2274656D7022]"),
    ("[%4x]", b"[7b22]"),
    ("[%.4p]", b"[{\"temp\": 21.5}]"),
    ("[%.4x]", b"[7b2274656d70223a2032312e357d]"),
    ("[%5q]", b"[1]"),
    ("[%5r]", b"[0]"),
    ("[%5P]", b"[a:b a:c]"),
    (r"a\tb\nc\rd\ve\af\\g\0h\ei", b"a\tb\nc\rd\x0be\x07f\\g\x00h\x1bi"),
];

/// QoS 0, `hello` to `x/y`, without properties.
const V3: Recorded = &[
    ("%A", b""),
    ("%C", b""),
    ("%D", b""),
    ("%E", b""),
    ("%F", b""),
    ("%P", b""),
    ("%R", b""),
    ("%S", b""),
    ("%t", b"x/y"),
    ("%p", b"hello"),
    ("%x", b"68656c6c6f"),
    ("%X", b"68656C6C6F"),
    ("%l", b"5"),
    ("%m", b"0"),
    ("%q", b"0"),
    ("%r", b"0"),
    ("[%10m]", b"[         0]"),
    ("[%5E]", b"[     ]"),
    ("[%05E]", b"[00000]"),
    ("[%5F]", b"[     ]"),
    ("[%05F]", b"[00000]"),
    ("[%5S]", b"[     ]"),
    ("[%05S]", b"[00000]"),
    ("[%5A]", b"[     ]"),
    ("[%05A]", b"[00000]"),
    ("[%6C]", b"[      ]"),
    ("[%6R]", b"[]"),
    ("[%6D]", b"[]"),
    ("[%.3p]", b"[hello]"),
];

/// A payload of zero bytes.
const EMPTY: Recorded = &[
    ("%p", b""),
    ("%x", b""),
    ("[%5p]", b"[     ]"),
    ("[%5x]", b"[     ]"),
    ("[%05x]", b"[00000]"),
    ("%l", b"0"),
    ("%t %p", b"x/y "),
];

const BINARY_PAYLOAD: &[u8] = b"a\0\xff\n\x1f\"\\/\x7f\xc3\xa9\t\x08\x0c\r";

const BINARY: Recorded = &[
    ("%p", b"a\x00\xff\n\x1f\"\\/\x7f\xc3\xa9\t\x08\x0c\r"),
    ("%x", b"6100ff0a1f225c2f7fc3a909080c0d"),
    ("%X", b"6100FF0A1F225C2F7FC3A909080C0D"),
    ("%5p", b"a\x00\xff\n\x1f"),
    ("[%20p]", b"[     a\x00\xff\n\x1f\"\\/\x7f\xc3\xa9\t\x08\x0c\r]"),
    ("[%-20p]", b"[a\x00\xff\n\x1f\"\\/\x7f\xc3\xa9\t\x08\x0c\r     ]"),
    ("[%030x]", b"[00000000000000006100ff0a1f225c]"),
];

/// The clock at 2026-11-20T14:51:46.518385494+0530.
const TIME: Recorded = &[
    ("%I", b"2026-11-20T14:51:46+0530"),
    ("%U", b"1795166506.518385494"),
    ("[%5U]", b"[1795166506.518385494]"),
    ("@Y-@m-@d @H", b"2026-11-20 14"),
    ("@N", b"518385494"),
    ("[%35I]", b"[           2026-11-20T14:51:46+0530]"),
    ("[%-35I]", b"[2026-11-20T14:51:46+0530           ]"),
    ("[%.10I]", b"[2026-11-20]"),
];

/// What strftime makes of each letter at that time, in the C locale and the zone Asia/Kolkata.
const STRFTIME: &[(char, &str)] = &[
    ('a', "Fri"),
    ('b', "Nov"),
    ('c', "Fri Nov 20 14:51:46 2026"),
    ('d', "20"),
    ('e', "20"),
    ('f', "%f"),
    ('g', "26"),
    ('h', "Nov"),
    ('i', "%i"),
    ('j', "324"),
    ('k', "14"),
    ('l', " 2"),
    ('m', "11"),
    ('n', "\n"),
    ('o', "%o"),
    ('p', "PM"),
    ('q', "%q"),
    ('r', "02:51:46 PM"),
    ('s', "1795166506"),
    ('t', "\t"),
    ('u', "5"),
    ('v', "%v"),
    ('w', "5"),
    ('x', "11/20/26"),
    ('y', "26"),
    ('z', "+0530"),
    ('A', "Friday"),
    ('B', "November"),
    ('C', "20"),
    ('D', "11/20/26"),
    ('E', "%E"),
    ('F', "2026-11-20"),
    ('G', "2026"),
    ('H', "14"),
    ('I', "02"),
    ('J', "%J"),
    ('K', "%K"),
    ('L', "%L"),
    ('M', "51"),
    ('O', "%O"),
    ('P', "pm"),
    ('Q', "%Q"),
    ('R', "14:51"),
    ('S', "46"),
    ('T', "14:51:46"),
    ('U', "46"),
    ('V', "47"),
    ('W', "46"),
    ('X', "14:51:46"),
    ('Y', "2026"),
    ('Z', "IST"),
    ('+', "%+"),
    ('!', "%!"),
    ('1', "%1"),
];

const V5_JSON: &str = concat!(
    r#"{"tst":"2026-11-20T14:51:46.518385Z+0530","topic":"home/büro","qos":1,"retain":0,"payloadlen":14,"mid":1,"#,
    r#""properties":{"subscription-identifier":7,"content-type":"text/plain","correlation-data":"cd","#,
    r#""response-topic":"re/ply","payload-format-indicator":1,"user-properties":{"a":"b","a":"c"},"#,
    r#""message-expiry-interval":100},"payload":"#
);

static NONE: Properties = Properties::EMPTY;

fn v5_properties() -> Properties {
    Properties::from_properties([
        Property::ContentType("text/plain"),
        Property::CorrelationData(b"cd"),
        Property::ResponseTopic("re/ply"),
        Property::PayloadFormatIndicator(true),
        Property::UserProperty("a", "b"),
        Property::UserProperty("a", "c"),
    ])
    .unwrap()
}

fn v5(properties: &Properties) -> Fields<'_> {
    Fields {
        topic: "home/büro",
        payload: b"{\"temp\": 21.5}",
        qos: 1,
        retain: false,
        packet_id: 1,
        expiry: Some(100),
        subscription_ids: &[7],
        properties,
    }
}

fn v3(payload: &[u8]) -> Fields<'_> {
    Fields {
        topic: "x/y",
        payload,
        qos: 0,
        retain: false,
        packet_id: 0,
        expiry: None,
        subscription_ids: &[],
        properties: &NONE,
    }
}

fn now() -> Now {
    // The offset alone, so that no time zone database is needed.
    let zone = TimeZone::fixed(Offset::from_seconds(19_800).unwrap());
    Now::at(Timestamp::new(1_795_166_506, 518_385_494).unwrap().to_zoned(zone))
}

fn shown(format: &str, message: &Fields<'_>, pretty: bool) -> (String, Result<(), NotJson>) {
    let mut out = Vec::new();
    let result = Template::parse(format).unwrap().write(message, &mut now(), pretty, &mut out);
    (String::from_utf8(out).unwrap(), result)
}

#[track_caller]
fn check(recorded: Recorded, message: &Fields<'_>) {
    for (format, expected) in recorded {
        let mut out = Vec::new();
        let template = Template::parse(format).unwrap();
        assert_eq!(template.write(message, &mut now(), false, &mut out), Ok(()));
        assert_eq!(out.escape_ascii().to_string(), expected.escape_ascii().to_string(), "{format}");
    }
}

fn styled(style: &Style, message: &Fields<'_>, newline: bool) -> String {
    let mut out = Vec::new();
    style.write(message, newline, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn a_message_with_all_properties_is_shown_as_mosquitto_sub_shows_it() {
    check(V5, &v5(&v5_properties()));
}

#[test]
fn a_message_without_properties_is_shown_as_mosquitto_sub_shows_it() {
    check(V3, &v3(b"hello"));
}

#[test]
fn an_empty_payload_is_shown_as_mosquitto_sub_shows_it() {
    check(EMPTY, &v3(b""));
}

#[test]
fn a_binary_payload_is_shown_as_mosquitto_sub_shows_it() {
    check(BINARY, &v3(BINARY_PAYLOAD));
}

#[test]
fn times_are_shown_as_mosquitto_sub_shows_them() {
    check(TIME, &v3(b""));
}

#[test]
fn every_letter_of_strftime_is_shown_as_the_c_library_shows_it() {
    for (letter, expected) in STRFTIME {
        // An offset has no name: the library that makes IST of it knows the zone.
        if *letter != 'Z' {
            assert_eq!(now().strftime(*letter), *expected, "@{letter}");
        }
    }
}

#[test]
fn json_has_mosquittos_keys_in_its_order() {
    let properties = v5_properties();
    let message = v5(&properties);
    let expected = format!(r#"{V5_JSON}"{{\"temp\": 21.5}}"}}"#);
    assert_eq!(shown("%j", &message, false).0, expected);
    assert_eq!(shown("%J", &message, false).0, format!(r#"{V5_JSON}{{"temp":21.5}}}}"#));
    assert_eq!(
        shown("%j", &v3(b"hello"), false).0,
        r#"{"tst":"2026-11-20T14:51:46.518385Z+0530","topic":"x/y","qos":0,"retain":0,"payloadlen":5,"payload":"hello"}"#
    );
    assert!(shown("%j", &v3(b""), false).0.ends_with(r#""payloadlen":0,"payload":null}"#));
    assert!(shown("%J", &v3(b""), false).0.ends_with(r#""payloadlen":0,"payload":null}"#));
}

#[test]
fn pretty_json_is_indented_as_mosquitto_sub_indents_it() {
    let payload = br#"{"a":[1,{"b":null},[], "s"],"c":{},"d":"x", "e": [[1,2],[3]], "n": 1.5, "t": true}"#;
    let (text, _) = shown("%J", &v3(payload), true);
    let expected = "{\n\t\"tst\":\t\"2026-11-20T14:51:46.518385Z+0530\",\n\t\"topic\":\t\"x/y\",\n\t\"qos\":\t0,\n\
        \t\"retain\":\t0,\n\t\"payloadlen\":\t82,\n\t\"payload\":\t{\n\
        \t\t\"a\":\t[1, {\n\t\t\t\t\"b\":\tnull\n\t\t\t}, [], \"s\"],\n\t\t\"c\":\t{\n\t\t},\n\
        \t\t\"d\":\t\"x\",\n\t\t\"e\":\t[[1, 2], [3]],\n\t\t\"n\":\t1.5,\n\t\t\"t\":\ttrue\n\t}\n}";
    assert_eq!(text, expected);
}

#[test]
fn a_payload_that_is_no_text_becomes_an_array_of_bytes_so_that_the_line_stays_json() {
    assert!(shown("%j", &v3(b"a\0\xff"), false).0.ends_with(r#""payload":[97,0,255]}"#));
    let escaped = r#""payload":"\"\\/\u001f\b\f\n\r\té"}"#;
    assert!(shown("%j", &v3("\"\\/\x1f\x08\x0c\n\r\té".as_bytes()), false).0.ends_with(escaped));
}

#[test]
fn json_payloads_lose_their_blanks_and_nothing_else() {
    for (payload, expected) in [
        (r#" [ 1 , 2 ] "#, "[1,2]"),
        (r#""s""#, r#""s""#),
        ("12", "12"),
        ("-0.50e+3", "-0.50e+3"),
        ("12345678901234567890", "12345678901234567890"),
        (r#"{"a":1,"a":{ }}"#, r#"{"a":1,"a":{}}"#),
        (r#"{"a" :  "\ud83d\ude00\/é" , "b":[ ]}"#, r#"{"a":"\ud83d\ude00\/é","b":[]}"#),
        ("\ttrue\r\n", "true"),
        ("[false,null]", "[false,null]"),
    ] {
        let (text, result) = shown("%J", &v3(payload.as_bytes()), false);
        assert_eq!(result, Ok(()), "{payload}");
        assert!(text.ends_with(&format!(r#""payload":{expected}}}"#)), "{text}");
    }
}

#[test]
fn what_is_no_json_is_left_out_and_reported() {
    for payload in [
        "hello",
        "nul",
        "[1,]",
        "[1] x",
        "[",
        "{",
        "{\"a\"",
        "{\"a\":",
        "{\"a\":1",
        "{1:2}",
        "{\"a\" 1}",
        "{,}",
        "01",
        "1.",
        ".5",
        "-",
        "1e",
        "\"",
        "\"\\",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u12x4\"",
        "\"\n\"",
        "[1 2]",
        "[}",
        "{]",
        " ",
        "]",
    ] {
        assert_eq!(
            shown("%t %J|", &v3(payload.as_bytes()), false),
            ("x/y |".into(), Err(NotJson)),
            "{payload}"
        );
    }
    assert_eq!(shown("%J", &v3(b"\"\xff\""), false).1, Err(NotJson));
}

#[test]
fn json_may_be_a_thousand_deep_and_no_deeper() {
    let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(shown("%J", &v3(nested(1_000).as_bytes()), false).1, Ok(()));
    assert_eq!(shown("%J", &v3(nested(1_001).as_bytes()), false).1, Err(NotJson));
    assert_eq!(shown("%J", &v3("[".repeat(1_000_000).as_bytes()), false).1, Err(NotJson));
}

#[test]
fn the_payload_alone_is_printed_unless_it_is_empty() {
    assert_eq!(styled(&Style::Payload, &v3(b"x"), true), "x\n");
    assert_eq!(styled(&Style::Payload, &v3(b"x"), false), "x");
    assert_eq!(styled(&Style::Payload, &v3(b""), true), "");
}

#[test]
fn verbose_puts_the_topic_first_and_null_for_an_empty_payload() {
    assert_eq!(styled(&Style::Verbose, &v3(b"x"), true), "x/y x\n");
    assert_eq!(styled(&Style::Verbose, &v3(b"x"), false), "x/y x");
    assert_eq!(styled(&Style::Verbose, &v3(b""), true), "x/y (null)\n");
    assert_eq!(styled(&Style::Verbose, &v3(b""), false), "");
}

#[test]
fn a_template_ends_with_a_newline_unless_told_not_to() {
    let style = Style::Template { template: Template::parse("%p").unwrap(), pretty: false };
    assert_eq!(styled(&style, &v3(b"x"), true), "x\n");
    assert_eq!(styled(&style, &v3(b""), true), "\n");
    assert_eq!(styled(&style, &v3(b"x"), false), "x");
}

#[test]
fn what_is_no_format_is_refused() {
    for (format, error) in [
        ("%", TemplateError::Incomplete),
        ("abc%-", TemplateError::Incomplete),
        ("%05", TemplateError::Incomplete),
        ("%5.", TemplateError::Incomplete),
        ("@", TemplateError::Incomplete),
        ("\\", TemplateError::Incomplete),
        ("%z", TemplateError::Letter('z')),
        ("%0-5t", TemplateError::Letter('-')),
        ("\\q", TemplateError::Escape('q')),
        ("%99999t", TemplateError::TooWide),
    ] {
        assert_eq!(Template::parse(format), Err(error), "{format}");
    }
}
