//! See `fuzzing::ADMIN_BODY`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| (fuzzing::ADMIN_BODY.run)(input));
