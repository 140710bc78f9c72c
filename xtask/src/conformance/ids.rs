//! The ids of the statements: `conformance/ids-3.1.1.txt` and its like. A line that is no id is a chapter's number
//! and title; the ids behind it are its own.

use crate::tidy::tree::Tree;

/// One standard.
pub(super) struct Standard {
    pub(super) name: String,
    pub(super) chapters: Vec<Chapter>,
}

/// One chapter of it.
pub(super) struct Chapter {
    pub(super) number: String,
    pub(super) title: String,
    pub(super) ids: Vec<String>,
}

impl Standard {
    /// Whether `id` is a statement of this standard, which is called `standard`.
    pub(super) fn has(&self, standard: &str, id: &str) -> bool {
        self.name == standard && self.chapters.iter().any(|chapter| chapter.ids.iter().any(|each| each == id))
    }
}

/// All standards whose ids are there.
pub(super) fn read(tree: &Tree) -> Vec<Standard> {
    let name = |path: &str| {
        path.strip_prefix("conformance/ids-").and_then(|rest| rest.strip_suffix(".txt")).map(str::to_owned)
    };
    let files = tree.sources.iter().filter_map(|source| Some((name(&source.path)?, &source.text)));
    files.map(|(name, text)| Standard { name, chapters: chapters(text) }).collect()
}

fn chapters(text: &str) -> Vec<Chapter> {
    let mut chapters: Vec<Chapter> = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if !line.starts_with("MQTT-") {
            let (number, title) = line.split_once(' ').unwrap_or((line, ""));
            chapters.push(Chapter { number: number.to_owned(), title: title.to_owned(), ids: Vec::new() });
        } else if let Some(chapter) = chapters.last_mut() {
            chapter.ids.push(line.to_owned());
        }
    }
    chapters
}
