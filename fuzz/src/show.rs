//! The story of one input, for who looks at a crash.

use std::fmt;
use std::sync::LazyLock;

/// Prints what happens to standard error while the environment has `KARERE_FUZZ_SHOW`.
pub(crate) fn show(line: fmt::Arguments<'_>) {
    static ON: LazyLock<bool> = LazyLock::new(|| std::env::var_os("KARERE_FUZZ_SHOW").is_some());
    if *ON {
        eprintln!("{line}");
    }
}
