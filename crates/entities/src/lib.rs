//! The core entities: what can be configured, said once each.
//!
//! Each entity is one file with its fields, checks and shorthands, and one row in the table of [`Catalog`].
//! Routes differ by router flavour, so there is one catalog for each flavour.

pub mod address;
pub mod fields;
pub mod pem;
pub mod uri;

mod ca_certificate;
mod certificate;
mod clustering_data_plane;
mod consumer;
mod filter_chain;
mod jwk;
mod key;
mod key_set;
mod parameter;
mod plugin;
mod rate_limit_counter;
mod route;
mod service;
mod sni;
mod tag;
mod target;
mod upstream;
mod vault;
mod workspace;

use std::collections::HashMap;
use std::sync::LazyLock;

use schema::{Schema, Subschema, Subschemas};

pub use target::DEFAULT_PORT as DEFAULT_TARGET_PORT;
pub use upstream::UpstreamOptions;

/// How routes are written and matched: the `router_flavor` setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RouterFlavor {
    /// Hosts, paths and the like, matched in the order of Kong 2.
    Traditional,
    /// Hosts, paths and the like, matched as the expressions they stand for.
    #[default]
    TraditionalCompatible,
    /// The same, and routes written as expressions.
    Expressions,
}

/// The declarations of all entities for one router flavour, of the vaults that are built in, and of plugins.
#[derive(Debug)]
pub struct Catalog {
    schemas: Vec<Schema>,
    vaults: Vec<Subschema>,
    plugins: HashMap<&'static str, Subschema>,
}

/// Every entity, in the order in which records that point at each other can be inserted.
const ENTITIES: &[fn(RouterFlavor) -> Schema] = &[
    |_| workspace::schema(),
    |_| consumer::schema(),
    |_| certificate::schema(),
    |_| ca_certificate::schema(),
    |_| service::schema(),
    route::schema,
    |_| sni::schema(),
    |_| upstream::schema(),
    |_| target::schema(),
    |_| plugin::schema(),
    |_| tag::schema(),
    |_| clustering_data_plane::schema(),
    |_| parameter::schema(),
    |_| vault::schema(),
    |_| key_set::schema(),
    |_| key::schema(),
    |_| filter_chain::schema(),
];

/// The declaration of something that stores keep beside the entities: it can be looked at, and has neither endpoints nor a
/// place in the declarative format.
pub fn described(name: &str) -> Option<&'static Schema> {
    static COUNTER: LazyLock<Schema> = LazyLock::new(rate_limit_counter::schema);
    (COUNTER.name == name).then_some(&*COUNTER)
}

impl Catalog {
    fn new(flavor: RouterFlavor) -> Self {
        Self {
            schemas: ENTITIES.iter().map(|declare| declare(flavor)).collect(),
            vaults: vec![vault::env()],
            plugins: HashMap::new(),
        }
    }

    /// The core entities, with the declarations of plugins and the entities that these bring.
    pub fn with_plugins(
        flavor: RouterFlavor,
        plugins: impl IntoIterator<Item = Subschema>,
        entities: impl IntoIterator<Item = Schema>,
    ) -> Self {
        let mut catalog = Self::new(flavor);
        catalog.schemas.extend(entities);
        catalog.plugins = plugins
            .into_iter()
            .map(|plugin| (plugin.name, plugin))
            .collect();
        catalog
    }

    /// All entities; one that points at another comes after it.
    pub fn all(&self) -> &[Schema] {
        &self.schemas
    }

    /// An entity by its name, such as `key_sets`.
    pub fn get(&self, name: &str) -> Option<&Schema> {
        self.schemas.iter().find(|schema| schema.name == name)
    }

    /// The vaults that are built in, by name.
    pub fn vaults(&self) -> &[Subschema] {
        &self.vaults
    }
}

/// Knows the entities, the vaults, and the plugins that it was made with.
impl Subschemas for Catalog {
    fn find(&self, entity: &str, choice: &str) -> Option<&Subschema> {
        match entity {
            "vaults" => self.vaults.iter().find(|vault| vault.name == choice),
            "plugins" => self.plugins.get(choice),
            _ => None,
        }
    }

    fn entity(&self, name: &str) -> Option<&Schema> {
        self.get(name)
    }
}

/// The declarations of the core entities for a router flavour.
pub fn for_flavor(flavor: RouterFlavor) -> &'static Catalog {
    static TRADITIONAL: LazyLock<Catalog> =
        LazyLock::new(|| Catalog::new(RouterFlavor::Traditional));
    static COMPATIBLE: LazyLock<Catalog> =
        LazyLock::new(|| Catalog::new(RouterFlavor::TraditionalCompatible));
    static EXPRESSIONS: LazyLock<Catalog> =
        LazyLock::new(|| Catalog::new(RouterFlavor::Expressions));
    match flavor {
        RouterFlavor::Traditional => &TRADITIONAL,
        RouterFlavor::TraditionalCompatible => &COMPATIBLE,
        RouterFlavor::Expressions => &EXPRESSIONS,
    }
}

/// The core entities for the default router flavour.
pub fn all() -> &'static [Schema] {
    for_flavor(RouterFlavor::default()).all()
}

/// A core entity by its name, for the default router flavour.
pub fn get(name: &str) -> Option<&'static Schema> {
    for_flavor(RouterFlavor::default()).get(name)
}

#[cfg(test)]
mod tests;
