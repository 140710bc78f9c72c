//! What is said about a file: mistakes and gaps in one error, or notices.

use std::fmt::Write as _;

use super::catalogue::{Feature, nearest};
use super::line::{Line, Place};

/// What was found in a file.
#[derive(Debug, Default)]
pub(super) struct Findings {
    mistakes: Vec<String>,
    missing: Vec<(Feature, Vec<String>)>,
    ignored: Vec<(&'static str, Vec<String>)>,
}

impl Findings {
    /// A line that cannot be as it stands.
    pub(super) fn mistake(&mut self, line: &Line<'_>, what: &str) {
        self.mistake_at(&line.place, line.name, what);
    }

    pub(super) fn mistake_at(&mut self, place: &Place, name: &str, what: &str) {
        self.mistakes.push(format!("{place}: {name}: {what}"));
    }

    pub(super) fn unknown(&mut self, line: &Line<'_>) {
        let guess = nearest(line.name).map(|name| format!(". Is it {name}?")).unwrap_or_default();
        self.mistakes.push(format!("{}: {}: mosquitto has no such option{guess}", line.place, line.name));
    }

    /// An option that asks for what is not there yet.
    pub(super) fn missing(&mut self, feature: Feature, name: &str, place: &Place) {
        gather(&mut self.missing, feature, format!("{name} ({place})"));
    }

    pub(super) fn ignored(&mut self, line: &Line<'_>, why: &'static str) {
        gather(&mut self.ignored, why, format!("{} ({})", line.name, line.place));
    }

    /// What to tell about a file that is followed; or all that keeps it from being followed.
    pub(super) fn conclude(self, file: &str) -> Result<Vec<String>, String> {
        if !self.mistakes.is_empty() || !self.missing.is_empty() {
            return Err(self.error(file));
        }
        let ignored = self.ignored.into_iter();
        let ignored = ignored.map(|(why, options)| format!("ignored: {}: {why}", options.join(", ")));
        Ok(ignored.collect())
    }

    fn error(&self, file: &str) -> String {
        let mut text = format!("cannot follow {file}");
        for mistake in &self.mistakes {
            let _ = write!(text, "\n  {mistake}");
        }
        for (feature, options) in &self.missing {
            let _ = write!(text, "\n  not there yet: {}\n    {}", feature.what, options.join(", "));
            if let Some(instead) = feature.instead {
                let _ = write!(text, "\n    instead: {instead}");
            }
        }
        text
    }
}

/// Under the same heading, in the order in which they came.
fn gather<K: PartialEq>(groups: &mut Vec<(K, Vec<String>)>, heading: K, item: String) {
    match groups.iter_mut().find(|(known, _)| *known == heading) {
        Some((_, items)) => items.push(item),
        None => groups.push((heading, vec![item])),
    }
}
