//! What the fuzz targets do, one module each; `README.md` says how to run them.
//!
//! The functions take the fuzzer's bytes and panic when something is wrong: a bug of the core, never a matter of
//! the input.

pub mod broker;
pub mod chunking;
pub mod client;
pub mod decode;
mod naive;
mod packets;
pub mod round_trip;
pub mod seeds;
mod show;
pub mod topic;
mod wire;
