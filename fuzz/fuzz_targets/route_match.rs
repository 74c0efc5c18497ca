//! See `fuzzing::ROUTE_MATCH`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| (fuzzing::ROUTE_MATCH.run)(input));
