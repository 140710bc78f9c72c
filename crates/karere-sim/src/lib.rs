//! Many clients and one broker in one thread, in virtual time, over connections that take their time, break after any
//! byte and are noticed to be broken late: one seed decides everything.
//!
//! Clients and broker are the core's state machines as they ship, and so are the broker's ledger, its log and its recovery, on a
//! disk that tears, loses and fails; the broker's host is this crate's own, see `host`. It is killed at any moment, and
//! started again on what is left. What happens is
//! written down with messages that are each unlike any other, and a naive model of a broker then says what should have
//! happened ([`Kind`] lists what is held). After the trouble comes calm, and then everything that was promised must
//! have arrived.
//!
//! ```
//! let verdict = karere_sim::simulate(7, None);
//! assert!(verdict.violations.is_empty(), "{verdict}");
//! ```

mod agenda;
mod around;
mod check;
mod crash;
mod fault;
mod history;
mod host;
mod mutants;
mod peer;
mod plan;
mod random;
mod shrink;
mod tap;
mod verdict;
mod wire;
mod world;

pub use check::{Kind, Violation};
pub use crash::{CrashPoints, crash_points};
pub use fault::{FAULTS, Fault, Named};
pub use mutants::{Outcome, mutants};
pub use shrink::{minimal_trace, whole_history};
pub use verdict::{Counts, Verdict};

use world::Setting;

/// Runs what `seed` plans, with a fault if there is to be one, and checks it.
#[must_use]
pub fn simulate(seed: u64, fault: Option<Fault>) -> Verdict {
    verdict::judge(&Setting { seed, fault, ..Setting::default() })
}
