//! Where a broker keeps what outlives it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use karere_broker::{BrokerHandle, Durability, StoreOptions, StoreState};

use crate::args::{BrokerArgs, Data};
use crate::exit::Failure;
use crate::mosquitto_conf::Persistence;
use crate::output;

/// The folder within whatever folder is named for data of several programs.
const FOLDER: &str = "karere";

/// What the flags say, and else the file, and else the folder of whoever starts it; `None` for memory.
///
/// # Errors
/// There is no such folder.
pub(super) fn options(args: &BrokerArgs, file: &Persistence) -> Result<Option<StoreOptions>, Failure> {
    let path = match (&args.data, file) {
        (Some(Data::Folder(folder)), _) => PathBuf::from(folder),
        (Some(Data::Memory), _) | (None, Persistence::Memory) => return Ok(None),
        (None, Persistence::Folder(folder)) => Path::new(folder).join(FOLDER),
        (None, Persistence::Default) => {
            let folder = default_folder(|name| std::env::var_os(name).map(PathBuf::from), is_root());
            folder.ok_or_else(|| {
                Failure::usage("there is no home folder to keep data in: --data DIR, or --data none")
            })?
        }
    };
    Ok(Some(StoreOptions { path, durability: args.durability }))
}

/// The platform's folder for data of this user.
fn default_folder(variable: impl Fn(&str) -> Option<PathBuf>, is_root: bool) -> Option<PathBuf> {
    let set = |name| variable(name).filter(|path| path.is_absolute());
    if let Some(folder) = set("XDG_DATA_HOME") {
        return Some(folder.join(FOLDER));
    }
    if is_root {
        return Some(Path::new("/var/lib").join(FOLDER));
    }
    set("LOCALAPPDATA")
        .or_else(|| set("HOME").map(|home| home.join(".local/share")))
        .map(|folder| folder.join(FOLDER))
}

#[cfg(unix)]
fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[cfg(not(unix))]
fn is_root() -> bool {
    false
}

/// What is said when the broker starts.
pub(super) fn greeting(options: Option<&StoreOptions>, broker: &BrokerHandle) -> String {
    let (Some(StoreOptions { path, durability }), Some(found)) = (options, broker.store_found()) else {
        return "karere: data in memory only: what is acknowledged does not survive the end of the broker\n"
            .into();
    };
    let promise = match durability {
        Durability::Fsync => "an acknowledgement survives the loss of power",
        Durability::Os => "an acknowledgement survives the end of the broker, not the loss of power",
        Durability::None => "an acknowledgement survives an orderly end of the broker only",
    };
    let mut text = format!("karere: data in {}: {promise}\n", path.display());
    if found.sessions + found.retained > 0 {
        let _ = writeln!(
            text,
            "karere: found there: sessions {}, messages {}, retained messages {}",
            found.sessions, found.messages, found.retained
        );
    }
    text
}

/// Says what is not as it should be with what was found.
pub(super) fn complain_of_found(options: Option<&StoreOptions>, broker: &BrokerHandle) {
    let (Some(StoreOptions { path, .. }), Some(found)) = (options, broker.store_found()) else { return };
    for damage in &found.log.damages {
        output::complain(format_args!(
            "karere: warning: {}: {} bytes at byte {} of segment {} are damaged and were put aside; what was in them is lost",
            path.display(),
            damage.len,
            damage.offset,
            damage.segment
        ));
    }
    if found.strange > 0 {
        output::complain(format_args!(
            "karere: warning: {}: {} values cannot be understood and were left alone",
            path.display(),
            found.strange
        ));
    }
}

/// Says when the disk fails, is full, and works again.
pub(super) fn complain_of_change(before: &mut Option<StoreState>, broker: &BrokerHandle) {
    let now = broker.store_state();
    let trouble = |state: &Option<StoreState>| state.as_ref().map(|state| (state.failing, state.full));
    if trouble(before) != trouble(&now)
        && let Some(state) = &now
    {
        let error = state.last_error.as_deref().unwrap_or("the disk fails");
        output::complain(match (state.failing, state.full) {
            (true, _) => {
                format!("karere: {error}: what has to be stored is refused until the disk works again")
            }
            (false, true) => {
                "karere: the disk is full: what is new and has to be stored is refused".to_owned()
            }
            (false, false) => "karere: the disk works again".to_owned(),
        });
    }
    *before = now;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_is_the_users_and_the_systems_for_root() {
        let folder = |set: &[(&str, &str)], root| {
            let find = |name: &str| set.iter().find(|(of, _)| *of == name).map(|(_, to)| PathBuf::from(to));
            default_folder(find, root).map(|path| path.display().to_string())
        };
        let home = ("HOME", "/home/anna");
        assert_eq!(folder(&[home], false).as_deref(), Some("/home/anna/.local/share/karere"));
        assert_eq!(folder(&[home, ("XDG_DATA_HOME", "/data")], false).as_deref(), Some("/data/karere"));
        assert_eq!(
            folder(&[home, ("XDG_DATA_HOME", "here")], false).as_deref(),
            Some("/home/anna/.local/share/karere")
        );
        assert_eq!(folder(&[home], true).as_deref(), Some("/var/lib/karere"));
        assert_eq!(folder(&[], false), None);
    }
}
