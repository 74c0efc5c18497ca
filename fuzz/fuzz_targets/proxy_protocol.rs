//! See `fuzzing::PROXY_PROTOCOL`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| (fuzzing::PROXY_PROTOCOL.run)(input));
