//! azure-functions: Calls an Azure function in place of an upstream.

mod handler;

use plugin_api::{BUNDLED_VERSION, Declaration, Phase, Phases, Plugin, fields};
use schema::{Field, Subschema};

/// What the plugin is.
pub const DECLARATION: Declaration = Declaration {
    name: "azure-functions",
    description: "Calls an Azure function in place of an upstream.",
    version: BUNDLED_VERSION,
    priority: 749,
    phases: Phases::of(&[Phase::Access]),
    schema,
    without_database: None,
    entities: &[],
};

/// The row of the table.
pub const PLUGIN: Plugin = Plugin::new(&DECLARATION, handler::build);

fn schema() -> Subschema {
    Subschema::new("azure-functions")
        .field_as("protocols", fields::any_protocols())
        .field_as("config", config())
}

fn config() -> Field {
    Field::record(
        "The settings of the plugin.",
        vec![
            (
                "timeout",
                Field::number("How long the function may take to answer, in milliseconds.")
                    .default(600000),
            ),
            (
                "keepalive",
                Field::number("How long an idle connection is kept, in milliseconds.")
                    .default(60000),
            ),
            (
                "https",
                Field::boolean("Whether the function is called over TLS.").default(true),
            ),
            (
                "https_verify",
                Field::boolean("Whether the server's certificate is verified.").default(false),
            ),
            (
                "apikey",
                Field::string("The key that is sent in `x-functions-key`.")
                    .encrypted()
                    .referenceable(),
            ),
            (
                "clientid",
                Field::string("The client id that is sent in `x-functions-clientid`.")
                    .encrypted()
                    .referenceable(),
            ),
            (
                "appname",
                Field::string("The name of the function app.").required(),
            ),
            (
                "hostdomain",
                Field::string("The domain of the function app.")
                    .required()
                    .default("azurewebsites.net"),
            ),
            (
                "routeprefix",
                Field::string("What the path begins with.").default("api"),
            ),
            (
                "functionname",
                Field::string("The name of the function.").required(),
            ),
        ],
    )
    .required()
}

#[cfg(test)]
mod tests;
