//! Just enough of Rust's lexical rules to tell code from comments and literals.

/// `text` with every byte inside comments, strings and character literals replaced by a space. Lines stay where
/// they are, so that a line number means the same in both.
pub(super) fn code_only(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let length = literal_or_comment(bytes, at);
        let blank = length > 0;
        for &byte in &bytes[at..at + length.max(1)] {
            code.push(if (blank && byte != b'\n') || !byte.is_ascii() { b' ' } else { byte });
        }
        at += length.max(1);
    }
    String::from_utf8_lossy(&code).into_owned()
}

/// The length of the comment or literal that starts at `at`; 0 when it is code.
fn literal_or_comment(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at..];
    let after_name = at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
    match rest {
        [b'/', b'/', ..] => rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len()),
        [b'/', b'*', ..] => block_comment(rest),
        [b'"', ..] => quoted(rest, b'"'),
        [b'\'', ..] => character(rest),
        [b'b' | b'c', b'"', ..] if !after_name => 1 + quoted(&rest[1..], b'"'),
        [b'b', b'\'', ..] if !after_name => 1 + quoted(&rest[1..], b'\''),
        [b'r', b'"' | b'#', ..] if !after_name => raw_string(rest, 1),
        [b'b' | b'c', b'r', b'"' | b'#', ..] if !after_name => raw_string(rest, 2),
        _ => 0,
    }
}

fn block_comment(rest: &[u8]) -> usize {
    let (mut at, mut depth) = (0, 0);
    while at < rest.len() {
        match rest[at..] {
            [b'/', b'*', ..] => (at, depth) = (at + 2, depth + 1),
            [b'*', b'/', ..] => (at, depth) = (at + 2, depth - 1),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

fn quoted(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// A quote opens a character literal or names a lifetime: only a literal is closed after one character.
fn character(rest: &[u8]) -> usize {
    let Some(text) = rest.get(1..rest.len().min(8)) else { return 0 };
    match text {
        [b'\\', ..] => quoted(rest, b'\''),
        _ => {
            let first = text.first().copied().unwrap_or(0);
            let width = match first {
                0..0x80 => 1,
                0x80..0xE0 => 2,
                0xE0..0xF0 => 3,
                _ => 4,
            };
            if text.get(width) == Some(&b'\'') { width + 2 } else { 0 }
        }
    }
}

fn raw_string(rest: &[u8], prefix: usize) -> usize {
    let hashes = rest[prefix..].iter().take_while(|&&byte| byte == b'#').count();
    if rest.get(prefix + hashes) != Some(&b'"') {
        return 0; // a raw identifier such as r#type
    }
    let end: Vec<u8> = std::iter::once(b'"').chain(std::iter::repeat_n(b'#', hashes)).collect();
    let body = prefix + hashes + 1;
    let close = rest[body..].windows(end.len()).position(|window| window == end);
    close.map_or(rest.len(), |at| body + at + end.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_blank_and_code_is_not() {
        let text = "let a = \"fn {\"; // fn {\nlet b = 'x'; /* { /* { */ } */ let c: &'a str = r#\"\"{\"#;\n";
        let code = code_only(text);
        assert_eq!(code.lines().count(), text.lines().count());
        assert!(!code.contains('{') && !code.contains('x') && !code.contains("fn"));
        assert!(code.contains("let a =") && code.contains("let b =") && code.contains("let c: &'a str ="));
    }

    #[test]
    fn escapes_do_not_end_a_literal() {
        let literals = r#"f("\"{", '\'', b'\'', b"{\\")}"#;
        assert_eq!(code_only(literals).replace(' ', ""), "f(,,,)}");
        assert_eq!(code_only("r#type + 'é' + br\"\\\"").replace(' ', ""), "r#type++");
    }
}
