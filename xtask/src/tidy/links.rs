//! Markdown links that lead nowhere.

use super::Finding;
use super::modules::normal;
use super::tree::Tree;

/// Every link to a file of the tree must find it, and every `#anchor` its heading. Links to elsewhere are not followed.
pub(super) fn broken(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in tree.sources.iter().filter(|source| source.path.ends_with(".md")) {
        for (line, target) in targets(&source.text) {
            if let Some(what) = problem(tree, &source.path, &target) {
                findings.push(Finding::new(source, line, what));
            }
        }
    }
    findings
}

fn problem(tree: &Tree, from: &str, target: &str) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
    let folder = from.rsplit_once('/').map_or("", |(folder, _)| folder);
    let path = if file.is_empty() { from.to_owned() } else { normal(&format!("{folder}/{file}")) };
    if !tree.exists(&path) {
        return Some(format!("the link to {target} finds no file"));
    }
    let anchors: Vec<String> = tree.get(&path).map(|source| headings(&source.text)).unwrap_or_default();
    let found = anchor.is_empty() || anchors.iter().any(|heading| heading == anchor);
    (!found).then(|| format!("the link to {target} finds no heading"))
}

/// The targets of `[text](target)` and `[text]: target`, with their line, outside code.
fn targets(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (line, text) in prose(text) {
        let inline = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        let reference =
            text.strip_prefix('[').and_then(|rest| rest.split_once("]: ")).map(|(_, target)| target);
        let all = inline.chain(reference).filter_map(|target| target.split_whitespace().next());
        found.extend(all.map(|target| (line, target.trim_matches(['<', '>']).to_owned())));
    }
    found
}

/// The lines outside code blocks, numbered from 1, without their inline code.
fn prose(text: &str) -> Vec<(usize, String)> {
    let mut lines = Vec::new();
    let mut in_code = false;
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        } else if !in_code {
            lines.push((index + 1, line.split('`').step_by(2).collect()));
        }
    }
    lines
}

/// The anchors that GitHub gives to the headings: lower case, spaces as hyphens, without punctuation.
fn headings(text: &str) -> Vec<String> {
    let mut in_code = false;
    let mut found = Vec::new();
    for line in text.lines() {
        in_code ^= line.trim_start().starts_with("```");
        let title = line.trim_start_matches('#');
        if in_code || title == line || !title.starts_with(' ') {
            continue;
        }
        let kept = title.trim().chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        found.push(kept.collect::<String>().to_lowercase().replace(' ', "-"));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_without_a_file_or_a_heading_is_found() {
        let page = "# The design: a `page`\n[a](docs/there.md) [b](docs/gone.md#x) [c](#the-design-a-page)\n\
                    [d](#nowhere) `[e](code.md)` [f](https://example.org/x)\n```\n[g](block.md)\n```\n[h]: ../out.md\n";
        let found =
            broken(&Tree::of(&[("README.md", page), ("docs/there.md", "[up](../README.md) [folder](.)")]));
        let lines: Vec<_> = found.iter().map(|finding| (finding.line, finding.what.as_str())).collect();
        let expected = [
            (2, "the link to docs/gone.md#x finds no file"),
            (3, "the link to #nowhere finds no heading"),
            (7, "the link to ../out.md finds no file"),
        ];
        assert_eq!(lines, expected);
    }
}
