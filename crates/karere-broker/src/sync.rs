//! The locks of what is model-checked: `tests/loom.rs` includes the same files with loom's in their place.

pub(crate) use parking_lot::{Mutex, MutexGuard};
pub(crate) use std::sync::Arc;
