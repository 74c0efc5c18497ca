//! See `fuzzing::HTTP1_REQUEST`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| (fuzzing::HTTP1_REQUEST.run)(input));
