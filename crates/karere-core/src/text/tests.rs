use std::format;
use std::string::{String, ToString};

use bytes::Bytes;

use super::*;

fn from_wire(bytes: &'static [u8]) -> Result<Text, TextError> {
    Text::from_bytes(Bytes::from_static(bytes))
}

#[test]
fn a_string_of_65_535_bytes_fits_and_one_more_does_not() {
    assert_eq!(Text::new("a".repeat(65_535)).map(|text| text.len()), Ok(65_535));
    assert_eq!(Text::new("a".repeat(65_536)), Err(TextError::TooLong { len: 65_536 }));
    assert_eq!(Text::try_from("a".repeat(65_536)), Err(TextError::TooLong { len: 65_536 }));
    assert_eq!(
        Text::from_bytes(Bytes::from(std::vec![b'a'; 65_536])),
        Err(TextError::TooLong { len: 65_536 })
    );
}

#[test]
fn the_null_character_is_refused_wherever_it_stands() {
    assert_eq!(Text::new("a\0b"), Err(TextError::Null));
    assert_eq!(Text::from_static("\0"), Err(TextError::Null));
    assert_eq!(Text::try_from(String::from("ab\0")), Err(TextError::Null));
    assert_eq!(from_wire(b"ab\0"), Err(TextError::Null));
    assert_eq!(decode(b"ab\0"), Err(TextError::Null));
}

#[test]
fn surrogates_overlong_forms_and_cut_characters_are_not_utf_8() {
    let ill_formed: [&'static [u8]; 6] =
        [b"\xED\xA0\x80", b"\xED\xBF\xBF", b"\xC0\x80", b"\xC0\xAF", b"\xE2\x82", b"a\xFF"];
    for bytes in ill_formed {
        assert_eq!(from_wire(bytes), Err(TextError::NotUtf8), "{bytes:x?}");
        assert_eq!(decode(bytes), Err(TextError::NotUtf8), "{bytes:x?}");
    }
}

#[test]
fn the_specifications_example_is_a_latin_letter_and_an_ideograph() {
    assert_eq!(from_wire(b"A\xF0\xAA\x9B\x94").unwrap(), "A\u{2A6D4}");
}

#[test]
fn a_byte_order_mark_is_kept() {
    assert_eq!(from_wire(b"\xEF\xBB\xBFa").unwrap().as_str(), "\u{FEFF}a");
}

#[test]
fn control_characters_and_non_characters_are_let_through() {
    assert!(Text::new("\u{1}\u{1F}\u{7F}\u{9F}\u{FFFF}").is_ok());
}

#[test]
fn a_compact_text_shares_nothing_with_the_frame() {
    let frame = Bytes::from(std::vec![b'a'; 1000]);
    let text = Text::from_bytes(frame.slice(0..3)).unwrap();
    assert_eq!(text.as_bytes().as_ptr(), frame.as_ptr());
    assert_ne!(text.compact().as_bytes().as_ptr(), frame.as_ptr());
    assert_eq!(text.compact(), text);
}

#[test]
fn it_prints_as_its_string_does() {
    let text = Text::new("a\"b").unwrap();
    assert_eq!(text.to_string(), "a\"b");
    assert_eq!(format!("{text:?}"), "\"a\\\"b\"");
}

#[test]
fn an_error_tells_the_length_and_becomes_a_malformed_packet() {
    assert_eq!(
        TextError::TooLong { len: 70_000 }.to_string(),
        "a string of 70000 bytes does not fit: the most is 65535"
    );
    assert_eq!(crate::Error::from(TextError::Null), crate::Error::Malformed("string contains U+0000"));
}

#[test]
fn the_quick_look_finds_every_odd_byte_at_every_place() {
    for len in 0..40 {
        assert!(is_plain(&std::vec![b'a'; len]) && is_plain_name(&std::vec![b'a'; len]));
        for at in 0..len {
            for (byte, plain) in [(0, false), (1, true), (0x7F, true), (0x80, false), (0xFF, false)] {
                let mut bytes = std::vec![b'a'; len];
                bytes[at] = byte;
                assert_eq!(is_plain(&bytes), plain, "{byte:#x} at {at} of {len}");
            }
            for byte in 0..=255 {
                let mut bytes = std::vec![b'/'; len];
                bytes[at] = byte;
                let plain = byte.is_ascii() && !matches!(byte, 0 | b'+' | b'#');
                assert_eq!(is_plain_name(&bytes), plain, "{byte:#x} at {at} of {len}");
            }
        }
    }
}
