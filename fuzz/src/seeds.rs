//! The first corpus: made when it is needed, so that none has to be kept.

use std::path::Path;

use arbitrary::Unstructured;
use karere_core::codec::PacketType;

use crate::{packets, wire};

/// The folder into which a target writes its seeds instead of fuzzing.
const FOLDER: &str = "KARERE_FUZZ_SEEDS";

/// How many seeds a target gets, and how many bytes each is made of.
const COUNT: u64 = 120;
const BYTES: usize = 400;

/// Writes the seeds of `target` and ends the program, if the environment names a folder for them.
///
/// # Panics
/// When they cannot be written.
pub fn write_if_asked(target: &str) {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let folder = Path::new(&folder);
    std::fs::create_dir_all(folder).expect("a folder for the seeds");
    for number in 0..COUNT {
        for (part, seed) in seeds(target, number).into_iter().enumerate() {
            std::fs::write(folder.join(format!("seed-{number:03}-{part:02}")), seed).expect("a seed written");
        }
    }
    std::process::exit(0);
}

/// For bytes off the wire, a packet of each type; for what is structured, bytes to make the structure of.
fn seeds(target: &str, number: u64) -> Vec<Vec<u8>> {
    let bytes = noise(number);
    if target != "decode" {
        return vec![bytes];
    }
    let version = packets::VERSIONS[number as usize % packets::VERSIONS.len()];
    let packet = |kind| packets::packet_of(&mut Unstructured::new(&bytes), kind, version).ok();
    let packets = PacketType::ALL.into_iter().filter_map(packet);
    packets.map(|packet| wire::encode(version, &packet).to_vec()).collect()
}

/// Bytes that look random and are the same each time (xorshift).
fn noise(number: u64) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15 ^ (number + 1).wrapping_mul(0xD134_2543_DE82_EF95);
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..BYTES).map(|_| next()).collect()
}
