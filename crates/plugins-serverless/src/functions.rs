//! The configuration of pre-function and post-function: Lua functions by phase.

use schema::Field;
use serde_json::Value;

/// A list of functions for each phase.
pub fn config() -> Field {
    let functions = |description| {
        Field::array(description, Field::string("").optional())
            .required()
            .default(Vec::<Value>::new())
    };
    Field::record(
        "The settings of the plugin.",
        vec![
            (
                "certificate",
                functions("Functions to run while the client's TLS handshake is served."),
            ),
            (
                "rewrite",
                functions("Functions to run before the route is sought."),
            ),
            (
                "access",
                functions("Functions to run before the upstream is asked."),
            ),
            (
                "header_filter",
                functions("Functions to run on the head of the answer."),
            ),
            (
                "body_filter",
                functions("Functions to run on each piece of the answer's body."),
            ),
            ("log", functions("Functions to run after the exchange.")),
        ],
    )
    .required()
}
