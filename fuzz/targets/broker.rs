//! See [`karere_fuzz::broker`].
#![no_main]

libfuzzer_sys::fuzz_target!(
    init: karere_fuzz::seeds::write_if_asked("broker"),
    |input: &[u8]| karere_fuzz::broker::run(input)
);
