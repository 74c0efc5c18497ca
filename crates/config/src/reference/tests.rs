use super::*;

fn environment() -> BTreeMap<String, String> {
    [
        ("MY_SECRET", "s3"),
        ("JSON", r#"{"key":"inner","port":5}"#),
        ("P_MY_SECRET", "prefixed"),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .collect()
}

fn value(text: &str) -> Result<String, String> {
    environment_value(&Reference::parse(text)?, None, &environment())
}

#[test]
fn finds_variables_whatever_their_spelling() {
    assert_eq!(value("{vault://env/my-secret}"), Ok("s3".to_owned()));
    assert_eq!(value("{vault://env/MY_SECRET}"), Ok("s3".to_owned()));
    assert_eq!(value("{vault://env/my_secret/}"), Ok("s3".to_owned()));
}

#[test]
fn takes_members_of_json() {
    assert_eq!(value("{vault://env/json/key}"), Ok("inner".to_owned()));
    assert_eq!(value("{vault://env/json/port}"), Ok("5".to_owned()));
    assert!(value("{vault://env/json/other}").is_err());
    assert!(value("{vault://env/my-secret/key}").is_err());
}

#[test]
fn puts_the_prefix_before_the_name() {
    assert_eq!(
        value("{vault://env/my-secret?prefix=p_}"),
        Ok("prefixed".to_owned())
    );
    let reference = Reference::parse("{vault://env/my-secret}").expect("valid");
    assert_eq!(
        environment_value(&reference, Some("p-"), &environment()),
        Ok("prefixed".to_owned())
    );
}

#[test]
fn says_which_variable_is_missing() {
    let error = value("{vault://env/absent}").expect_err("refused");
    assert!(error.contains("the variable ABSENT is not set"), "{error}");
}

#[test]
fn refuses_references_without_parts() {
    assert!(Reference::parse("{vault://env}").is_err());
    assert!(Reference::parse("{vault:///x}").is_err());
    assert!(!Reference::is_reference("plain"));
}
