//! The files that git knows, read once.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use super::lexer::code_only;

/// One text file.
pub(crate) struct Source {
    /// Relative to the workspace, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
    /// For Rust: `text` with everything in comments and literals blanked, line for line. Otherwise empty.
    pub(crate) code: String,
}

/// All of them.
pub(crate) struct Tree {
    pub(crate) sources: Vec<Source>,
    files: BTreeSet<String>, // the binary ones too
}

impl Tree {
    /// Reads what git tracks and what it would add: a file not yet added is looked at as well.
    pub(crate) fn read(root: &Path) -> Result<Tree, String> {
        let arguments = ["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate"];
        let output = Command::new("git").current_dir(root).args(arguments).output();
        let output = output.map_err(|error| format!("cannot run git: {error}"))?;
        if !output.status.success() {
            return Err(format!("git ls-files: {}", String::from_utf8_lossy(&output.stderr).trim()));
        }
        let names = String::from_utf8_lossy(&output.stdout).into_owned();
        let mut tree = Tree { sources: Vec::new(), files: BTreeSet::new() };
        for name in names.split('\0').filter(|name| !name.is_empty()) {
            match std::fs::read(root.join(name)) {
                Ok(bytes) => tree.add(name, &bytes),
                Err(_) => continue, // deleted, and the deletion not yet added
            }
        }
        Ok(tree)
    }

    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)]) -> Tree {
        let mut tree = Tree { sources: Vec::new(), files: BTreeSet::new() };
        files.iter().for_each(|(name, text)| tree.add(name, text.as_bytes()));
        tree
    }

    pub(crate) fn rust(&self) -> impl Iterator<Item = &Source> {
        self.sources.iter().filter(|source| is_rust(&source.path))
    }

    pub(crate) fn get(&self, path: &str) -> Option<&Source> {
        self.sources.iter().find(|source| source.path == path)
    }

    /// Whether there is a file, or a folder with a file in it, of that name.
    pub(crate) fn exists(&self, path: &str) -> bool {
        let folder = format!("{}/", path.trim_end_matches('/'));
        path.is_empty()
            || self.files.contains(path)
            || self.files.iter().any(|file| file.starts_with(&folder))
    }

    fn add(&mut self, path: &str, bytes: &[u8]) {
        self.files.insert(path.to_owned());
        if let Ok(text) = std::str::from_utf8(bytes) {
            let code = if is_rust(path) { code_only(text) } else { String::new() };
            self.sources.push(Source { path: path.to_owned(), text: text.to_owned(), code });
        }
    }
}

fn is_rust(path: &str) -> bool {
    Path::new(path).extension().is_some_and(|extension| extension == "rs")
}
