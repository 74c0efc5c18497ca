use super::*;

#[test]
fn reads_sizes() {
    assert_eq!(parse_size("0"), Some(0));
    assert_eq!(parse_size("8k"), Some(8192));
    assert_eq!(parse_size("10M"), Some(10 << 20));
    assert_eq!(parse_size("1g"), Some(1 << 30));
    for bad in ["", "k", "8kb", "-1", "1.5m", "99999999999999999999g"] {
        assert_eq!(parse_size(bad), None, "{bad}");
    }
}

#[test]
fn reads_durations() {
    assert_eq!(parse_duration("60"), Some(Duration::from_secs(60)));
    assert_eq!(parse_duration("500ms"), Some(Duration::from_millis(500)));
    assert_eq!(parse_duration("1h 30m"), Some(Duration::from_secs(5400)));
    assert_eq!(parse_duration("1d"), Some(Duration::from_secs(86_400)));
    for bad in ["", "s", "1x", "-1", "1.5s", "99999999999999999999"] {
        assert_eq!(parse_duration(bad), None, "{bad}");
    }
}

#[test]
fn reads_switches_in_all_spellings() {
    for (text, on) in [
        ("on", true),
        ("True", true),
        ("yes", true),
        ("off", false),
        ("false", false),
        ("no", false),
    ] {
        assert_eq!(parse("x", &Kind::Boolean, text), Ok(Some(Value::Bool(on))));
    }
    assert!(parse("x", &Kind::Boolean, "maybe").is_err());
}

#[test]
fn says_which_words_are_allowed() {
    let error = parse("log_level", &Kind::Choice(&["debug", "info"]), "loud");
    assert_eq!(
        error,
        Err("log_level has an invalid value: 'loud' (debug, info)".to_owned())
    );
}

#[test]
fn numbers_keep_to_their_bounds() {
    assert_eq!(
        parse("n", &Kind::Integer(1, 10), "10"),
        Ok(Some(Value::Number(10.0)))
    );
    for bad in ["0", "11", "1.5", "x", "nan", "inf"] {
        assert!(parse("n", &Kind::Integer(1, 10), bad).is_err(), "{bad}");
        assert!(parse("n", &Kind::Number(2.0, 10.0), "nan").is_err());
    }
}

#[test]
fn lists_are_trimmed_and_empty_items_dropped() {
    let list = parse("l", &Kind::List, " a , b,,c ");
    assert_eq!(
        list,
        Ok(Some(Value::List(vec!["a".into(), "b".into(), "c".into()])))
    );
}
