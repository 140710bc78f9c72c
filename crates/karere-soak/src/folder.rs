//! Where data and logs of a run go.

use std::fs;
use std::path::{Path, PathBuf};

/// A folder; removed with what is in it, unless it was asked for by name.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    keep: bool,
}

impl Folder {
    /// `named`, or one of its own among the system's temporary ones.
    pub(crate) fn new(named: Option<&Path>) -> Result<Self, String> {
        let temporary = std::env::temp_dir().join(format!("karere-soak-{}", std::process::id()));
        let path = named.map_or(temporary, Path::to_path_buf);
        fs::create_dir_all(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self { path, keep: named.is_some() })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.keep {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}
