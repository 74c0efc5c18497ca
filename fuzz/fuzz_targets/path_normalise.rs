//! See `fuzzing::PATH_NORMALISE`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| (fuzzing::PATH_NORMALISE.run)(input));
