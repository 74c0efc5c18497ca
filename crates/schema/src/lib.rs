//! What an entity is, said once: fields, types, defaults, checks and foreign keys, and the code that walks them.
//!
//! A [`Schema`] declares an entity, a plugin's configuration or a credential.
//! Everything else is ordinary code over that declaration: filling in defaults, validating with Kong-shaped
//! errors, `/schemas/NAME`, Admin endpoints, SQL, the declarative format, the OpenAPI document.
//! This crate does no IO and reads no clock: time and ids come in through [`Context`].

mod error;
mod field;
mod prepare;

pub use error::Violations;
pub use field::{Check, Field, Foreign, Kind, OnDelete};
pub use prepare::{Context, Operation};

/// One entity as JSON: every declared field is present once it has been prepared, absent values as `null`.
pub type Record = serde_json::Map<String, serde_json::Value>;

/// The declaration of one entity.
pub struct Schema {
    /// The table and collection name, such as `routes` or `keyauth_credentials`.
    pub name: &'static str,
    /// The path segment of the Admin API where it differs from the name, such as `key-sets`.
    pub admin_path: &'static str,
    /// One sentence for reference pages and the OpenAPI document.
    pub description: &'static str,
    /// Fields in the order in which they are declared and documented.
    pub fields: Vec<(&'static str, Field)>,
    /// A unique field that may stand for the id in a URL, such as `name` or `username`.
    pub endpoint_key: Option<&'static str>,
    /// Fields that make the `cache_key` column of Kong's tables; empty where there is none.
    pub cache_key: &'static [&'static str],
    /// Whether rows belong to a workspace (`ws_id`).
    pub workspaceable: bool,
    /// Whether rows may carry a `ttl`.
    pub ttl: bool,
    /// Whether the Admin API has endpoints for it.
    pub admin_api: bool,
    /// Checks over several fields.
    pub checks: Vec<Check>,
}
