//! `cargo xtask soak`: what only shows after a long time.

use std::path::Path;

use crate::process::tee;
use crate::python;

const CYCLES: u64 = 100_000;

/// `cargo xtask soak python [--cycles N]`: so many connections of each of Python's faces, and nothing may pile up.
///
/// # Errors
/// Something piles up, or the packages cannot be built.
pub(crate) fn soak(root: &Path, arguments: &[&str]) -> Result<(), String> {
    let cycles = match arguments {
        ["python"] => CYCLES,
        ["python", "--cycles", number] => {
            number.parse().map_err(|_| format!("soak: {number} is no number of cycles"))?
        }
        _ => return Err("soak: what there is, is `soak python [--cycles N]`".to_owned()),
    };
    python::install(root, python::Build::Native)?;
    let mut command = python::program(root, "python/tests/soak/soak.py");
    command.arg(cycles.to_string());
    if tee(&mut command).success { Ok(()) } else { Err("soak: something piles up".to_owned()) }
}
