//! See [`karere_fuzz::topic`].
#![no_main]

libfuzzer_sys::fuzz_target!(
    init: karere_fuzz::seeds::write_if_asked("topic"),
    |input: &[u8]| karere_fuzz::topic::run(input)
);
