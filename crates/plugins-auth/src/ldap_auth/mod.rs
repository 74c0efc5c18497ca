//! ldap-auth: Asks for a name and a password that an LDAP server knows.

mod claim;
mod directory;
mod handler;
mod message;
mod name;
mod server;

use plugin_api::{BUNDLED_VERSION, Declaration, Phase, Phases, Plugin, fields};
use schema::{Check, Field, Subschema};

/// What the plugin is.
pub const DECLARATION: Declaration = Declaration {
    name: "ldap-auth",
    description: "Asks for a name and a password that an LDAP server knows.",
    version: BUNDLED_VERSION,
    priority: 1200,
    phases: Phases::of(&[Phase::Access]),
    schema,
    without_database: None,
    entities: &[],
};

/// The row of the table.
pub const PLUGIN: Plugin = Plugin::new(&DECLARATION, handler::build);

fn schema() -> Subschema {
    Subschema::new("ldap-auth")
        .field_as("consumer", fields::no_consumer())
        .field_as("protocols", fields::http_protocols())
        .field_as("config", config())
}

fn config() -> Field {
    Field::record(
        "The settings of the plugin.",
        vec![
            (
                "ldap_host",
                fields::host("The host of the LDAP server.").required(),
            ),
            (
                "ldap_port",
                fields::port("The port of the LDAP server.")
                    .required()
                    .default(389),
            ),
            (
                "ldaps",
                Field::boolean("Whether the connection is TLS from its start.")
                    .required()
                    .default(false),
            ),
            (
                "start_tls",
                Field::boolean("Whether the connection turns to TLS by StartTLS.")
                    .required()
                    .default(false),
            ),
            (
                "verify_ldap_host",
                Field::boolean("Whether the server's certificate is verified.")
                    .required()
                    .default(false),
            ),
            (
                "base_dn",
                Field::string("The entry below which users are sought.").required(),
            ),
            (
                "attribute",
                Field::string("The attribute that holds the user's name.").required(),
            ),
            (
                "cache_ttl",
                Field::number("How many seconds an accepted login is remembered.")
                    .required()
                    .default(60),
            ),
            (
                "hide_credentials",
                Field::boolean(
                    "Whether the credentials are removed before the request goes to \
                     the upstream.",
                )
                .required()
                .default(false),
            ),
            (
                "timeout",
                Field::number("How long the server may take to answer, in milliseconds.")
                    .default(10000),
            ),
            (
                "keepalive",
                Field::number("How long an idle connection is kept, in milliseconds.")
                    .default(60000),
            ),
            (
                "anonymous",
                Field::string(
                    "The id or name of the consumer that requests without valid \
                     credentials count as; empty refuses them with 401.",
                ),
            ),
            (
                "header_type",
                Field::string("The scheme in the `Authorization` header.").default("ldap"),
            ),
            (
                "realm",
                Field::string("The realm that the `WWW-Authenticate` header of a 401 names.")
                    .optional(),
            ),
        ],
    )
    .required()
    .check(
        Check::conditional(
            "ldaps",
            Field::condition().eq(true),
            "start_tls",
            Field::condition().eq(false),
        )
        .error("'ldaps' and 'start_tls' cannot be enabled simultaneously"),
    )
}

#[cfg(test)]
mod tests;
