//! See [`karere_fuzz::decode`].
#![no_main]

libfuzzer_sys::fuzz_target!(
    init: karere_fuzz::seeds::write_if_asked("decode"),
    |input: &[u8]| karere_fuzz::decode::run(input)
);
