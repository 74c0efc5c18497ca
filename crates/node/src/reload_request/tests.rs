use super::*;

fn sources(settings: &[(&str, &str)]) -> Sources {
    Sources {
        environment: settings
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect(),
        ..Sources::default()
    }
}

#[test]
fn a_request_lays_settings_over_those_of_the_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let prefix = Prefix::new(folder.path());
    let started = sources(&[
        ("KONG_HEADERS", "off"),
        ("KONG_LOG_LEVEL", "warn"),
        ("SECRET", "of the node"),
    ]);
    assert!(take(&prefix, &started).is_none());

    write(
        &prefix,
        &sources(&[("KONG_LOG_LEVEL", "debug"), ("SECRET", "of the command")]),
    )
    .expect("written");
    let taken = take(&prefix, &started).expect("a request");
    assert_eq!(taken.environment["KONG_HEADERS"], "off");
    assert_eq!(taken.environment["KONG_LOG_LEVEL"], "debug");
    assert_eq!(taken.environment["SECRET"], "of the node");
    assert!(take(&prefix, &started).is_none(), "a request is taken once");
}

#[test]
fn an_answer_is_taken_once_and_an_old_one_never() {
    let folder = tempfile::tempdir().expect("a folder");
    let prefix = Prefix::new(folder.path());
    answer(&prefix, Err("old".to_owned())).expect("written");
    write(&prefix, &Sources::default()).expect("written");
    assert!(take_answer(&prefix).is_none());
    answer(&prefix, Err("new".to_owned())).expect("written");
    assert_eq!(take_answer(&prefix), Some(Err("new".to_owned())));
    assert_eq!(take_answer(&prefix), None);
    answer(&prefix, Ok(())).expect("written");
    assert_eq!(take_answer(&prefix), Some(Ok(())));
}
