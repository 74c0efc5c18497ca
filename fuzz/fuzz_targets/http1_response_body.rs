//! See `fuzzing::HTTP1_RESPONSE_BODY`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| (fuzzing::HTTP1_RESPONSE_BODY.run)(input));
