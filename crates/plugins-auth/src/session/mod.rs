//! session: Keeps clients logged in with a cookie.

mod config;
mod handler;
mod keeping;
mod seal;
mod state;
mod stored;
mod underway;

use plugin_api::{BUNDLED_VERSION, Declaration, Phase, Phases, Plugin, fields};
use schema::{Field, Record, Shorthand, Subschema};
use serde_json::Value;

/// What the plugin is.
pub const DECLARATION: Declaration = Declaration {
    name: "session",
    description: "Keeps clients logged in with a cookie.",
    version: BUNDLED_VERSION,
    priority: 1900,
    phases: Phases::of(&[Phase::Access, Phase::HeaderFilter]),
    schema,
    without_database: None,
    entities: &[stored::schema],
};

/// The row of the table.
pub const PLUGIN: Plugin = Plugin::new(&DECLARATION, handler::build);

fn schema() -> Subschema {
    Subschema::new("session")
        .field_as("consumer", fields::no_consumer())
        .field_as("protocols", fields::any_protocols())
        .field_as("config", config())
}

fn config() -> Field {
    Field::record(
        "The settings of the plugin.",
        vec![
            (
                "secret",
                Field::string("What cookies are sealed with; made when it is not given.")
                    .optional()
                    .encrypted()
                    .referenceable()
                    .auto(),
            ),
            (
                "storage",
                Field::string("Where sessions are kept: in the cookie, or in the database.")
                    .one_of(&["cookie", "kong"])
                    .default("cookie"),
            ),
            (
                "audience",
                Field::string(
                    "For whom a session is good; several applications can share a \
                     cookie.",
                )
                .default("default"),
            ),
            (
                "idling_timeout",
                Field::number("How many seconds a session lives without being used.").default(900),
            ),
            (
                "rolling_timeout",
                Field::number("How many seconds a session lives before it is renewed.")
                    .default(3600),
            ),
            (
                "absolute_timeout",
                Field::number("How many seconds a session lives, renewals included.")
                    .default(86400),
            ),
            (
                "stale_ttl",
                Field::number(
                    "How many seconds a renewed session stays good for requests \
                     that are under way.",
                )
                .default(10),
            ),
            (
                "cookie_name",
                Field::string("The name of the cookie.").default("session"),
            ),
            (
                "cookie_path",
                Field::string("The path of the cookie.").default("/"),
            ),
            ("cookie_domain", Field::string("The domain of the cookie.")),
            (
                "cookie_same_site",
                Field::string("Whether requests that other sites start carry the cookie.")
                    .one_of(&["Strict", "Lax", "None", "Default"])
                    .default("Strict"),
            ),
            (
                "cookie_http_only",
                Field::boolean("Whether the cookie is kept from scripts.").default(true),
            ),
            (
                "cookie_secure",
                Field::boolean("Whether the cookie is sent over TLS only.").default(true),
            ),
            (
                "remember",
                Field::boolean("Whether sessions survive the end of the browser.").default(false),
            ),
            (
                "remember_cookie_name",
                Field::string("The name of the cookie that survives.").default("remember"),
            ),
            (
                "remember_rolling_timeout",
                Field::number(
                    "How many seconds a session that survives lives before it is \
                     renewed.",
                )
                .default(604800),
            ),
            (
                "remember_absolute_timeout",
                Field::number(
                    "How many seconds a session that survives lives, renewals \
                     included.",
                )
                .default(2592000),
            ),
            (
                "response_headers",
                Field::set(
                    "What the client is told of the session in headers.",
                    Field::string("").one_of(&[
                        "id",
                        "audience",
                        "subject",
                        "timeout",
                        "idling-timeout",
                        "rolling-timeout",
                        "absolute-timeout",
                    ]),
                ),
            ),
            (
                "request_headers",
                Field::set(
                    "What the upstream is told of the session in headers.",
                    Field::string("").one_of(&[
                        "id",
                        "audience",
                        "subject",
                        "timeout",
                        "idling-timeout",
                        "rolling-timeout",
                        "absolute-timeout",
                    ]),
                ),
            ),
            (
                "read_body_for_logout",
                Field::boolean("Whether the body is searched for `logout_post_arg`.")
                    .default(false),
            ),
            (
                "logout_methods",
                Field::set(
                    "The methods with which a session can be ended.",
                    Field::string("").one_of(&["GET", "POST", "DELETE"]),
                )
                .default(vec!["POST", "DELETE"]),
            ),
            (
                "logout_query_arg",
                Field::string("The query argument that ends the session.")
                    .default("session_logout"),
            ),
            (
                "logout_post_arg",
                Field::string("The field of a form that ends the session.")
                    .default("session_logout"),
            ),
        ],
    )
    .required()
    .shorthand(Shorthand::moved(
        "cookie_lifetime",
        Field::number(""),
        &["rolling_timeout"],
    ))
    .shorthand(Shorthand::new(
        "cookie_idletime",
        Field::number(""),
        expand_cookie_idletime,
    ))
    .shorthand(Shorthand::new(
        "cookie_renew",
        Field::number(""),
        expand_cookie_renew,
    ))
    .shorthand(Shorthand::moved(
        "cookie_discard",
        Field::number(""),
        &["stale_ttl"],
    ))
    .shorthand(Shorthand::new(
        "cookie_samesite",
        Field::string(""),
        expand_cookie_samesite,
    ))
    .shorthand(Shorthand::moved(
        "cookie_httponly",
        Field::boolean(""),
        &["cookie_http_only"],
    ))
    .shorthand(Shorthand::moved(
        "cookie_persistent",
        Field::boolean(""),
        &["remember"],
    ))
}

/// Compat: without a value, an old idle time means no limit.
fn expand_cookie_idletime(value: &Value) -> Option<Record> {
    let seconds = if value.is_null() {
        0.into()
    } else {
        value.clone()
    };
    Some(Record::from_iter([("idling_timeout".to_owned(), seconds)]))
}

/// Sessions are renewed by their rolling time; the old setting has no effect.
fn expand_cookie_renew(_value: &Value) -> Option<Record> {
    None
}

fn expand_cookie_samesite(value: &Value) -> Option<Record> {
    let site = if value == "off" {
        "Lax".into()
    } else {
        value.clone()
    };
    Some(Record::from_iter([("cookie_same_site".to_owned(), site)]))
}

#[cfg(test)]
mod tests;
