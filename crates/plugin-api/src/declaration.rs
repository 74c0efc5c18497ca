//! What a plugin is, apart from what it does: its name and place, the shape of its configuration, what it stores.

use schema::{Schema, Subschema};

use crate::{Build, Endpoint, Phases};

/// The version that bundled plugins report: that of the Kong release whose plugins they stand for.
pub const BUNDLED_VERSION: &str = "3.9.1";

/// The declaration of a plugin; one constant in the plugin's folder.
///
/// For which protocols a plugin runs, and of which scopes it can be (a route, a service, a consumer), is part of the
/// shape: the fields `protocols`, `route`, `service` and `consumer` of [`Declaration::schema`] replace those of the
/// entity, as [`fields::no_consumer`](crate::fields::no_consumer) does. What a handler needs of bodies depends on its
/// configuration, so the handler says it ([`Handler::needs`](crate::Handler::needs)).
#[derive(Debug, Clone, Copy)]
pub struct Declaration {
    /// The name that records and documents use, such as `key-auth`.
    pub name: &'static str,
    /// One sentence for reference pages.
    pub description: &'static str,
    pub version: &'static str,
    /// In each phase, plugins with a higher priority come first.
    pub priority: i32,
    /// The phases in which a handler can have work; one configuration may need fewer.
    pub phases: Phases,
    /// The configuration: the field `config`, and what replaces or adds to the fields of the entity `plugins`.
    pub schema: fn() -> Subschema,
    /// The same for a node without a database, where it differs: what needs one is refused there.
    pub without_database: Option<fn() -> Subschema>,
    /// Entities of the plugin's own, such as credentials. They get tables, Admin endpoints and a place in the declarative
    /// format like any entity; one that points at another comes after it.
    pub entities: &'static [fn() -> Schema],
}

/// A row of the table of plugins.
#[derive(Debug, Clone, Copy)]
pub struct Plugin {
    pub declaration: &'static Declaration,
    /// Makes handlers; `None` for a plugin that is known but cannot run. Its records can be stored and shown, and
    /// requests that one of them applies to are refused.
    pub build: Option<Build>,
    /// Endpoints of the Admin API beside those of the declared entities.
    pub endpoints: &'static [Endpoint],
}

impl Plugin {
    /// A plugin that runs.
    pub const fn new(declaration: &'static Declaration, build: Build) -> Self {
        Self {
            declaration,
            build: Some(build),
            endpoints: &[],
        }
    }

    /// A plugin that is known but cannot run.
    pub const fn declared(declaration: &'static Declaration) -> Self {
        Self {
            declaration,
            build: None,
            endpoints: &[],
        }
    }

    /// The same with endpoints of the Admin API.
    #[must_use]
    pub const fn with_endpoints(mut self, endpoints: &'static [Endpoint]) -> Self {
        self.endpoints = endpoints;
        self
    }
}
