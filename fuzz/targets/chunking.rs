//! See [`karere_fuzz::chunking`].
#![no_main]

libfuzzer_sys::fuzz_target!(
    init: karere_fuzz::seeds::write_if_asked("chunking"),
    |input: &[u8]| karere_fuzz::chunking::run(input)
);
