//! See [`karere_fuzz::client`].
#![no_main]

libfuzzer_sys::fuzz_target!(
    init: karere_fuzz::seeds::write_if_asked("client"),
    |input: &[u8]| karere_fuzz::client::run(input)
);
