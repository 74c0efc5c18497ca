//! What an entity is, said once: fields, types, defaults, checks and foreign keys, and the code that walks them.
//!
//! A [`Schema`] declares an entity, a plugin's configuration or a credential.
//! Everything else is ordinary code over that declaration: filling in defaults, validating with Kong-shaped
//! errors, `/schemas/NAME`, Admin endpoints, SQL, the declarative format, the OpenAPI document.
//! This crate does no IO and reads no clock: time and ids come in through [`Context`].
//!
//! In a [`Record`] an absent key means that nothing was said about the field, and `null` means that it was
//! emptied on purpose; the difference decides between a default and no value.

mod check;
mod coerce;
mod error;
mod field;
mod json;
mod lua_table;
mod path;
mod pattern;
mod prepare;
mod read;
mod reference;
mod rule;
mod shorthand;
mod validate;

pub use check::{Check, CustomCheck};
pub use coerce::number_from_text;
pub use error::Violations;
pub use field::{Deprecation, Field, Foreign, JsonFormat, Kind, OnDelete, Shape};
pub use lua_table::{write_table, write_table_inline};
pub use path::{get_path, is_empty_value};
pub use pattern::Pattern;
pub use prepare::{Context, Draft, NoSubschemas, Operation, Subschemas};
pub use reference::is_reference;
pub use rule::Rule;
pub use shorthand::Shorthand;

/// One entity as JSON: every declared field is present once it has been prepared, absent values as `null`.
pub type Record = serde_json::Map<String, serde_json::Value>;

/// Rewrites what a user sent, or refuses it.
pub type Rewrite = fn(&mut Record) -> Result<(), Violations>;

/// The declaration of one entity.
#[derive(Debug)]
pub struct Schema {
    /// The table and collection name, such as `routes` or `keyauth_credentials`.
    pub name: &'static str,
    /// The path segment of the Admin API where it differs from the name, such as `key-sets`.
    pub admin_path: &'static str,
    /// The path segment below the entity that its records point at, where it differs from [`Schema::admin_path`]:
    /// `basic-auth` in `/consumers/{id}/basic-auth`.
    pub admin_nested_path: &'static str,
    /// One sentence for reference pages and the OpenAPI document.
    pub description: &'static str,
    /// Fields in the order in which they are declared and documented, their shorthands and the checks over several fields.
    pub shape: Shape,
    /// The field that identifies a record: `id`, but for a few read-only or internal entities.
    pub primary_key: &'static str,
    /// A unique field that may stand for the id in a URL, such as `name` or `username`.
    pub endpoint_key: Option<&'static str>,
    /// Fields that make the `cache_key` column of Kong's tables; empty where there is none.
    pub cache_key: &'static [&'static str],
    /// The table of Kong's database where it is not the name.
    pub table: &'static str,
    /// Whether rows belong to a workspace (`ws_id`).
    pub workspaceable: bool,
    /// Whether rows may carry a `ttl`.
    pub ttl: bool,
    /// Whether the Admin API has endpoints for it.
    pub admin_api: bool,
    /// Whether exports and the declarative format know it.
    pub export: bool,
    /// How a record chooses the rest of its declaration, such as a plugin by its `name`.
    pub subschema: Option<SubschemaKey>,
    /// Values that are computed from others when a record is written.
    pub transformations: Vec<Transformation>,
    /// A rewrite of the input before anything else looks at it, where the declaration cannot say it otherwise.
    pub rewrite: Option<Rewrite>,
}

/// The field that chooses a [`Subschema`], and where to look the choice up.
#[derive(Debug)]
pub struct SubschemaKey {
    /// A string field, or a set of strings whose first known element decides.
    pub field: &'static str,
    /// The error for a choice that nobody declares; `%s` stands for the choice.
    pub error: &'static str,
    /// The choices, where they are fixed; otherwise [`Subschemas`] of the [`Context`] knows them.
    pub choices: Vec<(&'static str, Subschema)>,
}

/// What a choice adds to its entity: a plugin's `config`, a route's rules for its protocols.
#[derive(Debug)]
pub struct Subschema {
    /// The choice, such as `rate-limiting` or `http`.
    pub name: &'static str,
    /// Fields that replace those of the entity, and checks over the whole record that come on top.
    pub shape: Shape,
    /// Values that are computed from others when a record is written.
    pub transformations: Vec<Transformation>,
}

/// A value that is computed when a record is written, such as the digest of a certificate.
#[derive(Debug)]
pub struct Transformation {
    /// The fields it is computed from; it runs when they are all given.
    pub input: &'static [&'static str],
    /// Fields that it also needs, and whose change demands the input again.
    pub needs: &'static [&'static str],
    /// Input and needs in order, to the fields it sets.
    pub on_write: fn(&[serde_json::Value]) -> Result<Record, String>,
}

impl Schema {
    /// An entity that belongs to workspaces, is identified by `id` and has Admin endpoints under its name.
    pub fn new(name: &'static str, description: &'static str) -> Self {
        Self {
            name,
            admin_path: name,
            admin_nested_path: name,
            description,
            shape: Shape::default(),
            primary_key: "id",
            endpoint_key: None,
            cache_key: &[],
            table: name,
            workspaceable: true,
            ttl: false,
            admin_api: true,
            export: true,
            subschema: None,
            transformations: Vec::new(),
            rewrite: None,
        }
    }

    /// Declares the next field.
    #[must_use]
    pub fn field_as(mut self, name: &'static str, field: Field) -> Self {
        self.shape.fields.push((name, field));
        self
    }

    /// Declares the next check over several fields.
    #[must_use]
    pub fn check(mut self, check: Check) -> Self {
        self.shape.checks.push(check);
        self
    }

    /// Declares the next shorthand.
    #[must_use]
    pub fn shorthand(mut self, shorthand: Shorthand) -> Self {
        self.shape.shorthands.push(shorthand);
        self
    }

    /// The declaration of a field, or `None` if there is no such field.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.shape.field(name)
    }

    /// Fields in declared order.
    pub fn fields(&self) -> impl Iterator<Item = (&'static str, &Field)> {
        self.shape.fields.iter().map(|(name, field)| (*name, field))
    }

    /// Names that may be written in place of fields.
    pub fn shorthands(&self) -> impl Iterator<Item = &Shorthand> {
        self.shape.shorthands.iter()
    }

    /// Fields that point at another entity.
    pub fn foreign_fields(&self) -> impl Iterator<Item = (&'static str, &Foreign)> {
        self.fields()
            .filter_map(|(name, field)| Some((name, field.foreign()?)))
    }

    /// Fields whose value belongs to one record at most.
    pub fn unique_fields(&self) -> impl Iterator<Item = (&'static str, &Field)> {
        self.fields().filter(|(_, field)| field.is_unique())
    }
}

impl Subschema {
    /// A choice that changes nothing yet.
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            shape: Shape::default(),
            transformations: Vec::new(),
        }
    }

    /// Declares the next field that replaces one of the entity.
    #[must_use]
    pub fn field_as(mut self, name: &'static str, field: Field) -> Self {
        self.shape.fields.push((name, field));
        self
    }

    /// Declares the next check over the whole record.
    #[must_use]
    pub fn check(mut self, check: Check) -> Self {
        self.shape.checks.push(check);
        self
    }
}

#[cfg(test)]
mod tests;
