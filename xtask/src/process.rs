//! Running other programs.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

/// What a program did: whether it exited with 0, and all that it printed.
pub(crate) struct Output {
    pub(crate) success: bool,
    pub(crate) text: String,
}

/// `cargo` as it started us, without the variables that `cargo run` set for us: build scripts
/// that watch them would run again each time somebody changes between `cargo xtask` and `cargo build`.
pub(crate) fn cargo(root: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") || text == "LD_LIBRARY_PATH"
        {
            command.env_remove(&name);
        }
    }
    command
}

/// Runs `command`, shows its output while it runs, and keeps it.
pub(crate) fn tee(command: &mut Command) -> Output {
    let mut child = match command.stdout(Stdio::piped()).stderr(Stdio::piped()).stdin(Stdio::null()).spawn() {
        Ok(child) => child,
        Err(error) => return not_started(command, &error),
    };
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let out = thread::spawn(|| stdout.map_or_else(String::new, |pipe| show(pipe, std::io::stdout())));
    let err = thread::spawn(|| stderr.map_or_else(String::new, |pipe| show(pipe, std::io::stderr())));
    let text = [out, err].map(|reader| reader.join().unwrap_or_default()).concat();
    Output { success: child.wait().is_ok_and(|status| status.success()), text }
}

/// Runs `command` and keeps its output to ourselves.
pub(crate) fn capture(command: &mut Command) -> Output {
    match command.stdin(Stdio::null()).output() {
        Err(error) => not_started(command, &error),
        Ok(output) => {
            let text =
                [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
            Output { success: output.status.success(), text: text.concat() }
        }
    }
}

/// Runs `command` with its output in the file `log`; on failure the error holds the end of it.
pub(crate) fn logged(command: &mut Command, log: &Path) -> Result<(), String> {
    let name = format!("{command:?}").replace('"', "");
    let file = || File::options().create(true).append(true).open(log);
    let (mut out, err) =
        file().and_then(|out| Ok((out, file()?))).map_err(|e| format!("{}: {e}", log.display()))?;
    let _ = writeln!(out, "\n$ {name}");
    let status = command.stdin(Stdio::null()).stdout(out).stderr(err).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{name}: {status}\n{}\n(the whole log: {})", tail(log, 30), log.display())),
        Err(error) => Err(format!("{name}: {error}")),
    }
}

/// Where a program is, in `PATH` or among the system's daemons (which a user's `PATH` leaves out on Debian).
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/local/sbin".into(), "/usr/sbin".into()]);
    folders.map(|folder: PathBuf| folder.join(program)).find(|file| file.is_file())
}

fn not_started(command: &Command, error: &std::io::Error) -> Output {
    let text = format!("cannot run {}: {error}\n", command.get_program().to_string_lossy());
    eprint!("{text}");
    Output { success: false, text }
}

fn show(from: impl std::io::Read, mut to: impl Write) -> String {
    let mut text = String::new();
    let mut lines = BufReader::new(from);
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
        let _ = to.write_all(&line).and_then(|()| to.flush());
        text.push_str(&String::from_utf8_lossy(&line));
        line.clear();
    }
    text
}

fn tail(file: &Path, lines: usize) -> String {
    let text = std::fs::read(file).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}
