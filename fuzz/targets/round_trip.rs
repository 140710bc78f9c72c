//! See [`karere_fuzz::round_trip`].
#![no_main]

libfuzzer_sys::fuzz_target!(
    init: karere_fuzz::seeds::write_if_asked("round_trip"),
    |input: &[u8]| karere_fuzz::round_trip::run(input)
);
