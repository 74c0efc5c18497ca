use super::*;

fn read(text: &str) -> Vec<(String, String)> {
    parse(Path::new("kong.conf"), text).expect("valid")
}

#[test]
fn reads_names_and_values_between_comments() {
    let settings = read("# comment\n\n  log_level = debug # why\npg_password = a\\#b\n");
    assert_eq!(
        settings,
        [
            ("log_level".to_owned(), "debug".to_owned()),
            ("pg_password".to_owned(), "a#b".to_owned())
        ]
    );
}

#[test]
fn takes_quotes_off_whole_values_only() {
    assert_eq!(read("a = 'x y'")[0].1, "x y");
    assert_eq!(read("a = \"x\"")[0].1, "x");
    assert_eq!(read("a = show '$x' 'y'")[0].1, "show '$x' 'y'");
}

#[test]
fn a_backslash_at_the_end_continues_a_line() {
    assert_eq!(read("a = 1,\\\n  2\nb = 3")[0].1, "1,2");
}

#[test]
fn names_the_line_that_is_no_setting() {
    let error = parse(Path::new("kong.conf"), "a = 1\nnonsense\n").expect_err("refused");
    assert_eq!(
        error.to_string(),
        "kong.conf:2: expected `name = value`, found \"nonsense\""
    );
}
