//! How long a file and a function may be.

use super::tree::{Source, Tree};
use super::{Finding, laws};

const CORE_FILE_LINES_MAX: usize = 800;
const FILE_LINES_MAX: usize = 1000;
const FUNCTION_LINES_MAX: usize = 100;

pub(super) fn files(tree: &Tree) -> Vec<Finding> {
    let programs = tree.sources.iter().filter(|source| is_program(&source.path));
    programs
        .filter_map(|source| {
            let max = if source.path.starts_with(laws::CORE) { CORE_FILE_LINES_MAX } else { FILE_LINES_MAX };
            let lines = source.text.lines().count();
            (lines > max).then(|| {
                Finding::new(source, 0, format!("{lines} lines, at most {max}: split it by subject"))
            })
        })
        .collect()
}

pub(super) fn functions(tree: &Tree) -> Vec<Finding> {
    tree.rust().flat_map(|source| long_functions(source).into_iter()).collect()
}

fn is_program(path: &str) -> bool {
    [".rs", ".py", ".pyi", ".js", ".sh"].iter().any(|ending| path.ends_with(ending))
}

fn long_functions(source: &Source) -> Vec<Finding> {
    let code = source.code.as_bytes();
    let line_of = |at: usize| source.code[..at].matches('\n').count() + 1;
    let starts = source.code.match_indices("fn ").map(|(at, _)| at);
    starts
        .filter(|&at| at == 0 || !(code[at - 1].is_ascii_alphanumeric() || code[at - 1] == b'_'))
        .filter_map(|at| {
            let end = body_end(code, at)?;
            let lines = line_of(end) - line_of(at) + 1;
            let name: String =
                source.code[at + 3..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            let what = format!("fn {name} has {lines} lines, at most {FUNCTION_LINES_MAX}");
            (lines > FUNCTION_LINES_MAX).then(|| Finding::new(source, line_of(at), what))
        })
        .collect()
}

/// Where the body of the function whose `fn` stands at `start` ends; None when it has no body.
fn body_end(code: &[u8], start: usize) -> Option<usize> {
    let (mut brackets, mut braces) = (0_usize, 0_usize);
    for (offset, byte) in code[start..].iter().enumerate() {
        match byte {
            b'(' | b'[' => brackets += 1,
            b')' | b']' => brackets = brackets.saturating_sub(1),
            b';' if brackets == 0 && braces == 0 => return None,
            b'{' => braces += 1,
            b'}' if braces <= 1 => return (braces == 1).then_some(start + offset),
            b'}' => braces -= 1,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(lines: usize) -> String {
        let body = "    step(); // }\n".repeat(lines - 2);
        format!("fn work(a: [u8; 3]) -> Vec<u8> {{\n{body}}}\n")
    }

    #[test]
    fn a_file_of_the_core_may_have_800_lines_and_another_1000() {
        let text = "//\n".repeat(801);
        let found =
            files(&Tree::of(&[("crates/karere-core/src/a.rs", &text), ("crates/karere/src/a.rs", &text)]));
        assert_eq!(found.len(), 1);
        assert!(found[0].to_string().starts_with("crates/karere-core/src/a.rs: 801 lines"));
        assert_eq!(files(&Tree::of(&[("python/a.py", &"#\n".repeat(1001))])).len(), 1);
    }

    #[test]
    fn a_function_may_have_100_lines() {
        let sample = format!("trait T {{ fn declared(&self); }}\n{}", function(101));
        let found = functions(&Tree::of(&[("a.rs", &sample), ("b.rs", &function(100))]));
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].to_string(), "a.rs:2: fn work has 101 lines, at most 100");
    }
}
