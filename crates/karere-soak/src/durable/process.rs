//! What a process has used, as the system tells it.

use std::fs;
use std::time::Duration;

/// The system counts CPU in these.
const TICK: Duration = Duration::from_millis(10);

/// CPU of all threads of `process`, to 10 ms.
pub(crate) fn cpu(process: u32) -> Duration {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    ticks(&text).map_or(Duration::ZERO, |ticks| TICK * ticks)
}

/// Memory of `process` that is there now, and the most that ever was, in MiB.
pub(crate) fn memory_mib(process: u32) -> (u64, u64) {
    let text = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.split_whitespace().next().and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) / 1024
    };
    (field("VmRSS:"), field("VmHWM:"))
}

/// User and system time: the 14th and 15th fields, behind a name that may hold anything.
fn ticks(stat: &str) -> Option<u32> {
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<u32>().ok();
    Some(number(11)? + number(12)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_stands_behind_a_name_with_a_bracket_in_it() {
        let line = "77 (a) b) S 1 77 77 0 -1 4194560 100 0 0 0 12 34 0 0 20 0 3 0 100 1000 10";
        assert_eq!(ticks(line), Some(46));
        assert_eq!(ticks(""), None);
    }

    #[test]
    fn this_process_has_memory() {
        let (now, most) = memory_mib(std::process::id());
        assert!(now > 0 && most >= now, "{now} {most}");
    }
}
