//! See `fuzzing::DECLARATIVE`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| (fuzzing::DECLARATIVE.run)(input));
