//! The bundled plugins: the one table.
//!
//! A row names the constant that a plugin's folder exports. Everything else follows from it: its configuration is known
//! to the Admin API, its entities have tables and endpoints, its handler runs.

mod enabled;
mod reference;

use std::sync::OnceLock;

use entities::{Catalog, RouterFlavor};
use plugin_api::{Declaration, Family, Plugin};
use schema::Subschema;

pub use enabled::{Enabled, UnknownPlugin};
pub use reference::reference_markdown;

/// Every bundled plugin, in the order in which `/plugins/enabled` lists them.
static PLUGINS: &[Plugin] = &[
    plugins_serverless::pre_function::PLUGIN,
    plugins_serverless::post_function::PLUGIN,
    plugins_serverless::azure_functions::PLUGIN,
    plugins_observe::zipkin::PLUGIN,
    plugins_observe::opentelemetry::PLUGIN,
    plugins_ai::ai_proxy::PLUGIN,
    plugins_ai::ai_prompt_decorator::PLUGIN,
    plugins_ai::ai_prompt_template::PLUGIN,
    plugins_ai::ai_prompt_guard::PLUGIN,
    plugins_ai::ai_request_transformer::PLUGIN,
    plugins_auth::jwt::PLUGIN,
    plugins_auth::acl::PLUGIN,
    plugins_transform::correlation_id::PLUGIN,
    plugins_auth::cors::PLUGIN,
    plugins_auth::oauth2::PLUGIN,
    plugins_observe::tcp_log::PLUGIN,
    plugins_observe::udp_log::PLUGIN,
    plugins_observe::file_log::PLUGIN,
    plugins_observe::http_log::PLUGIN,
    plugins_auth::key_auth::PLUGIN,
    plugins_traffic::redirect::PLUGIN,
    plugins_ai::ai_response_transformer::PLUGIN,
    plugins_auth::standard_webhooks::PLUGIN,
    plugins_auth::hmac_auth::PLUGIN,
    plugins_auth::basic_auth::PLUGIN,
    plugins_auth::ip_restriction::PLUGIN,
    plugins_transform::request_transformer::PLUGIN,
    plugins_transform::response_transformer::PLUGIN,
    plugins_traffic::request_size_limiting::PLUGIN,
    plugins_traffic::rate_limiting::PLUGIN,
    plugins_traffic::response_ratelimiting::PLUGIN,
    plugins_observe::syslog::PLUGIN,
    plugins_observe::loggly::PLUGIN,
    plugins_observe::datadog::PLUGIN,
    plugins_auth::ldap_auth::PLUGIN,
    plugins_observe::statsd::PLUGIN,
    plugins_auth::bot_detection::PLUGIN,
    plugins_serverless::aws_lambda::PLUGIN,
    plugins_traffic::request_termination::PLUGIN,
    plugins_observe::prometheus::PLUGIN,
    plugins_traffic::proxy_cache::PLUGIN,
    plugins_auth::session::PLUGIN,
    plugins_auth::acme::PLUGIN,
    plugins_transform::grpc_gateway::PLUGIN,
    plugins_transform::grpc_web::PLUGIN,
];

/// Every bundled plugin.
pub fn all() -> &'static [Plugin] {
    PLUGINS
}

/// A bundled plugin by its name.
pub fn get(name: &str) -> Option<&'static Plugin> {
    PLUGINS
        .iter()
        .find(|plugin| plugin.declaration.name == name)
}

/// Every family of metrics that plugins show.
pub fn metrics() -> impl Iterator<Item = &'static Family> {
    let families = plugins_observe::METRICS.iter();
    families
        .chain(plugins_traffic::METRICS)
        .flat_map(|of| of.iter().copied())
}

/// The declarations of all entities for a router flavour: the core ones, and those of the plugins.
pub fn catalog(flavor: RouterFlavor) -> &'static Catalog {
    static CATALOGS: [OnceLock<Catalog>; 3] = [const { OnceLock::new() }; 3];
    CATALOGS[place(flavor)].get_or_init(|| declare(flavor, |plugin| (plugin.schema)()))
}

/// The same for a node without a database, which some configurations need.
pub fn catalog_without_database(flavor: RouterFlavor) -> &'static Catalog {
    static CATALOGS: [OnceLock<Catalog>; 3] = [const { OnceLock::new() }; 3];
    CATALOGS[place(flavor)].get_or_init(|| {
        declare(flavor, |plugin| {
            plugin.without_database.unwrap_or(plugin.schema)()
        })
    })
}

fn place(flavor: RouterFlavor) -> usize {
    match flavor {
        RouterFlavor::Traditional => 0,
        RouterFlavor::TraditionalCompatible => 1,
        RouterFlavor::Expressions => 2,
    }
}

fn declare(flavor: RouterFlavor, schema: fn(&Declaration) -> Subschema) -> Catalog {
    let declarations = || PLUGINS.iter().map(|plugin| plugin.declaration);
    Catalog::with_plugins(
        flavor,
        declarations().map(schema),
        declarations()
            .flat_map(|declaration| declaration.entities)
            .map(|declare| declare()),
    )
}

#[cfg(test)]
mod tests;
