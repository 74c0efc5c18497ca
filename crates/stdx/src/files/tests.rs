use std::io::ErrorKind;
use std::path::Path;

use super::*;

#[test]
fn a_file_is_read_up_to_the_bound_and_no_further() {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let whole = read_bounded(&own, SMALL_FILE).expect("a file");
    let length = u64::try_from(whole.len()).expect("a length");
    assert_eq!(read_bounded(&own, length).expect("a file"), whole);
    let error = read_bounded(&own, length - 1).expect_err("too large");
    assert_eq!(error.kind(), ErrorKind::FileTooLarge);
}

#[test]
fn a_device_without_end_is_too_large() {
    let error = read_small_text(Path::new("/dev/zero")).expect_err("no end");
    assert_eq!(error.to_string(), "the file is larger than 16 MiB");
    assert!(read_small_text(Path::new("/nowhere")).is_err());
}
