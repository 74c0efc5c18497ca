use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn a_seal_is_read_back(length: u64, sum: [u8; 32]) {
        let seal = Seal { format: FORMAT, length, sum };
        prop_assert_eq!(Seal::of_line(seal.to_line().trim_end()), Some(seal));
    }

    #[test]
    fn any_line_is_a_seal_or_not(line in ".*") {
        let _ = Seal::of_line(&line);
    }

    #[test]
    fn a_seal_with_another_byte_is_another_seal_or_none(at in 0_usize..112, bit in 0_u32..7) {
        let seal = Seal { format: FORMAT, length: 1234, sum: [0xa5; 32] };
        let mut line = seal.to_line().trim_end().as_bytes().to_vec();
        prop_assume!(at < line.len());
        line[at] ^= 1 << bit;
        let line = String::from_utf8(line).unwrap();
        prop_assert_ne!(Seal::of_line(&line), Some(seal));
    }
}

#[test]
fn of_a_newer_format_only_the_number_is_read() {
    for line in [
        "silverback-backup 2",
        "silverback-backup 7 whatever comes then",
    ] {
        assert!(Seal::of_line(line).is_some_and(|seal| seal.format > FORMAT));
    }
    for line in [
        "",
        "silverback-backup",
        "silverback-backup x",
        "silverback-backup 0 1",
    ] {
        assert_eq!(Seal::of_line(line), None, "{line}");
    }
}
