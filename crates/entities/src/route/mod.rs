//! A route: which requests go to a service.
//!
//! What a route may say depends on its protocols, and on the router flavour: with `expressions`, a route may be written
//! as one expression in place of hosts, paths and the like.

mod expression;
mod pattern;

use schema::{Check, Field, Schema, Subschema, SubschemaKey};
use serde_json::Value;

use crate::RouterFlavor;
use crate::fields;

const EXCLUSIVE_PROTOCOLS: &[&[&str]] = &[
    &["http", "https"],
    &["tcp", "tls", "udp"],
    &["tls_passthrough"],
    &["grpc", "grpcs"],
];

const STRIP_PATH: &str =
    "Whether the part of the path that matched is taken off before the request is forwarded.";

pub(crate) fn schema(flavor: RouterFlavor) -> Schema {
    let mut schema = Schema::new("routes", "Which requests go to a service.");
    schema.endpoint_key = Some("name");
    schema = answering_fields(schema);
    schema = matching_fields(schema, flavor);
    schema.shape.checks = checks(flavor);
    schema.subschema = Some(SubschemaKey {
        field: "protocols",
        error: "unknown type: %s",
        choices: choices(flavor),
    });
    schema
}

fn answering_fields(schema: Schema) -> Schema {
    schema
        .field_as("id", Field::id())
        .field_as("created_at", fields::created_at())
        .field_as("updated_at", fields::updated_at())
        .field_as("name", fields::name("A unique name."))
        .field_as(
            "protocols",
            Field::set("The protocols of the requests.", fields::protocol(""))
                .required()
                .len_min(1)
                .mutually_exclusive_subsets(EXCLUSIVE_PROTOCOLS)
                .default(vec!["http", "https"]),
        )
        .field_as(
            "https_redirect_status_code",
            Field::integer(
                "The status of the answer to a plain HTTP request when the route wants HTTPS.",
            )
            .required()
            .default(426)
            .one_of(&[426, 301, 302, 307, 308]),
        )
        .field_as(
            "strip_path",
            Field::boolean(STRIP_PATH).required().default(true),
        )
        .field_as(
            "preserve_host",
            Field::boolean("Whether the request's Host header is forwarded as it came.")
                .required()
                .default(false),
        )
        .field_as(
            "request_buffering",
            Field::boolean("Whether the whole request body is read before it is forwarded.")
                .required()
                .default(true),
        )
        .field_as(
            "response_buffering",
            Field::boolean("Whether responses are buffered.")
                .required()
                .default(true),
        )
        .field_as("tags", fields::tags())
        .field_as(
            "service",
            Field::foreign_to("The service that requests go to.", "services"),
        )
}

fn matching_fields(schema: Schema, flavor: RouterFlavor) -> Schema {
    let sni = if flavor == RouterFlavor::Traditional {
        fields::sni("")
    } else {
        fields::wildcard_host("")
    };
    let schema = schema
        .field_as(
            "snis",
            Field::set("The server names that TLS clients ask for.", sni),
        )
        .field_as("sources", sources())
        .field_as("destinations", destinations())
        .field_as("methods", methods())
        .field_as(
            "hosts",
            fields::hosts("The hosts of the requests; the first or last label may be a wildcard."),
        )
        .field_as("paths", paths(flavor))
        .field_as("headers", headers())
        .field_as(
            "regex_priority",
            Field::integer(
                "Decides between regular expressions that match the same path; the highest wins.",
            )
            .default(0),
        )
        .field_as(
            "path_handling",
            Field::string("How the paths of service, route and request are put together.")
                .default("v0")
                .one_of(&["v0", "v1"]),
        );
    if flavor != RouterFlavor::Expressions {
        return schema;
    }
    schema
        .field_as(
            "expression",
            Field::string("An expression that matching requests meet."),
        )
        .field_as(
            "priority",
            Field::integer(
                "Decides between expressions that match the same request; the highest wins.",
            )
            .required()
            .default(0)
            .between(0, 70_368_744_177_663_f64),
        )
}

fn sources() -> Field {
    fields::endpoints("Where connections come from.")
}

fn destinations() -> Field {
    fields::endpoints("Which of the gateway's addresses connections reach.")
}

fn methods() -> Field {
    Field::set(
        "The methods of the requests.",
        Field::string("").matches("^%u+$"),
    )
}

fn paths(flavor: RouterFlavor) -> Field {
    let validate = if flavor == RouterFlavor::Traditional {
        pattern::validate_for_matching
    } else {
        pattern::validate
    };
    let path = Field::string("")
        .match_any(
            &["^/", "^~/"],
            Some("should start with: / (fixed path) or ~/ (regex path)"),
        )
        .match_none(&[("//", "must not have empty segments")])
        .custom(validate);
    Field::array(
        "Prefixes of the paths of the requests, or regular expressions after a ~.",
        path,
    )
}

fn headers() -> Field {
    let name = fields::header_name("").match_none(&[(
        "^[Hh][Oo][Ss][Tt]$",
        "cannot contain 'host' header, which must be specified in the 'hosts' attribute",
    )]);
    fields::headers("Headers that requests must have, with their values.", name)
}

fn checks(flavor: RouterFlavor) -> Vec<Check> {
    let no_tls = Field::condition().with_elements(Field::string("").not_one_of(&[
        "grpcs",
        "https",
        "tls",
        "tls_passthrough",
    ]));
    let mut checks = vec![
        Check::conditional("protocols", no_tls, "snis", Field::condition().len_eq(0))
            .error("'snis' can only be set when 'protocols' is 'grpcs', 'https', 'tls' or 'tls_passthrough'"),
        Check::custom(&["path_handling"], |_, _| Ok(())),
    ];
    if flavor != RouterFlavor::Traditional {
        checks.push(
            Check::custom(
                &[
                    "id",
                    "protocols",
                    "snis",
                    "sources",
                    "destinations",
                    "methods",
                    "hosts",
                    "paths",
                    "headers",
                    "expression",
                    "regex_priority",
                    "priority",
                ],
                |record, _| expression::check(record),
            )
            .even_with_missing_fields(),
        );
    }
    checks
}

/// What each protocol allows and asks for.
fn choices(flavor: RouterFlavor) -> Vec<(&'static str, Subschema)> {
    let declare = |protocol: &'static str| match protocol {
        "http" | "https" => http(flavor),
        "grpc" | "grpcs" => grpc(flavor),
        _ => stream(flavor),
    };
    fields::PROTOCOLS
        .iter()
        .map(|protocol| (*protocol, declare(protocol)))
        .collect()
}

/// The fields of which one is needed, and `expression` where there is one.
fn one_of(fields: &[&'static str], flavor: RouterFlavor) -> Vec<&'static str> {
    let expression = (flavor == RouterFlavor::Expressions).then_some("expression");
    fields.iter().copied().chain(expression).collect()
}

fn forbidden(field: Field, error: &'static str) -> Field {
    field.eq(Value::Null).error(error)
}

fn http(flavor: RouterFlavor) -> Subschema {
    let mut choice = Subschema::new("http");
    if flavor != RouterFlavor::Expressions {
        choice = choice
            .field_as(
                "sources",
                forbidden(
                    sources(),
                    "cannot set 'sources' when 'protocols' is 'http' or 'https'",
                ),
            )
            .field_as(
                "destinations",
                forbidden(
                    destinations(),
                    "cannot set 'destinations' when 'protocols' is 'http' or 'https'",
                ),
            );
    }
    choice.check(
        Check::conditional_at_least_one_of(
            "protocols",
            Field::condition().contains("https"),
            &one_of(&["methods", "hosts", "headers", "paths", "snis"], flavor),
        )
        .error("must set one of %s when 'protocols' is 'https'")
        .otherwise(
            Field::condition().contains("http"),
            &one_of(&["methods", "hosts", "headers", "paths"], flavor),
            "must set one of %s when 'protocols' is 'http'",
        ),
    )
}

fn stream(flavor: RouterFlavor) -> Subschema {
    let any_of = |protocols: &[&'static str]| {
        Field::condition().with_elements(Field::string("").one_of(protocols))
    };
    Subschema::new("tcp")
        .field_as(
            "methods",
            forbidden(
                methods(),
                "cannot set 'methods' when 'protocols' is 'tcp', 'tls', 'tls_passthrough' or 'udp'",
            ),
        )
        .field_as(
            "hosts",
            forbidden(
                fields::hosts("Not for these protocols."),
                "cannot set 'hosts' when 'protocols' is 'tcp', 'tls', 'tls_passthrough' or 'udp'",
            ),
        )
        .field_as(
            "paths",
            forbidden(
                paths(flavor),
                "cannot set 'paths' when 'protocols' is 'tcp', 'tls', 'tls_passthrough' or 'udp'",
            ),
        )
        .field_as(
            "headers",
            forbidden(
                headers(),
                "cannot set 'headers' when 'protocols' is 'tcp', 'tls', 'tls_passthrough' or 'udp'",
            ),
        )
        .check(
            Check::conditional_at_least_one_of(
                "protocols",
                any_of(&["tcp", "tls", "udp"]),
                &one_of(&["sources", "destinations", "snis"], flavor),
            )
            .error("must set one of %s when 'protocols' is 'tcp', 'tls' or 'udp'"),
        )
        .check(
            Check::conditional_at_least_one_of(
                "protocols",
                any_of(&["tls_passthrough"]),
                &one_of(&["snis"], flavor),
            )
            .error("must set snis when 'protocols' is 'tls_passthrough'"),
        )
}

fn grpc(flavor: RouterFlavor) -> Subschema {
    let mut choice = Subschema::new("grpc")
        .field_as(
            "strip_path",
            Field::boolean(STRIP_PATH)
                .required()
                .default(false)
                .ne(true)
                .error("cannot set 'strip_path' when 'protocols' is 'grpc' or 'grpcs'"),
        )
        .field_as(
            "methods",
            forbidden(
                methods(),
                "cannot set 'methods' when 'protocols' is 'grpc' or 'grpcs'",
            ),
        );
    if flavor != RouterFlavor::Expressions {
        choice = choice
            .field_as(
                "sources",
                forbidden(
                    sources(),
                    "cannot set 'sources' when 'protocols' is 'grpc' or 'grpcs'",
                ),
            )
            .field_as(
                "destinations",
                forbidden(
                    destinations(),
                    "cannot set 'destinations' when 'protocols' is 'grpc' or 'grpcs'",
                ),
            );
    }
    choice.check(
        Check::conditional_at_least_one_of(
            "protocols",
            Field::condition().contains("grpcs"),
            &one_of(&["hosts", "headers", "paths", "snis"], flavor),
        )
        .error("must set one of %s when 'protocols' is 'grpcs'")
        .otherwise(
            Field::condition().contains("grpc"),
            &one_of(&["hosts", "headers", "paths"], flavor),
            "must set one of %s when 'protocols' is 'grpc'",
        ),
    )
}
