use std::time::Duration;

use observe::logging::Level;

use super::{parse, text};

#[test]
fn levels_have_the_numbers_of_nginx() {
    let minute = Duration::from_secs(60);
    assert_eq!(
        text(Level::Debug, minute),
        r#"{"log_level":8,"timeout":60}"#
    );
    assert_eq!(
        text(Level::Emerg, minute),
        r#"{"log_level":1,"timeout":60}"#
    );
    assert_eq!(
        parse(r#"{"timeout":60,"log_level":5}"#),
        Some((Level::Warn, minute))
    );
}

#[test]
fn what_nobody_understands_sets_nothing() {
    for text in [
        "",
        "[]",
        r#"{"log_level":0,"timeout":60}"#,
        r#"{"log_level":9,"timeout":60}"#,
        r#"{"log_level":5,"timeout":-1}"#,
        r#"{"log_level":5,"timeout":1e300}"#,
        r#"{"log_level":"warn","timeout":60}"#,
        r#"{"log_level":5}"#,
    ] {
        assert_eq!(parse(text), None, "{text}");
    }
}
