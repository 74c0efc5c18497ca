use serde_json::json;

use super::check;

#[test]
fn it_names_itself_in_errors() {
    assert_eq!(
        check(&json!("return function(")),
        Err(
            "error parsing post-function: [string \"return function(\"]:1: <name> or '...' expected near '<eof>'"
                .to_owned()
        )
    );
}
